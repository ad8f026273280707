"""The plan: what a network computes, a list of operations over numbered buffers; how layers become one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import _core, activations
from .activations import ACTIVATIONS
from .layers import (
    Activation,
    AlphaDropout,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    InputLayer,
    Layer,
    LayerNormalization,
    Normalization,
    PReLU,
    RMSNormalization,
    Shape,
)
from .losses import Loss
from .metrics import Metric
from .optimizers import Optimizer
from .variable import Variable

__all__ = ["Buffer", "Op", "Plan", "lower"]

SPANS = ("forward", "loss", "backward", "update")
ABSENT = -1


class Buffer:
    """A logical buffer: its role (see csrc/plan.h), its shape without the rows, and its name."""

    __slots__ = ("name", "role", "shape")

    def __init__(self, role: str, shape: Shape, name: str) -> None:
        self.role = role
        self.shape = shape
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.role} {self.name} {self.shape}>"


class Op:
    """One operation: what it does, which buffers it reads and writes (-1 where one is absent).

    The kinds, their operands and attributes are listed in csrc/plan.h; `function` is the activation,
    loss or optimiser.
    """

    __slots__ = ("accumulate", "attributes", "function", "inputs", "kind", "outputs")

    def __init__(
        self,
        kind: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        function: str = "",
        attributes: tuple[float, ...] = (),
        accumulate: bool = False,
    ) -> None:
        self.kind = kind
        self.inputs = inputs
        self.outputs = outputs
        self.function = function
        self.attributes = attributes
        self.accumulate = accumulate

    def __repr__(self) -> str:
        return f"<{self.kind}.{self.function} {self.inputs} -> {self.outputs}>"


class Plan:
    """Operations in four spans: forward, loss, backward, update.

    Attributes
    ----------
    buffers : list of Buffer
    spans : dict of str to list of Op
    inputs, targets, weights, outputs : list of int
        Buffers; ``weights[i]`` holds the sample weights of ``targets[i]``.
    objective : list of int
        The counters whose sum is minimised.
    obstacle : str
        Why the network cannot be trained, and what would do; empty where it can.
    metrics : list of (Metric, int)
        What is reported beside the loss, and its counter.
    variables : dict of int to Variable
        What the parameter and slot buffers are.
    """

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.spans: dict[str, list[Op]] = {span: [] for span in SPANS}
        self.inputs: list[int] = []
        self.targets: list[int] = []
        self.weights: list[int] = []
        self.outputs: list[int] = []
        self.objective: list[int] = []
        self.obstacle = ""
        self.metrics: list[tuple[Metric, int]] = []
        self.variables: dict[int, Variable] = {}

    @property
    def ops(self) -> list[Op]:
        """All operations in order."""
        return [op for span in SPANS for op in self.spans[span]]

    def buffer(self, role: str, shape: Shape, name: str) -> int:
        """Add a buffer and return its number."""
        self.buffers.append(Buffer(role, shape, name))
        return len(self.buffers) - 1

    def bounds(self) -> list[int]:
        """Return where each span starts in `ops`, and where the last one ends."""
        bounds = [0]
        for span in SPANS:
            bounds.append(bounds[-1] + len(self.spans[span]))
        return bounds

    def range(self, first: str, last: str) -> tuple[int, int]:
        """Return the operations from the span `first` to the end of the span `last`."""
        bounds = self.bounds()
        return bounds[SPANS.index(first)], bounds[SPANS.index(last) + 1]

    def native(self) -> Any:
        """Return the plan as `_core` reads it."""
        buffers = [(b.role, b.shape, b.name) for b in self.buffers]
        ops = [
            (op.kind, op.function, op.accumulate, op.inputs, op.outputs, op.attributes)
            for op in self.ops
        ]
        return _core.Plan(
            buffers, ops, self.bounds(), self.inputs, self.targets, self.weights, self.outputs,
            self.objective,
        )  # fmt: skip

    def __str__(self) -> str:
        from .equations import render

        return render(self)


class Builder:
    """Adds a network's operations to a plan, span by span."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.parameters: dict[Variable, int] = {}
        self.numbers: dict[str, int] = {}
        self.streams = 0

    def name(self, stem: str) -> str:
        """Return z1, z2, ... for the stem z."""
        self.numbers[stem] = self.numbers.get(stem, 0) + 1
        return f"{stem}{self.numbers[stem]}"

    def rows(self, role: str, like: int, name: str) -> int:
        """Add a buffer with rows of the same shape as another's."""
        return self.plan.buffer(role, self.plan.buffers[like].shape, name)

    def emit(
        self, span: str, kind: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **more: Any
    ) -> None:
        """Add an operation."""
        self.plan.spans[span].append(Op(kind, inputs, outputs, **more))

    def parameter(self, variable: Variable, stem: str) -> int:
        """Return the buffer of a variable, the same each time it is used."""
        if variable not in self.parameters:
            number = self.plan.buffer("parameter", variable.shape, self.name(stem))
            self.parameters[variable] = number
            self.plan.variables[number] = variable
        return self.parameters[variable]

    def stream(self, seed: int | None) -> float:
        """Return what keeps the random bits of two layers apart; a seed of its own takes a stream far away."""
        self.streams += 1
        return float(self.streams if seed is None else 2**31 + seed % 2**31)

    def activate(self, span: str, activation: activations.Activation, z: int) -> int:
        """Add an activation of its own and return its output."""
        if activation is activations.linear:
            return z
        a = self.rows("activation", z, self.name("p" if activation is activations.softmax else "a"))
        if activation.rowwise:
            self.emit(span, activation.name, (z,), (a,))
        else:
            constants = activation.constants
            self.emit(span, "activation", (z,), (a,), function=activation.name, attributes=constants)
        return a


# ---- forward: one function per layer class, which returns the layer's output


def _lower_dense(builder: Builder, layer: Dense, x: int) -> int:
    assert layer.kernel is not None and layer.output_shape is not None
    w = builder.parameter(layer.kernel, "W")
    z = builder.plan.buffer("activation", layer.output_shape, builder.name("z"))
    builder.emit("forward", "dense", (x, w, ABSENT), (z,), function="linear")
    if layer.bias is not None:
        b = builder.parameter(layer.bias, "b")
        product, z = z, builder.rows("activation", z, builder.plan.buffers[z].name)
        builder.plan.buffers[product].name += "'"
        builder.emit("forward", "add_bias", (product, b), (z,))
    return builder.activate("forward", layer.activation, z)


def _lower_activation(builder: Builder, layer: Activation, x: int) -> int:
    return builder.activate("forward", layer.activation, x)


def _lower_prelu(builder: Builder, layer: PReLU, x: int) -> int:
    assert layer.alpha is not None
    a = builder.rows("activation", x, builder.name("a"))
    builder.emit("forward", "prelu", (x, builder.parameter(layer.alpha, "alpha")), (a,))
    return a


def _lower_dropout(builder: Builder, layer: Dropout, x: int) -> int:
    if layer.rate == 0:
        return x
    y = builder.rows("activation", x, builder.name("r"))
    mask = builder.rows("mask", x, builder.name("mask"))
    builder.emit("forward", "dropout", (x,), (y, mask), attributes=(layer.rate, builder.stream(layer.seed)))
    return y


def _lower_alpha_dropout(builder: Builder, layer: AlphaDropout, x: int) -> int:
    rate, limit = layer.rate, -1.0507009873554805 * 1.6732632423543772  # selu(-infinity)
    if rate == 0:
        return x
    a = ((1 - rate) * (1 + rate * limit**2)) ** -0.5
    b = -a * limit * rate
    y = builder.rows("activation", x, builder.name("r"))
    mask = builder.rows("mask", x, builder.name("mask"))
    attributes = (rate, builder.stream(layer.seed), a, b, a * limit + b)
    builder.emit("forward", "alpha_dropout", (x,), (y, mask), attributes=attributes)
    return y


def _lower_gaussian_dropout(builder: Builder, layer: GaussianDropout, x: int) -> int:
    if layer.rate == 0:
        return x
    y = builder.rows("activation", x, builder.name("r"))
    noise = builder.rows("activation", x, builder.name("noise"))
    attributes = (math.sqrt(layer.rate / (1 - layer.rate)), builder.stream(layer.seed))
    builder.emit("forward", "gaussian_dropout", (x,), (y, noise), attributes=attributes)
    return y


def _lower_gaussian_noise(builder: Builder, layer: GaussianNoise, x: int) -> int:
    if layer.stddev == 0:
        return x
    y = builder.rows("activation", x, builder.name("r"))
    attributes = (layer.stddev, builder.stream(layer.seed))
    builder.emit("forward", "gaussian_noise", (x,), (y,), attributes=attributes)
    return y


def _lower_batch_norm(builder: Builder, layer: BatchNormalization, x: int) -> int:
    assert layer.moving_mean is not None and layer.moving_variance is not None
    y = builder.rows("activation", x, builder.name("n"))
    mean = builder.parameter(layer.moving_mean, "mean")
    variance = builder.parameter(layer.moving_variance, "var")
    if layer.trainable:
        scale = builder.plan.buffer("unit", layer.moving_mean.shape, builder.name("s"))
        builder.emit(
            "forward", "batch_norm", (x, mean, variance), (y, scale, mean, variance),
            attributes=(layer.momentum, layer.epsilon),
        )  # fmt: skip
    else:
        builder.emit("forward", "standardize", (x, mean, variance), (y,), attributes=(layer.epsilon, 0.0, 0.0))
    return _scale_and_shift(builder, layer, y)


def _lower_layer_norm(builder: Builder, layer: LayerNormalization | RMSNormalization, x: int) -> int:
    y = builder.rows("activation", x, builder.name("n"))
    scale = builder.plan.buffer("row", (), builder.name("s"))
    centred = float(isinstance(layer, LayerNormalization))
    builder.emit("forward", "layer_norm", (x,), (y, scale), attributes=(centred, layer.epsilon))
    return _scale_and_shift(builder, layer, y)


def _scale_and_shift(
    builder: Builder, layer: BatchNormalization | LayerNormalization | RMSNormalization, x: int
) -> int:
    for variable, stem, kind in ((layer.gamma, "gamma", "scale_columns"), (layer.beta, "beta", "add_bias")):
        if variable is not None:
            x, before = builder.rows("activation", x, builder.name("n")), x
            builder.emit("forward", kind, (before, builder.parameter(variable, stem)), (x,))
    return x


def _lower_normalization(builder: Builder, layer: Normalization, x: int) -> int:
    assert layer.mean is not None and layer.variance is not None
    if not layer.adapted:
        raise ValueError(
            f"layer {layer.name!r} (Normalization) has no statistics yet; call its adapt(data), or construct it with "
            f"mean and variance."
        )
    y = builder.rows("activation", x, builder.name("n"))
    statistics = builder.parameter(layer.mean, "mean"), builder.parameter(layer.variance, "var")
    attributes = (0.0, 1e-14, float(layer.invert))  # deviations of at least 1e-7, as in Keras
    builder.emit("forward", "standardize", (x, *statistics), (y,), attributes=attributes)
    return y


def _lower_flatten(builder: Builder, layer: Flatten, x: int) -> int:
    return x  # rows are flat anyway


_LOWERINGS: dict[type[Layer], Callable[[Builder, Any, int], int]] = {
    Activation: _lower_activation,
    AlphaDropout: _lower_alpha_dropout,
    BatchNormalization: _lower_batch_norm,
    Dense: _lower_dense,
    Dropout: _lower_dropout,
    Flatten: _lower_flatten,
    GaussianDropout: _lower_gaussian_dropout,
    GaussianNoise: _lower_gaussian_noise,
    InputLayer: _lower_flatten,
    LayerNormalization: _lower_layer_norm,
    Normalization: _lower_normalization,
    PReLU: _lower_prelu,
    RMSNormalization: _lower_layer_norm,
}


# ---- loss


def _lower_measure(
    builder: Builder, measure: Loss | Metric, prediction: int, target: int, weight: int, by_weight: bool,
    *, delta: int,
) -> int:  # fmt: skip
    """Add a loss or metric with its reduction and return the counter."""
    plan = builder.plan
    constants = measure.constants(math.prod(plan.buffers[prediction].shape))
    value = plan.buffer("row", (), builder.name("l"))
    counter = plan.buffer("counter", (2,), builder.name("sum"))
    outputs = (value,) if delta == ABSENT else (value, delta)
    scale = weight if delta != ABSENT else ABSENT
    builder.emit(
        "loss", "loss", (prediction, target, scale, ABSENT), outputs,
        function=measure.function, attributes=constants,
    )  # fmt: skip
    builder.emit("loss", "reduce", (value, weight), (counter,), attributes=(float(by_weight),))
    return counter


def _lower_metric(builder: Builder, metric: Metric, loss: Loss, output: int, weighted: bool) -> int:
    """Add a metric on the output and return the counter."""
    plan = builder.plan
    target, weight = plan.targets[0], plan.weights[0] if weighted else ABSENT
    shape = plan.buffers[output].shape
    wanted = metric.target_shape(shape, loss.sparse)
    if wanted != plan.buffers[target].shape:
        raise ValueError(
            f"metric {metric.name!r} needs targets of shape {wanted} for an output of shape {shape}, and those of "
            f"loss {loss.name!r} have shape {plan.buffers[target].shape}; leave the metric out, or pass the loss "
            f"as a metric."
        )
    prediction = _taken(builder, metric, output)
    if metric.kind == "loss":
        return _lower_measure(builder, metric, prediction, target, weight, weighted, delta=ABSENT)
    n = math.prod(shape)
    counter = plan.buffer("counter", metric.counter_shape(n), builder.name("sum"))
    builder.emit(
        "loss", metric.kind, (prediction, target, weight), (counter,),
        function=metric.function, attributes=metric.constants(n),
    )  # fmt: skip
    return counter


def _taken(builder: Builder, measure: Loss | Metric, output: int) -> int:
    """Return what a loss or metric takes: the output, or the probabilities that it stands for."""
    return builder.activate("loss", activations.get(measure.link), output) if measure.from_logits else output


def _penalties(layers: list[Layer]) -> list[tuple[Variable, float, float]]:
    pairs = [pair for layer in layers for pair in layer.penalties()]
    return [(v, r.l1, r.l2) for v, r in pairs]


# ---- backward: one function per forward operation, which returns the gradient of its input

Gradient = Callable[["Builder", Op, int], int]


def _activation_grad(builder: Builder, op: Op, dy: int) -> int:
    reads = op.outputs[0] if ACTIVATIONS[op.function].reads == "output" else op.inputs[0]
    dz = builder.rows("delta", dy, "d" + builder.plan.buffers[op.inputs[0]].name)
    builder.emit(
        "backward", "activation_grad", (dy, reads), (dz,), function=op.function, attributes=op.attributes
    )
    return dz


def _rowwise_grad(builder: Builder, op: Op, dy: int) -> int:
    dz = builder.rows("delta", dy, "d" + builder.plan.buffers[op.inputs[0]].name)
    builder.emit("backward", f"{op.kind}_grad", (dy, op.outputs[0]), (dz,))
    return dz


def _dropout_grad(builder: Builder, op: Op, dy: int) -> int:
    dx = builder.rows("delta", dy, "d" + builder.plan.buffers[op.inputs[0]].name)
    divisor = 1 - op.attributes[0] if op.kind == "dropout" else 1 / op.attributes[2]
    builder.emit("backward", "dropout_grad", (dy, op.outputs[1]), (dx,), attributes=(divisor,))
    return dx


def _gradient_by(kind: str, reads: Callable[[Op], tuple[int, ...]], attributes: slice) -> Gradient:
    """Return the lowering of a gradient with one operation, which reads dy and then these buffers."""

    def lowering(builder: Builder, op: Op, dy: int) -> int:
        dx = builder.rows("delta", dy, "d" + builder.plan.buffers[op.inputs[0]].name)
        builder.emit("backward", kind, (dy, *reads(op)), (dx,), attributes=op.attributes[attributes])
        return dx

    return lowering


def _dense_grad_x(builder: Builder, op: Op, dy: int) -> int:
    x, w = op.inputs[:2]
    dx = builder.plan.buffer("delta", builder.plan.buffers[w].shape[:1], "d" + builder.plan.buffers[x].name)
    builder.emit("backward", "dense_grad_x", (dy, w, ABSENT), (dx,), function="linear")
    return dx


_GRADIENTS: dict[str, Gradient] = {
    "activation": _activation_grad,
    "add_bias": lambda builder, op, dy: dy,
    "dense": _dense_grad_x,
    "alpha_dropout": _dropout_grad,
    "batch_norm": _gradient_by("batch_norm_grad", lambda op: op.outputs[:2], slice(0)),
    "dropout": _dropout_grad,
    "log_softmax": _rowwise_grad,
    "gaussian_dropout": _gradient_by("noise_grad", lambda op: op.outputs[1:], slice(0)),
    "gaussian_noise": lambda builder, op, dy: dy,
    "layer_norm": _gradient_by("layer_norm_grad", lambda op: op.outputs, slice(1)),
    "prelu": _gradient_by("prelu_grad", lambda op: op.inputs, slice(0)),
    "scale_columns": _gradient_by("scale_columns", lambda op: op.inputs[1:], slice(0)),
    "softmax": _rowwise_grad,
    "standardize": _gradient_by("standardize_grad", lambda op: op.inputs[2:], slice(3)),
}

# For an operation whose second operand is a parameter: what forms that one's gradient, and from which operands.
_PARAMETER_GRADIENTS: dict[str, tuple[str, Callable[[Op, int], tuple[int, ...]]]] = {
    "add_bias": ("bias_grad", lambda op, dy: (dy,)),
    "dense": ("dense_grad_w", lambda op, dy: (op.inputs[0], dy)),
    "prelu": ("prelu_grad_alpha", lambda op, dy: (dy, op.inputs[0])),
    "scale_columns": ("scale_grad", lambda op, dy: (op.inputs[0], dy)),
}


def _needs_gradient(plan: Plan, ops: list[Op]) -> set[int]:
    """Return the buffers that a trainable variable lies upstream of, and the trainable parameters."""
    needs = {b for b, v in plan.variables.items() if v.trainable}
    for op in ops:
        if needs.intersection(op.inputs):
            needs.update(op.outputs[:1])
    return needs


def _obstacle(ops: list[Op], needs: set[int]) -> str:
    """Return why no gradient reaches what a trainable variable lies upstream of; empty if it does."""
    for op in ops:
        if op.kind == "activation" and ACTIVATIONS[op.function].reads == "nothing" and op.inputs[0] in needs:
            return (
                f"the derivative of {op.function!r} is 0, so nothing before it can be trained by gradients; "
                f"train with a smooth activation such as 'sigmoid' or 'tanh', or freeze the layers before it."
            )
    return ""


def _lower_backward(builder: Builder, ops: list[Op], prediction: int, delta: int) -> dict[int, int]:
    """Add the backward span and return each trainable parameter's gradient.

    Parameters
    ----------
    ops : list of Op
        What lies between the inputs and the loss.
    prediction, delta : int
        What the loss reads, and the gradient with respect to it.
    """
    plan = builder.plan
    needs = _needs_gradient(plan, ops)
    gradients: dict[int, int] = {}
    deltas = {prediction: delta}
    for op in reversed(ops):
        dy = deltas.get(op.outputs[0], ABSENT)
        if dy == ABSENT:
            continue
        if op.kind in _PARAMETER_GRADIENTS and op.inputs[1] in needs:
            p = op.inputs[1]
            gradients[p] = plan.buffer("gradient", plan.buffers[p].shape, "g" + plan.buffers[p].name)
            kind, operands = _PARAMETER_GRADIENTS[op.kind]
            builder.emit("backward", kind, operands(op, dy), (gradients[p],))
        if op.inputs[0] in needs:
            deltas[op.inputs[0]] = _GRADIENTS[op.kind](builder, op, dy)
    return gradients


def _lower_update(builder: Builder, gradients: dict[int, int], optimizer: Optimizer) -> None:
    plan = builder.plan
    ordered = sorted(gradients.items())
    norms = []
    if optimizer.clipnorm is not None or optimizer.global_clipnorm is not None:
        for _, g in ordered:
            norms.append(plan.buffer("scalar", (1,), builder.name("s")))
            builder.emit("update", "square_sum", (g,), (norms[-1],))
    for i, (p, g) in enumerate(ordered):
        if optimizer.clipvalue is not None:
            builder.emit("update", "clip_value", (g,), (g,), attributes=(float(optimizer.clipvalue),))
        if optimizer.clipnorm is not None:
            builder.emit("update", "clip_norm", (g, norms[i]), (g,), attributes=(float(optimizer.clipnorm),))
        if optimizer.global_clipnorm is not None:
            limit = float(optimizer.global_clipnorm)
            builder.emit("update", "clip_norm", (g, *norms), (g,), attributes=(limit,))
        variable = plan.variables[p]
        slots = []
        for name, slot in zip(optimizer.kept, optimizer.slots_of(variable)):
            slots.append(plan.buffer("slot", variable.shape, f"{name}({plan.buffers[p].name})"))
            plan.variables[slots[-1]] = slot
        average = slots.pop() if optimizer.use_ema else ABSENT
        decay = optimizer.weight_decay if optimizer.weight_decay and variable.decays else 0.0
        builder.emit(
            "update", "update", (p, g), (p, *slots),
            function=optimizer.function,
            attributes=(decay, variable.learning_rate_multiplier, *optimizer.constants),
        )  # fmt: skip
        if optimizer.use_ema:
            every = float(optimizer.ema_overwrite_frequency or 0)
            builder.emit("update", "ema", (p, average), (average, p), attributes=(optimizer.ema_momentum, every))


def lower(
    layers: list[Layer],
    input_shape: Shape,
    loss: Loss | None = None,
    metrics: list[tuple[Metric, bool]] | None = None,
    optimizer: Optimizer | None = None,
) -> Plan:
    """Return the plan of a chain of built layers, unfused.

    Parameters
    ----------
    layers : list of Layer
    input_shape : tuple of int
        Of one row.
    loss : Loss, optional
        Without one the plan can only predict.
    metrics : list of (Metric, bool), optional
        Resolved metrics, and whether sample weights apply to each.
    optimizer : Optimizer, optional
        Without one there is no backward and no update span.
    """
    builder = Builder()
    plan = builder.plan
    output = plan.buffer("input", input_shape, "x")
    plan.inputs.append(output)
    for layer in layers:
        lowering = next(_LOWERINGS[cls] for cls in type(layer).__mro__ if cls in _LOWERINGS)
        output = lowering(builder, layer, output)
    plan.outputs.append(output)
    if loss is None:
        return plan

    target = plan.buffer("target", loss.target_shape(plan.buffers[output].shape), "y")
    weight = plan.buffer("weight", (), "w")
    plan.targets.append(target)
    plan.weights.append(weight)
    prediction = _taken(builder, loss, output)
    ops = plan.spans["forward"] + plan.spans["loss"]
    needs = _needs_gradient(plan, ops)
    plan.obstacle = _obstacle(ops, needs)
    trains = optimizer is not None and prediction in needs and not plan.obstacle
    delta = builder.rows("delta", prediction, "d" + plan.buffers[prediction].name) if trains else ABSENT
    plan.objective.append(
        _lower_measure(builder, loss, prediction, target, weight, False, delta=delta)
    )
    penalties = _penalties(layers)
    if penalties:
        total = plan.buffer("counter", (2,), "penalty")
        plan.objective.append(total)
        for variable, l1, l2 in penalties:
            builder.emit("loss", "penalty", (builder.parameters[variable],), (total,), attributes=(l1, l2))
    for metric, weighted in metrics or []:
        plan.metrics.append((metric, _lower_metric(builder, metric, loss, output, weighted)))
    if trains:
        assert optimizer is not None
        gradients = _lower_backward(builder, ops, prediction, delta)
        for variable, l1, l2 in penalties:
            p = builder.parameters[variable]
            if p in gradients:
                builder.emit("backward", "penalty_grad", (p,), (gradients[p],), attributes=(l1, l2))
        _lower_update(builder, gradients, optimizer)
    return plan

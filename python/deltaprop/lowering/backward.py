"""The backward span: the gradient of each forward operation, in reverse order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import host
from ..activations import ACTIVATIONS
from ..plan import ABSENT, Op, Plan
from .builder import Builder
from .penalties import Slope

if TYPE_CHECKING:
    from .tangents import Tangent

__all__ = ["contribute", "input_gradient", "lower_backward", "needs_gradient", "obstacle"]


Gradient = Callable[[Builder, Op, int], int]


def _activation_grad(builder: Builder, op: Op, dy: int) -> int:
    reads = op.outputs[0] if ACTIVATIONS[op.function].reads == "output" else op.inputs[0]
    dz = builder.delta(op.inputs[0])
    builder.emit("backward", "activation_grad", (dy, reads), (dz,), function=op.function, attributes=op.attributes)
    return dz


def _rowwise_grad(builder: Builder, op: Op, dy: int) -> int:
    dz = builder.delta(op.inputs[0])
    builder.emit("backward", f"{op.kind}_grad", (dy, op.outputs[0]), (dz,))
    return dz


def _dropout_grad(builder: Builder, op: Op, dy: int) -> int:
    dx = builder.delta(op.inputs[0])
    divisor = 1 - op.attributes[0] if op.kind == "dropout" else 1 / op.attributes[2]
    builder.emit("backward", "dropout_grad", (dy, op.outputs[1]), (dx,), attributes=(divisor,))
    return dx


def _gradient_by(kind: str, reads: Callable[[Op], tuple[int, ...]], attributes: slice) -> Gradient:
    """Return the lowering of a gradient with one operation, which reads dy and then these buffers."""

    def lowering(builder: Builder, op: Op, dy: int) -> int:
        dx = builder.delta(op.inputs[0])
        builder.emit("backward", kind, (dy, *reads(op)), (dx,), attributes=op.attributes[attributes])
        return dx

    return lowering


def _dense_grad_x(builder: Builder, op: Op, dy: int) -> int:
    dx = builder.delta(op.inputs[0])
    builder.emit("backward", "dense_grad_x", (dy, op.inputs[1], ABSENT), (dx,), function="linear")
    return dx


def _dense_transposed_grad_x(builder: Builder, op: Op, dy: int) -> int:
    dx = builder.delta(op.inputs[0])
    builder.emit("backward", "dense", (dy, op.inputs[1], ABSENT), (dx,), function="linear")
    return dx


def _host_grad(builder: Builder, op: Op, dy: int) -> int:
    function = builder.functions[op.outputs[0]]
    dz = builder.delta(op.inputs[0])
    builder.call("backward", host.activation_grad(function), (dy, op.inputs[0]), (dz,))
    return dz


# By the kind of a forward operation: the gradient with respect to its first input.
_GRADIENTS: dict[str, Gradient] = {
    "activation": _activation_grad,
    "add_bias": lambda builder, op, dy: dy,
    "alpha_dropout": _dropout_grad,
    "batch_norm": _gradient_by("batch_norm_grad", lambda op: op.outputs[:2], slice(0)),
    "dense": _dense_grad_x,
    "dense_transposed": _dense_transposed_grad_x,
    "distance": _gradient_by("distance_grad_x", lambda op: op.inputs[::-1], slice(0)),
    "dropout": _dropout_grad,
    "gaussian_dropout": _gradient_by("noise_grad", lambda op: op.outputs[1:], slice(0)),
    "gaussian": _gradient_by("gaussian_grad", lambda op: (op.outputs[0], op.inputs[1]), slice(0)),
    "gaussian_noise": lambda builder, op, dy: dy,
    "host": _host_grad,
    "layer_norm": _gradient_by("layer_norm_grad", lambda op: op.outputs, slice(1)),
    "log_softmax": _rowwise_grad,
    "prelu": _gradient_by("prelu_grad", lambda op: op.inputs, slice(0)),
    "scale_columns": _gradient_by("scale_columns", lambda op: op.inputs[1:], slice(0)),
    "standardize": _gradient_by("standardize_grad", lambda op: op.inputs[2:], slice(3)),
    "softmax": _rowwise_grad,
}

# For an operation whose second operand is a parameter: what forms that one's gradient, and from which operands.
_PARAMETER_GRADIENTS: dict[str, tuple[str, Callable[[Op, int], tuple[int, ...]]]] = {
    "add_bias": ("bias_grad", lambda op, dy: (dy,)),
    "dense": ("dense_grad_w", lambda op, dy: (op.inputs[0], dy)),
    "dense_transposed": ("dense_grad_w", lambda op, dy: (dy, op.inputs[0])),
    "distance": ("distance_grad_w", lambda op, dy: (op.inputs[0], dy, op.inputs[1])),
    "gaussian": ("gaussian_grad_s", lambda op, dy: (dy, op.outputs[0], *op.inputs)),
    "embedding": ("embedding_grad", lambda op, dy: (op.inputs[0], dy)),
    "prelu": ("prelu_grad_alpha", lambda op, dy: (dy, op.inputs[0])),
    "scale_columns": ("scale_grad", lambda op, dy: (op.inputs[0], dy)),
}


def _combine_grad(builder: Builder, op: Op, dy: int, i: int) -> int:
    if op.attributes[i] == 1:
        return dy
    dx = builder.delta(op.inputs[i])
    builder.emit("backward", "combine", (dy,), (dx,), attributes=(op.attributes[i],))
    return dx


def _multiply_grad(builder: Builder, op: Op, dy: int, i: int) -> int:
    dx = builder.delta(op.inputs[i])
    builder.emit("backward", "multiply", (dy, *op.inputs[:i], *op.inputs[i + 1 :]), (dx,))
    return dx


def _concatenate_grad(builder: Builder, op: Op, dy: int, i: int) -> int:
    dx = builder.delta(op.inputs[i])
    offset = sum(math.prod(builder.plan.buffers[b].shape) for b in op.inputs[:i])
    builder.emit("backward", "slice", (dy,), (dx,), attributes=(float(offset),))
    return dx


# Where several inputs lead to variables: the gradient with respect to the input i.
_MERGE_GRADIENTS: dict[str, Callable[[Builder, Op, int, int], int]] = {
    "combine": _combine_grad,
    "concatenate": _concatenate_grad,
    "multiply": _multiply_grad,
}


def input_gradient(builder: Builder, op: Op, dy: int) -> int:
    """Add the gradient of an operation with respect to its first input."""
    return _GRADIENTS[op.kind](builder, op, dy)


def contribute(builder: Builder, deltas: dict[int, int], buffer: int, delta: int, span: str = "backward") -> None:
    """Add a gradient to what other readers of the buffer have given."""
    if buffer in deltas:
        both = (deltas[buffer], delta)
        delta = builder.delta(buffer)
        builder.emit(span, "combine", both, (delta,), attributes=(1.0, 1.0))
    deltas[buffer] = delta


def _add_slopes(builder: Builder, deltas: dict[int, int], slopes: list[Slope], a: int) -> None:
    """Add the gradients of penalties on an activation to its delta: in place, where that is nobody else's."""
    for slope in slopes:
        own = a in deltas and list(deltas.values()).count(deltas[a]) == 1
        delta = deltas[a] if own else builder.delta(a)
        builder.emit("backward", slope.kind, slope.inputs, (delta,), attributes=slope.attributes, accumulate=own)
        if not own:
            contribute(builder, deltas, a, delta)


def needs_gradient(plan: Plan, ops: list[Op]) -> set[int]:
    """Return the buffers that a trainable variable lies upstream of, and the trainable parameters."""
    needs = {b for b, v in plan.variables.items() if v.trainable}
    for op in ops:
        if needs.intersection(op.inputs):
            needs.update(op.outputs[:1])
    return needs


def obstacle(ops: list[Op], needs: set[int]) -> str:
    """Return why no gradient reaches what a trainable variable lies upstream of; empty if it does."""
    for op in ops:
        if op.kind == "activation" and ACTIVATIONS[op.function].reads == "nothing" and op.inputs[0] in needs:
            return (
                f"the derivative of {op.function!r} is 0, so nothing before it can be trained by gradients; "
                f"train with a smooth activation such as 'sigmoid' or 'tanh', or freeze the layers before it."
            )
        if op.kind == "embedding" and op.inputs[0] in needs:
            return "ids have no derivative, so nothing before an Embedding can be trained; freeze the layers before it."
    return ""


def lower_backward(
    builder: Builder, ops: list[Op], deltas: dict[int, int], slopes: dict[int, list[Slope]], tangents: list[Tangent]
) -> None:
    """Add the backward span, the forward span read upwards.

    Parameters
    ----------
    ops : list of Op
        What lies between the inputs and the losses.
    deltas : dict of int to int
        The gradient with respect to each buffer that a loss reads.
    slopes : dict of int to list of Slope
        Gradients of activity penalties by activation.
    tangents : list of Tangent
    """
    plan = builder.plan
    needs = needs_gradient(plan, ops)
    summed: set[int] = set()  # what has the gradient of a product, which another product can be added to in place
    for op in reversed(ops):
        y = op.outputs[0]
        if y in needs:
            _add_slopes(builder, deltas, slopes.get(y, []), y)
        dy = deltas.get(y, ABSENT)
        if dy == ABSENT:
            continue
        if op.kind in _PARAMETER_GRADIENTS and op.inputs[1] in needs:
            gradient, add = builder.gradient(op.inputs[1])
            kind, operands = _PARAMETER_GRADIENTS[op.kind]
            builder.emit("backward", kind, operands(op, dy), (gradient,), accumulate=add)
        if op.kind in _MERGE_GRADIENTS:
            for i, x in enumerate(op.inputs):
                if x in needs:
                    contribute(builder, deltas, x, _MERGE_GRADIENTS[op.kind](builder, op, dy, i))
        elif op.kind == "dense" and op.inputs[0] in summed:
            out = (deltas[op.inputs[0]],)
            builder.emit(
                "backward", "dense_grad_x", (dy, op.inputs[1], ABSENT), out, function="linear", accumulate=True
            )
        elif op.inputs[0] in needs:
            if op.kind == "dense" and op.inputs[0] not in deltas:
                summed.add(op.inputs[0])
            contribute(builder, deltas, op.inputs[0], input_gradient(builder, op, dy))
        for tangent in tangents:
            tangent.pull(op, needs, deltas)

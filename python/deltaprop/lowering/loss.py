"""The loss span: losses and metrics, with their sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import host
from ..activations import ACTIVATIONS
from ..losses import FunctionLoss, Loss
from ..metrics import FunctionMetric, Metric
from ..objective import Term
from ..plan import ABSENT, Op
from .backward import contribute, needs_gradient, obstacle
from .builder import Builder

__all__ = ["lower_loss", "lower_metrics"]


def _lower_measure(
    builder: Builder, measure: Loss | Metric, prediction: int, target: int, weight: int, by_weight: bool, *,
    delta: int = ABSENT, factor: float = 1.0,
) -> int:  # fmt: skip
    """Add a loss or metric, native or a Python function, with its reduction and return the counter."""
    plan = builder.plan
    value = plan.buffer("row", (), builder.name("l"))
    counter = plan.buffer("counter", (2,), builder.name("sum"))
    outputs = (value,) if delta == ABSENT else (value, delta)
    if isinstance(measure, FunctionLoss):
        inputs = (prediction, target) if delta == ABSENT else (prediction, target, weight)
        builder.call("loss", host.loss(measure.call, factor), inputs, outputs)
    elif isinstance(measure, FunctionMetric):
        builder.call("loss", host.metric(measure.call), (prediction, target), outputs)
    else:
        if not measure.function:
            raise ValueError(
                f"{measure.name!r} is of class {type(measure).__name__}, and losses and metrics have no arithmetic of "
                f"their own; one of yours is a function, see Model.compile."
            )
        scale = weight if delta != ABSENT else ABSENT
        constants = measure.constants(math.prod(plan.buffers[prediction].shape))
        builder.emit(
            "loss", "loss", (prediction, target, scale, ABSENT), outputs,
            function=measure.function, attributes=(factor, *constants),
        )  # fmt: skip
    builder.emit("loss", "reduce", (value, weight), (counter,), attributes=(float(by_weight),))
    return counter


def _taken(builder: Builder, measure: Loss | Metric, output: int) -> int:
    """Return what a loss or metric takes: the output, or the probabilities that it stands for."""
    return builder.activate("loss", ACTIVATIONS[measure.link], output) if measure.from_logits else output


def lower_loss(
    builder: Builder, terms: Sequence[Term], trains: bool
) -> tuple[list[Op], dict[int, int]]:
    """Add the losses of all outputs.

    Returns
    -------
    ops : list of Op
        What lies between the inputs and the losses.
    deltas : dict of int to int
        The gradient with respect to each buffer that a loss reads.
    """
    plan = builder.plan
    losses: list[tuple[Term, int, int, int]] = []
    for i, (term, output) in enumerate(zip(terms, plan.outputs)):
        if not term.measured:
            continue
        number = str(i + 1) if len(terms) > 1 else ""
        plan.targets.append(plan.buffer("target", term.target_shape(plan.buffers[output].shape), f"y{number}"))
        plan.weights.append(plan.buffer("weight", (), f"w{number}"))
        if term.loss is not None:
            prediction = _taken(builder, term.loss, output)
            losses.append((term, prediction, plan.targets[-1], plan.weights[-1]))
    ops = plan.spans["forward"] + plan.spans["loss"]
    needs = needs_gradient(plan, ops)
    plan.obstacle = obstacle(ops, needs)
    deltas: dict[int, int] = {}
    for term, prediction, target, weight in losses:
        assert term.loss is not None
        learns = trains and not plan.obstacle and prediction in needs
        delta = builder.delta(prediction) if learns else ABSENT
        counter = _lower_measure(
            builder, term.loss, prediction, target, weight, False, delta=delta, factor=term.factor
        )
        plan.losses.append((term.output, counter, term.factor))
        if learns:
            contribute(builder, deltas, prediction, delta, span="loss")
    return ops, deltas


def lower_metrics(builder: Builder, terms: Sequence[Term]) -> None:
    """Add the metrics of all outputs: they read what is there by now."""
    plan = builder.plan
    measured = [(term, output) for term, output in zip(terms, plan.outputs) if term.measured]
    for (term, output), target, weight in zip(measured, plan.targets, plan.weights):
        for metric, weighted in term.resolved(plan.buffers[output].shape):
            counter = _lower_metric(builder, metric, output, target, weight if weighted else ABSENT, term)
            plan.metrics.append((metric, counter))


def _lower_metric(builder: Builder, metric: Metric, output: int, target: int, weight: int, term: Term) -> int:
    """Add a metric on an output and return the counter."""
    plan = builder.plan
    shape = plan.buffers[output].shape
    wanted = metric.target_shape(shape, term.sparse)
    if wanted != plan.buffers[target].shape:
        raise ValueError(
            f"metric {metric.name!r} needs targets of shape {wanted} for an output of shape {shape}, and those of "
            f"loss {term.name!r} have shape {plan.buffers[target].shape}; leave the metric out, or pass the loss "
            f"as a metric."
        )
    prediction = _taken(builder, metric, output)
    if metric.kind != "tally":
        return _lower_measure(builder, metric, prediction, target, weight, weight != ABSENT)
    n = math.prod(shape)
    counter = plan.buffer("counter", metric.counter_shape(n), builder.name("sum"))
    builder.emit(
        "loss", "tally", (prediction, target, weight), (counter,),
        function=metric.function, attributes=metric.constants(n),
    )  # fmt: skip
    return counter

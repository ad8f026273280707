"""From a graph of layers to a plan: a file for each span."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph, Tensor
from ..objective import Term
from ..optimizers import Optimizer
from ..plan import Plan
from ..regularizers import L1L2, ModelRegularizer, SparseKL
from .backward import lower_backward
from .builder import Builder
from .forward import lower_layer
from .loss import lower_loss, lower_metrics
from .penalties import Slope, activity, weight_penalties
from .tangents import tangents_of
from .update import lower_update

__all__ = ["lower"]


def lower(
    graph: Graph,
    terms: Sequence[Term] = (),
    optimizer: Optimizer | None = None,
    regularizers: Sequence[ModelRegularizer] = (),
) -> Plan:
    """Return the plan of a graph of built layers, unfused.

    Parameters
    ----------
    graph : Graph
    terms : sequence of Term
        What is made of each output. Without any the plan can only predict.
    optimizer : Optimizer, optional
        Without one there is no backward and no update span.
    regularizers : sequence of ModelRegularizer
        Penalties on the network as a whole.
    """
    builder = Builder()
    plan = builder.plan
    buffers: dict[Tensor, int] = {}
    for i, tensor in enumerate(graph.inputs):
        name = f"x{i + 1}" if len(graph.inputs) > 1 else "x"
        buffers[tensor] = plan.buffer("input", tensor.row_shape, name)
        plan.inputs.append(buffers[tensor])
    active: list[tuple[int, L1L2 | SparseKL]] = []
    for tensor in graph.tensors[len(graph.inputs) :]:
        buffers[tensor] = lower_layer(builder, tensor.layer, tuple(buffers[t] for t in tensor.inputs))
        if tensor.layer.activity_regularizer is not None:
            active.append((buffers[tensor], tensor.layer.activity_regularizer))
    plan.outputs = [buffers[tensor] for tensor in graph.outputs]
    if not terms:
        return plan

    ops, deltas = lower_loss(builder, terms, optimizer is not None)
    penalties = weight_penalties(graph.layers, regularizers)
    slopes: dict[int, list[Slope]] = {}
    if penalties or active or regularizers:
        plan.penalties.append(plan.buffer("counter", (2,), "penalty"))
        for variable, factors in penalties:
            p = builder.parameters[variable]
            builder.emit("loss", "penalty", (p,), (plan.penalties[0],), attributes=factors)
        for a, regularizer in active:
            slopes.setdefault(a, []).append(activity(builder, regularizer, a, plan.penalties[0]))
    lower_metrics(builder, terms)
    if optimizer is not None and deltas:
        tangents = tangents_of(builder, graph, regularizers)
        lower_backward(builder, ops, deltas, slopes, tangents)
        for variable, factors in penalties:
            p = builder.parameters[variable]
            if p in builder.gradients:
                builder.emit("backward", "penalty_grad", (p,), (builder.gradients[p],), attributes=factors)
        lower_update(builder, optimizer)
    return plan

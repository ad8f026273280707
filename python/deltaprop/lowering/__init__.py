"""From a graph of layers to a plan: a file for each span."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph, Tensor
from ..objective import Term
from ..optimizers import Optimizer
from ..plan import Plan
from .backward import lower_backward
from .builder import Builder
from .forward import lower_layer
from .loss import lower_loss, lower_metrics, penalties_of
from .update import lower_update

__all__ = ["lower"]


def lower(graph: Graph, terms: Sequence[Term] = (), optimizer: Optimizer | None = None) -> Plan:
    """Return the plan of a graph of built layers, unfused.

    Parameters
    ----------
    graph : Graph
    terms : sequence of Term
        What is made of each output. Without any the plan can only predict.
    optimizer : Optimizer, optional
        Without one there is no backward and no update span.
    """
    builder = Builder()
    plan = builder.plan
    buffers: dict[Tensor, int] = {}
    for i, tensor in enumerate(graph.inputs):
        name = f"x{i + 1}" if len(graph.inputs) > 1 else "x"
        buffers[tensor] = plan.buffer("input", tensor.row_shape, name)
        plan.inputs.append(buffers[tensor])
    for tensor in graph.tensors[len(graph.inputs) :]:
        buffers[tensor] = lower_layer(builder, tensor.layer, tuple(buffers[t] for t in tensor.inputs))
    plan.outputs = [buffers[tensor] for tensor in graph.outputs]
    if not terms:
        return plan

    ops, deltas = lower_loss(builder, graph, terms, optimizer is not None)
    penalties = penalties_of(graph.layers)
    if penalties:
        total = plan.buffer("counter", (2,), "penalty")
        plan.penalties.append(total)
        for variable, l1, l2 in penalties:
            builder.emit("loss", "penalty", (builder.parameters[variable],), (total,), attributes=(l1, l2))
    lower_metrics(builder, terms)
    if optimizer is not None and deltas:
        lower_backward(builder, ops, deltas)
        for variable, l1, l2 in penalties:
            p = builder.parameters[variable]
            if p in builder.gradients:
                builder.emit("backward", "penalty_grad", (p,), (builder.gradients[p],), attributes=(l1, l2))
        lower_update(builder, optimizer)
    return plan

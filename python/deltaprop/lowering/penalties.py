"""How regularisers become operations of a plan: in the loss span their values, in the backward span their slopes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ..layers import Layer
from ..plan import ABSENT
from ..regularizers import L1L2, ModelRegularizer, SparseKL
from ..variable import Variable
from .builder import Builder

__all__ = ["Slope", "activity", "weight_penalties"]


class Slope(NamedTuple):
    """An operation that gives the gradient of a penalty by an activation."""

    kind: str
    inputs: tuple[int, ...]
    attributes: tuple[float, ...]


def weight_penalties(
    layers: Iterable[Layer], regularizers: Iterable[ModelRegularizer]
) -> list[tuple[Variable, tuple[float, float]]]:
    """Return the penalised variables with l1 and l2: by their layers, then by groups."""
    layers = list(layers)
    pairs = [pair for layer in layers for pair in layer.penalties()]
    for regularizer in regularizers:
        pairs += regularizer.penalties([v for layer in layers for v in layer.variables])
    return [(v, (r.l1, r.l2)) for v, r in pairs if r.l1 or r.l2]


def activity(builder: Builder, regularizer: L1L2 | SparseKL, a: int, counter: int) -> Slope:
    """Add the penalty on the rows of a buffer to a counter, and return its gradient."""
    plan = builder.plan
    if isinstance(regularizer, SparseKL):
        shape = (math.prod(plan.buffers[a].shape),)
        total, slope = (plan.buffer("unit", shape, builder.name(stem)) for stem in ("t", "k"))
        attributes: tuple[float, ...] = (regularizer.rho, regularizer.beta)
        builder.emit("loss", "column_sum", (a,), (total,))
        builder.emit("loss", "sparse_kl", (total,), (slope, counter), attributes=attributes)
        return Slope("sparse_kl_grad", (slope,), ())
    value = plan.buffer("row", (), builder.name("l"))
    attributes = (regularizer.l1, regularizer.l2)
    builder.emit("loss", "activity", (a,), (value,), attributes=attributes)
    builder.emit("loss", "reduce", (value, ABSENT), (counter,), attributes=(0.0,))
    return Slope("activity_grad", (a,), attributes)

"""Losses and metrics without a model: what a model with these outputs would report, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from . import _core, runtime
from .data import array_of, finite_rows, fold_weights, targets_of
from .fuse import fuse
from .graph import Graph
from .layers import Input
from .losses import Loss
from .lowering import lower
from .metrics import Metric
from .objective import Term
from .plan import Plan

__all__ = ["mean_of_loss", "sums_of_metric"]

Array = npt.NDArray[Any]


def mean_of_loss(loss: Loss, y_true: Any, y_pred: Any, sample_weight: Any) -> float:
    """Return the mean over rows; see `Loss.__call__`."""
    y, p = array_of(y_true, "y_true"), array_of(y_pred, "y_pred")
    plan, executor = _measured(Term("y_pred", loss, 1.0, []), y, p, sample_weight)
    total, rows = executor.sums(plan.objective[0])
    return float(total / rows)


def sums_of_metric(metric: Metric, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Metric, list[float]]:
    """Return the metric that fits these rows, and its sums on them; see `Metric.update_state`."""
    y, p = array_of(y_true, "y_true"), array_of(y_pred, "y_pred")
    classes = metric.sparse is None and math.prod(y.shape[1:]) == 1 < math.prod(p.shape[1:])
    term = Term("y_pred", None, 1.0, [(metric, True)], classes=classes)
    term.names = [metric.name]
    plan, executor = _measured(term, y, p, sample_weight)
    ((resolved, counter),) = plan.metrics
    return resolved, list(executor.sums(counter))


def _measured(term: Term, y: Array, p: Array, sample_weight: Any) -> tuple[Plan, Any]:
    """Check the data as `evaluate` does, and return a plan and its executor, which has run."""
    shape = p.shape[1:] or (1,)
    rows = finite_rows(p, shape, "y_pred")
    n = len(rows)
    targets = targets_of(y, n, shape, term, "y_true")
    weights = fold_weights(targets, term, shape, sample_weight, None)
    x = Input(shape)
    plan = fuse(lower(Graph([x], [x]), [term]))
    executor = runtime.native_executor(plan, [None] * len(plan.buffers), "float64", _core.Gate())
    executor.run(_core.Data([rows], [targets], [weights]), None, n, n, 0, 1, None, 0, 0, False, 1, None)
    return plan, executor

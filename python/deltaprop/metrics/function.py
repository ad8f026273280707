"""Python functions as metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Metric


class FunctionMetric(Metric):
    """A Python function as a metric.

    Parameters
    ----------
    call : callable
        ``(y_true, y_pred) -> number``, averaged over batches, or one number per sample.
    """

    __slots__ = ("call",)
    kind = "host"

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__(getattr(call, "__name__", type(call).__name__))
        self.call = call

"""Python functions as losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Loss


class FunctionLoss(Loss):
    """A Python function as a loss: slow, but anything goes. A model with one cannot be saved whole.

    Parameters
    ----------
    call : callable
        ``(y_true, y_pred) -> (loss per sample, gradient by y_pred)``, of shapes (n_samples,) and
        (n_samples, *output_shape).
    """

    __slots__ = ("call",)
    function = "host"

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__(getattr(call, "__name__", type(call).__name__))
        self.call = call

    def __repr__(self) -> str:
        return f"FunctionLoss({self.call!r})"

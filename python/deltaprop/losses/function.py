"""Python functions as losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from .base import Loss


class FunctionLoss(Loss):
    """A Python function as a loss: slow, but anything goes. A model with one cannot be saved whole.

    Parameters
    ----------
    call : callable
        ``(y_true, y_pred) -> (loss per sample, gradient by y_pred)``, of shapes (n_samples,) and
        (n_samples, *output_shape).
    target_shape : tuple of int, optional
        Of one target, where it is not the output's: ``(1,)`` for a number or a class id per row.
    """

    __slots__ = ("call", "row_shape")
    function = "host"

    def __init__(self, call: Callable[..., Any], target_shape: tuple[int, ...] | None = None) -> None:
        super().__init__(getattr(call, "__name__", type(call).__name__))
        self.call = call
        self.row_shape = None if target_shape is None else checks.shape("target_shape", target_shape)

    def target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one target."""
        return output_shape if self.row_shape is None else self.row_shape

    def __repr__(self) -> str:
        return f"FunctionLoss({self.call!r})"

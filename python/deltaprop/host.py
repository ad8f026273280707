"""Functions of the user's inside a plan: what a host operation calls, with checks of what they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .activations import FunctionActivation

__all__ = ["Host", "activation", "activation_grad", "loss", "metric"]

Array = npt.NDArray[Any]
# (arrays to read, arrays to write, rows of the batch), as executors call it; the arrays hold during the call
# only, and so the user's function gets copies.
Host = Callable[[Sequence[Array], Sequence[Array], int], None]


def _put(to: Array, value: Any, what: str, received: Sequence[Array]) -> None:
    """Copy what the function returned to where the plan wants it."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must return real numbers, received {value!r}.")
    if array.shape == (*to.shape, 1):
        array = array[..., 0]
    if array.shape != to.shape:
        given = ", ".join(str(a.shape) for a in received)
        raise ValueError(
            f"{what} must return an array of shape {to.shape} for arguments of shape {given}; received shape "
            f"{array.shape}."
        )
    to[...] = array


def activation(function: FunctionActivation) -> Host:
    """a = value(z)."""

    def call(inputs: Sequence[Array], outputs: Sequence[Array], batch_rows: int) -> None:
        z = inputs[0].copy()
        _put(outputs[0], function.value(z), "the value of an activation", [z])

    return call


def activation_grad(function: FunctionActivation) -> Host:
    """dz = da * derivative(z)."""

    def call(inputs: Sequence[Array], outputs: Sequence[Array], batch_rows: int) -> None:
        z = inputs[1].copy()
        _put(outputs[0], function.derivative(z), "the derivative of an activation", [z])
        outputs[0][...] *= inputs[0]

    return call


def loss(function: Callable[[Array, Array], Any], factor: float) -> Host:
    """Value of each row, and d objective / d prediction where there is a second output."""

    def call(inputs: Sequence[Array], outputs: Sequence[Array], batch_rows: int) -> None:
        y_pred, y_true = inputs[0].copy(), inputs[1].copy()
        result = function(y_true, y_pred)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ValueError(
                f"a loss function must return (loss per sample, gradient by y_pred), received {type(result).__name__}."
            )
        _put(outputs[0], result[0], "a loss function, as its first result,", [y_true, y_pred])
        if len(outputs) > 1:
            _put(outputs[1], result[1], "a loss function, as its second result,", [y_true, y_pred])
            weight = inputs[2].reshape(-1, *[1] * (outputs[1].ndim - 1))
            outputs[1][...] *= weight * (factor / batch_rows)

    return call


def metric(function: Callable[[Array, Array], Any]) -> Host:
    """Value of each row; one number for all rows counts for each of them."""

    def call(inputs: Sequence[Array], outputs: Sequence[Array], batch_rows: int) -> None:
        y_pred, y_true = inputs[0].copy(), inputs[1].copy()
        value = np.asarray(function(y_true, y_pred))
        if value.ndim == 0:
            value = np.broadcast_to(value, outputs[0].shape)
        _put(outputs[0], value, "a metric function", [y_true, y_pred])

    return call

"""Losses for numbers: functions of the error ŷ - y, or of the direction of ŷ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import checks
from .base import Array, Loss, check_range

if TYPE_CHECKING:
    from ..layers import Shape

__all__ = [
    "CosineSimilarity",
    "HalfSquaredError",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Quantile",
]


class MeanSquaredError(Loss):
    """``(1/K) sum_k (y_k - ŷ_k)**2`` over the K outputs of a row.

    Its gradient is ``(2/K)(ŷ - y)`` per row.
    """

    __slots__ = ()
    function = "mse"
    default_name = "mean_squared_error"
    aliases = ("mean_squared_error", "MSE")


class MeanAbsoluteError(Loss):
    """``(1/K) sum_k |y_k - ŷ_k|`` over the K outputs of a row; the slope at zero is zero."""

    __slots__ = ()
    function = "mae"
    default_name = "mean_absolute_error"
    aliases = ("mean_absolute_error", "MAE")


class HalfSquaredError(Loss):
    """``(1/2) sum_k (y_k - ŷ_k)**2``: the notes' quadratic cost, whose gradient is ``ŷ - y``.

    On sigmoid outputs it is the classic that saturates: ``δ = (ŷ - y) σ'(a)``.
    """

    __slots__ = ()
    function = "half_squared_error"


class Huber(Loss):
    """``(1/K) sum_k h(ŷ_k - y_k)`` with ``h(e) = e**2 / 2`` up to ``|e| = delta``, then a line.

    The line is ``delta (|e| - delta / 2)``: single wild targets pull less than with squares (Huber
    1964, *Robust estimation of a location parameter*). Its gradient is ``clip(ŷ - y, ±delta) / K``.

    Parameters
    ----------
    delta : float
        Above 0.

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(3,)), dp.layers.Dense(1)])
    >>> model.compile(optimizer="adam", loss=dp.losses.Huber(delta=0.5))
    """

    __slots__ = ("delta",)
    function = "huber"
    default_name = "huber_loss"
    arguments = ("delta",)

    def __init__(self, delta: float = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.delta = checks.number("delta", delta, above=0)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return delta."""
        return (self.delta,)


class LogCosh(Loss):
    """``(1/K) sum_k log cosh(ŷ_k - y_k)``: ``e**2 / 2`` for small errors, ``|e| - log 2`` for large ones.

    Its gradient is ``tanh(ŷ - y) / K``. Finite for every error that is.
    """

    __slots__ = ()
    function = "log_cosh"
    aliases = ("logcosh",)


class MeanAbsolutePercentageError(Loss):
    """``(100/K) sum_k |y_k - ŷ_k| / max(|y_k|, 1e-7)``."""

    __slots__ = ()
    function = "mape"
    default_name = "mean_absolute_percentage_error"
    aliases = ("mean_absolute_percentage_error", "MAPE")


class MeanSquaredLogarithmicError(Loss):
    """``(1/K) sum_k (log(1 + y_k) - log(1 + ŷ_k))**2``, with y and ŷ kept at least 1e-7.

    Targets must not be negative. Where an output is below 1e-7 its gradient is zero: give the output
    layer an activation that is positive, such as softplus.
    """

    __slots__ = ()
    function = "msle"
    default_name = "mean_squared_logarithmic_error"
    aliases = ("mean_squared_logarithmic_error", "MSLE")

    def check_targets(self, y: Array, what: str) -> None:
        """Raise where a target is negative."""
        check_range(y, what, self, 0, math.inf, "numbers that are not negative")


class CosineSimilarity(Loss):
    """``-sum_k y_k ŷ_k / (|y| |ŷ|)``: -1 where a row points as its target does, 1 where it points away.

    Lengths are kept at least 1e-7. The metric of the same name has the other sign, as in Keras.
    """

    __slots__ = ()
    function = "cosine_similarity"


class Quantile(Loss):
    """``(1/QK) sum_q sum_k max(τ_q e, (τ_q - 1) e)`` with ``e = y_k - ŷ_qk``: the pinball loss.

    The minimum for τ is the conditional quantile of y: a share τ of the targets lies below ŷ (Koenker
    and Bassett 1978, *Regression quantiles*). 0.5 is half the mean absolute error.

    Parameters
    ----------
    quantiles : float or sequence of float
        The τ, each inside (0, 1). For Q of them and targets of K columns the model needs Q K outputs:
        K columns for the first quantile, then K for the second, ... ``np.split(p, Q, axis=1)`` takes
        a prediction ``p`` apart. Nothing forbids that quantiles cross.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.linspace(0, 1, 200)
    >>> y = x + np.random.default_rng(0).normal(0, 0.1, 200)
    >>> model = dp.Sequential([dp.Input(shape=(1,)), dp.layers.Dense(3)], seed=0)
    >>> model.compile(optimizer=dp.optimizers.Adam(0.02), loss=dp.losses.Quantile((0.1, 0.5, 0.9)))
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> low, median, high = np.split(model.predict(x, verbose=0), 3, axis=1)
    >>> bool(np.mean(y < low[:, 0]) < 0.2 and np.mean(y < high[:, 0]) > 0.8)
    True
    """

    __slots__ = ("quantiles",)
    function = "quantile"
    aliases = ("pinball", "pinball_loss")
    arguments = ("quantiles",)

    def __init__(self, quantiles: float | Sequence[float] = 0.5, name: str | None = None) -> None:
        super().__init__(name)
        self.quantiles = checks.number_or_list("quantiles", quantiles, above=0, below=1)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the quantiles."""
        return tuple(self.quantiles) if isinstance(self.quantiles, list) else (self.quantiles,)

    def target_shape(self, output_shape: Shape) -> Shape:
        """Return (n_outputs / number of quantiles,)."""
        n, blocks = math.prod(output_shape), len(self.constants(0))
        if n % blocks:
            raise ValueError(
                f"loss {self.name!r} with {blocks} quantiles needs {blocks} outputs per target, and the model "
                f"has {n} outputs; {blocks} or {2 * blocks} would do."
            )
        return output_shape if blocks == 1 else (n // blocks,)

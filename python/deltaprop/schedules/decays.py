"""Learning rates that only fall: exponential, inverse time, polynomial, piecewise constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import checks
from .base import Array, Formula, steps

__all__ = ["ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay", "PolynomialDecay"]


class _Staircase(Formula):
    """What `ExponentialDecay` and `InverseTimeDecay` share: all but the formula."""

    __slots__ = _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float,
                 staircase: bool = False, name: str | None = None) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, least=0)
        self.decay_steps = steps("decay_steps", decay_steps, above=0)
        self.decay_rate = checks.number("decay_rate", decay_rate, least=0)
        self.staircase = bool(staircase)
        self.name = type(self).__name__ if name is None else name

    def _passed(self, t: Array) -> Array:
        """``t / T``, rounded down on a staircase."""
        passed = t / self.decay_steps
        return np.floor(passed) if self.staircase else passed


class ExponentialDecay(_Staircase):
    """``η(t) = η₀ · r^(t / T)``; with ``staircase``, ``t / T`` is rounded down.

    Source: Keras 3, ``keras.optimizers.schedules.ExponentialDecay``.

    Parameters
    ----------
    initial_learning_rate : float
        η₀, the rate at step 0.
    decay_steps : int
        T, the steps in which the rate changes by the factor ``decay_rate``.
    decay_rate : float
        r.
    staircase : bool
        Change the rate every ``decay_steps`` steps only.
    name : str

    Examples
    --------
    >>> from deltaprop.schedules import ExponentialDecay
    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.025
    """

    __slots__ = ()

    def _rates(self, t: Array) -> Array:
        return self.initial_learning_rate * np.power(self.decay_rate, self._passed(t))


class InverseTimeDecay(_Staircase):
    """``η(t) = η₀ / (1 + r · t / T)``; with ``staircase``, ``t / T`` is rounded down.

    Source: Keras 3, ``keras.optimizers.schedules.InverseTimeDecay``; the classical ``1/t`` steps
    of Robbins and Monro (1951).

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate, staircase, name
        η₀, T and r; as in `ExponentialDecay`.

    Examples
    --------
    >>> from deltaprop.schedules import InverseTimeDecay
    >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)(100)
    0.05
    """

    __slots__ = ()

    def _rates(self, t: Array) -> Array:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._passed(t))


class PolynomialDecay(Formula):
    """``η(t) = (η₀ − η₁) · (1 − min(t, T) / T)^p + η₁``.

    With ``cycle`` the rate jumps up again: T becomes ``T · max(1, ceil(t / T))``, and ``min`` is
    dropped. Source: Keras 3, ``keras.optimizers.schedules.PolynomialDecay``.

    Parameters
    ----------
    initial_learning_rate : float
        η₀, the rate at step 0.
    decay_steps : int
        T.
    end_learning_rate : float
        η₁, the rate from step T on.
    power : float
        p; 1 is a straight line.
    cycle : bool
    name : str

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.schedules import PolynomialDecay
    >>> PolynomialDecay(1.0, decay_steps=4, end_learning_rate=0.0)(np.arange(6))
    array([1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ])
    """

    __slots__ = _arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate",
                              "power", "cycle")

    def __init__(self, initial_learning_rate: float, decay_steps: int,
                 end_learning_rate: float = 0.0001, power: float = 1.0, cycle: bool = False,
                 name: str = "PolynomialDecay") -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, least=0)
        self.decay_steps = steps("decay_steps", decay_steps, above=0)
        self.end_learning_rate = checks.number("end_learning_rate", end_learning_rate, least=0)
        self.power = checks.number("power", power, least=0)
        self.cycle = bool(cycle)
        self.name = name

    def _rates(self, t: Array) -> Array:
        if self.cycle:
            p = t / (self.decay_steps * np.maximum(1.0, np.ceil(t / self.decay_steps)))
        else:
            p = np.minimum(t, self.decay_steps) / self.decay_steps
        span = self.initial_learning_rate - self.end_learning_rate
        return span * np.power(1.0 - p, self.power) + self.end_learning_rate


class PiecewiseConstantDecay(Formula):
    """``η(t) = values[i]``, where i is the number of boundaries below t.

    So ``values[0]`` holds up to and including ``t = boundaries[0]``. Source: Keras 3,
    ``keras.optimizers.schedules.PiecewiseConstantDecay``.

    Parameters
    ----------
    boundaries : sequence of int, of length n
        Strictly increasing.
    values : sequence of float, of length n + 1
    name : str

    Raises
    ------
    ValueError
        For lengths that do not match, boundaries that do not increase, or values below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.schedules import PiecewiseConstantDecay
    >>> PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])(np.array([100, 101, 201]))
    array([1. , 0.5, 0.1])
    """

    __slots__ = _arguments = ("boundaries", "values")

    def __init__(self, boundaries: Sequence[float], values: Sequence[float],
                 name: str = "PiecewiseConstant") -> None:
        given = checks.numbers("boundaries", boundaries) if np.size(boundaries) else []
        self.boundaries = [steps("boundaries", boundary) for boundary in given]
        self.values = checks.numbers("values", values, least=0)
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError("values must have one entry more than boundaries, received "
                             f"{len(self.values)} values and {len(self.boundaries)} boundaries.")
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must increase strictly, received {self.boundaries!r}.")
        self.name = name

    def _rates(self, t: Array) -> Array:
        return np.array(self.values)[np.searchsorted(self.boundaries, t, side="left")]

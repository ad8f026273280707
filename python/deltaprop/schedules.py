"""Learning rates as formulas of the optimiser's step; who steps, and when, is not decided here.

The formulas and defaults are those of ``keras.optimizers.schedules`` (Keras 3). The first step of
a training has the number 0. Rates and factors are at least 0, numbers of steps above 0; every
constructor raises ``ValueError`` for anything else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

__all__ = ["CosineDecay", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
           "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize"]

Array: TypeAlias = npt.NDArray[np.float64]


class LearningRateSchedule:
    """Base class. One of your own needs ``__call__(step)``, and ``get_config`` if it is saved.

    Examples
    --------
    >>> from deltaprop.schedules import LearningRateSchedule
    >>> class InverseRoot(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 / (step + 1) ** 0.5
    >>> InverseRoot().rates([0, 3])
    array([0.1 , 0.05])
    """

    __slots__ = ()

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")

    def rates(self, steps: npt.ArrayLike) -> Array:
        """Float64 rates of shape (n_steps,), even if ``__call__`` takes no arrays.

        Parameters
        ----------
        steps : array_like of int, of shape (n_steps,)
        """
        return np.array([float(self(int(step))) for step in np.asarray(steps)], np.float64)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as numbers, strings and lists."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config() to be saved")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LearningRateSchedule:
        """Build a schedule from what `get_config` returned."""
        return cls(**config)


class _Formula(LearningRateSchedule):
    """A schedule whose formula takes one step or an array of them, with the same bits."""

    __slots__ = ("name",)

    name: str
    _arguments: tuple[str, ...] = ()

    @overload
    def __call__(self, step: float) -> float: ...
    @overload
    def __call__(self, step: npt.NDArray[Any]) -> Array: ...
    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``.

        Parameters
        ----------
        step : int, or array_like of any shape

        Returns
        -------
        float, or ndarray of float64 of that shape
        """
        if isinstance(step, (int, float)):
            return float(self._rates(np.array([step], np.float64))[0])
        steps = np.asarray(step, np.float64)
        return self._rates(steps) if steps.ndim else self(float(steps))

    def rates(self, steps: npt.ArrayLike) -> Array:
        """The learning rates at many steps; see `LearningRateSchedule.rates`."""
        return self._rates(np.atleast_1d(np.asarray(steps, np.float64)))

    def _rates(self, t: Array) -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {key: getattr(self, key) for key in (*self._arguments, "name")}

    def __repr__(self) -> str:
        arguments = (f"{key}={getattr(self, key)!r}" for key in self._arguments)
        return f"{type(self).__name__}({', '.join(arguments)})"


class _Staircase(_Formula):
    """What `ExponentialDecay` and `InverseTimeDecay` share: all but the formula."""

    __slots__ = _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float,
                 staircase: bool = False, name: str | None = None) -> None:
        self.initial_learning_rate = _real("initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.decay_rate = _real("decay_rate", decay_rate, 0)
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


class PolynomialDecay(_Formula):
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
        self.initial_learning_rate = _real("initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.end_learning_rate = _real("end_learning_rate", end_learning_rate, 0)
        self.power = _real("power", power, 0)
        self.cycle = bool(cycle)
        self.name = name

    def _rates(self, t: Array) -> Array:
        if self.cycle:
            p = t / (self.decay_steps * np.maximum(1.0, np.ceil(t / self.decay_steps)))
        else:
            p = np.minimum(t, self.decay_steps) / self.decay_steps
        span = self.initial_learning_rate - self.end_learning_rate
        return span * np.power(1.0 - p, self.power) + self.end_learning_rate


class CosineDecay(_Formula):
    """``η(t) = w · ((1 − α) · ½(1 + cos(π · min(t − W, T) / T)) + α)``, after a linear warm-up.

    During the warm-up, ``t < W``, it is ``η₀ + (w − η₀) · t / W``. Without ``warmup_target`` there
    is none: W = 0 and w = η₀. Sources: Loshchilov and Hutter, "SGDR" (2016), arXiv:1608.03983;
    warm-up: Goyal et al. (2017), arXiv:1706.02677; as in
    ``keras.optimizers.schedules.CosineDecay`` (Keras 3).

    Parameters
    ----------
    initial_learning_rate : float
        η₀, the rate at step 0.
    decay_steps : int
        T, the steps of the decay; they follow the warm-up.
    alpha : float
        α, the final rate as a fraction of w.
    name : str
    warmup_target : float, optional
        w, the rate at the end of the warm-up.
    warmup_steps : int
        W.

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.schedules import CosineDecay
    >>> schedule = CosineDecay(0.0, decay_steps=2, warmup_target=1.0, warmup_steps=2)
    >>> schedule(np.arange(6)).round(3)
    array([0. , 0.5, 1. , 0.5, 0. , 0. ])
    """

    __slots__ = _arguments = ("initial_learning_rate", "decay_steps", "alpha", "warmup_target",
                              "warmup_steps")

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0,
                 name: str = "CosineDecay", warmup_target: float | None = None,
                 warmup_steps: int = 0) -> None:
        self.initial_learning_rate = _real("initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.alpha = _real("alpha", alpha, 0)
        self.warmup_target = warmup_target
        if warmup_target is not None:
            self.warmup_target = _real("warmup_target", warmup_target, 0)
        self.warmup_steps = _real("warmup_steps", warmup_steps, 0)
        self.name = name

    def _rates(self, t: Array) -> Array:
        if self.warmup_target is None:
            return self._decay(self.initial_learning_rate, t)
        if self.warmup_steps == 0:
            return self._decay(self.warmup_target, t)
        slope = self.warmup_target - self.initial_learning_rate
        rising = slope * (t / self.warmup_steps) + self.initial_learning_rate
        falling = self._decay(self.warmup_target, t - self.warmup_steps)
        return np.where(t < self.warmup_steps, rising, falling)

    def _decay(self, start: float, t: Array) -> Array:
        cosine = 0.5 * (1.0 + np.cos(math.pi * (np.minimum(t, self.decay_steps)
                                                / self.decay_steps)))
        return start * ((1.0 - self.alpha) * cosine + self.alpha)


class PiecewiseConstantDecay(_Formula):
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
        self.boundaries = [_real("every boundary", boundary) for boundary in boundaries]
        self.values = [_real("every value", value, 0) for value in values]
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError("values must have one entry more than boundaries; received "
                             f"{len(self.values)} values and {len(self.boundaries)} boundaries")
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must increase strictly; received {self.boundaries!r}")
        self.name = name

    def _rates(self, t: Array) -> Array:
        return np.array(self.values)[np.searchsorted(self.boundaries, t, side="left")]


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """``{"class_name": ..., "config": ...}``: a schedule as plain data, ready for JSON.

    Raises
    ------
    ValueError
        If ``schedule`` is not a `LearningRateSchedule`.

    Examples
    --------
    >>> from deltaprop.schedules import PiecewiseConstantDecay, deserialize, serialize
    >>> schedule = PiecewiseConstantDecay([100], [0.1, 0.01])
    >>> deserialize(serialize(schedule))
    PiecewiseConstantDecay(boundaries=[100], values=[0.1, 0.01])
    """
    if not isinstance(schedule, LearningRateSchedule):
        raise ValueError(f"schedule must be a LearningRateSchedule; received {schedule!r}")
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}


def deserialize(config: Mapping[str, Any],
                custom_objects: Mapping[str, type[LearningRateSchedule]] | None = None,
                ) -> LearningRateSchedule:
    """Build a schedule from what `serialize` returned.

    Parameters
    ----------
    config : dict
        ``{"class_name": ..., "config": ...}``.
    custom_objects : dict of str to class, optional
        Schedules of your own. No other class is looked for, let alone imported.

    Raises
    ------
    ValueError
        For an unknown class name, or a configuration that does not fit the class.
    """
    known: dict[str, type[LearningRateSchedule]] = {
        cls.__name__: cls for cls in (ExponentialDecay, InverseTimeDecay, PolynomialDecay,
                                      CosineDecay, PiecewiseConstantDecay)}
    known.update(custom_objects or {})
    if not isinstance(config, Mapping) or not isinstance(config.get("config"), Mapping):
        raise ValueError("config must be {'class_name': ..., 'config': {...}}; "
                         f"received {config!r}")
    name = config.get("class_name")
    if name not in known:
        raise ValueError(f"class_name must be one of {', '.join(known)}, or be given in "
                         f"custom_objects; received {name!r}")
    try:
        return known[name].from_config(config["config"])
    except TypeError as error:
        raise ValueError(f"config does not fit {name}: {error}; "
                         f"received {config['config']!r}") from None


def _real(name: str, value: Any, low: float = -math.inf) -> float:
    # A plain int or float, so that a configuration can be written as JSON.
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; received {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}; received {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


def _steps(name: str, value: Any) -> float:
    if value == 0:
        raise ValueError(f"{name} must be above 0; received {value!r}")
    return _real(name, value, 0)

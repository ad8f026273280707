"""A warm-up before any schedule, and schedules as plain data: a warm-up holds another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from .base import Array, LearningRateSchedule, steps
from .cycles import CosineDecay, CosineDecayRestarts, OneCycle
from .decays import ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay

__all__ = ["WarmUp", "deserialize", "serialize"]


class WarmUp(LearningRateSchedule):
    """``η(t) = η₀ + (s(0) − η₀) · t / W`` in the first W steps, then ``s(t − W)``.

    A linear warm-up (Goyal et al. 2017, arXiv:1706.02677) before any schedule s, or a constant rate.

    Parameters
    ----------
    schedule : LearningRateSchedule or float
        s.
    warmup_steps : int
        W.
    initial_learning_rate : float
        η₀.
    name : str

    Examples
    --------
    >>> from deltaprop.schedules import ExponentialDecay, WarmUp
    >>> WarmUp(ExponentialDecay(1.0, 2, 0.25), warmup_steps=2).rates(range(5))
    array([0.  , 0.5 , 1.  , 0.5 , 0.25])
    """

    __slots__ = ("initial_learning_rate", "name", "schedule", "warmup_steps")

    def __init__(self, schedule: LearningRateSchedule | float, warmup_steps: int,
                 initial_learning_rate: float = 0.0, name: str = "WarmUp") -> None:
        self.schedule: LearningRateSchedule | float
        if isinstance(schedule, LearningRateSchedule):
            self.schedule = schedule
        else:
            self.schedule = checks.number("schedule, where it is a number,", schedule, least=0)
        self.warmup_steps = steps("warmup_steps", warmup_steps, above=0)
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, least=0)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``, an int or an array of them."""
        rates = self.rates(np.ravel(step)).reshape(np.shape(step))
        return rates if np.ndim(step) else float(rates)

    def rates(self, steps: npt.ArrayLike) -> Array:
        """The learning rates at many steps; see `LearningRateSchedule.rates`."""
        t = np.asarray(steps, np.float64)
        after = np.maximum(t - self.warmup_steps, 0.0)
        if isinstance(self.schedule, LearningRateSchedule):
            later = self.schedule.rates(after)
            target = float(self.schedule(0))
        else:
            later, target = np.full(t.shape, self.schedule), self.schedule
        rising = self.initial_learning_rate + (target - self.initial_learning_rate) * t / self.warmup_steps
        return np.where(t < self.warmup_steps, rising, later)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; a schedule as its class name and its own arguments."""
        inner = self.schedule
        return {
            "schedule": serialize(inner) if isinstance(inner, LearningRateSchedule) else inner,
            "warmup_steps": self.warmup_steps,
            "initial_learning_rate": self.initial_learning_rate,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WarmUp:
        """Build a schedule from what `get_config` returned."""
        inner = config["schedule"]
        return cls(**{**config, "schedule": deserialize(inner) if isinstance(inner, Mapping) else inner})

    def __repr__(self) -> str:
        return (f"WarmUp(schedule={self.schedule!r}, warmup_steps={self.warmup_steps!r}, "
                f"initial_learning_rate={self.initial_learning_rate!r})")


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
        raise ValueError(f"schedule must be a LearningRateSchedule, received {schedule!r}.")
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
        cls.__name__: cls for cls in (
            CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, OneCycle,
            PiecewiseConstantDecay, PolynomialDecay, WarmUp)}
    known.update(custom_objects or {})
    if not isinstance(config, Mapping) or not isinstance(config.get("config"), Mapping):
        raise ValueError("config must be {'class_name': ..., 'config': {...}}, "
                         f"received {config!r}.")
    name = config.get("class_name")
    if name not in known:
        raise ValueError(f"class_name must be one of {', '.join(known)}, or be given in "
                         f"custom_objects, received {name!r}.")
    try:
        return known[name].from_config(config["config"])
    except TypeError as error:
        raise ValueError(f"config does not fit {name}: {error}; "
                         f"received {config['config']!r}.") from None

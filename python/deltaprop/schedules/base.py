"""What every schedule is: a learning rate as a formula of the optimiser's step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from .. import checks

__all__ = ["Array", "Formula", "LearningRateSchedule", "steps"]

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


class Formula(LearningRateSchedule):
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


def steps(what: str, value: Any, **bounds: float) -> float:
    """Return a number of steps: an int where it is one."""
    number = checks.number(what, value, **bounds)
    return int(number) if number.is_integer() else number

"""What every initialiser is, and the random numbers that they draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core, checks

__all__ = ["TRUNCATED_DEVIATION", "Initializer", "normal", "truncated_normal", "uniform"]


class Initializer:
    """Base of all initialisers.

    A subclass states `sample`. `seed` makes one initialiser independent of the model's seed.
    """

    __slots__ = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        self.seed = None if seed is None else checks.seed(seed)

    def __call__(
        self, shape: tuple[int, ...], dtype: str = "float32", *, seed: int = 0, stream: int = 0
    ) -> npt.NDArray[Any]:
        """Return the initial values.

        Parameters
        ----------
        shape : tuple of int
        dtype : {"float32", "float64"}
        seed, stream : int
            Which random numbers to use (Philox4x32-10 with that key); the initialiser's own seed
            comes first.
        """
        key = seed if self.seed is None else self.seed
        return np.asarray(self.sample(shape, key, stream)).astype(dtype)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return float64 values of that shape."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        slots = [name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ())]
        return {name: getattr(self, name) for name in slots}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items() if v is not None)
        return f"{type(self).__name__}({arguments})"


def uniform(count: int, seed: int, stream: int) -> npt.NDArray[np.float64]:
    """Uniform on (0, 1), from 32 bits each."""
    bits: npt.NDArray[np.uint32] = _core.random_bits(seed, stream, count)
    return (bits.astype(np.float64) + 0.5) / 2.0**32


def normal(count: int, seed: int, stream: int) -> npt.NDArray[np.float64]:
    """Standard normal, by Box and Muller (1958)."""
    half = (count + 1) // 2
    u = uniform(2 * half, seed, stream)
    radius, angle = np.sqrt(-2 * np.log(u[:half])), 2 * math.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


# The standard deviation of a standard normal that is cut at ±2.
TRUNCATED_DEVIATION = 0.87962566103423978


def truncated_normal(count: int, seed: int, stream: int) -> npt.NDArray[np.float64]:
    """Standard normal without what is more than 2 from zero, which is 4.6 % of it."""
    drawn = normal(count + count // 4 + 64, seed, stream)  # never too few: 19 standard deviations to spare
    return drawn[np.abs(drawn) <= 2][:count]

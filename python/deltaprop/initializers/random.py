"""Weights that are drawn one by one: uniform, Gaussian, and scaled by the layer's size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..utils import choose
from .base import TRUNCATED_DEVIATION, Initializer, normal, truncated_normal, uniform

__all__ = [
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "RandomNormal",
    "RandomUniform", "TruncatedNormal", "VarianceScaling",
]  # fmt: skip


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(n_in, n_out); a vector counts as both, as in Keras."""
    return (shape[0], shape[-1]) if shape else (1, 1)


class RandomUniform(Initializer):
    """Uniform on [minval, maxval)."""

    __slots__ = ("maxval", "minval")

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = checks.number("minval", minval)
        self.maxval = checks.number("maxval", maxval, least=self.minval)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return uniform values."""
        u = uniform(math.prod(shape), seed, stream).reshape(shape)
        return self.minval + (self.maxval - self.minval) * u


class RandomNormal(Initializer):
    """Gaussian with a given mean and standard deviation."""

    __slots__ = ("mean", "stddev")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = checks.number("mean", mean)
        self.stddev = checks.number("stddev", stddev, least=0)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return Gaussian values."""
        return self.mean + self.stddev * normal(math.prod(shape), seed, stream).reshape(shape)


class TruncatedNormal(Initializer):
    """Gaussian of which what lies more than two standard deviations from the mean is drawn again.

    What is left has 0.8796 times the standard deviation `stddev`.
    """

    __slots__ = ("mean", "stddev")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = checks.number("mean", mean)
        self.stddev = checks.number("stddev", stddev, least=0)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return truncated Gaussian values."""
        return self.mean + self.stddev * truncated_normal(math.prod(shape), seed, stream).reshape(shape)


class VarianceScaling(Initializer):
    """Variance ``scale / n``, with n the inputs of a unit, the outputs of an input, or their mean.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        A truncated one is widened by 1/0.8796, so that the variance is what it should be.
    seed : int, optional

    Examples
    --------
    >>> from deltaprop.initializers import VarianceScaling
    >>> w = VarianceScaling(3.0, "fan_in", "uniform")((300, 100))
    >>> bool(abs(w).max() <= 0.1 * 3**0.5 and abs(w.std() - 0.1) < 1e-3)
    True
    """

    __slots__ = ("distribution", "mode", "scale")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        distributions = {name: name for name in ("truncated_normal", "untruncated_normal", "uniform")}
        self.scale = checks.number("scale", scale, above=0)
        self.mode = choose("mode", mode, {name: name for name in ("fan_in", "fan_out", "fan_avg")})
        self.distribution = choose("distribution", distribution, {**distributions, "normal": "truncated_normal"})

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return values with that variance."""
        n_in, n_out = _fans(shape)
        n = {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / n)
        count = math.prod(shape)
        if self.distribution == "uniform":
            return math.sqrt(3) * deviation * (2 * uniform(count, seed, stream).reshape(shape) - 1)
        if self.distribution == "untruncated_normal":
            return deviation * normal(count, seed, stream).reshape(shape)
        return deviation / TRUNCATED_DEVIATION * truncated_normal(count, seed, stream).reshape(shape)


class _Named(VarianceScaling):
    """A `VarianceScaling` with a name."""

    __slots__ = ()
    arguments: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.arguments, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class GlorotUniform(_Named):
    """Uniform with variance 2 / (n_in + n_out) (Glorot & Bengio 2010). The default for kernels."""

    __slots__ = ()
    arguments = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated Gaussian with variance 2 / (n_in + n_out) (Glorot & Bengio 2010)."""

    __slots__ = ()
    arguments = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform with variance 2 / n_in (He et al. 2015)."""

    __slots__ = ()
    arguments = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated Gaussian with variance 2 / n_in (He et al. 2015)."""

    __slots__ = ()
    arguments = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform with variance 1 / n_in (LeCun et al. 1998)."""

    __slots__ = ()
    arguments = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated Gaussian with standard deviation 1 / sqrt(n_in) (LeCun et al. 1998)."""

    __slots__ = ()
    arguments = (1.0, "fan_in", "truncated_normal")

"""How weights start: descriptions that turn a shape and a stream of random bits into an array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .utils import choose

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "Zeros",
    "get",
]


class Initializer:
    """Base of all initialisers.

    A subclass states `sample`. `seed` makes one initialiser independent of the model's seed.
    """

    __slots__ = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

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


def _uniform(count: int, seed: int, stream: int) -> npt.NDArray[np.float64]:
    """Uniform on (0, 1), from 32 bits each."""
    bits: npt.NDArray[np.uint32] = _core.random_bits(seed, stream, count)
    return (bits.astype(np.float64) + 0.5) / 2.0**32


def _normal(count: int, seed: int, stream: int) -> npt.NDArray[np.float64]:
    """Standard normal, by Box and Muller (1958)."""
    half = (count + 1) // 2
    u = _uniform(2 * half, seed, stream)
    radius, angle = np.sqrt(-2 * np.log(u[:half])), 2 * math.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(n_in, n_out); a vector counts as both, as in Keras."""
    return (shape[0], shape[-1]) if shape else (1, 1)


class RandomUniform(Initializer):
    """Uniform on [minval, maxval)."""

    __slots__ = ("maxval", "minval")

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return uniform values."""
        u = _uniform(math.prod(shape), seed, stream).reshape(shape)
        return self.minval + (self.maxval - self.minval) * u


class RandomNormal(Initializer):
    """Gaussian with a given mean and standard deviation."""

    __slots__ = ("mean", "stddev")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return Gaussian values."""
        return self.mean + self.stddev * _normal(math.prod(shape), seed, stream).reshape(shape)


class _ScaledByFan(Initializer):
    """Variance `gain / n`, with n from the shape, as a Gaussian or a uniform distribution."""

    __slots__ = ()
    gain = 1.0
    fan = "in"
    normal = True

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        n_in, n_out = _fans(shape)
        deviation = math.sqrt(self.gain / (n_in if self.fan == "in" else (n_in + n_out) / 2))
        if self.normal:
            return deviation * _normal(math.prod(shape), seed, stream).reshape(shape)
        u = _uniform(math.prod(shape), seed, stream).reshape(shape)
        return math.sqrt(3) * deviation * (2 * u - 1)


class GlorotUniform(_ScaledByFan):
    """Uniform with variance 2 / (n_in + n_out) (Glorot & Bengio 2010). The default for kernels."""

    __slots__ = ()
    fan = "average"
    normal = False


class GlorotNormal(_ScaledByFan):
    """Gaussian with variance 2 / (n_in + n_out) (Glorot & Bengio 2010); not truncated."""

    __slots__ = ()
    fan = "average"


class HeUniform(_ScaledByFan):
    """Uniform with variance 2 / n_in (He et al. 2015)."""

    __slots__ = ()
    gain = 2.0
    normal = False


class HeNormal(_ScaledByFan):
    """Gaussian with variance 2 / n_in (He et al. 2015); not truncated."""

    __slots__ = ()
    gain = 2.0


class LecunUniform(_ScaledByFan):
    """Uniform with variance 1 / n_in (LeCun et al. 1998)."""

    __slots__ = ()
    normal = False


class LecunNormal(_ScaledByFan):
    """Gaussian with standard deviation 1 / sqrt(n_in) (LeCun et al. 1998); not truncated."""

    __slots__ = ()


class Constant(Initializer):
    """One value, or a whole array of the variable's shape: how to start from given weights."""

    __slots__ = ("value",)

    def __init__(self, value: npt.ArrayLike = 0.0) -> None:
        super().__init__()
        self.value = value

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return the value, broadcast to the shape."""
        value = np.asarray(self.value, dtype=np.float64)
        try:
            return np.broadcast_to(value, shape).copy()
        except ValueError:
            raise ValueError(
                f"the constant initial value has shape {value.shape}, which does not fit the "
                f"variable's shape {shape}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": np.asarray(self.value).tolist()}


class Zeros(Constant):
    """All zeros. The default for biases."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: none."""
        return {}


class Ones(Constant):
    """All ones."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: none."""
        return {}


INITIALIZERS: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "zeros": Zeros,
}


def get(identifier: str | Initializer | dict[str, Any]) -> Initializer:
    """Return the initialiser that a name, an instance or a saved configuration stands for."""
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, dict):
        return choose("initializer", identifier["name"], INITIALIZERS)(**identifier["config"])
    by_class = {cls.__name__: cls for cls in INITIALIZERS.values()}
    return choose("initializer", identifier, {**INITIALIZERS, **by_class})()


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return what `get` turns back into the initialiser."""
    for name, cls in INITIALIZERS.items():
        if type(initializer) is cls:
            return {"name": name, "config": initializer.get_config()}
    raise ValueError(f"an initializer of type {type(initializer).__name__} cannot be saved.")

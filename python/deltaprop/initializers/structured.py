"""Weights that hang together, or are given: constants, orthogonal matrices, units spread over the inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from .base import Initializer, normal, uniform

__all__ = ["Constant", "Identity", "NguyenWidrow", "Ones", "Orthogonal", "Zeros"]


class Constant(Initializer):
    """One value, or a whole array of the variable's shape: how to start from given weights."""

    __slots__ = ("value",)

    def __init__(self, value: npt.ArrayLike = 0.0) -> None:
        super().__init__()
        self.value = checks.array("value", value)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return the value, broadcast to the shape."""
        try:
            return np.broadcast_to(self.value, shape).copy()
        except ValueError:
            raise ValueError(
                f"the constant initial value has shape {self.value.shape}, which does not fit the "
                f"variable's shape {shape}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": self.value.tolist()}


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


def _require_matrix(initializer: Initializer, shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise ValueError(f"{type(initializer).__name__} fills matrices, received the shape {shape}.")


class Orthogonal(Initializer):
    """``gain Q``, with the orthonormal rows or columns of a Gaussian matrix's QR decomposition.

    Saxe et al. 2014. The signs of R's diagonal are made positive, as in Keras, so that Q is uniform
    among all orthogonal matrices. The last bits are those of NumPy's LAPACK.

    Parameters
    ----------
    gain : float
    seed : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.initializers import Orthogonal
    >>> w = Orthogonal()((5, 3), "float64")
    >>> bool(np.allclose(w.T @ w, np.eye(3)))
    True
    """

    __slots__ = ("gain",)

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = checks.number("gain", gain)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return a matrix with orthogonal rows or columns, whichever are fewer."""
        _require_matrix(self, shape)
        most, least = max(shape), min(shape)
        q, r = np.linalg.qr(normal(most * least, seed, stream).reshape(most, least))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return np.asarray(self.gain * (q if shape[0] == most else q.T))


class Identity(Initializer):
    """``gain`` on the diagonal, else zeros."""

    __slots__ = ("gain",)

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = checks.number("gain", gain)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return the matrix."""
        _require_matrix(self, shape)
        return self.gain * np.eye(shape[0], shape[1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain}


class NguyenWidrow(Initializer):
    """Each unit's weights have the length ``β = 0.7 n_out^(1/n_in)``, in directions drawn uniformly.

    With biases uniform on [-β, β] the units' active regions spread evenly over inputs in [-1, 1].
    For tanh units (Nguyen & Widrow 1990).

    Parameters
    ----------
    n_in : int, optional
        Inputs of the layer. Only biases need it: a kernel's shape tells.
    seed : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> layer = dp.layers.Dense(
    ...     20, "tanh", kernel_initializer="nguyen_widrow",
    ...     bias_initializer=dp.initializers.NguyenWidrow(n_in=2))
    >>> model = dp.Sequential([dp.Input(shape=(2,)), layer])
    >>> bool(np.allclose(np.linalg.norm(layer.kernel.numpy(), axis=0), 0.7 * 20**0.5))
    True
    """

    __slots__ = ("n_in",)

    def __init__(self, n_in: int | None = None, seed: int | None = None) -> None:
        super().__init__(seed)
        self.n_in = None if n_in is None else checks.whole("n_in", n_in, least=1)

    def sample(self, shape: tuple[int, ...], seed: int, stream: int) -> npt.NDArray[np.float64]:
        """Return a kernel, or biases for a vector's shape."""
        n_in = shape[0] if len(shape) > 1 else self.n_in
        if n_in is None:
            raise ValueError(
                f"NguyenWidrow needs the layer's number of inputs for biases, received the shape {shape}; "
                f"NguyenWidrow(n_in=...) would do."
            )
        length: float = 0.7 * shape[-1] ** (1 / n_in)
        w = 2 * uniform(math.prod(shape), seed, stream).reshape(shape) - 1
        if len(shape) > 1:
            w /= np.linalg.norm(w, axis=0)
        return length * w

"""A variable: one weight array of a layer or of an optimiser, kept in the kernels' own layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import runtime
from .constraints import Constraint

__all__ = ["Variable"]


class Variable:
    """An array that training changes.

    Parameters
    ----------
    shape : tuple of int
        (n_in, n_out) for a kernel, (n_out,) for a bias.
    dtype : {"float32", "float64"}
    name : str
        Such as ``dense/kernel``.
    trainable : bool
        Whether `fit` may change it.
    decays : bool
        Whether weight decay applies to it; biases do not decay.
    constraint : Constraint, optional
        What holds after each update of it.

    Examples
    --------
    >>> import deltaprop as dp
    >>> layer = dp.layers.Dense(2, kernel_initializer="ones")
    >>> model = dp.Sequential([dp.Input(shape=(3,)), layer])
    >>> layer.kernel.shape
    (3, 2)
    >>> layer.kernel.assign(layer.kernel.numpy() * 2)
    >>> layer.kernel.numpy()[0]
    array([2., 2.], dtype=float32)
    """

    __slots__ = ("_native", "_trainable", "constraint", "decays", "dtype", "name", "owner", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: str,
        name: str,
        *,
        trainable: bool = True,
        decays: bool = True,
        constraint: Constraint | None = None,
    ) -> None:
        if constraint is not None:
            constraint.operation(shape)  # raises if it does not fit
        self.constraint = constraint
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.decays = decays
        self._trainable = trainable
        self.owner: Any = None  # the layer: a frozen layer freezes its variables
        self._native = runtime.native_variable(shape, dtype)

    @property
    def trainable(self) -> bool:
        """Whether `fit` changes it: its own switch and its layer's."""
        return self._trainable and (self.owner is None or self.owner.trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)

    @property
    def learning_rate_multiplier(self) -> float:
        """Its layer's: a factor on the optimiser's learning rate."""
        return 1.0 if self.owner is None else float(self.owner.learning_rate_multiplier)

    @property
    def native(self) -> Any:
        """The C++ side, for executors."""
        return self._native

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def numpy(self) -> npt.NDArray[Any]:
        """Return a copy, in canonical (n_in, n_out) layout and C order."""
        values: npt.NDArray[Any] = self._native.numpy()
        return values

    def assign(self, value: npt.ArrayLike) -> None:
        """Replace all elements.

        Raises
        ------
        ValueError
            If the shape differs or the values are no numbers; nothing is changed then.
        """
        self._native.assign(self.checked(value))

    def checked(self, value: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the value as an array that fits, or raise as `assign` does."""
        given = np.asarray(value)
        if given.dtype.kind not in "biuf":
            raise ValueError(
                f"variable {self.name!r} takes numbers, received an array of dtype {given.dtype}."
            )
        if given.shape != self.shape:
            raise ValueError(
                f"variable {self.name!r} has shape {self.shape}, received an array of shape "
                f"{given.shape}."
            )
        return given.astype(self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Let NumPy functions take a variable."""
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.name}, shape={self.shape}, dtype={self.dtype}>"

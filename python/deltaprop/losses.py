"""What training minimises: descriptions of losses; the arithmetic is in the kernels and textbook.py."""

from __future__ import annotations

from typing import Any

from .utils import choose

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "HalfSquaredError",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
]


class Loss:
    """Base of all losses: a name, and the function of the plan that computes it.

    The objective is the mean of the loss over the rows of a batch; weighted rows are multiplied by
    their weight and still divided by the number of rows, as in Keras.
    """

    __slots__ = ("name",)
    function = ""
    aliases: tuple[str, ...] = ()
    sparse = False  # targets are class ids instead of one value per output

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.function

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Return a loss from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class MeanSquaredError(Loss):
    """``(1/K) sum_k (y_k - ŷ_k)**2`` over the K outputs of a row.

    Its gradient is ``(2/K)(ŷ - y)`` per row.
    """

    __slots__ = ()
    function = "mse"
    aliases = ("mean_squared_error", "MSE")

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "mean_squared_error")


class MeanAbsoluteError(Loss):
    """``(1/K) sum_k |y_k - ŷ_k|`` over the K outputs of a row; the slope at zero is zero."""

    __slots__ = ()
    function = "mae"
    aliases = ("mean_absolute_error", "MAE")

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "mean_absolute_error")


class HalfSquaredError(Loss):
    """``(1/2) sum_k (y_k - ŷ_k)**2``: the notes' quadratic cost, whose gradient is ``ŷ - y``.

    On sigmoid outputs it is the classic that saturates: ``δ = (ŷ - y) σ'(a)``.
    """

    __slots__ = ()
    function = "half_squared_error"


class _Crossentropy(Loss):
    __slots__ = ("from_logits",)

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = bool(from_logits)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"from_logits": self.from_logits, "name": self.name}


class BinaryCrossentropy(_Crossentropy):
    """``-(1/K) sum_k [y_k ln ŷ_k + (1 - y_k) ln(1 - ŷ_k)]`` over the K outputs of a row, as in Keras.

    On sigmoid outputs, or with ``from_logits=True`` on linear ones, it is computed from the activation
    a, finite for every finite a, and ``δ = (ŷ - y) / K``. The notes' sum over outputs is K times this:
    multiply their learning rate by K. On any other output ŷ is clipped to [1e-7, 1 - 1e-7].
    """

    __slots__ = ()
    function = "binary_crossentropy"
    aliases = ("bce", "BCE")


class CategoricalCrossentropy(_Crossentropy):
    """``-sum_k y_k ln ŷ_k`` with one-hot (or soft) targets of shape (n_samples, n_classes).

    On softmax outputs, or with ``from_logits=True`` on linear ones, it is computed from the activation
    a, finite for every finite a, and ``δ = ŷ - y``. On any other output ŷ is divided by its sum and
    clipped to [1e-7, 1 - 1e-7], as in Keras.
    """

    __slots__ = ()
    function = "categorical_crossentropy"


class SparseCategoricalCrossentropy(_Crossentropy):
    """``-ln ŷ_y`` with class ids y of shape (n_samples,); otherwise as `CategoricalCrossentropy`."""

    __slots__ = ()
    function = "sparse_categorical_crossentropy"
    sparse = True


_CLASSES = (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    HalfSquaredError,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
LOSSES: dict[str, type[Loss]] = {
    name: cls for cls in _CLASSES for name in (cls.function, *cls.aliases, cls.__name__)
}


def get(identifier: str | Loss) -> Loss:
    """Return the loss that a name or an instance stands for.

    Raises
    ------
    ValueError
        For a name that is not known; the message suggests the nearest ones.
    """
    if isinstance(identifier, Loss):
        return identifier
    return choose("loss", identifier, LOSSES)()

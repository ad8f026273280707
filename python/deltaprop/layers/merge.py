"""Layers that several tensors enter: sums, products, and what lies side by side."""

from __future__ import annotations

import math
from typing import Any

from .base import Layer, Shape, units_axis

__all__ = ["Add", "Average", "Concatenate", "Multiply", "Subtract"]


class _Merge(Layer):
    """Base of the layers that are called on a list of tensors."""

    merges = True
    at_most: int | None = None

    def compute_output_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the inputs' shape, which all of them must have."""
        self._check_number(input_shapes)
        if len(set(input_shapes)) > 1:
            raise ValueError(
                f"layer {self.label!r} ({type(self).__name__}) takes rows of one shape, received rows of shapes "
                f"{', '.join(map(str, input_shapes))}."
            )
        return input_shapes[0]

    def _check_number(self, input_shapes: tuple[Shape, ...]) -> None:
        if len(input_shapes) < 2 or (self.at_most is not None and len(input_shapes) > self.at_most):
            wanted = "two tensors" if self.at_most == 2 else "two tensors or more"
            raise ValueError(
                f"layer {self.label!r} ({type(self).__name__}) takes {wanted}, received {len(input_shapes)}."
            )

    def coefficients(self, n: int) -> tuple[float, ...]:
        """Return what each of n inputs is multiplied with before they are added."""
        raise NotImplementedError


class Add(_Merge):
    """``y = x1 + x2 + ...``: the sum of tensors of one shape, such as a skip connection's.

    Examples
    --------
    >>> import deltaprop as dp
    >>> x = dp.Input(shape=(4,))
    >>> h = dp.layers.Dense(4, activation="relu")(x)
    >>> dp.layers.Add()([x, h]).shape
    (None, 4)
    """

    base_name = "add"

    def coefficients(self, n: int) -> tuple[float, ...]:
        """Return ones."""
        return (1.0,) * n


class Subtract(_Merge):
    """``y = x1 - x2``: the difference of two tensors of one shape."""

    base_name = "subtract"
    at_most = 2

    def coefficients(self, n: int) -> tuple[float, ...]:
        """Return 1 and -1."""
        return 1.0, -1.0


class Average(_Merge):
    """``y = (x1 + x2 + ...) / n``: the mean of tensors of one shape."""

    base_name = "average"

    def coefficients(self, n: int) -> tuple[float, ...]:
        """Return 1 / n for each."""
        return (1 / n,) * n


class Multiply(_Merge):
    """``y = x1 x2 ...``, element by element, of tensors of one shape."""

    base_name = "multiply"


class Concatenate(_Merge):
    """Lays vectors side by side: (n_samples, 3) and (n_samples, 4) become (n_samples, 7).

    Parameters
    ----------
    axis : int
        Only the last one.
    **kwargs
        As in `Layer`.
    """

    base_name = "concatenate"

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = units_axis(axis)

    def compute_output_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the sum of the widths."""
        self._check_number(input_shapes)
        for shape in input_shapes:
            if len(shape) != 1:
                raise ValueError(
                    f"layer {self.label!r} (Concatenate) takes rows that are vectors, received rows of shape "
                    f"{shape}; put a Flatten layer before it."
                )
        return (sum(math.prod(shape) for shape in input_shapes),)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**super().get_config(), "axis": self.axis}

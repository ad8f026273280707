"""Constraints on weights, which hold after every update; the arithmetic is in the kernels and textbook.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import checks
from .utils import choose

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get", "max_norm", "min_max_norm", "non_neg",
    "serialize", "unit_norm",
]  # fmt: skip


class Constraint:
    """Base of all constraints: what `fit` does to a variable after each update of it, as in Keras."""

    __slots__ = ()

    def operation(self, shape: tuple[int, ...]) -> tuple[str, tuple[float, ...]]:
        """Return the plan's word and its numbers for a variable of that shape.

        Raises
        ------
        ValueError
            If the constraint does not fit the shape.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class NonNeg(Constraint):
    """``w = max(0, w)``."""

    __slots__ = ()

    def operation(self, shape: tuple[int, ...]) -> tuple[str, tuple[float, ...]]:
        """Return the plan's word."""
        return "non_neg", ()


class MinMaxNorm(Constraint):
    """``w = w (rate clip(‖w‖, min, max) + (1 - rate) ‖w‖) / (‖w‖ + 1e-7)``, each norm ‖w‖ along `axis`.

    Parameters
    ----------
    min_value, max_value : float
        Bounds of the norms; weights that are all zero stay zero.
    rate : float
        From 0 to 1: how much of the way to the bounds each update goes.
    axis : int or tuple of int
        What each norm is a sum over. 0: of a kernel (n_in, n_out) the weights into a unit, of a bias
        all of it. 1: the weights out of an input. (0, 1): the whole kernel.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.layers.Dense(8, kernel_constraint=dp.constraints.MinMaxNorm(0.5, 2.0)).kernel_constraint
    MinMaxNorm(min_value=0.5, max_value=2.0, rate=1.0, axis=0)
    """

    __slots__ = ("axis", "max_value", "min_value", "rate")

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value = checks.number("min_value", min_value, least=0)
        self.max_value = checks.number("max_value", max_value, least=0)
        self.rate = checks.number("rate", rate, least=0, most=1)
        if self.min_value > self.max_value:
            raise ValueError(f"min_value must not exceed max_value, received {min_value} and {max_value}.")
        axes = checks.axes("axis", axis)
        if not axes:
            raise ValueError("axis must name at least one axis, received none.")
        self.axis: int | tuple[int, ...] = axes if isinstance(axis, (list, tuple)) else axes[0]

    def operation(self, shape: tuple[int, ...]) -> tuple[str, tuple[float, ...]]:
        """Return the plan's word and min, max, rate and axis: 0 down the inputs, 1 across the outputs, -1 both."""
        given = (self.axis,) if isinstance(self.axis, int) else self.axis
        if not all(-len(shape) <= a < len(shape) for a in given):
            raise ValueError(
                f"a variable of shape {shape} has no axis {self.axis!r}; {self!r} takes axes from 0 to "
                f"{len(shape) - 1} here."
            )
        axes = {a % len(shape) + 2 - len(shape) for a in given}  # a bias is a row of outputs
        axis = -1 if len(axes) > 1 else axes.pop()
        return "min_max_norm", (self.min_value, self.max_value, self.rate, float(axis))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            "min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis,
        }  # fmt: skip


class MaxNorm(MinMaxNorm):
    """``w = w min(‖w‖, max_value) / (‖w‖ + 1e-7)``, each norm ‖w‖ along `axis` (Srebro et al. 2005).

    Parameters
    ----------
    max_value : float
        The largest norm.
    axis : int or tuple of int
        As in `MinMaxNorm`; 0 is the weights into a unit.
    """

    __slots__ = ()

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        super().__init__(0.0, max_value, axis=axis)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(MinMaxNorm):
    """``w = w / (‖w‖ + 1e-7)``, each norm ‖w‖ along `axis`.

    Parameters
    ----------
    axis : int or tuple of int
        As in `MinMaxNorm`; 0 is the weights into a unit.
    """

    __slots__ = ()

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        super().__init__(1.0, 1.0, axis=axis)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {"axis": self.axis}


# Keras's other spelling.
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

CONSTRAINTS: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm, "min_max_norm": MinMaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm,
    "MaxNorm": MaxNorm, "MinMaxNorm": MinMaxNorm, "NonNeg": NonNeg, "UnitNorm": UnitNorm,
}  # fmt: skip


def get(identifier: str | Constraint | dict[str, Any] | None) -> Constraint | None:
    """Return the constraint that a name, an instance or a saved configuration stands for."""
    if identifier is None or isinstance(identifier, Constraint):
        return identifier
    if isinstance(identifier, dict):
        return choose("constraint", identifier["name"], CONSTRAINTS)(**identifier["config"])
    return choose("constraint", identifier, CONSTRAINTS)()


def serialize(constraint: Constraint | None) -> dict[str, Any] | None:
    """Return what `get` turns back into the constraint."""
    if constraint is None:
        return None
    for name, cls in CONSTRAINTS.items():
        if type(constraint) is cls:
            return {"name": name, "config": constraint.get_config()}
    raise ValueError(f"a constraint of type {type(constraint).__name__} cannot be saved.")

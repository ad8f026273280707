"""Penalties on weights: descriptions with two numbers; the arithmetic is in the kernels and textbook.py."""

from __future__ import annotations

from typing import Any

from .utils import choose

__all__ = ["L1", "L1L2", "L2", "get"]


class L1L2:
    """The penalty ``l1 * sum |w| + l2 * sum w**2``, added to the loss, as in Keras (no 1/2).

    Parameters
    ----------
    l1, l2 : float
        Not negative.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.layers.Dense(8, kernel_regularizer=dp.regularizers.L1L2(l1=1e-5, l2=1e-4)).kernel_regularizer
    L1L2(l1=1e-05, l2=0.0001)
    """

    __slots__ = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        for name, value in (("l1", l1), ("l2", l2)):
            if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a finite number of at least 0, received {value!r}.")
        self.l1 = float(l1)
        self.l2 = float(l2)

    def get_config(self) -> dict[str, float]:
        """Return both factors."""
        return {"l1": self.l1, "l2": self.l2}

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1}, l2={self.l2})"


class L1(L1L2):
    """The penalty ``l1 * sum |w|``."""

    __slots__ = ()

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """The penalty ``l2 * sum w**2``; weight decay in the notes' form ``λ/2 wᵀw`` is ``l2 = λ/2``."""

    __slots__ = ()

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


def serialize(regularizer: L1L2 | None) -> dict[str, float] | None:
    """Return what `get` turns back into the regulariser."""
    return None if regularizer is None else {"l1": regularizer.l1, "l2": regularizer.l2}


def get(identifier: str | L1L2 | dict[str, Any] | None) -> L1L2 | None:
    """Return the regulariser that a name, an instance or a saved configuration stands for."""
    if identifier is None or isinstance(identifier, L1L2):
        return identifier
    if isinstance(identifier, dict):
        return L1L2(**identifier)
    if identifier in ("l1_l2", "L1L2"):
        return L1L2(0.01, 0.01)
    return choose("regularizer", identifier, {"l1": L1, "l2": L2, "L1": L1, "L2": L2})()

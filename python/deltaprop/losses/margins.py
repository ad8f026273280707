"""Losses that ask for a margin between classes, as support vector machines do."""

from __future__ import annotations

import numpy as np

from .base import Array, Loss, check_range

__all__ = ["CategoricalHinge", "Hinge", "SquaredHinge"]


class Hinge(Loss):
    """``(1/K) sum_k max(0, 1 - y_k ŷ_k)`` with targets -1 and 1; targets 0 and 1 are taken as those.

    For linear or tanh outputs. The slope at the corner is zero.
    """

    __slots__ = ()
    function = "hinge"

    def check_targets(self, y: Array, what: str) -> None:
        """Raise unless the targets are -1 and 1, or 0 and 1."""
        if not (np.isin(y, (-1, 1)).all() or np.isin(y, (0, 1)).all()):
            other = y[~np.isin(y, (-1, 1))][0]
            raise ValueError(
                f"{what} must hold -1 and 1, or 0 and 1, for loss {self.function!r}; received {other}"
                + (" beside -1." if other == 0 else ".")
            )


class SquaredHinge(Hinge):
    """``(1/K) sum_k max(0, 1 - y_k ŷ_k)**2`` with targets -1 and 1; targets 0 and 1 are taken as those."""

    __slots__ = ()
    function = "squared_hinge"


class CategoricalHinge(Loss):
    """``max(0, 1 + max_k (1 - y_k) ŷ_k - sum_k y_k ŷ_k)`` with one-hot targets.

    The output of the class must exceed every other one, and 0, by 1.
    """

    __slots__ = ()
    function = "categorical_hinge"
    one_hot = True

    def check_targets(self, y: Array, what: str) -> None:
        """Raise where a target is not from 0 to 1."""
        check_range(y, what, self, 0, 1, "one-hot rows, of 0 and 1,")

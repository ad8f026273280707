"""What training minimises: descriptions of losses; the arithmetic is in the kernels and textbook_losses.py."""

from __future__ import annotations

from typing import Any

from ..utils import choose
from .base import Loss
from .errors import (
    CosineSimilarity,
    HalfSquaredError,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Quantile,
)
from .function import FunctionLoss
from .likelihoods import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    GaussianNLL,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from .margins import CategoricalHinge, Hinge, SquaredHinge

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FunctionLoss",
    "GaussianNLL",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
]

_CLASSES = (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    GaussianNLL,
    HalfSquaredError,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    Quantile,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
LOSSES: dict[str, type[Loss]] = {
    name: cls for cls in _CLASSES for name in (cls.function, *cls.aliases, cls.__name__)
}


def get(identifier: Any) -> Loss:
    """Return the loss that a name, an instance or a function stands for.

    Raises
    ------
    ValueError
        For a name that is not known; the message suggests the nearest ones.
    """
    if isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionLoss(identifier)
    return choose("loss", identifier, LOSSES)()

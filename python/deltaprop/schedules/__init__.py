"""Learning rates as formulas of the optimiser's step; who steps, and when, is not decided here.

The formulas and defaults are those of ``keras.optimizers.schedules`` (Keras 3). The first step of
a training has the number 0. Rates and factors are at least 0, numbers of steps above 0; every
constructor raises ``ValueError`` for anything else.
"""

from __future__ import annotations

from .base import LearningRateSchedule
from .cycles import CosineDecay, CosineDecayRestarts, OneCycle
from .decays import ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay
from .warmup import WarmUp, deserialize, serialize

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule", "OneCycle",
    "PiecewiseConstantDecay", "PolynomialDecay", "WarmUp", "deserialize", "serialize",
]  # fmt: skip

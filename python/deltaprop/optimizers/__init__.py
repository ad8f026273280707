"""How weights move: optimisers and the scalars of each step; updates are in the kernels and textbook.py."""

from __future__ import annotations

from .. import schedules
from ..utils import choose
from .adaptive import Adadelta, Adagrad, RMSprop
from .base import Optimizer
from .descent import SGD, Lion, Rprop
from .moments import Adam, Adamax, AdamW, Nadam

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Optimizer", "RMSprop",
    "Rprop", "get", "schedules",
]  # fmt: skip

OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop, Rprop, SGD)
}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return the optimiser that a name (in any case) or an instance stands for."""
    if isinstance(identifier, Optimizer):
        return identifier
    name = identifier.lower() if isinstance(identifier, str) else identifier
    return choose("optimizer", name, OPTIMIZERS)()  # type: ignore[call-arg]  # all but the base have defaults

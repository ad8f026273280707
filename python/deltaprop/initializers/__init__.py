"""How weights start: descriptions that turn a shape and a stream of random bits into an array."""

from __future__ import annotations

from typing import Any

from ..utils import choose
from .base import Initializer
from .random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
from .structured import Constant, Identity, NguyenWidrow, Ones, Orthogonal, Zeros

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "Initializer", "LecunNormal",
    "LecunUniform", "NguyenWidrow", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal",
    "VarianceScaling", "Zeros", "get", "serialize",
]  # fmt: skip

INITIALIZERS: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "nguyen_widrow": NguyenWidrow,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
_ALIASES: dict[str, type[Initializer]] = {
    **{cls.__name__: cls for cls in INITIALIZERS.values()},
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "normal": RandomNormal,
    "one": Ones,
    "uniform": RandomUniform,
    "zero": Zeros,
}


def get(identifier: str | Initializer | dict[str, Any]) -> Initializer:
    """Return the initialiser that a name, an instance or a saved configuration stands for."""
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, dict):
        return choose("initializer", identifier["name"], INITIALIZERS)(**identifier["config"])
    return choose("initializer", identifier, {**INITIALIZERS, **_ALIASES})()


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return what `get` turns back into the initialiser."""
    for name, cls in INITIALIZERS.items():
        if type(initializer) is cls:
            return {"name": name, "config": initializer.get_config()}
    raise ValueError(f"an initializer of type {type(initializer).__name__} cannot be saved.")

"""Layers: what a network is made of, and the variables they get at build. No arithmetic lives here."""

from ..utils import choose
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .base import Input, InputLayer, Layer, Shape, assign_all, checked_shape
from .core import Dense, Flatten
from .noise import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from .normalization import BatchNormalization, LayerNormalization, Normalization, RMSNormalization

__all__ = [
    "ELU",
    "Activation",
    "AlphaDropout",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Normalization",
    "PReLU",
    "RMSNormalization",
    "ReLU",
    "Shape",
    "Softmax",
    "assign_all",
    "checked_shape",
    "get_layer_class",
]

_CLASSES: tuple[type[Layer], ...] = (
    Activation, AlphaDropout, BatchNormalization, Dense, Dropout, ELU, Flatten, GaussianDropout, GaussianNoise,
    InputLayer, LayerNormalization, LeakyReLU, Normalization, PReLU, ReLU, RMSNormalization, Softmax,
)  # fmt: skip


def get_layer_class(name: str) -> type[Layer]:
    """Return the layer class of a saved model; only our own are known, so loading runs no foreign code."""
    return choose("layer", name, {cls.__name__: cls for cls in _CLASSES})

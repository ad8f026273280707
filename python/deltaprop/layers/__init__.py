"""Layers: what a network is made of, and the variables they get at build. No arithmetic lives here."""

from ..utils import choose
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .base import Input, InputLayer, Layer, Shape, assign_all, checked_shape
from .core import ActivityRegularization, Dense, Flatten
from .merge import Add, Average, Concatenate, Multiply, Subtract
from .noise import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from .normalization import BatchNormalization, LayerNormalization, Normalization, RMSNormalization

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
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
    "Multiply",
    "Normalization",
    "PReLU",
    "RMSNormalization",
    "ReLU",
    "Shape",
    "Softmax",
    "Subtract",
    "assign_all",
    "checked_shape",
    "get_layer_class",
]

_CLASSES: tuple[type[Layer], ...] = (
    Activation, ActivityRegularization, Add, AlphaDropout, Average, BatchNormalization, Concatenate, Dense, Dropout,
    ELU, Flatten, GaussianDropout, GaussianNoise, InputLayer, LayerNormalization, LeakyReLU, Multiply, Normalization,
    PReLU, ReLU, RMSNormalization, Softmax, Subtract,
)  # fmt: skip


def get_layer_class(name: str) -> type[Layer]:
    """Return the layer class of a saved model; only our own are known, so loading runs no foreign code."""
    return choose("layer", name, {cls.__name__: cls for cls in _CLASSES})

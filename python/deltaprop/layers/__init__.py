"""Layers: what a network is made of, and the variables they get at build. No arithmetic lives here."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..utils import choose
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .base import Input, InputLayer, Layer, Shape, assign_all
from .core import ActivityRegularization, Dense, Flatten
from .embedding import Embedding
from .merge import Add, Average, Concatenate, Multiply, Subtract
from .noise import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from .normalization import BatchNormalization, LayerNormalization, Normalization, RMSNormalization
from .rbf import RBF
from .tied import DenseTranspose

__all__ = [
    "ELU",
    "RBF",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "DenseTranspose",
    "Dropout",
    "Embedding",
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
    "get_layer_class",
    "layers_from_config",
]

_CLASSES: tuple[type[Layer], ...] = (
    Activation, ActivityRegularization, Add, AlphaDropout, Average, BatchNormalization, Concatenate, Dense,
    DenseTranspose, Dropout, ELU, Embedding, Flatten, GaussianDropout, GaussianNoise, InputLayer, LayerNormalization,
    LeakyReLU, Multiply, Normalization, PReLU, RBF, ReLU, RMSNormalization, Softmax, Subtract,
)  # fmt: skip


def get_layer_class(name: str) -> type[Layer]:
    """Return the layer class of a saved model; only our own are known, so loading runs no foreign code."""
    return choose("layer", name, {cls.__name__: cls for cls in _CLASSES})


def layers_from_config(entries: Iterable[Mapping[str, Any]]) -> list[Layer]:
    """Return the layers of a saved model, from class and configuration of each; those that name others find them."""
    layers = [get_layer_class(entry["class"]).from_config(entry["config"]) for entry in entries]
    for layer in layers:
        layer.find_layers({other.name: other for other in layers if other.name is not None})
    return layers

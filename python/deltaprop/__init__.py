"""Feed-forward neural networks on the CPU: describe in Python, train and run in C++.

>>> import numpy as np
>>> import deltaprop as dp
>>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
>>> model = dp.Sequential([
...     dp.Input(shape=(1,)), dp.layers.Dense(16, activation="tanh"), dp.layers.Dense(1)], seed=0)
>>> model.compile(optimizer=dp.optimizers.Adam(0.02), loss="mse")
>>> history = model.fit(x, x**2, epochs=200, verbose=0)
>>> bool(model.evaluate(x, x**2, verbose=0) < 1e-3)
True
"""

from typing import TYPE_CHECKING

from . import (
    activations,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
    utils,
)
from .autoencoder import Autoencoder
from .layers import Input
from .model import Model
from .perceptron import Adaline, Perceptron
from .runtime import get_num_threads, set_num_threads, show_config
from .sequential import Sequential
from .training import TrainingDiverged
from .variable import Variable

if TYPE_CHECKING:
    from .saving import load_model

__version__ = "0.1.0"

__all__ = [
    "Adaline",
    "Autoencoder",
    "Input",
    "Model",
    "Perceptron",
    "Sequential",
    "TrainingDiverged",
    "Variable",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "get_num_threads",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "schedules",
    "set_num_threads",
    "show_config",
    "utils",
]


if not TYPE_CHECKING:

    def __getattr__(name):
        # `load_model` comes, with safetensors and hashlib, when first asked for: most programs do not load.
        if name != "load_model":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .saving import load_model

        globals()[name] = load_model
        return load_model

    def __dir__():
        return sorted({*globals(), *__all__})

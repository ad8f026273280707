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

from . import (
    activations,
    callbacks,
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
from .layers import Input
from .model import Sequential
from .runtime import get_num_threads, set_num_threads, show_config
from .training import TrainingDiverged
from .variable import Variable

__version__ = "0.1.0"

__all__ = [
    "Input",
    "Sequential",
    "TrainingDiverged",
    "Variable",
    "activations",
    "callbacks",
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


def load_model(filepath, compile=True):  # type: ignore[no-untyped-def]
    from .saving import load_model as load

    return load(filepath, compile=compile)

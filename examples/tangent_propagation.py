"""Digits that may lie a little to one side: tangent propagation teaches a network that shifts do not matter.

Simard et al. 1992: the derivative of the output along the tangent of a transformation is penalised, so that the
network is right beside its examples, too. Here the transformations are shifts of 8×8 digits, and few digits train.
"""

import numpy as np
from sklearn.datasets import load_digits

import deltaprop as dp

TRAINING = 300  # so few that the network cannot learn about shifts from the digits alone
SHIFT = 0.5  # pixels

x, y = load_digits(return_X_y=True)
images = x.reshape(-1, 8, 8) / 16
order = np.random.default_rng(0).permutation(len(x))
images, y = images[order], y[order]
train, test = slice(TRAINING), slice(TRAINING, None)


def tangents(rows: np.ndarray) -> np.ndarray:
    """What a small shift to the right, and one down, change: of shape (n_samples, 2, 64)."""
    pixels = rows.reshape(-1, 8, 8)
    return np.stack([-np.gradient(pixels, axis=axis).reshape(-1, 64) for axis in (2, 1)], axis=1)


def shifted(axis: int, pixels: float) -> np.ndarray:
    """The test digits a part of a pixel further: a mixture of two whole shifts."""
    step = np.roll(np.pad(images[test], 1), int(np.sign(pixels)), axis)[1:-1, 1:-1, 1:-1]
    return (1 - abs(pixels)) * images[test] + abs(pixels) * step


def network(weight: float) -> dp.Sequential:
    """Train a network with that much tangent propagation."""
    model = dp.Sequential([
        dp.Input(shape=(64,)),
        dp.layers.Dense(64, activation="tanh"),
        dp.layers.Dense(10, activation="softmax"),
    ], seed=1)  # fmt: skip
    penalties = [dp.regularizers.TangentPropagation(tangents, weight, n_tangents=2)] if weight else None
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], regularizers=penalties)
    model.fit(images[train].reshape(-1, 64), y[train], epochs=200, verbose=0)
    return model


moved = [images[test], *(shifted(axis, pixels) for axis in (1, 2) for pixels in (SHIFT, -SHIFT))]
print(f"{'':24}  as they are   shifted by {SHIFT} pixels")
for name, weight in (("plain", 0.0), ("tangent propagation", 2.0)):
    model = network(weight)
    errors = [1 - model.evaluate(m.reshape(-1, 64), y[test], verbose=0)[1] for m in moved]
    print(f"{name:24}  error {errors[0]:6.1%}   error {np.mean(errors[1:]):6.1%}")

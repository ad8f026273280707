"""Losses, updates and random bits in NumPy, a small function each; textbook_activations.py has the activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LOSSES", "UPDATES", "philox"]

Array = npt.NDArray[Any]

# Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm, as in Keras.
EPSILON = 1e-7


def philox(counter: Sequence[Any], key: tuple[int, int]) -> list[Array]:
    """Philox4x32-10 (Salmon et al. 2011).

    Parameters
    ----------
    counter : four arrays of uint32, or scalars, that broadcast
    key : two uint32

    Returns
    -------
    list of four ndarray of uint32
    """
    mask = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(c, dtype=np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), p1 & mask, high0 ^ c3 ^ np.uint64(k1), p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [np.asarray(c, dtype=np.uint32) for c in (c0, c1, c2, c3)]


# ---- losses: (prediction, target, logits) -> value per row, its gradient by the prediction (or logits)


def mse(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """(1/K) sum (p - y)^2."""
    return np.mean((p - y) ** 2, axis=1), 2 * (p - y) / p.shape[1]


def mae(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """(1/K) sum |p - y|."""
    return np.mean(np.abs(p - y), axis=1), np.sign(p - y) / p.shape[1]


def half_squared_error(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """(1/2) sum (p - y)^2."""
    return 0.5 * np.sum((p - y) ** 2, axis=1), p - y


def binary_crossentropy(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """-(1/K) sum y ln p + (1 - y) ln(1 - p), p clipped."""
    q = np.clip(p, p.dtype.type(EPSILON), 1 - p.dtype.type(EPSILON))
    value = -np.mean(y * np.log(q) + (1 - y) * np.log(1 - q), axis=1)
    return value, np.where(q == p, (q - y) / (q * (1 - q)), 0) / p.shape[1]


def sigmoid_binary_crossentropy(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """The same from z, with p = sigmoid(z): max(0, z) - z y + ln(1 + exp(-|z|))."""
    assert z is not None
    value = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))), axis=1)
    return value, (p - y) / p.shape[1]


def _one_hot(y: Array, like: Array) -> Array:
    return np.asarray(np.arange(like.shape[1]) == y.reshape(-1, 1), dtype=like.dtype)


def categorical_crossentropy(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """-sum y ln q, with q = p / sum p, clipped."""
    total = p.sum(axis=1, keepdims=True)
    q = p / total
    clipped = np.clip(q, p.dtype.type(EPSILON), 1 - p.dtype.type(EPSILON))
    slope = np.where(q == clipped, -y / clipped, 0)
    return -np.sum(y * np.log(clipped), axis=1), (
        slope - np.sum(slope * q, axis=1, keepdims=True)
    ) / total


def sparse_categorical_crossentropy(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """-ln q_y."""
    return categorical_crossentropy(p, _one_hot(y, p), z)


def softmax_categorical_crossentropy(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """The same from z, with p = softmax(z): sum y (ln sum exp z - z)."""
    assert z is not None
    shifted = z - z.max(axis=1, keepdims=True)
    log_sum = np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return np.sum(y * (log_sum - shifted), axis=1), p * y.sum(axis=1, keepdims=True) - y


def softmax_sparse_categorical_crossentropy(p: Array, y: Array, z: Array | None) -> tuple[Array, Array]:
    """The same with class ids."""
    return softmax_categorical_crossentropy(p, _one_hot(y, p), z)


def binary_accuracy(p: Array, y: Array, z: Array | None) -> tuple[Array, None]:
    """The share of outputs on the right side of 0.5."""
    return np.mean((p > 0.5) == y, axis=1), None


def categorical_accuracy(p: Array, y: Array, z: Array | None) -> tuple[Array, None]:
    """1 where the largest output is the target's."""
    return p.argmax(axis=1) == y.argmax(axis=1), None


def sparse_categorical_accuracy(p: Array, y: Array, z: Array | None) -> tuple[Array, None]:
    """1 where the largest output is the class id."""
    return p.argmax(axis=1) == y.reshape(-1), None


LOSSES: dict[str, Callable[[Array, Array, Array | None], tuple[Array, Array | None]]] = {
    f.__name__: f
    for f in (
        mse, mae, half_squared_error, binary_crossentropy, categorical_crossentropy,
        sparse_categorical_crossentropy, sigmoid_binary_crossentropy, softmax_categorical_crossentropy,
        softmax_sparse_categorical_crossentropy, binary_accuracy, categorical_accuracy,
        sparse_categorical_accuracy,
    )
}  # fmt: skip


# ---- updates: (w, g, slots, rate, constants) -> new w; slots change in place; constants end with this step's own


def sgd(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """w - rate g."""
    return w - rate * g


def momentum(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """v = momentum v - rate g; w + v."""
    v = slots[0]
    v[...] = constants[0] * v - rate * g
    return w + v


def nesterov(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """v = momentum v - rate g; w + momentum v - rate g."""
    v = slots[0]
    v[...] = constants[0] * v - rate * g
    return w + constants[0] * v - rate * g


def _positive(epsilon: float, like: Array) -> Any:
    """Let the smallest normal number stand for zero, so that 0 / 0 of a unit that never learnt is 0."""
    return like.dtype.type(max(epsilon, float(np.finfo(like.dtype).tiny)))


def rmsprop(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """v = rho v + (1 - rho) g^2; the step rate g / sqrt(v + epsilon), with a momentum where it has a slot."""
    rho, inertia, epsilon = constants
    v = slots[0]
    v[...] = rho * v + (1 - rho) * g * g
    variance = v
    if len(slots) > 2:
        mean = slots[2]
        mean[...] = rho * mean + (1 - rho) * g
        variance = np.maximum(v - mean * mean, 0)  # rounding can make it negative
    step = rate * g / np.sqrt(variance + _positive(epsilon, w))
    if len(slots) > 1:
        slots[1][...] = inertia * slots[1] + step
        step = slots[1]
    return np.asarray(w - step)


def adam(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """m += (1 - b1)(g - m); v += (1 - b2)(g^2 - v); w - rate m / (sqrt(v) + epsilon)."""
    beta_1, beta_2, epsilon = constants
    m, v = slots[:2]
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g * g - v)
    if len(slots) > 2:
        slots[2][...] = np.maximum(slots[2], v)
        v = slots[2]
    return np.asarray(w - rate * m / (np.sqrt(v) + _positive(epsilon, w)))


def adagrad(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """a += g^2; w - rate g / sqrt(a + epsilon)."""
    a = slots[0]
    a += g * g
    return np.asarray(w - rate * g / np.sqrt(a + _positive(constants[0], w)))


def adadelta(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """a = rho a + (1 - rho) g^2; d = sqrt(s + epsilon) / sqrt(a + epsilon) g; s = rho s + (1 - rho) d^2; w - rate d."""
    rho, epsilon = constants
    a, s = slots
    a[...] = rho * a + (1 - rho) * g * g
    d = np.sqrt(s + _positive(epsilon, w)) / np.sqrt(a + _positive(epsilon, w)) * g
    s[...] = rho * s + (1 - rho) * d * d
    return np.asarray(w - rate * d)


def adamax(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """m += (1 - b1)(g - m); u = max(b2 u, |g|); w - rate m / (u + epsilon)."""
    beta_1, beta_2, epsilon = constants
    m, u = slots
    m += (1 - beta_1) * (g - m)
    u[...] = np.maximum(beta_2 * u, np.abs(g))
    return np.asarray(w - rate * m / (u + _positive(epsilon, w)))


def nadam(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """m and v as in adam; w - rate (m + share (g - m)) / (sqrt(v) + scale epsilon)."""
    beta_1, beta_2, epsilon, share, scale = constants
    m, v = slots
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g * g - v)
    return np.asarray(w - rate * (m + share * (g - m)) / (np.sqrt(v) + _positive(scale * epsilon, w)))


def lion(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """w - rate sign(m + (1 - b1)(g - m)); m += (1 - b2)(g - m)."""
    beta_1, beta_2 = constants
    m = slots[0]
    new = w - rate * np.sign(m + (1 - beta_1) * (g - m))
    m += (1 - beta_2) * (g - m)
    return np.asarray(new)


def rprop(w: Array, g: Array, slots: list[Array], rate: float, constants: Sequence[float]) -> Array:
    """Steps that grow where g has the sign of the step before, and shrink and are left out where it has the other."""
    minus, plus, least, most = constants
    sign, step = slots
    agreement = np.sign(g) * sign
    step[agreement < 0] = np.maximum(least, minus * step[agreement < 0])
    step[agreement > 0] = np.minimum(most, plus * step[agreement > 0])
    sign[...] = np.where(agreement < 0, 0, np.sign(g))
    return np.asarray(w - rate * sign * step)


UPDATES: dict[str, Callable[[Array, Array, list[Array], float, Sequence[float]], Array]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "rmsprop_momentum": rmsprop,
    "centered_rmsprop": rmsprop,
    "adam": adam,
    "amsgrad": adam,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "adamax": adamax,
    "nadam": nadam,
    "lion": lion,
    "rprop": rprop,
}

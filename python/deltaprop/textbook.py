"""Updates and random bits in NumPy; textbook_activations.py and textbook_losses.py have the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "UPDATES", "deviation", "min_max_norm", "normal_numbers", "normalize", "normalize_grad", "philox", "sparse_kl",
    "square_of_width",
]  # fmt: skip

Array = npt.NDArray[Any]


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


def normal_numbers(words: Sequence[Array]) -> list[Array]:
    """Four words to four standard normal numbers: Box and Muller 1958.

    sqrt(-2 ln u) cos(phi) and sin(phi): u from the upper 24 bits of the first and third word, phi from 30 bits of
    the second and fourth, whose other two bits are the signs, of which 24 count.
    """
    numbers = []
    for word, angle in (words[:2], words[2:]):
        u = ((word >> np.uint32(8)).astype(np.float64) + 1) / 2**24
        phi = ((angle << np.uint32(2)) >> np.uint32(8)).astype(np.float64) / 2**24 * (np.pi / 2)
        radius = np.sqrt(-2 * np.log(u))
        numbers.append(np.where(angle >> np.uint32(31), -1, 1) * radius * np.cos(phi))
        numbers.append(np.where((angle >> np.uint32(30)) & np.uint32(1), -1, 1) * radius * np.sin(phi))
    return numbers


# ---- normalisation


def normalize(x: Array, axis: int, epsilon: float, centred: bool = True) -> tuple[Array, Array]:
    """(x - mean) / sqrt(variance + epsilon) along an axis, and 1 / sqrt(...); the mean is 0 if not centred."""
    centre = x - x.mean(axis=axis, keepdims=True) if centred else x
    factor = 1 / np.sqrt(np.mean(centre * centre, axis=axis, keepdims=True) + x.dtype.type(epsilon))
    return centre * factor, factor


def normalize_grad(dy: Array, y: Array, factor: Array, axis: int, centred: bool = True) -> Array:
    """factor (dy - mean dy - y mean(dy y))."""
    mean = dy.mean(axis=axis, keepdims=True) if centred else 0
    return np.asarray(factor * (dy - mean - y * np.mean(dy * y, axis=axis, keepdims=True)))


def deviation(variance: Array, epsilon: float, least: float) -> Array:
    """sqrt(max(variance + epsilon, least))."""
    t = variance.dtype.type
    return np.asarray(np.sqrt(np.maximum(variance + t(epsilon), t(least))))


# ---- Gaussian units


def square_of_width(s: Array) -> Array:
    """s^2, at least the smallest normal number: a unit of no width is 1 at its centre."""
    return np.asarray(np.maximum(s * s, np.finfo(s.dtype).tiny))


# ---- regularisers and constraints


def sparse_kl(mean: Array, rho: float, beta: float) -> tuple[float, Array]:
    """beta sum rho ln(rho/q) + (1 - rho) ln((1 - rho)/(1 - q)), q the clipped mean; and its slope by the mean."""
    q = np.clip(mean.astype(np.float64), 1e-7, 1 - 1e-7)
    value = np.sum(rho * np.log(rho / q) + (1 - rho) * np.log((1 - rho) / (1 - q)))
    return beta * float(value), np.where(q == mean, beta * ((1 - rho) / (1 - q) - rho / q), 0)


def min_max_norm(w: Array, low: float, high: float, rate: float, axis: int | tuple[int, ...]) -> Array:
    """w (rate clip(n, low, high) + (1 - rate) n) / (n + 1e-7), n the norms along axis."""
    norm = np.sqrt(np.sum(w * w, axis=axis, keepdims=True))
    return np.asarray(w * (rate * np.clip(norm, low, high) + (1 - rate) * norm) / (norm + 1e-7), dtype=w.dtype)


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

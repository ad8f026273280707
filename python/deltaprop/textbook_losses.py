"""Losses and metrics in NumPy, a small function each: the kernels' measure, as in textbook.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LOSSES", "TALLIES"]

Array = npt.NDArray[Any]

# (prediction, target, logits, constants) -> value per row, its gradient by the prediction, or by the logits
LossFunction = Callable[[Array, Array, Array | None, Sequence[float]], tuple[Array, Array | None]]

# Keras's: what would be divided by zero, or has a logarithm, is kept at least this far from zero.
EPSILON = 1e-7


# ---- losses that are a sum over the outputs: (prediction, target, logits, constants) -> value, slope of each output


def mse(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """e^2."""
    return (p - y) ** 2, 2 * (p - y)


def mae(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """|e|."""
    return np.abs(p - y), np.sign(p - y)


def half_squared_error(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """e^2 / 2."""
    return 0.5 * (p - y) ** 2, p - y


def huber(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """e^2 / 2 up to delta, delta (|e| - delta / 2) beyond."""
    bent = np.minimum(np.abs(p - y), p.dtype.type(c[0]))
    return bent * (np.abs(p - y) - bent / 2), np.sign(p - y) * bent


def log_cosh(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """|e| + log((1 + exp(-2 |e|)) / 2)."""
    size = np.abs(p - y)
    return size + np.log1p(np.expm1(-2 * size) / 2), np.tanh(p - y)


def mape(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """100 |e| / max(|y|, epsilon)."""
    percent = 100 / np.maximum(np.abs(y), y.dtype.type(EPSILON))
    return np.abs(p - y) * percent, np.sign(p - y) * percent


def msle(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """(log(1 + p) - log(1 + y))^2, p and y kept at least epsilon."""
    epsilon = p.dtype.type(EPSILON)
    e = np.log1p(np.maximum(p, epsilon)) - np.log1p(np.maximum(y, epsilon))
    return e**2, np.where(p < epsilon, 0, 2 * e / (1 + np.maximum(p, epsilon)))


def poisson(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """p - y log(p + epsilon), p at least 0."""
    rate = np.maximum(p, 0)
    epsilon = p.dtype.type(EPSILON)
    return rate - y * np.log(rate + epsilon), np.where(p < 0, 0, 1 - y / (rate + epsilon))


def kl_divergence(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """y log(y / p), both clipped to [epsilon, 1]."""
    q, share = (np.clip(x, p.dtype.type(EPSILON), 1) for x in (p, y))
    return share * np.log(share / q), np.where(q == p, -share / q, 0)


def hinge(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """max(0, 1 - y p), with y from -1 and 1; 0 stands for -1."""
    side = np.where(y == 0, -1, y)
    return np.maximum(0, 1 - side * p), np.where(1 - side * p > 0, -side, 0)


def squared_hinge(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """The square of the hinge."""
    side = np.where(y == 0, -1, y)
    margin = np.maximum(0, 1 - side * p)
    return margin**2, -2 * side * margin


def binary_crossentropy(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """-y log p - (1 - y) log(1 - p), p clipped."""
    y = _smooth(y, c[0], 2)
    q = np.clip(p, p.dtype.type(EPSILON), 1 - p.dtype.type(EPSILON))
    return -(y * np.log(q) + (1 - y) * np.log(1 - q)), np.where(q == p, (q - y) / (q * (1 - q)), 0)


def sigmoid_binary_crossentropy(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """The same from z, with p = sigmoid(z): max(0, z) - z y + log(1 + exp(-|z|))."""
    y = _smooth(y, c[0], 2)
    return np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))), p - y


def binary_focal_crossentropy(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, Array]:
    """w m^gamma times the binary cross-entropy, m the probability of the other answer."""
    share = np.clip(p, 0, 1)  # an output need not be a probability
    return _focal(binary_crossentropy(p, y, z, c), share, y, c, (share == p).astype(p.dtype))


def sigmoid_binary_focal_crossentropy(
    p: Array, y: Array, z: Array, c: Sequence[float]
) -> tuple[Array, Array]:
    """The same from z."""
    return _focal(sigmoid_binary_crossentropy(p, y, z, c), p, y, c, p * (1 - p))


def binary_accuracy(p: Array, y: Array, z: Array, c: Sequence[float]) -> tuple[Array, None]:
    """1 on the right side of the threshold."""
    return ((p > p.dtype.type(c[0])) == y).astype(p.dtype), None


def _smooth(y: Array, smoothing: float, n: int) -> Array:
    """Targets of which a share is spread over all n outcomes."""
    return np.asarray(y * y.dtype.type(1 - smoothing) + y.dtype.type(smoothing / n))


def _power(base: Array, exponent: float) -> Array:
    return np.asarray(np.maximum(base, base.dtype.type(EPSILON)) ** base.dtype.type(exponent))


def _focal(
    plain: tuple[Array, Array], p: Array, y: Array, c: Sequence[float], chain: Array
) -> tuple[Array, Array]:
    """The focal form of a cross-entropy; chain is d p / d what its slope is by."""
    y = _smooth(y, c[0], 2)
    gamma, yes, no = (p.dtype.type(x) for x in c[1:])
    miss = np.maximum(y * (1 - p) + (1 - y) * p, p.dtype.type(EPSILON))
    factor = (y * yes + (1 - y) * no) * _power(miss, c[1])
    return factor * plain[0], factor * (gamma * (1 - 2 * y) * chain / miss * plain[0] + plain[1])


def _over_outputs(function: Callable[..., tuple[Array, Array | None]], mean: bool) -> LossFunction:
    """Sum a function of one output over the outputs of a row, or average it."""

    def loss(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array | None]:
        value, slope = function(p, y, z, c)
        share = p.shape[1] if mean else 1
        return np.sum(value, axis=1) / share, None if slope is None else slope / share

    return loss


# ---- losses of whole rows


def quantile(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array]:
    """Mean of max(q e, (q - 1) e), e = y - p; p has a block of columns for each q."""
    e = np.tile(y.reshape(len(p), -1), (1, len(c))) - p
    q = np.repeat(np.asarray(c, dtype=p.dtype), p.shape[1] // len(c))
    slope = np.where(e > 0, -q, np.where(e < 0, 1 - q, 0))
    return np.mean(np.maximum(q * e, (q - 1) * e), axis=1), slope / p.shape[1]


def gaussian_nll(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array]:
    """Mean of (log v + (m - y)^2 / v) / 2, p being the means m and then the variances v."""
    m, v = np.split(p, 2, axis=1)
    e, v = m - y.reshape(m.shape), np.maximum(v, p.dtype.type(c[0]))
    value = 0.5 * (np.log(v) + e * (e / v)) + p.dtype.type(c[1])
    slope = np.concatenate([e / v, 0.5 * (1 / v - (e / v) ** 2)], axis=1)
    return np.mean(value, axis=1), slope / m.shape[1]


def categorical_hinge(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array]:
    """max(0, 1 + max (1 - y) p - sum y p)."""
    others = (1 - y) * p
    margin = others.max(axis=1) - np.sum(y * p, axis=1) + 1
    rival = _one_hot(others.argmax(axis=1), p)
    return np.maximum(0, margin), np.where(margin[:, np.newaxis] > 0, rival * (1 - y) - y, 0)


def cosine_similarity(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array]:
    """-sum y p / (|y| |p|), lengths kept at least epsilon."""

    def direction(x: Array) -> tuple[Array, Array]:
        largest = np.abs(x).max(axis=1, keepdims=True)
        scaled = x / np.where(largest == 0, 1, largest)
        length = largest * np.sqrt(np.sum(scaled**2, axis=1, keepdims=True))
        return x / np.maximum(length, x.dtype.type(EPSILON)), length

    (of_p, length), (of_y, _) = direction(p), direction(y)
    cosine = np.sum(of_p * of_y, axis=1, keepdims=True)
    epsilon = p.dtype.type(EPSILON)
    slope = (np.where(length < epsilon, 0, of_p * cosine) - of_y) / np.maximum(length, epsilon)
    return -cosine[:, 0], slope


def _one_hot(y: Array, like: Array) -> Array:
    return np.asarray(np.arange(like.shape[1]) == y.reshape(-1, 1), dtype=like.dtype)


# A term of a categorical cross-entropy: (p, log p, y, constants) -> value, slope by log p.


def _plain(p: Array, log_p: Array, y: Array, c: Sequence[float]) -> tuple[Array, Array]:
    return -y * log_p, -y


def _focal_term(p: Array, log_p: Array, y: Array, c: Sequence[float]) -> tuple[Array, Array]:
    alpha, gamma = np.asarray(c[2:], dtype=p.dtype), p.dtype.type(c[1])
    miss = np.maximum(1 - p, p.dtype.type(EPSILON))
    factor = alpha * _power(miss, c[1]) * y
    return -factor * log_p, factor * (gamma * p * log_p / miss - 1)


def _of_probabilities(term: Callable[..., tuple[Array, Array]], one_hot: bool) -> LossFunction:
    """Sum the terms, with q = p / sum p, clipped."""

    def loss(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array]:
        y = _smooth(y, c[0], p.shape[1]) if one_hot else _one_hot(y, p)
        total = p.sum(axis=1, keepdims=True)
        q = np.clip(p / total, p.dtype.type(EPSILON), 1 - p.dtype.type(EPSILON))
        value, slope = term(q, np.log(q), y, c)
        slope = np.where(q == p / total, slope, 0)
        return value.sum(axis=1), (slope / q - slope.sum(axis=1, keepdims=True)) / total

    return loss


def _of_logits(term: Callable[..., tuple[Array, Array]], one_hot: bool) -> LossFunction:
    """Sum the terms, with log p = z - log sum exp z."""

    def loss(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, Array]:
        assert z is not None
        y = _smooth(y, c[0], p.shape[1]) if one_hot else _one_hot(y, p)
        shifted = z - z.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        value, slope = term(p, log_p, y, c)
        return value.sum(axis=1), slope - p * slope.sum(axis=1, keepdims=True)

    return loss


def _right_class(one_hot: bool) -> LossFunction:
    """1 where the largest output is that of the class."""

    def metric(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, None]:
        return p.argmax(axis=1) == (y.argmax(axis=1) if one_hot else y.reshape(-1)), None

    return metric


def _right_among(one_hot: bool) -> LossFunction:
    """1 where fewer than k outputs are larger than that of the class."""

    def metric(p: Array, y: Array, z: Array | None, c: Sequence[float]) -> tuple[Array, None]:
        label = y.argmax(axis=1) if one_hot else y.reshape(-1).astype(np.int64)
        own = np.take_along_axis(p, label[:, np.newaxis], axis=1)
        return np.sum(p > own, axis=1) < c[0], None

    return metric


LOSSES: dict[str, LossFunction] = {
    **{
        f.__name__: _over_outputs(f, mean=f not in (half_squared_error, kl_divergence))
        for f in (
            mse, mae, half_squared_error, huber, log_cosh, mape, msle, poisson, kl_divergence, hinge,
            squared_hinge, binary_crossentropy, binary_focal_crossentropy, sigmoid_binary_crossentropy,
            sigmoid_binary_focal_crossentropy, binary_accuracy,
        )
    },
    **{f.__name__: f for f in (quantile, gaussian_nll, categorical_hinge, cosine_similarity)},
    "categorical_crossentropy": _of_probabilities(_plain, one_hot=True),
    "sparse_categorical_crossentropy": _of_probabilities(_plain, one_hot=False),
    "categorical_focal_crossentropy": _of_probabilities(_focal_term, one_hot=True),
    "softmax_categorical_crossentropy": _of_logits(_plain, one_hot=True),
    "softmax_sparse_categorical_crossentropy": _of_logits(_plain, one_hot=False),
    "softmax_categorical_focal_crossentropy": _of_logits(_focal_term, one_hot=True),
    "categorical_accuracy": _right_class(one_hot=True),
    "sparse_categorical_accuracy": _right_class(one_hot=False),
    "top_k_categorical_accuracy": _right_among(one_hot=True),
    "sparse_top_k_categorical_accuracy": _right_among(one_hot=False),
}  # fmt: skip


# ---- tallies: (prediction, target, weight, constants) -> what the rows add to the sums


def _are_ids(p: Array, y: Array) -> bool:
    return p.shape[1] > 1 and y.size == len(p)


def _yes(p: Array, y: Array) -> Array:
    """Which targets are yes, (rows, outputs); class ids are taken as one-hot rows."""
    return np.asarray(_one_hot(y, p) if _are_ids(p, y) else y.reshape(p.shape)) > 0.5


def thresholds(p: Array, y: Array, weight: Array, constants: Sequence[float]) -> Array:
    """Weight by output, by no and yes, and by the number of thresholds below the output."""
    sums = np.zeros((p.shape[1], 2, len(constants) + 1))
    above = np.searchsorted(constants, p.astype(np.float64), side="left")
    outputs = np.broadcast_to(np.arange(p.shape[1]), p.shape)
    np.add.at(sums, (outputs, _yes(p, y).astype(int), above), weight[:, np.newaxis])
    return sums


def confusion(p: Array, y: Array, weight: Array, constants: Sequence[float]) -> Array:
    """Weight by class and predicted class; a single output is class 1 above the threshold."""
    n = max(p.shape[1], 2)
    if p.shape[1] > 1:
        predicted = p.argmax(axis=1)
        truth = y.reshape(-1).astype(np.int64) if _are_ids(p, y) else y.argmax(axis=1)
    else:
        predicted = (p[:, 0].astype(np.float64) > constants[0]).astype(np.int64)
        truth = _yes(p, y)[:, 0].astype(np.int64)
    sums = np.zeros((n, n))
    np.add.at(sums, (truth, predicted), weight)
    return sums


def moments(p: Array, y: Array, weight: Array, constants: Sequence[float]) -> Array:
    """The sums of w, w y, w y^2, w (y - p)^2, by output."""
    y, p, w = y.reshape(p.shape).astype(np.float64), p.astype(np.float64), weight[:, np.newaxis]
    return np.stack([np.sum(w * v, axis=0) for v in (np.ones_like(y), y, y**2, (y - p) ** 2)], axis=1)


TALLIES: dict[str, Callable[[Array, Array, Array, Sequence[float]], Array]] = {
    f.__name__: f for f in (thresholds, confusion, moments)
}

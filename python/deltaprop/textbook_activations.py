"""The textbook's activations in NumPy: value, first and second derivative of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVATIONS", "Formulas", "log_softmax", "log_softmax_grad", "sigmoid", "softmax", "softmax_curvature",
    "softmax_grad",
]  # fmt: skip

Array = npt.NDArray[Any]

# The constants of Klambauer et al. 2017.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
GELU_RATE, GELU_CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715


class Formulas(NamedTuple):
    """An activation: value from the input z; derivatives from what the activation reads, see activations.py.

    Each takes an array and the activation's constant, which most ignore. Those of a function that
    cannot be followed by its slope are None.
    """

    value: Callable[[Array, float], Array]
    derivative: Callable[[Array, float], Array] | None
    curvature: Callable[[Array, float], Array] | None


def _zero(s: Array, alpha: float) -> Array:
    return np.zeros_like(s)


def _where(condition: Array, like: Array) -> Array:
    return np.asarray(condition, dtype=like.dtype)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow on either side."""
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z < 0, e, 1) / (1 + e))


def _erf(z: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(z)).astype(z.dtype)


def _density(z: Array) -> Array:
    """The normal distribution's."""
    return np.asarray(np.exp(-z * z / 2) / z.dtype.type(math.sqrt(2 * math.pi)))


def _cumulative(z: Array) -> Array:
    """The normal distribution's."""
    return np.asarray((1 + _erf(z / z.dtype.type(math.sqrt(2)))) / 2)


def _near(z: Array, limit: float) -> Array:
    """The part of a tail that still counts: products with it stay finite."""
    return np.asarray(np.clip(z, -limit, limit))


def _gelu_derivative(z: Array, alpha: float) -> Array:
    near = _near(z, 40)
    return np.asarray(_cumulative(z) + near * _density(near))


def _gelu_curvature(z: Array, alpha: float) -> Array:
    near = _near(z, 40)
    return np.asarray(_density(near) * (2 - near * near))


def _gelu_tanh(z: Array, alpha: float) -> Array:
    return z * sigmoid(GELU_RATE * _near(z, 30) * (1 + GELU_CUBIC * _near(z, 30) ** 2))


def _gelu_tanh_derivative(z: Array, alpha: float) -> Array:
    near = _near(z, 30)
    v, dv = GELU_RATE * (near + GELU_CUBIC * near**3), GELU_RATE * (1 + 3 * GELU_CUBIC * near**2)
    return sigmoid(v) + near * sigmoid(v) * sigmoid(-v) * dv


def _gelu_tanh_curvature(z: Array, alpha: float) -> Array:
    near = _near(z, 30)
    v, dv = GELU_RATE * (near + GELU_CUBIC * near**3), GELU_RATE * (1 + 3 * GELU_CUBIC * near**2)
    bend = (sigmoid(-v) - sigmoid(v)) * dv**2 + 6 * GELU_RATE * GELU_CUBIC * near
    return sigmoid(v) * sigmoid(-v) * (2 * dv + near * bend)


def _mish_value(z: Array) -> Array:
    """tanh(softplus(z))."""
    return np.asarray(np.tanh(np.log1p(np.exp(np.minimum(z, 40)))))


def _mish_gate(z: Array) -> tuple[Array, Array]:
    """Its first and second derivative."""
    s, t = sigmoid(z), _mish_value(z)
    return (1 - t * t) * s, (1 - t * t) * s * (1 - s - 2 * t * s)


def _negative(z: Array) -> Array:
    """min(z, 0): exponentials of it cannot overflow."""
    return np.asarray(np.minimum(z, 0))


ACTIVATIONS: dict[str, Formulas] = {
    "linear": Formulas(lambda z, _: z, lambda a, _: np.ones_like(a), _zero),
    "relu": Formulas(lambda z, _: np.maximum(z, 0), lambda a, _: _where(a > 0, a), _zero),
    "sigmoid": Formulas(
        lambda z, _: sigmoid(z), lambda a, _: a * (1 - a), lambda a, _: a * (1 - a) * (1 - 2 * a)
    ),
    "tanh": Formulas(lambda z, _: np.tanh(z), lambda a, _: 1 - a * a, lambda a, _: -2 * a * (1 - a * a)),
    "step": Formulas(lambda z, _: np.heaviside(z, z.dtype.type(0)), None, None),
    "sign": Formulas(lambda z, _: np.where(z == 0, z.dtype.type(1), np.sign(z)), None, None),
    "leaky_relu": Formulas(
        lambda z, alpha: np.where(z > 0, z, alpha * z),
        lambda a, alpha: np.where(a > 0, a.dtype.type(1), a.dtype.type(alpha)),
        _zero,
    ),
    "relu6": Formulas(
        lambda z, alpha: np.clip(z, 0, alpha), lambda a, alpha: _where((a > 0) & (a < alpha), a), _zero
    ),
    "hard_tanh": Formulas(lambda z, _: np.clip(z, -1, 1), lambda a, _: _where(np.abs(a) < 1, a), _zero),
    "hard_sigmoid": Formulas(
        lambda z, _: np.clip(z + 3, 0, 6) / 6, lambda a, _: _where((a > 0) & (a < 1), a) / 6, _zero
    ),
    "elu": Formulas(
        lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(_negative(z))),
        lambda a, alpha: np.where(a > 0, 1, a + alpha),
        lambda a, alpha: np.where(a > 0, 0, a + alpha),
    ),
    "selu": Formulas(
        lambda z, _: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(_negative(z))),
        lambda a, _: np.where(a > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA),
        lambda a, _: np.where(a > 0, 0, a + SELU_SCALE * SELU_ALPHA),
    ),
    "celu": Formulas(
        lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(_negative(z) / alpha)),
        lambda a, alpha: np.where(a > 0, 1, a / alpha + 1),
        lambda a, alpha: np.where(a > 0, 0, (a / alpha + 1) / alpha),
    ),
    "gelu": Formulas(lambda z, _: z * _cumulative(z), _gelu_derivative, _gelu_curvature),
    "gelu_tanh": Formulas(_gelu_tanh, _gelu_tanh_derivative, _gelu_tanh_curvature),
    "silu": Formulas(
        lambda z, _: z * sigmoid(z),
        lambda z, _: sigmoid(z) * (1 + z * sigmoid(-z)),
        lambda z, _: sigmoid(z) * sigmoid(-z) * (2 + z * (sigmoid(-z) - sigmoid(z))),
    ),
    "mish": Formulas(
        lambda z, _: z * _mish_value(z),
        lambda z, _: _mish_value(z) + _near(z, 40) * _mish_gate(z)[0],
        lambda z, _: 2 * _mish_gate(z)[0] + _near(z, 40) * _mish_gate(z)[1],
    ),
    "softplus": Formulas(
        lambda z, _: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
        lambda a, _: -np.expm1(-a),
        lambda a, _: -np.expm1(-a) * np.exp(-a),
    ),
    "softsign": Formulas(
        lambda z, _: z / (1 + np.abs(z)),
        lambda a, _: (1 - np.abs(a)) ** 2,
        lambda a, _: np.where(a < 0, 2, -2) * (1 - np.abs(a)) ** 3,
    ),
    "exponential": Formulas(lambda z, _: np.exp(z), lambda a, _: a, lambda a, _: a),
}


# ---- by rows: value, and the input's gradient from the output's and the output


def softmax(z: Array) -> Array:
    """exp(z - max z) / sum."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def softmax_grad(dp: Array, p: Array) -> Array:
    """p (dp - sum dp p)."""
    return np.asarray(p * (dp - np.sum(dp * p, axis=1, keepdims=True)))


def softmax_curvature(dp: Array, t: Array, p: Array) -> Array:
    """The gradient by z of dp . J(z) t: p (c - sum c p) with c = (dp - dp.p) (t - t.p)."""
    c = (dp - np.sum(dp * p, axis=1, keepdims=True)) * (t - np.sum(t * p, axis=1, keepdims=True))
    return softmax_grad(c, p)


def log_softmax(z: Array) -> Array:
    """z - max z - ln sum exp(z - max z)."""
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True)))


def log_softmax_grad(da: Array, a: Array) -> Array:
    """da - exp(a) sum da."""
    return np.asarray(da - np.exp(a) * np.sum(da, axis=1, keepdims=True))

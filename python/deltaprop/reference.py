"""The plan in NumPy: one small function per operation, any float type; kernels must agree with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .plan import ABSENT, Op, Plan

__all__ = ["ReferenceExecutor", "philox"]

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


# ---- activations: value, and derivative from what the activation reads


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow on either side."""
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z < 0, e, 1) / (1 + e))


def softmax(z: Array) -> Array:
    """exp(z - max z) / sum, by rows."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}
DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "linear": np.ones_like,
    "relu": lambda a: (a > 0).astype(a.dtype),
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
}


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


# ---- updates: (w, g, slots, rate, constants) -> new w; slots change in place


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


UPDATES: dict[str, Callable[[Array, Array, list[Array], float, Sequence[float]], Array]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "rmsprop_momentum": rmsprop,
    "centered_rmsprop": rmsprop,
    "adam": adam,
    "amsgrad": adam,
}


# ---- the executor


class Data:
    """The caller's arrays; a weight that is None means ones."""

    def __init__(self, inputs: Sequence[Array], targets: Sequence[Any], weights: Sequence[Any]) -> None:
        self.arrays = (list(inputs), list(targets), list(weights))


class ReferenceExecutor:
    """Runs a plan as `_core`'s executors do, with the same methods.

    Parameters
    ----------
    plan : Plan
    dtype : {"float32", "float64"}
    """

    def __init__(self, plan: Plan, dtype: str) -> None:
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self.ops = plan.ops
        self.values: dict[int, Array] = {}
        self.counters: dict[int, list[float]] = {}
        self.steps_done = 0
        self.reset_counters()

    # -- operations; each reads and writes self.values

    def _dense(self, op: Op) -> None:
        x, w, b = op.inputs
        z = self.values[x] @ self.values[w]
        if b != ABSENT:
            z = z + self.values[b]
        self.values[op.outputs[0]] = ACTIVATIONS[op.function](z)

    def _add_bias(self, op: Op) -> None:
        self.values[op.outputs[0]] = self.values[op.inputs[0]] + self.values[op.inputs[1]]

    def _activation(self, op: Op) -> None:
        self.values[op.outputs[0]] = ACTIVATIONS[op.function](self.values[op.inputs[0]])

    def _softmax(self, op: Op) -> None:
        self.values[op.outputs[0]] = softmax(self.values[op.inputs[0]])

    def _dropout(self, op: Op) -> None:
        x = self.values[op.inputs[0]]
        rate, stream = op.attributes
        if not self.training:
            self.values[op.outputs[0]] = x
            return
        rows, n = x.shape
        row = np.arange(self.first_row, self.first_row + rows).reshape(-1, 1)
        words = philox(
            (row, np.arange((n + 3) // 4), self.step_number & 0xFFFFFFFF, self.step_number >> 32),
            (self.seed, int(stream)),
        )
        bits = np.stack(words, axis=-1).reshape(rows, -1)[:, :n]
        mask = bits < int((1 - rate) * 2**32)
        self.values[op.outputs[1]] = mask.astype(np.uint8)
        self.values[op.outputs[0]] = mask * x * x.dtype.type(1 / (1 - rate))

    def _loss(self, op: Op) -> None:
        prediction, target, weight, logits = op.inputs
        z = None if logits == ABSENT else self.values[logits]
        value, slope = LOSSES[op.function](self.values[prediction], self.values[target], z)
        self.values[op.outputs[0]] = value.astype(self.dtype)
        if len(op.outputs) > 1:
            assert slope is not None
            scale = self.values[weight].reshape(-1, 1) / self.dtype.type(self.batch_rows)
            self.values[op.outputs[1]] = (slope * scale).astype(self.dtype)

    def _reduce(self, op: Op) -> None:
        value = self.values[op.inputs[0]].astype(np.float64)
        weight = np.ones_like(value)
        if op.inputs[1] != ABSENT:
            weight = self.values[op.inputs[1]].astype(np.float64)
        counter = self.counters[op.outputs[0]]
        counter[0] += float(np.sum(weight * value))
        counter[1] += float(np.sum(weight)) if op.attributes[0] else len(value)

    def _penalty(self, op: Op) -> None:
        if self.first_row == 0:
            l1, l2 = op.attributes
            w = self.values[op.inputs[0]].astype(np.float64)
            total = l1 * np.sum(np.abs(w)) + l2 * np.sum(w * w)
            self.counters[op.outputs[0]][0] += float(total) * self.batch_rows

    def _activation_grad(self, op: Op) -> None:
        dy, s = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = dy * DERIVATIVES[op.function](s)

    def _softmax_grad(self, op: Op) -> None:
        dp, p = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = p * (dp - np.sum(dp * p, axis=1, keepdims=True))

    def _dropout_grad(self, op: Op) -> None:
        dy, mask = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = dy * mask * dy.dtype.type(1 / (1 - op.attributes[0]))

    def _put(self, op: Op, buffer: int, value: Array, *, sum_of_batch: bool) -> None:
        """Write a gradient, or add it: gradients of parameters are sums over all blocks of the batch."""
        add = op.accumulate or (sum_of_batch and self.first_row > 0)
        self.values[buffer] = self.values[buffer] + value if add else value

    def _dense_grad_w(self, op: Op) -> None:
        x, dz = (self.values[b] for b in op.inputs)
        self._put(op, op.outputs[0], x.T @ dz, sum_of_batch=True)
        if len(op.outputs) > 1:
            self._put(op, op.outputs[1], dz.sum(axis=0), sum_of_batch=True)

    def _bias_grad(self, op: Op) -> None:
        self._put(op, op.outputs[0], self.values[op.inputs[0]].sum(axis=0), sum_of_batch=True)

    def _dense_grad_x(self, op: Op) -> None:
        dz, w, s = op.inputs
        self._put(op, op.outputs[0], self.values[dz] @ self.values[w].T, sum_of_batch=False)
        if op.function != "linear":
            self.values[op.outputs[0]] = self.values[op.outputs[0]] * DERIVATIVES[op.function](self.values[s])

    def _penalty_grad(self, op: Op) -> None:
        if self.first_row > 0:
            return  # once per batch
        l1, l2 = (self.dtype.type(a) for a in op.attributes)
        w = self.values[op.inputs[0]]
        self.values[op.outputs[0]] = self.values[op.outputs[0]] + l1 * np.sign(w) + 2 * l2 * w

    def _square_sum(self, op: Op) -> None:
        self.counters[op.outputs[0]][0] = float(np.sum(self.values[op.inputs[0]].astype(np.float64) ** 2))

    def _clip_norm(self, op: Op) -> None:
        norm = math.sqrt(sum(self.counters[b][0] for b in op.inputs[1:]))
        if not norm <= op.attributes[0]:  # also where it is NaN
            factor = self.dtype.type(op.attributes[0] / norm)
            self.values[op.outputs[0]] = self.values[op.outputs[0]] * factor

    def _clip_value(self, op: Op) -> None:
        limit = self.dtype.type(op.attributes[0])
        self.values[op.outputs[0]] = np.clip(self.values[op.inputs[0]], -limit, limit)

    def _step(self, op: Op, parameter: int, gradient: int, slots: Sequence[int]) -> None:
        w, arrays = self.values[parameter], [self.values[b] for b in slots]
        w = w - self.dtype.type(self.scalars[1] * op.attributes[0]) * w
        new = UPDATES[op.function](
            w, self.values[gradient], arrays, float(self.scalars[0]), op.attributes[1:]
        )
        self.values[parameter] = new.astype(self.dtype)

    def _update(self, op: Op) -> None:
        parameter, gradient = op.inputs
        self._step(op, parameter, gradient, op.outputs[1:])

    def _dense_update(self, op: Op) -> None:
        w, g, *slots = op.outputs
        x, dz = (self.values[b] for b in op.inputs[:2])
        self._put(op, g, x.T @ dz, sum_of_batch=True)
        if self.last_block:
            self._step(op, w, g, slots)

    def _bias_update(self, op: Op) -> None:
        b, g, *slots = op.outputs
        self._put(op, g, self.values[op.inputs[0]].sum(axis=0), sum_of_batch=True)
        if self.last_block:
            self._step(op, b, g, slots)

    # -- runs

    def prepare(
        self, rows: int, first_row: int, batch_rows: int, step: int, seed: int, training: bool,
        scalars: Sequence[float],
    ) -> None:  # fmt: skip
        """Say which rows of which batch comes next."""
        self.first_row, self.batch_rows = first_row, batch_rows
        self.last_block = first_row + rows == batch_rows
        self.step_number, self.seed, self.training = step, seed, training
        self.scalars = scalars

    def step(self, first: int, last: int, threads: int = 1) -> None:
        """Run the operations [first, last) on what the buffers hold."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for op in self.ops[first:last]:
                getattr(self, f"_{op.kind}")(op)

    def read(self, buffer: int) -> Any:
        """Return a buffer's array, or a counter's two numbers."""
        return self.counters[buffer] if buffer in self.counters else self.values[buffer]

    def write(self, buffer: int, value: Any) -> None:
        """Replace a buffer's array, or a counter's two numbers."""
        if buffer in self.counters:
            self.counters[buffer] = list(value)
        elif self.plan.buffers[buffer].role == "mask":
            self.values[buffer] = np.array(value, dtype=np.uint8)
        else:
            self.values[buffer] = np.array(value, dtype=self.dtype)

    def load_variables(self) -> None:
        """Read parameters and slots."""
        for buffer, variable in self.plan.variables.items():
            self.values[buffer] = variable.numpy()

    def store_variables(self) -> None:
        """Write parameters and slots back."""
        for buffer, variable in self.plan.variables.items():
            variable.assign(self.values[buffer])

    def _gather(self, data: Data, rows: Array) -> None:
        for buffers, arrays in zip((self.plan.inputs, self.plan.targets, self.plan.weights), data.arrays):
            for buffer, array in zip(buffers, arrays):
                if array is None:
                    self.values[buffer] = np.ones(len(rows), self.dtype)
                else:
                    shape = (len(rows), -1) if self.plan.buffers[buffer].shape else (len(rows),)
                    self.values[buffer] = np.asarray(array[rows]).reshape(shape).astype(self.dtype)

    def run(
        self, data: Data, order: Array | None, samples: int, batch: int, first_step: int, last_step: int,
        scalars: Array | None, step: int, seed: int, update: bool, threads: int,
        hook: Callable[[int], bool] | None,
    ) -> tuple[str, int]:  # fmt: skip
        """Run batches of a pass over the data, as the C++ executor does; return (outcome, steps)."""
        self.load_variables()
        order = np.arange(samples) if order is None else order
        outcome, self.steps_done = "finished", 0
        _, end_of_block = self.plan.range("forward", "backward" if update else "loss")
        for s in range(first_step, last_step):
            rows = order[s * batch : (s + 1) * batch]
            row_scalars = (0.0, 0.0) if scalars is None else scalars[s]
            self.prepare(len(rows), 0, len(rows), step + s, seed, update, row_scalars)
            if hook is not None and not hook(self.steps_done):
                outcome = "stopped"
                break
            self._gather(data, rows)
            self.step(0, end_of_block)
            if update:
                if not all(math.isfinite(self.counters[b][0]) for b in self.plan.objective):
                    outcome = "diverged"
                    break
                self.step(*self.plan.range("update", "update"))
            self.steps_done += 1
        if update:
            parameters = [b for b in self.plan.variables if self.plan.buffers[b].role == "parameter"]
            if not all(np.isfinite(self.values[b]).all() for b in parameters):
                outcome = "diverged"
            self.store_variables()
        return outcome, self.steps_done

    def predict(self, inputs: Sequence[Array], threads: int = 1) -> list[Array]:
        """Return the outputs for all rows."""
        self.load_variables()
        rows = len(inputs[0])
        self.prepare(rows, 0, rows, 0, 0, False, ())
        self._gather(Data(inputs, (), ()), np.arange(rows))
        self.step(*self.plan.range("forward", "forward"))
        shapes = [(rows, *self.plan.buffers[b].shape) for b in self.plan.outputs]
        return [self.values[b].reshape(s) for b, s in zip(self.plan.outputs, shapes)]

    def flops(self, training: bool) -> float:
        """Return 0: the reference uses NumPy's threads."""
        return 0.0

    def sums(self, buffer: int) -> list[float]:
        """Return a counter's sum and divisor."""
        return self.counters[buffer]

    def reset_counters(self) -> None:
        """Set all counters to zero."""
        self.counters = {
            b: [0.0, 0.0] for b, x in enumerate(self.plan.buffers) if x.role in ("counter", "scalar")
        }

    def snapshot(self) -> None:
        """Keep a copy of parameters, slots and counters."""
        arrays = {v: v.numpy() for v in self.plan.variables.values()}
        self._saved = arrays, {b: list(c) for b, c in self.counters.items()}

    def restore(self) -> None:
        """Go back to the copy."""
        arrays, counters = self._saved
        for variable, array in arrays.items():
            variable.assign(array)
        self.counters = {b: list(c) for b, c in counters.items()}

"""The plan in NumPy, any float type: its operations on the formulas of the textbooks, with the methods of `_core`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .plan import ABSENT, Op, Plan
from .textbook import (
    UPDATES,
    deviation,
    min_max_norm,
    normal_numbers,
    normalize,
    normalize_grad,
    philox,
    sparse_kl,
    square_of_width,
)
from .textbook_activations import (
    ACTIVATIONS,
    log_softmax,
    log_softmax_grad,
    softmax,
    softmax_curvature,
    softmax_grad,
)
from .textbook_losses import LOSSES, TALLIES

__all__ = ["ReferenceExecutor"]

Array = npt.NDArray[Any]


class Data:
    """The caller's arrays; a weight that is None means ones."""

    def __init__(self, inputs: Sequence[Array], targets: Sequence[Any], weights: Sequence[Any]) -> None:
        self.arrays = (list(inputs), list(targets), list(weights))


def _are_ids(values: Array, n: int) -> Array:
    """Whether each is an integer from 0 to n - 1."""
    return np.asarray((values >= 0) & (values < n) & (values == np.floor(values)))


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
        self._affine(op, self.values[op.inputs[1]])

    def _dense_transposed(self, op: Op) -> None:
        self._affine(op, self.values[op.inputs[1]].T)

    def _affine(self, op: Op, w: Array) -> None:
        x, _, b = op.inputs
        z = self.values[x] @ w
        if b != ABSENT:
            z = z + self.values[b]
        if op.outputs[1:]:
            self.values[op.outputs[1]] = z
        self.values[op.outputs[0]] = self._activated(op, z)

    def _activated(self, op: Op, z: Array) -> Array:
        value = ACTIVATIONS[op.function].value(z, self._constant(op))
        return np.asarray(value, dtype=self.dtype)

    def _slope(self, op: Op, s: Array) -> Array:
        derivative = ACTIVATIONS[op.function].derivative
        assert derivative is not None
        return np.asarray(derivative(s, self._constant(op)), dtype=self.dtype)

    def _constant(self, op: Op) -> float:
        return op.attributes[0] if op.attributes else 0.0

    def _add_bias(self, op: Op) -> None:
        self.values[op.outputs[0]] = self.values[op.inputs[0]] + self.values[op.inputs[1]]

    def _activation(self, op: Op) -> None:
        self.values[op.outputs[0]] = self._activated(op, self.values[op.inputs[0]])

    def _softmax(self, op: Op) -> None:
        self.values[op.outputs[0]] = softmax(self.values[op.inputs[0]])

    def _prelu(self, op: Op) -> None:
        z, alpha = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = np.where(z > 0, z, alpha * z)

    def _distance(self, op: Op) -> None:
        x, c = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = np.sum((x[:, :, np.newaxis] - c) ** 2, axis=1) / 2

    def _gaussian(self, op: Op) -> None:
        d, s = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = np.exp(-d / square_of_width(s))

    def _log_softmax(self, op: Op) -> None:
        self.values[op.outputs[0]] = log_softmax(self.values[op.inputs[0]])

    def _words(self, n: int, stream: float) -> list[Array]:
        """Four random words for each four of n units."""
        row = np.arange(self.first_row, self.first_row + self.rows).reshape(-1, 1)
        return philox(
            (row, np.arange((n + 3) // 4), self.step_number & 0xFFFFFFFF, self.step_number >> 32),
            (self.seed, int(stream)),
        )

    def _drop(self, op: Op, scale: float, shift: float, dropped: float) -> None:
        x = self.values[op.inputs[0]]
        self.values[op.outputs[0]] = x
        if self.training:
            rate, stream = op.attributes[:2]
            bits = np.stack(self._words(x.shape[1], stream), axis=-1).reshape(len(x), -1)[:, : x.shape[1]]
            mask = bits < int((1 - rate) * 2**32)
            t = x.dtype.type
            self.values[op.outputs[1]] = mask.astype(np.uint8)
            self.values[op.outputs[0]] = np.where(mask, x * t(scale) + t(shift), t(dropped))

    def _dropout(self, op: Op) -> None:
        self._drop(op, 1 / (1 - op.attributes[0]), 0, 0)

    def _alpha_dropout(self, op: Op) -> None:
        self._drop(op, *op.attributes[2:])

    def _normal_numbers(self, op: Op, like: Array) -> Array:
        numbers = normal_numbers(self._words(like.shape[1], op.attributes[1]))
        normal = np.stack(numbers, axis=-1).reshape(len(like), -1)[:, : like.shape[1]].astype(like.dtype)
        return np.asarray(normal * like.dtype.type(op.attributes[0]))

    def _gaussian_noise(self, op: Op) -> None:
        x = self.values[op.inputs[0]]
        self.values[op.outputs[0]] = x + self._normal_numbers(op, x) if self.training else x

    def _gaussian_dropout(self, op: Op) -> None:
        x = self.values[op.inputs[0]]
        self.values[op.outputs[0]] = x
        if self.training:
            self.values[op.outputs[1]] = 1 + self._normal_numbers(op, x)
            self.values[op.outputs[0]] = x * self.values[op.outputs[1]]

    def _batch_norm(self, op: Op) -> None:
        x, *moving = (self.values[b] for b in op.inputs)
        momentum, epsilon = op.attributes
        if not self.training:
            self.values[op.outputs[0]] = (x - moving[0]) / deviation(moving[1], epsilon, 0)
            return
        y, factor = normalize(x, 0, epsilon)
        self.values[op.outputs[0]], self.values[op.outputs[1]] = y, factor[0]
        for buffer, before, value in zip(op.outputs[2:], moving, (x.mean(axis=0), x.var(axis=0))):
            self.values[buffer] = (momentum * before + (1 - momentum) * value).astype(self.dtype)

    def _layer_norm(self, op: Op) -> None:
        centred, epsilon = op.attributes
        y, factor = normalize(self.values[op.inputs[0]], 1, epsilon, bool(centred))
        self.values[op.outputs[0]], self.values[op.outputs[1]] = y, factor[:, 0]

    def _standardize(self, op: Op) -> None:
        x, mean, variance = (self.values[b] for b in op.inputs)
        scale = deviation(variance, *op.attributes[:2])
        self.values[op.outputs[0]] = x * scale + mean if op.attributes[2] else (x - mean) / scale

    def _scale_columns(self, op: Op) -> None:
        self.values[op.outputs[0]] = self.values[op.inputs[0]] * self.values[op.inputs[1]]

    def _combine(self, op: Op) -> None:
        terms = [self.dtype.type(c) * self.values[b] for c, b in zip(op.attributes, op.inputs)]
        self.values[op.outputs[0]] = sum(terms[1:], terms[0])

    def _multiply(self, op: Op) -> None:
        product = self.values[op.inputs[0]]
        for b in op.inputs[1:]:
            product = product * self.values[b]
        self.values[op.outputs[0]] = product

    def _concatenate(self, op: Op) -> None:
        self.values[op.outputs[0]] = np.concatenate([self.values[b] for b in op.inputs], axis=1)

    def _embedding(self, op: Op) -> None:
        ids, table = (self.values[b] for b in op.inputs)
        known = _are_ids(ids, len(table))
        vectors = table[np.where(known, ids, 0).astype(np.intp)]
        vectors[~known] = np.nan
        self.values[op.outputs[0]] = vectors.reshape(len(ids), -1)

    def _slice(self, op: Op) -> None:
        first = int(op.attributes[0])
        width = math.prod(self.plan.buffers[op.outputs[0]].shape)
        self.values[op.outputs[0]] = self.values[op.inputs[0]][:, first : first + width]

    def _host(self, op: Op) -> None:
        rows = len(self.values[op.inputs[0]])
        shapes = [self.plan.buffers[b].shape for b in (*op.inputs, *op.outputs)]
        inputs = [self.values[b].reshape(rows, *s) for b, s in zip(op.inputs, shapes)]
        outputs = [np.zeros((rows, *s), self.dtype) for s in shapes[len(op.inputs) :]]
        self.plan.hosts[int(op.attributes[0])](inputs, outputs, self.batch_rows)
        for b, value in zip(op.outputs, outputs):
            self.values[b] = value.reshape(rows, -1) if self.plan.buffers[b].shape else value

    def _loss(self, op: Op) -> None:
        prediction, target, weight, logits = op.inputs
        z = None if logits == ABSENT else self.values[logits]
        value, slope = LOSSES[op.function](self.values[prediction], self.values[target], z, op.attributes[1:])
        self.values[op.outputs[0]] = value.astype(self.dtype)
        if len(op.outputs) > 1:
            assert slope is not None
            scale = self.values[weight].reshape(-1, 1) * self.dtype.type(op.attributes[0] / self.batch_rows)
            self.values[op.outputs[1]] = (slope * scale).astype(self.dtype)

    def _reduce(self, op: Op) -> None:
        value = self.values[op.inputs[0]].astype(np.float64)
        weight = np.ones_like(value)
        if op.inputs[1] != ABSENT:
            weight = self.values[op.inputs[1]].astype(np.float64)
        counter = self.counters[op.outputs[0]]
        counter[0] += float(np.sum(weight * value))
        counter[1] += float(np.sum(weight)) if op.attributes[0] else len(value)

    def _tally(self, op: Op) -> None:
        prediction, target, weight = op.inputs
        p = self.values[prediction]
        w = np.ones(len(p)) if weight == ABSENT else self.values[weight].astype(np.float64)
        added = TALLIES[op.function](p, self.values[target], w, op.attributes)
        counter = self.counters[op.outputs[0]]
        counter[:] = [old + new for old, new in zip(counter, added.ravel().tolist())]

    def _penalty(self, op: Op) -> None:
        if self.first_row == 0:
            l1, l2 = op.attributes
            w = self.values[op.inputs[0]].astype(np.float64)
            total = l1 * np.sum(np.abs(w)) + l2 * np.sum(w * w)
            self.counters[op.outputs[0]][0] += float(total) * self.batch_rows

    def _activity(self, op: Op) -> None:
        l1, l2 = (self.dtype.type(a) for a in op.attributes)
        a = self.values[op.inputs[0]]
        self.values[op.outputs[0]] = np.sum(l1 * np.abs(a) + l2 * a * a, axis=1)

    def _column_sum(self, op: Op) -> None:
        self._put(op, op.outputs[0], self.values[op.inputs[0]].sum(axis=0), sum_of_batch=True)

    def _sparse_kl(self, op: Op) -> None:
        if not self.last_block:
            return
        slope, counter = op.outputs
        value, by_mean = sparse_kl(self.values[op.inputs[0]] / self.batch_rows, *op.attributes)
        self.values[slope] = (by_mean / self.batch_rows).astype(self.dtype)
        self.counters[counter][0] += value * self.batch_rows

    def _activation_grad(self, op: Op) -> None:
        dy, s = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = dy * self._slope(op, s)

    def _softmax_grad(self, op: Op) -> None:
        self.values[op.outputs[0]] = softmax_grad(*(self.values[b] for b in op.inputs))

    def _prelu_grad(self, op: Op) -> None:
        da, z, alpha = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = da * np.where(z > 0, self.dtype.type(1), alpha)

    def _prelu_grad_alpha(self, op: Op) -> None:
        da, z = (self.values[b] for b in op.inputs)
        sums = np.sum(np.where(z < 0, da * z, 0), axis=0)
        shared = self.plan.buffers[op.outputs[0]].shape == (1,)
        self._put(op, op.outputs[0], np.sum(sums, keepdims=True) if shared else sums, sum_of_batch=True)

    def _distance_grad_x(self, op: Op) -> None:
        dd, c, x = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = np.sum(dd[:, np.newaxis] * (x[:, :, np.newaxis] - c), axis=2)

    def _distance_grad_w(self, op: Op) -> None:
        x, dd, c = (self.values[b] for b in op.inputs)
        g = np.sum(dd[:, np.newaxis] * (c - x[:, :, np.newaxis]), axis=0)
        self._put(op, op.outputs[0], g, sum_of_batch=True)

    def _gaussian_grad(self, op: Op) -> None:
        dy, y, s = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = -dy * y / square_of_width(s)

    def _gaussian_grad_s(self, op: Op) -> None:
        dy, y, d, s = (self.values[b] for b in op.inputs)
        g = 2 * s / square_of_width(s) * np.sum(dy * y * d / square_of_width(s), axis=0)
        self._put(op, op.outputs[0], g, sum_of_batch=True)

    def _log_softmax_grad(self, op: Op) -> None:
        self.values[op.outputs[0]] = log_softmax_grad(*(self.values[b] for b in op.inputs))

    def _dropout_grad(self, op: Op) -> None:
        dy, mask = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = dy * mask * dy.dtype.type(1 / op.attributes[0])

    def _noise_grad(self, op: Op) -> None:
        self.values[op.outputs[0]] = self.values[op.inputs[0]] * self.values[op.inputs[1]]

    def _batch_norm_grad(self, op: Op) -> None:
        dy, y, factor = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = normalize_grad(dy, y, factor, 0)

    def _layer_norm_grad(self, op: Op) -> None:
        dy, y, factor = (self.values[b] for b in op.inputs)
        self.values[op.outputs[0]] = normalize_grad(dy, y, factor.reshape(-1, 1), 1, bool(op.attributes[0]))

    def _standardize_grad(self, op: Op) -> None:
        dy, scale = self.values[op.inputs[0]], deviation(self.values[op.inputs[1]], *op.attributes[:2])
        self.values[op.outputs[0]] = dy * scale if op.attributes[2] else dy / scale

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

    def _table_gradient(self, op: Op, gradient: int) -> None:
        ids, dy = (self.values[b] for b in op.inputs[:2])
        g = np.zeros(self.plan.buffers[gradient].shape, self.dtype)
        known = _are_ids(ids, len(g))
        np.add.at(g, ids[known].astype(np.intp), dy.reshape(*ids.shape, -1)[known])
        self._put(op, gradient, g, sum_of_batch=True)

    def _embedding_grad(self, op: Op) -> None:
        self._table_gradient(op, op.outputs[0])

    def _scale_grad(self, op: Op) -> None:
        x, dy = (self.values[b] for b in op.inputs)
        self._put(op, op.outputs[0], (x * dy).sum(axis=0), sum_of_batch=True)

    def _dense_grad_x(self, op: Op) -> None:
        dz, w, s = op.inputs
        self._put(op, op.outputs[0], self.values[dz] @ self.values[w].T, sum_of_batch=False)
        if op.function != "linear":
            self.values[op.outputs[0]] = self.values[op.outputs[0]] * self._slope(op, self.values[s])

    def _penalty_grad(self, op: Op) -> None:
        if self.first_row > 0:
            return  # once per batch
        l1, l2 = (self.dtype.type(a) for a in op.attributes)
        w = self.values[op.inputs[0]]
        self.values[op.outputs[0]] = self.values[op.outputs[0]] + l1 * np.sign(w) + 2 * l2 * w

    def _activity_grad(self, op: Op) -> None:
        l1, l2 = (self.dtype.type(a / self.batch_rows) for a in op.attributes)
        a = self.values[op.inputs[0]]
        self._put(op, op.outputs[0], l1 * np.sign(a) + 2 * l2 * a, sum_of_batch=False)

    def _sparse_kl_grad(self, op: Op) -> None:
        slope = self.values[op.inputs[0]]
        rows = np.broadcast_to(slope, (self.rows, slope.size))
        self._put(op, op.outputs[0], rows, sum_of_batch=False)

    def _activation_curvature(self, op: Op) -> None:
        da, t, s = (self.values[b] for b in op.inputs)
        curvature = ACTIVATIONS[op.function].curvature
        assert curvature is not None
        self._put(op, op.outputs[0], da * t * curvature(s, self._constant(op)), sum_of_batch=False)

    def _softmax_curvature(self, op: Op) -> None:
        self._put(op, op.outputs[0], softmax_curvature(*(self.values[b] for b in op.inputs)), sum_of_batch=False)

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
        corrected, rate, *more = (float(s) for s in self.scalars)
        decay, factor, *constants = op.attributes
        w = w - self.dtype.type(factor * rate * decay) * w
        new = UPDATES[op.function](w, self.values[gradient], arrays, factor * corrected, (*constants, *more))
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

    def _embedding_update(self, op: Op) -> None:
        w, g = op.outputs
        self._table_gradient(op, g)
        if self.last_block:
            self._step(op, w, g, ())

    def _ema(self, op: Op) -> None:
        w, average = (self.values[b] for b in op.inputs)
        momentum, every = op.attributes
        if self.step_number == 0:
            momentum = 0.0
        average = w + self.dtype.type(momentum) * (average - w)
        self.values[op.outputs[0]] = average
        if every and (self.step_number + 1) % every == 0:
            self.values[op.outputs[1]] = average

    def _min_max_norm(self, op: Op) -> None:
        low, high, rate, axis = op.attributes
        w = np.atleast_2d(self.values[op.inputs[0]])
        new = min_max_norm(w, low, high, rate, (0, 1) if axis < 0 else int(axis))
        self.values[op.outputs[0]] = new.reshape(self.values[op.inputs[0]].shape)

    def _non_neg(self, op: Op) -> None:
        self.values[op.outputs[0]] = np.maximum(self.values[op.inputs[0]], 0)

    # -- runs

    def prepare(
        self, rows: int, first_row: int, batch_rows: int, step: int, seed: int, training: bool,
        scalars: Sequence[float],
    ) -> None:  # fmt: skip
        """Say which rows of which batch comes next."""
        self.rows, self.first_row, self.batch_rows = rows, first_row, batch_rows
        self.last_block = first_row + rows == batch_rows
        self.step_number, self.seed, self.training = step, seed, training
        self.scalars = scalars

    def step(self, first: int, last: int, threads: int = 1) -> None:
        """Run the operations [first, last) on what the buffers hold."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for op in self.ops[first:last]:
                getattr(self, f"_{op.kind}")(op)

    def read(self, buffer: int) -> Any:
        """Return a buffer's array, or a counter's numbers."""
        return self.counters[buffer] if buffer in self.counters else self.values[buffer]

    def write(self, buffer: int, value: Any) -> None:
        """Replace a buffer's array, or a counter's numbers."""
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
        """Return a counter's numbers: a sum and its divisor, or a tally's sums."""
        return self.counters[buffer]

    def reset_counters(self) -> None:
        """Set all counters to zero."""
        self.counters = {
            b: [0.0] * math.prod(x.shape)
            for b, x in enumerate(self.plan.buffers)
            if x.role in ("counter", "scalar")
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

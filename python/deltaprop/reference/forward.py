"""What each operation of the forward span computes."""

from __future__ import annotations

import math

import numpy as np

from ..plan import ABSENT, Op
from ..textbook import deviation, normal_numbers, normalize, square_of_width
from ..textbook_activations import log_softmax, softmax
from .state import Array, State, are_ids

__all__ = ["Forward"]


class Forward(State):
    """The forward span."""

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
        known = are_ids(ids, len(table))
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

"""What each operation of the update span computes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..plan import Op
from ..textbook import UPDATES, min_max_norm
from .state import State

__all__ = ["Update"]


class Update(State):
    """The update span."""

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

"""What each operation of the loss span computes."""

from __future__ import annotations

import numpy as np

from ..plan import ABSENT, Op
from ..textbook import sparse_kl
from ..textbook_losses import LOSSES, TALLIES
from .state import State

__all__ = ["Loss"]


class Loss(State):
    """The loss span."""

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

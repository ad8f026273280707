"""What each operation of the backward span computes."""

from __future__ import annotations

import numpy as np

from ..plan import Op
from ..textbook import deviation, normalize_grad, square_of_width
from ..textbook_activations import ACTIVATIONS, log_softmax_grad, softmax_curvature, softmax_grad
from .state import State

__all__ = ["Backward"]


class Backward(State):
    """The backward span."""

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
        slope = dy * y * np.minimum(d, np.finfo(self.dtype).max)  # 0 far away, where d overflows
        g = 2 * s / square_of_width(s) * np.sum(slope / square_of_width(s), axis=0)
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

    def _dense_grad_w(self, op: Op) -> None:
        x, dz = (self.values[b] for b in op.inputs)
        self._put(op, op.outputs[0], x.T @ dz, sum_of_batch=True)
        if len(op.outputs) > 1:
            self._put(op, op.outputs[1], dz.sum(axis=0), sum_of_batch=True)

    def _bias_grad(self, op: Op) -> None:
        self._put(op, op.outputs[0], self.values[op.inputs[0]].sum(axis=0), sum_of_batch=True)

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

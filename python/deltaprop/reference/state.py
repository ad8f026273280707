"""What the operations of all spans work on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..plan import Op, Plan
from ..textbook import philox
from ..textbook_activations import ACTIVATIONS

__all__ = ["Array", "State", "are_ids"]

Array = npt.NDArray[Any]


def are_ids(values: Array, n: int) -> Array:
    """Whether each is an integer from 0 to n - 1."""
    return np.asarray((values >= 0) & (values < n) & (values == np.floor(values)))


class State:
    """The buffers of a plan, and where in a batch its operations are.

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

    def prepare(
        self, rows: int, first_row: int, batch_rows: int, step: int, seed: int, training: bool,
        scalars: Sequence[float],
    ) -> None:  # fmt: skip
        """Say which rows of which batch comes next."""
        self.rows, self.first_row, self.batch_rows = rows, first_row, batch_rows
        self.last_block = first_row + rows == batch_rows
        self.step_number, self.seed, self.training = step, seed, training
        self.scalars = scalars

    def reset_counters(self) -> None:
        """Set all counters to zero."""
        self.counters = {
            b: [0.0] * math.prod(x.shape)
            for b, x in enumerate(self.plan.buffers)
            if x.role in ("counter", "scalar")
        }

    def _activated(self, op: Op, z: Array) -> Array:
        value = ACTIVATIONS[op.function].value(z, self._constant(op))
        return np.asarray(value, dtype=self.dtype)

    def _slope(self, op: Op, s: Array) -> Array:
        derivative = ACTIVATIONS[op.function].derivative
        assert derivative is not None
        return np.asarray(derivative(s, self._constant(op)), dtype=self.dtype)

    def _constant(self, op: Op) -> float:
        return op.attributes[0] if op.attributes else 0.0

    def _words(self, n: int, stream: float) -> list[Array]:
        """Four random words for each four of n units."""
        row = np.arange(self.first_row, self.first_row + self.rows).reshape(-1, 1)
        return philox(
            (row, np.arange((n + 3) // 4), self.step_number & 0xFFFFFFFF, self.step_number >> 32),
            (self.seed, int(stream)),
        )

    def _put(self, op: Op, buffer: int, value: Array, *, sum_of_batch: bool) -> None:
        """Write a gradient, or add it: gradients of parameters are sums over all blocks of the batch."""
        add = op.accumulate or (sum_of_batch and self.first_row > 0)
        self.values[buffer] = self.values[buffer] + value if add else value

    def _table_gradient(self, op: Op, gradient: int) -> None:
        ids, dy = (self.values[b] for b in op.inputs[:2])
        g = np.zeros(self.plan.buffers[gradient].shape, self.dtype)
        known = are_ids(ids, len(g))
        np.add.at(g, ids[known].astype(np.intp), dy.reshape(*ids.shape, -1)[known])
        self._put(op, gradient, g, sum_of_batch=True)

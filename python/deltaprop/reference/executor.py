"""Runs of a plan, with the methods of `_core`'s executors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .backward import Backward
from .forward import Forward
from .loss import Loss
from .state import Array
from .update import Update

__all__ = ["Data", "ReferenceExecutor"]


class Data:
    """The caller's arrays; a weight that is None means ones."""

    def __init__(self, inputs: Sequence[Array], targets: Sequence[Any], weights: Sequence[Any]) -> None:
        self.arrays = (list(inputs), list(targets), list(weights))


class ReferenceExecutor(Forward, Loss, Backward, Update):
    """Runs a plan as `_core`'s executors do, with the same methods.

    Parameters
    ----------
    plan : Plan
    dtype : {"float32", "float64"}
    """

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
                    shape = self.plan.buffers[buffer].shape
                    shape = (len(rows), math.prod(shape)) if shape else (len(rows),)
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

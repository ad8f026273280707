"""The three matrix products of a layer, each timed alone: GFLOP/s on one thread, as a share of the FMA peak."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import probe
import pytest
from workers import REST, ROUNDS

import deltaprop
from deltaprop import _core, layers, losses, optimizers, runtime
from deltaprop.lowering import lower
from deltaprop.plan import Plan

WIDTHS = (32, 64, 128, 256, 512, 1024)
KINDS = {"dense": "forward", "dense_grad_x": "input gradient", "dense_grad_w": "weight gradient"}
GATES = {"dense": 0.92, "dense_grad_x": 0.92, "dense_grad_w": 0.88}  # on the best level; AVX2: 0.88 for all
GATED_ROWS = 8  # batches of fewer rows have no gate: they are bound by memory
LEVELS = [isa for isa in _core.available_isas() if isa != "baseline"]
SECONDS = 2e-4  # that one reading lasts at least
VISIT = 4  # readings of a shape in a round: the first finds its operands in no cache


class Products:
    """A layer of n_in x n_out behind another one, so that it has an input gradient, too."""

    def __init__(self, rows: int, n_in: int, n_out: int, isa: str) -> None:
        model = deltaprop.Sequential([deltaprop.Input((16,)), layers.Dense(n_in), layers.Dense(n_out)], seed=0)
        model.compile(optimizers.SGD(), losses.MeanSquaredError())
        self.plan: Plan = lower(model.require_graph(), model.terms, model.optimizer)
        natives: list[Any] = [None] * len(self.plan.buffers)
        for buffer, variable in self.plan.variables.items():
            natives[buffer] = runtime.native_variable(variable.shape, "float32", isa)
            natives[buffer].assign(variable.numpy())
        self.executor = runtime.native_executor(self.plan, natives, "float32", _core.Gate(), isa)
        self.executor.prepare(rows, 0, rows, 0, 0, True, [0.1, 0.1])
        rng = np.random.default_rng(0)
        for buffer in (*self.plan.inputs, *self.plan.targets):
            shape = (rows, *self.plan.buffers[buffer].shape)
            self.executor.write(buffer, rng.standard_normal(shape).astype(np.float32))
        self.executor.write(self.plan.weights[0], np.ones(rows, np.float32))
        self.executor.step(*self.plan.range("forward", "backward"), 1)
        self.flops = 2.0 * rows * n_in * n_out

    def check(self) -> None:
        """Compare the second layer's product with NumPy's."""
        op = [op for op in self.plan.ops if op.kind == "dense"][1]
        x, w, z = (self.executor.read(b) for b in (*op.inputs[:2], op.outputs[0]))
        np.testing.assert_allclose(z, x @ w, rtol=1e-4, atol=1e-4)

    def seconds(self, kind: str) -> Iterator[float]:
        """Yield the seconds of one call, a reading at a time, of the second layer's operation of a kind."""
        ops = [i for i, op in enumerate(self.plan.ops) if op.kind == kind]
        number = ops[1] if kind == "dense" else ops[0]
        repeats = 1
        while True:
            begin = time.perf_counter()
            self.executor.step(number, number + 1, 1, repeats)
            took = time.perf_counter() - begin
            if took < SECONDS:
                repeats *= 2
            else:
                yield took / repeats


@pytest.mark.benchmark(group="products")
@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 8, 32, 128, 1024])
def test_product(benchmark: Any, record: Callable[..., None], rows: int, kind: str, isa: str) -> None:
    shapes = [Products(rows, n_in, n_out, isa) for n_in, n_out in product(WIDTHS, WIDTHS)]
    for shape in shapes:
        shape.check()
    clocks = [shape.seconds(kind) for shape in shapes]
    best = [math.inf] * len(shapes)

    def one_round() -> None:  # of all shapes: a neighbour is busy for seconds, and would spoil every round of some
        for i, clock in enumerate(clocks):
            best[i] = min(best[i], *(next(clock) for _ in range(VISIT)))

    time.sleep(REST)
    benchmark.pedantic(one_round, rounds=ROUNDS)
    peak = probe.peak()
    shares = [s.flops / t / 1e9 / peak if peak else 0.0 for s, t in zip(shapes, best, strict=True)]
    record(
        f"{KINDS[kind]}, {rows} rows, {isa}",
        lanes=[],
        gates={"share of peak": GATES[kind] if isa == "x86-64-v4" else 0.88} if rows >= GATED_ROWS else {},
        ping_pong_ns=[],
        share_of_peak=statistics.median(shares),
        lowest_share=min(shares),
    )

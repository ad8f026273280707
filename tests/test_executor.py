"""The C++ executor against the reference: operation by operation on the same inputs, then whole epochs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from vocabulary import L2, NETWORKS, OPTIMIZERS, Dense, Network, adam, sgd

import deltaprop as dp
from deltaprop import _core
from deltaprop.plan import ABSENT, Op, Plan
from deltaprop.reference import ReferenceExecutor

SIZES = (1, 3, 10, 17, 64, 100, 129)

# How closely an operation must agree with the reference; see TOLERANCES.
AGREEMENT = {
    "dense": "contraction", "dense_transposed": "contraction",
    "dense_grad_w": "contraction", "bias_grad": "contraction",
    "dense_grad_x": "contraction", "dense_update": "contraction", "bias_update": "contraction",
    "embedding": "exact", "embedding_grad": "contraction", "embedding_update": "contraction",
    "distance": "contraction", "distance_grad_x": "contraction", "distance_grad_w": "contraction",
    "gaussian": "elementwise", "gaussian_grad": "elementwise", "gaussian_grad_s": "contraction",
    "prelu": "exact", "prelu_grad": "exact", "prelu_grad_alpha": "contraction",
    "add_bias": "exact", "dropout": "exact", "dropout_grad": "exact", "clip_value": "exact",
    "alpha_dropout": "exact", "scale_columns": "exact", "noise_grad": "exact", "scale_grad": "contraction",
    "gaussian_noise": "elementwise", "gaussian_dropout": "elementwise",
    "standardize": "elementwise", "standardize_grad": "elementwise",
    "batch_norm": "normalised", "batch_norm_grad": "normalised",
    "layer_norm": "normalised", "layer_norm_grad": "normalised",
    "activation": "elementwise", "activation_grad": "elementwise", "update": "elementwise",
    "penalty_grad": "elementwise", "clip_norm": "elementwise",
    "softmax": "row_sum", "softmax_grad": "row_sum", "log_softmax": "row_sum", "log_softmax_grad": "row_sum",
    "loss": "row_sum", "ema": "elementwise",
    "combine": "elementwise", "multiply": "elementwise", "concatenate": "exact", "slice": "exact", "host": "exact",
    "reduce": "counter", "tally": "counter", "penalty": "wide_sum", "square_sum": "wide_sum",
    "activity": "row_sum", "activity_grad": "elementwise", "column_sum": "contraction",
    "activation_curvature": "elementwise", "softmax_curvature": "row_sum",
    "sparse_kl": "elementwise", "sparse_kl_grad": "exact", "min_max_norm": "wide_sum", "non_neg": "exact",
}  # fmt: skip


def agreement(op: Op) -> str:
    """The row of the table of tolerances for an operation."""
    if op.kind == "activation" and op.function in ("relu", "step", "sign", "hard_tanh", "relu6"):
        return "exact"
    if op.kind == "loss" and op.function.endswith("categorical_accuracy"):
        return "exact"
    return AGREEMENT[op.kind]


def magnitude(op: Op, value: Callable[[int], Any]) -> float:
    """The largest sum of absolute terms in a contraction, which rounding errors are proportional to."""

    def size(buffer: int) -> Any:
        return np.abs(np.asarray(value(buffer), dtype=np.float64))

    inputs = op.inputs
    if op.kind in ("dense", "dense_transposed"):
        bias = size(inputs[2]) if inputs[2] != ABSENT else 0.0
        w = size(inputs[1])
        return float((size(inputs[0]) @ (w if op.kind == "dense" else w.T) + bias).max())
    if op.kind == "dense_grad_x":
        return float((size(inputs[0]) @ size(inputs[1]).T).max())
    if op.kind in ("dense_grad_w", "dense_update"):
        return float((size(inputs[0]).T @ size(inputs[1])).max())
    if op.kind.startswith("distance"):
        places = {"distance": (0, 1), "distance_grad_x": (2, 1), "distance_grad_w": (0, 2)}[op.kind]
        x, c = (size(inputs[i]) for i in places)
        sums = x[:, :, np.newaxis] + c
        if op.kind == "distance":
            return float((sums**2).sum(axis=1).max())
        dd = size(inputs[op.kind == "distance_grad_w"])
        return float((dd[:, np.newaxis] * sums).sum(axis=0 if op.kind == "distance_grad_w" else 2).max())
    if op.kind == "gaussian_grad_s":
        dy, y, d, s = (size(b) for b in inputs)
        return float((2 * (dy * y * d).sum(axis=0) / s**3).max())
    if op.kind in ("embedding_grad", "embedding_update"):
        return float(size(inputs[1]).sum())
    if op.kind == "prelu_grad_alpha":
        return float((size(inputs[0]) * size(inputs[1])).sum())
    if op.kind == "scale_grad":
        return float((size(inputs[0]) * size(inputs[1])).sum(axis=0).max())
    return float(size(inputs[0]).sum(axis=0).max())  # bias_grad, bias_update, column_sum


def flat(array: Any, rows: int, role: str, shape: tuple[int, ...]) -> Any:
    """An array as the reference holds it: rows are flat."""
    of_rows = role in ("input", "target", "activation", "delta", "mask")
    return np.reshape(array, (rows, -1)) if of_rows and shape else array


class Comparison:
    """A C++ executor and the reference, fed the same before each operation."""

    def __init__(self, plan: Plan, core: Any, dtype: str, assert_close: Callable[..., None]) -> None:
        self.plan, self.core, self.dtype, self.assert_close = plan, core, dtype, assert_close
        self.reference = ReferenceExecutor(plan, dtype)
        self.compared = 0
        self.largest = 0.0  # of the terms of the contraction at hand

    def read(self, buffer: int, rows: int) -> Any:
        b = self.plan.buffers[buffer]
        return flat(self.core.read(buffer), rows, b.role, b.shape)

    def block(
        self, x: Any, y: Any, weight: Any, first: int, batch: int, step: int, scalars: Any,
        threads: int = 1, training: bool = True,
    ) -> None:  # fmt: skip
        """Run all operations of one block of a batch, comparing the outputs of each."""
        plan, core, reference, rows = self.plan, self.core, self.reference, len(x)
        position = (rows, first, batch, step, 11, training, list(scalars))
        core.prepare(*position)
        reference.prepare(*position)
        for buffers, array in ((plan.inputs, x), (plan.targets, y), (plan.weights, weight)):
            for b in buffers:
                core.write(b, np.asarray(array, dtype=self.dtype))
        begin, end = plan.range("update", "update")
        for i, op in enumerate(plan.ops[: end if training else plan.range("loss", "loss")[1]]):
            per_block = i < begin or op.kind in ("dense_update", "bias_update", "embedding_update")
            if not per_block and first + rows < batch:
                continue
            for b in {*op.inputs, *op.outputs} - {ABSENT}:
                reference.write(b, self.read(b, rows))
            if agreement(op) == "contraction":
                self.largest = magnitude(op, reference.read)
            core.step(i, i + 1, threads)
            reference.step(i, i + 1)
            for b in op.outputs:
                formed = op.kind in ("dense_update", "embedding_update")
                if plan.buffers[b].role == "gradient" and formed and rows == batch:
                    continue  # formed and used up piece by piece
                if plan.buffers[b].role == "mask" and not training:
                    continue
                self.compare(i, op, b, rows, threads)

    def compare(self, i: int, op: Op, buffer: int, rows: int, threads: int) -> None:
        b = self.plan.buffers[buffer]
        actual, expected = self.read(buffer, rows), self.reference.read(buffer)
        label = f"operation {i} {op!r}, {b!r}, {rows} rows, {threads} threads"
        if agreement(op) == "exact" or b.role == "mask":
            assert np.array_equal(actual, expected), label
        elif b.role in ("counter", "scalar"):
            for a, e in zip(actual, expected):
                precision = "float64" if op.kind in ("reduce", "tally") else self.dtype
                self.assert_close(a, e, agreement(op), precision, label)
        else:
            # A loss near zero is the difference of terms near one.
            least = self.largest if agreement(op) == "contraction" else 1.0 if b.role == "row" else 0.0
            if b.role == "slot":
                least = max(least, least**2)  # mean squares
            scale = max(float(np.abs(np.asarray(expected, dtype=np.float64)).max()), least)
            self.assert_close(actual, expected, agreement(op), self.dtype, label, scale)
        self.compared += 1


def per_output(model: dp.Model, y: np.ndarray) -> Any:
    """Targets as fit and evaluate take them: the same for every output that has a loss."""
    targets = [y if term.measured else None for term in model.terms]
    return targets if len(targets) > 1 else y


def batch_for(
    network: Network, model: dp.Model, rng: np.random.Generator, targets_for: Callable[..., np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, targets and weights, a third of which are zero."""
    size = (network.rows, *network.shape)
    x = rng.integers(0, network.ids, size).astype(np.float64) if network.ids else rng.normal(size=size)
    y = targets_for(model.terms[0].loss, network.rows, model.outputs[0].row_shape[-1], rng)
    return x, y, rng.uniform(0, 2, network.rows) * rng.integers(0, 3, network.rows)


@pytest.fixture
def compare_steps(
    plan_of: Any, core_executor: Any, targets_for: Any, assert_close: Any, rng: np.random.Generator
) -> Callable[..., None]:
    """Return a comparison of three updates, the first by a batch in two blocks."""

    def run(network: Network, optimizer: dp.optimizers.Optimizer, dtype: str, isa: str, fused: bool) -> None:
        model = network.model(dtype, optimizer)
        x, y, weight = batch_for(network, model, rng, targets_for)
        plan = plan_of(model, fused)
        pair = Comparison(plan, core_executor(plan, dtype, isa), dtype, assert_close)
        scalars = optimizer.scalars(0, 3)
        n = len(x)
        for step, cuts in enumerate([(0, (2 * n + 2) // 3, n), (0, n), (0, n)]):
            for first, last in itertools.pairwise(sorted(set(cuts))):
                part = slice(first, last)
                pair.block(x[part], y[part], weight[part], first, n, step, scalars[step], threads=step + 1)
        assert pair.compared >= 3 * len(plan.spans["forward"])

    return run


@pytest.mark.parametrize("name", NETWORKS)
def test_each_operation_equals_the_reference(
    name: str, dtype: str, isa: str, fused: bool, compare_steps: Callable[..., None]
) -> None:
    compare_steps(NETWORKS[name](), sgd(0.02, momentum=0.9), dtype, isa, fused)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_update_equals_the_reference(
    name: str, dtype: str, isa: str, fused: bool, compare_steps: Callable[..., None]
) -> None:
    network = Network((17,), [Dense(129, "tanh"), Dense(3, kernel_regularizer=L2)], "mse", 17)
    compare_steps(network, OPTIMIZERS[name](), dtype, isa, fused)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_ragged_sizes_equal_the_reference(
    threads: int, dtype: str, isa: str, fused: bool, plan_of: Any, core_executor: Any, assert_close: Any,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Every pair of widths, fewer for teams; each with some number of rows, as a whole batch and as a second block."""
    for k, (n_in, n_out) in list(enumerate(itertools.product(SIZES, SIZES)))[::threads]:
        middle = SIZES[(k + k // len(SIZES)) % len(SIZES)]
        layers = [Dense(middle, "relu"), Dense(n_out, "tanh")]
        model = Network((n_in,), layers, "mse", 0).model(dtype, sgd(0.02, momentum=0.9))
        plan = plan_of(model, fused)
        pair = Comparison(plan, core_executor(plan, dtype, isa), dtype, assert_close)
        rows = SIZES[(k + threads) % len(SIZES)]
        for first in (0, 1):
            x, y = rng.normal(size=(rows, n_in)), rng.normal(size=(rows, n_out))
            pair.block(x, y, np.ones(rows), first, first + rows, 0, (0.01, 0.01), threads)


OUTSIDE_TRAINING = [
    "dropout", "relu-softmax-sparse", "regularised", "alpha-dropout", "gaussian-noise", "gaussian-dropout",
    "batch-norm", "layer-norm", "normalization",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE_TRAINING)
def test_each_operation_equals_the_reference_outside_training(
    name: str, dtype: str, isa: str, fused: bool, plan_of: Any, core_executor: Any, targets_for: Any,
    assert_close: Any, rng: np.random.Generator,
) -> None:  # fmt: skip
    network = NETWORKS[name]()
    model = network.model(dtype, adam())
    plan = plan_of(model, fused)
    pair = Comparison(plan, core_executor(plan, dtype, isa), dtype, assert_close)
    x, y, weight = batch_for(network, model, rng, targets_for)
    pair.block(x, y, weight, 0, len(x), 0, (), threads=2, training=False)
    assert pair.compared > 0


def test_the_tables_cover_the_vocabulary(plan_of: Any) -> None:
    """A new word of the plan needs a row here: every operation and function that lower() or fuse() can emit occurs."""
    seen = set()
    for fused in (True, False):
        for make in NETWORKS.values():
            seen |= {(op.kind, op.function) for op in plan_of(make().model("float64", sgd()), fused).ops}
        for optimizer in OPTIMIZERS.values():
            model = NETWORKS["regularised"]().model("float64", optimizer())
            seen |= {(op.kind, op.function) for op in plan_of(model, fused).ops}
    kinds = {kind for kind, _ in seen}
    assert kinds == set(AGREEMENT)
    from deltaprop.textbook import UPDATES
    from deltaprop.textbook_activations import ACTIVATIONS
    from deltaprop.textbook_losses import LOSSES, TALLIES

    functions = {function for kind, function in seen if kind != "host"} - {""}
    assert functions == {*ACTIVATIONS, *LOSSES, *TALLIES, *UPDATES}


# ---- whole epochs


def trained(
    network: Network,
    dtype: str,
    optimizer: dp.optimizers.Optimizer,
    data: tuple[Any, Any, Any],
    eager: bool,
    batch: int,
) -> tuple[dp.Sequential, dict[str, list[float]]]:
    model = network.model(dtype, optimizer, run_eagerly=eager)
    x, y, weight = data
    history = model.fit(x, per_output(model, y), batch_size=batch, epochs=4, sample_weight=weight, verbose=0)
    return model, history.history


# What is compared here is the loop: what operations pass to each other, and batches that are short or long.
DEEP = ["relu-softmax-sparse", "tanh-mse", "regularised", "tied"]
EPOCHS = [
    *(pytest.param(name, "momentum", 90, 32, id=name) for name in NETWORKS),  # the last batch is short
    *(pytest.param("regularised", name, 90, 32, id=name) for name in OPTIMIZERS),
    *(pytest.param(name, "rmsprop", 9, 1, id=f"{name}-single-rows") for name in DEEP),
    *(pytest.param(name, "rmsprop", 33, 32, id=f"{name}-last-row-alone") for name in DEEP),
]


@pytest.mark.parametrize(("name", "optimizer", "rows", "batch"), EPOCHS)
def test_epochs_equal_the_reference(
    name: str, optimizer: str, rows: int, batch: int, dtype: str, targets_for: Any, assert_close: Any,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    network = NETWORKS[name]()
    network.rows = rows
    data = batch_for(network, network.model(dtype, sgd()), rng, targets_for)
    results = [
        trained(NETWORKS[name](), dtype, OPTIMIZERS[optimizer](), data, eager, batch) for eager in (False, True)
    ]
    (core, curves), (reference, expected) = results
    assert curves.keys() == expected.keys()
    for key in curves:
        assert_close(curves[key], expected[key], "epochs", dtype, key)
    for v, w in zip(core.variables, reference.variables):
        assert_close(v.numpy(), w.numpy(), "epochs", dtype, v.name)
    x, y, weight = data
    outputs = [m.predict(x, verbose=0) for m in (core, reference)]
    for output, expected in zip(*outputs) if isinstance(outputs[0], list) else [outputs]:
        assert_close(output, expected, "epochs", dtype, "predict")
    for metric, wanted in zip(
        core.evaluate(x, per_output(core, y), sample_weight=weight, verbose=0, return_dict=True).items(),
        reference.evaluate(x, per_output(core, y), sample_weight=weight, verbose=0, return_dict=True).items(),
    ):
        assert metric[0] == wanted[0]
        assert_close(metric[1], wanted[1], "epochs", dtype, metric[0])


LONG = [
    "relu-softmax-sparse", "dropout", "regularised", "activity", "sparse-kl", "constrained", "tangents",
    "gaussian-noise", "batch-norm-of-the-input", "layer-norm",
]  # fmt: skip


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "global-clipnorm"])
def test_a_batch_longer_than_a_block_equals_the_reference(
    name: str, optimizer: str, dtype: str, targets_for: Any, assert_close: Any, rng: np.random.Generator
) -> None:
    network = NETWORKS[name]()
    network.rows = 2600
    data = batch_for(network, network.model(dtype, sgd()), rng, targets_for)
    (core, curves), (reference, expected) = (
        trained(NETWORKS[name](), dtype, OPTIMIZERS[optimizer](), data, eager, batch=2500) for eager in (False, True)
    )
    assert_close(curves["loss"], expected["loss"], "epochs", dtype, "loss")
    for v, w in zip(core.variables, reference.variables):
        assert_close(v.numpy(), w.numpy(), "epochs", dtype, v.name)
    x, y, weight = data
    evaluated = [
        m.evaluate(x, per_output(m, y), sample_weight=weight, verbose=0, return_dict=True) for m in (core, reference)
    ]
    assert evaluated[0].keys() == evaluated[1].keys()
    assert_close(list(evaluated[0].values()), list(evaluated[1].values()), "epochs", dtype, "evaluate")
    outputs = [m.predict(x, verbose=0) for m in (core, reference)]
    for output, expected in zip(*outputs) if isinstance(outputs[0], list) else [outputs]:
        assert_close(output, expected, "epochs", dtype, "predict")


@pytest.mark.parametrize("name", NETWORKS)
def test_fused_and_unfused_plans_agree(
    name: str, dtype: str, isa: str, plan_of: Any, core_executor: Any, targets_for: Any, assert_close: Any,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    network = NETWORKS[name]()
    optimizer = adam(0.01) if name == "regularised" else sgd(0.02, momentum=0.9)
    model = network.model(dtype, optimizer)
    x, y, weight = batch_for(network, model, rng, targets_for)
    results = []
    for fused in (True, False):
        plan = plan_of(model, fused)
        executor = core_executor(plan, dtype, isa)
        outcome = executor.run(
            _core.Data([x] * len(plan.inputs), [y] * len(plan.targets), [weight] * len(plan.weights)), None,
            len(x), 32, 0, -(-len(x) // 32), optimizer.scalars(0, 8), 0, 3, True, 2, None,
        )  # fmt: skip
        assert outcome[0] == "finished"
        by_name = {v.name: executor.read(b) for b, v in plan.variables.items()}
        loss = [executor.sums(b)[0] for b in plan.objective]
        results.append((by_name, loss, executor.predict([x], 1)[0]))
    (weights, loss, output), (expected, expected_loss, expected_output) = results
    assert weights.keys() == expected.keys()
    for key in weights:
        assert_close(weights[key], expected[key], "epochs", dtype, key)
    assert_close(loss, expected_loss, "fused", dtype, "loss")
    assert_close(output, expected_output, "epochs", dtype, "predict")

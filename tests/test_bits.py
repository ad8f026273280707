"""Same seed, same bits: for any number of threads, any ISA level with FMA, any rows around a row."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop import _core

WITH_FMA = [level for level in _core.available_isas() if level != "baseline"]
STEPS = 20
Dense, Dropout, Activation = dp.layers.Dense, dp.layers.Dropout, dp.layers.Activation
BatchNorm, LayerNorm = dp.layers.BatchNormalization, dp.layers.LayerNormalization
Normalization = dp.layers.Normalization

# Every activation, loss and optimiser, with widths that fill panels, cross them and are narrow.
CASES: dict[str, Callable[[], tuple[list[Any], Any, Any]]] = {
    "relu-sparse-adam": lambda: (
        [Dense(129, "relu"), Dropout(0.3), Dense(10, "softmax")], "sparse_categorical_crossentropy", "adam"
    ),
    "tanh-mse-momentum": lambda: (
        [Dense(65, "tanh"), Dense(33, "tanh"), Dense(1)], "mse", dp.optimizers.SGD(0.01, momentum=0.9)
    ),
    "sigmoid-bce-rmsprop": lambda: (
        [Dense(17, "sigmoid"), Dense(5, "sigmoid")], "binary_crossentropy", dp.optimizers.RMSprop(momentum=0.5)
    ),
    "softmax-cce-nesterov": lambda: (
        [Dense(40, "softmax"), Dense(7, "softmax")], "categorical_crossentropy",
        dp.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    ),
    "regularised-mae-clipnorm": lambda: (
        [Dense(70, "relu", kernel_regularizer="l1_l2"), Dense(3, kernel_regularizer="l2")], "mae",
        dp.optimizers.Adam(amsgrad=True, global_clipnorm=0.1, weight_decay=0.01),
    ),
    "constrained-activity": lambda: (
        [
            Dense(150, "tanh", activity_regularizer="l1_l2", kernel_constraint="max_norm", bias_constraint="non_neg"),
            Dense(70, "sigmoid", activity_regularizer="sparse_kl", kernel_constraint=dp.constraints.UnitNorm(axis=1)),
            Dense(3, kernel_constraint=dp.constraints.UnitNorm(), bias_constraint="unit_norm"),
            Dense(2, kernel_constraint=dp.constraints.MaxNorm(0.5, axis=(0, 1))),
        ],
        "mse", "adam",
    ),
    "rbf": lambda: ([Dense(129, "tanh"), dp.layers.RBF(150), dp.layers.RBF(3), Dense(2)], "mse", "adam"),
    "prelu": lambda: (
        [Dense(65), dp.layers.PReLU("ones"), Dense(3), dp.layers.PReLU(shared_axes=[1])], "mse", "adam"
    ),
    "half-squared-sigmoid-centered": lambda: (
        [Dense(20, "tanh"), Dropout(0.1), Dense(2, "sigmoid")], "half_squared_error",
        dp.optimizers.RMSprop(centered=True, clipnorm=0.5),
    ),
    "bce-logits-sgd": lambda: (
        [Dense(20, "relu"), Dense(2)], dp.losses.BinaryCrossentropy(from_logits=True), "sgd"
    ),
    "cce-logits-clipvalue": lambda: (
        [Dense(20, "relu"), Dense(17)], dp.losses.CategoricalCrossentropy(from_logits=True),
        dp.optimizers.SGD(0.1, clipvalue=0.01),
    ),
    "sparse-logits-adamw": lambda: (
        [Dense(20, "relu"), Dense(17)], dp.losses.SparseCategoricalCrossentropy(from_logits=True), "adamw"
    ),
    "adagrad": lambda: ([Dense(65, "relu"), Dense(3)], "mse", dp.optimizers.Adagrad(0.1)),
    "adadelta": lambda: ([Dense(65, "relu"), Dense(3)], "mse", dp.optimizers.Adadelta(1.0)),
    "adamax": lambda: ([Dense(65, "relu"), Dense(3)], "mse", dp.optimizers.Adamax(clipnorm=0.1)),
    "nadam": lambda: ([Dense(65, "relu"), Dense(3)], "mse", dp.optimizers.Nadam(weight_decay=0.1)),
    "lion-ema": lambda: (
        [Dense(65, "relu"), Dense(3)], "mse",
        dp.optimizers.Lion(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2),
    ),
    "rprop": lambda: ([Dense(65, "relu"), Dense(3)], "mse", dp.optimizers.Rprop()),
    "log-cosh": lambda: ([Dense(9, "tanh"), Dense(3)], "log_cosh", "sgd"),
    "poisson": lambda: ([Dense(9, "tanh"), Dense(17, "exponential")], "poisson", "adam"),
    "cosine": lambda: ([Dense(9, "tanh"), Dense(17)], "cosine_similarity", "sgd"),
    "quantiles": lambda: ([Dense(9, "tanh"), Dense(9)], dp.losses.Quantile((0.1, 0.5, 0.9)), "sgd"),
    "gaussian": lambda: ([Dense(9, "tanh"), Dense(10, "softplus")], "gaussian_nll", "adam"),
    "focal-sigmoid": lambda: ([Dense(9, "sigmoid")], "binary_focal_crossentropy", "sgd"),
    "focal-softmax": lambda: ([Dense(17, "softmax")], "categorical_focal_crossentropy", "sgd"),
    "focal-of-sigmoid": lambda: ([Dense(17, "sigmoid")], "categorical_focal_crossentropy", "sgd"),
    "batch-norm": lambda: (
        [Dense(129, use_bias=False), BatchNorm(), Activation("relu"), Dense(70), BatchNorm(scale=False), Dense(3)],
        "mse", "adam",
    ),
    "layer-norm": lambda: (
        [LayerNorm(), Dense(129, "tanh"), LayerNorm(center=False), Dense(70), dp.layers.RMSNormalization(), Dense(3)],
        "mse", "adam",
    ),
    "noise": lambda: (
        [
            Normalization(mean=0.1, variance=0.7), dp.layers.GaussianNoise(0.1), Dense(70, "tanh"),
            dp.layers.GaussianDropout(0.2), Dense(9), dp.layers.AlphaDropout(0.1), Dense(3),
        ],
        "mse", "sgd",
    ),
    "embedding-sgd": lambda: (
        [dp.layers.Embedding(150, 3), dp.layers.Flatten(), Dense(9, "tanh"), Dense(3)], "mse", "sgd"
    ),
    "embedding-adam": lambda: (
        [dp.layers.Embedding(50, 70), dp.layers.Flatten(), Dense(9, "tanh"), Dense(3)], "mse", "adam"
    ),
    "cce-of-sigmoid": lambda: ([Dense(9, "sigmoid")], "categorical_crossentropy", "sgd"),
    "sparse-of-sigmoid": lambda: ([Dense(9, "sigmoid")], "sparse_categorical_crossentropy", "sgd"),
    "bce-of-tanh": lambda: ([Dense(9, "tanh")], "binary_crossentropy", "sgd"),
    "mse-of-softmax": lambda: ([Dense(9, "softmax")], "mse", "sgd"),
}  # fmt: skip


# Those that are trained with tangent propagation as well.
TANGENTS = ("relu-sparse-adam", "constrained-activity")


@pytest.fixture
def run(plan_of: Any, core_executor: Any, targets_for: Any, rng: np.random.Generator) -> Callable[..., Any]:
    """Return a function that makes 20 updates and returns the bytes of all that they leave behind."""

    def train(
        name: str, dtype: str, threads: int = 1, isa: str | None = None, seed: int = 7, batch: int = 50,
        fused: bool = True,
    ) -> dict[str, bytes]:  # fmt: skip
        generator = np.random.default_rng(3)
        layers, loss, optimizer = CASES[name]()
        model = dp.Sequential([dp.Input((37,)), *layers], dtype=dtype, seed=1)
        loss, outputs = dp.losses.get(loss), model.output_shape[1:]
        per_output = loss.sparse or loss.target_shape(outputs) == outputs
        measures = ["accuracy", "auc", "ConfusionMatrix"] if per_output else [loss]
        penalty = dp.regularizers.TangentPropagation(weight=0.1, n_tangents=2) if name in TANGENTS else None
        model.compile(optimizer, loss, metrics=measures, weighted_metrics=measures, regularizers=penalty)
        n = batch * STEPS - batch // 3  # the last batch is short
        size = (n, 37)
        x = generator.integers(0, 50, size).astype(dtype) if "embedding" in name else generator.normal(size=size)
        y = targets_for(model.loss, n, model.output_shape[-1], generator)
        weight = generator.uniform(0.5, 2, n)
        plan = plan_of(model, fused)
        executor = core_executor(plan, dtype, isa)
        outcome = executor.run(
            _core.Data([x] * len(plan.inputs), [y], [weight]), _core.permutation(n, seed, 0), n, batch, 0, STEPS,
            model.optimizer.scalars(0, STEPS), 0, seed, True, threads, None,
        )  # fmt: skip
        assert outcome == ("finished", STEPS)
        state = {v.name: executor.read(b).tobytes() for b, v in plan.variables.items()}
        for b in plan.objective + [counter for _, counter in plan.metrics]:
            state[f"counter {b}"] = np.array(executor.sums(b)).tobytes()
        state["predict"] = executor.predict([x], threads)[0].tobytes()
        return state

    return train


def differing(a: dict[str, bytes], b: dict[str, bytes]) -> list[str]:
    """Names of what two runs do not agree on."""
    assert a.keys() == b.keys()
    return [name for name in a if a[name] != b[name]]


@pytest.mark.parametrize("name", CASES)
def test_bits_do_not_depend_on_threads(name: str, dtype: str, fused: bool, run: Callable[..., Any]) -> None:
    alone = run(name, dtype, 1, fused=fused)
    for threads in (2, 3):
        assert differing(run(name, dtype, threads, fused=fused), alone) == []


@pytest.mark.parametrize("batch", [1, 1500])
@pytest.mark.parametrize(
    "name", ["relu-sparse-adam", "regularised-mae-clipnorm", "batch-norm", "noise", "constrained-activity"]
)
def test_bits_of_single_rows_and_long_batches_do_not_depend_on_threads(
    name: str, batch: int, dtype: str, run: Callable[..., Any]
) -> None:
    alone = run(name, dtype, 1, batch=batch)
    for threads in (2, 3):
        assert differing(run(name, dtype, threads, batch=batch), alone) == []


@pytest.mark.skipif(len(WITH_FMA) < 2, reason="needs two ISA levels with FMA")
@pytest.mark.parametrize("name", ["relu-sparse-adam", "tanh-mse-momentum", "noise"])
def test_bits_of_single_rows_do_not_depend_on_the_isa_level(name: str, dtype: str, run: Callable[..., Any]) -> None:
    best = run(name, dtype, isa=WITH_FMA[0], batch=1)
    for level in WITH_FMA[1:]:
        assert differing(run(name, dtype, isa=level, batch=1), best) == []


@pytest.mark.skipif(len(WITH_FMA) < 2, reason="needs two ISA levels with FMA")
@pytest.mark.parametrize("name", CASES)
def test_bits_do_not_depend_on_the_isa_level(name: str, dtype: str, fused: bool, run: Callable[..., Any]) -> None:
    best = run(name, dtype, isa=WITH_FMA[0], fused=fused)
    for level in WITH_FMA[1:]:
        assert differing(run(name, dtype, isa=level, fused=fused), best) == []


@pytest.mark.parametrize("name", ["relu-sparse-adam", "tanh-mse-momentum"])
def test_a_different_seed_differs(name: str, dtype: str, run: Callable[..., Any]) -> None:
    assert differing(run(name, dtype, seed=7), run(name, dtype, seed=7)) == []
    weights = [key for key in run(name, dtype) if key.endswith("kernel")]
    assert set(weights) <= set(differing(run(name, dtype, seed=7), run(name, dtype, seed=8)))


def fitted(threads: int | None, **fit: Any) -> list[np.ndarray]:
    """Weights of a public fit that is large enough for a team."""
    dp.set_num_threads(threads)
    try:
        model = dp.Sequential([dp.Input((100,)), Dense(256, "relu"), Dropout(0.2), Dense(10, "softmax")], seed=4)
        model.compile("adam", "sparse_categorical_crossentropy")
        generator = np.random.default_rng(0)
        x, y = generator.normal(size=(700, 100)), generator.integers(0, 10, 700)
        model.fit(x, y, batch_size=128, epochs=2, verbose=0, **fit)
        return [*model.get_weights(), model.predict(x, verbose=0)]
    finally:
        dp.set_num_threads(None)


def test_fit_gives_the_same_bits_for_any_number_of_threads() -> None:
    alone = fitted(1)
    for threads in (2, 3):
        assert all(np.array_equal(a, b) for a, b in zip(fitted(threads), alone))


def test_fit_gives_the_same_bits_with_batch_hooks() -> None:
    """A callback that sees each batch cuts the epoch into calls."""
    watched = fitted(2, callbacks=[dp.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)])
    assert all(np.array_equal(a, b) for a, b in zip(watched, fitted(2)))


@pytest.mark.parametrize("activation", dp.activations.ACTIVATIONS)
def test_a_prediction_does_not_depend_on_the_rows_around_it(
    activation: str, dtype: str, isa: str, plan_of: Any, core_executor: Any, rng: np.random.Generator
) -> None:
    model = dp.Sequential([dp.Input((37,)), Dense(129, activation), Dense(20, activation), Dense(3)], dtype=dtype)
    model.compile("sgd", "mse")
    executor = core_executor(plan_of(model, True), dtype, isa)
    x = rng.normal(size=(300, 37)).astype(dtype)
    (whole,) = executor.predict([x], 1)
    for rows in (1, 2, 3, 5, 6, 7, 13, 96, 97, 299):
        for first in (0, 1, 300 - rows):
            (part,) = executor.predict([x[first : first + rows]], 1 + first % 3)
            assert part.tobytes() == whole[first : first + rows].tobytes(), f"rows {first} to {first + rows}"


def test_a_row_alone_is_predicted_as_in_a_batch(dtype: str, rng: np.random.Generator) -> None:
    model = dp.Sequential([dp.Input((37,)), Dense(65, "tanh"), Dense(5, "softmax")], dtype=dtype)
    x = rng.normal(size=(20, 37)).astype(dtype)
    whole = model.predict(x, verbose=0)
    for i, row in enumerate(x):
        assert model(row).tobytes() == whole[i].tobytes()
        assert model(row[np.newaxis]).tobytes() == whole[i].tobytes()
        assert model.predict(x[i : i + 1], verbose=0).tobytes() == whole[i].tobytes()


def test_batch_size_does_not_change_predict_and_evaluate(dtype: str, rng: np.random.Generator) -> None:
    model = dp.Sequential([dp.Input((8,)), Dense(5, "tanh"), Dense(2)], dtype=dtype)
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = rng.normal(size=(1500, 8)), rng.normal(size=(1500, 2))
    for batch in (1, 7, 2000):
        assert np.array_equal(model.predict(x, batch, verbose=0), model.predict(x, verbose=0))
        assert model.evaluate(x, y, batch, verbose=0) == model.evaluate(x, y, verbose=0)


_PROGRAM = """
import hashlib
import numpy as np
import deltaprop as dp
model = dp.Sequential([dp.Input((20,)), dp.layers.Dense(70, "tanh"), dp.layers.Dropout(0.2),
                       dp.layers.Dense(4, "softmax")], seed=9)
model.compile("adam", "categorical_crossentropy")
generator = np.random.default_rng(0)
x, y = generator.normal(size=(200, 20)), generator.dirichlet(np.ones(4), 200)
model.fit(x, y, epochs=3, verbose=0)
digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
print(dp.runtime.isa, digest)
"""


@pytest.mark.skipif(len(WITH_FMA) < 2, reason="needs two ISA levels with FMA")
def test_the_environment_forces_an_isa_level_and_keeps_the_bits() -> None:
    digests = set()
    for level in WITH_FMA:
        environment = {**os.environ, "DELTAPROP_ISA": level}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        used, digest = done.stdout.split()
        assert used == level
        digests.add(digest)
    assert len(digests) == 1


def test_an_unknown_isa_level_is_named_with_those_there_are() -> None:
    environment = {**os.environ, "DELTAPROP_ISA": "x86-64-v9"}
    done = subprocess.run(
        [sys.executable, "-c", "import deltaprop"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "x86-64-v9" in done.stderr and _core.available_isas()[0] in done.stderr

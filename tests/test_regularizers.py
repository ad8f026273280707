"""Penalties on activations and on groups of weights: their values, and what they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltaprop as dp

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(30, 5)), RNG.normal(size=(30, 2))
Dense = dp.layers.Dense


def losses(penalised: list[Any], plain: list[Any], **compiled: Any) -> tuple[float, dp.Sequential]:
    """The loss with the penalty less that without, and the model with it."""
    models = [dp.Sequential([dp.Input((5,)), *layers], dtype="float64", seed=2) for layers in (penalised, plain)]
    models[0].compile("sgd", "mse", **compiled)
    models[1].compile("sgd", "mse")
    with_it, without = (m.evaluate(X, Y, sample_weight=np.arange(30), verbose=0) for m in models)
    return with_it - without, models[0]


def outputs(model: dp.Sequential, layers: int) -> np.ndarray:
    below = dp.Sequential(model.layers[:layers], dtype="float64")
    return below.predict(X, verbose=0)


def test_activity_penalties_are_a_mean_over_the_batch() -> None:
    layers = [Dense(4, "tanh", activity_regularizer=dp.regularizers.L1L2(0.1, 0.2)), Dense(2)]
    penalty, model = losses(layers, [Dense(4, "tanh"), Dense(2)])
    a = outputs(model, 1)
    assert penalty == pytest.approx((0.1 * np.abs(a) + 0.2 * a * a).sum(axis=1).mean(), rel=1e-12)


def test_activity_regularization_is_the_identity_with_a_penalty() -> None:
    layers = [Dense(4), dp.layers.ActivityRegularization(l1=0.3), Dense(2)]
    penalty, model = losses(layers, [Dense(4), dp.layers.Activation("linear"), Dense(2)])
    assert penalty == pytest.approx(0.3 * np.abs(outputs(model, 1)).sum(axis=1).mean(), rel=1e-12)
    assert np.array_equal(outputs(model, 2), outputs(model, 1))


def test_the_sparse_penalty_is_the_kl_divergence_of_means() -> None:
    layers = [Dense(4, "sigmoid", activity_regularizer=dp.regularizers.SparseKL(0.05, 0.7)), Dense(2)]
    penalty, model = losses(layers, [Dense(4, "sigmoid"), Dense(2)])
    q = outputs(model, 1).mean(axis=0)
    expected = 0.7 * np.sum(0.05 * np.log(0.05 / q) + 0.95 * np.log(0.95 / (1 - q)))
    assert penalty == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("output", [0.0, 1.0, -3.0, 40.0])
def test_the_sparse_penalty_is_finite_for_any_mean(output: float, dtype: str) -> None:
    layer = Dense(4, kernel_initializer="zeros", bias_initializer=dp.initializers.Constant(output),
                  activity_regularizer="sparse_kl")  # fmt: skip
    model = dp.Sequential([dp.Input((5,)), layer, Dense(2)], dtype=dtype)
    model.compile("sgd", "mse")
    history = model.fit(X, Y, verbose=0, batch_size=30)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_the_sparse_penalty_brings_means_to_rho() -> None:
    penalty = dp.regularizers.SparseKL(0.05, 3.0)
    model = dp.Sequential([dp.Input((5,)), Dense(8, "sigmoid", activity_regularizer=penalty), Dense(5)], seed=0)
    model.compile(dp.optimizers.Adam(0.05), "mse")
    model.fit(X, X, batch_size=30, epochs=300, verbose=0)
    means = dp.Sequential(model.layers[:1]).predict(X, verbose=0).mean(axis=0)
    np.testing.assert_allclose(means, 0.05, atol=0.02)


GROUPS: dict[str, tuple[Any, list[float]]] = {
    "by name": ({"dense": 0.2, "dense_1": 0.4}, [0.2, 0, 0.4, 0]),
    "one of two": ({"dense_1": 0.4}, [0, 0, 0.4, 0]),
    "by pattern": ({"dense*": 0.3}, [0.3, 0, 0.3, 0]),
    "a bias": ({"dense": 0.2, "*/bias": 0.1}, [0.2, 0.1, 0, 0.1]),
    "by layer": ([0.2, 0.4], [0.2, 0, 0.4, 0]),
}


@pytest.mark.parametrize("groups", GROUPS)
def test_group_decay_is_half_the_squares(groups: str) -> None:
    alphas, expected = GROUPS[groups]
    layers = [[Dense(4, bias_initializer="ones"), Dense(2, bias_initializer="ones")] for _ in range(2)]
    penalty, model = losses(*layers, regularizers=[dp.regularizers.GroupDecay(alphas)])
    squares = [float((w**2).sum()) for w in model.get_weights()]
    assert penalty == pytest.approx(0.5 * np.dot(expected, squares), rel=1e-12)


def test_group_decay_shrinks_weights_by_their_own_rate() -> None:
    model = dp.Sequential([dp.Input((5,)), Dense(4), Dense(2)], dtype="float64", seed=0)
    model.compile(dp.optimizers.SGD(0.1), "mse", regularizers=dp.regularizers.GroupDecay([0.5, 0.25]))
    before = model.get_weights()
    model.train_on_batch(X * 0, Y[:1] * np.zeros((30, 1)))
    for (w, start), alpha in zip(zip(model.get_weights()[::2], before[::2]), (0.5, 0.25)):
        np.testing.assert_allclose(w, start * (1 - 0.1 * alpha), rtol=1e-12)


@pytest.mark.parametrize("how", ["list", "names", "both"])
def test_variables_are_excluded_from_weight_decay(how: str) -> None:
    first, second = Dense(4), Dense(2)
    model = dp.Sequential([dp.Input((5,)), first, second], seed=0)
    optimizer = dp.optimizers.SGD(0.1, weight_decay=0.5)
    model.compile(optimizer, "mse")
    assert "W2 -= lr 0.5 W2" in str(model.plan)
    optimizer.exclude_from_weight_decay(
        var_list=[second.kernel] if how != "names" else None, var_names=["dense_1"] if how != "list" else None
    )
    assert "W1 -= lr 0.5 W1" in str(model.plan) and "W2 -= lr 0.5 W2" not in str(model.plan)


def test_regularised_models_come_back_from_files(tmp_path: Any) -> None:
    optimizer = dp.optimizers.AdamW(0.01, weight_decay=0.1)
    model = dp.Sequential([
        dp.Input((5,)),
        Dense(6, "sigmoid", activity_regularizer=dp.regularizers.SparseKL(0.2, 0.1), kernel_constraint="max_norm"),
        dp.layers.ActivityRegularization(0.01, 0.02),
        Dense(2, kernel_constraint=dp.constraints.MaxNorm(0.9, axis=(0, 1)), activity_regularizer="l2"),
    ], seed=0)  # fmt: skip
    model.compile(optimizer, "mse", regularizers=[dp.regularizers.GroupDecay({"dense": 0.1})])
    optimizer.exclude_from_weight_decay(var_names=["dense_1"])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "model")
    again = dp.load_model(tmp_path / "model")
    assert str(again.plan) == str(model.plan)
    for m in (model, again):
        m.fit(X, Y, initial_epoch=2, epochs=4, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights()))


# ---- tangent propagation

Tangents = dp.regularizers.TangentPropagation


def tangent_model(penalty: Any, loss: str = "mse", **compiled: Any) -> dp.Sequential:
    layers = [dp.Input((5,)), Dense(4, "tanh"), Dense(4, "softmax"), Dense(2, "sigmoid")]
    model = dp.Sequential(layers, dtype="float64", seed=2)
    model.compile(dp.optimizers.SGD(0.1), loss, regularizers=penalty, **compiled)
    return model


@pytest.mark.parametrize("how", ["array", "function", "several"])
def test_the_cost_of_tangents_is_half_the_squared_change_of_the_output(how: str) -> None:
    t = RNG.normal(size=(30, 3, 5))
    given = {"array": t[:, 0], "function": lambda x: t[: len(x)], "several": t}[how]
    model = tangent_model([Tangents(given, 0.7, n_tangents=3 if how == "function" else None)])
    plain = tangent_model(None)
    e = 1e-6
    changes = [
        (model.predict(X + e * t[:, i], verbose=0) - model.predict(X - e * t[:, i], verbose=0)) / (2 * e)
        for i in range(1 if how == "array" else 3)
    ]
    expected = sum(0.7 / 2 * (change**2).sum(axis=1).mean() for change in changes)
    losses = [m.train_on_batch(X, Y, sample_weight=np.arange(30)) for m in (model, plain)]
    assert losses[0] - losses[1] == pytest.approx(expected, rel=1e-7)


def test_tangents_count_in_training_only() -> None:
    model, plain = tangent_model([Tangents(X, 5.0)]), tangent_model(None)
    assert model.evaluate(X, Y, verbose=0) == plain.evaluate(X, Y, verbose=0)
    assert np.array_equal(model.predict(X, verbose=0), plain.predict(X, verbose=0))
    assert np.array_equal(model(X[0]), plain(X[0]))
    history = model.fit(X, Y, validation_data=(X[:7], Y[:7]), verbose=0).history
    assert history["val_loss"] == [pytest.approx(model.evaluate(X[:7], Y[:7], verbose=0))]


def test_tangents_follow_their_rows() -> None:
    """Through shuffling and a validation split, array and function give the same."""
    t = np.sin(X)
    results = []
    for given in (t, np.sin):
        model = tangent_model([Tangents(given, 2.0)])
        model.fit(X, Y, batch_size=7, epochs=3, validation_split=0.2, verbose=0)
        results.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*results))


def test_training_on_tangents_makes_the_output_invariant() -> None:
    t = np.zeros((30, 5))
    t[:, 0] = 1
    changes = []
    for weight in (0.0, 10.0):
        model = dp.Sequential([dp.Input((5,)), Dense(8, "tanh"), Dense(2)], seed=0)
        model.compile(dp.optimizers.Adam(0.01), "mse", regularizers=Tangents(t, weight))
        model.fit(X, Y, epochs=100, verbose=0)
        changes.append(np.abs(model.predict(X + 0.1 * t, verbose=0) - model.predict(X, verbose=0)).mean())
    assert changes[1] < changes[0] / 5


def test_a_model_from_a_file_asks_for_its_tangents(tmp_path: Any) -> None:
    model = tangent_model([Tangents(np.stack([X, X**2], 1), 0.5)])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "model")
    again = dp.load_model(tmp_path / "model")
    assert str(again.plan) == str(model.plan)
    with pytest.raises(ValueError, match=r"no tangents.*model\.regularizers"):
        again.fit(X, Y, verbose=0)
    again.regularizers[0].tangents = np.stack([X, X**2], 1)
    for m in (model, again):
        m.fit(X, Y, initial_epoch=2, epochs=4, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights()))


@pytest.mark.parametrize(
    ("given", "count", "message"),
    [
        (X[:9], None, r"must have shape \(30, 5\).*received shape \(9, 5\)"),
        (X[:, :3], None, r"must have shape \(30, 5\).*received shape \(30, 3\)"),
        (lambda x: np.stack([x, x], 1), None, r"must have shape \(30, 5\).*received shape \(30, 2, 5\).*n_tangents"),
        (lambda x: x, 2, r"must have shape \(30, 2, 5\).*received shape \(30, 5\)"),
        (X.astype(str), None, "real numbers, received dtype <U"),
        (np.full((30, 5), np.nan), None, "must be finite"),
    ],
)
def test_tangents_that_do_not_fit_are_refused(given: Any, count: int | None, message: str) -> None:
    model = tangent_model([Tangents(given, n_tangents=count)])
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before))


def test_tangents_do_not_go_through_log_softmax() -> None:
    model = dp.Sequential([dp.Input((5,)), Dense(2, "log_softmax")])
    model.compile("sgd", "mse", regularizers=[Tangents(X)])
    with pytest.raises(ValueError, match="does not go through 'log_softmax'; it takes"):
        model.fit(X, Y, verbose=0)

"""Metrics: values against NumPy, names, weights, and what 'accuracy' stands for."""

import numpy as np
import pytest

import deltaprop as dp

RNG = np.random.default_rng(1)
N = 23
X = RNG.normal(size=(N, 4))
IDS = RNG.integers(0, 3, N)
ONE_HOT = np.eye(3)[IDS]
BITS = (X[:, 0] > 0).astype(float)
WEIGHT = RNG.uniform(0, 3, N)


def network(units, activation, loss, metrics=None, weighted_metrics=None):
    layers = [dp.Input(shape=(4,)), dp.layers.Dense(6, activation="tanh"), dp.layers.Dense(units, activation)]
    model = dp.Sequential(layers, seed=2, dtype="float64")
    model.compile("sgd", loss, metrics=metrics, weighted_metrics=weighted_metrics)
    return model


def evaluate(model, y, **arguments):
    return model.evaluate(X, y, verbose=0, return_dict=True, **arguments)


@pytest.mark.parametrize("name", ["accuracy", "acc"])
@pytest.mark.parametrize(
    "units, activation, loss, y, expected",
    [
        (1, "sigmoid", "binary_crossentropy", BITS, lambda p: (p[:, 0] > 0.5) == BITS),
        (3, "softmax", "sparse_categorical_crossentropy", IDS, lambda p: p.argmax(1) == IDS),
        (3, "softmax", "categorical_crossentropy", ONE_HOT, lambda p: p.argmax(1) == IDS),
        (3, "sigmoid", "mse", ONE_HOT, lambda p: p.argmax(1) == IDS),
    ],
)
def test_accuracy_follows_targets_and_outputs(name, units, activation, loss, y, expected):
    model = network(units, activation, loss, [name])
    p = model.predict(X, verbose=0)
    assert evaluate(model, y)[name] == pytest.approx(np.mean(expected(p)))


def test_mse_and_mae():
    model = network(3, "linear", "mse", ["mae", "mse"])
    error = model.predict(X, verbose=0) - ONE_HOT
    logs = evaluate(model, ONE_HOT)
    assert logs["mae"] == pytest.approx(np.abs(error).mean())
    assert logs["mse"] == pytest.approx((error**2).mean()) == logs["loss"]


def test_a_loss_is_a_metric_too():
    model = network(3, "softmax", "mse", ["categorical_crossentropy"])
    p = model.predict(X, verbose=0)
    expected = -np.log(p[np.arange(N), IDS]).mean()
    assert evaluate(model, ONE_HOT)["categorical_crossentropy"] == pytest.approx(expected)


def test_metrics_ignore_weights_and_weighted_metrics_use_them():
    model = network(1, "linear", "mse", metrics=["mae"], weighted_metrics=["mae"])
    error = np.abs(model.predict(X, verbose=0)[:, 0] - BITS)
    logs = evaluate(model, BITS, sample_weight=WEIGHT)
    assert list(logs) == ["loss", "mae", "weighted_mae"] == model.metrics_names
    assert logs["mae"] == pytest.approx(error.mean())
    assert logs["weighted_mae"] == pytest.approx((WEIGHT * error).sum() / WEIGHT.sum())


def test_a_weighted_loss_is_divided_by_the_rows():
    model = network(1, "linear", "mse")
    error = model.predict(X, verbose=0)[:, 0] - BITS
    assert evaluate(model, BITS, sample_weight=WEIGHT)["loss"] == pytest.approx((WEIGHT * error**2).mean())


def test_names_of_metrics_are_those_that_were_given():
    metrics = ["acc", "mean_absolute_error", dp.metrics.MeanSquaredError(), dp.metrics.MeanSquaredError("m")]
    model = network(1, "sigmoid", "binary_crossentropy", metrics)
    assert model.metrics_names == ["loss", "acc", "mean_absolute_error", "mean_squared_error", "m"]


def test_the_same_metric_twice_gets_a_number():
    model = network(1, "linear", "mse", ["mae", "mae"])
    assert model.metrics_names == ["loss", "mae", "mae_1"]


def test_a_binary_output_of_exactly_one_half_counts_as_zero():
    model = dp.Sequential([dp.Input(shape=(1,)), dp.layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    assert model.evaluate([0.0, 1.0], [0, 0], verbose=0)[1] == 1


def test_penalties_are_part_of_the_loss():
    layer = dp.layers.Dense(1, kernel_regularizer=dp.regularizers.L1L2(0.1, 0.2))
    model = dp.Sequential([dp.Input(shape=(4,)), layer], seed=1, dtype="float64")
    model.compile("sgd", "mse", metrics=["mse"])
    w = layer.kernel.numpy()
    logs = evaluate(model, BITS)
    assert logs["loss"] - logs["mse"] == pytest.approx(0.1 * np.abs(w).sum() + 0.2 * (w**2).sum())


@pytest.mark.parametrize(
    ("loss", "units"), [(dp.losses.SparseCategoricalCrossentropy, 3), (dp.losses.BinaryCrossentropy, 1)]
)
@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_on_logits_measures_what_it_minimises(loss, units, eager):
    model = dp.Sequential([dp.Input(shape=(4,)), dp.layers.Dense(units)], seed=2)
    model.compile("sgd", loss(from_logits=True), metrics=[loss(from_logits=True)], run_eagerly=eager)
    x, y = np.random.default_rng(0).normal(size=(30, 4)) * 5, np.arange(30) % max(units, 2)
    minimised, measured = model.evaluate(x, y, verbose=0)
    assert measured == pytest.approx(minimised, rel=1e-6)

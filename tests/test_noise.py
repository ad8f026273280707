"""GaussianNoise, GaussianDropout and AlphaDropout: the right distributions in training, nothing elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltaprop as dp

GaussianNoise, GaussianDropout = dp.layers.GaussianNoise, dp.layers.GaussianDropout
AlphaDropout = dp.layers.AlphaDropout
LAYERS: dict[str, Any] = {
    "dropout": lambda **k: dp.layers.Dropout(0.3, **k),
    "alpha_dropout": lambda **k: AlphaDropout(0.2, **k),
    "gaussian_dropout": lambda **k: GaussianDropout(0.3, **k),
    "gaussian_noise": lambda **k: GaussianNoise(0.5, **k),
}
X = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")


def outputs(layer: dp.layers.Layer, x: np.ndarray, eager: bool = False) -> np.ndarray:
    """What the layer makes of x in training, read from a step of the executor."""
    model = dp.Sequential([dp.Input(x.shape[1:]), layer, dp.layers.Dense(1)], seed=1)
    model.compile("sgd", "mse", run_eagerly=eager)
    executor = model.executor()
    if eager:
        executor.load_variables()
    executor.prepare(len(x), 0, len(x), 7, 3, True, [0.0, 0.0])
    executor.write(model.plan.inputs[0], x)
    executor.step(0, 1, 1)
    return np.array(executor.read(model.plan.ops[0].outputs[0]))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("place", ["first", "hidden"])
def test_noise_is_the_identity_outside_training(name: str, place: str) -> None:
    dense = [dp.layers.Dense(4, "tanh"), dp.layers.Dense(2)]
    model = dp.Sequential([dp.Input((5,)), *(dense[:1] * (place == "hidden")), LAYERS[name](), *dense[-1:]], seed=1)
    without = dp.Sequential([dp.Input((5,)), *(dense[:1] * (place == "hidden")), *dense[-1:]], seed=1)
    for m in (model, without):
        m.compile("sgd", "mse")
    np.testing.assert_array_equal(model.predict(X, verbose=0), without.predict(X, verbose=0))
    np.testing.assert_array_equal(model(X[0]), without(X[0]))
    assert model.evaluate(X, X[:, :2], verbose=0) == without.evaluate(X, X[:, :2], verbose=0)


@pytest.mark.parametrize("name", LAYERS)
def test_noise_changes_training_on_the_inputs(name: str) -> None:
    losses = []
    for layers in ([], [LAYERS[name]()], [LAYERS[name]()], [LAYERS[name](seed=3)]):
        model = dp.Sequential([dp.Input((5,)), *layers, dp.layers.Dense(2, kernel_initializer="ones")], seed=1)
        model.compile(dp.optimizers.SGD(0.0), "mse")
        losses.append(model.fit(X, X[:, :2], shuffle=False, verbose=0).history["loss"][0])
    plain, once, again, other = losses
    assert once == again and len({plain, once, other}) == 3


def network(eager: bool = False, dtype: str = "float64", seed: int = 1) -> dp.Sequential:
    layers = [dp.layers.Dense(6, "tanh"), dp.layers.Dropout(0.5), dp.layers.Dense(2), GaussianNoise(0.1)]
    model = dp.Sequential([dp.Input((5,)), *layers], seed=seed, dtype=dtype)
    model.compile(dp.optimizers.SGD(0.1), "mse", run_eagerly=eager)
    return model


def test_a_call_in_training_draws_anew_and_the_same_in_both_executors(dtype: str) -> None:
    model, again, reference = network(dtype=dtype), network(dtype=dtype), network(True, dtype)
    drawn = [model(X, training=True) for _ in range(3)]
    assert drawn[0].dtype == dtype and drawn[0].shape == (64, 2)
    assert not any(np.array_equal(a, b) for a, b in [(drawn[0], drawn[1]), (drawn[1], drawn[2])])
    for one in drawn:
        np.testing.assert_array_equal(again(X, True), one)
        np.testing.assert_allclose(reference(X, training=True), one, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert model(X[0], training=True).shape == (2,) and model(X[:0], training=True).shape == (0, 2)
    assert reference(X[:0], training=True).shape == (0, 2)
    np.testing.assert_array_equal(model(X), network(dtype=dtype).predict(X, verbose=0))


def test_calls_in_training_average_to_the_prediction_and_leave_training_alone() -> None:
    model, other = network(), network()
    mean = np.mean([model(X, training=True) for _ in range(2000)], axis=0)
    np.testing.assert_allclose(mean, model.predict(X, verbose=0), atol=0.1)
    for m in (model, other):
        m.fit(X, X[:, :2], epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_call_in_training_needs_no_compilation_and_takes_rows_of_any_shape() -> None:
    model = dp.Sequential([dp.Input((2, 3)), dp.layers.Flatten(), dp.layers.Dropout(0.5)], seed=1)
    assert set(np.unique(model(np.ones((40, 2, 3)), training=True))) == {0.0, 2.0}
    x, y = dp.Input((2,)), dp.Input((3,))
    model = dp.Model([x, y], [dp.layers.Dropout(0.5)(dp.layers.Concatenate()([x, y])), x], seed=1)
    dropped, passed = model([np.ones((40, 2)), np.ones((40, 3))], training=True)
    assert set(np.unique(dropped)) == {0.0, 2.0} and (passed == 1).all()


@pytest.mark.parametrize("eager", [False, True])
def test_gaussian_noise_is_standard_normal(eager: bool) -> None:
    z = outputs(GaussianNoise(1.0), np.zeros((20_000, 33), np.float32), eager).ravel().astype(np.float64)
    moments = [np.mean(z**k) for k in (1, 2, 3, 4, 6)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3, 15], atol=0.3, rtol=0.02)
    assert abs(moments[0]) < 0.005 and abs(moments[1] - 1) < 0.01
    for bound, share in ((0, 0.5), (1, 0.8413447), (-2, 0.0227501), (3, 0.9986501)):
        assert np.mean(z < bound) == pytest.approx(share, abs=0.002)
    units = outputs(GaussianNoise(1.0), np.zeros((20_000, 8), np.float32), eager).astype(np.float64)
    np.testing.assert_allclose(np.corrcoef(units.T), np.eye(8), atol=0.03)
    np.testing.assert_allclose(np.corrcoef((units**2).T), np.eye(8), atol=0.03)  # nor by their radius


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_has_the_moments_of_dropout(rate: float) -> None:
    y = outputs(GaussianDropout(rate), np.ones((20_000, 16), np.float32)).astype(np.float64)
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert y.var() == pytest.approx(rate / (1 - rate), rel=0.03)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    x = np.random.default_rng(1).normal(size=(20_000, 16)).astype("float32")
    y = outputs(AlphaDropout(rate), x).astype(np.float64)
    assert y.mean() == pytest.approx(0, abs=0.02) and y.var() == pytest.approx(1, abs=0.03)
    _, counts = np.unique(y, return_counts=True)
    assert counts.max() / y.size == pytest.approx(rate, abs=0.01)  # the dropped ones share a value


@pytest.mark.parametrize("make", [AlphaDropout, GaussianDropout, GaussianNoise])
def test_no_noise_is_no_operation(make: Any) -> None:
    model = dp.Sequential([dp.Input((5,)), make(0.0), dp.layers.Dense(2)])
    model.compile("sgd", "mse")
    assert len(model.plan.spans["forward"]) == 1


@pytest.mark.parametrize("name", LAYERS)
def test_noise_is_saved_with_its_model(name: str, tmp_path: Any) -> None:
    model = dp.Sequential([dp.Input((5,)), LAYERS[name](seed=5), dp.layers.Dense(2)], seed=1)
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    model.save(tmp_path / "m")
    again = dp.load_model(tmp_path / "m")
    curves = [m.fit(X, X[:, :2], epochs=3, verbose=0).history["loss"] for m in (model, again)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("given", [-0.1, float("inf"), float("nan"), "1", True])
def test_bad_deviations_are_named(given: Any) -> None:
    with pytest.raises(ValueError, match=r"stddev must be a finite number of at least 0, received"):
        GaussianNoise(given)
    with pytest.raises(ValueError, match=r"rate must be a finite number of at least 0 and below 1, received"):
        AlphaDropout(given)

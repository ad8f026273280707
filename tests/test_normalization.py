"""BatchNormalization, LayerNormalization, RMSNormalization and Normalization as a user of Keras knows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltaprop as dp

BatchNorm, LayerNorm, RMSNorm = dp.layers.BatchNormalization, dp.layers.LayerNormalization, dp.layers.RMSNormalization
Normalization = dp.layers.Normalization

X = np.random.default_rng(3).normal(5, 3, size=(40, 6))


def model_of(*layers: dp.layers.Layer, shape: tuple[int, ...] = (6,), **compiled: Any) -> dp.Sequential:
    model = dp.Sequential([dp.Input(shape), *layers], dtype="float64", seed=1)
    model.compile(dp.optimizers.SGD(0.0), "mse", **compiled)
    return model


@pytest.mark.parametrize("eager", [False, True])
def test_batch_norm_trains_with_the_batch_and_predicts_with_moving_statistics(eager: bool) -> None:
    layer = BatchNorm(momentum=0.9)
    model = model_of(layer, run_eagerly=eager)
    assert [v.name.split("/")[1] for v in model.variables] == ["gamma", "beta", "moving_mean", "moving_variance"]
    mean, variance = np.zeros(6), np.ones(6)
    for batch in (X[:20], X[20:]):
        y = (batch - batch.mean(0)) / np.sqrt(batch.var(0) + 1e-3)
        assert model.train_on_batch(batch, np.zeros_like(batch)) == pytest.approx(np.mean(y**2), rel=1e-12)
        mean, variance = 0.9 * mean + 0.1 * batch.mean(0), 0.9 * variance + 0.1 * batch.var(0)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-12)
    expected = (X - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-12)
    np.testing.assert_allclose(model(X[0]), expected[0], rtol=1e-12)
    assert model.evaluate(X, np.zeros_like(X), verbose=0) == pytest.approx(np.mean(expected**2), rel=1e-12)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-12)  # as before


@pytest.mark.parametrize("eager", [False, True])
def test_a_call_in_training_takes_the_statistics_of_its_rows_and_moves_the_others(eager: bool) -> None:
    layer = dp.layers.BatchNormalization(momentum=0.9)
    model = dp.Sequential([dp.Input((3,)), layer], dtype="float64")
    model.compile("sgd", "mse", run_eagerly=eager)
    x = np.random.default_rng(0).normal(3, 2, size=(50, 3))
    np.testing.assert_allclose(model(x, training=True), (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), rtol=1e-9)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * x.mean(0), rtol=1e-12)
    layer.trainable = False
    np.testing.assert_array_equal(model(x, training=True), model.predict(x, verbose=0))


def test_a_frozen_batch_norm_uses_and_keeps_the_moving_statistics() -> None:
    layer = BatchNorm(center=False, scale=False)
    model = model_of(layer)
    model.train_on_batch(X, X)
    before = model.get_weights()
    layer.trainable = False
    still = np.mean((model.predict(X, verbose=0) - X) ** 2)
    assert model.train_on_batch(X, X) == pytest.approx(still, rel=1e-12)
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    layer.trainable = True
    model.train_on_batch(X, X)
    assert not np.array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 3000])
def test_constant_columns_and_single_rows_stay_finite(rows: int, dtype: str) -> None:
    """Equal numbers have exactly themselves as mean, however many there are."""
    layers = [BatchNorm(), LayerNorm(), RMSNorm(), dp.layers.Dense(1)]
    model = dp.Sequential([dp.Input((3,)), *layers], dtype=dtype, seed=1)
    model.compile("adam", "mse")
    x = np.tile([1000.1, 0.0, -7e5], (rows, 1))
    history = model.fit(x, np.ones(rows), batch_size=rows, epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(model.predict(x, verbose=0)).all()
    layer = model.layers[0]
    np.testing.assert_allclose(layer.moving_variance.numpy(), np.full(3, 0.99**3), rtol=1e-6)  # after three zeros


def test_layer_norm_and_rms_norm() -> None:
    def parts(layer: dp.layers.Layer) -> np.ndarray:
        return model_of(layer).predict(X, verbose=0)

    centre, rms = X - X.mean(1, keepdims=True), np.mean(X**2, 1, keepdims=True)
    np.testing.assert_allclose(parts(LayerNorm()), centre / np.sqrt(X.var(1, keepdims=True) + 1e-3), rtol=1e-12)
    np.testing.assert_allclose(parts(RMSNorm()), X / np.sqrt(rms + 1e-6), rtol=1e-12)


def test_batch_norm_helps_a_badly_scaled_problem() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 8)) * 10.0 ** np.arange(-2, 6) + 100
    y = np.sign(x - x.mean(0)).sum(1)
    losses = []
    for first in ([], [BatchNorm()]):
        model = dp.Sequential([dp.Input((8,)), *first, dp.layers.Dense(16, "tanh"), dp.layers.Dense(1)], seed=1)
        model.compile(dp.optimizers.Adam(0.01), "mse")
        losses.append(model.fit(x, y, epochs=20, verbose=0).history["loss"][-1])
    assert losses[1] < losses[0] / 3


# ---- Normalization


@pytest.mark.parametrize("first", ["adapt", "build"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "bool"])
def test_adapt_before_and_after_building(dtype: str, first: str) -> None:
    data = (X > 5 if dtype == "bool" else (abs(X) * 10).astype(dtype))[:, ::-1]
    layer = Normalization()
    if first == "adapt":
        layer.adapt(data)
    model = dp.Sequential([dp.Input((6,)), layer], dtype="float64")
    layer.adapt(data)
    exact = data.astype("float64")
    np.testing.assert_allclose(layer.mean.numpy(), exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(layer.variance.numpy(), exact.var(0), rtol=1e-12)
    expected = (exact - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-9, atol=1e-12)
    assert model.trainable_variables == [] and [v.size for v in model.variables] == [6, 6]


def test_adapt_reads_long_data_in_pieces() -> None:
    x = np.random.default_rng(1).normal(1e4, 1, size=(10_000, 3))
    layer = Normalization()
    layer.adapt(x)
    dp.Sequential([dp.Input((3,)), layer], dtype="float64")
    np.testing.assert_allclose(layer.variance.numpy(), x.var(0), rtol=1e-12)


@pytest.mark.parametrize("axis", [None, -1, 1, 2, (1, 2), (-1, -2)])
def test_axes_that_keep_their_own_statistics(axis: Any) -> None:
    x = np.random.default_rng(1).integers(0, 256, size=(50, 3, 4), dtype=np.uint8)
    layer = Normalization(axis=axis)
    layer.adapt(x)
    model = dp.Sequential([dp.Input((3, 4)), layer], dtype="float64")
    kept = () if axis is None else tuple(a % 3 for a in (axis if isinstance(axis, tuple) else (axis,)))
    over = tuple(a for a in range(3) if a not in kept)
    expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-9, atol=1e-12)


def test_constant_columns_become_zero_and_invert_is_the_way_back() -> None:
    x = np.column_stack([X[:, 0], np.full(len(X), 0.1)])
    there, back = Normalization(), Normalization(mean=x.mean(0), variance=x.var(0), invert=True)
    there.adapt(x)
    model = dp.Sequential([dp.Input((2,)), there, back], dtype="float64")
    np.testing.assert_allclose(model.predict(x, verbose=0), x, rtol=1e-12)
    scaled = dp.Sequential([dp.Input((2,)), there], dtype="float64").predict(x, verbose=0)
    np.testing.assert_allclose(scaled[:, 1], 0, atol=1e-8)


def test_without_statistics_a_model_says_so_and_nothing_changes() -> None:
    layer = Normalization()
    model = dp.Sequential([dp.Input((6,)), layer, dp.layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    for use in (lambda: model.predict(X, verbose=0), lambda: model.fit(X, X[:, 0], verbose=0), lambda: model(X)):
        with pytest.raises(ValueError, match=r"'normalization'.*no statistics yet; call its adapt"):
            use()
    layer.adapt(X)
    assert np.isfinite(model.predict(X, verbose=0)).all()
    with pytest.raises(ValueError, match="NaN or infinity"):
        layer.adapt(np.full((2, 6), np.nan))
    with pytest.raises(ValueError, match=r"data must have shape \(n_samples, 6\)"):
        layer.adapt(X[:, :5])
    np.testing.assert_allclose(layer.mean.numpy(), X.mean(0), rtol=1e-6)


def test_weights_of_another_model_are_statistics_too() -> None:
    adapted, other = Normalization(), Normalization()
    adapted.adapt(X)
    models = [dp.Sequential([dp.Input((6,)), layer]) for layer in (adapted, other)]
    models[1].set_weights(models[0].get_weights())
    np.testing.assert_array_equal(*(m.predict(X, verbose=0) for m in models))


# ---- files, words and arguments


def test_models_with_statistics_are_saved_and_trained_on(tmp_path: Any) -> None:
    normalization = Normalization(axis=None)
    normalization.adapt(X)
    layers = [
        normalization, dp.layers.Dense(5), BatchNorm(momentum=0.5, epsilon=0.01, gamma_regularizer="l2"), LayerNorm(),
        RMSNorm(), Normalization(mean=[0.5], variance=2.0, invert=True), dp.layers.Dense(1),
    ]  # fmt: skip
    model = dp.Sequential([dp.Input((6,)), *layers], seed=1)
    model.compile("adam", "mse")
    model.fit(X, X[:, 0], verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = dp.load_model(tmp_path / "m.safetensors")
    assert again.get_config() == model.get_config()
    for m in (model, again):
        m.fit(X, X[:, 0], epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))


def test_the_summary_tells_trainable_from_other_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    dp.Sequential([dp.Input((6,)), BatchNorm(), dp.layers.Dense(1)]).summary()
    out = capsys.readouterr().out
    for line in ("Total params: 31", "Trainable params: 19", "Non-trainable params: 12"):
        assert line in out


def test_weight_decay_skips_gamma_and_beta() -> None:
    model = dp.Sequential([dp.Input((6,)), LayerNorm()])
    assert not any(v.decays for v in model.variables)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNorm(axis=0), "axis must be -1.*received 0"),
        (lambda: BatchNorm(momentum=1.0), "of at least 0 and below 1, received 1.0"),
        (lambda: BatchNorm(epsilon=0), "epsilon must be a finite number above 0, received 0"),
        (lambda: LayerNorm(epsilon="small"), "epsilon must be a finite number above 0, received 'small'"),
        (lambda: Normalization(axis=0), "received 0"),
        (lambda: Normalization(mean=1.0), "both mean and variance"),
        (lambda: Normalization(mean=1.0, variance=-1.0), "must not be negative, received -1.0"),
        (lambda: Normalization(mean=np.nan, variance=1.0), "mean must be finite numbers, received nan"),
        (lambda: Normalization(mean=0.0, variance=1.0).adapt(X), "has the mean and variance it was constructed with"),
        (lambda: Normalization(axis=3).adapt(X), r"axis \(3,\) is none of rows of 1 axes"),
        (lambda: Normalization().adapt(X[:0]), "data"),
        (lambda: dp.Sequential([dp.Input((6,)), Normalization(mean=[0, 1], variance=1)]), "do not fit rows of shape"),
        (lambda: dp.Sequential([dp.Input((2, 3)), BatchNorm()]), "put a Flatten layer before it"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

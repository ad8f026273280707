"""Layers that use another layer's weights, transposed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltaprop as dp

Dense, DenseTranspose = dp.layers.Dense, dp.layers.DenseTranspose


def tied(n_in: int = 20, units: int = 7, **arguments: Any) -> dp.Sequential:
    down = Dense(units, "sigmoid", name="down")
    return dp.Sequential([dp.Input((n_in,)), down, DenseTranspose(down, "tanh", name="up")], seed=3, **arguments)


@pytest.mark.parametrize("units", [1, 2, 7, 17, 40])
def test_the_output_is_that_of_the_transposed_kernel(units: int, dtype: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(9, 20))
    model = tied(units=units, dtype=dtype)
    model.layers[1].bias.assign(rng.normal(size=20))
    w, b, c = (v.numpy().astype(float) for v in model.variables)
    expected = np.tanh(1 / (1 + np.exp(-x @ w - b)) @ w.T + c)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=64 * np.finfo(dtype).eps)
    rows = np.array([model(row) for row in x.astype(dtype)])
    assert np.array_equal(rows, model.predict(x, verbose=0))


def test_the_kernel_is_one_variable_with_both_gradients(rng: np.random.Generator) -> None:
    """One step of gradient descent against central differences by the kernel."""
    x = rng.normal(size=(30, 20))
    model = tied(dtype="float64")
    assert [v.shape for v in model.variables] == [(20, 7), (7,), (20,)]
    assert model.count_params() == 20 * 7 + 7 + 20
    model.compile(dp.optimizers.SGD(1.0), "half_squared_error")
    w = model.layers[0].kernel
    start, numeric = w.numpy(), np.empty((20, 7))
    for i in np.ndindex(20, 7):
        ends = []
        for step in (1e-5, -1e-5):
            moved = start.copy()
            moved[i] += step
            w.assign(moved)
            ends.append(model.evaluate(x, x, verbose=0))
        numeric[i] = (ends[0] - ends[1]) / 2e-5
    w.assign(start)
    model.train_on_batch(x, x)
    gradient = start - w.numpy()
    assert np.linalg.norm(gradient - numeric) < 1e-7 * np.linalg.norm(gradient + numeric)


@pytest.mark.parametrize("units", [3, 7, 40])
def test_a_decoder_alone_trains_the_kernel_row_by_row(units: int, dtype: str, rng: np.random.Generator) -> None:
    """The copy of the weights that it reads follows each step; its weights are those of the other layer."""
    codes, x = rng.normal(size=(12, units)), np.tanh(rng.normal(size=(12, 20)))
    kernels = []
    for eagerly in (False, True):
        whole = tied(units=units, dtype=dtype)
        before = whole.layers[0].kernel.numpy()
        code = dp.Input((units,))
        decoder = dp.Model(code, whole.get_layer("up")(code), seed=1)
        decoder.compile(dp.optimizers.SGD(0.1), "mse", run_eagerly=eagerly)
        decoder.fit(codes, x, epochs=2, batch_size=1, verbose=0)
        kernels.append(whole.layers[0].kernel.numpy())
        assert not np.array_equal(kernels[-1], before)
    np.testing.assert_allclose(kernels[0], kernels[1], atol=5e3 * np.finfo(dtype).eps)


def test_threads_do_not_change_the_bits_of_restarts(rng: np.random.Generator) -> None:
    x = rng.normal(size=(50, 20))
    weights = []
    for threads in (1, 2):
        model = tied(units=130)
        model.compile("adam", "mse")
        with_threads = dp.get_num_threads()
        dp.set_num_threads(threads)
        try:
            model.fit(x, x, epochs=2, batch_size=20, restarts=2, verbose=0)
        finally:
            dp.set_num_threads(with_threads)
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights))


def test_a_decoder_alone_has_the_kernel_among_its_variables(tmp_path: Path, rng: np.random.Generator) -> None:
    whole = tied(dtype="float64")
    code = dp.Input((7,))
    decoder = dp.Model(code, whole.get_layer("up")(code))
    assert decoder.dtype == "float64"
    assert decoder.variables == [whole.layers[1].bias, whole.layers[0].kernel]
    decoder.save_weights(tmp_path / "decoder.safetensors")
    before = decoder.get_weights()
    decoder.compile(dp.optimizers.SGD(0.1, use_ema=True), "mse")
    x, y = rng.normal(size=(9, 7)), np.tanh(rng.normal(size=(9, 20)))
    with pytest.warns(UserWarning, match="begin with the same weights"):  # the kernel belongs to a layer elsewhere
        history = decoder.fit(x, y, restarts=2, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert all(np.any(a != b) for a, b in zip(decoder.get_weights(), before))
    decoder.load_weights(tmp_path / "decoder.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(decoder.get_weights(), before))
    whole.layers[0].trainable = False
    assert decoder.trainable_variables == [whole.layers[1].bias]
    decoder.fit(rng.normal(size=(9, 7)), np.tanh(rng.normal(size=(9, 20))), verbose=0)
    assert np.array_equal(decoder.get_weights()[1], before[1])


@pytest.mark.parametrize("graph", [False, True], ids=["sequential", "graph"])
def test_a_saved_model_is_tied_again(graph: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.normal(size=(40, 20))
    model: dp.Model = tied()
    if graph:
        model = dp.Model(model.input, model.output, seed=3)
    model.compile("adam", "mse")
    model.fit(x, x, epochs=2, verbose=0)
    model.save(tmp_path / "tied.safetensors")
    for again in (dp.load_model(tmp_path / "tied.safetensors"), pickle.loads(pickle.dumps(model))):
        assert again.get_layer("up").tied_to is again.get_layer("down")
        expected = [w.copy() for w in model.get_weights()]
        assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected))
        again.fit(x, x, epochs=1, verbose=0)
        twin = pickle.loads(pickle.dumps(model))
        twin.fit(x, x, epochs=1, verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), twin.get_weights()))


def test_the_plan_prints_the_transposed_product() -> None:
    model = tied()
    model.compile("sgd", "mse")
    text = " ".join(str(model.plan).split())
    assert "dense_transposed.tanh a2 = tanh(a1 W1' + b2) (20, 7)" in text
    assert "gW1 = dz2' a1" in text and "gW1 += x' dz1" in text


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    dense = Dense(3)
    with pytest.raises(ValueError, match=r"tied_to must be the Dense layer.*Flatten"):
        DenseTranspose(dp.layers.Flatten())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="in no model yet; call that one on its input first"):
        DenseTranspose(dense)(dp.Input((3,)))
    x = dp.Input((5,))
    h = dense(x)
    with pytest.raises(ValueError, match=r"takes rows of shape \(3,\).*received rows of shape \(5,\)"):
        DenseTranspose(dense)(x)
    with pytest.raises(ValueError, match="'nobody', which is not there"):
        DenseTranspose("nobody")(h)
    with pytest.raises(ValueError, match="must be built before it"):
        dp.Model(h, DenseTranspose(dense)(h))
    whole = tied()
    with pytest.raises(ValueError, match="its own are float32"):
        code = dp.Input((7,))
        dp.Model(code, DenseTranspose(whole.layers[0])(code), dtype="float64")
    code = dp.Input((7,))
    decoder = dp.Model(code, whole.get_layer("up")(code))
    with pytest.raises(ValueError, match="tied to a layer named 'down', which is not there"):
        decoder.save(tmp_path / "decoder.safetensors")

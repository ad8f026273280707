"""RBF: what it computes, k-means, learning in one step and in two; the operations are swept in test_executor.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltaprop as dp

Dense, RBF = dp.layers.Dense, dp.layers.RBF


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("n, units", [(1, 1), (2, 30), (17, 3), (3, 100)])
def test_formula(n: int, units: int, eager: bool, dtype: str, rng: np.random.Generator) -> None:
    layer = RBF(units)
    model = dp.Sequential([dp.Input((n,)), layer], dtype=dtype)
    model.compile("sgd", "mse", run_eagerly=eager)
    x, c, s = rng.normal(size=(20, n)), rng.normal(size=(n, units)), rng.uniform(1, 2, units)
    layer.set_weights([c, -s])  # the sign does not matter
    x, c, s = (a.astype(dtype).astype("float64") for a in (x, c, s))
    expected = np.exp(-np.square(x[:, :, np.newaxis] - c).sum(axis=1) / (2 * s**2))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5 if dtype == "float32" else 1e-13)
    np.testing.assert_allclose(model(x[:1]), expected[:1], rtol=1e-5 if dtype == "float32" else 1e-13)


def test_starts_with_widths_like_the_distances_of_standardised_rows() -> None:
    model = dp.Sequential([dp.Input((25,)), RBF(400)], seed=3)
    centers, widths = model.layers[0].get_weights()
    assert abs(centers.std() - 1) < 0.02 and np.all(widths == 5)


def clusters(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows around the corners of a square of side 10, and the corners."""
    corners = np.array([[0.0, 0], [0, 10], [10, 0], [10, 10]])
    return np.repeat(corners, 50, axis=0) + rng.normal(size=(200, 2)), corners


@pytest.mark.parametrize("built", [False, True])
def test_adapt_finds_clusters(built: bool, rng: np.random.Generator) -> None:
    pytest.importorskip("sklearn")
    x, corners = clusters(rng)
    layer = RBF(4)
    if built:
        dp.Sequential([dp.Input((2,)), layer])
    layer.adapt(x)
    if not built:
        dp.Sequential([dp.Input((2,)), layer])
    found = layer.centers.numpy().T
    order = np.lexsort((found[:, 1].round(-1), found[:, 0].round(-1)))
    np.testing.assert_allclose(found[order], corners, atol=0.5)
    # The two nearest other centres lie at 10 each.
    np.testing.assert_allclose(layer.widths.numpy(), 10, rtol=0.05)
    layer.adapt(x, neighbors=3)
    np.testing.assert_allclose(layer.widths.numpy(), np.sqrt((100 + 100 + 200) / 3), rtol=0.05)
    layer.adapt(x, neighbors=1)
    assert layer.widths.numpy().max() < 10.5
    again = RBF(4)
    again.adapt(x, neighbors=1)
    dp.Sequential([dp.Input((2,)), again])
    for a, b in zip(layer.get_weights(), again.get_weights()):
        assert np.array_equal(a, b)


def test_adapt_of_one_unit(rng: np.random.Generator) -> None:
    """Mean, and the root mean square distance from it."""
    pytest.importorskip("sklearn")
    x = rng.normal(size=(100, 3))
    layer = RBF(1, input_dim=3)
    layer.adapt(x)
    dp.Sequential([layer])
    np.testing.assert_allclose(layer.centers.numpy()[:, 0], x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layer.widths.numpy(), np.sqrt(x.var(axis=0).sum()), rtol=1e-5)


@pytest.mark.parametrize("trainable", [True, False])
def test_learns_rings(trainable: bool, rng: np.random.Generator) -> None:
    """What no plane separates, with fixed units and with learned ones."""
    pytest.importorskip("sklearn")
    radius, angle = np.repeat([1.0, 2.0, 3.0], 100), rng.uniform(0, 2 * np.pi, 300)
    x, y = np.c_[radius * np.cos(angle), radius * np.sin(angle)], radius == 2
    layer = RBF(20, trainable=trainable)
    layer.adapt(x)
    model = dp.Sequential([dp.Input((2,)), layer, Dense(1, "sigmoid")], seed=1)
    model.compile(dp.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    before = layer.get_weights()
    model.fit(x, y, epochs=100, verbose=0)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.98
    for a, b in zip(before, layer.get_weights()):
        assert np.array_equal(a, b) != trainable


def test_weight_decay_leaves_centers_and_widths_alone(rng: np.random.Generator) -> None:
    """Far from all rows there is no gradient, and only decay could move them."""
    layer = RBF(2)
    model = dp.Sequential([dp.Input((2,)), layer, Dense(1)])
    layer.set_weights([np.full((2, 2), 100.0), np.ones(2)])
    model.compile(dp.optimizers.SGD(0.1, weight_decay=0.1), "mse")
    model.fit(rng.normal(size=(20, 2)), np.ones(20), verbose=0)
    assert np.all(layer.centers.numpy() == 100) and np.all(layer.widths.numpy() == 1)


def test_save_and_load(tmp_path: Path, rng: np.random.Generator) -> None:
    model = dp.Sequential([dp.Input((3,)), RBF(5, "glorot_uniform", "ones", trainable=False), Dense(1)])
    path = tmp_path / "rbf.safetensors"
    model.save(path)
    x = rng.normal(size=(10, 3))
    again = dp.load_model(path)
    assert np.array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
    assert again.layers[0].get_config() == model.layers[0].get_config()


def test_trains_in_single_rows_as_in_the_reference(rng: np.random.Generator) -> None:
    """The transposed centres are read, and are fresh after each step."""
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 1))
    weights = []
    for eager in (False, True):
        model = dp.Sequential([dp.Input((5,)), Dense(20, "tanh"), RBF(18), RBF(3), Dense(1)], dtype="float64", seed=2)
        model.compile(dp.optimizers.Adam(0.05), "mse", run_eagerly=eager)
        model.fit(x, y, batch_size=1, epochs=3, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


BAD: dict[str, tuple[Any, str]] = {
    "no units": (lambda: RBF(0), "units must be an integer of at least 1, received 0"),
    "images": (lambda: dp.Sequential([dp.Input((2, 3)), RBF(2)]), "put a Flatten layer"),
    "no neighbours": (lambda: RBF(2).adapt([[1.0], [2.0]], neighbors=0), "neighbors must be an integer of at least 1"),
    "no rows": (lambda: RBF(2).adapt(np.zeros((0, 2))), "data has no rows"),
    "a NaN": (lambda: RBF(2).adapt([[1.0], [np.nan]]), "NaN or infinity, first in row 1"),
    "numbers": (lambda: RBF(2).adapt([1.0, 2.0]), "takes rows that are vectors"),
    "another width": (lambda: RBF(2, input_dim=3).adapt([[1.0], [2.0]]), r"must have shape \(n_samples, 3\)"),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD.keys())
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_too_few_different_rows() -> None:
    pytest.importorskip("sklearn")
    layer = RBF(3)
    dp.Sequential([dp.Input((1,)), layer])
    before = layer.get_weights()
    with pytest.raises(ValueError, match="has 3 units, and data has 2 different rows only"):
        layer.adapt([[1.0], [2.0], [2.0], [1.0]])
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights()))


def test_adapted_to_rows_of_another_width() -> None:
    pytest.importorskip("sklearn")
    layer = RBF(2)
    layer.adapt([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"shape \(3, 2\), received an array of shape \(2, 2\)"):
        dp.Sequential([dp.Input((3,)), layer])


def test_adapt_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(ImportError, match=r'pip install "deltaprop\[rbf\]"'):
        RBF(1).adapt([[1.0]])


def test_restarts_begin_with_what_it_adapted_to(rng: np.random.Generator) -> None:
    """Built before or after: without an epoch that changes anything, each training has the same start."""
    pytest.importorskip("sklearn")
    x = rng.normal(size=(50, 2))
    layer = RBF(6)
    model = dp.Sequential([dp.Input((2,)), layer, Dense(1, kernel_initializer="ones")])
    layer.adapt(x)
    before = layer.get_weights()
    model.compile(dp.optimizers.SGD(0.0), "mse")
    with pytest.warns(UserWarning, match="begin with the same weights"):
        history = model.fit(x, x[:, :1], restarts=3, verbose=0, epochs=1)
    assert len(set(history.restart_losses)) == 1
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights()))


@pytest.mark.parametrize("eager", [False, True])
def test_a_row_too_far_away_for_its_distance_changes_nothing(eager: bool, dtype: str) -> None:
    far = 2e19 if dtype == "float32" else 1e200
    model = dp.Sequential([dp.Input((2,)), RBF(3), Dense(1)], dtype=dtype)
    model.compile("sgd", "mse", run_eagerly=eager)
    model.fit([[0.0, 1.0], [far, 0.0]], [1.0, 1.0], verbose=0, epochs=2)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("size", [1e-15, 1.0, 1e15])
def test_units_of_the_data_do_not_matter(size: float, rng: np.random.Generator) -> None:
    pytest.importorskip("sklearn")
    x = rng.normal(size=(100, 2))
    outputs = []
    for scale in (1.0, size):
        layer = RBF(4)
        layer.adapt(x * scale)
        outputs.append(dp.Sequential([dp.Input((2,)), layer]).predict(x * scale, verbose=0))
    np.testing.assert_allclose(*outputs, rtol=2e-4)


def test_an_array_is_no_initializer() -> None:
    with pytest.raises(ValueError, match="initializer"):
        RBF(3, np.ones((3, 3)))

"""The symmetries of weight space: M! 2^M weight vectors of a tanh layer compute one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deltaprop as dp

TABLE = settings(deadline=None, max_examples=40, derandomize=True, database=None)

Arrays = list[np.ndarray]


def predictions(activation: str, weights: Arrays, x: np.ndarray) -> np.ndarray:
    """Outputs of a network with one hidden layer."""
    w, b, v, c = weights
    model = dp.Sequential(
        [dp.Input((w.shape[0],)), dp.layers.Dense(w.shape[1], activation), dp.layers.Dense(v.shape[1])],
        dtype="float64",
    )
    model.set_weights([w, b, v, c])
    return model.predict(x, verbose=0)


@st.composite
def networks(draw: Callable[..., Any]) -> tuple[Arrays, np.ndarray, np.random.Generator]:
    """Weights, rows, and a generator for what is done to them."""
    n_in, units, n_out = draw(st.integers(1, 6)), draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = [(n_in, units), (units,), (units, n_out), (n_out,)]
    return [rng.normal(size=s) for s in shapes], rng.normal(size=(draw(st.integers(1, 9)), n_in)), rng


def allowed(tolerance: dict[str, float], weights: Arrays) -> float:
    """Rounding errors are proportional to the sum of absolute terms; activations are at most some units here."""
    return float(tolerance["symmetry"] * np.finfo(np.float64).eps * (1 + np.abs(weights[2]).sum(axis=0).max()))


# All but the one that takes small rounding errors to large outputs.
@pytest.mark.parametrize("activation", [name for name in dp.activations.ACTIVATIONS if name != "exponential"])
def test_permuting_hidden_units_leaves_predictions_unchanged(activation: str, tolerance: dict[str, float]) -> None:
    @TABLE
    @given(networks())
    def check(network: tuple[Arrays, np.ndarray, np.random.Generator]) -> None:
        (w, b, v, c), x, rng = network
        order = rng.permutation(w.shape[1])
        before = predictions(activation, [w, b, v, c], x)
        after = predictions(activation, [w[:, order], b[order], v[order], c], x)
        assert np.abs(after - before).max() <= allowed(tolerance, [w, b, v, c])

    check()


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_flipping_the_signs_around_odd_units_leaves_predictions_unchanged(
    activation: str, tolerance: dict[str, float]
) -> None:
    @TABLE
    @given(networks())
    def check(network: tuple[Arrays, np.ndarray, np.random.Generator]) -> None:
        (w, b, v, c), x, rng = network
        sign = rng.choice([-1.0, 1.0], w.shape[1])
        before = predictions(activation, [w, b, v, c], x)
        after = predictions(activation, [w * sign, b * sign, v * sign[:, np.newaxis], c], x)
        assert np.abs(after - before).max() <= allowed(tolerance, [w, b, v, c])

    check()


def test_flipping_the_signs_around_a_sigmoid_unit_changes_predictions(tolerance: dict[str, float]) -> None:
    """What is not odd has no such symmetry: the property above can fail."""
    rng = np.random.default_rng(0)
    w, b, v, c = (rng.normal(size=s) for s in ((3, 5), (5,), (5, 2), (2,)))
    x = rng.normal(size=(4, 3))
    before, after = predictions("sigmoid", [w, b, v, c], x), predictions("sigmoid", [-w, -b, -v, c], x)
    assert np.abs(after - before).max() > 1e6 * allowed(tolerance, [w, b, v, c])


def test_training_keeps_the_symmetry(tolerance: dict[str, float], dtype: str, assert_close: Any) -> None:
    """Gradients are permuted and flipped as the weights are, so trained networks stay equivalent."""
    rng = np.random.default_rng(1)
    w, b, v, c = (rng.normal(size=s) for s in ((3, 20), (20,), (20, 1), (1,)))
    x, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    order, sign = rng.permutation(20), rng.choice([-1.0, 1.0], 20)
    trained = []
    for weights in ([w, b, v, c], [(w * sign)[:, order], (b * sign)[order], (v.T * sign).T[order], c]):
        model = dp.Sequential([dp.Input((3,)), dp.layers.Dense(20, "tanh"), dp.layers.Dense(1)], dtype=dtype, seed=0)
        model.set_weights(weights)
        model.compile(dp.optimizers.SGD(0.01, momentum=0.9), "mse")
        model.fit(x, y, batch_size=10, epochs=3, verbose=0)
        trained.append(model.get_weights())
    (w, b, v, c), (w2, b2, v2, c2) = trained
    for actual, expected in ((w2, (w * sign)[:, order]), (b2, (b * sign)[order]), (v2, (v.T * sign).T[order]), (c2, c)):
        assert_close(actual, expected, "epochs", dtype)

"""Constraints hold after every update, with Keras's formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltaprop as dp

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 3))


def updated(constraint: Any, bias: bool = False, epochs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A kernel or bias after full-batch SGD steps: what the last step alone gives, and what is kept."""
    name = "bias_constraint" if bias else "kernel_constraint"
    model, plain = (
        dp.Sequential([dp.Input((5,)), dp.layers.Dense(3, **given)], dtype="float64", seed=2)
        for given in ({name: constraint}, {})
    )
    for m in (model, plain):
        m.compile(dp.optimizers.SGD(0.5), "mse")
    for _ in range(epochs - 1):
        model.train_on_batch(X, Y)
    plain.set_weights(model.get_weights())
    for m in (model, plain):
        m.train_on_batch(X, Y)
    return plain.get_weights()[bias], model.get_weights()[bias]


def norm(w: np.ndarray, axis: Any) -> np.ndarray:
    return np.linalg.norm(w, axis=axis, keepdims=True)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), [1]])
@pytest.mark.parametrize("epochs", [1, 4])
def test_norms_are_limited_as_in_keras(axis: Any, epochs: int) -> None:
    axes = tuple(axis) if isinstance(axis, list) else axis
    w, kept = updated(dp.constraints.MaxNorm(0.6, axis), epochs=epochs)
    n = norm(w, axes)
    np.testing.assert_allclose(kept, w * np.clip(n, 0, 0.6) / (n + 1e-7), rtol=1e-12)
    w, kept = updated(dp.constraints.UnitNorm(axis), epochs=epochs)
    np.testing.assert_allclose(kept, w / (norm(w, axes) + 1e-7), rtol=1e-12)
    w, kept = updated(dp.constraints.MinMaxNorm(0.4, 0.6, 0.25, axis), epochs=epochs)
    n = norm(w, axes)
    np.testing.assert_allclose(kept, w * (0.25 * np.clip(n, 0.4, 0.6) + 0.75 * n) / (n + 1e-7), rtol=1e-12)


def test_a_bias_has_one_norm() -> None:
    w, kept = updated("unit_norm", bias=True)
    np.testing.assert_allclose(kept, w / (np.linalg.norm(w) + 1e-7), rtol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_negative_weights_become_zero(bias: bool) -> None:
    w, kept = updated(dp.constraints.NonNeg(), bias)
    assert np.array_equal(kept, np.maximum(w, 0)) and (w < 0).any()


@pytest.mark.parametrize(
    "cls, name",
    [
        (dp.layers.BatchNormalization, "gamma"), (dp.layers.LayerNormalization, "beta"),
        (dp.layers.RMSNormalization, "gamma"), (dp.layers.PReLU, "alpha"),
    ],
)  # fmt: skip
def test_scales_shifts_and_slopes_are_constrained_and_penalised(cls: Any, name: str, tmp_path: Any) -> None:
    def made(**how: Any) -> dp.Sequential:
        initial = {"alpha_initializer": "ones"} if name == "alpha" else {}
        layers = [cls(**initial, **how), dp.layers.Dense(3)]
        model = dp.Sequential([dp.Input((5,)), *layers], dtype="float64", seed=2)
        model.compile(dp.optimizers.SGD(0.5), "mse")
        return model

    def variable(model: dp.Sequential) -> np.ndarray:
        return np.asarray(getattr(model.layers[0], name).numpy())

    limit, penalty = dp.constraints.MaxNorm(0.1), dp.regularizers.L2(0.3)
    constrained = made(**{f"{name}_constraint": limit, f"{name}_regularizer": penalty})
    penalised, plain = made(**{f"{name}_regularizer": penalty}), made()
    squares = 0.3 * np.sum(variable(plain) ** 2)
    assert penalised.evaluate(X, Y, verbose=0) - plain.evaluate(X, Y, verbose=0) == pytest.approx(squares)
    constrained.save(tmp_path / "m")
    again = dp.load_model(tmp_path / "m")
    for model in (constrained, again, penalised, plain):
        model.train_on_batch(X, Y)
    if name != "beta":  # which is still zero
        assert np.abs(variable(penalised) - variable(plain)).max() > 0.1
    w = variable(penalised)
    np.testing.assert_allclose(variable(constrained), w * min(norm(w, 0)[0], 0.1) / (norm(w, 0)[0] + 1e-7), rtol=1e-12)
    np.testing.assert_array_equal(variable(again), variable(constrained))


def test_weights_that_are_zero_stay_zero() -> None:
    layer = dp.layers.Dense(3, kernel_initializer="zeros", kernel_constraint="unit_norm")
    model = dp.Sequential([dp.Input((5,)), layer])
    model.compile("sgd", "mse")
    model.train_on_batch(X * 0, Y)
    assert (layer.kernel.numpy() == 0).all()


def test_frozen_weights_are_left_alone() -> None:
    layer = dp.layers.Dense(3, kernel_constraint="unit_norm")
    model = dp.Sequential([dp.Input((5,)), layer])
    layer.kernel.trainable = False
    model.compile("sgd", "mse")
    before = layer.kernel.numpy()
    model.fit(X, Y, verbose=0)
    assert np.array_equal(layer.kernel.numpy(), before)


def test_predictions_use_the_constrained_weights(dtype: str) -> None:
    """Forward and backward read other copies of the weights than the update writes."""
    model = dp.Sequential([dp.Input((5,)), dp.layers.Dense(70, "tanh"),
                           dp.layers.Dense(3, kernel_constraint="unit_norm"),
                           dp.layers.Dense(3, kernel_constraint=dp.constraints.MaxNorm(0.5, axis=1))], dtype=dtype)
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=3, verbose=0)
    again = dp.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert np.array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max_norm", dp.constraints.MaxNorm(2, 0)), ("MaxNorm", dp.constraints.MaxNorm(2, 0)),
        ("non_neg", dp.constraints.NonNeg()), ("UnitNorm", dp.constraints.UnitNorm(0)),
        ("min_max_norm", dp.constraints.MinMaxNorm(0.0, 1.0, 1.0, 0)),
    ],
)  # fmt: skip
def test_names_have_keras_values(name: str, expected: dp.constraints.Constraint) -> None:
    constraint = dp.constraints.get(name)
    assert type(constraint) is type(expected)
    assert constraint is not None and constraint.get_config() == expected.get_config()
    assert dp.constraints.max_norm is dp.constraints.MaxNorm

"""Activations: the textbook's derivatives, extremes, Keras's names and layers; values are tested in cpp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop import textbook_activations
from deltaprop.activations import ACTIVATIONS, Activation

SLOPED = [name for name, a in ACTIVATIONS.items() if not a.rowwise and a.reads != "nothing"]


def model_of(*layers: dp.layers.Layer, width: int = 3, **arguments: Any) -> dp.Sequential:
    return dp.Sequential([dp.Input((width,)), *layers], seed=1, **arguments)


def formulas(name: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Value, slope and curvature of an activation with its usual constant, all from the input."""
    value, derivative, curvature = textbook_activations.ACTIVATIONS[name]
    assert derivative is not None and curvature is not None
    alpha = ACTIVATIONS[name].alpha or 0.0

    def read(z: np.ndarray) -> np.ndarray:
        return z if ACTIVATIONS[name].reads == "input" else np.asarray(value(z, alpha))

    return (
        lambda z: value(z, alpha),
        lambda z: np.asarray(derivative(read(z), alpha)),
        lambda z: np.asarray(curvature(read(z), alpha)),
    )


def test_log_softmax_is_the_logarithm_of_softmax() -> None:
    z = np.array([[1.0, -2.0, 0.5], [1e30, 0.0, 1e30]])
    both = [model_of(dp.layers.Activation(name), dtype="float64")(z) for name in ("softmax", "log_softmax")]
    np.testing.assert_allclose(np.exp(both[1]), both[0], rtol=1e-14)
    assert both[1][1, 1] == -1e30  # where the softmax is 0


@pytest.mark.parametrize("name", SLOPED)
@pytest.mark.parametrize("order", [1, 2])
def test_textbook_derivatives_equal_central_differences(
    name: str, order: int, kinks: dict[str, tuple[float, ...]], rng: np.random.Generator
) -> None:
    z = rng.uniform(-8, 8, 400)
    for kink in kinks.get(name, ()):
        z = z[np.abs(z - kink) > 1e-3]
    below, above = formulas(name)[order - 1 : order + 1]
    h = 1e-5
    numeric = (below(z + h) - below(z - h)) / (2 * h)
    assert np.linalg.norm(above(z) - numeric) <= 1e-7 * max(np.linalg.norm(numeric), 1.0)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_finite_from_minus_to_plus_1e30(name: str, dtype: str, eager: bool) -> None:
    z = np.array([0, 1e-30, 1, 10, 30, 80, 100, 800, 1e4, 1e10, 1e20, 1e30])
    z = np.concatenate([z, -z])[:, np.newaxis].astype(dtype)
    if name == "exponential":
        z = z[z[:, 0] <= 80]  # what can be written in float32
    model = model_of(dp.layers.Activation(name), width=1, dtype=dtype)
    model.compile("sgd", "mse", run_eagerly=eager)
    a = model.predict(z, verbose=0)
    assert np.isfinite(a).all()
    if name in SLOPED:
        for derivative in formulas(name)[1:]:
            assert np.isfinite(derivative(z)).all()
            assert np.isfinite(derivative(z.astype("float64"))).all()


@pytest.mark.parametrize("name", [name for name in SLOPED if name != "exponential"])
def test_a_step_from_huge_rows_is_finite(name: str, dtype: str) -> None:
    """Both executors, whose slopes of what overflowed would be NaN."""
    x = np.array([[1e30], [-1e30], [1e4], [-1e4], [50], [-50], [0]], dtype)
    changes = []
    for eager in (False, True):
        model = model_of(dp.layers.Dense(1, name, kernel_initializer="ones"), width=1, dtype=dtype)
        model.compile(dp.optimizers.SGD(1e-3, clipvalue=1.0), "mae", run_eagerly=eager)
        model.train_on_batch(x, np.zeros((7, 1)))
        changes.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    assert np.isfinite(changes).all()
    np.testing.assert_allclose(changes[0], changes[1], rtol=1e-4)


# ---- names and constants


def test_keras_names() -> None:
    for name in ("silu", "swish", "leaky_relu", "relu6", "hard_sigmoid", "log_softmax", "selu", "celu"):
        assert dp.activations.get(name) is getattr(dp.activations, name)
    assert dp.activations.swish is dp.activations.silu
    assert repr(dp.activations.leaky_relu) == "<activation leaky_relu: a if a > 0 else alpha a, alpha = 0.2>"


def test_constants_are_kept_in_the_configuration() -> None:
    changed = dp.activations.elu.with_alpha(0.5)
    assert dp.activations.serialize(changed) == {"name": "elu", "alpha": 0.5}
    assert dp.activations.serialize(dp.activations.elu) == "elu"
    again = dp.activations.get(dp.activations.serialize(changed))
    assert (again.name, again.alpha, again.reads) == ("elu", 0.5, "output")


LAYERS: dict[str, tuple[Callable[[], dp.layers.Layer], list[float]]] = {
    "leaky": (lambda: dp.layers.LeakyReLU(), [-0.6, -0.0, 8.0]),
    "leaky with a slope": (lambda: dp.layers.LeakyReLU(negative_slope=0.5), [-1.0, -0.0, 8.0]),
    "relu": (lambda: dp.layers.ReLU(), [0.0, 0.0, 8.0]),
    "relu with a slope": (lambda: dp.layers.ReLU(negative_slope=0.5), [-1.0, -0.0, 8.0]),
    "relu with a largest value": (lambda: dp.layers.ReLU(max_value=2), [0.0, 0.0, 2.0]),
    "elu": (lambda: dp.layers.ELU(alpha=2.0), [2 * math.expm1(-2), 0.0, 8.0]),
    "celu": (
        lambda: dp.layers.Activation(dp.activations.celu.with_alpha(2.0)), [2 * math.expm1(-1), 0.0, 8.0]
    ),
    "softmax": (lambda: dp.layers.Softmax(), (np.exp([-10, -8, 0]) / np.exp([-10, -8, 0]).sum()).tolist()),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, expected = LAYERS[name]
    np.testing.assert_allclose(model_of(make())([[-2.0, 0.0, 8.0]])[0], expected, rtol=1e-4)


def test_an_activation_layer_as_an_argument() -> None:
    """Keras's way to give a dense layer's activation a constant."""
    layer = dp.layers.Dense(3, activation=dp.layers.LeakyReLU(0.5))
    assert (layer.activation.name, layer.activation.alpha) == ("leaky_relu", 0.5)
    assert layer.get_config()["activation"] == {"name": "leaky_relu", "alpha": 0.5}


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a negative slope": (lambda: dp.layers.LeakyReLU(-0.1), "negative_slope must be .* of at least 0, received -0.1"),
    "a slope that is no number": (lambda: dp.layers.LeakyReLU("x"), "of at least 0, received 'x'"),
    "no alpha": (lambda: dp.layers.ELU(0.0), "alpha must be a finite number above 0, received 0.0"),
    "an infinite alpha": (lambda: dp.activations.celu.with_alpha(math.inf), "finite number above 0, received inf"),
    "a constant that is not there": (lambda: dp.activations.tanh.with_alpha(2), "tanh has no constant"),
    "a threshold": (lambda: dp.layers.ReLU(threshold=1.0), r"must be 0, received 1.0; .*Activation\(\(value"),
    "two kinds of ReLU": (lambda: dp.layers.ReLU(6, 0.1), "not both"),
    "slopes shared along another axis": (lambda: dp.layers.PReLU(shared_axes=[2]), r"received \[2\]"),
    "slopes of an image": (lambda: dp.Sequential([dp.Input((2, 3)), dp.layers.PReLU()]), "put a Flatten layer"),
    "another axis": (lambda: dp.layers.Softmax(axis=0), "axis must be -1, the units of a row, received 0"),
    "softmax of an image": (
        lambda: dp.Sequential([dp.Input((2, 3)), dp.layers.Activation("log_softmax")]), "put a Flatten layer"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()


# ---- learned slopes


def test_prelu_learns_the_slope_of_the_data(dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(dtype)
    slopes = np.array([0.5, -0.25, 0.1])
    for shared, target in ((None, slopes), ([1], 0.5)):
        layer = dp.layers.PReLU(shared_axes=shared)
        model = model_of(layer, dtype=dtype)
        model.compile(dp.optimizers.Adam(0.02), "mse")
        model.fit(x, np.where(x > 0, x, target * x), epochs=60, verbose=0)
        np.testing.assert_allclose(layer.get_weights()[0], np.atleast_1d(target), atol=1e-3)


def test_weight_decay_skips_learned_slopes() -> None:
    layer = dp.layers.PReLU("ones")
    model = model_of(layer)
    model.compile(dp.optimizers.AdamW(0.1, weight_decay=0.5), "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 3)), verbose=0)
    np.testing.assert_array_equal(layer.get_weights()[0], np.ones(3))


# ---- activations without a slope

X, Y = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), np.array([[1.0], [0.0]])


@pytest.mark.parametrize("activation", [dp.activations.step, dp.activations.sign], ids=lambda a: a.name)
@pytest.mark.parametrize("eager", [False, True])
def test_what_has_no_slope_predicts_and_evaluates_but_does_not_train(activation: Activation, eager: bool) -> None:
    model = model_of(dp.layers.Dense(1, activation))
    model.set_weights([np.array([[6.0], [2.0], [2.0]]), np.array([-5.0])])  # the notes' decision
    model.compile("sgd", "mse", run_eagerly=eager)
    low = 0.0 if activation is dp.activations.step else -1.0
    np.testing.assert_array_equal(model.predict(X, verbose=0), [[1.0], [low]])
    assert model.evaluate(X, Y, verbose=0) == low**2 / 2
    before = model.get_weights()
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=f"derivative of '{activation.name}' is 0.*'sigmoid' or 'tanh'"):
            train(X, Y)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_layers_behind_one_without_a_slope_train() -> None:
    first = dp.layers.Dense(8, "step")
    first.trainable = False
    model = model_of(first, dp.layers.Dense(1))
    model.compile(dp.optimizers.SGD(0.05), "mse")
    history = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_both_executors_agree_at_the_extremes(name: str) -> None:
    z = np.array([100, 800, 1e4, 1e10, 1e20, 1e30])
    z = np.concatenate([-z, z])[:, np.newaxis]
    if name == "exponential":
        z = z[z[:, 0] < 700]  # what can be written in float64
    results = []
    for eager in (False, True):
        model = dp.Sequential([dp.Input((1,)), dp.layers.Activation(name)], dtype="float64")
        model.compile("sgd", "mse", run_eagerly=eager)
        results.append(model.predict(z, verbose=0))
    np.testing.assert_allclose(*results, rtol=1e-13, atol=1e-25)

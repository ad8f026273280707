"""Losses: values against closed forms and scikit-learn, extremes, targets of another width, arguments, saving."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

import deltaprop as dp

RNG = np.random.default_rng(7)
N, K = 40, 3
X = RNG.normal(size=(N, K))
Y = RNG.normal(size=(N, K))
COUNTS = RNG.poisson(2, (N, K)).astype(float)
BITS = RNG.integers(0, 2, (N, K)).astype(float)
IDS = RNG.integers(0, K, N)
ONE_HOT = np.eye(K)[IDS]
L = dp.losses


def identity(units: int, loss: Any, activation: str | None = None, dtype: str = "float64", **compiled: Any) -> Any:
    """A model whose outputs, before the activation, are its inputs."""
    model = dp.Sequential([dp.Input((units,)), dp.layers.Dense(units, activation)], dtype=dtype)
    model.set_weights([np.eye(units), np.zeros(units)])
    model.compile(dp.optimizers.SGD(1.0), loss, **compiled)
    return model


def value(loss: Any, p: Any, y: Any, activation: str | None = None, dtype: str = "float64") -> float:
    p = np.asarray(p)
    return identity(p.shape[1], loss, activation, dtype).evaluate(p, y, verbose=0)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


E = X - Y
S, P = sigmoid(X), softmax(X)
SIDES = 2 * BITS - 1


def smooth(y: np.ndarray, s: float, n: int) -> np.ndarray:
    return y * (1 - s) + s / n


def binary(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def focal(y: np.ndarray, p: np.ndarray, gamma: float, w: Any = 1.0) -> float:
    return float(np.mean(w * (y * (1 - p) + (1 - y) * p) ** gamma * binary(y, p)))


CASES: dict[str, tuple[Any, np.ndarray, str | None, float]] = {
    "huber": ("huber", Y, None, np.mean(np.where(abs(E) <= 1, E**2 / 2, abs(E) - 0.5))),
    "huber-delta": (L.Huber(0.3), Y, None, np.mean(np.where(abs(E) <= 0.3, E**2 / 2, 0.3 * abs(E) - 0.045))),
    "log_cosh": ("log_cosh", Y, None, np.mean(np.log(np.cosh(E)))),
    "mape": ("mape", Y, None, 100 * sk.mean_absolute_percentage_error(Y, X)),
    "msle": ("msle", COUNTS, "sigmoid", np.mean((np.log1p(np.maximum(COUNTS, 1e-7)) - np.log1p(S)) ** 2)),
    "poisson": ("poisson", COUNTS, "sigmoid", np.mean(S - COUNTS * np.log(S + 1e-7))),
    "kl": ("kld", P[::-1], "softmax", np.mean(np.sum(P[::-1] * np.log(P[::-1] / P), axis=1))),
    "hinge": ("hinge", SIDES, None, np.mean(np.maximum(1 - SIDES * X, 0))),
    "hinge-of-bits": ("hinge", BITS, None, np.mean(np.maximum(1 - SIDES * X, 0))),
    "squared_hinge": ("squared_hinge", SIDES, None, np.mean(np.maximum(1 - SIDES * X, 0) ** 2)),
    "categorical_hinge": (
        "categorical_hinge", ONE_HOT, None,
        np.mean(np.maximum(((1 - ONE_HOT) * X).max(axis=1) - (ONE_HOT * X).sum(axis=1) + 1, 0)),
    ),
    "cosine": (
        "cosine_similarity", Y, None,
        -np.mean((X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)),
    ),
    "pinball": (L.Quantile(0.2), Y, None, sk.mean_pinball_loss(Y, X, alpha=0.2)),
    "smoothed-binary": (
        L.BinaryCrossentropy(label_smoothing=0.2), BITS, "sigmoid", binary(smooth(BITS, 0.2, 2), S).mean(),
    ),
    "smoothed-categorical": (
        L.CategoricalCrossentropy(True, label_smoothing=0.2), ONE_HOT, None,
        -np.mean(np.sum(smooth(ONE_HOT, 0.2, K) * np.log(P), axis=1)),
    ),
    "focal": ("binary_focal_crossentropy", BITS, "sigmoid", focal(BITS, S, 2)),
    "focal-balanced": (
        L.BinaryFocalCrossentropy(True, 0.3, 1.5, from_logits=True, label_smoothing=0.1), BITS, None,
        focal(smooth(BITS, 0.1, 2), S, 1.5, smooth(BITS, 0.1, 2) * 0.3 + (1 - smooth(BITS, 0.1, 2)) * 0.7),
    ),
    "focal-categorical": (
        L.CategoricalFocalCrossentropy((0.2, 0.5, 0.9), 1.5), ONE_HOT, "softmax",
        -np.mean(np.sum(np.array([0.2, 0.5, 0.9]) * (1 - P) ** 1.5 * ONE_HOT * np.log(P), axis=1)),
    ),
    "focal-of-sigmoid": (
        "categorical_focal_crossentropy", ONE_HOT, "sigmoid",
        -np.mean(np.sum(0.25 * (1 - S / S.sum(1, keepdims=True)) ** 2 * ONE_HOT
                        * np.log(S / S.sum(1, keepdims=True)), axis=1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_equal_the_formula(name: str) -> None:
    loss, y, activation, expected = CASES[name]
    assert value(loss, X, y, activation) == pytest.approx(expected, rel=1e-9)
    assert value(loss, X, y, activation, "float32") == pytest.approx(expected, rel=3e-5)


@pytest.mark.parametrize("weight", [None, RNG.uniform(0, 3, N)], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", L.LOSSES)
def test_a_loss_alone_is_what_a_model_reports(name: str, weight: Any) -> None:
    loss, p = L.get(name), np.hstack([P, S[:, :1]])
    y: Any = np.eye(4)[IDS] if loss.one_hot else np.resize(BITS, (N, *loss.target_shape((4,))))
    y = IDS if loss.sparse else y
    expected = identity(4, name).evaluate(p, y, sample_weight=weight, verbose=0)
    assert loss(y, p, weight) == pytest.approx(expected, rel=1e-12)
    assert L.get(name)(y.tolist(), p, sample_weight=weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [name for name, cls in L.LOSSES.items() if "from_logits" in cls.arguments])
def test_a_loss_alone_is_as_exact_on_far_logits_as_in_a_model(name: str) -> None:
    loss, p = type(L.get(name))(from_logits=True), 100 * X
    y = IDS if loss.sparse else ONE_HOT
    expected = identity(3, loss).evaluate(p, y, verbose=0)
    assert expected > 17 * 0.75 * 0.25  # beyond -ln(1e-7), where probabilities are clipped, in every loss's scale
    assert loss(y, p) == pytest.approx(expected, rel=1e-12)


def test_a_loss_alone_applies_its_link_and_takes_vectors() -> None:
    for loss, y, p in ((L.BinaryCrossentropy, BITS, S), (L.CategoricalCrossentropy, ONE_HOT, P)):
        assert loss(from_logits=True)(y, X) == pytest.approx(loss()(y, p), rel=1e-9)
    assert L.get("mse")(Y[:, 0], X[:, 0]) == pytest.approx(np.mean(E[:, 0] ** 2), rel=1e-12)
    assert L.get(lambda y, p: (np.abs(p - y).sum(axis=1), None))(Y, X) == pytest.approx(np.abs(E).sum(axis=1).mean())


@pytest.mark.parametrize(
    ("loss", "y", "p", "weight", "message"),
    [
        ("mse", Y[:5], X, None, "y_true must have one entry per row: there are 40 rows, and y_true has 5"),
        ("mse", Y[:, :2], X, None, r"y_true must have shape \(n_samples, 3\).*received \(40, 2\)"),
        ("mse", Y, X * np.inf, None, "y_pred contains NaN or infinity"),
        ("mse", [], [], None, "y_pred has no rows"),
        ("mse", None, X, None, "y_true is missing"),
        ("mse", 1.0, 2.0, None, "y_true must have one entry per row, received the single number"),
        ("mse", Y, X, -np.ones(N), "sample_weight must not be negative"),
        ("bce", Y, X, None, "y_true must hold probabilities"),
        ("sparse_categorical_crossentropy", IDS + 1, X, None, "y_true must hold class ids from 0 to 2"),
        ("mse", Y, X, [1.0], "sample_weight must have one entry per row: there are 40 rows"),
        ("categorical_crossentropy", [0, 1, 0], [0.1, 0.8, 0.1], None, "needs an output for each class"),
        ("sparse_categorical_crossentropy", [0, 0], [0.1, 0.8], None, "needs an output for each class"),
    ],
)
def test_data_that_do_not_fit_a_loss_alone_are_refused(loss: str, y: Any, p: Any, weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        L.get(loss)(y, p, weight)


def test_several_quantiles_are_blocks_of_columns() -> None:
    p, y, levels = RNG.normal(size=(N, 6)), RNG.normal(size=(N, 2)), (0.1, 0.5, 0.9)
    blocks = np.split(p, 3, axis=1)
    expected = np.mean([sk.mean_pinball_loss(y, block, alpha=q) for q, block in zip(levels, blocks)])
    assert value(L.Quantile(levels), p, y) == pytest.approx(expected)


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_is_minus_the_log_density(full: bool) -> None:
    p, y = np.c_[RNG.normal(size=(N, 2)), RNG.uniform(0.1, 3, (N, 2))], RNG.normal(size=(N, 2))
    mean, variance = np.split(p, 2, axis=1)
    expected = np.mean(np.log(2 * np.pi * variance) / 2 + (y - mean) ** 2 / (2 * variance))
    expected -= 0 if full else np.log(2 * np.pi) / 2
    assert value(L.GaussianNLL(full), p, y) == pytest.approx(expected)


def test_a_variance_below_eps_counts_as_eps_and_can_come_back() -> None:
    model = identity(2, L.GaussianNLL(eps=0.25))
    loss = model.train_on_batch([[0.0, -3.0]], [1.0])
    assert loss == pytest.approx((np.log(0.25) + 4) / 2)
    bias = model.get_weights()[1]
    assert bias == pytest.approx([4.0, (16 - 4) / 2])  # torch's: the slope at eps


REGRESSIONS = ["huber", "log_cosh", "mae", "cosine_similarity", "quantile", "hinge", "categorical_hinge"]
LINKED = [
    L.BinaryCrossentropy(True, 0.1), L.BinaryFocalCrossentropy(gamma=0.5, from_logits=True),
    L.BinaryFocalCrossentropy(gamma=0.0, from_logits=True), L.CategoricalCrossentropy(True, 0.1),
    L.CategoricalFocalCrossentropy(gamma=0.5, from_logits=True), "poisson", "kl_divergence",
    L.BinaryFocalCrossentropy(gamma=0.5), L.CategoricalFocalCrossentropy(gamma=0.5), "binary_focal_crossentropy",
]  # fmt: skip


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("loss", [*REGRESSIONS, *LINKED], ids=str)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e4, 1e30])
def test_values_and_gradients_are_finite(loss: Any, size: float, eager: bool) -> None:
    """For outputs of any size, in float32; for losses on probabilities also outside of (0, 1)."""
    loss = L.get(loss)
    z = np.array([[1, -1, 0], [-1, 1, 1], [1, 1, 1], [0, 0, 0]], dtype=np.float32) * np.float32(size)
    model = dp.Sequential([dp.Input((3,)), dp.layers.Dense(3)])
    model.compile(dp.optimizers.SGD(1e-30), loss, run_eagerly=eager)
    model.set_weights([np.eye(3), np.zeros(3)])
    if not loss.from_logits and loss.link == "softmax":  # divided by its sum, which must not be zero
        z = np.abs(z) / max(size, 1e-3) + np.float32(1e-3)
    y = np.eye(3)[[0, 1, 2, 0]]
    model.fit(z, y, batch_size=4, verbose=0, shuffle=False)
    assert np.isfinite(model.history.history["loss"][0])
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("name", sorted(L.LOSSES))
def test_every_name_makes_a_loss_that_trains_and_is_saved(name: str, tmp_path: Any, targets_for: Any) -> None:
    loss = L.get(name)
    activation = {"sigmoid": "sigmoid", "softmax": "softmax"}.get(loss.link, "linear")
    if loss.function in ("poisson", "msle", "kl_divergence", "gaussian_nll"):
        activation = "sigmoid"
    model = dp.Sequential([dp.Input((3,)), dp.layers.Dense(4, activation)], seed=1)
    model.compile("adam", name, metrics=[L.get(name)])
    y = targets_for(loss, N, 4, np.random.default_rng(0))
    history = model.fit(X, y, epochs=30, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "m")
    again = dp.load_model(tmp_path / "m")
    assert again.loss.get_config() == model.loss.get_config()
    assert again.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
    assert str(again.plan) == str(model.plan)


ARGUMENTS = [
    L.Huber(0.5), L.Quantile([0.1, 0.9]), L.GaussianNLL(True, 1e-3), L.CategoricalFocalCrossentropy([1, 2, 3, 4], 1.0),
    L.BinaryFocalCrossentropy(True, 0.4, 1.0, label_smoothing=0.2), L.CategoricalCrossentropy(label_smoothing=0.1),
]  # fmt: skip


@pytest.mark.parametrize("loss", ARGUMENTS, ids=str)
def test_arguments_survive_a_file(loss: Any, tmp_path: Any) -> None:
    model = dp.Sequential([dp.Input((3,)), dp.layers.Dense(4, "sigmoid")])
    model.compile("adam", loss)
    model.save(tmp_path / "m")
    assert repr(dp.load_model(tmp_path / "m").loss) == repr(loss)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: L.Huber(0), ["delta", "above 0", "received 0"]),
        (lambda: L.Huber("1"), ["delta", "received '1'"]),
        (lambda: L.Quantile(1.0), ["quantiles", "above 0 and below 1", "received 1.0"]),
        (lambda: L.Quantile((0.1, 2)), [r"quantiles\[1\]", "received 2"]),
        (lambda: L.Quantile(()), ["quantiles", "at least one"]),
        (lambda: L.GaussianNLL(eps=-1), ["eps", "received -1"]),
        (lambda: L.BinaryCrossentropy(label_smoothing=1.5), ["label_smoothing", "at most 1", "received 1.5"]),
        (lambda: L.BinaryFocalCrossentropy(alpha=2), ["alpha", "received 2"]),
        (lambda: L.CategoricalFocalCrossentropy(gamma=-1), ["gamma", "received -1"]),
        (lambda: L.get("hubber"), ["unknown loss 'hubber'", "'huber'"]),
    ],
)
def test_bad_arguments_are_named(make: Any, words: list[str]) -> None:
    with pytest.raises(ValueError, match="(?s)" + ".*".join(words)):
        make()


@pytest.mark.parametrize(
    ("loss", "units", "y", "words"),
    [
        ("poisson", 1, [1, -2], ["not negative", "'poisson'", "from -2 to 1"]),
        ("msle", 1, [1, -2], ["not negative", "'msle'"]),
        ("hinge", 1, [1, 2], ["-1 and 1, or 0 and 1", "received 2"]),
        ("squared_hinge", 1, [0, -1], ["-1 and 1, or 0 and 1", "received 0 beside -1"]),
        ("kl_divergence", 1, [0.5, 1.5], ["from 0 to 1", "'kl_divergence'"]),
        ("binary_focal_crossentropy", 1, [0, 2], ["from 0 to 1", "from 0 to 2"]),
        (L.GaussianNLL(), 3, [1, 2], ["two outputs per target", "has 3 outputs"]),
        (L.GaussianNLL(), 4, [1, 2], [r"\(n_samples, 2\)", "gaussian_nll", r"\(4,\)"]),
        (L.Quantile((0.1, 0.5)), 3, [1, 2], ["2 outputs per target", "has 3 outputs"]),
        (L.CategoricalFocalCrossentropy((1, 2)), 3, [[1, 0, 0], [0, 1, 0]], ["alpha", "2 numbers", "3 outputs"]),
        ("categorical_focal_crossentropy", 3, [1, 2], ["to_categorical"]),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss: Any, units: int, y: Any, words: list[str]) -> None:
    model = dp.Sequential([dp.Input((1,)), dp.layers.Dense(units)])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match="(?s)" + ".*".join(words)):
        model.fit([[1.0], [2.0]], y, verbose=0)


def test_a_metric_that_needs_other_targets_than_the_loss_is_refused() -> None:
    model = dp.Sequential([dp.Input((1,)), dp.layers.Dense(4)])
    model.compile("sgd", L.GaussianNLL(), metrics=["mae"])
    with pytest.raises(ValueError, match=r"'mae' needs targets of shape \(4,\).*\(2,\)"):
        model.fit([[1.0]], [[1.0, 2.0]], verbose=0)


@pytest.mark.parametrize(
    ("loss", "units", "y"),
    [("sparse_categorical_crossentropy", 3, [0, 1, 2, 1]), ("categorical_crossentropy", 3, np.eye(3)[[0, 1, 2, 1]])],
)
def test_class_weight_for_a_class_that_is_not_there_is_refused(loss: str, units: int, y: Any) -> None:
    model = dp.Sequential([dp.Input((1,)), dp.layers.Dense(units, "softmax")])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match="class_weight names class 7; the classes are 0 to 2"):
        model.fit(np.ones((4, 1)), y, class_weight={7: 2}, verbose=0)

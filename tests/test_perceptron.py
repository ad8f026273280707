"""Perceptron and Adaline: what they learn, what they say of what they cannot learn, and what they refuse."""

import numpy as np
import pytest

import deltaprop as dp

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
NAND, AND, XOR = (1, 1, 1, 0), (0, 0, 0, 1), (0, 1, 1, 0)
NEURONS = [dp.Perceptron, dp.Adaline]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("lower", [0, -1])
@pytest.mark.parametrize("gate", [NAND, AND])
def test_perceptron_learns_what_a_line_separates(gate, lower, shuffle):
    y = np.where(gate, 1, lower)
    neuron = dp.Perceptron().fit(CORNERS, y, learning_rate=0.5, shuffle=shuffle, seed=3)
    assert neuron.predict(CORNERS).tolist() == y.tolist()
    assert neuron.score(CORNERS, y) == 1
    assert neuron.converged and neuron.separable
    assert neuron.errors_per_epoch[-1] == 0 and all(n > 0 for n in neuron.errors_per_epoch[:-1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_perceptron_reports_xor_as_not_separable(shuffle):
    with pytest.warns(UserWarning, match="not linearly separable"):
        neuron = dp.Perceptron().fit(CORNERS, XOR, shuffle=shuffle, seed=1)
    assert neuron.separable is False and not neuron.converged
    assert neuron.score(CORNERS, XOR) < 1


def test_perceptron_leaves_open_what_it_had_no_time_for():
    with pytest.warns(UserWarning, match="within 1 epochs"):
        neuron = dp.Perceptron().fit(CORNERS, AND, epochs=1)
    assert neuron.separable is None
    assert neuron.fit(CORNERS, AND).separable  # from where it was


def test_perceptron_rule_of_one_row():
    """w + η (y − ŷ) x, by hand."""
    with pytest.warns(UserWarning):
        neuron = dp.Perceptron((1.0, -2.0), 0.5).fit([[3.0, 1.0]], [0], epochs=1, learning_rate=0.1)
    np.testing.assert_allclose(neuron.weights, [0.7, -2.1])
    assert neuron.bias == pytest.approx(0.4)


def test_given_weights_decide():
    """The course notes' two neurons, and the two layers that XOR needs."""
    assert dp.Perceptron((6, 2, 2), -5).predict([[1, 0, 0], [0, 1, 1]]).tolist() == [1, 0]
    nand, either, both = dp.Perceptron((-2, -2), 3), dp.Perceptron((2, 2), -1), dp.Perceptron((2, 2), -3)
    assert nand.predict(CORNERS).tolist() == list(NAND)
    hidden = np.column_stack([nand.predict(CORNERS), either.predict(CORNERS)])
    assert both.predict(hidden).tolist() == list(XOR)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_adaline_finds_the_least_squares(batch_size, shuffle):
    """Exactly for the batch rule; the online rules keep a distance of the order of η."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    y = x @ [1.0, -2.0, 0.5] + rng.normal(size=100) > 0.3
    joined = np.column_stack([np.ones(100), x])
    best = np.linalg.lstsq(joined, np.where(y, 1.0, -1.0), rcond=None)[0]
    neuron = dp.Adaline().fit(x, y, 500, 0.005 if batch_size < 100 else 0.2, batch_size, shuffle, seed=2)
    np.testing.assert_allclose([neuron.bias, *neuron.weights], best, atol=1e-7 if batch_size == 100 else 0.03)
    assert neuron.loss_per_epoch[-1] < neuron.loss_per_epoch[0]
    assert len(neuron.errors_per_epoch) == len(neuron.loss_per_epoch)
    assert neuron.converged or shuffle


def test_adaline_settles_on_xor():
    neuron = dp.Adaline().fit(CORNERS, XOR, epochs=1000, learning_rate=0.5, batch_size=4)
    assert neuron.converged
    np.testing.assert_allclose([neuron.bias, *neuron.weights], 0, atol=1e-7)
    assert neuron.loss_per_epoch[-1] == pytest.approx(0.5)


def test_adaline_rule_of_one_row():
    """w + η (t − a) x, by hand: a = 1.5, t = −1."""
    neuron = dp.Adaline((1.0, -2.0), 0.5).fit([[3.0, 1.0]], [0], epochs=1, learning_rate=0.1)
    np.testing.assert_allclose(neuron.weights, [0.25, -2.25])
    assert neuron.bias == pytest.approx(0.25)


def test_adaline_says_when_the_learning_rate_is_too_large():
    neuron = dp.Adaline()
    with pytest.raises(dp.TrainingDiverged, match="smaller learning rate"):
        neuron.fit(CORNERS, AND, epochs=10000, learning_rate=10.0)
    assert np.isfinite(neuron.weights).all()


@pytest.mark.filterwarnings("ignore:the classes are not separated")
@pytest.mark.parametrize("neuron", NEURONS)
def test_same_seed_same_weights(neuron):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(30, 2)), rng.integers(2, size=30)
    fits = []
    for _ in range(2):
        dp.utils.set_random_seed(5)
        fits.append(neuron().fit(x, y, epochs=3, shuffle=True).weights)
    assert fits[0].tolist() == fits[1].tolist()


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"y": [0, 1, 2, 1]}, "labels 0 and 1, or -1 and 1, received .0, 1, 2."),
        ({"y": [0, 1, -1, 1]}, "labels"),
        ({"y": [0, 1]}, "one entry per row"),
        ({"y": np.eye(4)}, r"\(n_samples,\)"),
        ({"x": [1, 2, 3, 4]}, r"\(n_samples, n_features\), received \(4,\)"),
        ({"x": np.ones((4, 3))}, r"\(n_samples, 2\), received shape \(4, 3\)"),
        ({"x": CORNERS * np.nan}, "NaN"),
        ({"x": np.ones((0, 2)), "y": []}, "no rows"),
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"learning_rate": 0}, "learning_rate must be a finite number above 0"),
    ],
)
def test_fit_refuses_and_changes_nothing(neuron, arguments, message):
    unit = neuron((1, 2), 3)
    with pytest.raises(ValueError, match=message):
        unit.fit(**{"x": CORNERS, "y": AND, **arguments})
    assert unit.weights.tolist() == [1, 2] and unit.bias == 3


@pytest.mark.parametrize(
    "given, message",
    [({"weights": [[1, 2]]}, r"\(n_features,\)"), ({"bias": "1"}, "bias"), ({"weights": [np.inf]}, "NaN")],
)
def test_wrong_weights_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        dp.Perceptron(**given)


def test_a_neuron_without_weights_says_so():
    with pytest.raises(ValueError, match="call fit"):
        dp.Adaline().predict(CORNERS)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"tolerance": -1}])
def test_adaline_refuses(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dp.Adaline().fit(CORNERS, AND, **wrong)

"""Initial weights: moments, ranges, and independence of streams."""

import math

import numpy as np
import pytest

from deltaprop import initializers
from deltaprop.initializers import INITIALIZERS

N_IN, N_OUT = 400, 300
SHAPE = (N_IN, N_OUT)
ROOT = math.sqrt

DEVIATIONS = {
    "glorot_normal": ROOT(2 / (N_IN + N_OUT)),
    "glorot_uniform": ROOT(2 / (N_IN + N_OUT)),
    "he_normal": ROOT(2 / N_IN),
    "he_uniform": ROOT(2 / N_IN),
    "lecun_normal": ROOT(1 / N_IN),
    "lecun_uniform": ROOT(1 / N_IN),
    "random_normal": 0.05,
    "random_uniform": 0.05 / ROOT(3),
}


def draw(name, **arguments):
    return initializers.get(name)(SHAPE, "float64", **arguments)


@pytest.mark.parametrize("name", DEVIATIONS)
def test_mean_and_deviation(name):
    w = draw(name, seed=1)
    sigma = DEVIATIONS[name]
    error = 4 / ROOT(w.size)  # four standard errors
    assert abs(w.mean()) < error * sigma
    assert abs(w.std() / sigma - 1) < error
    kurtosis = np.mean(w**4) / np.mean(w**2) ** 2
    assert abs(kurtosis - (1.8 if name.endswith("uniform") else 3)) < 0.1


@pytest.mark.parametrize("name", [name for name in DEVIATIONS if name.endswith("uniform")])
def test_uniform_values_stay_within_their_limit(name):
    limit = ROOT(3) * DEVIATIONS[name]
    w = draw(name)
    assert 0.999 * limit < np.abs(w).max() <= limit


@pytest.mark.parametrize("name", DEVIATIONS)
def test_same_seed_same_values_and_streams_differ(name):
    w = draw(name, seed=3, stream=2)
    np.testing.assert_array_equal(draw(name, seed=3, stream=2), w)
    for other in (draw(name, seed=4, stream=2), draw(name, seed=3, stream=3)):
        assert not np.any(other == w)
        assert abs(np.corrcoef(w.ravel(), other.ravel())[0, 1]) < 4 / ROOT(w.size)


def test_own_seed_comes_before_the_models():
    init = initializers.HeNormal(seed=5)
    np.testing.assert_array_equal(init(SHAPE, seed=1), init(SHAPE, seed=2))


def test_float32_is_the_rounded_float64():
    init = initializers.get("he_normal")
    np.testing.assert_array_equal(init(SHAPE, "float32"), init(SHAPE, "float64").astype(np.float32))


def test_constants():
    np.testing.assert_array_equal(initializers.get("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.get("ones")((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(0.5)((3,)), [0.5] * 3)
    given = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(initializers.Constant(given)((2, 3)), given)


def test_a_constant_that_does_not_fit():
    with pytest.raises(ValueError, match=r"shape \(2,\).*shape \(3,\)"):
        initializers.Constant([1, 2])((3,))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_configuration_round_trip(name):
    init = initializers.get(name)
    again = initializers.get(initializers.serialize(init))
    assert type(again) is type(init)
    assert again.get_config() == init.get_config()
    assert initializers.get(type(init).__name__).get_config() == init.get_config()

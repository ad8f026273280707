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
    "truncated_normal": 0.05 * 0.87962566,
    "variance_scaling": ROOT(1 / N_IN),
}
KURTOSES = {"uniform": 1.8, "truncated": 2.3658, "normal": 3.0}  # of a normal that is cut at ±2: 2.3658


def family(name):
    if name.endswith("uniform"):
        return "uniform"
    return "normal" if name in ("random_normal", "untruncated_normal") else "truncated"


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
    assert abs(kurtosis - KURTOSES[family(name)]) < 0.1


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


@pytest.mark.parametrize("name", [name for name in DEVIATIONS if family(name) == "truncated"])
def test_truncated_values_lie_within_two_deviations(name):
    limit = 2 * DEVIATIONS[name] / 0.87962566
    assert 0.999 * limit < np.abs(draw(name)).max() <= limit


@pytest.mark.parametrize("count", [1, 2, 3, 5, 31, 1000])
def test_truncated_values_are_as_many_as_asked_for(count):
    assert initializers.TruncatedNormal()((count,)).shape == (count,)


@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform", "normal"])
@pytest.mark.parametrize("mode, n", [("fan_in", N_IN), ("fan_out", N_OUT), ("fan_avg", (N_IN + N_OUT) / 2)])
def test_variance_scaling(mode, n, distribution):
    w = initializers.VarianceScaling(3.0, mode, distribution)(SHAPE, "float64")
    assert abs(w.std() / ROOT(3 / n) - 1) < 4 / ROOT(w.size)
    expected = KURTOSES["truncated" if distribution == "normal" else family(distribution)]
    assert abs(np.mean(w**4) / np.mean(w**2) ** 2 - expected) < 0.1


@pytest.mark.parametrize("shape", [(7, 7), (3, 8), (8, 3), (1, 5), (5, 1)])
def test_orthogonal(shape):
    w = initializers.Orthogonal(gain=2.0)(shape, "float64", seed=3)
    gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-12)
    other = initializers.Orthogonal()(shape, "float64", seed=4)
    assert not np.allclose(2 * other, w) or w.size == max(shape)


def test_orthogonal_prefers_no_direction():
    """Without the signs of R's diagonal the first element would never be positive."""
    first = [initializers.Orthogonal()((3, 3), seed=seed)[0, 0] for seed in range(200)]
    assert abs(np.mean(first)) < 4 * ROOT(1 / 3) / ROOT(200)


def test_identity():
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), [[3, 0, 0], [0, 3, 0]])


def test_nguyen_widrow():
    w = initializers.get("nguyen_widrow")((2, 50), "float64")
    np.testing.assert_allclose(np.linalg.norm(w, axis=0), 0.7 * ROOT(50))
    b = initializers.NguyenWidrow(n_in=2)((50,), "float64")
    assert 0.9 * 0.7 * ROOT(50) < np.abs(b).max() <= 0.7 * ROOT(50)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: initializers.Orthogonal()((3,)), r"Orthogonal fills matrices, received the shape \(3,\)"),
        (lambda: initializers.Identity()((3,)), r"Identity fills matrices"),
        (lambda: initializers.NguyenWidrow()((3,)), r"received the shape \(3,\); NguyenWidrow\(n_in=...\) would do"),
        (lambda: initializers.VarianceScaling(0), "scale must be a finite number above 0, received 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "unknown mode 'fan'"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "unknown distribution 'cauchy'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("alias, name", [("normal", "random_normal"), ("uniform", "random_uniform"), ("zero", "zeros")])
def test_keras_aliases(alias, name):
    assert type(initializers.get(alias)) is INITIALIZERS[name]


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

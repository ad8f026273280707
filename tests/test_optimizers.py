"""Optimisers against their formulas on one weight matrix, clipping, decay, schedules, counters."""

import math

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.optimizers import SGD, Adam, AdamW, RMSprop

RNG = np.random.default_rng(4)
X = RNG.normal(size=(12, 3))
Y = RNG.normal(size=(12, 2))
W, B = RNG.normal(size=(3, 2)), RNG.normal(size=2)


def model_with(optimizer, dtype="float64"):
    model = dp.Sequential([dp.Input(shape=(3,)), dp.layers.Dense(2)], dtype=dtype, seed=0)
    model.set_weights([W, B])
    model.compile(optimizer, "mse")
    return model


def trained(optimizer, steps=4):
    model = model_with(optimizer)
    model.fit(X, Y, batch_size=12, epochs=steps, verbose=0, shuffle=False)
    assert optimizer.iterations == steps
    return model.get_weights()


def by_formula(rule, steps=4, change=lambda w, b, gw, gb: (gw, gb)):
    """`rule(p, g, state, t, is_bias)` returns the new parameter; state is a dict of its own for each parameter."""
    w, b, states = W, B, ({}, {})
    for t in range(1, steps + 1):
        delta = (X @ w + b - Y) / len(X)  # 2 / K = 1
        gw, gb = change(w, b, X.T @ delta, delta.sum(axis=0))
        w, b = rule(w, gw, states[0], t, False), rule(b, gb, states[1], t, True)
    return w, b


def sgd(lr=0.1, m=0.0, nesterov=False):
    def rule(p, g, state, t, is_bias):
        v = state["v"] = m * state.get("v", 0) - lr * g
        return p + m * v - lr * g if nesterov else p + v

    return rule


def rmsprop(lr=0.01, rho=0.9, m=0.0, eps=1e-7, centered=False):
    def rule(p, g, state, t, is_bias):
        v = state["v"] = rho * state.get("v", 0) + (1 - rho) * g * g
        if centered:
            mean = state["mean"] = rho * state.get("mean", 0) + (1 - rho) * g
            v = v - mean * mean
        step = state["step"] = m * state.get("step", 0) + lr * g / np.sqrt(v + eps)
        return p - step

    return rule


def adam(lr=0.01, b1=0.9, b2=0.999, eps=1e-7, amsgrad=False, decay=0.0):
    def rule(p, g, state, t, is_bias):
        p = p if is_bias else p - lr * decay * p
        m = state["m"] = state.get("m", 0) + (1 - b1) * (g - state.get("m", 0))
        v = state["v"] = state.get("v", 0) + (1 - b2) * (g * g - state.get("v", 0))
        if amsgrad:
            v = state["hat"] = np.maximum(state.get("hat", 0), v)
        return p - lr * math.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)

    return rule


FORMULAS = [
    (SGD(0.1), sgd()),
    (SGD(0.1, momentum=0.8), sgd(m=0.8)),
    (SGD(0.1, momentum=0.8, nesterov=True), sgd(m=0.8, nesterov=True)),
    (RMSprop(0.01), rmsprop()),
    (RMSprop(0.01, rho=0.7, momentum=0.5, epsilon=1e-3), rmsprop(rho=0.7, m=0.5, eps=1e-3)),
    (RMSprop(0.01, momentum=0.5, centered=True), rmsprop(m=0.5, centered=True)),
    (Adam(0.01), adam()),
    (Adam(0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-3), adam(b1=0.5, b2=0.9, eps=1e-3)),
    (Adam(0.01, beta_2=0.5, amsgrad=True), adam(b2=0.5, amsgrad=True)),
    (AdamW(0.01, weight_decay=0.5), adam(decay=0.5)),
]


@pytest.mark.parametrize("optimizer, rule", FORMULAS, ids=[f"{i}-{o.function}" for i, (o, _) in enumerate(FORMULAS)])
def test_updates_follow_the_formula(optimizer, rule):
    for result, expected in zip(trained(optimizer), by_formula(rule)):
        np.testing.assert_allclose(result, expected, rtol=1e-10)


@pytest.mark.parametrize("cls", [SGD, RMSprop, Adam, AdamW])
def test_weight_decay_leaves_biases_alone(cls):
    # Without a gradient, decay is all that moves a weight.
    model = model_with(cls(0.1, weight_decay=0.25))
    model.fit(X, X @ W + B, batch_size=12, epochs=2, verbose=0)
    w, b = model.get_weights()
    if cls is SGD:
        assert np.abs(w).sum() < np.abs(W).sum()
    still = model_with(cls(0.0, weight_decay=0.25))
    still.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(still.get_weights()[0], W)  # scaled by the learning rate

    frozen = model_with(cls(0.1, weight_decay=0.25))
    frozen.fit(X, Y, sample_weight=np.zeros(12), batch_size=12, epochs=2, verbose=0)
    w, b = frozen.get_weights()
    np.testing.assert_allclose(w, W * (1 - 0.1 * 0.25) ** 2, rtol=1e-12)
    np.testing.assert_array_equal(b, B)


def norm(*arrays):
    return math.sqrt(sum((a * a).sum() for a in arrays))


CLIPS = {
    "clipnorm": lambda w, b, gw, gb: tuple(g * min(1, 0.1 / norm(g)) for g in (gw, gb)),
    "clipvalue": lambda w, b, gw, gb: (np.clip(gw, -0.1, 0.1), np.clip(gb, -0.1, 0.1)),
    "global_clipnorm": lambda w, b, gw, gb: tuple(g * min(1, 0.1 / norm(gw, gb)) for g in (gw, gb)),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_clipping(kind):
    for result, expected in zip(trained(SGD(0.1, **{kind: 0.1})), by_formula(sgd(), change=CLIPS[kind])):
        np.testing.assert_allclose(result, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", CLIPS)
def test_clipping_above_every_gradient_changes_nothing(kind):
    for result, expected in zip(trained(SGD(0.1, **{kind: 1e6})), trained(SGD(0.1))):
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_penalties_enter_the_gradient_before_clipping():
    layer = dp.layers.Dense(2, kernel_regularizer=dp.regularizers.L2(10.0))
    model = dp.Sequential([dp.Input(shape=(3,)), layer], dtype="float64")
    model.set_weights([W, B])
    model.compile(SGD(0.1, clipnorm=0.1), "mse")
    model.fit(X, Y, batch_size=12, verbose=0)
    assert norm(layer.kernel.numpy() - W) == pytest.approx(0.01)


SCHEDULES = {
    "exponential": dp.schedules.ExponentialDecay(0.2, decay_steps=3, decay_rate=0.5),
    "staircase": dp.schedules.ExponentialDecay(0.2, decay_steps=2, decay_rate=0.5, staircase=True),
    "cosine": dp.schedules.CosineDecay(0.2, decay_steps=6),
    "piecewise": dp.schedules.PiecewiseConstantDecay([2, 4], [0.2, 0.1, 0.01]),
    "inverse time": dp.schedules.InverseTimeDecay(0.2, decay_steps=1, decay_rate=0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_followed_step_by_step(name):
    schedule = SCHEDULES[name]
    scheduled = model_with(SGD(schedule))
    by_hand = model_with(SGD(0.1))
    scheduled.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)  # nine steps
    for step in range(9):
        by_hand.optimizer.learning_rate = float(schedule(step))
        rows = slice(step % 3 * 4, step % 3 * 4 + 4)
        by_hand.train_on_batch(X[rows], Y[rows])
    for a, b in zip(scheduled.get_weights(), by_hand.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_schedule_goes_on_in_the_next_fit():
    once, twice = (model_with(SGD(SCHEDULES["exponential"], momentum=0.9)) for _ in range(2))
    once.fit(X, Y, batch_size=4, epochs=4, verbose=0)
    twice.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    twice.fit(X, Y, batch_size=4, epochs=4, initial_epoch=2, verbose=0)
    for a, b in zip(once.get_weights(), twice.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert twice.optimizer.iterations == 12


def test_the_learning_rate_can_be_set_between_fits():
    model = model_with(SGD(0.1))
    model.optimizer.learning_rate = 0.0
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], W)
    model.optimizer.learning_rate = 0.1
    model.fit(X, Y, verbose=0)
    assert not np.array_equal(model.get_weights()[0], W)


def test_compiling_again_starts_the_optimizer_afresh():
    model = model_with(Adam(0.01))
    model.fit(X, Y, batch_size=4, verbose=0)
    model.compile(Adam(0.01), "mse")
    assert model.optimizer.iterations == 0
    for v in model.variables:
        assert all(not s.numpy().any() for s in model.optimizer.slots_of(v))


@pytest.mark.parametrize("cls", [SGD, RMSprop, Adam, AdamW])
def test_names_in_any_case(cls):
    for name in (cls.__name__, cls.__name__.lower(), cls.__name__.upper()):
        assert type(dp.optimizers.get(name)) is cls


def test_keras_defaults():
    assert SGD().learning_rate == 0.01
    assert (RMSprop().learning_rate, RMSprop().rho, RMSprop().epsilon) == (0.001, 0.9, 1e-7)
    adam = Adam()
    assert (adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon) == (0.001, 0.9, 0.999, 1e-7)
    assert (AdamW().weight_decay, adam.weight_decay) == (0.004, None)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
        RMSprop(centered=True, global_clipnorm=2.0),
        Adam(SCHEDULES["cosine"], amsgrad=True, clipvalue=0.5),
        AdamW(weight_decay=0.1),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_configuration_round_trip(optimizer):
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()

"""Optimisers against their formulas on one weight matrix, clipping, decay, schedules, counters."""

import math

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop, Rprop

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


def adagrad(lr=0.01, start=0.1, eps=1e-7):
    def rule(p, g, state, t, is_bias):
        a = state["a"] = state.get("a", start) + g * g
        return p - lr * g / np.sqrt(a + eps)

    return rule


def adadelta(lr=1.0, rho=0.95, eps=1e-7):
    def rule(p, g, state, t, is_bias):
        a = state["a"] = rho * state.get("a", 0) + (1 - rho) * g * g
        step = np.sqrt(state.get("s", 0) + eps) / np.sqrt(a + eps) * g
        state["s"] = rho * state.get("s", 0) + (1 - rho) * step * step
        return p - lr * step

    return rule


def adamax(lr=0.01, b1=0.9, b2=0.999, eps=1e-7):
    def rule(p, g, state, t, is_bias):
        m = state["m"] = b1 * state.get("m", 0) + (1 - b1) * g
        u = state["u"] = np.maximum(b2 * state.get("u", 0), np.abs(g))
        return p - lr / (1 - b1**t) * m / (u + eps)

    return rule


def nadam(lr=0.01, b1=0.9, b2=0.999, eps=1e-7):
    def mu(t):
        return b1 * (1 - 0.5 * 0.96**t)

    def rule(p, g, state, t, is_bias):
        m = state["m"] = b1 * state.get("m", 0) + (1 - b1) * g
        v = state["v"] = b2 * state.get("v", 0) + (1 - b2) * g * g
        product = state["product"] = state.get("product", 1) * mu(t)
        m_hat = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
        return p - lr * m_hat / (np.sqrt(v / (1 - b2**t)) + eps)

    return rule


def lion(lr=0.01, b1=0.9, b2=0.99):
    def rule(p, g, state, t, is_bias):
        m = state.get("m", 0)
        state["m"] = b2 * m + (1 - b2) * g
        return p - lr * np.sign(b1 * m + (1 - b1) * g)

    return rule


def rprop(lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    """As in torch, whose state is the gradient with zeros where its sign has changed."""

    def rule(p, g, state, t, is_bias):
        sign = np.sign(g * state.get("prev", 0))
        factor = np.select([sign > 0, sign < 0], [etas[1], etas[0]], 1.0)
        state["step"] = np.clip(state.get("step", lr) * factor, *step_sizes)
        state["prev"] = np.where(sign < 0, 0.0, g)
        return p - np.sign(state["prev"]) * state["step"]

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
    (Adagrad(0.1), adagrad(0.1)),
    (Adagrad(0.1, initial_accumulator_value=0.0, epsilon=1e-3), adagrad(0.1, start=0.0, eps=1e-3)),
    (Adadelta(1.0), adadelta()),
    (Adadelta(0.5, rho=0.8, epsilon=1e-2), adadelta(0.5, rho=0.8, eps=1e-2)),
    (Adamax(0.01), adamax()),
    (Adamax(0.01, beta_1=0.5, beta_2=0.6, epsilon=1e-2), adamax(b1=0.5, b2=0.6, eps=1e-2)),
    (Nadam(0.01), nadam()),
    (Nadam(0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-2), nadam(b1=0.5, b2=0.9, eps=1e-2)),
    (Lion(0.01), lion()),
    (Lion(0.01, beta_1=0.5, beta_2=0.6), lion(b1=0.5, b2=0.6)),
    (Rprop(0.5), rprop(0.5)),  # so long that signs change
    (Rprop(0.1, etas=(0.4, 1.5), step_sizes=(0.09, 0.3)), rprop(0.1, (0.4, 1.5), (0.09, 0.3))),
    (Rprop(0.1, step_sizes=(0.2, 0.3)), rprop(0.1, step_sizes=(0.2, 0.3))),
]
ALL = list(dp.optimizers.OPTIMIZERS.values())


@pytest.mark.parametrize("optimizer, rule", FORMULAS, ids=[f"{i}-{o.function}" for i, (o, _) in enumerate(FORMULAS)])
def test_updates_follow_the_formula(optimizer, rule):
    for result, expected in zip(trained(optimizer, steps=8), by_formula(rule, steps=8)):
        np.testing.assert_allclose(result, expected, rtol=1e-10)


# One weight, gradients 1, 2, -1, 0.5: the numbers come from the formulas of keras.optimizers and, for Rprop,
# torch.optim, worked out in decimal arithmetic.
GRADIENTS = (1.0, 2.0, -1.0, 0.5)
WORKED = [
    (Adagrad(0.1), [0.904653745, 0.816092258, 0.856581074, 0.836739179]),
    (Adadelta(1.0), [0.998585788, 0.996787923, 0.997906285, 0.997307558]),
    (Adamax(0.1), [0.900000010, 0.823684224, 0.793949694, 0.765556211]),
    (Nadam(0.1), [0.893721230, 0.799107272, 0.832597168, 0.803511246]),
    (Lion(0.1), [0.9, 0.8, 0.9, 0.8]),
    (Rprop(0.1), [0.9, 0.78, 0.78, 0.72]),
]


@pytest.mark.parametrize("optimizer, expected", WORKED, ids=[o.function for o, _ in WORKED])
def test_worked_numbers(optimizer, expected):
    layer = dp.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = dp.Sequential([dp.Input((1,)), layer], dtype="float64")
    model.compile(optimizer, "half_squared_error")
    weights = []
    for g in GRADIENTS:
        model.train_on_batch([[1.0]], layer.kernel.numpy() - g)
        weights.append(layer.kernel.numpy().item())
    np.testing.assert_allclose(weights, expected, atol=1e-9)


def test_nadams_momentum_schedule_goes_on_anywhere():
    """The product of the schedule is a formula of the step, whether steps are counted in one call or many."""
    optimizer = Nadam(beta_1=0.999)
    whole = optimizer.scalars(0, 3000)
    for first in (0, 7, 1022, 1023, 1024, 2990):
        np.testing.assert_array_equal(optimizer.scalars(first, 10), whole[first : first + 10])


@pytest.mark.parametrize("cls", ALL)
def test_weight_decay_leaves_biases_alone(cls):
    # Without a gradient, decay is all that moves a weight.
    model = model_with(cls(0.1, weight_decay=0.25))
    model.fit(X, X @ W + B, batch_size=12, epochs=2, verbose=0)
    w, b = model.get_weights()
    if cls is SGD:
        assert np.abs(w).sum() < np.abs(W).sum()
    still = model_with(cls(0.0, weight_decay=0.25))
    still.fit(X, Y, verbose=0)
    if cls is not Rprop:
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


class Halving(dp.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1 if step < 4 else 0.05  # of one step only


SCHEDULES = {
    "one's own": Halving(),
    "one cycle": dp.schedules.OneCycle(0.2, total_steps=9),
    "warm-up": dp.schedules.WarmUp(dp.schedules.ExponentialDecay(0.2, 3, 0.5), warmup_steps=4),
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


@pytest.mark.parametrize("cls", ALL)
def test_names_in_any_case(cls):
    for name in (cls.__name__, cls.__name__.lower(), cls.__name__.upper()):
        assert type(dp.optimizers.get(name)) is cls


def test_keras_defaults():
    assert SGD().learning_rate == 0.01
    assert (RMSprop().learning_rate, RMSprop().rho, RMSprop().epsilon) == (0.001, 0.9, 1e-7)
    adam = Adam()
    assert (adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon) == (0.001, 0.9, 0.999, 1e-7)
    assert (AdamW().weight_decay, adam.weight_decay) == (0.004, None)
    for optimizer in (Adamax(), Nadam()):
        assert (optimizer.learning_rate, optimizer.constants) == (0.001, (0.9, 0.999, 1e-7))
    assert (Adagrad().learning_rate, Adagrad().initial_accumulator_value, Adagrad().epsilon) == (0.001, 0.1, 1e-7)
    assert (Adadelta().learning_rate, Adadelta().constants) == (0.001, (0.95, 1e-7))
    assert (Lion().learning_rate, Lion().constants) == (0.001, (0.9, 0.99))
    assert (Rprop().learning_rate, Rprop().constants) == (0.01, (0.5, 1.2, 1e-6, 50.0))  # torch's
    for cls in ALL:
        assert (cls().use_ema, cls().ema_momentum, cls().ema_overwrite_frequency) == (False, 0.99, None)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
        RMSprop(centered=True, global_clipnorm=2.0),
        Adam(SCHEDULES["cosine"], amsgrad=True, clipvalue=0.5),
        AdamW(weight_decay=0.1),
        Adagrad(initial_accumulator_value=0.3, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
        Adadelta(rho=0.5, name="mine"),
        Adamax(beta_1=0.5),
        Nadam(epsilon=1e-3),
        Lion(beta_2=0.5),
        Rprop(etas=(0.4, 1.3), step_sizes=(1e-5, 1.0)),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_configuration_round_trip(optimizer):
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()


# ---- moving averages of the weights


def averaged(steps, momentum, overwrite=None):
    """Gradient descent with averages by hand: (weights, averages) after those steps."""
    w = average = [W, B]
    for t in range(1, steps + 1):
        delta = (X @ w[0] + w[1] - Y) / len(X)
        w = [p - 0.1 * g for p, g in zip(w, (X.T @ delta, delta.sum(axis=0)))]
        average = w if t == 1 else [momentum * a + (1 - momentum) * p for a, p in zip(average, w)]
        if overwrite and t % overwrite == 0:
            w = average
    return w, average


@pytest.mark.parametrize("overwrite", [None, 1, 3])
@pytest.mark.parametrize("eager", [False, True])
def test_moving_averages(overwrite, eager):
    optimizer = SGD(0.1, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=overwrite)
    model = model_with(optimizer)
    model.compile(optimizer, "mse", run_eagerly=eager)
    for _ in range(5):
        model.train_on_batch(X, Y)
    weights, averages = averaged(5, 0.7, overwrite)
    for v, w, a in zip(model.variables, weights, averages):
        np.testing.assert_allclose(v.numpy(), w, rtol=1e-12)
        np.testing.assert_allclose(optimizer.average_of(v).numpy(), a, rtol=1e-12)


def test_fit_ends_with_the_averages():
    model = model_with(SGD(0.1, use_ema=True, ema_momentum=0.7))
    seen = []
    watch = dp.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()))
    model.fit(X, Y, batch_size=12, epochs=5, verbose=0, callbacks=[watch])
    weights, averages = averaged(5, 0.7)
    for result, expected in zip(seen[-1], weights):
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    for result, expected in zip(model.get_weights(), averages):
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_averages_leave_the_updates_alone():
    with_average, without = (model_with(Adam(0.01, use_ema=use)) for use in (True, False))
    for model in (with_average, without):
        for _ in range(4):
            model.train_on_batch(X, Y)
    for a, b in zip(with_average.get_weights(), without.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_layer_that_thaws_later_averages_from_its_weights_on():
    optimizer = SGD(0.1, use_ema=True, ema_momentum=0.5)
    model = model_with(optimizer)
    model.layers[0].kernel.trainable = False
    model.train_on_batch(X, Y)
    model.layers[0].kernel.trainable = True
    model.train_on_batch(X, Y)
    kernel = model.layers[0].kernel
    np.testing.assert_allclose(optimizer.average_of(kernel).numpy(), (W + kernel.numpy()) / 2, rtol=1e-12)


# ---- a learning rate per layer


def layered(first, second, optimizer, **more):
    model = dp.Sequential([
        dp.Input((3,)), dp.layers.Dense(4, "tanh", learning_rate_multiplier=first),
        dp.layers.Dense(2, learning_rate_multiplier=second),
    ], dtype="float64", seed=3)  # fmt: skip
    model.compile(optimizer, "mse", **more)
    return model


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("cls", [SGD, Adam, Nadam, Lion, Rprop, AdamW])
def test_a_layers_factor_scales_its_steps(cls, eager):
    """The first step from the same weights: factors scale what moves, weight decay included."""
    start = layered(1, 1, cls(0.05)).get_weights()
    plain, scaled = layered(1, 1, cls(0.05), run_eagerly=eager), layered(0.25, 3, cls(0.05), run_eagerly=eager)
    for model in (plain, scaled):
        model.train_on_batch(X, Y)
    for w, p, s, factor in zip(start, plain.get_weights(), scaled.get_weights(), (0.25, 0.25, 3, 3)):
        np.testing.assert_allclose(s - w, factor * (p - w), rtol=1e-9, atol=1e-14)


def test_a_layers_factor_can_change_between_fits_and_is_saved(tmp_path):
    model = layered(1, 1, SGD(0.1))
    model.train_on_batch(X, Y)
    model.layers[0].learning_rate_multiplier = 0
    before = model.get_weights()
    model.train_on_batch(X, Y)
    after = model.get_weights()
    assert [np.array_equal(a, b) for a, b in zip(before, after)] == [True, True, False, False]
    assert "lr = 0 * the optimiser's" in str(model.plan)
    model.save(tmp_path / "model")
    assert dp.load_model(tmp_path / "model").layers[0].learning_rate_multiplier == 0


@pytest.mark.parametrize("value", [-1, math.inf, math.nan, "0.1", True, None])
def test_a_factor_that_is_no_rate(value):
    with pytest.raises(ValueError, match=r"learning_rate_multiplier.*at least 0.*received"):
        dp.layers.Dense(3, learning_rate_multiplier=value)


BAD = [
    (lambda: Rprop(etas=(1.2, 0.5)), "etas must be one number below 1 and one above"),
    (lambda: Rprop(etas=0.5), "etas must be a list of at least one number"),
    (lambda: Rprop(step_sizes=(1.0, 0.1)), "step_sizes must be the least and the largest"),
    (lambda: Adagrad(initial_accumulator_value=-1), "initial_accumulator_value must be a finite number of at least 0"),
    (lambda: Adadelta(rho=2), "rho must be a finite number of at least 0 and at most 1"),
    (lambda: Nadam(beta_1=1), "beta_1 must be a finite number of at least 0 and below 1"),
    (lambda: SGD(use_ema=True, ema_momentum=1.5), "ema_momentum must be a finite number of at least 0 and at most 1"),
    (lambda: SGD(use_ema=True, ema_overwrite_frequency=0), "ema_overwrite_frequency must be an integer of at least 1"),
]


@pytest.mark.parametrize("make, message", BAD, ids=[message for _, message in BAD])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message + ".*received"):
        make()

"""Random restarts: which training stays, what of it, and that the others leave no trace."""

import math

import numpy as np
import pytest

import deltaprop as dp

RNG = np.random.default_rng(8)
X = RNG.normal(size=(40, 2))
Y = np.sin(3 * X[:, :1]) * X[:, 1:]


def network(optimizer=None, **more):
    model = dp.Sequential([dp.Input((2,)), dp.layers.Dense(5, "tanh"), dp.layers.Dense(1)], dtype="float64", seed=6)
    model.compile(optimizer or dp.optimizers.Adam(0.05), "mse", **more)
    return model


def fit(model, restarts, **more):
    return model.fit(X, Y, batch_size=10, epochs=6, verbose=0, restarts=restarts, **more)


def test_the_best_training_stays():
    model = network()
    history = fit(model, 5, validation_split=0.25)
    assert len(history.restart_losses) == 5 and len(set(history.restart_losses)) == 5
    assert history.restart == int(np.argmin(history.restart_losses))
    assert model.evaluate(X[30:], Y[30:], verbose=0) == pytest.approx(min(history.restart_losses), rel=1e-12)
    assert history.history["val_loss"][-1] == pytest.approx(min(history.restart_losses), rel=1e-12)
    assert len(history.epoch) == 6 and model.history is history
    assert (model.optimizer.iterations, model.epochs_done) == (18, 6)


def test_without_validation_the_loss_on_the_training_data_decides():
    model = network()
    history = fit(model, 3)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(min(history.restart_losses), rel=1e-12)


def test_the_first_training_is_the_one_without_restarts():
    plain, restarted = network(), network()
    alone = fit(plain, None)
    history = fit(restarted, 1)
    assert history.history == alone.history and history.restart == 0
    for v, w in zip(plain.get_weights(), restarted.get_weights()):
        np.testing.assert_array_equal(v, w)


@pytest.mark.parametrize("eager", [False, True])
def test_training_goes_on_from_the_best_as_if_it_had_been_the_only_one(eager):
    """Its optimiser's state stays, too: the next epoch is that of the same training alone."""
    many = network(run_eagerly=eager)
    best = fit(many, 4).restart
    starts = []
    watch = dp.callbacks.LambdaCallback(on_train_begin=lambda logs: starts.append(alone.get_weights()))
    alone = network(run_eagerly=eager)
    fit(alone, 4, callbacks=[watch])
    once = network(run_eagerly=eager)
    once.set_weights(starts[best])
    fit(once, None)
    for model in (many, once):
        model.fit(X, Y, batch_size=10, epochs=8, initial_epoch=6, verbose=0)
    for v, w in zip(many.get_weights(), once.get_weights()):
        np.testing.assert_array_equal(v, w)


def test_restarts_differ_by_the_models_seed_only():
    losses = [fit(network(), 3).restart_losses for _ in range(2)]
    assert losses[0] == losses[1]


def test_frozen_variables_keep_their_values():
    model = network()
    model.layers[0].kernel.trainable = False
    before = model.layers[0].kernel.numpy()
    fit(model, 3)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)


def test_weights_that_callbacks_restore_are_what_is_compared():
    model = network(dp.optimizers.SGD(0.3))
    stop = dp.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    history = fit(model, 4, validation_split=0.25, callbacks=[stop])
    assert min(history.history["val_loss"]) == pytest.approx(min(history.restart_losses), rel=1e-12)


def test_a_learning_rate_that_a_callback_changed_starts_again():
    rates = []
    watch = dp.callbacks.LambdaCallback(on_train_begin=lambda logs: rates.append(model.optimizer.learning_rate))
    model = network(dp.optimizers.SGD(0.1))
    fit(model, 3, callbacks=[watch, dp.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)])
    assert rates == [0.1, 0.1, 0.1]


def test_a_training_that_diverges_is_not_the_best():
    model = network(dp.optimizers.SGD(0.1))

    def poison(logs):
        model.optimizer.learning_rate = 1e300 if len(seen) == 0 else 0.1
        seen.append(1)

    seen = []
    history = fit(model, 3, callbacks=[dp.callbacks.LambdaCallback(on_train_begin=poison)])
    assert history.restart_losses[0] == math.inf and history.restart > 0
    assert np.isfinite(model.evaluate(X, Y, verbose=0))


def test_all_trainings_diverge():
    model = network(dp.optimizers.SGD(1e300))
    before = model.get_weights()
    with pytest.raises(dp.TrainingDiverged):
        fit(model, 2)
    for v, w in zip(model.get_weights(), before):
        np.testing.assert_array_equal(v, w)


def test_restarts_are_told(capsys):
    network().fit(X, Y, epochs=1, verbose=2, restarts=2)
    said = capsys.readouterr().out
    assert "Restart 1/2" in said and "Restart 2/2" in said and "of 2 is the best, loss" in said


@pytest.mark.parametrize("restarts", [0, -1, 2.5, True, "3"])
def test_bad_numbers(restarts):
    with pytest.raises(ValueError, match="restarts must be an integer of at least 1, received"):
        fit(network(), restarts)

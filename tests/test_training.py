"""fit, evaluate and the batch functions: histories, callbacks, determinism, divergence, interruption."""

import math
import os
import signal
import threading
import time

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.callbacks import Callback, EarlyStopping, LambdaCallback, LearningRateScheduler, TerminateOnNaN

RNG = np.random.default_rng(6)
X = RNG.normal(size=(50, 4))
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
Y = X[:, 0] * X[:, 1]


def regression(optimizer="adam", **arguments):
    layers = [dp.Input(shape=(4,)), dp.layers.Dense(8, activation="tanh"), dp.layers.Dense(1)]
    model = dp.Sequential(layers, **{"seed": 1, **arguments})
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def classifier(**arguments):
    layers = [dp.Input(shape=(4,)), dp.layers.Dense(8, "relu"), dp.layers.Dropout(0.3), dp.layers.Dense(3, "softmax")]
    model = dp.Sequential(layers, **{"seed": 1, **arguments})
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, y=Y, **arguments):
    return model.fit(X, y, verbose=0, **{"batch_size": 8, **arguments})


def assert_same_weights(a, b):
    for x, y in zip(a.get_weights(), b.get_weights()):
        np.testing.assert_array_equal(x, y)


# ---- history


def test_history_has_keras_keys_in_order():
    history = fit(regression(), epochs=3, validation_data=(X, Y))
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert {len(v) for v in history.history.values()} == {3}
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert history.epoch == [0, 1, 2]
    assert history.params["epochs"] == 3
    assert history.params["steps"] == 7


def test_lists_of_one_are_for_the_one_output():
    histories = []
    for loss, loss_weights, metrics in (("mse", 0.5, ["mae"]), (["mse"], [0.5], [["mae"]])):
        model = regression()
        model.compile("adam", loss, loss_weights=loss_weights, metrics=metrics)
        histories.append(fit(model).history)
    assert histories[0] == histories[1]


def test_history_is_the_models_too():
    model = regression()
    assert fit(model) is model.history
    assert fit(model) is model.history


def test_validation_equals_evaluate():
    model = classifier()
    history = fit(model, IDS, epochs=3, validation_data=(X, IDS)).history
    loss, accuracy = model.evaluate(X, IDS, verbose=0)
    assert (history["val_loss"][-1], history["val_accuracy"][-1]) == (loss, accuracy)


def test_validation_data_may_carry_weights():
    weight = RNG.uniform(0, 2, 50)
    model = regression()
    history = fit(model, validation_data=(X, Y, weight)).history
    assert history["val_loss"][0] == model.evaluate(X, Y, sample_weight=weight, verbose=0)[0]


def test_validation_data_come_before_validation_split():
    model = regression()
    history = fit(model, validation_data=(X[:5], Y[:5]), validation_split=0.5).history
    assert history["val_loss"][0] == model.evaluate(X[:5], Y[:5], verbose=0)[0]


def test_validation_freq():
    history = fit(regression(), epochs=5, validation_data=(X, Y), validation_freq=2).history
    assert len(history["loss"]) == 5
    assert len(history["val_loss"]) == 2


def test_validation_does_not_disturb_training():
    a, b = classifier(), classifier()
    fit(a, IDS, epochs=3)
    fit(b, IDS, epochs=3, validation_data=(X, IDS), validation_batch_size=7)
    assert_same_weights(a, b)


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows():
    # Without learning and dropout, fit sees what evaluate sees; 50 rows are six batches of 8 and one of 2.
    model = regression(dp.optimizers.SGD(0.0))
    history = fit(model).history
    loss, mae = model.evaluate(X, Y, verbose=0)
    assert history["loss"][0] == pytest.approx(loss, rel=1e-6)
    assert history["mae"][0] == pytest.approx(mae, rel=1e-6)


def test_evaluate_does_not_depend_on_the_batch_size():
    model = classifier()
    expected = model.evaluate(X, IDS, verbose=0)
    for batch_size in (1, 7, 50, 1000):
        assert model.evaluate(X, IDS, batch_size=batch_size, verbose=0) == expected


def test_what_evaluate_returns():
    model = regression()
    assert list(model.evaluate(X, Y, verbose=0, return_dict=True)) == ["loss", "mae"] == model.metrics_names
    assert isinstance(model.evaluate(X, Y, verbose=0), list)
    model.compile("sgd", "mse")
    assert isinstance(model.evaluate(X, Y, verbose=0), float)


# ---- epochs, batches, order


def test_epochs_is_the_number_of_the_last_one():
    history = fit(regression(), epochs=5, initial_epoch=3)
    assert history.epoch == [3, 4]
    assert fit(regression(), epochs=2, initial_epoch=2).epoch == []


@pytest.mark.parametrize("model", [regression, classifier])
def test_two_fits_equal_one(model):
    y = IDS if model is classifier else Y
    once, twice = model(), model()
    fit(once, y, epochs=4)
    fit(twice, y, epochs=2)
    fit(twice, y, epochs=4, initial_epoch=2)
    assert_same_weights(once, twice)
    assert twice.optimizer.iterations == 28


def test_same_seed_same_training_and_another_seed_differs():
    a, b, c = classifier(), classifier(), classifier(seed=2)
    c.set_weights(a.get_weights())
    losses = [fit(m, IDS, epochs=2).history["loss"] for m in (a, b, c)]
    assert losses[0] == losses[1] != losses[2]
    assert_same_weights(a, b)


def test_without_shuffling_rows_come_in_order():
    model, by_hand = regression(), regression()
    fit(model, shuffle=False)
    for i in range(0, 50, 8):
        by_hand.train_on_batch(X[i : i + 8], Y[i : i + 8])
    assert_same_weights(model, by_hand)


def test_shuffling_visits_every_row_once_an_epoch():
    # A row's weight is the only thing that can tell rows of equal data apart.
    x, weight = np.ones((50, 4)), np.arange(50.0)
    model = regression(dp.optimizers.SGD(0.0))
    loss = model.evaluate(x, np.ones(50), verbose=0)[0]
    history = model.fit(x, np.ones(50), sample_weight=weight, batch_size=7, epochs=3, verbose=0).history
    np.testing.assert_allclose(history["loss"], loss * weight.mean(), rtol=1e-6)


def test_full_batch_training_does_not_depend_on_the_order():
    losses = [fit(regression(), batch_size=50, epochs=3, shuffle=s).history["loss"] for s in (True, False)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_batch_longer_than_the_data():
    model = regression()
    fit(model, batch_size=1000)
    assert model.optimizer.iterations == 1


def test_batch_size_one_equals_rows_one_by_one():
    model, by_hand = regression("sgd"), regression("sgd")
    fit(model, batch_size=1, shuffle=False)
    for i in range(50):
        by_hand.train_on_batch(X[i : i + 1], Y[i : i + 1])
    assert_same_weights(model, by_hand)


def test_a_long_batch_is_one_update():
    # 2500 rows are three blocks, and still one gradient.
    x = np.tile(X, (50, 1))
    y = np.tile(Y, 50)
    whole, small = regression("sgd", dtype="float64"), regression("sgd", dtype="float64")
    whole.fit(x, y, batch_size=2500, epochs=3, verbose=0)
    small.fit(X, Y, batch_size=50, epochs=3, verbose=0)
    for a, b in zip(whole.get_weights(), small.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_learning_happens():
    model = classifier()
    model.optimizer.learning_rate = 0.01
    history = fit(model, IDS, epochs=150).history
    assert model.evaluate(X, IDS, verbose=0)[1] > 0.9
    assert history["loss"][-1] < history["loss"][0] / 2


def test_a_learning_rate_set_by_a_batch_hook_holds_from_the_next_batch():
    class Freeze(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.0

    frozen, one = regression("sgd"), regression("sgd")
    one.set_weights(frozen.get_weights())
    fit(frozen, shuffle=False, batch_size=8, callbacks=[Freeze()])
    one.train_on_batch(X[:8], Y[:8])
    assert_same_weights(frozen, one)


# ---- single batches


def test_train_on_batch_returns_the_loss_before_the_update():
    model = regression()
    before = model.evaluate(X, Y, verbose=0)
    assert model.train_on_batch(X, Y) == before == pytest.approx(before)
    assert model.optimizer.iterations == 1
    assert model.test_on_batch(X, Y) == model.evaluate(X, Y, verbose=0) != before


def test_batch_functions_return_dicts_on_demand():
    model = regression()
    assert list(model.train_on_batch(X, Y, return_dict=True)) == ["loss", "mae"]
    assert list(model.test_on_batch(X, Y, return_dict=True)) == ["loss", "mae"]


def test_weights_of_single_batches():
    weight = np.array([1.0, 4.0, 0.5])[IDS]
    a, b = classifier(), classifier()
    a.train_on_batch(X, IDS, sample_weight=weight)
    b.train_on_batch(X, IDS, class_weight={1: 4.0, 2: 0.5})
    assert_same_weights(a, b)
    assert a.test_on_batch(X, IDS, sample_weight=weight)[0] != a.test_on_batch(X, IDS)[0]


# ---- callbacks


def test_callbacks_may_predict_evaluate_and_read_weights():
    model = regression()
    seen = []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(
                (model.predict(X, verbose=0), model.evaluate(X, Y, verbose=0), model(X[0]), model.get_weights())
            )

    looked = fit(model, epochs=3, callbacks=[Look()]).history
    assert looked == fit(regression(), epochs=3).history
    np.testing.assert_array_equal(seen[-1][0], model.predict(X, verbose=0))
    assert seen[-1][1] == model.evaluate(X, Y, verbose=0)


def test_batch_hooks_see_every_batch_and_change_nothing():
    steps, losses = [], []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)
            losses.append(logs["loss"])

    a, b = classifier(), classifier()
    history = fit(a, IDS, epochs=2, callbacks=[Watch()]).history
    assert history == fit(b, IDS, epochs=2).history
    assert_same_weights(a, b)
    assert steps == list(range(7)) * 2
    assert [losses[6], losses[13]] == history["loss"]


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_batch_hook_may_evaluate_without_spoiling_the_epochs_loss(run_eagerly):
    model, plain = regression(), regression()
    for m in (model, plain):
        m.compile("adam", "mse", metrics=["mae"], run_eagerly=run_eagerly)
    hook = LambdaCallback(on_train_batch_end=lambda batch, logs: model.evaluate(X, Y, verbose=0))
    history = fit(model, epochs=2, callbacks=[hook]).history
    assert history == fit(plain, epochs=2).history


def test_stop_training_in_a_batch_hook_ends_the_epoch():
    model = regression()

    def stop(batch, logs):
        model.stop_training = batch == 2

    fit(model, epochs=5, callbacks=[LambdaCallback(on_train_batch_end=stop)])
    assert model.optimizer.iterations == 3
    assert len(model.history.epoch) == 1


@pytest.mark.parametrize("patience", [1, 100])
def test_early_stopping_ends_with_the_best_weights(patience):
    model = regression(dp.optimizers.SGD(0.2))  # too fast: the loss goes up and down
    weights = []
    best = EarlyStopping(patience=patience, restore_best_weights=True)
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    history = fit(model, epochs=15, validation_data=(X, Y), callbacks=[keep, best]).history
    epoch = int(np.argmin(history["val_loss"]))
    assert epoch < len(history["loss"]) - 1
    for a, b in zip(model.get_weights(), weights[epoch]):
        np.testing.assert_array_equal(a, b)
    assert model.evaluate(X, Y, verbose=0)[0] == min(history["val_loss"])


def test_learning_rate_scheduler_and_history():
    model = regression("sgd")
    history = fit(model, epochs=3, callbacks=[LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))]).history
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    by_hand = regression("sgd")
    for epoch in range(3):
        by_hand.optimizer.learning_rate = 0.1 / (epoch + 1)
        fit(by_hand, epochs=epoch + 1, initial_epoch=epoch)
    assert_same_weights(model, by_hand)


def test_reduce_on_plateau_slows_a_real_training_down():
    model = regression("sgd")
    reduce = dp.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=1e9, factor=0.5)
    fit(model, epochs=4, callbacks=[reduce])
    assert model.optimizer.learning_rate < 0.01


def test_freezing_between_fits_in_a_callback_does_not_break_the_run():
    model = regression()
    freeze = LambdaCallback(on_train_end=lambda logs: setattr(model.layers[0], "trainable", False))
    fit(model, callbacks=[freeze])
    kernel = model.get_weights()[0]
    fit(model)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)


def test_an_exception_in_a_callback_leaves_a_usable_model():
    model = regression()

    def fail(epoch, logs):
        if epoch == 1:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(model, epochs=5, callbacks=[LambdaCallback(on_epoch_end=fail)])
    assert model.optimizer.iterations == 14
    fit(model)


@pytest.mark.parametrize("verbose, lines", [(0, 0), (2, 3)])
def test_verbose(verbose, lines, capsys):
    regression().fit(X, Y, epochs=3, verbose=verbose)
    assert len(capsys.readouterr().out.splitlines()) == lines


def test_the_bar_ends_with_the_last_epoch(capsys):
    regression().fit(X, Y, epochs=3, validation_data=(X, Y), verbose=1)
    last = capsys.readouterr().out.splitlines()[-1]
    for word in ("Epoch 3/3", "samples/s", "loss", "mae", "val_loss", "val_mae"):
        assert word in last


# ---- divergence


def diverging():
    return regression(dp.optimizers.SGD(1e30, momentum=0.9))


def test_divergence_restores_the_epochs_start_and_says_where():
    model = regression(dp.optimizers.SGD(0.01, momentum=0.9))
    fit(model, epochs=2)
    weights = model.get_weights()
    slots = [s.numpy() for v in model.variables for s in model.optimizer.slots_of(v)]
    iterations, done = model.optimizer.iterations, model.epochs_done
    model.optimizer.learning_rate = 1e30
    with pytest.raises(dp.TrainingDiverged, match=r"epoch 1, batch .*smaller learning rate") as caught:
        fit(model, epochs=3)
    assert isinstance(caught.value, FloatingPointError)
    assert caught.value.epoch == 0
    assert 0 < caught.value.step < 7
    assert caught.value.history == {}
    assert (model.optimizer.iterations, model.epochs_done) == (iterations, done)
    for a, b in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(a, b)
    for a, b in zip([s.numpy() for v in model.variables for s in model.optimizer.slots_of(v)], slots):
        np.testing.assert_array_equal(a, b)

    model.optimizer.learning_rate = 0.01  # and on it goes, as if nothing had been
    fit(model, epochs=4, initial_epoch=2)
    undisturbed = regression(dp.optimizers.SGD(0.01, momentum=0.9))
    fit(undisturbed, epochs=4)
    assert_same_weights(model, undisturbed)


def test_divergence_in_a_later_epoch_keeps_the_history():
    model = regression("sgd")
    faster = LearningRateScheduler(lambda epoch, rate: 0.01 if epoch < 2 else 1e30)
    with pytest.raises(dp.TrainingDiverged) as caught:
        fit(model, epochs=5, callbacks=[faster])
    assert caught.value.epoch == 2
    assert len(caught.value.history["loss"]) == 2
    assert model.history.epoch == [0, 1]
    assert model.optimizer.iterations == 14


def test_divergence_with_batch_hooks_names_the_same_step():
    steps = []
    for callbacks in ([], [LambdaCallback(on_train_batch_end=lambda batch, logs: None)]):
        model = diverging()
        weights = model.get_weights()
        with pytest.raises(dp.TrainingDiverged) as caught:
            fit(model, epochs=2, callbacks=callbacks)
        steps.append(caught.value.step)
        for a, b in zip(model.get_weights(), weights):
            np.testing.assert_array_equal(a, b)
    assert steps[0] == steps[1]


def test_train_on_batch_diverges_without_a_trace():
    model = regression()
    model.set_weights([np.full_like(w, 1e30) for w in model.get_weights()])
    with pytest.raises(dp.TrainingDiverged):
        model.train_on_batch(X, Y)
    assert model.optimizer.iterations == 0
    assert all((w == np.float32(1e30)).all() for w in model.get_weights())


@pytest.mark.parametrize("hooks", [False, True])
def test_terminate_on_nan_stops_as_in_keras(hooks):
    model = diverging()
    callbacks = [TerminateOnNaN()]
    if hooks:
        callbacks.append(LambdaCallback(on_train_batch_end=lambda batch, logs: None))
    history = fit(model, epochs=5, callbacks=callbacks)
    assert history.epoch == [0]
    assert not math.isfinite(history.history["loss"][0])


# ---- interruption


@pytest.fixture
def ctrl_c_raises():
    """A process that was started in the background may ignore SIGINT, and Python then leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_in_a_long_epoch_stops_soon_and_leaves_a_usable_model():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 64)).astype(np.float32)
    y = x[:, 0]
    layers = [dp.Input(shape=(64,)), dp.layers.Dense(512, "tanh"), dp.layers.Dense(512, "tanh"), dp.layers.Dense(1)]
    model = dp.Sequential(layers, seed=1)
    model.compile(dp.optimizers.SGD(1e-5), "mse")
    model.fit(x[:64], y[:64], verbose=0)
    sent = []

    def interrupt(logs):
        def send():
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Timer(0.3, send).start()

    steps = model.optimizer.iterations
    with pytest.raises(KeyboardInterrupt):
        # An epoch of some seconds: one row at a time.
        model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=[LambdaCallback(on_train_begin=interrupt)])
    assert time.perf_counter() - sent[0] < 0.5  # 0.2 s, and room for a busy machine
    assert 0 < model.optimizer.iterations - steps < 20_000
    assert model.history.epoch == []
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert model.predict(x[:10], verbose=0).shape == (10, 1)
    assert len(model.fit(x[:64], y[:64], verbose=0).history["loss"]) == 1


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_keeps_the_epochs_that_were_done():
    model = regression()

    def interrupt(epoch, logs):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(model, epochs=100_000, callbacks=[LambdaCallback(on_epoch_end=interrupt)])
    assert model.history.epoch[:2] == [0, 1]
    assert len(model.history.history["loss"]) == len(model.history.epoch) < 100_000
    fit(model)


def test_training_off_the_main_thread_works():
    model, expected = regression(), regression()
    thread = threading.Thread(target=lambda: fit(model, epochs=3))
    thread.start()
    thread.join(30)
    fit(expected, epochs=3)
    assert_same_weights(model, expected)


def test_validation_in_fit_calls_the_hooks_of_evaluate():
    seen = []

    class Watcher(dp.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append("begin")

        def on_test_end(self, logs=None):
            seen.append(logs["loss"])

    model = dp.Sequential([dp.Input((2,)), dp.layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    x = np.eye(2).repeat(4, axis=0)
    history = model.fit(x, x[:, 0] + 0.5, epochs=2, validation_split=0.5, callbacks=[Watcher()], verbose=0).history
    assert seen == ["begin", history["val_loss"][0], "begin", history["val_loss"][1]]

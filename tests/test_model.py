"""Sequential: building it, looking into it, and what several threads may do with it at once."""

import threading

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.layers import Activation, Dense, Dropout, Flatten

RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 50)


def classifier(**arguments):
    model = dp.Sequential(
        [dp.Input(shape=(4,)), Dense(8, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")], **arguments
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# ---- structure


@pytest.mark.parametrize(
    "first",
    [
        [dp.Input(shape=(4,)), Dense(3)],
        [Dense(3, input_shape=(4,))],
        [Dense(3, input_dim=4)],
        [dp.Input(shape=4), Dense(3)],
    ],
    ids=["Input", "input_shape", "input_dim", "Input of a number"],
)
def test_ways_to_say_the_input_shape(first):
    model = dp.Sequential(first)
    assert model.built
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 3)
    assert [type(layer) for layer in model.layers] == [Dense]
    assert model.count_params() == 15


def test_add_and_pop():
    model = dp.Sequential()
    model.add(dp.Input(shape=(4,)))
    model.add(Dense(8))
    model.add(Dense(3))
    kernel = model.layers[0].kernel.numpy()
    last = model.pop()
    assert last.units == 3
    assert model.output_shape == (None, 8)
    assert model(X).shape == (50, 8)
    model.add(Dense(2))
    assert model.output_shape == (None, 2)
    assert model(X).shape == (50, 2)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)


def test_a_model_can_train_after_add_and_pop():
    model = classifier()
    model.fit(X, Y, verbose=0)
    model.pop()
    model.add(Dense(3, activation="softmax"))
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_popping_everything_leaves_an_empty_model():
    model = dp.Sequential([Dense(3, input_dim=4)])
    model.pop()
    assert not model.built
    assert model.layers == []


def test_a_model_without_input_shape_is_built_by_its_first_data():
    model = dp.Sequential([Dense(8), Dense(1)])
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.input_shape == (None, 4)


@pytest.mark.parametrize("use", ["evaluate", "predict", "train_on_batch", "build"])
def test_what_else_builds_a_model(use):
    model = dp.Sequential([Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    x = X.reshape(50, 2, 2)
    if use == "predict":
        model.predict(x, verbose=0)
    elif use == "build":
        model.build((None, 2, 2))
    else:
        getattr(model, use)(x, Y)
    assert model.input_shape == (None, 2, 2)
    assert model.count_params() == 5


def test_lazily_built_weights_equal_those_built_at_once():
    lazy = dp.Sequential([Dense(8), Dense(1)], seed=3)
    lazy.build((None, 4))
    at_once = dp.Sequential([dp.Input(shape=(4,)), Dense(8), Dense(1)], seed=3)
    for a, b in zip(lazy.get_weights(), at_once.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_layer_names_are_kerass():
    model = dp.Sequential([dp.Input(shape=(4,)), Dense(3), Activation("relu"), Dense(3), Dropout(0.1), Dense(3)])
    assert [layer.name for layer in model.layers] == ["dense", "activation", "dense_1", "dropout", "dense_2"]
    again = dp.Sequential([Dense(3)])
    assert again.layers[0].name == "dense"  # a model's names do not depend on other models


def test_get_layer():
    model = dp.Sequential([dp.Input(shape=(4,)), Dense(3), Dense(2, name="head")])
    assert model.get_layer("head") is model.get_layer(index=1) is model.get_layer(index=-1)
    assert model.get_layer("dense") is model.layers[0]
    with pytest.raises(ValueError, match="a name or an index"):
        model.get_layer()


def test_summary():
    lines = []
    model = classifier(name="digits")
    model.get_layer("dense").trainable = False
    assert model.summary(print_fn=lines.append) is None
    text = "\n".join(lines)
    assert lines[0] == 'Model: "digits"'
    for words in ("dense (Dense)", "dropout (Dropout)", "dense_1 (Dense)", "(None, 8)", "(None, 3)", "40", "27"):
        assert words in text
    assert "Total params: 67 (268.00 B)" in text
    assert "Trainable params: 27" in text
    assert "Non-trainable params: 40" in text


def test_summary_prints(capsys):
    classifier().summary(line_length=80)
    assert max(map(len, capsys.readouterr().out.splitlines())) == 80


def test_parameters_of_the_boston_network():
    model = dp.Sequential([Dense(64, input_dim=13), Dense(64), Dense(1)])
    assert [layer.count_params() for layer in model.layers] == [896, 4160, 65]
    assert model.count_params() == 5121


def test_weights_round_trip_in_canonical_layout():
    model = classifier(seed=1)
    weights = model.get_weights()
    assert [w.shape for w in weights] == [(4, 8), (8,), (8, 3), (3,)]
    assert all(w.flags.c_contiguous and w.dtype == np.float32 for w in weights)
    other = classifier(seed=2)
    assert not np.array_equal(other(X), model(X))
    other.set_weights(weights)
    np.testing.assert_array_equal(other(X), model(X))
    other.set_weights([w.T.copy().T for w in weights])  # Fortran order
    np.testing.assert_array_equal(other(X), model(X))


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 64, 65, 129])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_any_width_survive_the_packed_layout(width, dtype):
    model = dp.Sequential([dp.Input(shape=(5,)), Dense(width)], dtype=dtype)
    given = [np.arange(5 * width, dtype=dtype).reshape(5, width), np.arange(width, dtype=dtype)]
    model.set_weights(given)
    for a, b in zip(model.get_weights(), given):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_of_a_model(dtype):
    model = classifier(dtype=dtype)
    assert {w.dtype for w in model.get_weights()} == {np.dtype(dtype)}
    for x in (X, X.astype("f8")):
        assert model(x).dtype == model.predict(x, verbose=0).dtype == dtype


def test_configuration_round_trip():
    model = classifier(name="m", seed=9)
    again = dp.Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    for a, b in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)  # of one seed


def test_plan_prints_as_equations():
    model = classifier()
    text = str(model.plan)
    for word in ("forward", "loss", "backward", "update", "W1", "W2", "adam"):
        assert word in text
    model.get_layer("dense").trainable = False
    assert "gW1" not in str(model.plan)


def test_repr_names_the_layers():
    assert repr(classifier()) == "<Sequential sequential: <Dense dense>, <Dropout dropout>, <Dense dense_1>>"


# ---- predicting


def test_call_equals_predict():
    model = classifier()
    p = model.predict(X, verbose=0)
    np.testing.assert_array_equal(model(X), p)
    np.testing.assert_array_equal(model.predict_on_batch(X), p)
    np.testing.assert_array_equal(model(X.tolist()), p)
    assert p.shape == (50, 3)


def test_a_row_does_not_depend_on_its_batch():
    model = classifier()
    p = model.predict(X, verbose=0)
    for i in (0, 17, 49):
        np.testing.assert_array_equal(model(X[i]), p[i])
        np.testing.assert_array_equal(model(X[i : i + 1]), p[i : i + 1])
    for n in (2, 7, 33):
        np.testing.assert_array_equal(model(X[:n]), p[:n])
        np.testing.assert_array_equal(model.predict(X, batch_size=n, verbose=0), p)


def test_predicting_no_rows_gives_no_rows():
    assert classifier().predict(X[:0], verbose=0).shape == (0, 3)


def test_predictions_are_arrays_of_their_own():
    model = classifier()
    first = model(X)
    kept = first.copy()
    model(-X)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(model(X), kept)


def test_an_inner_layers_activations_through_a_second_model():
    model = classifier()
    inner = dp.Sequential([dp.Input(shape=(4,)), model.layers[0]])
    w, b = model.layers[0].get_weights()
    np.testing.assert_allclose(inner(X), np.maximum(X @ w + b, 0), rtol=1e-4, atol=1e-6)


def test_the_numpy_executor_agrees():
    results = []
    for run_eagerly in (False, True):
        model = classifier(seed=1, dtype="float64")
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=run_eagerly)
        history = model.fit(X, Y, batch_size=16, epochs=3, validation_data=(X, Y), verbose=0).history
        results.append((history, model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)))
    for key, values in results[0][0].items():
        np.testing.assert_allclose(values, results[1][0][key], rtol=1e-9)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9)
    np.testing.assert_allclose(results[0][2], results[1][2], rtol=1e-9)


# ---- threads


def in_threads(*functions):
    """Run functions at once and return their results; an exception in one is raised here."""
    results, errors = [None] * len(functions), []
    start = threading.Barrier(len(functions))

    def run(i, function):
        try:
            start.wait()
            results[i] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results


def test_threads_predict_on_one_model_at_once():
    model = dp.Sequential([dp.Input(shape=(4,)), Dense(200, "relu"), Dense(200, "tanh"), Dense(3)], seed=1)
    parts = [RNG.normal(size=(n, 4)).astype(np.float32) for n in (700, 1, 2000, 333)]
    expected = [model.predict(part, verbose=0) for part in parts]
    for part, result in zip(parts, expected):
        repeated = in_threads(*[lambda p=p: [model.predict(p, verbose=0) for _ in range(8)] for p in parts])
        for outputs, wanted in zip(repeated, expected):
            for output in outputs:
                np.testing.assert_array_equal(output, wanted)
        np.testing.assert_array_equal(model(part), result)


def test_threads_train_two_models_at_once():
    def train(seed):
        model = classifier(seed=seed)
        history = model.fit(X, Y, batch_size=8, epochs=20, verbose=0).history
        return history, model.get_weights()

    expected = [train(1), train(2)]
    for (history, weights), (wanted, wanted_weights) in zip(in_threads(lambda: train(1), lambda: train(2)), expected):
        assert history == wanted
        for a, b in zip(weights, wanted_weights):
            np.testing.assert_array_equal(a, b)


class Signal(dp.callbacks.Callback):
    """Tells that a fit has begun, and keeps it busy until `release` is set."""

    def __init__(self):
        self.begun, self.release = threading.Event(), threading.Event()

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.set()
        assert self.release.wait(30)


@pytest.mark.parametrize("use", ["predict", "call", "evaluate", "fit", "set_weights"])
def test_other_threads_wait_while_fit_runs(use):
    model = classifier(seed=1)
    alone = classifier(seed=1)
    alone.fit(X, Y, epochs=3, verbose=0)
    weights = alone.get_weights()
    calls = {
        "predict": lambda m: m.predict(X, verbose=0),
        "call": lambda m: m(X),
        "evaluate": lambda m: m.evaluate(X, Y, verbose=0),
        "fit": lambda m: m.fit(X, Y, verbose=0).history["loss"],
        "set_weights": lambda m: m.set_weights(weights),
    }
    signal = Signal()
    fitting = threading.Thread(target=lambda: model.fit(X, Y, epochs=3, verbose=0, callbacks=[signal]))
    fitting.start()
    assert signal.begun.wait(30)
    result, done = [], threading.Event()

    def other():
        result.append(calls[use](model))
        done.set()

    waiting = threading.Thread(target=other)
    waiting.start()
    assert not done.wait(0.1)  # fit holds the model
    signal.release.set()
    fitting.join(30)
    waiting.join(30)
    assert done.is_set()
    expected = calls[use](alone)
    if expected is not None:
        np.testing.assert_array_equal(result[0], expected)


def test_get_weights_is_allowed_while_fit_runs():
    model = classifier()
    signal = Signal()
    fitting = threading.Thread(target=lambda: model.fit(X, Y, verbose=0, callbacks=[signal]))
    fitting.start()
    assert signal.begun.wait(30)
    assert in_threads(lambda: len(model.get_weights())) == [4]
    signal.release.set()
    fitting.join(30)

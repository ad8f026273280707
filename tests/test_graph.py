"""Graphs of layers: branches, shared layers, several inputs and outputs, sub-models; functions of the user's inside."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltaprop as dp

Dense = dp.layers.Dense


def two_by_two(**arguments: Any) -> dp.Model:
    """Two inputs, a layer that both pass, a skip connection and two outputs of different kinds."""
    left, right = dp.Input((3,), name="left"), dp.Input((3,), name="right")
    shared = Dense(5, "tanh", name="shared")
    h = dp.layers.Concatenate()([shared(left), shared(right), left])
    value = Dense(2, name="value")(h)
    label = Dense(4, "softmax", name="label")(dp.layers.Add()([Dense(13, "relu")(h), h]))
    return dp.Model([left, right], [value, label], seed=3, **arguments)


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    x = {"left": rng.normal(size=(40, 3)), "right": rng.normal(size=(40, 3))}
    return x, {"value": rng.normal(size=(40, 2)), "label": rng.integers(0, 4, 40)}


LOSSES = {"value": "mse", "label": "sparse_categorical_crossentropy"}


def test_outputs_are_those_of_the_layers_by_hand(data: Any) -> None:
    x, _ = data
    model = two_by_two(dtype="float64")
    get = {layer.name: layer.get_weights() for layer in model.layers}

    def dense(z: np.ndarray, name: str) -> np.ndarray:
        w, b = get[name]
        return z @ w + b

    h = np.hstack([np.tanh(dense(x["left"], "shared")), np.tanh(dense(x["right"], "shared")), x["left"]])
    z = dense(np.maximum(dense(h, "dense"), 0) + h, "label")
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    value, label = model.predict(x, verbose=0)
    np.testing.assert_allclose(value, dense(h, "value"), rtol=1e-12)
    np.testing.assert_allclose(label, p, rtol=1e-12)


def test_data_come_as_lists_or_dicts(data: Any) -> None:
    x, y = data
    histories = []
    for inputs, targets, loss in (
        (x, y, LOSSES),
        (list(x.values()), list(y.values()), list(LOSSES.values())),
        (dict(reversed(x.items())), dict(reversed(y.items())), LOSSES),
    ):
        model = two_by_two()
        model.compile("adam", loss, loss_weights=[1.0, 0.5])
        histories.append(model.fit(inputs, targets, epochs=3, validation_split=0.2, verbose=0).history)
    assert histories[0] == histories[1] == histories[2]
    assert list(histories[0]) == [
        "loss", "value_loss", "label_loss", "val_loss", "val_value_loss", "val_label_loss",
    ]  # fmt: skip
    total = np.add(histories[0]["value_loss"], np.multiply(0.5, histories[0]["label_loss"]))
    np.testing.assert_allclose(total, histories[0]["loss"], rtol=1e-12)


def test_both_executors_train_a_graph_alike(data: Any, dtype: str) -> None:
    weights = []
    for eagerly in (False, True):
        model = two_by_two(dtype=dtype)
        model.compile("adam", LOSSES, metrics={"label": ["accuracy"]}, run_eagerly=eagerly)
        model.fit(*data, epochs=3, batch_size=7, verbose=0)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_allclose(weights[0], weights[1], atol=5e3 * np.finfo(dtype).eps)


def test_metrics_and_weights_belong_to_outputs(data: Any) -> None:
    x, y = data
    model = two_by_two()
    model.compile("sgd", LOSSES, metrics={"label": "accuracy"}, weighted_metrics=[["mae"], None])
    assert model.metrics_names == ["loss", "value_loss", "label_loss", "value_mae", "label_accuracy"]
    first = np.arange(40) < 10
    whole = model.evaluate(x, y, sample_weight={"value": first * 4.0}, verbose=0, return_dict=True)
    head = model.evaluate(
        {k: v[:10] for k, v in x.items()}, {k: v[:10] for k, v in y.items()}, verbose=0, return_dict=True
    )
    assert whole["value_loss"] == pytest.approx(head["value_loss"], rel=1e-6)
    assert whole["value_mae"] == pytest.approx(head["value_mae"], rel=1e-6)
    plain = model.evaluate(x, y, verbose=0, return_dict=True)
    assert whole["label_loss"] == plain["label_loss"]


def test_a_saved_graph_goes_on_as_if_it_had_not_been(data: Any, tmp_path: Path) -> None:
    models = [two_by_two()]
    models[0].compile("adam", LOSSES, loss_weights={"label": 2.0}, metrics={"label": ["accuracy"]})
    models[0].fit(*data, epochs=2, verbose=0)
    models[0].save(tmp_path / "m.safetensors")
    models += [dp.load_model(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(models[0]))]
    for model in models:
        model.fit(*data, epochs=2, verbose=0)
    for model in models[1:]:
        assert [layer.name for layer in model.layers] == [layer.name for layer in models[0].layers]
        for a, b in zip(model.get_weights(), models[0].get_weights()):
            assert np.array_equal(a, b)


def test_a_model_of_inner_layers_shares_their_weights(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 4))
    for model in (
        dp.Sequential([dp.Input((4,)), Dense(6, "tanh", name="code"), Dense(4)], seed=1),
        (lambda x: dp.Model(x, Dense(4)(Dense(6, "tanh", name="code")(x))))(dp.Input((4,))),
    ):
        model.compile("adam", "mse")
        code = dp.Model(model.input, model.get_layer("code").output)
        rest = dp.Model(model.get_layer("code").output, model.output)
        before = code.predict(x, verbose=0)
        model.fit(x, x, epochs=2, verbose=0)
        assert code.get_layer("code").kernel is model.get_layer("code").kernel
        after = code.predict(x, verbose=0)
        assert not np.array_equal(after, before)
        assert np.array_equal(rest.predict(after, verbose=0), model.predict(x, verbose=0))


def test_models_are_put_together(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 4)).astype("float32")
    encoder = dp.Sequential([dp.Input((4,)), Dense(2, "tanh")])
    decoder = dp.Sequential([dp.Input((2,)), Dense(4)])
    entry = dp.Input((4,))
    both = dp.Model(entry, decoder(encoder(entry)))
    in_a_row = dp.Sequential([encoder, decoder])
    assert [layer.name for layer in in_a_row.layers] == ["dense", "dense_1"]
    both.compile("adam", "mse")
    both.fit(x, x, epochs=3, verbose=0)
    expected = decoder.predict(encoder.predict(x, verbose=0), verbose=0)
    assert np.array_equal(both.predict(x, verbose=0), expected)
    assert np.array_equal(in_a_row.predict(x, verbose=0), expected)


def test_a_frozen_part_stays_as_it_is(data: Any) -> None:
    model = two_by_two()
    model.get_layer("shared").trainable = False
    model.compile("adam", LOSSES)
    before = model.get_layer("shared").get_weights()
    model.fit(*data, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_layer("shared").get_weights()))


def test_one_row_of_several_inputs(data: Any) -> None:
    x, _ = data
    model = two_by_two()
    value, label = model([x["left"][0], x["right"][0]])
    assert value.shape == (2,) and label.shape == (4,)
    assert np.array_equal(model(x)[1][0], label)


def test_a_loss_function_equals_the_native_loss(rng: np.random.Generator) -> None:
    def mse(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        error = y_pred - y_true
        return (error**2).mean(axis=1), 2 * error / error.shape[1]

    def worst(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float(np.abs(y_true - y_pred).max())

    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    models = [dp.Sequential([dp.Input((3,)), Dense(7, "tanh"), Dense(2)], dtype="float64", seed=2) for _ in range(2)]
    for model, loss in zip(models, (mse, "mse")):
        model.compile("adam", loss, metrics=[worst, "mae"])
        model.fit(x, y, epochs=5, sample_weight=np.arange(50) / 25, verbose=0)
    for a, b in zip(models[0].get_weights(), models[1].get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    logs = models[0].evaluate(x, y, verbose=0, return_dict=True)
    assert logs["worst"] == pytest.approx(np.abs(models[0].predict(x, verbose=0) - y).max())


def test_an_activation_of_ones_own_equals_the_native_one(rng: np.random.Generator) -> None:
    pair = (np.tanh, lambda z: 1 - np.tanh(z) ** 2)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    models = [
        dp.Sequential([dp.Input((3,)), Dense(7, activation), Dense(1)], dtype="float64", seed=2)
        for activation in (pair, "tanh")
    ]
    for model in models:
        model.compile("sgd", "mse")
        model.fit(x, y, epochs=5, verbose=0)
    np.testing.assert_allclose(models[0](x), models[1](x), rtol=1e-9)
    with pytest.raises(ValueError, match="own classes"):
        models[0].save("nowhere.safetensors")


def failing(*arrays: np.ndarray) -> Any:
    raise KeyError("mine")


def short(*arrays: np.ndarray) -> Any:
    return arrays[-1][:-1]


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_function_that_fails_changes_nothing(eagerly: bool, rng: np.random.Generator) -> None:
    x = rng.normal(size=(50, 3))
    for activation, loss, metric, error in (
        ("tanh", failing, "mae", KeyError), ("tanh", "mse", failing, KeyError),
        ((failing, np.cos), "mse", "mae", KeyError),
        ((np.sin, failing), "mse", "mae", KeyError), ((short, np.cos), "mse", "mae", ValueError),
        ("tanh", lambda y, p: 3.0, "mae", ValueError), ("tanh", "mse", lambda y, p: "good", ValueError),
    ):  # fmt: skip
        model = dp.Sequential([dp.Input((3,)), Dense(3, activation)], seed=2)
        model.compile("adam", loss, metrics=[metric], run_eagerly=eagerly)
        before = model.get_weights()
        with pytest.raises(error):
            model.fit(x, x, verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        if activation != "tanh" and activation[1] is np.cos:
            for use in (model, lambda x, m=model: m.predict(x, verbose=0)):
                with pytest.raises(error):
                    use(x)


x, other = dp.Input((3,), name="x"), dp.Input((4,), name="other")
hidden = Dense(2)(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dp.Model(x, Dense(1)(other)), "depends on the input 'other', which is not among"),
        (lambda: dp.Model(np.ones(3), hidden), "a model's inputs are dp.Input"),
        (lambda: dp.Model([x, x], hidden), "inputs must differ"),
        (lambda: dp.Model(x, []), "at least one of its outputs"),
        (lambda: Dense(2)(np.ones((2, 3))), "received ndarray. To compute with numbers, put it in a model"),
        (lambda: Dense(2)([x, other]), "takes one tensor, received 2; merge them"),
        (lambda: dp.layers.Add()([x, other]), r"rows of one shape, received rows of shapes \(3,\), \(4,\)"),
        (lambda: dp.layers.Add()(x), "takes two tensors or more, received 1"),
        (lambda: dp.layers.Subtract()([x, x, x]), "takes two tensors, received 3"),
        (lambda: dp.layers.Concatenate(axis=0), "axis must be -1"),
        (lambda: dp.Sequential([x, dp.layers.Add()]), r"dp.Model\(inputs, outputs\) is made for that"),
        (lambda: dp.Sequential([x, two_by_two()]), "is no row of layers; call it on a tensor"),
        (lambda: dp.Model(x, Dense(1, name="a")(Dense(2, name="a")(x))), "there is a layer 'a' already"),
        (lambda: two_by_two()(x), "takes 2 tensors"),
        (lambda: [layer(t) for layer in [Dense(2)] for t in (x, other)], "cannot take rows of shape"),
        (lambda: two_by_two().compile("adam", ["mse"]), "loss must have 2 entries, for 'value', 'label'"),
        (lambda: two_by_two().compile("adam", {"valeu": "mse"}), "no use for 'valeu'; the names are 'value'"),
        (lambda: two_by_two().compile("adam", {}), "loss is missing"),
        (lambda: dp.Sequential([x, Dense(1)]).compile("adam", "mse", ["mae"]), r"by name: metrics=\[...\]"),
        (lambda: Dense(3)(dp.Input((2, 3))), r"layer 'dense' \(Dense\) takes rows that are vectors"),
        (lambda: two_by_two().compile("adam", LOSSES, loss_weights=[1, -1]), "at least 0, received -1"),
        (lambda: dp.layers.Dense(3, activation=np.tanh), r"is a pair \(value, derivative\) of functions"),
    ],
)  # fmt: skip
def test_graphs_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("x", "y", "more", "message"),
    [
        (lambda x: x["left"], lambda y: y, {}, "x must be a list or a dict with an entry for each of 'left', 'right'"),
        (lambda x: {**x, "right": x["right"][1:]}, lambda y: y, {}, r"x\['left'\] has 40, x\['right'\] has 39"),
        (lambda x: {"left": x["left"]}, lambda y: y, {}, r"x\['right'\] is missing"),
        (lambda x: x, lambda y: {"value": y["value"]}, {}, r"y\['label'\] is missing"),
        (lambda x: x, lambda y: {**y, "label": y["label"] + 1}, {}, r"y\['label'\] must hold class ids from 0 to 3"),
        (lambda x: x, lambda y: y, {"class_weight": "balanced"}, "for a model with one output"),
        (lambda x: x, lambda y: y, {"sample_weight": [np.ones(3), None]}, "sample_weight must have one entry per row"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_a_graph(x: Any, y: Any, more: Any, message: str, data: Any) -> None:
    model = two_by_two()
    model.compile("adam", LOSSES)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(x(data[0]), y(data[1]), verbose=0, **more)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_summary_tells_what_is_connected(capsys: pytest.CaptureFixture[str]) -> None:
    two_by_two().summary()
    lines = capsys.readouterr().out.splitlines()
    shared = next(line for line in lines if line.startswith("shared"))
    assert shared.endswith("left, right")


def test_a_shared_layer_has_a_loss_for_each_output() -> None:
    i, j = dp.Input((3,)), dp.Input((3,))
    shared = Dense(1)
    model = dp.Model([i, j], [shared(i), shared(j)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3)), np.ones((4, 1))
    history = model.fit([x, -x], [y, y], verbose=0).history
    assert list(history) == model.metrics_names == ["loss", "dense_loss", "dense_1_loss"]
    results = model.evaluate([x, -x], [y, 2 * y], verbose=0)
    assert results[0] == pytest.approx(results[1] + results[2]) and results[1] != results[2]


def test_a_loss_function_with_other_targets(rng: np.random.Generator) -> None:
    """A mean and the logarithm of a variance for one number."""

    def nll(y: Any, p: Any) -> tuple[Any, Any]:
        error, variance = p[:, 0] - y[:, 0], np.exp(p[:, 1])
        slopes = np.stack([error / variance, 0.5 * (1 - error**2 / variance)], axis=1)
        return 0.5 * (p[:, 1] + error**2 / variance), slopes

    x = rng.uniform(-1, 1, (500, 1))
    y = 3 * x[:, 0] + 0.2 * rng.normal(size=500)
    model = dp.Sequential([dp.Input((1,)), Dense(2)], seed=1)
    model.compile(dp.optimizers.Adam(0.05), nll)
    with pytest.raises(ValueError, match="target_shape"):
        model.fit(x, y, verbose=0)
    model.compile(dp.optimizers.Adam(0.05), dp.losses.FunctionLoss(nll, target_shape=(1,)))
    model.fit(x, y, epochs=60, verbose=0)
    mean, logarithm = model.predict([[1.0]], verbose=0)[0]
    assert mean == pytest.approx(3, abs=0.1) and np.exp(logarithm / 2) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    "first",
    [dp.layers.RBF(3), dp.layers.Normalization(mean=1.0, variance=2.0), dp.layers.PReLU(), Dense(3)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_call_equals_predict_whatever_comes_first(first: dp.layers.Layer, rng: np.random.Generator) -> None:
    model = dp.Sequential([dp.Input((5,)), first, Dense(2)])
    x = rng.normal(size=(7, 5)).astype(np.float32)
    expected = model.predict(x, verbose=0)
    for _ in range(2):  # the second call takes the short way
        assert np.array_equal(model(x), expected)
        assert np.array_equal(model(x[3]), expected[3])

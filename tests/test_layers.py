"""Layers: configuration, building, variables, freezing, sharing."""

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.layers import Activation, Dense, Dropout, Flatten, get_layer_class

X = np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32)


def model_of(*layers, shape=(4,), **arguments):
    return dp.Sequential([dp.Input(shape=shape), *layers], **arguments)


def test_dense_has_keras_defaults():
    layer = Dense(3)
    model_of(layer)
    assert layer.activation.name == "linear"
    assert layer.use_bias
    assert layer.kernel.shape == (4, 3)
    np.testing.assert_array_equal(layer.bias.numpy(), np.zeros(3))
    assert np.abs(layer.kernel.numpy()).max() <= np.sqrt(6 / 7)


@pytest.mark.parametrize("name", [*dp.activations.ACTIVATIONS, None])
def test_dense_equals_dense_then_activation(name):
    whole = model_of(Dense(3, activation=name), seed=1)
    parts = model_of(Dense(3), Activation(name or "linear"), seed=1)
    parts.set_weights(whole.get_weights())
    np.testing.assert_array_equal(whole(X), parts(X))


def test_activation_by_object():
    a = model_of(Dense(3, activation=dp.activations.tanh), seed=1)
    np.testing.assert_array_equal(a(X), model_of(Dense(3, activation="tanh"), seed=1)(X))


def test_dense_without_bias():
    layer = Dense(3, use_bias=False)
    model = model_of(layer, dtype="float64")
    assert layer.bias is None
    assert model.count_params() == 12
    np.testing.assert_allclose(model(X), X.astype(float) @ layer.kernel.numpy(), rtol=1e-12)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)


def test_flatten_lays_rows_in_c_order():
    x = np.arange(24.0).reshape(2, 3, 4)
    for layers in ([Flatten()], [Flatten(), Activation("relu")], [Activation("relu"), Flatten()]):
        model = model_of(*layers, shape=(3, 4))
        assert model.output_shape == (None, 12)
        np.testing.assert_array_equal(model(x), x.reshape(2, 12))
        np.testing.assert_array_equal(model(x[1]), x[1].ravel())
        np.testing.assert_array_equal(model.predict(x, verbose=0), x.reshape(2, 12))


def test_layers_keep_the_shape_of_images():
    x = np.arange(24.0).reshape(2, 3, 4)
    model = model_of(Activation("relu"), Dropout(0.5), shape=(3, 4))
    np.testing.assert_array_equal(model(x), x)


def test_dropout_is_identity_in_predict_and_evaluate():
    model = model_of(Dropout(0.5), Dense(2))
    model.compile("sgd", "mse")
    without = model_of(Dense(2))
    without.set_weights(model.get_weights())
    without.compile("sgd", "mse")
    np.testing.assert_array_equal(model.predict(X, verbose=0), without.predict(X, verbose=0))
    y = X[:, :2]
    assert model.evaluate(X, y, verbose=0) == without.evaluate(X, y, verbose=0)


def test_dropout_keeps_the_share_and_the_mean():
    # With a rate of learning of 0, the training loss of an identity shows what dropout did.
    n, rate = 20_000, 0.3
    model = model_of(Dropout(rate), Dense(1, kernel_initializer="ones"), shape=(1,))
    model.compile(dp.optimizers.SGD(0.0), "mse", metrics=["mae"])
    logs = model.fit(np.ones(n), np.zeros(n), batch_size=1000, verbose=0).history
    scaled = 1 / (1 - rate)  # kept units; the others are 0
    assert logs["mae"][0] == pytest.approx(1, abs=0.02)
    assert logs["loss"][0] == pytest.approx(scaled, abs=0.03)


def test_dropout_of_zero_changes_nothing():
    runs = []
    for layers in ([Dropout(0.0), Dense(2)], [Dense(2)]):
        model = model_of(*layers, seed=1)
        model.set_weights([np.full((4, 2), 0.1), np.zeros(2)])
        model.compile("sgd", "mse")
        runs.append(model.fit(X, X[:, :2], epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*runs, rtol=1e-6)


@pytest.mark.parametrize("seeds, same", [((1, 1), True), ((1, 2), False)])
def test_a_layers_own_seed_decides_the_masks(seeds, same):
    losses = []
    for i, seed in enumerate(seeds):
        layers = [Activation("linear")] * i  # whatever its place
        model = model_of(*layers, Dropout(0.5, seed=seed), Dense(2, kernel_initializer="ones"), seed=10)
        model.compile(dp.optimizers.SGD(0.0), "mse")
        losses.append(model.fit(X, X[:, :2], shuffle=False, verbose=0).history["loss"])
    assert (losses[0] == losses[1]) == same


def test_freezing_a_layer_and_a_variable():
    first, second = Dense(3), Dense(2)
    model = model_of(first, second)
    model.compile("sgd", "mse")
    first.trainable = False
    second.bias.trainable = False
    before = model.get_weights()
    model.fit(X, X[:, :2], verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights())]
    assert changed == [False, False, True, False]
    assert [v.name for v in model.trainable_variables] == ["dense_1/kernel"]
    assert second.trainable_variables == [second.kernel]

    first.trainable = second.bias.trainable = True  # without compiling again
    before = model.get_weights()
    model.fit(X, X[:, :2], verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_trainable_false_at_construction():
    layer = Dense(3, trainable=False)
    model = model_of(layer, Dense(2))
    assert not layer.trainable and layer.trainable_variables == []
    assert len(model.trainable_variables) == 2


def test_a_layer_shared_by_two_models_is_one_layer():
    shared = Dense(3, activation="tanh")
    one = model_of(shared, Dense(1))
    inner = model_of(shared)
    one.compile("sgd", "mse")
    before = inner(X)
    one.fit(X, X[:, 0], verbose=0)
    after = inner(X)
    assert np.abs(after - before).max() > 1e-6
    np.testing.assert_allclose(after, np.tanh(X @ shared.kernel.numpy() + shared.bias.numpy()), rtol=1e-4, atol=1e-6)


def test_a_built_layer_refuses_rows_of_another_width():
    shared = Dense(3)
    model_of(shared)
    with pytest.raises(ValueError, match=r"built for rows of shape \(4,\).*shape \(5,\)"):
        model_of(shared, shape=(5,))


def test_weights_of_a_layer():
    layer = Dense(2)
    model = model_of(layer)
    layer.set_weights([np.ones((4, 2)), [1, 2]])
    np.testing.assert_array_equal(layer.get_weights()[1], [1, 2])
    np.testing.assert_allclose(model(X), X.sum(axis=1)[:, np.newaxis] + np.array([1, 2]), rtol=1e-5)
    layer.bias.assign([0, 0])
    np.testing.assert_allclose(model(X)[:, 0], X.sum(axis=1), rtol=1e-5)
    with pytest.raises(ValueError, match="takes 2 arrays"):
        layer.set_weights([np.ones((4, 2))])


def test_an_assigned_variable_is_a_copy_both_ways():
    layer = Dense(2)
    model_of(layer)
    given = np.ones((4, 2), np.float32)
    layer.kernel.assign(given)
    given[:] = 5
    layer.kernel.numpy()[:] = 7
    np.testing.assert_array_equal(layer.kernel.numpy(), np.ones((4, 2)))
    np.testing.assert_array_equal(np.asarray(layer.kernel), np.ones((4, 2)))


@pytest.mark.parametrize(
    "layer",
    [
        Dense(3, "relu", use_bias=False, kernel_initializer="he_normal", kernel_regularizer="l2", name="d"),
        Dense(3, bias_initializer=dp.initializers.Constant(0.5), bias_regularizer=dp.regularizers.L1(0.1)),
        Dense(2, dp.activations.celu.with_alpha(0.5)),
        Dense(3, kernel_constraint=dp.constraints.MaxNorm(3, axis=(0, 1)), bias_constraint="non_neg"),
        Dense(3, activity_regularizer=dp.regularizers.SparseKL(0.1, 2)),
        dp.layers.ActivityRegularization(0.1, 0.2),
        Activation("tanh"),
        Activation(dp.activations.elu.with_alpha(0.5)),
        dp.layers.LeakyReLU(0.1),
        dp.layers.ReLU(max_value=2.0),
        dp.layers.ELU(0.5),
        dp.layers.Softmax(),
        dp.layers.PReLU("ones", shared_axes=[1]),
        dp.layers.RBF(3, "glorot_uniform", "ones"),
        Dropout(0.25, seed=4),
        Flatten(name="flat"),
        dp.Input(shape=(3, 4)).layer,
        dp.layers.Add(),
        dp.layers.Average(),
        dp.layers.Concatenate(),
        dp.layers.Multiply(),
        dp.layers.Subtract(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configuration_round_trip(layer):
    again = get_layer_class(type(layer).__name__).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_regularizers_by_name_have_keras_values():
    assert Dense(1, kernel_regularizer="l2").kernel_regularizer.get_config() == {"l1": 0.0, "l2": 0.01}
    assert Dense(1, kernel_regularizer="l1").kernel_regularizer.get_config() == {"l1": 0.01, "l2": 0.0}

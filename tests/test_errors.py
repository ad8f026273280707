"""Bad input: the documented exception, a message that says what was received and what would do, and nothing changed.

Damaged files are in test_saving.py.
"""

import subprocess
import sys

import numpy as np
import pytest

import deltaprop as dp

NAN, INF = float("nan"), float("inf")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype(np.float32)
IDS = np.arange(12) % 3
ONE_HOT = np.eye(3)[IDS]
BITS = (IDS > 0).astype(float)


def with_value(array, value, row=5):
    array = np.array(array, dtype=float)
    array[row] = value
    return array


class Sparse:
    def toarray(self):
        return X


def network(units=3, activation="softmax", loss="sparse_categorical_crossentropy", compiled=True):
    model = dp.Sequential(
        [
            dp.Input(shape=(4,)),
            dp.layers.Dense(5, activation="tanh"),
            dp.layers.Dense(units, activation=activation),
        ],
        seed=3,
    )
    if compiled:
        model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def classifier():
    return network()


def one_hot_classifier():
    return network(loss="categorical_crossentropy")


def binary_classifier():
    return network(1, "sigmoid", "binary_crossentropy")


def regression():
    return network(1, "linear", "mse")


def batch_normalized():
    return dp.Sequential([dp.Input((4,)), dp.layers.BatchNormalization()], seed=3)


def uncompiled():
    return network(compiled=False)


TARGETS = {classifier: IDS, one_hot_classifier: ONE_HOT, binary_classifier: BITS, regression: BITS}


def fit(x=X, y=IDS, **arguments):
    return lambda model: model.fit(x, y, verbose=0, **arguments)


def evaluate(x=X, y=IDS, **arguments):
    return lambda model: model.evaluate(x, y, verbose=0, **arguments)


def predict(x):
    return lambda model: model.predict(x, verbose=0)


def case(action, received, remedy="", of=classifier, error=ValueError, id=None):
    return pytest.param(of, action, error, received, remedy, id=id)


# Each row: what is done to which model, then two regular expressions for the message: what it must say of what was
# received, and of what would do.
CASES = [
    # ---- x
    case(fit(X[:, :3]), r"received shape \(12, 3\)", r"must have shape \(n_samples, 4\)", id="fit: width"),
    case(evaluate(X[:, :3]), r"received shape \(12, 3\)", r"\(n_samples, 4\)", id="evaluate: width"),
    case(predict(X[:, :3]), r"received shape \(12, 3\)", r"\(n_samples, 4\)", id="predict: width"),
    case(lambda m: m(with_value(X, NAN), training=True), r"x contains NaN or infinity, first in row 5", r"[Dd]rop",
         of=batch_normalized, id="call in training: NaN in x"),
    case(lambda m: m(X[:, :3]), r"received shape \(12, 3\)", r"\(n_samples, 4\)", id="call: width"),
    case(lambda m: m.train_on_batch(X[:, :3], IDS), r"received shape \(12, 3\)", r"\(n_samples, 4\)",
         id="train_on_batch: width"),
    case(lambda m: m.test_on_batch(X[:, :3], IDS), r"received shape \(12, 3\)", r"\(n_samples, 4\)",
         id="test_on_batch: width"),
    case(predict(X[0]), r"received shape \(4,\)", r"x\[np\.newaxis\]", id="predict: a single row"),
    case(predict(X.reshape(12, 2, 2)), r"received shape \(12, 2, 2\)", r"reshape\(len\(x\), 4\)",
         id="predict: rows of another shape"),
    case(fit(X.astype(str)), r"received dtype <U", r"real numbers.*astype\('float32'\)", id="fit: strings"),
    case(fit(X.astype(object)), r"received dtype object", r"astype\('float32'\)", id="fit: objects"),
    case(fit(X.astype(complex)), r"received dtype complex", r"real numbers", id="fit: complex"),
    case(predict(X.astype(complex)), r"received dtype complex", r"real numbers", id="predict: complex"),
    case(fit(X.astype("datetime64[s]")), r"received dtype datetime64", r"real numbers", id="fit: dates"),
    case(fit([[1, 2, 3, 4], [1, 2]]), r"x is no rectangular array", r"same length", id="fit: ragged lists"),
    case(fit(Sparse()), r"x is a sparse matrix of type Sparse", r"pass x\.toarray\(\)", id="fit: sparse"),
    case(fit(None), r"x is missing.*received None", r"one entry per row", id="fit: no x"),
    case(predict(5.0), r"the single number 5", r"one entry per row", id="predict: a number"),
    case(fit(with_value(X, NAN)), r"x contains NaN or infinity, first in row 5", r"[Dd]rop", id="fit: NaN in x"),
    case(fit(with_value(X, INF)), r"x contains NaN or infinity, first in row 5", r"[Dd]rop", id="fit: infinity in x"),
    case(fit(with_value(X.astype(np.float32), -INF).astype(np.float32)[:, ::-1]), r"first in row 5", r"[Dd]rop",
         id="fit: infinity in x, not contiguous"),
    case(evaluate(with_value(X, NAN)), r"x contains NaN or infinity, first in row 5", r"[Dd]rop",
         id="evaluate: NaN in x"),
    case(evaluate(with_value(X, -INF)), r"x contains NaN or infinity", r"[Dd]rop", id="evaluate: infinity in x"),
    case(lambda m: m.train_on_batch(with_value(X, NAN), IDS), r"x contains NaN", r"[Dd]rop",
         id="train_on_batch: NaN in x"),
    case(fit(X[:0], IDS[:0]), r"x has no rows \(shape \(0, 4\)\)", r"at least one", id="fit: no rows"),
    case(evaluate(X[:0], IDS[:0]), r"x has no rows", r"at least one", id="evaluate: no rows"),
    case(fit([], []), r"received shape \(0,\)", r"\(n_samples, 4\)", id="fit: empty lists"),
    # ---- y
    case(fit(y=None), r"y is missing.*received None", r"one entry per row", id="fit: no y"),
    case(fit(y=IDS[:7]), r"there are 12 rows, and y has 7", r"one entry per row", id="fit: lengths differ"),
    case(evaluate(y=IDS[:7]), r"there are 12 rows, and y has 7", r"one entry per row", id="evaluate: lengths differ"),
    case(fit(y=IDS + 1), r"received ids from 1 to 3", r"from 0 to 2 \(3 outputs\)", id="fit: label too large"),
    case(fit(y=IDS - 1), r"received ids from -1 to 1", r"from 0 to 2", id="fit: label negative"),
    case(fit(y=(IDS - 1).astype(np.int8)), r"received ids from -1 to 1", r"from 0 to 2",
         id="fit: label negative, int8"),
    case(evaluate(y=IDS + 1), r"received ids from 1 to 3", r"from 0 to 2", id="evaluate: label too large"),
    case(fit(y=IDS + 0.5), r"received 0\.5", r"integers", id="fit: labels are no integers"),
    case(fit(y=IDS.astype(str)), r"y must hold real numbers, received dtype <U", r"numbers", id="fit: y of strings"),
    case(fit(y=with_value(IDS, NAN)), r"y contains NaN or infinity, first in row 5", r"[Dd]rop", id="fit: NaN in y"),
    case(fit(y=ONE_HOT), r"received shape \(12, 3\)", r"categorical_crossentropy", id="fit: one-hot for class ids"),
    case(fit(y=IDS), r"received \(12,\)", r"sparse_categorical_crossentropy.*to_categorical", of=one_hot_classifier,
         id="fit: class ids for one-hot"),
    case(fit(y=-ONE_HOT), r"from -1", r"probabilities from 0 to 1", of=one_hot_classifier, id="fit: negative one-hot"),
    case(fit(y=2 * BITS), r"from 0\.0 to 2\.0", r"from 0 to 1", of=binary_classifier, id="fit: binary target of 2"),
    case(fit(y=(255 * BITS).astype(np.uint8)), r"from 0 to 255", r"from 0 to 1", of=binary_classifier,
         id="fit: binary target of 255"),
    case(fit(y=ONE_HOT), r"received \(12, 3\)", r"must have shape \(n_samples, 1\)", of=regression,
         id="fit: y too wide"),
    case(fit(y=with_value(BITS, INF)), r"y contains NaN or infinity", r"[Dd]rop", of=regression,
         id="fit: infinity in y"),
    # ---- weights
    case(fit(sample_weight=np.ones(7)), r"there are 12 rows, and sample_weight has 7", r"one entry per row",
         id="fit: too few sample weights"),
    case(fit(sample_weight=np.ones((12, 2))), r"received \(12, 2\)", r"\(n_samples,\)", id="fit: two weights a row"),
    case(fit(sample_weight=with_value(np.ones(12), -2)), r"received -2", r"must not be negative",
         id="fit: negative weight"),
    case(fit(sample_weight=with_value(np.ones(12), NAN)), r"sample_weight contains NaN", r"[Dd]rop",
         id="fit: NaN weight"),
    case(fit(class_weight={-1: 2.0}), r"received -1", r"a class id in class_weight must be an integer of at least 0",
         id="fit: class weight of class -1"),
    case(fit(class_weight={"cat": 2.0}), r"received 'cat'", r"a class id .* must be an integer of at least 0",
         id="fit: class weight of a name"),
    case(fit(class_weight={0: -1.0}), r"received -1\.0", r"at least 0", id="fit: negative class weight"),
    case(fit(class_weight="equal"), r"received 'equal'", r"'balanced'", id="fit: unknown class weight"),
    case(fit(class_weight=[1, 2, 3]), r"received \[1, 2, 3\]", r"dict", id="fit: list of class weights"),
    case(fit(y=X[:, 0], class_weight={0: 1.0}), r"class_weight needs targets that are classes", r"use sample_weight",
         of=regression, id="fit: class weight without classes"),
    # ---- arguments of fit
    case(fit(batch_size=0), r"received 0", r"batch_size must be an integer of at least 1", id="fit: batch_size=0"),
    case(fit(batch_size=-8), r"received -8", r"at least 1", id="fit: batch_size=-8"),
    case(fit(batch_size=2.5), r"received 2\.5", r"integer", id="fit: batch_size=2.5"),
    case(fit(batch_size=True), r"received True", r"integer", id="fit: batch_size=True"),
    case(evaluate(batch_size=0), r"received 0", r"at least 1", id="evaluate: batch_size=0"),
    case(lambda m: m.predict(X, batch_size=0), r"received 0", r"at least 1", id="predict: batch_size=0"),
    case(fit(epochs=0), r"received 0", r"epochs must be an integer of at least 1", id="fit: epochs=0"),
    case(fit(epochs="10"), r"received '10'", r"integer", id="fit: epochs='10'"),
    case(fit(initial_epoch=-1), r"received -1", r"at least 0", id="fit: initial_epoch=-1"),
    case(fit(validation_freq=0), r"received 0", r"at least 1", id="fit: validation_freq=0"),
    case(fit(validation_batch_size=0), r"received 0", r"at least 1", id="fit: validation_batch_size=0"),
    case(fit(validation_split=1.0), r"received 1\.0", r"of at least 0 and below 1", id="fit: validation_split=1"),
    case(fit(validation_split=-0.1), r"received -0\.1", r"of at least 0 and below 1",
         id="fit: validation_split=-0.1"),
    case(fit(validation_split="0.1"), r"received '0\.1'", r"of at least 0 and below 1",
         id="fit: validation_split='0.1'"),
    case(fit(validation_split=2, validation_data=(X, IDS)), r"received 2", r"of at least 0 and below 1",
         id="fit: validation_split that is not used"),
    case(fit(validation_split=0.99), r"leaves 0 to train", r"fraction", id="fit: validation_split leaves nothing"),
    case(fit(validation_data=X), r"received ndarray of length 12", r"\(x, y\)", id="fit: validation_data is x"),
    case(fit(validation_data=(X,)), r"of length 1", r"\(x, y\)", id="fit: validation_data without y"),
    case(fit(validation_data=(X[:, :2], IDS)), r"validation x.*received shape \(12, 2\)", r"\(n_samples, 4\)",
         id="fit: width of validation_data"),
    case(fit(validation_data=(with_value(X, NAN), IDS)), r"validation x contains NaN", r"[Dd]rop",
         id="fit: NaN in validation_data"),
    case(fit(validation_data=(X, IDS + 1)), r"validation y.*ids from 1 to 3", r"from 0 to 2",
         id="fit: labels of validation_data"),
    case(fit(callbacks=[dp.callbacks.EarlyStopping]), r"received <class", r"pass an instance",
         id="fit: callback class"),
    case(lambda m: m.fit(X, IDS, verbose=3), r"received 3", r"0, 1 or 2", id="fit: verbose=3"),
    case(lambda m: m(dp.Input((4,)), training=True), r"training=True", r"when it is called", id="call: training"),
    # ---- order of calls
    case(fit(), r"before fit", r"call model\.compile", of=uncompiled, error=RuntimeError, id="fit before compile"),
    case(evaluate(), r"before evaluate", r"call model\.compile", of=uncompiled, error=RuntimeError,
         id="evaluate before compile"),
    case(lambda m: m.train_on_batch(X, IDS), r"before train_on_batch", r"call model\.compile", of=uncompiled,
         error=RuntimeError, id="train_on_batch before compile"),
    # ---- compile
    case(lambda m: m.compile("adamm", "mse"), r"unknown optimizer 'adamm'", r"Did you mean 'adam'",
         id="compile: optimizer"),
    case(lambda m: m.compile("adam", "binary_crosentropy"), r"unknown loss 'binary_crosentropy'",
         r"Did you mean 'binary_crossentropy'", id="compile: loss"),
    case(lambda m: m.compile("adam", "mse", metrics=["acuracy"]), r"unknown metric 'acuracy'",
         r"Did you mean 'accuracy'", id="compile: metric"),
    case(lambda m: m.compile(0.01, "mse"), r"received 0\.01 of type float", r"name or an instance",
         id="compile: optimizer is a number"),
    case(lambda m: m.compile("adam"), r"loss is missing", r"for example loss='mse'", id="compile: no loss"),
    case(lambda m: m.compile("adam", "mse", metrics="mae"), r"received 'mae'", r"\['mae'\]",
         id="compile: metrics is a string"),
    case(lambda m: m.compile("adam", "mse", metrics=["sparse_categorical_accuracy"]),
         r"sparse_categorical_accuracy.*takes class ids", r"'accuracy' always fits", id="compile: metric against loss"),
    # ---- weights of a model, layers by name
    case(lambda m: m.set_weights(m.get_weights()[:3]), r"received 3", r"takes 4 arrays", id="set_weights: too few"),
    case(lambda m: m.set_weights([w.T for w in m.get_weights()]), r"received an array of shape \(5, 4\)",
         r"has shape \(4, 5\)", id="set_weights: transposed"),
    case(lambda m: m.set_weights([np.ones((4, 5)), np.ones(5), np.ones((5, 3)), np.array(["a", "b", "c"])]),
         r"received an array of dtype <U1", r"takes numbers", id="set_weights: strings, in the last array"),
    case(lambda m: m.get_layer("dense_7"), r"no layer 'dense_7'", r"'dense', 'dense_1'", id="get_layer: name"),
    case(lambda m: m.get_layer(index=2), r"index 2", r"there are 2 layers", id="get_layer: index"),
    case(lambda m: m.add("dense"), r"received 'dense'", r"dp\.layers\.Dense\(10\)", id="add: a string"),
    case(lambda m: m.add(dp.layers.Dense(2, name="dense")), r"there is a layer 'dense' already", r"must differ",
         id="add: name taken"),
    case(lambda m: m.add(dp.Input(shape=(4,))), r"Input", r"must be the first entry", id="add: Input at the end"),
]  # fmt: skip


def state(model):
    optimizer = model.optimizer
    slots = [] if optimizer is None else [s.numpy() for v in model.variables for s in optimizer.slots_of(v)]
    counters = (model.epochs_done, None if optimizer is None else optimizer.iterations, len(model.layers))
    return counters, [*model.get_weights(), *slots]


def complete_message(error):
    text = str(error)
    return "\n" not in text and not text.endswith("..")


@pytest.mark.parametrize("of, action, error, received, remedy", CASES)
def test_bad_input_is_explained_and_changes_nothing(of, action, error, received, remedy):
    model = of()
    if of in TARGETS:
        model.fit(X, TARGETS[of], epochs=2, verbose=0)
    counters, arrays = state(model)
    compiled = (model.optimizer, model.loss, model.metrics_names)

    with pytest.raises(error, match=received) as caught:
        action(model)
    assert type(caught.value) is error
    caught.match(remedy)
    assert complete_message(caught.value)

    counters_after, arrays_after = state(model)
    assert counters_after == counters
    for before, after in zip(arrays, arrays_after):
        np.testing.assert_array_equal(after, before)
    assert (model.optimizer, model.loss, model.metrics_names) == compiled
    if of in TARGETS:
        model.fit(X, TARGETS[of], verbose=0)


class OwnLayer(dp.layers.Layer):
    pass


class OwnDense(dp.layers.Dense):
    def call(self, x):
        return x


class OwnLoss(dp.losses.Loss):
    pass


class OwnMetric(dp.metrics.Metric):
    pass


@pytest.mark.parametrize(
    ("base", "hook"),
    [(dp.losses.MeanSquaredError, "call"), (dp.losses.Loss, "call"), (dp.metrics.MeanAbsoluteError, "update_state"),
     (dp.metrics.Metric, "result")],
)  # fmt: skip
def test_losses_and_metrics_with_an_arithmetic_of_their_own_are_refused(base, hook):
    with pytest.raises(TypeError, match=rf"Own\.{hook} would .* is a function, see Model\.compile"):
        type("Own", (base,), {hook: lambda self, y_true, y_pred: y_pred})


def ending_in(layer):
    return dp.Sequential([dp.Input((4,)), layer])


def measured(*metrics):
    model = network(1, "linear", compiled=False)
    model.compile("adam", "mse", metrics=metrics)
    return model.evaluate(X, BITS, verbose=0)


# Constructors and functions: what is called, what the message says of what was received, and of what would do.
CALLS = {
    "Dense(0)": (lambda: dp.layers.Dense(0), "received 0", "integer of at least 1"),
    "Dense(2.5)": (lambda: dp.layers.Dense(2.5), "received 2.5", "integer of at least 1"),
    "Dense('10')": (lambda: dp.layers.Dense("10"), "received '10'", "integer of at least 1"),
    "Dense(True)": (lambda: dp.layers.Dense(True), "received True", "integer of at least 1"),
    "activation": (lambda: dp.layers.Dense(2, "reul"), "unknown activation 'reul'", "Did you mean 'relu'"),
    "activation in capitals": (lambda: dp.layers.Dense(2, "ReLU"), "unknown activation 'ReLU'", "'relu'"),
    "activation is a number": (lambda: dp.layers.Dense(2, 3), "received 3", "a name or an instance"),
    "initializer": (lambda: dp.layers.Dense(2, kernel_initializer="glorot"), "'glorot'", "'glorot_"),
    "regularizer": (lambda: dp.layers.Dense(2, kernel_regularizer="l3"), "unknown regularizer 'l3'", "l2"),
    "constraint": (lambda: dp.layers.Dense(2, kernel_constraint="maxnorm"), "'maxnorm'", "Did you mean 'max_norm'"),
    "MaxNorm(-1)": (lambda: dp.constraints.MaxNorm(-1), "received -1", "at least 0"),
    "MinMaxNorm(2, 1)": (lambda: dp.constraints.MinMaxNorm(2, 1), "received 2 and 1", "must not exceed"),
    "MinMaxNorm, rate": (lambda: dp.constraints.MinMaxNorm(rate=1.5), "received 1.5", "of at least 0 and at most 1"),
    "MaxNorm, axis": (lambda: dp.constraints.MaxNorm(axis="in"), "received 'in'", "an integer or a tuple"),
    "axis of a bias": (
        lambda: dp.Sequential([dp.Input((3,)), dp.layers.Dense(2, bias_constraint=dp.constraints.MaxNorm(axis=1))]),
        "shape (2,) has no axis 1", "from 0 to 0",
    ),
    "SparseKL(0)": (lambda: dp.regularizers.SparseKL(0), "received 0", "above 0 and below 1"),
    "SparseKL of weights": (
        lambda: dp.layers.Dense(2, kernel_regularizer=dp.regularizers.SparseKL()), "penalises activations",
        "pass it as activity_regularizer",
    ),
    "GroupDecay of a layer": (
        lambda: dp.layers.Dense(2, kernel_regularizer=dp.regularizers.GroupDecay([1.0])), "penalises a model",
        "compile(regularizers=[...])",
    ),
    "L2 of a model": (
        lambda: network().compile("sgd", "mse", regularizers=["l2"]), "received 'l2'", "kernel_regularizer",
    ),
    "GroupDecay, unknown layer": (
        lambda: network().compile("sgd", "mse", regularizers=[dp.regularizers.GroupDecay({"dens": 0.1})]),
        "no weights 'dens'", "the layers are dense, dense_1",
    ),
    "GroupDecay, twice": (
        lambda: network().compile(
            "sgd", "mse", regularizers=[dp.regularizers.GroupDecay({"dense": 0.1, "dense*": 0.2})]
        ),
        "two groups for 'dense/kernel'", "give each variable one",
    ),
    "GroupDecay, length": (
        lambda: network().compile("sgd", "mse", regularizers=[dp.regularizers.GroupDecay([0.1])]),
        "received 1", "each of the layers dense, dense_1",
    ),
    "TangentPropagation, weight": (
        lambda: dp.regularizers.TangentPropagation(X, weight=-1), "received -1", "at least 0",
    ),
    "TangentPropagation, count": (
        lambda: dp.regularizers.TangentPropagation(n_tangents=0), "received 0", "integer of at least 1",
    ),
    "GroupDecay, a number": (lambda: dp.regularizers.GroupDecay(0.1), "received 0.1", "a dict such as"),
    "L2(-1)": (lambda: dp.regularizers.L2(-1), "received -1", "at least 0"),
    "Dropout(1)": (lambda: dp.layers.Dropout(1), "received 1", "of at least 0 and below 1"),
    "Dropout(-0.5)": (lambda: dp.layers.Dropout(-0.5), "received -0.5", "of at least 0 and below 1"),
    "Dropout(nan)": (lambda: dp.layers.Dropout(NAN), "received nan", "of at least 0 and below 1"),
    "Input(0)": (lambda: dp.Input(shape=(0,)), "received (0,)", "positive integers"),
    "Input(None)": (lambda: dp.Input(shape=(None, 4)), "received (None, 4)", "without the batch axis"),
    "Input()": (lambda: dp.Input(shape=()), "received ()", "such as (784,)"),
    "two input shapes": (lambda: dp.layers.Dense(2, input_dim=4, input_shape=(4,)), "input_shape", "not both"),
    "layer name": (lambda: dp.layers.Dense(2, name=""), "received ''", "non-empty string"),
    "dtype": (lambda: dp.Sequential(dtype="float16"), "received 'float16'", "'float32' or 'float64'"),
    "seed": (lambda: dp.Sequential(seed=-1), "received -1", "from 0 to 2**32 - 1"),
    "learning rate": (lambda: dp.optimizers.SGD(-0.1), "received -0.1", "learning_rate must be a finite number"),
    "learning rate is NaN": (lambda: dp.optimizers.Adam(NAN), "received nan", "learning_rate must be a finite number"),
    "learning rate is infinite": (lambda: dp.optimizers.Adam(INF), "received inf", "learning_rate must be"),
    "learning rate is text": (lambda: dp.optimizers.Adam("fast"), "received 'fast'", "learning_rate must be"),
    "momentum": (lambda: dp.optimizers.SGD(momentum=2), "received 2", "of at least 0 and at most 1"),
    "beta_1": (lambda: dp.optimizers.Adam(beta_1=1.0), "received 1.0", "of at least 0 and below 1"),
    "weight decay": (lambda: dp.optimizers.AdamW(weight_decay=-1), "received -1", "at least 0"),
    "clipnorm": (lambda: dp.optimizers.SGD(clipnorm=0), "received 0", "clipnorm must be a finite number above 0"),
    "two clips": (lambda: dp.optimizers.SGD(clipnorm=1, clipvalue=1), "clipnorm and clipvalue", "only one"),
    "Flatten missing": (
        lambda: dp.Sequential([dp.Input(shape=(28, 28)), dp.layers.Dense(2)]),
        "received rows of shape (28, 28)",
        "put a Flatten layer before it",
    ),
    "no layers": (lambda: dp.Sequential().build((4,)), "the model has no layers", "add one first"),
    "nothing to pop": (lambda: dp.Sequential().pop(), "there is no layer", ""),
    "summary before build": (
        lambda: dp.Sequential([dp.layers.Dense(2)]).summary(),
        "the model is not built",
        "Start with dp.Input",
    ),
    "weights before build": (
        lambda: dp.Sequential([dp.layers.Dense(2)]).get_weights(),
        "the model is not built",
        "Start with dp.Input",
    ),
    "threads": (lambda: dp.set_num_threads(0), "received 0", "at least 1"),
    "threads is text": (lambda: dp.set_num_threads("2"), "received '2'", "integer of at least 1"),
    "random seed": (lambda: dp.utils.set_random_seed(1.5), "received 1.5", "from 0 to 2**32 - 1"),
    "threads are a fraction": (lambda: dp.set_num_threads(1.0), "received 1.0", "integer of at least 1"),
    "units of NumPy's bool": (lambda: dp.layers.Dense(np.bool_(True)), "True", "integer of at least 1"),
    "input_dim": (lambda: dp.layers.Dense(2, input_dim=(4,)), "received (4,)", "integer of at least 1"),
    "axis": (lambda: dp.layers.Concatenate(axis=True), "received True", "axis must be an integer"),
    "axes": (lambda: dp.layers.Normalization(axis=(1, 1.5)), "received (1, 1.5)", "integer or a tuple of them"),
    "axes, none": (lambda: dp.constraints.MaxNorm(axis=()), "received none", "at least one axis"),
    "statistics": (lambda: dp.layers.Normalization(mean="a", variance=1), "received 'a'", "must be finite numbers"),
    "LeakyReLU": (lambda: dp.layers.LeakyReLU(NAN), "received nan", "negative_slope must be a finite number"),
    "ReLU": (lambda: dp.layers.ReLU(max_value=0), "received 0", "max_value must be a finite number above 0"),
    "seed of a layer": (lambda: dp.layers.Dropout(0.5, seed=-1), "received -1", "from 0 to 2**32 - 1"),
    "seed of an initializer": (lambda: dp.initializers.HeNormal(2**32), "received 4294967296", "from 0 to 2**32 - 1"),
    "Constant": (lambda: dp.initializers.Constant([1, NAN]), "received [1, nan]", "must be finite numbers"),
    "Constant, ragged": (lambda: dp.initializers.Constant([[1], [2, 3]]), "[[1], [2, 3]]", "must be finite numbers"),
    "RandomNormal": (lambda: dp.initializers.RandomNormal(stddev=-1), "received -1", "of at least 0"),
    "RandomUniform": (lambda: dp.initializers.RandomUniform(0.5, 0), "received 0", "maxval must be a finite number of"),
    "Orthogonal": (lambda: dp.initializers.Orthogonal(gain="1"), "received '1'", "gain must be a finite number"),
    "NguyenWidrow": (lambda: dp.initializers.NguyenWidrow(0), "received 0", "n_in must be an integer of at least 1"),
    "Huber": (lambda: dp.losses.Huber(NAN), "received nan", "delta must be a finite number above 0"),
    "Quantile": (lambda: dp.losses.Quantile([0.5, 1]), "received 1", "quantiles[1] must be a finite number above 0"),
    "target_shape": (lambda: dp.losses.FunctionLoss(np.hypot, (0,)), "received (0,)", "positive integers"),
    "target_shape is text": (lambda: dp.losses.FunctionLoss(np.hypot, "a"), "received 'a'", "target_shape must be a"),
    "name of a loss": (lambda: dp.losses.Huber(name=3), "received 3", "non-empty string"),
    "name of a metric": (lambda: dp.metrics.Recall(name=""), "received ''", "non-empty string"),
    "name of a model": (lambda: dp.Sequential(name=3), "received 3", "non-empty string"),
    "name of a model, empty": (lambda: dp.Sequential(name=""), "received ''", "non-empty string"),
    "name of an optimizer": (lambda: dp.optimizers.SGD(name=3), "received 3", "non-empty string"),
    "AUC": (lambda: dp.metrics.AUC(2.5), "received 2.5", "num_thresholds must be an integer of at least 2"),
    "AUC, one threshold": (lambda: dp.metrics.AUC(thresholds=0.5), "received 0.5", "a list of at least one number"),
    "top k": (lambda: dp.metrics.TopKCategoricalAccuracy(2.5), "received 2.5", "k must be an integer of at least 1"),
    "class_id": (lambda: dp.metrics.Precision(class_id=0.5), "received 0.5", "class_id must be an integer"),
    "learning rate beyond floats": (lambda: dp.optimizers.SGD(10**400), "received 1000", "must be a finite number"),
    "epsilon": (lambda: dp.optimizers.Adam(epsilon=INF), "received inf", "epsilon must be a finite number"),
    "three etas": (lambda: dp.optimizers.Rprop(etas=(0.5, 1, 2)), "received (0.5, 1, 2)", "two numbers"),
    "boundaries": (
        lambda: dp.schedules.PiecewiseConstantDecay(3, [1]), "received 3", "boundaries must be a list of at least one",
    ),
    "EarlyStopping": (
        lambda: dp.callbacks.EarlyStopping(patience=-1), "received -1", "patience must be an integer of at least 0",
    ),
    "ReduceLROnPlateau": (
        lambda: dp.callbacks.ReduceLROnPlateau(factor=1), "received 1", "of at least 0 and below 1",
    ),
    "loss_weights": (lambda: network().compile("sgd", "mse", loss_weights=NAN), "received nan", "at least 0"),
    "bias of a neuron": (lambda: dp.Perceptron(bias=True), "received True", "bias must be a finite number"),
    "seed of a neuron": (lambda: dp.Adaline().fit(X, BITS, seed=-1), "received -1", "from 0 to 2**32 - 1"),
    "index of a layer": (lambda: network().get_layer(index="a"), "received 'a'", "index must be an integer"),
    "line_length": (lambda: network().summary(line_length=-5), "received -5", "line_length must be an integer"),
    "num_classes": (lambda: dp.utils.to_categorical([0], 1.5), "received 1.5", "num_classes must be an integer"),
    "loss of classes on one output": (
        lambda: network(1, loss="categorical_crossentropy").fit(X, BITS, verbose=0),
        "loss 'categorical_crossentropy' needs an output for each class, received rows of a single output",
        "'binary_crossentropy' would do",
    ),
    "loss of class ids on one output": (
        lambda: network(1).train_on_batch(X, 0 * IDS), "received rows of a single output", "an output for each class",
    ),
    "metric of classes on one output": (
        lambda: measured("mae", "top_k_categorical_accuracy"),
        "metric 'top_k_categorical_accuracy' needs an output for each class", "'accuracy' would do",
    ),
    "loss of classes as a metric of one output": (
        lambda: measured(dp.losses.CategoricalHinge()), "metric 'categorical_hinge'", "'accuracy' would do",
    ),
    "metric of classes alone, on one output": (
        lambda: dp.metrics.CategoricalAccuracy()([0, 1], [0.2, 0.8]), "a single output", "an output for each class",
    ),
    "layer of one's own": (
        lambda: ending_in(OwnLayer()).predict(X, verbose=0), "class OwnLayer", "Activation((value, derivative))",
    ),
    "layer with a call of its own": (
        lambda: ending_in(OwnDense(2)).predict(X, verbose=0), "class OwnDense", "Activation((value, derivative))",
    ),
    "loss of one's own": (lambda: OwnLoss("own")(BITS, BITS), "class OwnLoss", "a function"),
    "metric of one's own": (lambda: measured(OwnMetric("own")), "class OwnMetric", "a function"),
    "to_categorical, negative": (lambda: dp.utils.to_categorical([0, -1]), "received -1", "not be negative"),
    "to_categorical, too large": (lambda: dp.utils.to_categorical([0, 3], 3), "class id 3", "from 0 to 2"),
    "to_categorical, fraction": (lambda: dp.utils.to_categorical([0.5]), "array of float64", "integers"),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_are_explained(name):
    call, received, remedy = CALLS[name]
    with pytest.raises(ValueError) as caught:
        call()
    assert type(caught.value) is ValueError
    assert received in str(caught.value)
    assert remedy in str(caught.value)
    assert complete_message(caught.value)


def test_a_model_that_cannot_train_says_so():
    model = classifier()
    for layer in model.layers:
        layer.trainable = False
    with pytest.raises(ValueError, match="nothing to train"):
        model.fit(X, IDS, verbose=0)


def test_predict_does_not_scan_a_row_with_nan_gives_nan():
    p = classifier().predict(with_value(X, NAN, row=3), verbose=0)
    assert np.isnan(p[3]).all()
    assert np.isfinite(np.delete(p, 3, axis=0)).all()


def test_an_unknown_instruction_set_is_an_import_error():
    code = "import os; os.environ['DELTAPROP_ISA'] = 'x86-64-v9'\nimport deltaprop"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "ImportError: DELTAPROP_ISA='x86-64-v9' is not available here" in run.stderr
    assert "baseline" in run.stderr

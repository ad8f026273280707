"""Numbers of NumPy do wherever numbers do, and become Python's. What is refused is in test_errors.py."""

import inspect
import json
import re

import numpy as np
import pytest

import deltaprop as dp
from deltaprop import checks

INSIDE = {"least": 0, "below": 1}


@pytest.mark.parametrize(
    ("given", "bounds", "wanted"),
    [
        (1, INSIDE, "a finite number of at least 0 and below 1"),
        (-1e-9, INSIDE, "a finite number of at least 0 and below 1"),
        (0, {"above": 0, "most": 1}, "a finite number above 0 and at most 1"),
        (np.float32(1.5), {"above": 0, "most": 1}, "a finite number above 0 and at most 1"),
        (np.float32("nan"), {}, "a finite number"),
        (-np.inf, {}, "a finite number"),
        (10**400, {}, "a finite number"),
        (True, {}, "a finite number"),
        (np.True_, {}, "a finite number"),
        ("1", {}, "a finite number"),
        (1j, {}, "a finite number"),
        (np.complex64(1), {}, "a finite number"),
        (np.ones(1), {}, "a finite number"),
        (None, {}, "a finite number"),
    ],
)
def test_other_than_the_number_wanted_is_refused(given, bounds, wanted):
    with pytest.raises(ValueError, match=re.escape(f"rate must be {wanted}, received {given!r}.")):
        checks.number("rate", given, **bounds)


@pytest.mark.parametrize("given", [1.0, np.float64(1), True, np.True_, "1", None, 0, np.int8(-1), np.uint8(5)])
def test_other_than_the_integer_wanted_is_refused(given):
    wanted = f"units must be an integer of at least 1 and below 5, received {given!r}."
    with pytest.raises(ValueError, match=re.escape(wanted)):
        checks.whole("units", given, least=1, below=5)


# The parts of a model, and what they are made from where there is no default, or where it is None.
MODULES = (
    dp.layers, dp.losses, dp.metrics, dp.optimizers, dp.schedules, dp.initializers, dp.constraints, dp.regularizers,
)  # fmt: skip
BASES = {
    "Layer", "Loss", "FunctionLoss", "Metric", "FunctionMetric", "Optimizer", "LearningRateSchedule", "Initializer",
    "Constraint", "ModelRegularizer",
}  # fmt: skip
GIVEN = {
    "activation": "tanh", "alphas": [0.5, 0.25], "boundaries": [2, 5], "class_id": 1, "clipnorm": 2, "decay_rate": 0.5,
    "decay_steps": 10, "ema_overwrite_frequency": 3, "first_decay_steps": 10, "initial_learning_rate": 0.5,
    "input_dim": 4, "loss": dp.losses.Huber(), "max_lr": 0.5, "max_value": 2, "n_in": 3, "n_tangents": 2,
    "output_dim": 3, "rate": 0.3, "schedule": 0.5, "seed": 7, "shape": (3,), "shared_axes": 1, "stddev": 0.5,
    "thresholds": [0.25, 0.75], "tied_to": dp.layers.Dense(2, name="tied"), "total_steps": 10, "units": 3,
    "values": [0.5, 0.25, 0.125], "warmup_steps": 2, "warmup_target": 0.5, "weight_decay": 0.1,
}  # fmt: skip
CLASSES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": cls
    for module in MODULES
    for name, cls in vars(module).items()
    if name[0].isupper() and name not in BASES and hasattr(cls, "get_config")
}


def parameters(cls):
    """Of the constructor, with the keywords that it hands on to its bases."""
    found = dict(inspect.signature(cls).parameters)
    bases = iter(cls.__mro__[1:-1])
    while any(p.kind is p.VAR_KEYWORD for p in found.values()):
        found = {name: p for name, p in found.items() if p.kind is not p.VAR_KEYWORD}
        handed = inspect.signature(next(bases).__init__).parameters
        found.update({name: p for name, p in handed.items() if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)})
    return found


def plain(value):
    if isinstance(value, (list, tuple)):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    return value is None or type(value) in (bool, int, float, str)


@pytest.mark.parametrize(("integer", "real"), [(np.int64, np.float64), (np.int16, np.float32)])
@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES.keys())
def test_numbers_of_numpy_become_plain_ones(cls, integer, real):
    given, ours = {}, {}
    for name, parameter in parameters(cls).items():
        value = GIVEN.get(name) if parameter.default in (None, parameter.empty) else parameter.default
        kinds = re.findall(r"\b(?:int|float)\b", str(parameter.annotation))
        if value is not None:
            given[name] = ours[name] = value
            if kinds:
                given[name] = np.array(value, integer if kinds[0] == "int" else real)[()]
                ours[name] = given[name].tolist()

    config = cls(**given).get_config()
    assert config == cls(**ours).get_config()
    assert plain(config)
    assert json.loads(json.dumps(config)).keys() == config.keys()


X = np.random.default_rng(0).normal(size=(12, 4))
IDS = np.arange(12) % 3


def fitted(i, f):
    widths = np.linspace(2, 6, 2).astype(int)
    model = dp.Sequential([dp.Input(X.shape[1:]), *map(dp.layers.Dense, widths)], seed=i(3))
    model.add(dp.layers.Dense(np.unique(IDS).size, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", loss_weights=f(0.5))
    history = model.fit(
        X, IDS, batch_size=i(4), epochs=i(3), initial_epoch=i(1), validation_split=f(0.25), validation_freq=i(2),
        validation_batch_size=i(4), class_weight={i(0): f(2)}, restarts=i(2), verbose=0,
        callbacks=[
            dp.callbacks.EarlyStopping("loss", patience=i(2), min_delta=f(0), baseline=f(9), start_from_epoch=i(0)),
            dp.callbacks.ReduceLROnPlateau("loss", factor=f(0.5), patience=i(1), cooldown=i(1), min_lr=f(0)),
            dp.callbacks.LearningRateScheduler(lambda epoch: f(0.125)),
        ],
    )  # fmt: skip
    assert plain(model.get_config())
    assert model.get_layer(index=i(0)) is model.layers[0]
    return history.history, model.predict(X, batch_size=i(5), verbose=0).tolist()


def threads(i, f):
    dp.set_num_threads(i(1))
    try:
        return dp.get_num_threads()
    finally:
        dp.set_num_threads(None)


def neurons(i, f):
    perceptron = dp.Perceptron(bias=f(0.5)).fit(X, IDS > 1, i(9), learning_rate=f(0.5), shuffle=True, seed=i(1))
    adaline = dp.Adaline().fit(X, IDS > 1, i(2), f(0.125), batch_size=i(3), tolerance=f(0.5))
    return perceptron.bias, adaline.bias


@pytest.mark.filterwarnings("ignore:the classes are not")
@pytest.mark.parametrize("call", [
    fitted, threads, neurons,
    lambda i, f: dp.utils.to_categorical([1, 0], num_classes=i(3)).tolist(),
    lambda i, f: dp.activations.elu.with_alpha(f(0.5)).alpha,
    lambda i, f: dp.Autoencoder([i(2)], i(4), noise=f(0.5), sparsity=(f(0.5), f(0.25)), seed=i(1)).get_config(),
])  # fmt: skip
def test_numbers_of_numpy_do_as_arguments(call):
    assert call(np.int64, np.float32) == call(int, float)

"""Files: what is saved comes back bit for bit, and what is no whole model of ours is refused."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import deltaprop as dp
from deltaprop import container
from deltaprop.saving import from_bytes, to_bytes

RNG = np.random.default_rng(3)
X = RNG.normal(size=(75, 6))
Y = RNG.integers(0, 3, 75)

RATE = dp.schedules.CosineDecay(0.05, decay_steps=40, warmup_target=0.1, warmup_steps=5)
OPTIMIZERS: dict[str, Callable[[], dp.optimizers.Optimizer]] = {
    "sgd": lambda: dp.optimizers.SGD(0.1),
    "momentum": lambda: dp.optimizers.SGD(RATE, momentum=0.9),
    "nesterov": lambda: dp.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipvalue=0.1),
    "rmsprop": lambda: dp.optimizers.RMSprop(0.01, weight_decay=0.01),
    "rmsprop_momentum": lambda: dp.optimizers.RMSprop(0.01, momentum=0.5),
    "centered": lambda: dp.optimizers.RMSprop(0.01, centered=True),
    "adam": lambda: dp.optimizers.Adam(dp.schedules.ExponentialDecay(0.01, 7, 0.9), clipnorm=0.5),
    "amsgrad": lambda: dp.optimizers.Adam(0.01, amsgrad=True, global_clipnorm=np.float64(1.5)),
    "adagrad": lambda: dp.optimizers.Adagrad(0.01, initial_accumulator_value=0.2),
    "adadelta": lambda: dp.optimizers.Adadelta(1.0, clipnorm=0.1),
    "adamax": lambda: dp.optimizers.Adamax(0.01),
    "nadam": lambda: dp.optimizers.Nadam(0.01),
    "lion": lambda: dp.optimizers.Lion(0.001),
    "rprop": lambda: dp.optimizers.Rprop(step_sizes=(1e-5, 0.1)),
    "adamw": lambda: dp.optimizers.AdamW(
        dp.schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001]), weight_decay=0.1
    ),
}


def make(optimizer: Any = "adam", dtype: str = "float32", seed: int = 11, **compiled: Any) -> dp.Sequential:
    model = dp.Sequential([
        dp.Input(shape=(6,)),
        dp.layers.Dense(9, activation="relu", kernel_regularizer="l2"),
        dp.layers.Dropout(0.3),
        dp.layers.Dense(5, activation="tanh", use_bias=False, kernel_initializer="he_normal"),
        dp.layers.Dense(3, activation="softmax", name="out"),
    ], dtype=dtype, seed=seed)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", **compiled)
    return model


def train(model: dp.Sequential, first: int, last: int) -> None:
    model.fit(X, Y, batch_size=16, initial_epoch=first, epochs=last, verbose=0)


def state(model: dp.Sequential) -> tuple[Any, ...]:
    """All that training depends on, in plain bytes."""
    assert model.optimizer is not None
    slots = [[slot.numpy().tobytes() for slot in model.optimizer.slots_of(v)] for v in model.variables]
    weights = [w.tobytes() for w in model.get_weights()]
    return weights, slots, model.optimizer.iterations, model.epochs_done, model.seed


def saved(model: dp.Sequential, folder: Path, name: str = "model.safetensors") -> Path:
    path = folder / name
    model.save(path)
    return path


def forged(data: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """A file whose content was changed by somebody who knows how to compute the SHA-256."""
    end = 8 + int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8:end])["__metadata__"]
    arrays = safetensors.numpy.load(data)
    change(metadata, arrays)
    return container.pack(metadata, arrays)


def described(change: Callable[[Any], None]) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def apply(metadata: dict[str, Any], arrays: dict[str, Any]) -> None:
        configuration = json.loads(metadata["configuration"])
        change(configuration)
        metadata["configuration"] = json.dumps(configuration)

    return apply


# ---- what comes back


def test_a_model_comes_back_whole(tmp_path: Path) -> None:
    metrics = ["accuracy", dp.losses.SparseCategoricalCrossentropy(name="entropy")]
    model = make(metrics=metrics, weighted_metrics=["accuracy"])
    train(model, 0, 2)
    again = dp.load_model(saved(model, tmp_path))
    assert state(again) == state(model)
    assert again.get_config() == model.get_config()
    assert again.metrics_names == model.metrics_names == [
        "loss", "accuracy", "entropy", "weighted_accuracy",
    ]
    assert [layer.name for layer in again.layers] == ["dense", "dropout", "dense_1", "out"]
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert again.predict(X, verbose=0).tobytes() == model.predict(X, verbose=0).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_training_equals_uninterrupted_training(name: str, dtype: str, tmp_path: Path) -> None:
    whole = make(OPTIMIZERS[name](), dtype)
    train(whole, 0, 6)
    parts = make(OPTIMIZERS[name](), dtype)
    for first in (0, 2, 4):
        train(parts, first, first + 2)
        parts = dp.load_model(saved(parts, tmp_path))
    assert state(parts) == state(whole)


def test_resumed_training_on_the_reference_executor(tmp_path: Path) -> None:
    whole = make(run_eagerly=True)
    train(whole, 0, 4)
    half = make(run_eagerly=True)
    train(half, 0, 2)
    again = dp.load_model(saved(half, tmp_path))
    assert again._run_eagerly
    train(again, 2, 4)
    assert state(again) == state(whole)


def test_resumed_training_from_a_checkpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "{epoch:02d}.safetensors")
    whole = make()
    whole.fit(X, Y, epochs=4, verbose=0, callbacks=[dp.callbacks.ModelCheckpoint(path)])
    again = dp.load_model(path.format(epoch=2))
    again.fit(X, Y, epochs=4, initial_epoch=2, verbose=0)
    assert state(again) == state(whole)


def test_a_learning_rate_set_in_between_is_kept(tmp_path: Path) -> None:
    model = make()
    assert model.optimizer is not None
    model.optimizer.learning_rate = 0.1 + 0.2
    again = dp.load_model(saved(model, tmp_path))
    assert again.optimizer is not None
    assert again.optimizer.learning_rate == 0.1 + 0.2


def test_frozen_layers_and_variables_stay_frozen(tmp_path: Path) -> None:
    model = make()
    train(model, 0, 1)  # all variables have slots now
    model.layers[0].trainable = False
    model.get_layer("out").bias.trainable = False  # type: ignore[attr-defined]
    again = dp.load_model(saved(model, tmp_path))
    assert [v.trainable for v in again.variables] == [False, False, True, True, False]
    assert not again.layers[0].trainable
    for each in (model, again):
        train(each, 1, 2)
        each.layers[0].trainable = True
        train(each, 2, 3)
    assert state(again) == state(model)


@pytest.mark.parametrize("suffix", ["", ".keras", ".h5", ".pt", ".safetensors"])
def test_any_suffix_will_do(suffix: str, tmp_path: Path) -> None:
    model = make()
    assert state(dp.load_model(str(saved(model, tmp_path, f"модель 1{suffix}")))) == state(model)


@pytest.mark.parametrize("how", ["empty", "unbuilt", "built later", "not compiled", "every object"])
def test_models_of_every_kind(how: str, tmp_path: Path) -> None:
    model = dp.Sequential(name="é\n\"")
    if how != "empty":
        constant = dp.initializers.Constant(np.float32(0.1))
        penalty = dp.regularizers.L1L2(1e-3, 1e-4)
        model.add(dp.layers.Flatten())
        model.add(dp.layers.Dense(2, kernel_initializer=constant, bias_regularizer=penalty, name="日本/x"))
        model.add(dp.layers.Activation("sigmoid", trainable=False))
        model.add(dp.layers.Dropout(0.5, seed=np.int64(4)))  # type: ignore[arg-type]
    if how in ("built later", "not compiled", "every object"):
        model.build((None, 2, 3))
    if how == "every object":
        loss = dp.losses.BinaryCrossentropy(from_logits=True)
        metrics = [dp.metrics.MeanSquaredError(), dp.losses.HalfSquaredError(), "mae"]
        model.compile(dp.optimizers.SGD(), loss, metrics=metrics, weighted_metrics=["mse", "bce"])
    again = dp.load_model(saved(model, tmp_path))
    assert again.get_config() == from_bytes(to_bytes(again)).get_config()
    assert again.built == model.built and again.seed == model.seed and again.name == model.name
    assert to_bytes(again) == to_bytes(model)
    assert repr(again.loss) == repr(model.loss)


def test_loading_without_compiling(tmp_path: Path) -> None:
    model = make()
    train(model, 0, 1)
    again = dp.load_model(saved(model, tmp_path), compile=False)
    assert again.optimizer is None and again.loss is None
    assert again.predict(X, verbose=0).tobytes() == model.predict(X, verbose=0).tobytes()


def test_the_same_model_gives_the_same_bytes() -> None:
    model = make()
    assert len({to_bytes(model) for _ in range(8)}) == 1


def test_the_file_is_an_ordinary_safetensors_file(tmp_path: Path) -> None:
    model = make()
    train(model, 0, 1)
    arrays = safetensors.numpy.load_file(saved(model, tmp_path))
    assert set(arrays) == {"dense/kernel", "dense/bias", "dense_1/kernel", "out/kernel", "out/bias"} | {
        f"optimizer/{name}/{slot}"
        for name in ("dense/kernel", "dense/bias", "dense_1/kernel", "out/kernel", "out/bias")
        for slot in ("momentum", "velocity")
    }
    assert arrays["dense/kernel"].tobytes() == model.get_weights()[0].tobytes()
    with safetensors.safe_open(tmp_path / "model.safetensors", "np") as file:
        metadata = file.metadata()
    assert json.loads(metadata["counters"]) == {"epochs_done": 1, "iterations": 5}
    assert json.loads(metadata["configuration"])["model"]["seed"] == 11


# ---- what is refused


def test_one_flipped_byte_anywhere_is_noticed() -> None:
    model = dp.Sequential([dp.Input(shape=(3,)), dp.layers.Dense(2)], seed=1)
    model.compile("sgd", "mse")
    data = to_bytes(model)
    from_bytes(data)
    for at in range(len(data)):
        for other in {data[at] ^ 0xFF, data[at] ^ 1, data[at] ^ 0x20, *b" \n0"} - {data[at]}:
            with pytest.raises(ValueError, match=r"damaged|newer"):
                from_bytes(data[:at] + bytes([other]) + data[at + 1 :])


def test_every_truncated_or_prolonged_file_is_refused() -> None:
    data = to_bytes(make("sgd"))
    for end in range(len(data)):
        with pytest.raises(ValueError, match="damaged, truncated"):
            from_bytes(data[:end])
    for more in (b"\0", b" ", data):
        with pytest.raises(ValueError, match="damaged, truncated"):
            from_bytes(data + more)


def header(content: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


OURS = {"format": "deltaprop", "format_version": "1", "weights": "[]", "sha256": ""}


def one_array(dtype: str, shape: list[int], end: int) -> bytes:
    """A file with one array, which claims `end` bytes and has 4."""
    array = {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}
    return header({"__metadata__": OURS, "w": array}, bytes(4))


def only(**metadata: str) -> bytes:
    return header({"__metadata__": metadata})


PICKLE = pickle.dumps({"weights": [1.0]}, protocol=4)
OTHERS = safetensors.numpy.save({"w": np.ones(3)}, {"format": "pt"})
FOREIGN = {
    "an empty file": (b"", "it has 0 bytes"),
    "a few bytes": (b"abc", "it has 3 bytes"),
    "text": (b"epoch,loss\n0,0.5\n", "announces a header"),
    "a pickle": (PICKLE, "a pickle, which is never read"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "a .keras file": (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
    "another program's": (OTHERS, "without deltaprop's metadata"),
    "no metadata": (safetensors.numpy.save({"w": np.ones(3)}), "without deltaprop's metadata"),
    "a header of 2**60 bytes": (header(b"{}", length=2**60), f"announces a header of {2**60}"),
    "a header of 2**64 - 1 bytes": (header(b"{}", length=2**64 - 1), "announces a header"),
    "a header that is a list": (header([1, 2]), "damaged"),
    "a header that is a number": (header(b"7"), "damaged"),
    "a header that nests deeply": (header(b"[" * 200_000), "damaged"),
    "a header that is no UTF-8": (header(b"\xff\xfe{}"), "damaged"),
    "a header with spaces": (header(json.dumps({"__metadata__": OURS}).encode()), "not as it was written"),
    "metadata that are a number": (header({"__metadata__": 3}), "damaged"),
    "an array that is a number": (header({"__metadata__": OURS, "w": 5}), "damaged"),
    "an array of 2**80 elements": (one_array("F32", [2**40, 2**40], 4), "damaged"),
    "an array of 2**62 bytes": (one_array("F32", [2**60], 2**62), "damaged"),
    "an array larger than the file": (one_array("F32", [2], 8), "damaged"),
    "an array smaller than its shape": (one_array("F32", [2], 4), "damaged"),
    "a negative shape": (one_array("F32", [-1], 4), "damaged"),
    "an array of another type": (one_array("BF16", [2], 4), "types BF16"),
    "a wrong SHA-256": (one_array("F32", [1], 4), "SHA-256 is not the one"),
    "no SHA-256": (only(format="deltaprop", format_version="1"), "sha256"),
    "no version": (only(format="deltaprop"), "format_version"),
    "a version that is no number": (header({"__metadata__": {**OURS, "format_version": "one"}}), "damaged"),
    "a newer version": (header({"__metadata__": {**OURS, "format_version": "2"}}), "newer deltaprop"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_files_are_refused(what: str, tmp_path: Path) -> None:
    data, message = FOREIGN[what]
    path = tmp_path / "file.safetensors"
    path.write_bytes(data)
    model = make()
    before = state(model)
    tracemalloc.start()
    try:
        for load in (dp.load_model, model.load_weights):
            with pytest.raises(ValueError, match=message) as caught:
                load(path)
            assert "file.safetensors" in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert state(model) == before


def wide(configuration: Any) -> None:
    configuration["model"]["layers"][1]["config"]["units"] = 10**12


def deep_input(configuration: Any) -> None:
    configuration["model"]["layers"][0]["config"]["shape"] = [10**9]
    configuration["model"]["input_shape"] = [10**9]


def set_model(key: str, value: Any) -> Callable[[Any], None]:
    return lambda configuration: configuration["model"].__setitem__(key, value)


def set_output(key: str, value: Any) -> Callable[[Any], None]:
    return lambda configuration: configuration["compiled"]["outputs"][0].__setitem__(key, value)


def set_compiled(key: str, value: Any) -> Callable[[Any], None]:
    return lambda configuration: configuration["compiled"].__setitem__(key, value)


def autoencoder_of_others(configuration: Any) -> None:
    model = make()
    graph = dp.Model(model.input, model.output, seed=model.seed).get_config()
    configuration["model"] = {**graph, "class": "Autoencoder"}


NO_SCHEDULE = {"class_name": "X", "config": {}}
NO_SPARSE_METRIC = {"class": "CategoricalAccuracy", "config": {}}
MISFITS = {
    "absurd units": described(wide),
    "absurd input": described(deep_input),
    "another dtype": described(set_model("dtype", "float64")),
    "an unknown dtype": described(set_model("dtype", "object")),
    "a class of models that there is not": described(set_model("class", "open")),
    "an autoencoder without a graph": described(set_model("class", "Autoencoder")),
    "an autoencoder of other layers": described(autoencoder_of_others),
    "no layers": described(set_model("layers", [])),
    "layers that are no list": described(set_model("layers", 5)),
    "an unknown layer": described(lambda c: c["model"]["layers"][1].__setitem__("class", "os.system")),
    "an unknown argument": described(lambda c: c["model"]["layers"][1]["config"].__setitem__("evil", 1)),
    "an unknown optimizer": described(set_compiled("optimizer", {"class": "eval", "config": {}})),
    "a wrong optimizer argument": described(set_compiled("optimizer", {"class": "SGD", "config": {"x": 1}})),
    "another optimizer's slots": described(set_compiled("optimizer", {"class": "SGD", "config": {}})),
    "an unknown loss": described(set_output("loss", {"class": "open", "config": {}})),
    "an unknown schedule": described(
        lambda c: c["compiled"]["optimizer"]["config"].__setitem__("learning_rate", NO_SCHEDULE)
    ),
    "a wrong metric": described(set_output("metrics", [[NO_SPARSE_METRIC, False]])),
    "a seed that is no number": described(set_model("seed", "abc")),
    "an unknown frozen variable": described(lambda c: c.__setitem__("frozen", ["dense/nothing"])),
    "no JSON": lambda metadata, arrays: metadata.__setitem__("configuration", "{"),
    "deep JSON": lambda metadata, arrays: metadata.__setitem__("configuration", "[" * 100_000),
    "a negative counter": lambda metadata, arrays: metadata.__setitem__(
        "counters", '{"epochs_done": -1, "iterations": 0}'
    ),
    "no counters": lambda metadata, arrays: metadata.pop("counters"),
    "a missing weight": lambda metadata, arrays: arrays.pop("out/bias"),
    "a missing slot": lambda metadata, arrays: arrays.pop("optimizer/out/bias/velocity"),
    "one weight too many": lambda metadata, arrays: arrays.__setitem__("out/extra", np.ones(3, "f4")),
    "a weight of another shape": lambda metadata, arrays: arrays.__setitem__("out/bias", np.ones(4, "f4")),
    "a slot of another shape": lambda metadata, arrays: arrays.__setitem__(
        "optimizer/out/bias/velocity", np.ones((3, 1), "f4")
    ),
    "weights in another order": lambda metadata, arrays: metadata.__setitem__(
        "weights", json.dumps(json.loads(metadata["weights"])[::-1])
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_configuration_that_does_not_fit_is_refused(what: str) -> None:
    model = make()
    train(model, 0, 1)
    data = forged(to_bytes(model), MISFITS[what])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="cannot be built"):
            from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_an_unchanged_forgery_is_accepted() -> None:
    model = make()
    train(model, 0, 1)
    assert state(from_bytes(forged(to_bytes(model), described(lambda c: None)))) == state(model)


class Halving(dp.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> Any:
        return 0.1 / (1 + step)

    def get_config(self) -> dict[str, Any]:
        return {}


class Adam(dp.optimizers.Adam):
    """Called like ours, and another."""


class Scaled(dp.layers.Dense):
    pass


@pytest.mark.parametrize("what", ["schedule", "optimizer", "layer", "loss", "metric"])
def test_objects_that_a_file_cannot_hold_are_refused_at_once(what: str, tmp_path: Path) -> None:
    loss: Any = type("MyLoss", (dp.losses.MeanSquaredError,), {})() if what == "loss" else "mse"
    metric = type("MyMetric", (dp.metrics.MeanSquaredError,), {})() if what == "metric" else "mse"
    optimizer: Any = {"schedule": dp.optimizers.SGD(Halving()), "optimizer": Adam()}.get(what, "sgd")
    model = dp.Sequential([dp.Input(shape=(2,)), (Scaled if what == "layer" else dp.layers.Dense)(1)])
    model.compile(optimizer, loss, metrics=[metric])
    with pytest.raises(ValueError, match=r"deltaprop's own.*save_weights"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "weights")


# ---- writing


def test_overwriting(tmp_path: Path) -> None:
    path = saved(make(seed=1), tmp_path)
    for save in (make(seed=2).save, make(seed=2).save_weights):
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save(path, overwrite=False)
    assert dp.load_model(path).seed == 1
    make(seed=2).save(path)
    assert dp.load_model(path).seed == 2


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_crash_while_writing_leaves_the_old_file(
    broken: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(make(seed=1), tmp_path)

    def fail(*_: Any) -> None:
        assert len(list(tmp_path.iterdir())) == 2  # the new file is in the same folder
        raise error

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(error):
        make(seed=2).save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert dp.load_model(path).seed == 1


def test_places_where_nothing_can_be_saved(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="create it first"):
        make().save(tmp_path / "missing" / "model")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        make().save(tmp_path)
    with pytest.raises(FileNotFoundError):
        dp.load_model(tmp_path / "missing")
    with pytest.raises(TypeError):
        make().save(3)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_and_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = os.umask(0o027)
    try:
        path = saved(make(seed=1), tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    link = tmp_path / "latest"
    link.symlink_to(path)
    make(seed=2).save(link)
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o604
    assert dp.load_model(path).seed == 2
    monkeypatch.chdir(tmp_path)
    make(seed=3).save("bare name")
    assert dp.load_model("bare name").seed == 3


# ---- weights alone


@pytest.mark.parametrize("verb", ["save", "save_weights"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_load_weights(verb: str, dtype: str, tmp_path: Path) -> None:
    model = make(seed=1)
    train(model, 0, 1)
    getattr(model, verb)(tmp_path / "w")
    other = make(seed=2, dtype=dtype)
    other.load_weights(tmp_path / "w")
    for ours, theirs in zip(other.get_weights(), model.get_weights(), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, theirs)
    assert other.optimizer is not None
    assert other.optimizer.iterations == 0 and other.seed == 2


def test_load_weights_by_name_then_by_order(tmp_path: Path) -> None:
    def squares(*names: str) -> dp.Sequential:
        layers = [dp.layers.Dense(4, use_bias=False, name=name) for name in names]
        return dp.Sequential([dp.Input(shape=(4,)), *layers])

    model = squares("a", "b")
    model.save_weights(tmp_path / "w")
    turned, renamed = squares("b", "a"), squares("c", "b")
    turned.load_weights(tmp_path / "w")
    renamed.load_weights(tmp_path / "w")
    a, b = model.get_weights()
    np.testing.assert_array_equal(turned.get_weights(), [b, a])
    np.testing.assert_array_equal(renamed.get_weights(), [a, b])


@pytest.mark.parametrize("units", [(9, 5), (9, 5, 4), (9, 6, 3), (9, 5, 3, 3)])
def test_weights_of_another_architecture_are_refused(units: tuple[int, ...], tmp_path: Path) -> None:
    make().save_weights(tmp_path / "w")
    model = dp.Sequential([dp.Input(shape=(6,)), *(dp.layers.Dense(n) for n in units)])
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"another architecture.*received"):
        model.load_weights(tmp_path / "w")
    assert [w.tobytes() for w in model.get_weights()] == before


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    make().save_weights(tmp_path / "w")
    with pytest.raises(ValueError, match=r"weights only.*load_weights"):
        dp.load_model(tmp_path / "w")
    unbuilt = dp.Sequential([dp.layers.Dense(2)])
    for verb in (unbuilt.save_weights, unbuilt.load_weights):
        with pytest.raises(ValueError, match="not built"):
            verb(tmp_path / "w")


# ---- copies


class Named(dp.Sequential):
    pass


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_trains_on_alone(copied: Callable[[dp.Sequential], dp.Sequential]) -> None:
    model = make()
    train(model, 0, 2)
    other = copied(model)
    before = state(model)
    train(other, 2, 4)
    assert state(model) == before != state(other)
    train(model, 2, 4)
    assert state(model) == state(other)
    assert type(copied(Named(model.layers))) is Named
    assert not copied(dp.Sequential([dp.layers.Dense(2)])).built


def test_a_model_of_another_models_layers_is_copied_with_its_weights() -> None:
    model = make()
    other = copy.deepcopy(dp.Sequential(model.layers[2:]))
    assert [w.tobytes() for w in other.get_weights()] == [w.tobytes() for w in model.get_weights()[2:]]
    half_built = dp.Sequential([dp.layers.Dropout(0.1), *model.layers[2:]])
    with pytest.raises(ValueError, match="could not be loaded again"):
        copy.deepcopy(half_built)


def test_importing_deltaprop_does_not_import_what_files_need() -> None:
    code = (
        "import sys, deltaprop as dp\n"
        "assert not {'safetensors', 'hashlib', 'deltaprop.saving'} & set(sys.modules)\n"
        "assert 'load_model' in dir(dp)\n"
        "from deltaprop.saving import load_model\n"
        "assert dp.load_model is load_model\n"
        "try:\n    dp.load_modell\nexcept AttributeError as error:\n    assert 'load_modell' in str(error)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""`dp.Autoencoder`: its parts, what corrupts and what penalises, pre-training, and refusals."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.saving import to_bytes


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    """Rows between 0 and 1 that lie near a plane."""
    return 1 / (1 + np.exp(-2 * rng.normal(size=(300, 3)) @ rng.normal(size=(3, 12))))


def made(units: Any = (8, 4), **arguments: Any) -> dp.Autoencoder:
    return dp.Autoencoder(units, input_dim=12, seed=2, **arguments)


@pytest.mark.parametrize("tied", [False, True])
def test_the_parts_are_those_of_the_model(tied: bool, dtype: str, x: np.ndarray) -> None:
    auto = made(tied=tied, dtype=dtype, noise=0.1)
    assert auto.output_shape == auto.decoder.output_shape == (None, 12)
    assert auto.encoder.output_shape == auto.decoder.input_shape == (None, 4)
    there, back = 12 * 8 + 8 + 8 * 4 + 4, (8 + 12 if tied else 4 * 8 + 8 + 8 * 12 + 12)
    assert auto.count_params() == there + back
    auto.fit(x, epochs=2, verbose=0)
    codes = auto.encode(x)
    assert codes.shape == (300, 4) and codes.dtype == dtype
    np.testing.assert_array_equal(auto.decode(codes), auto.reconstruct(x))
    if tied:
        for layer in auto.decoder.layers[1:]:
            assert layer.tied_to is auto.encoder.get_layer(layer.name.replace("decoder", "encoder"))


@pytest.mark.parametrize("arguments", [{}, {"tied": True}, {"output_activation": "linear"}])
def test_training_gives_back_the_input(arguments: dict[str, Any], x: np.ndarray) -> None:
    auto = made(**arguments)
    auto.compile(dp.optimizers.Adam(0.01))
    before = np.mean((auto.reconstruct(x) - x) ** 2)
    history = auto.fit(x[:250], epochs=60, validation_data=x[250:], verbose=0).history
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert np.mean((auto.reconstruct(x) - x) ** 2) < 0.5 * before


def test_the_loss_is_a_sum_over_the_elements(x: np.ndarray) -> None:
    auto = made(dtype="float64")
    y = auto.reconstruct(x)
    entropy = -np.sum(x * np.log(y) + (1 - x) * np.log(1 - y), axis=1).mean()
    assert auto.evaluate(x, verbose=0) == pytest.approx(entropy, rel=1e-9)
    auto = made(output_activation="linear", dtype="float64")
    half = np.sum((auto.reconstruct(x) - x) ** 2, axis=1).mean() / 2
    assert auto.evaluate(x, verbose=0) == pytest.approx(half, rel=1e-9)
    auto.compile("sgd", "mse", metrics=["mae"])
    assert auto.evaluate(x, verbose=0)[0] == pytest.approx(half * 2 / 12, rel=1e-9)


@pytest.mark.parametrize("noise", [0.3, dp.layers.Dropout(0.4)], ids=["gaussian", "masking"])
def test_noise_is_there_in_training_only(noise: Any, x: np.ndarray) -> None:
    noisy, clean = made(noise=noise), made()
    noisy.set_weights(clean.get_weights())
    for a, b in ((noisy.reconstruct, clean.reconstruct), (noisy.encode, clean.encode)):
        np.testing.assert_array_equal(a(x), b(x))
    assert noisy.evaluate(x, verbose=0) == clean.evaluate(x, verbose=0)
    # The loss of the first batch is that before its update, but with the noise.
    assert noisy.train_on_batch(x, x) != pytest.approx(clean.train_on_batch(x, x), rel=1e-6)


def test_sparsity_pulls_mean_activations_to_rho(x: np.ndarray) -> None:
    means = []
    for sparsity in (None, (0.1, 3.0)):
        auto = made(units=10, sparsity=sparsity)
        auto.compile(dp.optimizers.Adam(0.02))
        auto.fit(x, batch_size=100, epochs=200, verbose=0)
        means.append(auto.encode(x).mean(axis=0))
    assert np.abs(means[1] - 0.1).max() < 0.05 < np.abs(means[0] - 0.1).max()


@pytest.mark.parametrize("arguments", [{}, {"tied": True}, {"noise": 0.1}, {"output_activation": "linear"}])
def test_pretraining_lowers_the_loss_that_fine_tuning_starts_from(arguments: dict[str, Any], x: np.ndarray) -> None:
    auto = made(units=(10, 6, 4), **arguments)
    auto.compile(dp.optimizers.Adam(0.01))
    start, weights = auto.evaluate(x, verbose=0), auto.get_weights()
    histories = auto.pretrain(x, epochs=40)
    assert len(histories) == 3
    assert all(h.history["loss"][-1] < h.history["loss"][0] for h in histories)
    assert all(np.any(a != b) for a, b in zip(auto.get_weights(), weights))
    assert auto.evaluate(x, verbose=0) < start
    assert auto.optimizer is not None and auto.optimizer.iterations == 0
    pretrained = made(units=(10, 6, 4), **arguments)
    pretrained.compile(dp.optimizers.Adam(0.01))
    history = pretrained.fit(x, epochs=1, pretrain=40, verbose=0).history
    plain = made(units=(10, 6, 4), **arguments)
    plain.compile(dp.optimizers.Adam(0.01))
    assert history["loss"][0] < plain.fit(x, epochs=1, verbose=0).history["loss"][0]


def test_regularisers_go_to_all_kernels(x: np.ndarray) -> None:
    plain, penalised = made(dtype="float64"), made(dtype="float64", kernel_regularizer=dp.regularizers.L2(0.1))
    squares = sum(float(np.sum(w**2)) for w in plain.get_weights() if w.ndim == 2)
    difference = penalised.evaluate(x, verbose=0) - plain.evaluate(x, verbose=0)
    assert difference == pytest.approx(0.1 * squares, rel=1e-9)


def test_without_targets_the_input_is_the_target(x: np.ndarray) -> None:
    auto, told = made(noise=0.1), made(noise=0.1)
    history = auto.fit(x, epochs=2, validation_data=x[:50], verbose=0).history
    assert history == told.fit(x, x, epochs=2, validation_data=(x[:50], x[:50]), verbose=0).history
    for verb in ("train_on_batch", "test_on_batch", "evaluate"):
        assert getattr(auto, verb)(x) == getattr(told, verb)(x, x)
    given = np.roll(x, 1, axis=1)
    assert auto.evaluate(x, given, verbose=0) != auto.evaluate(x, verbose=0)


def resumed(auto: dp.Autoencoder, folder: Path) -> dp.Autoencoder:
    auto.save(folder / "auto.safetensors")
    again = dp.load_model(folder / "auto.safetensors")
    assert type(again) is dp.Autoencoder
    return again


COPIES = {"file": resumed, "deepcopy": lambda auto, _: copy.deepcopy(auto)}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"tied": True, "noise": 0.1}, {"noise": dp.layers.Dropout(0.3), "sparsity": (0.1, 0.5), "units": 5}],
    ids=["plain", "tied, noisy", "masked, sparse"],
)
def test_it_comes_back_and_trains_on(how: str, arguments: dict[str, Any], x: np.ndarray, tmp_path: Path) -> None:
    whole, parts = made(**arguments), made(**arguments)
    for auto in (whole, parts):
        auto.pretrain(x, epochs=1)
        auto.fit(x, epochs=2, verbose=0)
    parts = COPIES[how](parts, tmp_path)
    assert repr(parts) == repr(whole)
    for verb in ("encode", "reconstruct"):
        np.testing.assert_array_equal(getattr(parts, verb)(x), getattr(whole, verb)(x))
    for auto in (whole, parts):
        auto.fit(x, epochs=4, initial_epoch=2, verbose=0)
        auto.pretrain(x, epochs=1)
        auto.fit(x, epochs=5, initial_epoch=4, verbose=0)
    assert to_bytes(parts) == to_bytes(whole)
    np.testing.assert_array_equal(parts.decode(parts.encode(x)), parts.reconstruct(x))  # they share the weights


def test_a_checkpoint_holds_an_autoencoder(x: np.ndarray, tmp_path: Path) -> None:
    auto = made()
    auto.fit(x, verbose=0, callbacks=[dp.callbacks.ModelCheckpoint(str(tmp_path / "best.safetensors"))])
    again = dp.load_model(tmp_path / "best.safetensors", compile=False)
    np.testing.assert_array_equal(again.encode(x), auto.encode(x))
    with pytest.raises(RuntimeError, match="compile"):
        again.pretrain(x)


def test_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    auto = made(tied=True)
    auto.summary()
    assert re.search(r"decoder_1 \(DenseTranspose\) +\(None, 12\) +12\n", capsys.readouterr().out)
    assert repr(auto).startswith("<Autoencoder autoencoder: ")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no units": ({"units": []}, "at least one"),
    "units of zero": ({"units": [8, 0]}, "units must be an integer of at least 1, received 0"),
    "half a unit": ({"units": 2.5}, "units must be an integer of at least 1, received 2.5"),
    "no input": ({"input_dim": 0}, "input_dim must be an integer of at least 1, received 0"),
    "one number for sparsity": ({"sparsity": 0.05}, r"a pair \(rho, beta\).*received 0.05"),
    "three numbers for sparsity": ({"sparsity": (1, 2, 3)}, r"a pair \(rho, beta\).*received \(1, 2, 3\)"),
    "rho of one": ({"sparsity": (1.0, 0.1)}, "rho must be a finite number above 0 and below 1"),
    "negative noise": ({"noise": -0.1}, "stddev must be a finite number of at least 0"),
    "noise by name": ({"noise": "gaussian"}, "stddev must be a finite number"),
    "unknown activation": ({"activation": "signoid"}, "signoid"),
}


@pytest.mark.parametrize("arguments, message", REFUSED.values(), ids=REFUSED)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dp.Autoencoder(**{"units": 4, "input_dim": 12, **arguments})


def test_data_of_another_width_are_refused(x: np.ndarray) -> None:
    auto = made()
    for call in (auto.fit, auto.pretrain, auto.evaluate):
        with pytest.raises(ValueError, match="12"):
            call(x[:, :5], verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"pretrain": 0}, "pretrain must be an integer of at least 1"), ({"epochs": 0}, "epochs"),
        ({"validation_split": 1.0}, "validation_split"), ({"validation_data": [[1.0]]}, "validation x"),
        ({"sample_weight": [1.0]}, "sample_weight"), ({"verbose": 3}, "verbose"),
    ],
)  # fmt: skip
def test_nothing_is_pretrained_before_all_is_checked(
    arguments: dict[str, Any], message: str, x: np.ndarray
) -> None:
    auto, untouched = made(), made()
    with pytest.raises(ValueError, match=message):
        auto.fit(x, **{"pretrain": 1, "verbose": 0, **arguments})
    assert to_bytes(auto) == to_bytes(untouched)


def test_the_first_pair_pretrains_with_the_loss_of_the_model(x: np.ndarray) -> None:
    auto = made(units=(6, 4))
    auto.compile("sgd", "mae", loss_weights=3.0)
    outer, inner = (h.history["loss"][0] for h in auto.pretrain(2 * x, epochs=1, batch_size=len(x)))
    alone = dp.Autoencoder(6, 12, seed=2)
    alone.set_weights([v.numpy() for layer in (made(units=(6, 4)).layers[i] for i in (1, 4)) for v in layer.variables])
    assert outer == pytest.approx(3 * np.abs(alone.reconstruct(2 * x) - 2 * x).mean(), rel=1e-5)
    assert inner > 1  # binary cross-entropy, summed over 6 codes


def test_every_restart_pretrains(x: np.ndarray) -> None:
    auto, ended = made(), list[float]()
    count = dp.callbacks.LambdaCallback(on_train_begin=lambda logs: ended.append(auto.evaluate(x, verbose=0)))
    plain = auto.evaluate(x, verbose=0)
    auto.compile(dp.optimizers.Adam(0.01))
    auto.fit(x, pretrain=20, restarts=3, verbose=0, callbacks=count)
    assert len(set(ended)) == 3 and max(ended) < plain

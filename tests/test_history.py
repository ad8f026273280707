"""The record of a training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from deltaprop.history import History


def recorded(**series: list[float]) -> History:
    history = History()
    history.on_train_begin({})
    for epoch in range(max(map(len, series.values()), default=0)):
        history.on_epoch_end(epoch, {k: v[epoch] for k, v in series.items() if epoch < len(v)})
    return history


def test_every_key_becomes_a_list_in_the_order_of_the_logs() -> None:
    history = recorded(loss=[3.0, 2.0], accuracy=[0.1, 0.2])
    assert history.epoch == [0, 1]
    assert list(history.history.items()) == [("loss", [3.0, 2.0]), ("accuracy", [0.1, 0.2])]


def test_the_next_fit_starts_afresh_and_becomes_the_models_history() -> None:
    model = SimpleNamespace(history=None)
    history = recorded(loss=[3.0])
    history.set_model(model)
    history.on_train_begin({})
    assert (history.history, history.epoch) == ({}, [])
    assert model.history is history


def test_epochs_keep_the_numbers_that_fit_gave_them() -> None:
    history = History()
    history.on_epoch_end(5, {"loss": 1.0})
    assert history.epoch == [5]
    assert "History of 1 epoch\n" in repr(history)


@pytest.mark.parametrize(("series", "line"), [
    ({"loss": [0.9, 0.4, 0.5]}, "loss  0.9 -> 0.5  (lowest 0.4 in epoch 2)"),
    ({"accuracy": [0.5, 0.8, 0.7]}, "accuracy  0.5 -> 0.7  (highest 0.8 in epoch 2)"),
    ({"oddity": [1.0, 2.0]}, "oddity  1 -> 2"),
    ({"loss": [float("nan"), 2.0]}, "loss  nan -> 2  (lowest 2 in epoch 2)"),
    ({"loss": [float("nan")] * 2}, "loss  nan -> nan"),
    ({"loss": [1.0, 1.0, 1.0], "val_loss": [2.0, 1.5]}, "val_loss  2 -> 1.5  (lowest 1.5)"),
])
def test_repr_shows_where_each_series_went(series: dict[str, list[float]], line: str) -> None:
    assert repr(recorded(**series)).splitlines()[-1].strip() == line


def test_repr_of_nothing() -> None:
    assert repr(History()) == "History of 0 epochs"

"""Callbacks on a fake model: each needs the logs and a few methods, not the C++ core."""

from __future__ import annotations

import copy
import csv
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deltaprop import callbacks as cb
from deltaprop.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from deltaprop.history import History
from deltaprop.schedules import ExponentialDecay

NAN = math.nan


class FakeModel:
    """Its one weight is the number of epochs it was trained for."""

    def __init__(self, learning_rate: Any = 0.1) -> None:
        self.stop_training = False
        self.epochs_trained = 0
        self.optimizer = SimpleNamespace(learning_rate=learning_rate)
        self.history: Any = None
        self.saved: list[tuple[str, str]] = []

    def get_weights(self) -> list[int]:
        return [self.epochs_trained]

    def set_weights(self, weights: list[int]) -> None:
        (self.epochs_trained,) = weights

    def save(self, path: str) -> None:
        self.saved.append(("model", path))

    def save_weights(self, path: str) -> None:
        self.saved.append(("weights", path))


def fit(model: FakeModel, callbacks: Any, logs: Sequence[dict[str, float]], *, batches: int = 2,
        initial_epoch: int = 0) -> CallbackList:
    """The part of a training loop that callbacks see; ``logs`` has an entry per epoch."""
    model.stop_training = False
    run = CallbackList(callbacks, add_history=True, model=model,
                       params={"verbose": 0, "epochs": len(logs), "steps": batches})
    run.on_train_begin()
    for epoch, epoch_logs in enumerate(logs, initial_epoch):
        run.on_epoch_begin(epoch)
        if run.has_train_batch_hooks:
            for batch in range(batches):
                run.on_train_batch_begin(batch)
                run.on_train_batch_end(batch, {"loss": 1.0})
        model.epochs_trained += 1
        run.on_epoch_end(epoch, dict(epoch_logs))
        if model.stop_training:
            break
    run.on_train_end({})
    return run


def losses(*values: float, name: str = "val_loss") -> list[dict[str, float]]:
    return [{name: value} for value in values]


@pytest.mark.parametrize("patience", [0, 1, 2, 3])
def test_early_stopping_waits_for_patience_epochs(patience: int) -> None:
    stop = EarlyStopping(monitor="loss", patience=patience)
    fit(FakeModel(), stop, losses(10, 9, 8, 9, 8.9, 8.8, 8.7, 8.6, 8.5, name="loss"))
    assert stop.stopped_epoch == max(patience, 1) + 2  # Keras's own test has these numbers
    assert (stop.best, stop.best_epoch, stop.wait) == (8, 2, max(patience, 1))


@pytest.mark.parametrize(("mode", "min_delta", "values", "stopped"), [
    ("min", 0.5, [5.0, 4.6, 4.3], 1),     # 0.4 is too little
    ("min", -0.5, [5.0, 4.6, 4.3], 1),    # the sign is ignored
    ("min", 0.5, [5.0, 4.4, 3.8], 0),
    ("min", 0.5, [5.0, 4.5, 4.0], 1),     # exactly min_delta is too little
    ("max", 0.5, [5.0, 5.4, 5.7], 1),
    ("max", 0.5, [5.0, 5.6, 6.2], 0),
    ("min", 0.0, [5.0, 5.0, 5.0], 1),     # equal is no improvement
])
def test_early_stopping_min_delta(mode: str, min_delta: float, values: list[float],
                                  stopped: int) -> None:
    stop = EarlyStopping(mode=mode, min_delta=min_delta)
    fit(FakeModel(), stop, losses(*values))
    assert stop.stopped_epoch == stopped


@pytest.mark.parametrize(("monitor", "mode"), [
    ("loss", "min"), ("val_loss", "min"), ("mse", "min"), ("val_mae", "min"), ("rmse", "min"),
    ("binary_crossentropy", "min"), ("mean_squared_error", "min"), ("hinge", "min"),
    ("acc", "max"), ("val_accuracy", "max"), ("sparse_categorical_accuracy", "max"),
    ("AUC", "max"), ("val_auc_1", "max"), ("precision", "max"), ("f1_score", "max"),
    ("r2_score", "max"), ("focal_accuracy_loss", "min")])
@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau,
                                  lambda **k: ModelCheckpoint("x", save_best_only=True, **k)])
def test_mode_auto_goes_by_the_metrics_name(make: Any, monitor: str, mode: str) -> None:
    assert make(monitor=monitor).mode == mode


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau,
                                  lambda **k: ModelCheckpoint("x", save_best_only=True, **k)])
def test_an_unknown_direction_asks_for_a_mode(make: Any) -> None:
    with pytest.raises(ValueError, match=r"'oddity' should rise or fall; .* pass mode='max'"):
        make(monitor="oddity")
    assert make(monitor="oddity", mode="max").mode == "max"


def test_early_stopping_never_stops_at_epoch_0() -> None:
    stop = EarlyStopping(patience=0)
    fit(FakeModel(), stop, losses(NAN, 1.0, 2.0))
    assert stop.stopped_epoch == 2


@pytest.mark.parametrize(("values", "baseline", "trained", "restored"), [
    ([0.2, 0.15, 0.1, 0.11, 0.12], None, 5, 3),         # stopped: the third epoch was the best
    ([0.9, 0.8, 0.7], None, 3, 3),                      # all epochs ran, the last is the best
    ([0.9, 0.7, 0.8], None, 3, 2),                      # all epochs ran, the second is the best
    ([0.9, 0.8, 0.7, 0.71, 0.72], 0.5, 4, 3),           # nothing beats the baseline
    ([NAN, NAN, NAN], None, 2, 1),                      # nothing to choose from
    ([NAN, 0.5, 0.6], None, 3, 2),                      # NaN does not block what comes later
])
def test_early_stopping_ends_with_the_best_weights(values: list[float], baseline: float | None,
                                                   trained: int, restored: int) -> None:
    model = FakeModel()
    stop = EarlyStopping(patience=4 if baseline else 2, baseline=baseline,
                         restore_best_weights=True)
    run = fit(model, stop, losses(*values))
    assert run.history is not None
    assert len(run.history.epoch) == trained
    assert model.get_weights() == [restored] == stop.best_weights
    assert stop.best_epoch == restored - 1


def test_early_stopping_restores_when_another_callback_stops() -> None:
    def stop_at_2(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 2

    model = FakeModel()
    fit(model, [EarlyStopping(patience=9, restore_best_weights=True),
                LambdaCallback(on_epoch_end=stop_at_2)], losses(0.5, 0.1, 0.2, 0.3))
    assert model.get_weights() == [2]


def test_early_stopping_keeps_the_last_weights_unless_asked() -> None:
    model = FakeModel()
    stop = EarlyStopping(patience=1)
    fit(model, stop, losses(0.1, 0.2, 0.3))
    assert model.get_weights() == [2]
    assert (stop.best_weights, stop.best_epoch) == (None, 0)


@pytest.mark.parametrize(("baseline", "values", "stopped"), [
    (0.5, [0.9, 0.8, 0.7, 0.6], 0),          # improving, though slowly: not stopped
    (0.5, [0.9, 0.8, 0.8, 0.7], 2),          # but the wait was never reset
    (0.5, [0.4, 0.45, 0.3, 0.35], 0),        # beaten at once: the usual patience
])
def test_early_stopping_baseline(baseline: float, values: list[float], stopped: int) -> None:
    stop = EarlyStopping(patience=2, baseline=baseline)
    fit(FakeModel(), stop, losses(*values))
    assert stop.stopped_epoch == stopped


def test_early_stopping_ignores_epochs_before_start() -> None:
    stop = EarlyStopping(patience=1, start_from_epoch=3, restore_best_weights=True)
    model = FakeModel()
    fit(model, stop, losses(0.1, 0.2, 0.3, 0.9, 0.95, 0.99))
    assert (stop.stopped_epoch, stop.best, stop.best_epoch) == (4, 0.9, 3)
    assert model.get_weights() == [4]


def test_early_stopping_forgets_an_earlier_fit() -> None:
    stop = EarlyStopping(patience=1, restore_best_weights=True)
    fit(FakeModel(), stop, losses(0.1, 0.2))
    fit(FakeModel(), stop, losses(0.9, 0.8, 0.7))
    assert (stop.best, stop.best_epoch, stop.stopped_epoch, stop.wait) == (0.7, 2, 0, 0)


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau])
def test_a_missing_metric_warns_once_and_names_what_there_is(make: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(FakeModel(), make(), [{"loss": 1.0, "accuracy": 0.5}] * 5)
    assert len(caught) == 1
    assert "'val_loss' is not available" in str(caught[0].message)
    assert "loss, accuracy" in str(caught[0].message)


def test_early_stopping_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    fit(FakeModel(), EarlyStopping(patience=1, verbose=1, restore_best_weights=True),
        losses(0.1, 0.2))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping", "Restoring the weights of the best epoch, 1"]


def test_checkpoint_fills_in_epoch_and_logs(tmp_path: Path) -> None:
    model = FakeModel()
    fit(model, ModelCheckpoint(tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.st"),
        losses(0.5, 0.256))
    assert model.saved == [("model", str(tmp_path / "new" / "01-0.50.st")),
                           ("model", str(tmp_path / "new" / "02-0.26.st"))]
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize(("mode", "threshold", "epochs"), [
    ("min", None, [1, 3]), ("max", None, [1, 2, 4]), ("min", 0.4, [3]), ("min", 0.1, [])])
def test_checkpoint_saves_only_the_best(mode: str, threshold: float | None,
                                        epochs: list[int]) -> None:
    model = FakeModel()
    fit(model, ModelCheckpoint("{epoch}", mode=mode, save_best_only=True, save_weights_only=True,
                               initial_value_threshold=threshold), losses(0.5, 0.6, 0.3, 0.9))
    assert model.saved == [("weights", str(epoch)) for epoch in epochs]


def test_checkpoint_remembers_the_best_of_an_earlier_fit() -> None:
    model = FakeModel()
    checkpoint = ModelCheckpoint("best", save_best_only=True)
    fit(model, checkpoint, losses(0.2))
    fit(model, checkpoint, losses(0.3, 0.1))
    assert len(model.saved) == 2


def test_checkpoint_without_the_metric_warns_and_saves() -> None:
    model = FakeModel()
    with pytest.warns(UserWarning, match="saves every time"):
        fit(model, ModelCheckpoint("x", save_best_only=True), losses(1, 2, name="loss"))
    assert len(model.saved) == 2


def test_checkpoint_counts_batches_across_epochs() -> None:
    model = FakeModel()
    fit(model, ModelCheckpoint("{epoch}-{batch}-{loss:.1f}", save_freq=2), losses(1, 2), batches=3)
    assert model.saved == [("model", "1-2-1.0"), ("model", "2-1-1.0"), ("model", "2-3-1.0")]


def test_checkpoint_names_the_fields_there_are() -> None:
    with pytest.raises(ValueError, match=r"needs 'val_loss'.*available are: epoch, loss"):
        fit(FakeModel(), ModelCheckpoint("{val_loss:.2f}"), losses(1, name="loss"))


def test_checkpoint_into_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="must name a file"):
        fit(FakeModel(), ModelCheckpoint(tmp_path), losses(1))


def test_plateau_reduces_after_patience_and_logs_the_rate() -> None:
    run = fit(FakeModel(0.1), ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.04),
              losses(1, 1, 1, 1, 1, 1, 1))
    assert run.history is not None
    assert run.history.history["learning_rate"] == pytest.approx(
        [0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.04])


def test_plateau_does_not_count_epochs_of_the_cooldown() -> None:
    run = fit(FakeModel(1.0), ReduceLROnPlateau(factor=0.5, patience=1, cooldown=2),
              losses(1, 1, 1, 1, 1, 1))
    assert run.history is not None
    # One epoch of the cooldown passes uncounted, the second ends it; as in Keras.
    assert run.history.history["learning_rate"] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_plateau_needs_more_than_min_delta() -> None:
    model = FakeModel(1.0)
    fit(model, ReduceLROnPlateau(patience=1), losses(1, 0.99995))
    assert model.optimizer.learning_rate == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", [
    lambda epoch, rate: rate / 2, lambda epoch: 0.1 / 2 ** (epoch + 1),
    ExponentialDecay(0.05, 1, 0.5)])
def test_scheduler_sets_the_rate_before_each_epoch(schedule: Callable[..., float]) -> None:
    run = fit(FakeModel(0.1), LearningRateScheduler(schedule), losses(1, 1, 1))
    assert run.history is not None
    assert run.history.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125])


def test_scheduler_does_not_hide_a_type_error_in_the_function() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        fit(FakeModel(), LearningRateScheduler(lambda epoch, rate: rate + None), losses(1))


@pytest.mark.parametrize("value", [None, "0.1", NAN, math.inf, -0.1])
def test_scheduler_rejects_what_is_no_rate(value: Any) -> None:
    model = FakeModel(0.1)
    with pytest.raises(ValueError, match=f"received {value!r}"):
        fit(model, LearningRateScheduler(lambda epoch: value), losses(1))
    assert model.optimizer.learning_rate == 0.1


@pytest.mark.parametrize("callback", [ReduceLROnPlateau(), LearningRateScheduler(lambda e: 0.1)])
def test_a_schedule_in_the_optimizer_is_not_overwritten(callback: Callback) -> None:
    with pytest.raises(ValueError, match=r"schedule ExponentialDecay\(.*compile with a number"):
        fit(FakeModel(ExponentialDecay(0.1, 10, 0.9)), callback, losses(1))


def rows(path: Path, separator: str = ",") -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv_has_sorted_columns_and_na_for_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    fit(FakeModel(), CSVLogger(path, separator=";"),
        [{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.4, "accuracy": 0.5, "val_loss": 0.6}])
    assert rows(path, ";") == [["epoch", "accuracy", "loss", "val_accuracy", "val_loss"],
                               ["0", "0.25", "0.5", "NA", "NA"],
                               ["1", "0.5", "0.4", "NA", "0.6"]]


@pytest.mark.parametrize(("append", "n_rows"), [(False, 2), (True, 3)])
def test_csv_append_continues_with_the_old_columns(tmp_path: Path, append: bool,
                                                   n_rows: int) -> None:
    path = tmp_path / "log.csv"
    fit(FakeModel(), CSVLogger(path), [{"loss": 0.5, "val_loss": 0.1}])
    fit(FakeModel(), CSVLogger(path, append=append), [{"val_loss": 0.2, "loss": 0.4}],
        initial_epoch=1)
    assert len(rows(path)) == n_rows
    assert rows(path)[0] == ["epoch", "loss", "val_loss"]
    assert rows(path)[-1] == ["1", "0.4", "0.2"]


def test_csv_can_be_read_while_training_runs(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    seen = []
    fit(FakeModel(), [CSVLogger(path), LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(len(rows(path))))], losses(1, 2))
    assert seen == [2, 3]


def test_csv_does_not_append_to_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("price,date\n1,2\n")
    with pytest.raises(ValueError, match="begins with 'price'"):
        fit(FakeModel(), CSVLogger(path, append=True), losses(1))
    assert path.read_text() == "price,date\n1,2\n"


def test_terminate_on_nan_stops_gently_or_raises(capsys: pytest.CaptureFixture[str]) -> None:
    model = FakeModel()
    run = CallbackList([TerminateOnNaN()], model=model)
    assert run.terminates_on_nan is run.callbacks[0]
    run.terminates_on_nan.on_nonfinite_loss(7, {"loss": NAN})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 7: invalid loss, terminating training\n"
    with pytest.raises(RuntimeError, match="batch 7 is inf"):
        TerminateOnNaN(raise_error=True).on_nonfinite_loss(7, {"loss": math.inf})


class Recorder(Callback):
    """Notes the hooks that were called, by overriding them all."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []


def _recording(hook: str) -> Any:
    def method(self: Recorder, *args: Any, **kwargs: Any) -> None:
        self.calls.append((hook, args, kwargs))
    return method


HOOKS = [name for name in vars(Callback) if name.startswith("on_")]
for _hook in HOOKS:
    setattr(Recorder, _hook, _recording(_hook))


def test_every_keras_hook_is_there() -> None:
    assert set(HOOKS) == {
        "on_batch_begin", "on_batch_end", "on_epoch_begin", "on_epoch_end",
        *(f"on_{kind}_{when}" for kind in ("train", "test", "predict")
          for when in ("begin", "end", "batch_begin", "batch_end"))}


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_passed_on_in_order_with_logs(hook: str) -> None:
    order: list[int] = []
    run = CallbackList([LambdaCallback(**{hook: lambda *a, i=i, **k: order.append(i)})
                        for i in range(3)])
    recorder = Recorder()
    run.append(recorder)
    indexed = "batch" in hook or "epoch" in hook
    getattr(run, hook)(*[4] if indexed else [])
    assert order == [0, 1, 2]
    ((name, args, kwargs),) = recorder.calls
    assert name == hook
    # As in Keras: a batch's logs are passed by name, all others by position; never None.
    assert (args, kwargs) == (((4,), {"logs": {}}) if "batch" in hook
                              else ((4, {}) if indexed else ({},), {}))


@pytest.mark.parametrize(("hook", "kind"), [
    ("on_batch_begin", "train"), ("on_batch_end", "train"),
    *((f"on_{kind}_batch_{when}", kind) for kind in ("train", "test", "predict")
      for when in ("begin", "end"))])
@pytest.mark.parametrize("how", ["subclass", "lambda", "assigned"])
def test_only_the_hooks_that_are_used_cut_the_epoch(hook: str, kind: str, how: str) -> None:
    def function(*args: Any, **kwargs: Any) -> None: ...

    if how == "lambda":
        callback: Callback = LambdaCallback(**{hook: function})
    else:
        callback = type("Mine", (Callback,), {hook: function} if how == "subclass" else {})()
        if how == "assigned":
            setattr(callback, hook, function)
    run = CallbackList([History(), callback])
    assert [k for k in ("train", "test", "predict") if getattr(run, f"has_{k}_batch_hooks")] == [
        kind]


@pytest.mark.parametrize("callback", [
    Callback(), EarlyStopping(), ModelCheckpoint("x"), ReduceLROnPlateau(), CSVLogger("x"),
    LearningRateScheduler(lambda e: 0.1), TerminateOnNaN(), History(),
    LambdaCallback(on_epoch_end=print)], ids=lambda callback: type(callback).__name__)
def test_callbacks_of_the_package_leave_the_epoch_whole(callback: Callback) -> None:
    run = CallbackList(callback)
    assert not (run.has_train_batch_hooks or run.has_test_batch_hooks
                or run.has_predict_batch_hooks)


def test_checkpoint_by_batches_and_its_subclasses_cut_the_epoch() -> None:
    class Mine(ModelCheckpoint):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None: ...

    assert CallbackList(ModelCheckpoint("x", save_freq=10)).has_train_batch_hooks
    assert CallbackList(Mine("x")).has_train_batch_hooks


def test_the_older_batch_hooks_are_called_in_fit() -> None:
    seen: list[int] = []
    fit(FakeModel(), LambdaCallback(on_batch_end=lambda batch, logs: seen.append(batch)),
        losses(1), batches=3)
    assert seen == [0, 1, 2]


def test_lists_are_flattened_and_a_history_is_added_once() -> None:
    stop, history = EarlyStopping(), History()
    assert CallbackList([stop, [history]], add_history=True).callbacks == [stop, history]
    inner = CallbackList([stop], add_history=True)
    assert CallbackList(inner, add_history=True).callbacks == inner.callbacks
    assert CallbackList(None).callbacks == []
    assert CallbackList(()).history is None


def test_model_and_params_reach_callbacks_that_skip_super_init() -> None:
    class Mine(Callback):
        def __init__(self) -> None: ...

    mine = Mine()
    assert mine.model is None
    run = fit(model := FakeModel(), mine, losses(1))
    assert mine.model is model is run.model
    assert mine.params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_an_exception_in_a_callback_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError):
        fit(FakeModel(), LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / 0), losses(1))


def test_callbacks_can_be_copied() -> None:
    checkpoint = copy.deepcopy(ModelCheckpoint("x", save_freq=1))
    fit(model := FakeModel(), checkpoint, losses(1), batches=1)
    assert model.saved == [("model", "x")]


def test_early_stopping_and_history_cost_microseconds_per_epoch() -> None:
    # The package promises 30 us of Python per epoch; ten times the usual 2 us is allowed here.
    n = 2000
    run = CallbackList(EarlyStopping(patience=n), add_history=True, model=FakeModel())
    run.on_train_begin()
    fastest = math.inf
    for _ in range(3):
        start = time.perf_counter()
        for epoch in range(n):
            run.on_epoch_begin(epoch)
            run.on_epoch_end(epoch, {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0,
                                     "val_accuracy": 0.5})
        fastest = min(fastest, (time.perf_counter() - start) / n)
    assert fastest < 20e-6


@pytest.mark.parametrize(("make", "message"), [
    (lambda: EarlyStopping(mode="up"), "'auto', 'min' or 'max', received 'up'"),
    (lambda: EarlyStopping(patience=-1), "patience must be .* received -1"),
    (lambda: EarlyStopping(patience=1.5), "patience must be .* received 1.5"),  # type: ignore[arg-type]
    (lambda: EarlyStopping(patience="3"), "patience must be .* received '3'"),  # type: ignore[arg-type]
    (lambda: EarlyStopping(patience=True), "patience must be .* received True"),
    (lambda: EarlyStopping(min_delta=NAN), "min_delta must be .* received nan"),
    (lambda: EarlyStopping(baseline="low"), "baseline must be .* received 'low'"),  # type: ignore[arg-type]
    (lambda: EarlyStopping(start_from_epoch=-2), "start_from_epoch must be .* received -2"),
    (lambda: ReduceLROnPlateau(factor=1.0), "factor must be .* received 1.0"),
    (lambda: ReduceLROnPlateau(factor=-0.1), "factor must be .* received -0.1"),
    (lambda: ReduceLROnPlateau(cooldown=-1), "cooldown must be .* received -1"),
    (lambda: ReduceLROnPlateau(min_lr=NAN), "min_lr must be .* received nan"),
    (lambda: ModelCheckpoint("x", save_freq="batch"), "'epoch'.* received 'batch'"),
    (lambda: ModelCheckpoint("x", save_freq=0), "'epoch'.* received 0"),
    (lambda: ModelCheckpoint("{epoch"), "received '{epoch'"),
    (lambda: ModelCheckpoint("{}"), "received '{}'"),
    (lambda: ModelCheckpoint("x", initial_value_threshold="a"), "received 'a'"),  # type: ignore[arg-type]
    (lambda: CSVLogger("x", separator=", "), "one character, received ', '"),
    (lambda: LearningRateScheduler(0.1), "received 0.1"),  # type: ignore[arg-type]
    (lambda: LearningRateScheduler(lambda: 0.1), "received <function"),
    (lambda: LambdaCallback(on_epoch_ends=print), "received 'on_epoch_ends'"),
    (lambda: LambdaCallback(on_epoch_end=3), "received 3"),  # type: ignore[arg-type]
    (lambda: CallbackList([EarlyStopping]), r"pass an instance, EarlyStopping\(...\)"),
    (lambda: CallbackList([None]), "received None"),
    (lambda: CallbackList("stop"), "received 'stop'"),
])
def test_bad_arguments_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_module_exports_what_keras_has() -> None:
    assert {"Callback", "CSVLogger", "EarlyStopping", "LambdaCallback", "LearningRateScheduler",
            "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN"} < set(cb.__all__)

"""What a run prints, and how often; the clock is ours."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest

from deltaprop import progress as progress_module
from deltaprop.progress import Progress, message


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "perf_counter", clock)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return clock


def run(progress: Progress, clock: Clock, epochs: int, seconds: float) -> None:
    for epoch in range(epochs):
        progress.epoch_begin(epoch)
        clock.now += seconds / 2
        progress.update(500, {"loss": 0.5})
        clock.now += seconds / 2
        progress.epoch_end({"loss": 0.25, "accuracy": 0.93, "learning_rate": 1e-4})


def test_a_line_tells_epoch_time_speed_and_values(clock: Clock) -> None:
    file = io.StringIO()
    run(Progress(2, 3, 1000, file=file), clock, 1, seconds=2.0)
    assert file.getvalue() == ("Epoch 1/3 - 2.0s - 500 samples/s - loss: 0.2500 - accuracy: 0.9300"
                               " - learning_rate: 1.0000e-04\n")


@pytest.mark.parametrize(("verbose", "terminal", "lines"), [
    (0, False, 0), (0, True, 0), (1, False, 5), ("auto", False, 5), (2, False, 5), (2, True, 5)])
def test_slow_epochs_print_one_line_each(clock: Clock, verbose: Any, terminal: bool,
                                         lines: int) -> None:
    file = Terminal() if terminal else io.StringIO()
    with Progress(verbose, 5, 1000, file=file) as progress:
        run(progress, clock, 5, seconds=1.0)
    assert file.getvalue().count("\n") == lines
    assert "\r" not in file.getvalue()


@pytest.mark.parametrize("verbose", [1, 2])
def test_only_verbose_2_prints_every_one_of_many_fast_epochs(clock: Clock, verbose: int) -> None:
    file = io.StringIO()
    with Progress(verbose, 1000, 1000, file=file) as progress:
        run(progress, clock, 1000, seconds=0.001)
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("Epoch 1/1000 ")
    assert lines[-1].startswith("Epoch 1000/1000 ")
    assert len(lines) == 1000 if verbose == 2 else 10 <= len(lines) <= 12


def test_the_last_epoch_is_shown_when_training_stops_early(clock: Clock) -> None:
    file = io.StringIO()
    with Progress(1, 1000, 1000, file=file) as progress:
        run(progress, clock, 7, seconds=0.001)
    assert [line.split(" - ")[0] for line in file.getvalue().splitlines()] == [
        "Epoch 1/1000", "Epoch 7/1000"]


def test_a_terminal_gets_a_bar_and_then_the_line(clock: Clock) -> None:
    file = Terminal()
    with Progress(1, 2, 1000, file=file) as progress:
        run(progress, clock, 2, seconds=1.0)
    shown = file.getvalue()
    assert " 50%|" in shown
    assert "| 1k samples/s - loss: 0.5000" in shown
    assert "Epoch 2/2 - 1.0s - 1k samples/s - loss: 0.2500 - accuracy: 0.9300" in shown
    assert shown.count("\n") == 2
    assert shown.rsplit("\r", 1)[-1].strip() == ""  # the bar is gone


def test_a_terminal_is_redrawn_at_most_ten_times_a_second(
        clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    from tqdm.auto import tqdm

    drawn = []
    monkeypatch.setattr(tqdm, "refresh", lambda bar, **kwargs: drawn.append(bar.n))
    with Progress(1, 1, 1000, file=Terminal()) as progress:
        progress.epoch_begin(0)
        for done in range(1000):
            clock.now += 0.001
            progress.update(done, {"loss": 0.5})
    assert 9 <= len(drawn) <= 11  # one of them when tqdm makes the bar


def test_fast_epochs_share_one_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm.auto as tqdm_auto

    made = []

    class Counted(tqdm_auto.tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            made.append(1)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(tqdm_auto, "tqdm", Counted)
    file = Terminal()
    with Progress(1, 500, 1000, file=file) as progress:
        run(progress, clock, 500, seconds=0.004)
    assert len(made) == 1
    assert file.getvalue().count("\n") <= 22


def test_braces_in_a_metric_name_are_shown_as_they_are(clock: Clock) -> None:
    file = Terminal()
    with Progress(1, 1, 1000, file=file) as progress:
        progress.epoch_begin(0)
        clock.now += 1.0
        progress.update(500, {"f{0}": 0.5})
    assert "f{0}: 0.5000" in file.getvalue()


@pytest.mark.parametrize("label", ["Evaluate", "Predict"])
def test_evaluate_and_predict_have_no_epoch_number(clock: Clock, label: str) -> None:
    file = io.StringIO()
    with Progress(1, None, 1000, label=label, file=file) as progress:
        clock.now += 0.25
        progress.epoch_end({"loss": 0.5})
    assert file.getvalue() == f"{label} - 250ms - 4k samples/s - loss: 0.5000\n"


def test_without_epoch_end_nothing_stays_on_the_screen(clock: Clock) -> None:
    file = io.StringIO()
    with Progress(1, None, 1000, file=file) as progress:
        clock.now += 1.0
        progress.update(500)
    assert file.getvalue() == ""


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0.0000"), (0.12345, "0.1235"), (-2.5, "-2.5000"), (1e-5, "1.0000e-05"),
    (float("nan"), "nan"), (float("inf"), "inf")])
def test_small_values_keep_their_digits(clock: Clock, value: float, text: str) -> None:
    file = io.StringIO()
    Progress(2, 1, 1, file=file).epoch_end({"loss": value})
    assert file.getvalue().endswith(f"loss: {text}\n")


@pytest.mark.parametrize(("seconds", "text"), [
    (8.5e-5, "0.085ms"), (0.25, "250ms"), (12.34, "12.3s"), (125.0, "2m05s"), (119.7, "2m00s"),
    (0.9997, "1.0s"), (59.97, "1m00s")])
def test_times_are_short(clock: Clock, seconds: float, text: str) -> None:
    file = io.StringIO()
    progress = Progress(2, None, 10, file=file)
    clock.now += seconds
    progress.epoch_end()
    assert file.getvalue().split(" - ")[1] == text


@pytest.mark.parametrize("verbose", [3, -1, "loud", None])
def test_unknown_verbose_is_named(verbose: Any) -> None:
    with pytest.raises(ValueError, match=f"verbose must be .* received {verbose!r}"):
        Progress(verbose, 1, 1)


def test_no_standard_output_means_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with Progress(2, 1, 1) as progress:
        progress.epoch_end({"loss": 1.0})
    assert progress.verbose == 0


def test_a_message_does_not_break_a_bar(clock: Clock) -> None:
    file = Terminal()
    with Progress(1, 1, 1000, file=file) as progress:
        progress.epoch_begin(0)
        clock.now += 1.0
        progress.update(500, {"loss": 0.5})
        message("hello", file)
    before, after = file.getvalue().split("hello\n")
    assert before.rsplit("\r", 1)[-1] == ""  # on a line of its own
    assert "50%" in after


def test_tqdm_is_not_imported_before_the_first_bar() -> None:
    code = ("import sys, deltaprop.progress as p; bar = p.Progress(2, 1, 1); bar.epoch_end({});"
            "p.message(''); assert 'tqdm' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)

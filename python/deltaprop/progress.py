"""What ``fit``, ``evaluate`` and ``predict`` show while they run; the numbers come from the loop.

A terminal or notebook gets a tqdm bar that makes room for one plain line per finished epoch;
any other output gets the lines alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, TextIO

_INTERVAL = 0.1  # seconds: nobody reads more than ten lines a second, and drawing costs time


def message(text: str, file: TextIO | None = None) -> None:
    """Print a line above whatever bars are on display.

    Parameters
    ----------
    text : str
    file : text stream, optional
        ``sys.stdout`` by default.
    """
    # A bar, ours or the user's, can only be on display if somebody has imported tqdm already.
    tqdm = sys.modules.get("tqdm.auto") or sys.modules.get("tqdm")
    if tqdm is None or not hasattr(tqdm, "tqdm"):
        print(text, file=file)
    else:
        tqdm.tqdm.write(text, file=file)


class Progress:
    """Shows how far a run is and how well it does.

    With ``verbose=1`` the bar is drawn, and lines are printed, at most ten times a second: of
    epochs that are faster, some get no line, but the last one always does.

    Parameters
    ----------
    verbose : {'auto', 0, 1, 2}
        0 shows nothing, 1 (``'auto'``) a bar, 2 a line for every epoch.
    epochs : int or None
        Number of the last epoch; None for ``evaluate`` and ``predict``, which have none.
    samples : int
        Rows in an epoch.
    label : str
        What a line begins with.
    file : text stream, optional
        ``sys.stdout`` by default.

    Raises
    ------
    ValueError
        For an unknown ``verbose``.

    Examples
    --------
    >>> with Progress(verbose=2, epochs=3, samples=1000) as progress:
    ...     progress.epoch_begin(0)
    ...     progress.update(500, {"loss": 0.5})               # at most ten times a second
    ...     progress.epoch_end({"loss": 0.25})                # doctest: +ELLIPSIS
    Epoch 1/3 - ... samples/s - loss: 0.2500
    """

    __slots__ = (
        "_bar",
        "_began",
        "_drawn",
        "_draws",
        "_epoch",
        "_file",
        "_pending",
        "_printed",
        "epochs",
        "label",
        "samples",
        "verbose",
    )

    def __init__(self, verbose: str | int, epochs: int | None, samples: int, *,
                 label: str = "Epoch", file: TextIO | None = None) -> None:
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"verbose must be 'auto', 0, 1 or 2, received {verbose!r}.")
        self._file: TextIO | None = sys.stdout if file is None else file
        # There is no stdout under pythonw.
        self.verbose = 0 if self._file is None else 1 if verbose == "auto" else int(verbose)
        self.epochs = epochs
        self.samples = samples
        self.label = label
        self._draws = self.verbose == 1 and _shows_bars(self._file)
        self._bar: Any = None
        self._epoch = 0
        self._began = self._drawn = perf_counter()
        self._printed = -_INTERVAL
        self._pending: tuple[int, float, dict[str, Any]] | None = None

    def epoch_begin(self, epoch: int = 0) -> None:
        """Start the clock of epoch ``epoch``, counted from 0."""
        self._epoch = epoch
        self._began = perf_counter()

    def update(self, samples_done: int, logs: Mapping[str, Any] | None = None) -> None:
        """Redraw the bar, unless that was done less than a tenth of a second ago.

        Parameters
        ----------
        samples_done : int
            Rows of this epoch that are done.
        logs : mapping
            Means over the epoch so far.
        """
        if not self._draws:
            return
        now = perf_counter()
        if now - self._drawn < _INTERVAL:
            return
        self._drawn = now
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self.samples, file=self._file, leave=False, dynamic_ncols=True,
                             bar_format=self._title(self._epoch) + " |{bar}|")
        speed = samples_done / (now - self._began)
        text = f" {_compact(speed)} samples/s{_values(logs or {})}"
        self._bar.bar_format = (self._title(self._epoch) + " {percentage:3.0f}%|{bar}|"
                                + text.replace("{", "{{").replace("}", "}}"))
        self._bar.n = samples_done
        self._bar.refresh()

    def epoch_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Print the line of this epoch, or keep it for `close` if lines come too fast.

        Parameters
        ----------
        logs : mapping
            Losses and metrics of the epoch, with those of the validation.
        """
        if not self.verbose:
            return
        now = perf_counter()
        self._pending = (self._epoch, now - self._began, dict(logs or {}))
        last = self.epochs is None or self._epoch + 1 >= self.epochs
        if self.verbose == 2 or last or now - self._printed >= _INTERVAL:
            self._print_pending()
            self._printed = now

    def close(self) -> None:
        """Print the last epoch's line if it is still due, and remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._print_pending()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _title(self, epoch: int) -> str:
        return self.label if self.epochs is None else f"{self.label} {epoch + 1}/{self.epochs}"

    def _print_pending(self) -> None:
        if self._pending is None or self._file is None:
            return
        epoch, seconds, logs = self._pending
        self._pending = None
        speed = _compact(self.samples / max(seconds, 1e-9))
        message(f"{self._title(epoch)} - {_duration(seconds)} - {speed} samples/s{_values(logs)}",
                self._file)
        if self._bar is not None:
            self._bar.clear()  # until there is news of the next epoch
        self._file.flush()


def _shows_bars(file: Any) -> bool:
    """Whether ``file`` is a terminal that can redraw a line, or the output of a notebook."""
    if getattr(file, "isatty", bool)():
        return os.environ.get("TERM") != "dumb"
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return file is sys.stdout and "IPKernelApp" in getattr(shell, "config", ())


def _values(logs: Mapping[str, Any]) -> str:
    """``' - loss: 0.2345 - accuracy: 0.9300'``: four decimals, or an exponent for the small."""
    return "".join(f" - {name}: {shown(value, _decimals)}" for name, value in logs.items())


def _decimals(value: float) -> str:
    return f"{value:.4e}" if 0 < abs(value) <= 1e-3 else f"{value:.4f}"


def shown(value: Any, number: Callable[[float], str]) -> str:
    """Return a result as short text: a number, ``[a b c]`` for a vector, ``(3 x 3)`` for a matrix."""
    shape = getattr(value, "shape", ())
    if len(shape) == 1:
        return f"[{' '.join(map(number, value))}]"
    return number(value) if not shape else f"({' x '.join(map(str, shape))})"


def _duration(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{1e3 * seconds:.3g}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s"


def _compact(number: float) -> str:
    """Three digits and a unit, as in ``74.2k``."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"

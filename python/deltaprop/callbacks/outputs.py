"""Callbacks that hand the logs on, to a file or to functions; they do not steer the training."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from typing import Any, TextIO

from .base import _HOOKS, Callback, Logs


class CSVLogger(Callback):
    """Write one line per epoch to a CSV file: the epoch (from 0), then the logs, sorted by name.

    The columns are those of the first epoch; if that one had no validation, ``val_`` columns are
    kept for later ones. A value that is missing is written as ``NA``. Every line is flushed.

    Parameters
    ----------
    filename : str or os.PathLike
    separator : str
        One character.
    append : bool
        Continue an existing file, with its columns, rather than overwrite it.

    Raises
    ------
    ValueError
        For a bad ``separator``; when training begins, if ``append`` finds a file of another kind.

    Examples
    --------
    >>> from deltaprop.callbacks import CSVLogger
    >>> logger = CSVLogger("training.csv", append=True)
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",",
                 append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator must be one character, received {separator!r}.")
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._file: TextIO | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file, and read its columns if it is to be continued."""
        self.on_train_end()
        self._file = self._open()

    def _open(self) -> TextIO:
        self.keys = None
        if self.append and os.path.exists(self.filename):
            with open(self.filename, newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.sep), None)
            if header and header[0] != "epoch":
                raise ValueError(
                    f"append=True needs a file whose first column is 'epoch', but {self.filename!r}"
                    f" begins with {header[0]!r}; choose another filename or append=False.")
            self.keys = header[1:] if header else None
        return open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line of this epoch."""
        logs = logs or {}
        file = self._file = self._file or self._open()
        writer = csv.writer(file, delimiter=self.sep)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys if key != "learning_rate"]
            writer.writerow(["epoch", *self.keys])
        values = [logs.get(key, "NA") for key in self.keys]
        writer.writerow([epoch, *(v.tolist() if hasattr(v, "tolist") else v for v in values)])
        file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called with ``(epoch, logs)``.
    on_train_begin, on_train_end : callable, optional
        Called with ``(logs)``.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called with ``(batch, logs=logs)``; they make each batch a call of its own.
    **kwargs : callable
        Any other hook of `Callback`, by its name.

    Raises
    ------
    ValueError
        For a name that is no hook, or a value that is no function.

    Examples
    --------
    >>> from deltaprop.callbacks import LambdaCallback
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> show.on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    def __init__(self, on_epoch_begin: Callable[..., Any] | None = None,
                 on_epoch_end: Callable[..., Any] | None = None,
                 on_train_begin: Callable[..., Any] | None = None,
                 on_train_end: Callable[..., Any] | None = None,
                 on_train_batch_begin: Callable[..., Any] | None = None,
                 on_train_batch_end: Callable[..., Any] | None = None,
                 **kwargs: Callable[..., Any] | None) -> None:
        kwargs.update(on_epoch_begin=on_epoch_begin, on_epoch_end=on_epoch_end,
                      on_train_begin=on_train_begin, on_train_end=on_train_end,
                      on_train_batch_begin=on_train_batch_begin,
                      on_train_batch_end=on_train_batch_end)
        for name, function in kwargs.items():
            if name not in _HOOKS:
                raise ValueError(f"a hook must be one of {', '.join(_HOOKS)}, received {name!r}.")
            if function is None:
                continue
            if not callable(function):
                raise ValueError(f"{name} must be a function, received {function!r}.")
            setattr(self, name, function)

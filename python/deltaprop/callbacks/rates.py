"""Callbacks that set the learning rate between epochs; for every step, see ``schedules.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import checks
from ..progress import message
from .base import Callback, Logs
from .monitors import _MonitorCallback


def _settable_rate(callback: Callback) -> float:
    """The optimiser's learning rate, which must be a number for ``callback`` to change it."""
    rate = callback.model.optimizer.learning_rate
    if callable(rate):
        raise ValueError(
            f"{type(callback).__name__} sets the learning rate, but the optimizer was given the "
            f"schedule {rate!r}, which sets it at every step; compile with a number as "
            "learning_rate, or leave this callback out.")
    return float(rate)


class ReduceLROnPlateau(_MonitorCallback):
    """Multiply the learning rate by ``factor`` when a monitored quantity no longer improves.

    Adds ``'learning_rate'``, the rate that the epoch was trained with, to the logs.

    Parameters
    ----------
    monitor, mode : str
        What to watch, and which way is better; see `EarlyStopping`.
    factor : float
        In [0, 1): ``new rate = max(rate * factor, min_lr)``.
    patience : int
        Epochs in a row without improvement before a reduction.
    verbose : int
        1 tells about reductions.
    min_delta : float
        A change of at most this is no improvement.
    cooldown : int
        Epochs after a reduction that do not count towards ``patience``.
    min_lr : float
        The rate never falls below this.

    Raises
    ------
    ValueError
        For arguments out of range; when training begins, if the learning rate is a schedule.

    Examples
    --------
    >>> from deltaprop.callbacks import ReduceLROnPlateau
    >>> reduce = ReduceLROnPlateau(monitor="val_loss", factor=0.2, patience=5, min_lr=1e-5)
    """

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10,
                 verbose: int = 0, mode: str = "auto", min_delta: float = 1e-4,
                 cooldown: int = 0, min_lr: float = 0.0) -> None:
        super().__init__(monitor, mode, min_delta)
        self._resolve_mode()
        self.factor = checks.number("factor", factor, least=0, below=1)
        self.patience = checks.whole("patience", patience, least=0)
        self.verbose = verbose
        self.cooldown = checks.whole("cooldown", cooldown, least=0)
        self.min_lr = checks.number("min_lr", min_lr, least=0)
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run; check that the learning rate can be set."""
        _settable_rate(self)
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the learning rate, then reduce it if patience has run out."""
        logs = {} if logs is None else logs
        rate = logs["learning_rate"] = _settable_rate(self)
        current = self._monitored(logs, "never reduces the learning rate")
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current, self.best):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self.model.optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooldown_counter = self.cooldown
                self.wait = 0
                if self.verbose > 0:
                    message(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                            f"{self.model.optimizer.learning_rate:g}")


class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch; for every step, see `deltaprop.schedules`.

    Adds ``'learning_rate'`` to the logs.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, rate)`` or ``schedule(epoch)``, with ``epoch`` counted from 0 and the
        current ``rate``; returns the new one.
    verbose : int
        1 tells the rate of every epoch.

    Raises
    ------
    ValueError
        If ``schedule`` cannot be called so, or returns no finite number of at least 0; when
        training begins, if the optimiser has a schedule of its own.

    Examples
    --------
    >>> from deltaprop.callbacks import LearningRateScheduler
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _accepts(schedule, 2)
        if not self._takes_rate and not _accepts(schedule, 1):
            raise ValueError("schedule must be a function of (epoch, rate) or of (epoch), "
                             f"received {schedule!r}.")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check that the learning rate can be set."""
        _settable_rate(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask ``schedule`` for the rate of this epoch."""
        rate = _settable_rate(self)
        rate = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        rate = checks.number("the learning rate that schedule returns", rate, least=0)
        self.model.optimizer.learning_rate = rate
        if self.verbose > 0:
            message(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the learning rate."""
        if logs is not None:
            logs["learning_rate"] = _settable_rate(self)


def _accepts(function: Any, n_arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*range(n_arguments))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return callable(function)
    return True

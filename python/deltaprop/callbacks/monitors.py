"""Callbacks that ask "is this epoch better?"; those that set rates are in ``rates.py``."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from typing import Any

import numpy as np

from .. import checks
from ..progress import message
from .base import _BATCH_HOOKS, Callback, Logs, _own_hooks

# Errors first: a "focal_accuracy_loss" is a loss.
_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "mape", "msle", "entropy", "bce", "kld", "brier",
                    "divergence", "hinge", "huber", "cosh", "poisson", "perplexity", "deviance")
_HIGHER_IS_BETTER = ("acc", "auc", "precision", "recall", "sensitivity", "specificity", "f1",
                     "fbeta", "r2", "iou", "cosine_similarity")


def direction(metric: str) -> str | None:
    """``'min'`` or ``'max'``: which way ``metric`` improves, or None if its name does not tell."""
    name = metric.lower()
    if any(part in name for part in _LOWER_IS_BETTER):
        return "min"
    return "max" if any(part in name for part in _HIGHER_IS_BETTER) else None


class _MonitorCallback(Callback):
    """What `EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` share: "is this better?"."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', received {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(checks.number("min_delta", min_delta))
        self.best: float | None = None
        self._warned = False

    def _resolve_mode(self) -> None:
        """Replace mode 'auto' by the direction that the metric's name tells."""
        if self.mode == "auto":
            mode = direction(str(self.monitor))
            if mode is None:
                raise ValueError(
                    f"{type(self).__name__} cannot tell from the name whether {self.monitor!r} "
                    "should rise or fall; received mode='auto', pass mode='max' or mode='min'.")
            self.mode = mode

    def _improves(self, value: float, reference: float | None) -> bool:
        """Whether ``value`` beats ``reference`` by more than ``min_delta``; NaN beats nothing."""
        if reference is None:
            return value == value
        if self.mode == "min":
            return value + self.min_delta < reference
        return value - self.min_delta > reference

    def _monitored(self, logs: Logs, consequence: str) -> float | None:
        value = logs.get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            warnings.warn(
                f"{type(self).__name__} {consequence}: the monitored {self.monitor!r} is not "
                f"available; available are: {', '.join(logs) or 'none'}", stacklevel=2)
        if value is not None and np.ndim(value) > 0:
            raise ValueError(
                f"{type(self).__name__} needs one number to compare epochs by, and the monitored {self.monitor!r} "
                f"is an array of shape {np.shape(value)}; a metric with an average would do.")
        return value


class EarlyStopping(_MonitorCallback):
    """Stop training when a monitored quantity no longer improves.

    Parameters
    ----------
    monitor : str
        A key of the logs, such as ``'val_loss'`` or ``'accuracy'``.
    min_delta : float
        A change of at most this (its sign does not matter) is no improvement.
    patience : int
        Stop after this many epochs in a row without improvement; never after epoch 0.
    verbose : int
        1 says when training stopped and which weights were restored.
    mode : {'auto', 'min', 'max'}
        Whether lower or higher is better; ``'auto'`` goes by the name of the quantity.
    baseline : float, optional
        Improvements count as progress only once they also beat this value.
    restore_best_weights : bool
        End with the weights of the best epoch, also when all epochs ran. If no epoch beats
        ``baseline``, it is the best of those that ran.
    start_from_epoch : int
        Ignore the epochs before this one.

    Attributes
    ----------
    best : float or None
        Best value so far.
    best_epoch, stopped_epoch : int
        Counted from 0; ``stopped_epoch`` stays 0 when training was not stopped here.
    best_weights : list of ndarray or None
        Kept only with ``restore_best_weights``.
    wait : int
        Epochs since the last improvement.

    Raises
    ------
    ValueError
        For arguments out of range, or ``mode='auto'`` with a name of unknown direction.

    Warns
    -----
    UserWarning
        Once a run, if ``monitor`` is not among the logs.

    Examples
    --------
    >>> import deltaprop as dp, numpy as np
    >>> model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> stop = dp.callbacks.EarlyStopping(monitor="loss", patience=3)
    >>> history = model.fit(np.zeros((8, 2)), np.zeros((8, 1)), epochs=50, verbose=0,
    ...                     callbacks=[stop])
    >>> len(history.epoch), stop.best_epoch    # the loss is 0 from the start
    (4, 0)
    """

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0,
                 verbose: int = 0, mode: str = "auto", baseline: float | None = None,
                 restore_best_weights: bool = False, start_from_epoch: int = 0) -> None:
        super().__init__(monitor, mode, min_delta)
        self._resolve_mode()
        self.patience = checks.whole("patience", patience, least=0)
        self.verbose = verbose
        self.baseline = None if baseline is None else checks.number("baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = checks.whole("start_from_epoch", start_from_epoch, least=0)
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None
        self.stopped_epoch = 0
        self.wait = 0
        self._warned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare with the best epoch, and stop when patience has run out."""
        current = self._monitored(logs or {}, "never stops")
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._improves(current, self.best):
            self.best = current
            self._remember(epoch)
            if self.baseline is None or self._improves(current, self.baseline):
                self.wait = 0
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)  # NaN from the start: the first epoch is as good as any
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, if asked to."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                message(f"Restoring the weights of the best epoch, {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_MonitorCallback):
    """Save the model, or its weights, after epochs or every so many batches.

    The best value is kept from one ``fit`` to the next, so that a continued training does not
    overwrite a better model.

    Parameters
    ----------
    filepath : str or os.PathLike
        Where to; ``{epoch}`` (counted from 1), ``{batch}`` (from 1, with an integer
        ``save_freq``) and every key of the logs may appear, as in
        ``'{epoch:02d}-{val_loss:.2f}.safetensors'``. Missing folders are made.
    monitor, mode : str
        What "best" means; see `EarlyStopping`.
    verbose : int
        1 tells about every decision.
    save_best_only : bool
        Save only when ``monitor`` is better than ever before.
    save_weights_only : bool
        Call ``model.save_weights`` rather than ``model.save``.
    save_freq : 'epoch' or int
        An integer saves every so many batches (and makes each batch a call of its own); the logs
        then hold the training values so far.
    initial_value_threshold : float, optional
        With ``save_best_only``: the value to beat at first.

    Raises
    ------
    ValueError
        For arguments out of range, or a ``filepath`` that cannot be filled in.

    Examples
    --------
    >>> from deltaprop.callbacks import ModelCheckpoint
    >>> best = ModelCheckpoint("best.safetensors", monitor="val_accuracy", save_best_only=True)
    >>> best.mode
    'max'
    """

    def __init__(self, filepath: str | os.PathLike[str], monitor: str = "val_loss",
                 verbose: int = 0, save_best_only: bool = False, save_weights_only: bool = False,
                 mode: str = "auto", save_freq: str | int = "epoch",
                 initial_value_threshold: float | None = None) -> None:
        super().__init__(monitor, mode)
        if save_best_only:
            self._resolve_mode()
        self.filepath = os.fspath(filepath)
        try:
            self.filepath.format_map(defaultdict(float, epoch=1, batch=1))
        except ValueError as error:
            raise ValueError("filepath must be a path with fields such as {epoch:02d} or "
                             f"{{val_loss:.2f}}, received {self.filepath!r} ({error}).") from None
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._every = 0  # batches; 0 saves by epochs
        if save_freq != "epoch":
            self._every = checks.whole("save_freq, unless it is 'epoch',", save_freq, least=1)
        if initial_value_threshold is not None:
            self.best = checks.number("initial_value_threshold", initial_value_threshold)
        self._epoch = 0
        self._batches = 0  # since the last save, across epochs

    def uses_batch_hooks(self, kind: str) -> bool:
        """Whether batches must be seen singly: only if a subclass, or ``save_freq``, asks."""
        own = Callback if self._every else ModelCheckpoint
        return not _own_hooks(self, own).isdisjoint(_BATCH_HOOKS[kind])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch, for the file names of the batches to come."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if ``save_freq`` batches have passed."""
        self._batches += 1
        if self._every and self._batches >= self._every:
            self._batches = 0
            self._save(self._epoch, {"batch": batch + 1}, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if ``save_freq`` is 'epoch'."""
        if not self._every:
            self._save(epoch, {}, logs or {})

    def _save(self, epoch: int, fields: dict[str, int], logs: Logs) -> None:
        try:
            path = self.filepath.format(**{**fields, **logs, "epoch": epoch + 1})
        except KeyError as error:
            raise ValueError(
                f"filepath {self.filepath!r} needs {error}, which is not available; "
                f"available are: {', '.join(['epoch', *fields, *logs])}.") from None
        before = self.best
        if self.save_best_only:
            value = self._monitored(logs, "saves every time")
            if value is not None:
                if not self._improves(value, before):
                    self._tell(epoch, f"{self.monitor} did not improve from {before}")
                    return
                self.best = value
                self._tell(epoch, f"{self.monitor} improved from {before} to {value:.5g}")
        if os.path.isdir(path):
            raise IsADirectoryError(f"filepath must name a file, received the folder {path!r}.")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        self._tell(epoch, f"saved {path}")

    def _tell(self, epoch: int, text: str) -> None:
        if self.verbose > 0:
            message(f"Epoch {epoch + 1}: {text}")

"""The record that ``fit`` returns: what every epoch reported; plotting it is left to others."""

from __future__ import annotations

from typing import Any

from .callbacks import Callback, Logs, direction
from .progress import shown

__all__ = ["History"]


class History(Callback):
    """Losses, metrics and learning rates of the epochs of one ``fit``.

    ``fit`` makes one, returns it, and leaves it as ``model.history``.

    Attributes
    ----------
    history : dict of str to list of float
        One list for each of ``'loss'``, the metrics, ``'val_'`` and these, and ``'learning_rate'``
        where a callback sets it. With ``validation_freq > 1`` the ``'val_'`` lists are shorter. A
        metric with a value for each class has a list of arrays.
    epoch : list of int
        Epochs that ran, counted from 0.
    restart : int
        Which training of ``fit(..., restarts=n)`` this is, counted from 0: the best one.
    restart_losses : list of float
        What all of them reached, infinity where one diverged.
    params : mapping
        ``verbose``, ``epochs`` and ``steps`` of the run.

    Examples
    --------
    >>> from deltaprop.history import History
    >>> record = History()
    >>> for epoch, loss in enumerate([0.9, 0.4, 0.5]):
    ...     record.on_epoch_end(epoch, {"loss": loss})
    >>> record.history["loss"]
    [0.9, 0.4, 0.5]
    >>> record
    History of 3 epochs
      loss  0.9 -> 0.5  (lowest 0.4 in epoch 2)
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.restart = 0
        self.restart_losses: list[float] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh, and become ``model.history``."""
        self.history = {}
        self.epoch = []
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append what the epoch reported."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        n = len(self.epoch)
        lines = [f"History of {n} epoch{'' if n == 1 else 's'}"]
        width = max(map(len, self.history), default=0)
        for name, values in self.history.items():
            ends = " -> ".join(shown(value, "{:.4g}".format) for value in (values[0], values[-1])[:len(values)])
            lines.append(f"  {name:<{width}}  {ends}{self._best(name)}")
        return "\n".join(lines)

    def _best(self, name: str) -> str:
        values = self.history[name]
        if getattr(values[0], "shape", ()):
            return ""
        finite = [value for value in values if value == value]
        towards = direction(name)
        if towards is None or len(values) < 2 or not finite:
            return ""
        best = min(finite) if towards == "min" else max(finite)
        where = ""
        if len(values) == len(self.epoch):
            where = f" in epoch {self.epoch[values.index(best)] + 1}"  # as the progress counts them
        return f"  ({'lowest' if towards == 'min' else 'highest'} {best:.4g}{where})"

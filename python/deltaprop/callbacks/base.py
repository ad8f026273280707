"""The hooks, and the list that calls them; what callbacks do with them is in the files beside.

A callback touches the model only through ``stop_training``, ``get_weights``, ``set_weights``,
``optimizer.learning_rate``, ``save``, ``save_weights`` and ``history``. ``logs`` is one plain dict
for all callbacks of an epoch, so what one adds (``learning_rate``) the later ones see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ..progress import message

# Losses and metrics are floats; metrics with a value for each class are arrays.
Logs = dict[str, Any]


class Callback:
    """Base class: override the hooks you need, the others do nothing.

    Set ``self.model.stop_training = True`` to end training after the current epoch (or, from a
    batch hook, after the current batch). A batch hook has a price: an epoch is one call into C++,
    and only a callback that overrides a batch hook makes it one call per batch.

    Attributes
    ----------
    model : the model in training
    params : mapping
        ``verbose``, ``epochs`` and ``steps`` of the run.

    Examples
    --------
    >>> from deltaprop.callbacks import Callback
    >>> class StopBelow(Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         if logs["loss"] < self.loss:
    ...             self.model.stop_training = True
    """

    # On the class, so that a subclass may forget to call super().__init__().
    model: Any = None
    params: Mapping[str, Any] = MappingProxyType({})

    def set_model(self, model: Any) -> None:
        """Called once before a run, with the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called once before a run, with its ``verbose``, ``epochs`` and ``steps``."""
        self.params = params

    def uses_batch_hooks(self, kind: str) -> bool:
        """Whether the batches of ``kind`` ('train', 'test' or 'predict') must be seen singly."""
        return not _own_hooks(self).isdisjoint(_BATCH_HOOKS[kind])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when ``fit`` begins; ``logs`` is empty."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when ``fit`` ends; ``logs`` is that of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before epoch ``epoch`` (counted from 0); ``logs`` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation; ``logs`` has both (``loss``, ``val_loss``)."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of ``fit``; ``batch`` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of ``fit``; ``logs`` is the mean over the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of ``on_train_batch_end``."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate``, or the validation in ``fit``, begins."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate``, or the validation in ``fit``, ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of evaluation or validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of evaluation or validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of ``predict``."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of ``predict``."""


_HOOKS = frozenset(name for name in vars(Callback) if name.startswith("on_"))
_BATCH_HOOKS = {kind: {f"on_{kind}_batch_begin", f"on_{kind}_batch_end"}
                for kind in ("train", "test", "predict")}


def _own_hooks(callback: Callback, base: type[Callback] = Callback) -> set[str]:
    """The hooks that ``callback`` has of its own, by its class or put on the instance."""
    own = (vars(callback).keys() & _HOOKS) | _class_hooks(type(callback), base)  # type: ignore[arg-type]  # classes are hashable
    # The empty train_batch hooks call the older ones.
    return own | {hook.replace("on_batch_", "on_train_batch_") for hook in own}


@lru_cache(maxsize=256)  # a fit of few rows would spend most of its time here
def _class_hooks(kind: Any, base: Any) -> frozenset[str]:
    return frozenset(hook for hook in _HOOKS if getattr(kind, hook) is not getattr(base, hook))


class CallbackList(Callback):
    """Calls each hook of its callbacks, in order; a hook that nobody overrides costs nothing.

    Parameters
    ----------
    callbacks : Callback, (nested) list of Callback, CallbackList or None
    add_history : bool
        Append a `History` unless the list has one: last, so that it sees what others log.
    model, params
        Handed to ``set_model`` and ``set_params`` of every callback, where given.

    Attributes
    ----------
    callbacks : list of Callback
    history : History or None
    has_train_batch_hooks, has_test_batch_hooks, has_predict_batch_hooks : bool
        Whether the loop must hand over every single batch of that kind.
    terminates_on_nan : TerminateOnNaN or None
        The callback that decides about a loss that is not finite.

    Raises
    ------
    ValueError
        If something in the list is not a `Callback` instance.

    Examples
    --------
    >>> from deltaprop.callbacks import CallbackList, EarlyStopping
    >>> CallbackList([EarlyStopping(monitor="loss")]).has_train_batch_hooks
    False
    """

    def __init__(self, callbacks: Any = None, *, add_history: bool = False, model: Any = None,
                 params: Mapping[str, Any] | None = None) -> None:
        from ..history import History  # which subclasses Callback

        self.callbacks = [] if callbacks is None else list(_flatten(callbacks))
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if self.history is None and add_history:
            self.history = History()
            self.callbacks.append(self.history)
        if model is not None:
            self.set_model(model)
        if params is not None:
            self.set_params(params)
        self._bind()

    def append(self, callback: Callback) -> None:
        """Add one more callback, at the end."""
        self.callbacks.extend(_flatten(callback))
        self._bind()

    def set_model(self, model: Any) -> None:
        """Hand the model to every callback."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Hand the parameters of the run to every callback."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def uses_batch_hooks(self, kind: str) -> bool:
        """Whether any callback must see the batches of ``kind`` singly."""
        return any(callback.uses_batch_hooks(kind) for callback in self.callbacks)

    def _bind(self) -> None:
        # Who listens is looked up once; without listeners a hook stays the base's empty one.
        listeners: dict[str, list[Callable[..., None]]] = {}
        for callback in self.callbacks:
            for hook in _own_hooks(callback):
                listeners.setdefault(hook, []).append(getattr(callback, hook))
        for hook, called in listeners.items():
            setattr(self, hook, _call_all(called, hook))
        self.has_train_batch_hooks = self.uses_batch_hooks("train")
        self.has_test_batch_hooks = self.uses_batch_hooks("test")
        self.has_predict_batch_hooks = self.uses_batch_hooks("predict")
        self.terminates_on_nan = next(
            (c for c in self.callbacks if isinstance(c, TerminateOnNaN)), None)


def _call_all(listeners: list[Callable[..., None]], hook: str) -> Callable[..., None]:
    """One function that calls all ``listeners`` with the arguments of ``hook``."""
    def on_run(logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for listener in listeners:
            listener(logs)

    def on_epoch(epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for listener in listeners:
            listener(epoch, logs)

    def on_batch(batch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for listener in listeners:
            listener(batch, logs=logs)  # by name, as Keras promises LambdaCallback

    return on_batch if "_batch_" in hook else on_epoch if "_epoch_" in hook else on_run


def _flatten(item: Any) -> Iterator[Callback]:
    if isinstance(item, CallbackList):
        yield from item.callbacks
    elif isinstance(item, Callback):
        yield item
    elif isinstance(item, (list, tuple)):
        for part in item:
            yield from _flatten(part)
    else:
        hint = f"; pass an instance, {item.__name__}(...)" if isinstance(item, type) else ""
        raise ValueError("callbacks must be instances of deltaprop.callbacks.Callback, "
                         f"received {item!r}{hint}.")


class TerminateOnNaN(Callback):
    """End training at the first batch whose loss is NaN or infinite, and keep what is there.

    Without this callback such a loss restores the weights of the epoch's start and raises
    `TrainingDiverged`. The check itself is made in C++ for every batch, so it costs nothing.

    Parameters
    ----------
    raise_error : bool
        Raise ``RuntimeError`` at once (no ``on_train_end``) rather than stop gently.

    Examples
    --------
    >>> from deltaprop.callbacks import CallbackList, TerminateOnNaN
    >>> CallbackList([TerminateOnNaN()]).has_train_batch_hooks
    False
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_nonfinite_loss(self, batch: int, logs: Logs | None = None) -> None:
        """Called by ``fit`` after batch ``batch`` of the epoch had a loss that is not finite."""
        if self.raise_error:
            loss = (logs or {}).get("loss", math.nan)
            raise RuntimeError(f"the loss of batch {batch} is {loss}; training was ended. "
                               "A smaller learning rate or clipnorm=1.0 may help")
        message(f"Batch {batch}: invalid loss, terminating training")
        self.model.stop_training = True

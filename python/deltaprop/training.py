"""The loops behind `fit` and `evaluate`: epochs, callbacks, progress; executors run epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from . import _core, checks, runtime
from .callbacks import CallbackList, Logs
from .data import (
    check_finite,
    check_ids,
    check_not_empty,
    entry_names,
    fold_weights,
    inputs_of,
    split_validation,
    targets_of,
)  # fmt: skip
from .inference import build_for
from .objective import per_entry
from .progress import Progress, message
from .restarts import best_of

if TYPE_CHECKING:
    from .history import History
    from .model import Model

__all__ = ["TrainingDiverged", "evaluate", "fit", "train_on_batch"]

Array = npt.NDArray[Any]


class TrainingDiverged(FloatingPointError):  # noqa: N818  # an event, as StopIteration is
    """The loss became NaN or infinite; the model is as it was at the start of that epoch.

    Attributes
    ----------
    epoch, step : int
        Where, counted from 0.
    history : dict of str to list of float
        What the epochs before reported.
    """

    def __init__(self, epoch: int, step: int, history: dict[str, list[float]]) -> None:
        super().__init__(
            f"the loss became NaN or infinite in epoch {epoch + 1}, batch {step + 1}; the weights are those "
            f"of the start of that epoch. A smaller learning rate, clipnorm=1.0 or standardised inputs may "
            f"help."
        )
        self.epoch = epoch
        self.step = step
        self.history = history


class _Checked:
    """Checked data: an array for each input, and for each output that is measured its targets and weights."""

    def __init__(self, inputs: list[Array], targets: list[Array], weights: list[Array | None]) -> None:
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.n = len(inputs[0])

    def part(self, rows: slice) -> _Checked:
        """Return some of the rows."""
        weights = [None if w is None else w[rows] for w in self.weights]
        return _Checked([x[rows] for x in self.inputs], [y[rows] for y in self.targets], weights)


class _Rows:
    """Checked data, bound to an executor."""

    def __init__(self, model: Model, data: _Checked) -> None:
        self.n = data.n
        self.bound = model.bind(data.inputs, data.targets, data.weights)


def _require_compiled(model: Model, verb: str) -> None:
    if not model.terms:
        raise RuntimeError(f"call model.compile(optimizer=..., loss=...) before {verb}.")


def _checked(model: Model, x: Any, y: Any, sample_weight: Any, class_weight: Any = None, what: str = "") -> _Checked:
    """Return the data of all inputs and outputs, checked."""
    inputs = inputs_of(x, model.input_names, [t.row_shape for t in model.inputs], f"{what}x")
    for rows, name in zip(inputs, entry_names(model.input_names, f"{what}x")):
        check_not_empty(rows, name)
        check_finite(rows, name)
    check_ids(inputs, model.require_graph(), f"{what}x")
    n, names = len(inputs[0]), model.output_names
    if class_weight is not None and len(names) > 1:
        raise ValueError("class_weight is for a model with one output; use sample_weight for each output.")
    given = inputs if y is None and model.gives_back else per_entry(y, names, f"{what}y")
    given_weights = per_entry(sample_weight, names, f"{what}sample_weight", broadcast=True)
    data = _Checked(inputs, [], [])
    for i, (term, name) in enumerate(zip(model.terms, entry_names(names, f"{what}y"))):
        if term.measured:
            shape = model.outputs[i].row_shape
            targets = targets_of(given[i], n, shape, term, name)
            data.targets.append(targets)
            weight = fold_weights(targets, term, shape, given_weights[i], class_weight, what)
            data.weights.append(weight)
    return data


def _add_tangents(model: Model, data: _Checked) -> None:
    """Let rows to train on bring their tangents."""
    data.inputs += [tangent for regularizer in model.regularizers for tangent in regularizer.of(data.inputs[0])]


class _Measures:
    """Turns an executor's counters into the numbers that people read."""

    def __init__(self, model: Model) -> None:
        self.plan, self.executor = model.lowered()
        self.several = len(model.terms) > 1

    def read(self) -> Logs:
        sums = self.executor.sums
        objective, rows = 0.0, 0.0
        outputs: Logs = {}
        for name, counter, factor in self.plan.losses:
            total, rows = sums(counter)
            objective += factor * total
            if self.several:
                outputs[f"{name}_loss"] = total / rows if rows else math.nan
        for counter in self.plan.penalties:
            objective += sums(counter)[0]
        logs: Logs = {"loss": objective / rows if rows else math.nan, **outputs}
        for metric, counter in self.plan.metrics:
            logs[metric.name] = metric.value(sums(counter))
        return logs

    def keep(self) -> list[tuple[int, Any]]:
        """Return the counters, for `put_back`: a batch hook may evaluate in the middle of an epoch."""
        counters = [*self.plan.objective, *(counter for _, counter in self.plan.metrics)]
        return [(counter, list(self.executor.sums(counter))) for counter in counters]

    def put_back(self, kept: list[tuple[int, Any]]) -> None:
        for counter, sums in kept:
            self.executor.write(counter, sums)


def _evaluate_rows(model: Model, rows: _Rows) -> None:
    """Fill the counters with loss and metrics on these rows: one batch, cut into blocks by the executor."""
    executor = model.executor()
    executor.reset_counters()
    threads = runtime.threads_for(executor.flops(False) * rows.n, single_call=True)
    executor.run(rows.bound, None, rows.n, rows.n, 0, 1, None, 0, 0, False, threads, None)


def _measure(model: Model, rows: _Rows, watchers: CallbackList, measures: _Measures) -> Logs:
    """Return loss and metrics on these rows, with the hooks of `evaluate` around."""
    watchers.on_test_begin()
    watchers.on_test_batch_begin(0)
    _evaluate_rows(model, rows)
    logs = measures.read()
    watchers.on_test_batch_end(0, dict(logs))
    watchers.on_test_end(dict(logs))
    return logs


class _Epoch:
    """Runs the batches of one epoch, in one call, or in one per batch where a callback wants to see each."""

    def __init__(self, model: Model, rows: _Rows, batch: int, shuffle: bool) -> None:
        self.model = model
        self.measures = _Measures(model)
        if self.measures.plan.obstacle:
            raise ValueError(self.measures.plan.obstacle)
        self.executor = self.measures.executor
        self.rows = rows
        self.batch = batch
        self.shuffle = shuffle
        self.steps = -(-rows.n // batch)
        self.threads = runtime.threads_for(self.executor.flops(True) * min(batch, rows.n))

    def begin(self) -> None:
        model = self.model
        assert model.optimizer is not None
        self.start = model.optimizer.iterations
        self.order = _core.permutation(self.rows.n, model.seed, model.epochs_done) if self.shuffle else None
        self.scalars = model.optimizer.scalars(self.start, self.steps)
        self.executor.reset_counters()
        self.executor.snapshot()

    def refresh_rate(self, step: int) -> None:
        """Take over a learning rate that a batch hook has set."""
        assert self.model.optimizer is not None
        self.scalars[step] = self.model.optimizer.scalars(self.start + step, 1)[0]

    def run(self, first: int, last: int, hook: Callable[[int], bool] | None) -> str:
        """Run batches [first, last) and return the outcome."""
        model = self.model
        assert model.optimizer is not None
        try:
            outcome: str = self.executor.run(
                self.rows.bound, self.order, self.rows.n, self.batch, first, last, self.scalars,
                self.start, model.seed, True, self.threads, hook,
            )[0]  # fmt: skip
        finally:
            model.optimizer.iterations = self.start + first + self.executor.steps_done
        return outcome

    def undo(self) -> None:
        """Go back to the start of the epoch."""
        assert self.model.optimizer is not None
        self.executor.restore()
        self.model.optimizer.iterations = self.start


def fit(
    model: Model, x: Any, y: Any, batch_size: int | None, epochs: int, verbose: int | str,
    callbacks: Any, validation_split: float, validation_data: Any, shuffle: bool, class_weight: Any,
    sample_weight: Any, initial_epoch: int, validation_batch_size: int | None, validation_freq: int,
    restarts: int | None,
) -> History:  # fmt: skip
    """Train; see `Trainer.fit`."""
    from .history import History

    _require_compiled(model, "fit")
    batch = checks.whole("batch_size", 32 if batch_size is None else batch_size, least=1)
    epochs = checks.whole("epochs", epochs, least=1)
    initial_epoch = checks.whole("initial_epoch", initial_epoch, least=0)
    validation_freq = checks.whole("validation_freq", validation_freq, least=1)
    validation_split = checks.number("validation_split", validation_split, least=0, below=1)
    if validation_batch_size is not None:
        checks.whole("validation_batch_size", validation_batch_size, least=1)
    if restarts is not None:
        restarts = checks.whole("restarts", restarts, least=1)
    watchers = CallbackList(callbacks, add_history=True, model=model)
    with model.gate:
        x = build_for(model, x)
        train, held = _training_rows(
            model, x, y, sample_weight, class_weight, validation_split, validation_data
        )
        if not model.trainable_variables:
            raise ValueError("there is nothing to train: all variables are frozen.")
        progress = Progress(verbose, epochs, train.n)
        epoch = _Epoch(model, train, batch, shuffle)
        watchers.set_params({"verbose": progress.verbose, "epochs": epochs, "steps": epoch.steps})

        def once() -> History:
            model.stop_training = False
            watchers.on_train_begin()
            try:
                for number in range(initial_epoch, epochs):
                    watchers.on_epoch_begin(number)
                    progress.epoch_begin(number)
                    logs = _train_epoch(epoch, number, watchers, progress)
                    model.epochs_done += 1
                    if held is not None and (number + 1) % validation_freq == 0:
                        measured = _measure(model, held, watchers, epoch.measures)
                        logs.update({f"val_{name}": value for name, value in measured.items()})
                    watchers.on_epoch_end(number, logs)
                    progress.epoch_end(logs)
                    if model.stop_training:
                        break
            finally:
                progress.close()
            assert model.optimizer is not None
            model.optimizer.finalize_variable_values(model.trainable_variables)
            watchers.on_train_end()
            assert isinstance(watchers.history, History)
            return watchers.history

        if restarts is None:
            return once()

        def measure() -> float:
            _evaluate_rows(model, train if held is None else held)
            return float(epoch.measures.read()["loss"])

        return best_of(model, restarts, once, measure, message if progress.verbose else lambda text: None)


def _training_rows(
    model: Model, x: Any, y: Any, sample_weight: Any, class_weight: Any, validation_split: float,
    validation_data: Any,
) -> tuple[_Rows, _Rows | None]:  # fmt: skip
    """Check everything, then bind what trains and what validates."""
    data = _checked(model, x, y, sample_weight, class_weight)
    _add_tangents(model, data)
    if validation_data is not None:
        if model.gives_back and not isinstance(validation_data, tuple):
            validation_data = (validation_data, None)
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise ValueError(
                f"validation_data must be (x, y) or (x, y, sample_weight), received "
                f"{type(validation_data).__name__}"
                + (f" of length {len(validation_data)}." if hasattr(validation_data, "__len__") else ".")
            )
        held_x, held_y, held_weight = (*validation_data, None)[:3]
        held = _checked(model, held_x, held_y, held_weight, what="validation ")
        return _Rows(model, data), _Rows(model, held)
    if validation_split == 0:
        return _Rows(model, data), None
    n = split_validation(data.n, validation_split, data.targets, [t for t in model.terms if t.measured])
    held = data.part(slice(n, None))
    if class_weight is not None:  # it is for training only
        held.weights = _checked(model, x, y, sample_weight).part(slice(n, None)).weights
    return _Rows(model, data.part(slice(n))), _Rows(model, held)


def _train_epoch(epoch: _Epoch, number: int, watchers: CallbackList, progress: Progress) -> Logs:
    """Run one epoch and return its loss and metrics."""
    epoch.begin()
    measures = epoch.measures

    def draw(steps: int, first: int = 0) -> bool:
        progress.update(min((first + steps) * epoch.batch, epoch.rows.n), measures.read())
        return True

    hook = draw if progress.verbose == 1 else None
    if not watchers.has_train_batch_hooks:
        outcome = epoch.run(0, epoch.steps, hook)
        if outcome == "diverged":
            _diverged(epoch, number, epoch.executor.steps_done, watchers, measures)
        return measures.read()
    for step in range(epoch.steps):
        watchers.on_train_batch_begin(step)
        epoch.refresh_rate(step)
        if epoch.run(step, step + 1, None) == "diverged":
            _diverged(epoch, number, step, watchers, measures)
        logs = measures.read()
        watchers.on_train_batch_end(step, dict(logs))
        if hook is not None:
            draw(step + 1)
        if epoch.model.stop_training:
            break
    return measures.read()


def _diverged(epoch: _Epoch, number: int, step: int, watchers: CallbackList, measures: _Measures) -> None:
    """A loss is not finite: TerminateOnNaN ends the training, else the epoch is undone and this raises."""
    if watchers.terminates_on_nan is not None:
        watchers.terminates_on_nan.on_nonfinite_loss(step, measures.read())
        return
    epoch.undo()
    assert watchers.history is not None
    raise TrainingDiverged(number, step, watchers.history.history)


def evaluate(
    model: Model, x: Any, y: Any, batch_size: int | None, verbose: int | str, sample_weight: Any,
    callbacks: Any, return_dict: bool,
) -> Any:  # fmt: skip
    """Return loss and metrics; see `Trainer.evaluate`."""
    _require_compiled(model, "evaluate")
    if batch_size is not None:
        checks.whole("batch_size", batch_size, least=1)
    watchers = CallbackList(callbacks, model=model)
    with model.gate:
        rows = _Rows(model, _checked(model, build_for(model, x), y, sample_weight))
        measures = _Measures(model)
        kept = measures.keep()
        progress = Progress(verbose, None, rows.n, label="Evaluate")
        try:
            logs = _measure(model, rows, watchers, measures)
            progress.epoch_end(logs)
        finally:
            measures.put_back(kept)
            progress.close()
    return _returned(logs, return_dict)


def _returned(logs: Logs, return_dict: bool) -> Any:
    """A dict, a list, or the loss alone, as in Keras."""
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def train_on_batch(
    model: Model, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | str | None,
    return_dict: bool,
) -> Any:  # fmt: skip
    """Make one update; see `Trainer.train_on_batch`."""
    _require_compiled(model, "train_on_batch")
    with model.gate:
        data = _checked(model, build_for(model, x), y, sample_weight, class_weight)
        _add_tangents(model, data)
        rows = _Rows(model, data)
        epoch = _Epoch(model, rows, rows.n, shuffle=False)
        epoch.begin()
        outcome = epoch.run(0, 1, None)
        logs = _Measures(model).read()
        if outcome == "diverged":
            epoch.undo()
            raise TrainingDiverged(0, 0, {})
    return _returned(logs, return_dict)

"""Random restarts: one training from several initial weights, the best of which stays."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from .variable import Variable

if TYPE_CHECKING:
    from .history import History
    from .model import Model

__all__ = ["best_of"]

# The words of this stream of the model's seed are the seeds of the restarts.
_STREAM = 0xFFFFFFFE


class _State:
    """What a training changes: variables, slots, counters and the learning rate."""

    def __init__(self, model: Model) -> None:
        assert model.optimizer is not None
        self.model = model
        slots = (slot for slots in model.optimizer._slots.values() for slot in slots)
        self.arrays: list[tuple[Variable, Any]] = [(v, v.numpy()) for v in (*model.variables, *slots)]
        self.counters = model.optimizer.iterations, model.epochs_done
        self.learning_rate = model.optimizer.learning_rate

    def same_weights(self) -> bool:
        """Whether the model has the weights of then."""
        return all(np.array_equal(v.numpy(), array) for v, array in self.arrays[: len(self.model.variables)])

    def restore(self) -> None:
        optimizer = self.model.optimizer
        assert optimizer is not None
        for variable, array in self.arrays:
            variable.assign(array)
        optimizer.iterations, self.model.epochs_done = self.counters
        optimizer.learning_rate = self.learning_rate


def best_of(
    model: Model, restarts: int, train: Callable[[], History], measure: Callable[[], float],
    say: Callable[[str], object],
) -> History:  # fmt: skip
    """Train several times and leave the model, with its optimiser, as the best of them left it.

    Parameters
    ----------
    model : Model
        Built and compiled. The first training goes on from its weights, the others start from new ones
        with a new optimiser; variables that do not train have their values again at each start.
    restarts : int
        How many trainings.
    train : callable
        Trains once. One that diverges counts as infinitely bad.
    measure : callable
        What is compared: the loss of the model as it is.
    say : callable
        Is told which training begins, and at last which was the best.

    Raises
    ------
    TrainingDiverged
        If all of them diverge; the model is then as it was.
    """
    from .training import TrainingDiverged

    start = _State(model)
    losses: list[float] = []
    best: tuple[_State, dict[str, list[float]], list[int]] | None = None
    for number in range(restarts):
        say(f"Restart {number + 1}/{restarts}")
        if number > 0:
            start.restore()
            _start_afresh(model, int(_core.random_bits(model.seed, _STREAM, number)[-1]))
            if number == 1 and start.same_weights():
                warnings.warn(
                    "the restarts begin with the same weights: every initializer has a seed of its own, or draws "
                    "nothing at random.",
                    stacklevel=4,
                )
        try:
            history = train()
        except TrainingDiverged:
            losses.append(math.inf)
            if number + 1 == restarts and best is None:
                start.restore()
                raise
            continue
        loss = measure()
        losses.append(loss if loss == loss else math.inf)
        if best is None or losses[-1] < min(losses[:-1]):
            best = _State(model), history.history, history.epoch
    assert best is not None
    state, history.history, history.epoch = best
    state.restore()
    history.restart, history.restart_losses = losses.index(min(losses)), losses
    say(f"Restart {history.restart + 1} of {restarts} is the best, loss {min(losses):.4g}")
    return history


def _start_afresh(model: Model, seed: int) -> None:
    """Give all variables that train new initial values, and the optimiser no past."""
    for number, layer in enumerate(model.layers):
        if layer.variables:
            twin = copy.copy(layer)
            assert layer.input_shape is not None
            twin.create_variables(layer.input_shape, model.dtype, seed, 2 * number)
            for variable, drawn in zip(layer.variables, twin.variables):
                if variable.trainable:
                    variable.assign(drawn.numpy())
    assert model.optimizer is not None
    model.optimizer.iterations = 0
    for variable, slots in model.optimizer._slots.items():
        model.optimizer.start_slots(variable, slots)

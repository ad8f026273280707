"""What all optimisers share: the learning rate of each step, clipping, decay, the state kept per variable."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks, schedules
from ..schedules import LearningRateSchedule
from ..variable import Variable

__all__ = ["Optimizer"]


class Optimizer:
    """Base of all optimisers.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        A layer's `learning_rate_multiplier` scales it.
    weight_decay : float, optional
        Decoupled: ``w -= learning_rate * weight_decay * w`` before the update. Biases do not decay;
        there Keras differs.
    clipnorm : float, optional
        Each gradient is scaled down to at most this norm.
    clipvalue : float, optional
        Each element of a gradient is clipped to ±clipvalue.
    global_clipnorm : float, optional
        All gradients together are scaled down to at most this norm.
    use_ema : bool
        Keep an exponential moving average of each weight,
        ``average = ema_momentum * average + (1 - ema_momentum) * w`` after each update. The weights
        become their averages when `fit` ends.
    ema_momentum : float
        From 0 to 1. The first update starts the average with its result.
    ema_overwrite_frequency : int, optional
        The weights also become their averages after every so many updates.
    name : str, optional
    """

    function: str  # the plan's word for the update
    slots: tuple[str, ...] = ()  # names of what the rule keeps per variable
    hyperparameters: tuple[str, ...] = ()  # the constants of the rule, in the order in which kernels take them
    options: tuple[str, ...] = ()  # further arguments of the constructor

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        name: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [key for key, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"use only one kind of clipping, received {' and '.join(given)}.")
        for key in given:
            clips[key] = checks.number(key, clips[key], above=0)
        self.clipnorm = clips["clipnorm"]
        self.clipvalue = clips["clipvalue"]
        self.global_clipnorm = clips["global_clipnorm"]
        self.weight_decay = None if weight_decay is None else checks.number("weight_decay", weight_decay, least=0)
        self.use_ema = bool(use_ema)
        self.ema_momentum = checks.number("ema_momentum", ema_momentum, least=0, most=1)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        if ema_overwrite_frequency is not None:
            self.ema_overwrite_frequency = checks.whole("ema_overwrite_frequency", ema_overwrite_frequency, least=1)
        self.name = type(self).__name__.lower() if name is None else checks.name("an optimizer", name)
        self.iterations = 0
        self._slots: dict[Variable, list[Variable]] = {}
        self._undecayed: set[Variable] = set()
        self._undecayed_names: set[re.Pattern[str]] = set()

    @property
    def learning_rate(self) -> float | LearningRateSchedule:
        """The rate of the next step, or the schedule that gives it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        if isinstance(value, LearningRateSchedule):
            self._learning_rate: float | LearningRateSchedule = value
        else:
            self._learning_rate = checks.number("learning_rate", value, least=0)

    def rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return the learning rates of steps `first` ... `first + count - 1`, counted from 0."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate.rates(np.arange(first, first + count))
        return np.full(count, self._learning_rate)

    def scalars(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return, by step, the rate with the optimiser's corrections, the plain rate, and what else changes."""
        rates = self.rates(first, count)
        t = np.arange(first + 1, first + count + 1, dtype=np.float64)
        return np.column_stack([rates * self.corrections(t), rates, *self.step_numbers(t)])

    def corrections(self, t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | float:
        """Return the factors on the learning rate of steps t, counted from 1."""
        return 1.0

    def step_numbers(self, t: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
        """Return what the rule needs beside the rate in steps t, counted from 1."""
        return ()

    @property
    def constants(self) -> tuple[float, ...]:
        """What the rule needs beside rate, gradient and slots, the same in all steps."""
        return tuple(getattr(self, name) for name in self.hyperparameters)

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of what is kept per variable: the rule's slots, and the moving average."""
        return (*self.slots, "average") if self.use_ema else self.slots

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Let some variables not decay, beside the biases.

        Parameters
        ----------
        var_list : list of Variable, optional
        var_names : list of str, optional
            Regular expressions; a variable is excluded where one is found in its name, such as
            ``dense/kernel``.
        """
        self._undecayed.update(var_list or ())
        self._undecayed_names.update(re.compile(name) for name in var_names or ())

    def decay_of(self, variable: Variable) -> float:
        """Return the weight decay that applies to a variable."""
        if not self.weight_decay or not variable.decays or variable in self._undecayed:
            return 0.0
        return 0.0 if any(name.search(variable.name) for name in self._undecayed_names) else self.weight_decay

    def initial_slot(self, slot: str) -> float:
        """Return what a slot is filled with before the first update."""
        return 0.0

    def slots_of(self, variable: Variable) -> list[Variable]:
        """Return what is kept of a variable, in the order of `kept`."""
        if variable not in self._slots:
            self._slots[variable] = [
                Variable(variable.shape, variable.dtype, f"{variable.name}/{slot}", trainable=False)
                for slot in self.kept
            ]
            self.start_slots(variable, self._slots[variable])
        return self._slots[variable]

    def start_slots(self, variable: Variable, slots: list[Variable]) -> None:
        """Fill what is kept of a variable with what it holds before the first update."""
        for name, slot in zip(self.slots, slots):
            slot.assign(np.full(variable.shape, self.initial_slot(name)))
        if self.use_ema:
            slots[-1].assign(variable.numpy())

    def average_of(self, variable: Variable) -> Variable:
        """Return the moving average of a variable; only with `use_ema`."""
        return self.slots_of(variable)[-1]

    def finalize_variable_values(self, variables: list[Variable]) -> None:
        """Put the moving averages in the variables' place, as `fit` does at its end; without them do nothing."""
        if self.use_ema:
            for variable in variables:
                variable.assign(self.average_of(variable).numpy())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        rate = self._learning_rate
        own = (*self.hyperparameters, *self.options)
        common = (
            "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
            "ema_overwrite_frequency", "name",
        )  # fmt: skip
        return {
            "learning_rate": schedules.serialize(rate) if isinstance(rate, LearningRateSchedule) else rate,
            **{name: getattr(self, name) for name in (*own, *common)},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Return an optimiser from what `get_config` returned."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"])
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: learning_rate={self._learning_rate}, iterations={self.iterations}>"

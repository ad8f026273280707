"""Steps in units of each weight's own mean square gradient: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..schedules import LearningRateSchedule
from .base import Optimizer

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """``a += g²; w -= lr g / √(a + ε)`` (Duchi et al. 2011).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    initial_accumulator_value : float
        What a starts with, at least 0.
    epsilon : float
    **kwargs
        As in `Optimizer`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.Adagrad(0.1)
    <Adagrad: learning_rate=0.1, iterations=0>
    """

    function = "adagrad"
    slots = ("accumulator",)
    hyperparameters = ("epsilon",)
    options = ("initial_accumulator_value",)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = checks.number("initial_accumulator_value", initial_accumulator_value, least=0)
        self.epsilon = checks.number("epsilon", epsilon, least=0)

    def initial_slot(self, slot: str) -> float:
        """Return what a starts with."""
        return self.initial_accumulator_value


class Adadelta(Optimizer):
    """``a = ρ a + (1 - ρ) g²; d = √(s + ε) / √(a + ε) g; s = ρ s + (1 - ρ) d²; w -= lr d`` (Zeiler 2012).

    The paper's formula has a learning rate of 1; the default is Keras's.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    rho : float
        From 0 to 1.
    epsilon : float
        Above 0: the first steps are about √ε long.
    **kwargs
        As in `Optimizer`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.Adadelta(1.0).rho
    0.95
    """

    function = "adadelta"
    slots = ("accumulated_gradient", "accumulated_step")
    hyperparameters = ("rho", "epsilon")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = checks.number("rho", rho, least=0, most=1)
        self.epsilon = checks.number("epsilon", epsilon, least=0)


class RMSprop(Optimizer):
    """``v = rho * v + (1 - rho) * g**2; w -= lr * g / sqrt(v + epsilon)`` (Tieleman & Hinton 2012).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    rho, momentum : float
        From 0 to 1.
    epsilon : float
    centered : bool
        Subtract the squared mean of the gradients from v.
    **kwargs
        As in `Optimizer`.
    """

    hyperparameters = ("rho", "momentum", "epsilon")
    options = ("centered",)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = checks.number("rho", rho, least=0, most=1)
        self.momentum = checks.number("momentum", momentum, least=0, most=1)
        self.epsilon = checks.number("epsilon", epsilon, least=0)
        self.centered = bool(centered)
        if self.centered:
            self.slots = ("velocity", "momentum", "average_gradient")
            self.function = "centered_rmsprop"
        else:
            self.slots = ("velocity", "momentum") if self.momentum else ("velocity",)
            self.function = "rmsprop_momentum" if self.momentum else "rmsprop"

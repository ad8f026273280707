"""How weights move: optimisers and the scalars of each step; updates are in the kernels and textbook.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import schedules
from .schedules import LearningRateSchedule
from .utils import choose
from .variable import Variable

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get"]


def _number(name: str, value: Any, low: float, high: float, *, open_above: bool = False) -> float:
    valid = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not valid or not low <= value <= high or (open_above and value == high):
        bounds = f"from {low:g} to {'below ' if open_above else ''}{high:g}"
        raise ValueError(f"{name} must be a number {bounds}, received {value!r}.")
    return float(value)


class Optimizer:
    """Base of all optimisers.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float, optional
        Decoupled: ``w -= learning_rate * weight_decay * w`` before the update. Biases do not decay;
        there Keras differs.
    clipnorm : float, optional
        Each gradient is scaled down to at most this norm.
    clipvalue : float, optional
        Each element of a gradient is clipped to ±clipvalue.
    global_clipnorm : float, optional
        All gradients together are scaled down to at most this norm.
    """

    slots: tuple[str, ...] = ()  # names of what is kept per variable

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [key for key, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"use only one kind of clipping, received {' and '.join(given)}.")
        for key in given:
            if not _number(key, clips[key], 0.0, float("inf")) > 0:
                raise ValueError(f"{key} must be positive, received {clips[key]!r}.")
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.weight_decay = (
            None if weight_decay is None else _number("weight_decay", weight_decay, 0.0, float("inf"))
        )
        self.name = name or type(self).__name__.lower()
        self.iterations = 0
        self._slots: dict[Variable, list[Variable]] = {}

    @property
    def learning_rate(self) -> float | LearningRateSchedule:
        """The rate of the next step, or the schedule that gives it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        if isinstance(value, LearningRateSchedule):
            self._learning_rate: float | LearningRateSchedule = value
        else:
            self._learning_rate = _number("learning_rate", value, 0.0, float("inf"), open_above=True)

    def rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return the learning rates of steps `first` ... `first + count - 1`, counted from 0."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            steps = np.arange(first, first + count, dtype=np.float64)
            rates = self._learning_rate(steps)
            return np.asarray(np.broadcast_to(rates, count), dtype=np.float64)
        return np.full(count, self._learning_rate)

    def scalars(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return (count, 2): the rate with the optimiser's corrections, and the plain rate."""
        rates = self.rates(first, count)
        out = np.empty((count, 2))
        out[:, 0] = rates * self.corrections(first, count)
        out[:, 1] = rates
        return out

    def corrections(self, first: int, count: int) -> npt.NDArray[np.float64] | float:
        """Return the factors on the learning rate of these steps."""
        return 1.0

    @property
    def function(self) -> str:
        """The plan's word for the update."""
        raise NotImplementedError

    @property
    def constants(self) -> tuple[float, ...]:
        """What the update needs beside rate, gradient and slots."""
        return ()

    def slots_of(self, variable: Variable) -> list[Variable]:
        """Return the slots of a variable, which are zeros until the first update."""
        if variable not in self._slots:
            self._slots[variable] = [
                Variable(variable.shape, variable.dtype, f"{variable.name}/{slot}", trainable=False)
                for slot in self.slots
            ]
        return self._slots[variable]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        rate = self._learning_rate
        return {
            "learning_rate": schedules.serialize(rate) if isinstance(rate, LearningRateSchedule) else rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "name": self.name,
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


class SGD(Optimizer):
    """Stochastic gradient descent: ``w -= lr * g``.

    With momentum (Polyak 1964) ``v = momentum * v - lr * g; w += v``; with Nesterov's correction
    (Sutskever et al. 2013) ``w += momentum * v - lr * g``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    momentum : float
        From 0 to 1.
    nesterov : bool
    **kwargs
        As in `Optimizer`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.SGD(0.1, momentum=0.9)
    <SGD: learning_rate=0.1, iterations=0>
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.momentum = _number("momentum", momentum, 0.0, 1.0)
        self.nesterov = bool(nesterov)
        self.slots = ("momentum",) if self.momentum else ()

    @property
    def function(self) -> str:
        """The plan's word for the update."""
        return "sgd" if not self.momentum else "nesterov" if self.nesterov else "momentum"

    @property
    def constants(self) -> tuple[float, ...]:
        """The momentum."""
        return (self.momentum,)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


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

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho = _number("rho", rho, 0.0, 1.0)
        self.momentum = _number("momentum", momentum, 0.0, 1.0)
        self.epsilon = _number("epsilon", epsilon, 0.0, float("inf"))
        self.centered = bool(centered)
        if self.centered:
            self.slots = ("velocity", "momentum", "average_gradient")
        else:
            self.slots = ("velocity", "momentum") if self.momentum else ("velocity",)

    @property
    def function(self) -> str:
        """The plan's word for the update."""
        return "centered_rmsprop" if self.centered else "rmsprop_momentum" if self.momentum else "rmsprop"

    @property
    def constants(self) -> tuple[float, ...]:
        """rho, momentum, epsilon."""
        return (self.rho, self.momentum, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


class Adam(Optimizer):
    """``m += (1 - β₁)(g - m); v += (1 - β₂)(g² - v); w -= lr √(1 - β₂ᵗ)/(1 - β₁ᵗ) m / (√v + ε)``.

    Kingma & Ba 2015, in the efficient form of their section 2, as in Keras.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        From 0 to below 1.
    epsilon : float
    amsgrad : bool
        Use the largest v so far (Reddi et al. 2018).
    **kwargs
        As in `Optimizer`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.Adam().learning_rate
    0.001
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.beta_1 = _number("beta_1", beta_1, 0.0, 1.0, open_above=True)
        self.beta_2 = _number("beta_2", beta_2, 0.0, 1.0, open_above=True)
        self.epsilon = _number("epsilon", epsilon, 0.0, float("inf"))
        self.amsgrad = bool(amsgrad)
        self.slots = ("momentum", "velocity", "velocity_hat") if amsgrad else ("momentum", "velocity")

    @property
    def function(self) -> str:
        """The plan's word for the update."""
        return "amsgrad" if self.amsgrad else "adam"

    @property
    def constants(self) -> tuple[float, ...]:
        """beta_1, beta_2, epsilon."""
        return (self.beta_1, self.beta_2, self.epsilon)

    def corrections(self, first: int, count: int) -> npt.NDArray[np.float64] | float:
        """Return √(1 - β₂ᵗ)/(1 - β₁ᵗ), t counted from 1."""
        t = np.arange(first + 1, first + count + 1, dtype=np.float64)
        return np.asarray(np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """`Adam` with decoupled weight decay ``w -= lr * weight_decay * w`` (Loshchilov & Hutter 2019).

    Biases do not decay; there Keras differs.
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue,
            global_clipnorm, name,
        )  # fmt: skip


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return the optimiser that a name (in any case) or an instance stands for."""
    if isinstance(identifier, Optimizer):
        return identifier
    name = identifier.lower() if isinstance(identifier, str) else identifier
    return choose("optimizer", name, OPTIMIZERS)()  # type: ignore[call-arg]  # all but the base have defaults

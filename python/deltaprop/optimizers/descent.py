"""Steps along the gradient, with or without a momentum, and steps that go by its sign: SGD, Lion, Rprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..schedules import LearningRateSchedule
from .base import Optimizer

__all__ = ["SGD", "Lion", "Rprop"]


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

    options = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.momentum = checks.number("momentum", momentum, least=0, most=1)
        self.nesterov = bool(nesterov)
        self.slots = ("momentum",) if self.momentum else ()
        self.function = "sgd" if not self.momentum else "nesterov" if self.nesterov else "momentum"

    @property
    def constants(self) -> tuple[float, ...]:
        """The momentum."""
        return (self.momentum,)


class Lion(Optimizer):
    """``w -= lr sign(β₁ m + (1 - β₁) g); m += (1 - β₂)(g - m)`` (Chen et al. 2023).

    Steps are all of one size, so the learning rate should be 3 to 10 times smaller than Adam's.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        From 0 to 1.
    **kwargs
        As in `Optimizer`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.Lion(1e-4).beta_2
    0.99
    """

    function = "lion"
    slots = ("momentum",)
    hyperparameters = ("beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = checks.number("beta_1", beta_1, least=0, most=1)
        self.beta_2 = checks.number("beta_2", beta_2, least=0, most=1)


class Rprop(Optimizer):
    """``w -= s sign(g)``; each weight's step s grows while g keeps its sign and shrinks when it changes.

    ``s = min(η₊ s, s_max)`` where g has the sign of the step before, ``s = max(η₋ s, s_min)`` where it
    has the other one, and then this step is left out (Riedmiller & Braun 1993; the formula is
    ``torch.optim.Rprop``'s). Signs of a part of the data are noise: train on full batches,
    ``fit(x, y, batch_size=len(x))``.

    Parameters
    ----------
    learning_rate : float
        The first step of each weight. Later changes of it have no effect but on weight decay.
    etas : (float, float)
        η₋, from 0 to below 1, and η₊, above 1.
    step_sizes : (float, float)
        s_min and s_max.
    **kwargs
        As in `Optimizer`.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> model = dp.Sequential([dp.Input((1,)), dp.layers.Dense(8, "tanh"), dp.layers.Dense(1)], seed=0)
    >>> model.compile(dp.optimizers.Rprop(), "mse")
    >>> history = model.fit(x, x**2, batch_size=50, epochs=200, verbose=0)
    >>> bool(history.history["loss"][-1] < 1e-3)
    True
    """

    function = "rprop"
    slots = ("sign", "step_size")
    options = ("etas", "step_sizes")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        etas: Sequence[float] = (0.5, 1.2),
        step_sizes: Sequence[float] = (1e-6, 50.0),
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        minus, plus = _pair("etas", etas)
        if not minus < 1 < plus:
            raise ValueError(f"etas must be one number below 1 and one above, received {etas!r}.")
        least, most = _pair("step_sizes", step_sizes)
        if not least <= most:
            raise ValueError(f"step_sizes must be the least and the largest step, received {step_sizes!r}.")
        self.etas = (minus, plus)
        self.step_sizes = (least, most)

    @property
    def constants(self) -> tuple[float, ...]:
        """The factors on steps, and their bounds."""
        return (*self.etas, *self.step_sizes)

    def initial_slot(self, slot: str) -> float:
        """Return the learning rate as the first step, within the bounds."""
        return float(np.clip(self.rates(0, 1)[0], *self.step_sizes)) if slot == "step_size" else 0.0

    def scalars(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return, by step, 1, because each weight has a step of its own, and the plain rate."""
        rates = self.rates(first, count)
        return np.column_stack([np.ones(count), rates])


def _pair(what: str, values: Any) -> tuple[float, float]:
    pair = checks.numbers(what, values, least=0)
    if len(pair) != 2:
        raise ValueError(f"{what} must be two numbers, received {values!r}.")
    return pair[0], pair[1]

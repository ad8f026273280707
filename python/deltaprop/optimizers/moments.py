"""Steps by running means of the gradient and of its size: Adam and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..schedules import LearningRateSchedule
from .base import Optimizer

__all__ = ["Adam", "AdamW", "Adamax", "Nadam"]

Array = npt.NDArray[np.float64]


class _Moments(Optimizer):
    """The arguments of Adam's family."""

    slots: tuple[str, ...] = ("momentum", "velocity")
    hyperparameters = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = checks.number("beta_1", beta_1, least=0, below=1)
        self.beta_2 = checks.number("beta_2", beta_2, least=0, below=1)
        self.epsilon = checks.number("epsilon", epsilon, least=0)


class Adam(_Moments):
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

    options = ("amsgrad",)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.amsgrad = bool(amsgrad)
        self.slots = ("momentum", "velocity", "velocity_hat") if amsgrad else ("momentum", "velocity")
        self.function = "amsgrad" if amsgrad else "adam"

    def corrections(self, t: Array) -> Array:
        """Return √(1 - β₂ᵗ)/(1 - β₁ᵗ)."""
        return np.asarray(np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t))


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
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)


class Adamax(_Moments):
    """``m += (1 - β₁)(g - m); u = max(β₂ u, |g|); w -= lr/(1 - β₁ᵗ) m / (u + ε)``.

    Adam with the largest gradient in place of the root mean square (Kingma & Ba 2015, section 7).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, **kwargs
        As in `Adam`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.Adamax(0.002)
    <Adamax: learning_rate=0.002, iterations=0>
    """

    function = "adamax"
    slots = ("momentum", "norm")

    def corrections(self, t: Array) -> Array:
        """Return 1/(1 - β₁ᵗ)."""
        return np.asarray(1 / (1 - self.beta_1**t))


class Nadam(_Moments):
    """m and v as in `Adam`; ``w -= lr m̂ / (√v̂ + ε)``, where m̂ looks one step ahead (Dozat 2016).

    ``m̂ = μₜ₊₁ m / (1 - Πμ to t+1) + (1 - μₜ) g / (1 - Πμ to t)`` and ``v̂ = v / (1 - β₂ᵗ)``, with the
    momentum schedule ``μₜ = β₁ (1 - 0.96ᵗ / 2)``.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, **kwargs
        As in `Adam`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.optimizers.Nadam().epsilon
    1e-07
    """

    function = "nadam"

    def _shares(self, t: Array) -> tuple[Array, Array]:
        """Return the factors of m and of g in m̂."""
        # In float64, 1 - 0.96**t / 2 is 1 from here on.
        warmed = np.cumprod(1 - 0.5 * 0.96 ** np.arange(1, 1025))

        def mu(t: Array) -> Array:
            return self.beta_1 * (1 - 0.5 * 0.96**t)

        def product(t: Array) -> Array:
            return np.asarray(self.beta_1**t * warmed[np.minimum(t, len(warmed)).astype(int) - 1])

        return mu(t + 1) / (1 - product(t + 1)), (1 - mu(t)) / (1 - product(t))

    def corrections(self, t: Array) -> Array:
        """Return √(1 - β₂ᵗ), which v̂ stands for, times the sum of the factors in m̂."""
        return np.asarray(np.sqrt(1 - self.beta_2**t) * sum(self._shares(t)))

    def step_numbers(self, t: Array) -> tuple[Array, ...]:
        """Return the share of g in m̂, and √(1 - β₂ᵗ), which scales ε because it is not in v."""
        of_m, of_g = self._shares(t)
        return of_g / (of_m + of_g), np.sqrt(1 - self.beta_2**t)

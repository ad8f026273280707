"""Losses that are the negative logarithm of a probability: cross-entropies, divergences, distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import checks
from .base import Array, Loss, check_range

if TYPE_CHECKING:
    from ..layers import Shape

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "GaussianNLL",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
]


class BinaryCrossentropy(Loss):
    """``-(1/K) sum_k [y_k ln ŷ_k + (1 - y_k) ln(1 - ŷ_k)]`` over the K outputs of a row, as in Keras.

    On sigmoid outputs, or with ``from_logits=True`` on linear ones, it is computed from the activation
    a, finite for every finite a, and ``δ = (ŷ - y) / K``. The notes' sum over outputs is K times this:
    multiply their learning rate by K. On any other output ŷ is clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    from_logits : bool
        Whether the outputs are to go through a sigmoid first.
    label_smoothing : float
        s from 0 to 1: targets become ``(1 - s) y + s / 2``.
    """

    __slots__ = ("from_logits", "label_smoothing")
    function = "binary_crossentropy"
    aliases: tuple[str, ...] = ("bce", "BCE")
    arguments: tuple[str, ...] = ("from_logits", "label_smoothing")
    link = "sigmoid"

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.from_logits = bool(from_logits)
        self.label_smoothing = checks.number("label_smoothing", label_smoothing, least=0, most=1)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the smoothing."""
        return (self.label_smoothing,)

    def check_targets(self, y: Array, what: str) -> None:
        """Raise where a target is no probability."""
        check_range(y, what, self, 0, 1, "probabilities from 0 to 1")


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """``-(1/K) sum_k w m_k**gamma [y_k ln ŷ_k + (1 - y_k) ln(1 - ŷ_k)]``, m the other answer's probability.

    With ``m = y (1 - ŷ) + (1 - y) ŷ``, easy rows count little, and hard ones as much as before (Lin et
    al. 2017, *Focal loss for dense object detection*). On sigmoid outputs, or from logits, it is finite
    for every finite activation.

    Parameters
    ----------
    apply_class_balancing : bool
        Whether w is ``alpha`` for yes and ``1 - alpha`` for no, instead of 1.
    alpha : float
        From 0 to 1.
    gamma : float
        At least 0; 0 gives `BinaryCrossentropy`.
    from_logits, label_smoothing
        As in `BinaryCrossentropy`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(3,)), dp.layers.Dense(1, activation="sigmoid")])
    >>> model.compile(optimizer="adam", loss=dp.losses.BinaryFocalCrossentropy(gamma=1.5))
    """

    __slots__ = ("alpha", "apply_class_balancing", "gamma")
    function = "binary_focal_crossentropy"
    aliases = ()
    arguments = ("apply_class_balancing", "alpha", "gamma", "from_logits", "label_smoothing")

    def __init__(
        self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0,
        from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(from_logits, label_smoothing, name)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha = checks.number("alpha", alpha, least=0, most=1)
        self.gamma = checks.number("gamma", gamma, least=0)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the smoothing, gamma, and the weights of yes and no."""
        weights = (self.alpha, 1 - self.alpha) if self.apply_class_balancing else (1.0, 1.0)
        return (self.label_smoothing, self.gamma, *weights)


class CategoricalCrossentropy(Loss):
    """``-sum_k y_k ln ŷ_k`` with one-hot (or soft) targets of shape (n_samples, n_classes).

    On softmax outputs, or with ``from_logits=True`` on linear ones, it is computed from the activation
    a, finite for every finite a, and ``δ = ŷ - y``. On any other output ŷ is divided by its sum and
    clipped to [1e-7, 1 - 1e-7], as in Keras.

    Parameters
    ----------
    from_logits : bool
        Whether the outputs are to go through a softmax first.
    label_smoothing : float
        s from 0 to 1: targets become ``(1 - s) y + s / n_classes``.
    """

    __slots__ = ("from_logits", "label_smoothing")
    function = "categorical_crossentropy"
    arguments: tuple[str, ...] = ("from_logits", "label_smoothing")
    link = "softmax"
    one_hot = True

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.from_logits = bool(from_logits)
        self.label_smoothing = checks.number("label_smoothing", label_smoothing, least=0, most=1)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the smoothing."""
        return (self.label_smoothing,)

    def check_targets(self, y: Array, what: str) -> None:
        """Raise where a target is negative."""
        check_range(y, what, self, 0, math.inf, "probabilities from 0 to 1")


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """``-sum_k alpha_k (1 - ŷ_k)**gamma y_k ln ŷ_k`` with one-hot targets: easy rows count little.

    On softmax outputs, or from logits, it is finite for every finite activation; otherwise ŷ is divided
    by its sum and clipped as in `CategoricalCrossentropy` (Lin et al. 2017).

    Parameters
    ----------
    alpha : float or sequence of float
        At least 0, one for all classes or one for each.
    gamma : float
        At least 0.
    from_logits, label_smoothing
        As in `CategoricalCrossentropy`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(4,)), dp.layers.Dense(3, activation="softmax")])
    >>> model.compile(optimizer="adam", loss=dp.losses.CategoricalFocalCrossentropy(alpha=(1, 2, 1)))
    """

    __slots__ = ("alpha", "gamma")
    function = "categorical_focal_crossentropy"
    arguments = ("alpha", "gamma", "from_logits", "label_smoothing")

    def __init__(
        self, alpha: float | Sequence[float] = 0.25, gamma: float = 2.0, from_logits: bool = False,
        label_smoothing: float = 0.0, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(from_logits, label_smoothing, name)
        self.alpha = checks.number_or_list("alpha", alpha, least=0)
        self.gamma = checks.number("gamma", gamma, least=0)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the smoothing, gamma, and alpha for each class."""
        alpha = self.alpha if isinstance(self.alpha, list) else [self.alpha] * n_outputs
        if len(alpha) != n_outputs:
            raise ValueError(
                f"alpha of loss {self.name!r} has {len(alpha)} numbers, and the model has {n_outputs} outputs; "
                f"one number, or one per output would do."
            )
        return (self.label_smoothing, self.gamma, *alpha)


class SparseCategoricalCrossentropy(Loss):
    """``-ln ŷ_y`` with class ids y of shape (n_samples,); otherwise as `CategoricalCrossentropy`."""

    __slots__ = ("from_logits",)
    function = "sparse_categorical_crossentropy"
    arguments = ("from_logits",)
    link = "softmax"
    sparse = True

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = bool(from_logits)


class KLDivergence(Loss):
    """``sum_k y_k ln(y_k / ŷ_k)``, y and ŷ clipped to [1e-7, 1]: how far ŷ is from the distribution y."""

    __slots__ = ()
    function = "kl_divergence"
    aliases = ("kld", "KLD")

    def check_targets(self, y: Array, what: str) -> None:
        """Raise where a target is no probability."""
        check_range(y, what, self, 0, 1, "probabilities from 0 to 1")


class Poisson(Loss):
    """``(1/K) sum_k [ŷ_k - y_k ln(ŷ_k + 1e-7)]`` for counts y: ŷ is the rate of a Poisson distribution.

    A rate is positive: give the output layer an exponential or softplus activation. A negative output
    counts as 0 and has no gradient (Keras gives NaN).
    """

    __slots__ = ()
    function = "poisson"

    def check_targets(self, y: Array, what: str) -> None:
        """Raise where a count is negative."""
        check_range(y, what, self, 0, math.inf, "counts, which are not negative,")


class GaussianNLL(Loss):
    """``(1/K) sum_k (1/2) [ln v_k + (y_k - m_k)**2 / v_k]``: mean m and variance v of a normal distribution.

    For targets of K columns the model needs 2 K outputs, the means and then the variances:
    ``mean, variance = np.split(model.predict(x), 2, axis=1)`` (Nix and Weigend 1994, *Estimating the
    mean and variance of the target probability distribution*).

    A variance is positive, so its outputs want a softplus or an exponential, and the means none: two
    `Dense` layers on the same hidden layer, ``Dense(K)`` and ``Dense(K, activation="softplus")``, whose
    outputs are concatenated. In a `Sequential`, whose last layer has one activation for all outputs,
    softplus fits targets that are positive. As in torch, variances are kept at least `eps` and have the
    gradient of that place, so that they can come back.

    Parameters
    ----------
    full : bool
        Whether to add the constant ``(1/2) ln 2π``.
    eps : float
        The smallest variance, above 0.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.linspace(0, 1, 300)
    >>> y = 2 + x + np.random.default_rng(0).normal(0, 0.5, 300)
    >>> model = dp.Sequential([dp.Input(shape=(1,)), dp.layers.Dense(2)], dtype="float64", seed=0)
    >>> model.set_weights([np.zeros((1, 2)), np.ones(2)])
    >>> model.compile(optimizer=dp.optimizers.Adam(0.02), loss=dp.losses.GaussianNLL())
    >>> history = model.fit(x, y, epochs=150, verbose=0)
    >>> mean, variance = np.split(model.predict(x, verbose=0), 2, axis=1)
    >>> bool(abs(variance.mean() - 0.25) < 0.05)
    True
    """

    __slots__ = ("eps", "full")
    function = "gaussian_nll"
    arguments = ("full", "eps")

    def __init__(self, full: bool = False, eps: float = 1e-6, name: str | None = None) -> None:
        super().__init__(name)
        self.full = bool(full)
        self.eps = checks.number("eps", eps, above=0)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the smallest variance, and what is added to each value."""
        return (self.eps, 0.5 * math.log(2 * math.pi) if self.full else 0.0)

    def target_shape(self, output_shape: Shape) -> Shape:
        """Return (n_outputs / 2,)."""
        n = math.prod(output_shape)
        if n % 2:
            raise ValueError(
                f"loss {self.name!r} needs two outputs per target, its mean and its variance, and the model has "
                f"{n} outputs; {n + 1} would do."
            )
        return (n // 2,)

"""Layers that are random during training and the identity in `predict` and `evaluate`."""

from __future__ import annotations

from typing import Any

from .. import checks
from .base import Layer

__all__ = ["AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"]


class _Dropping(Layer):
    """What the kinds of dropout share: a rate, and a seed that chooses the stream of random bits."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checks.number("rate", rate, least=0, below=1)
        self.seed = None if seed is None else checks.seed(seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class Dropout(_Dropping):
    """Sets each unit to zero with probability `rate` during training and scales the others by 1/(1 - rate).

    In `predict` and `evaluate` it is the identity. Srivastava et al. 2014.

    Parameters
    ----------
    rate : float
        From 0 to below 1.
    seed : int, optional
        Chooses the stream of masks, which else follows from the layer's place; the model's seed counts, too.
    **kwargs
        As in `Layer`.
    """

    base_name = "dropout"


class AlphaDropout(_Dropping):
    """``y = a x + b``, or ``a alpha' + b`` where a unit is dropped: dropout that keeps mean and variance after selu.

    With ``alpha' = -1.758099...``, the limit of selu, ``a = ((1 - rate) (1 + rate alpha'^2))^(-1/2)`` and
    ``b = -a alpha' rate``. In `predict` and `evaluate` it is the identity. Klambauer et al. 2017.

    Parameters
    ----------
    rate : float
        Probability that a unit is dropped, from 0 to below 1.
    seed : int, optional
        As in `Dropout`.
    **kwargs
        As in `Layer`.
    """

    base_name = "alpha_dropout"


class GaussianDropout(_Dropping):
    """``y = x n`` with n from a normal distribution of mean 1 and variance ``rate / (1 - rate)``, during training.

    In `predict` and `evaluate` it is the identity. Srivastava et al. 2014.

    Parameters
    ----------
    rate : float
        From 0 to below 1; mean and variance are those of `Dropout`.
    seed : int, optional
        As in `Dropout`.
    **kwargs
        As in `Layer`.
    """

    base_name = "gaussian_dropout"


class GaussianNoise(Layer):
    """``y = x + stddev n`` with n from the standard normal distribution, during training.

    On the inputs about the same as a Tikhonov term (Bishop 1995). In `predict` and `evaluate` it is the identity.

    Parameters
    ----------
    stddev : float
        At least 0.
    seed : int, optional
        As in `Dropout`.
    **kwargs
        As in `Layer`.
    """

    base_name = "gaussian_noise"

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = checks.number("stddev", stddev, least=0)
        self.seed = None if seed is None else checks.seed(seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}

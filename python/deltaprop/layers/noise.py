"""Layers that are random during training and the identity in `predict` and `evaluate`."""

from __future__ import annotations

from typing import Any

from .base import Layer

__all__ = ["Dropout"]


class Dropout(Layer):
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

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f"rate must be a number from 0 to below 1, received {rate!r}.")
        self.rate = float(rate)
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}

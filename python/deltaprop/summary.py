"""The table that `Sequential.summary` prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["render_summary"]


def render_summary(model: Sequential, width: int, show: Callable[[str], object]) -> None:
    """Show each layer's name, type, output shape and number of parameters, and the totals, a line at a time."""
    first, second = int(width * 0.45), int(width * 0.78)

    def row(name: str, shape: str, count: str) -> str:
        return f"{name[: first - 1]:<{first}}{shape[: second - first - 1]:<{second - first}}{count}"

    show(f'Model: "{model.name}"')
    show("─" * width)
    show(row("Layer (type)", "Output Shape", "Param #"))
    show("═" * width)
    for layer in model.layers:
        assert layer.output_shape is not None
        shape = str((None, *layer.output_shape))
        show(row(f"{layer.name} ({type(layer).__name__})", shape, f"{layer.count_params():,}"))
    show("─" * width)
    total = model.count_params()
    trainable = sum(v.size for v in model.trainable_variables)
    size = np.dtype(model.dtype).itemsize
    for what, count in (("Total", total), ("Trainable", trainable), ("Non-trainable", total - trainable)):
        show(f"{what} params: {count:,} ({_bytes(count * size)})")


def _bytes(n: float) -> str:
    for unit in ("B", "KB", "MB"):
        if n < 1024:
            return f"{n:.2f} {unit}"
        n /= 1024
    return f"{n:.2f} GB"

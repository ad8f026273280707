"""The table that `Model.summary` prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from . import checks

if TYPE_CHECKING:
    from .layers import Layer
    from .model import Model

__all__ = ["render_summary"]


def render_summary(model: Model, line_length: int | None, show: Callable[[str], object]) -> None:
    """Show each layer's name, type, output shape and number of parameters, and the totals, a line at a time."""
    graph = model.require_graph()
    sources: dict[Layer, list[str]] = {layer: [] for layer in model.layers}
    for tensor in graph.tensors:
        if tensor.layer in sources:
            sources[tensor.layer] += [str(t.layer.name) for t in tensor.inputs]
    in_a_row = all(len(tensor.inputs) < 2 for tensor in graph.tensors) and len(graph.outputs) == 1
    width = 65 if in_a_row else 98
    if line_length is not None:
        width = checks.whole("line_length", line_length, least=20)
    table = width if in_a_row else int(width * 0.66)
    first, second = int(table * 0.45), int(table * 0.78)

    def row(name: str, shape: str, count: str, connected: str) -> str:
        line = f"{name[: first - 1]:<{first}}{shape[: second - first - 1]:<{second - first}}{count}"
        return line if in_a_row else f"{line:<{table}}{connected[: width - table]}".rstrip()

    show(f'Model: "{model.name}"')
    show("─" * width)
    show(row("Layer (type)", "Output Shape", "Param #", "Connected to"))
    show("═" * width)
    for layer in model.layers:
        assert layer.output_shape is not None
        shape = str((None, *layer.output_shape))
        show(
            row(f"{layer.name} ({type(layer).__name__})", shape, f"{layer.count_params():,}", ", ".join(sources[layer]))
        )
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

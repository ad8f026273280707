"""Embedding: a vector for each category."""

from __future__ import annotations

from typing import Any

from .. import checks, constraints, initializers, regularizers
from ..constraints import Constraint
from ..graph import Graph
from ..initializers import Initializer
from ..regularizers import L1L2
from ..variable import Variable
from .base import Layer, Shape
from .core import Flatten

__all__ = ["Embedding", "embedded_inputs"]


class Embedding(Layer):
    """``y_k = E[x_k]``: a learned vector for each integer from 0 to ``input_dim - 1``.

    For categorical columns; `Flatten` lays the vectors of a row in one line, and `Concatenate` puts numeric
    inputs beside them. Rows of E whose ids do not occur in a batch have no gradient. Plain `SGD` without
    weight decay touches the others only; any other optimiser updates all rows, as Keras does, since its moments,
    and weight decay, go on where there is no gradient.

    Ids travel as the model's float type: in float32 `input_dim` is at most 2**24. `fit`, `evaluate` and
    `predict` raise a ValueError for what is no id; ``model(x)`` does not look, and gives a row of NaN.

    Parameters
    ----------
    input_dim : int
        Number of categories.
    output_dim : int
        Length of a category's vector.
    embeddings_initializer : str or Initializer
    embeddings_regularizer : str or L1L2, optional
        On all of E, so that all rows have a gradient.
    embeddings_constraint : str or Constraint, optional
    mask_zero : bool
        Keras's, for sequences; only False.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    embeddings : Variable of shape (input_dim, output_dim)
        E.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> size, weekday = dp.Input((2,), name="size"), dp.Input((1,), name="weekday")
    >>> days = dp.layers.Flatten()(dp.layers.Embedding(7, 3)(weekday))
    >>> y = dp.layers.Dense(1)(dp.layers.Concatenate()([size, days]))
    >>> model = dp.Model([size, weekday], y)
    >>> model.predict({"size": np.ones((4, 2)), "weekday": [0, 6, 6, 2]}, verbose=0).shape
    (4, 1)
    """

    base_name = "embedding"
    decaying = ("embeddings",)

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | Initializer | dict[str, Any] = "uniform",
        embeddings_regularizer: str | L1L2 | dict[str, Any] | None = None,
        embeddings_constraint: str | Constraint | dict[str, Any] | None = None,
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mask_zero:
            raise ValueError("mask_zero=True is for sequences, which this library has not; pass False.")
        self.input_dim = checks.whole("input_dim", input_dim, least=1)
        self.output_dim = checks.whole("output_dim", output_dim, least=1)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.embeddings: Variable | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with output_dim behind."""
        return (*input_shape, self.output_dim)

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of the table."""
        return {"embeddings": (self.input_dim, self.output_dim)}

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Create the table."""
        if dtype == "float32" and self.input_dim > 2**24:
            raise ValueError(
                f"layer {self.name!r} has input_dim={self.input_dim}, and float32 tells integers apart up to 2**24 "
                f"only; use a model of dtype float64."
            )
        super().create_variables(input_shape, dtype, seed, stream)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            **self._config_of("embeddings"),
        }


def embedded_inputs(graph: Graph) -> list[tuple[int, Embedding]]:
    """Return the numbers of the inputs that are ids, each with the layer that takes them."""
    sources = {tensor: i for i, tensor in enumerate(graph.inputs)}
    found = []
    for tensor in graph.tensors[len(graph.inputs) :]:
        source = sources.get(tensor.inputs[0])
        if source is not None and isinstance(tensor.layer, Flatten):
            sources[tensor] = source
        elif source is not None and isinstance(tensor.layer, Embedding):
            found.append((source, tensor.layer))
    return found

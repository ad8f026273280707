"""`Sequential`: a model whose layers stand in a row, and which may learn its input's shape from data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import checks
from .graph import Graph, Tensor
from .layers import InputLayer, Layer
from .model import Model, name_layers, trainables

__all__ = ["Sequential"]


class Sequential(Model):
    """A feed-forward network: layers in a row.

    Parameters
    ----------
    layers : list of Layer or Model, optional
        The first may be `Input`, or carry `input_shape=`; else the model is built when it first sees
        data. A model stands for its layers, with which it shares the weights.
    name : str, optional
    dtype : {"float32", "float64"}
        Of weights and arithmetic. Data may be of any real type.
    seed : int, optional
        Of initial weights, shuffling and dropout. By default drawn from `dp.utils.set_random_seed`.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([0, 1, 1, 0])
    >>> model = dp.Sequential([
    ...     dp.Input(shape=(2,)),
    ...     dp.layers.Dense(8, activation="tanh"),
    ...     dp.layers.Dense(1, activation="sigmoid"),
    ... ], seed=1)
    >>> model.compile(optimizer=dp.optimizers.Adam(0.1), loss="binary_crossentropy")
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> model.predict(x).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(
        self,
        layers: Sequence[Any] | None = None,
        name: str | None = None,
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        self._describe("sequential" if name is None else name, dtype, seed)
        self._entries: list[Layer] = []  # the layers, an Input among them
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `Input`."""
        return [layer for layer in self._entries if not isinstance(layer, InputLayer)]

    @property
    def output_names(self) -> list[str]:
        """The name of the last layer."""
        return [str(self._entries[-1].name)] if self._entries else ["output"]

    def add(self, layer: Any) -> None:
        """Append a layer, or the layers of a model."""
        if isinstance(layer, Tensor) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if isinstance(layer, Model):
            for part in _row(layer):
                if not (isinstance(part, InputLayer) and self._entries):
                    self.add(part)
            return
        if not isinstance(layer, Layer):
            raise ValueError(f"a Sequential is made of layers such as dp.layers.Dense(10), received {layer!r}.")
        if layer.merges:
            raise ValueError(f"{layer!r} takes several inputs; dp.Model(inputs, outputs) is made for that.")
        if isinstance(layer, InputLayer) and self._entries:
            raise ValueError("Input must be the first entry of a Sequential.")
        if layer.built and layer in self._entries:
            raise ValueError(f"layer {layer.name!r} is in the model already.")
        name_layers([*self._entries, layer])
        if self.graph is not None:
            self._extend(self.graph, [layer])
        elif not self._entries and layer.declared_shape is not None:
            self._start(layer.declared_shape, [layer])
        elif not self._entries and layer.input_shape is not None:
            self._start(layer.input_shape, [layer])
        self._entries.append(layer)
        self._forget_plan()

    def _start(self, shape: tuple[int, ...], layers: list[Layer]) -> None:
        """Begin the graph with rows of that shape."""
        source = layers[0] if isinstance(layers[0], InputLayer) else InputLayer(shape)
        assert isinstance(source, InputLayer)
        tensor = source.tensor()
        rest = layers[1:] if source is layers[0] else layers
        self._extend(Graph([tensor], [tensor]), rest)

    def _extend(self, graph: Graph, layers: list[Layer]) -> None:
        output = graph.outputs[0]
        for layer in layers:
            before, output = output, layer(output)
            number = len(trainables(graph))
            layer.build(before.row_shape, self.dtype, self.seed, 2 * number)
            graph = Graph(graph.inputs, [output])
        self.graph = graph

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self.layers:
            raise ValueError("there is no layer to remove.")
        self._forget_plan()
        layer = self._entries.pop()
        if self.graph is not None:
            self.graph = Graph(self.graph.inputs, self.graph.outputs[0].inputs) if self._entries else None
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Create the variables.

        Parameters
        ----------
        input_shape : tuple
            Of the input; the first entry may be None for the rows, as in Keras.
        """
        if self.built:
            return
        if not self.layers:
            raise ValueError("the model has no layers; add one first.")
        if input_shape is None:
            raise ValueError("the shape of the input is not known; pass input_shape, or start with dp.Input.")
        if isinstance(input_shape, (tuple, list)) and input_shape and input_shape[0] is None:
            input_shape = tuple(input_shape[1:])
        self._start(checks.shape("input_shape", input_shape), self._entries)

    def require_graph(self) -> Graph:
        """Return the graph of built layers, or raise a ValueError that says how the model gets one."""
        if self.graph is not None:
            return self.graph
        if not self._entries:
            raise ValueError("the model has no layers; add one first.")
        raise ValueError(
            "the model is not built: its input's shape is not known. Start with dp.Input(shape=...), call "
            "model.build(input_shape), or fit it first."
        )

    def get_config(self) -> dict[str, Any]:
        """Return the structure, ready for JSON."""
        shape = None if self.graph is None else list(self.graph.inputs[0].row_shape)
        return {
            "class": "Sequential",
            "name": self.name,
            "dtype": self.dtype,
            "seed": self.seed,
            "input_shape": shape,
            "layers": [{"class": type(layer).__name__, "config": layer.get_config()} for layer in self._entries],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """Return a model with the structure that `get_config` returned, and new weights."""
        from .layers import layers_from_config

        model = cls(name=config["name"], dtype=config["dtype"], seed=config["seed"])
        for layer in layers_from_config(config["layers"]):
            model.add(layer)
        if config["input_shape"] is not None:
            model.build(tuple(config["input_shape"]))
        return model

    def __repr__(self) -> str:
        return f"<Sequential {self.name}: {', '.join(repr(layer) for layer in self.layers)}>"


def _row(model: Model) -> list[Layer]:
    """Return the layers of a model, which must stand in a row."""
    if isinstance(model, Sequential):
        return model._entries
    graph = model.require_graph()
    if any(len(t.inputs) > 1 for t in graph.tensors) or len(graph.layers) < len(graph.tensors):
        raise ValueError(f"model {model.name!r} is no row of layers; call it on a tensor, model(x), instead.")
    return graph.layers

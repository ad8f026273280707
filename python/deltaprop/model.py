"""Models: graphs of layers, their weights, names and files; training and prediction are in trainer.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy.typing as npt

from . import checks
from .graph import Graph, Tensor
from .layers import InputLayer, Layer, assign_all
from .summary import render_summary
from .trainer import Trainer
from .utils import draw_seed, unique_name
from .variable import Variable

__all__ = ["Model"]

Array = npt.NDArray[Any]
Self = TypeVar("Self", bound="Model")


class Model(Trainer):
    """A feed-forward network: what lies between some inputs and some outputs.

    Parameters
    ----------
    inputs : Tensor or list of Tensor
        Usually from `dp.Input`. They may lie inside another model: the new one starts there.
    outputs : Tensor or list of Tensor
        What layers returned when they were called on the inputs, or on one another's outputs.
    name : str, optional
    dtype : {"float32", "float64"}, optional
        Of weights and arithmetic; by default that of layers which are built already, else float32.
    seed : int, optional
        Of initial weights, shuffling and dropout. By default drawn from `dp.utils.set_random_seed`.

    Raises
    ------
    ValueError
        If an output depends on an input that is not given, or layers of two dtypes meet.

    Notes
    -----
    Layers of several models share their variables: what one trains, the others use. While one of them
    trains in a thread, the others must not be used in another.

    Examples
    --------
    A network with a regression and a binary output, and a second model that ends in its hidden layer.

    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = dp.Input(shape=(2,))
    >>> h = dp.layers.Dense(3, activation="tanh", name="hidden")(x)
    >>> price = dp.layers.Dense(1, name="price")(h)
    >>> sold = dp.layers.Dense(1, activation="sigmoid", name="sold")(h)
    >>> model = dp.Model(x, [price, sold])
    >>> model.compile("adam", loss={"price": "mse", "sold": "binary_crossentropy"})
    >>> data = np.eye(2)
    >>> sorted(model.fit(data, [[1.0, 2.0], [0, 1]], verbose=0).history)
    ['loss', 'price_loss', 'sold_loss']
    >>> dp.Model(model.input, model.get_layer("hidden").output).predict(data, verbose=0).shape
    (2, 3)
    """

    graph: Graph | None = None

    def __init__(
        self,
        inputs: Tensor | Sequence[Tensor],
        outputs: Tensor | Sequence[Tensor],
        name: str | None = None,
        dtype: str | None = None,
        seed: int | None = None,
    ) -> None:
        graph = _entered(Graph(_tensors(inputs, "inputs"), _tensors(outputs, "outputs")))
        self._describe("model" if name is None else name, dtype or _dtype_of(graph), seed)
        name_layers(graph.layers)
        for i, layer in enumerate(trainables(graph)):
            layer.build(graph.input_shape(layer), self.dtype, self.seed, 2 * i)
        self.graph = graph

    def _describe(self, name: str, dtype: str, seed: int | None) -> None:
        super().__init__()
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', received {dtype!r}.")
        self.name = checks.name("a model", name)
        self.dtype = dtype
        self.seed = draw_seed() if seed is None else checks.seed(seed)

    # ---- structure

    @property
    def layers(self) -> list[Layer]:
        """The layers, each once, inputs among them."""
        return self.require_graph().layers

    @property
    def built(self) -> bool:
        """Whether the input's shape is known, and so all variables exist."""
        return self.graph is not None

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that the model starts from."""
        return self.require_graph().inputs

    @property
    def outputs(self) -> list[Tensor]:
        """The tensors that the model ends in."""
        return self.require_graph().outputs

    @property
    def input(self) -> Any:
        """The tensor that the model starts from, or a list of several."""
        return _one_or_all(self.inputs)

    @property
    def output(self) -> Any:
        """The tensor that the model ends in, or a list of several."""
        return _one_or_all(self.outputs)

    @property
    def input_shape(self) -> Any:
        """Shape of the input, with None for the rows; a list of several."""
        return _one_or_all([t.shape for t in self.inputs])

    @property
    def output_shape(self) -> Any:
        """Shape of the output, with None for the rows; a list of several."""
        return _one_or_all([t.shape for t in self.outputs])

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return [str(t.layer.name) for t in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order: those of the layers that put them out."""
        names: list[str] = []
        for tensor in self.outputs:
            names.append(unique_name(str(tensor.layer.name), names))
        return names

    @property
    def variables(self) -> list[Variable]:
        """The variables of all layers, in `get_weights` order; at the end what some borrow from layers outside."""
        layers = self.layers
        own = [v for layer in layers for v in layer.variables]
        return list(dict.fromkeys([*own, *(v for layer in layers for v in layer.borrowed)]))

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that `fit` changes."""
        return [v for v in self.variables if v.trainable]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by position."""
        if (name is None) == (index is None):
            raise ValueError("give a name or an index.")
        if index is not None:
            index = checks.whole("index", index)
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"index {index} is out of range: there are {len(self.layers)} layers.")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(repr(layer.name) for layer in self.layers)
        raise ValueError(f"there is no layer {name!r}; the layers are {names}.")

    def count_params(self) -> int:
        """Return the number of all weights."""
        self.require_graph()
        return sum(v.size for v in self.variables)

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], object] | None = None) -> None:
        """Print each layer's name, type, output shape and number of parameters, and the totals.

        Parameters
        ----------
        line_length : int, optional
            Width of the table, by default 65 characters, or 98 where a column tells what is connected.
        print_fn : callable, optional
            Called with each line instead of `print`.
        """
        self.require_graph()
        render_summary(self, line_length, print_fn or print)

    def get_weights(self) -> list[Array]:
        """Return copies of all weight arrays: kernel and bias of each layer in turn."""
        self.require_graph()
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Assign all weight arrays, in `get_weights` order; nothing is changed if one does not fit."""
        self.require_graph()
        with self.gate:
            assign_all(self.variables, weights, f"model {self.name!r}")

    def build(self, input_shape: Any = None) -> None:
        """Create the variables; only a `Sequential` can lack them."""

    def require_graph(self) -> Graph:
        """Return the graph of built layers."""
        assert self.graph is not None
        return self.graph

    # ---- files

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write weights, configuration and training state to one safetensors file."""
        from .saving import save_model

        save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone to a safetensors file."""
        from .saving import save_weights

        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read weights that `save_weights` or `save` wrote into this model; all or none."""
        from .saving import load_weights

        load_weights(self, filepath)

    def __getstate__(self) -> bytes:
        from .saving import to_bytes

        return to_bytes(self)

    def __setstate__(self, state: bytes) -> None:
        from .saving import from_bytes

        vars(self).update(vars(from_bytes(state)))

    def get_config(self) -> dict[str, Any]:
        """Return the structure, ready for JSON."""
        config = {"class": "Model", "name": self.name, "dtype": self.dtype, "seed": self.seed}
        return {**config, **self.require_graph().get_config()}

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """Return a model with the structure that `get_config` returned, and new weights."""
        graph = Graph.from_config(config)
        model = cls.__new__(cls)  # the constructor of a subclass may take other arguments
        Model.__init__(model, graph.inputs, graph.outputs, config["name"], config["dtype"], config["seed"])
        return model

    def __repr__(self) -> str:
        return f"<Model {self.name}: {', '.join(repr(layer) for layer in self.layers)}>"


def name_layers(layers: Sequence[Layer]) -> None:
    """Give each layer without a name dense, dense_1, ..., and another one where models chose the same.

    Raises
    ------
    ValueError
        If a name that the user gave stands twice.
    """
    given = [layer.name for layer in layers if layer.name is not None and not layer.name_is_chosen]
    there = [*given, *(layer.name for layer in layers if layer.name_is_chosen)]
    for name in given:
        if there.count(name) > 1:
            raise ValueError(f"layer names must differ, and there is a layer {name!r} already.")
    taken = set(given)
    for layer in layers:
        if layer.name is None or (layer.name_is_chosen and layer.name in taken):
            layer.name, layer.name_is_chosen = unique_name(layer.base_name, {*taken, *there}), True
        taken.add(layer.name)


def trainables(graph: Graph) -> list[Layer]:
    """Return the layers of a graph but for its inputs."""
    return [layer for layer in graph.layers if not isinstance(layer, InputLayer)]


def _tensors(given: Tensor | Sequence[Tensor], what: str) -> list[Tensor]:
    tensors: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"a model's {what} are dp.Input(...) and what layers return when called on it; received {tensor!r}."
            )
    if not tensors:
        raise ValueError(f"a model needs at least one of its {what}.")
    if what == "inputs" and len(set(tensors)) < len(tensors):
        raise ValueError("a model's inputs must differ.")
    return tensors


def _entered(graph: Graph) -> Graph:
    """Return the graph with an `Input` wherever it starts inside of another model."""
    if all(isinstance(t.layer, InputLayer) for t in graph.inputs):
        return graph
    entries = {t: t if isinstance(t.layer, InputLayer) else InputLayer(t.row_shape).tensor() for t in graph.inputs}
    return Graph(list(entries.values()), graph.replay(entries))


def _dtype_of(graph: Graph) -> str:
    """Return the dtype of the layers that are built already."""
    dtypes = {v.dtype for layer in graph.layers for v in (*layer.variables, *layer.borrowed)}
    if len(dtypes) > 1:
        raise ValueError("the model's layers were built with different dtypes: float32 and float64.")
    return dtypes.pop() if dtypes else "float32"


def _one_or_all(entries: list[Any]) -> Any:
    return entries[0] if len(entries) == 1 else entries

"""Graphs of layers: symbolic tensors, which layers return when they are called on one another's outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layers import Layer

__all__ = ["Graph", "Tensor"]


class Tensor:
    """What a layer will put out, of a known shape, with no numbers in it yet.

    `dp.Input` returns the first ones; calling a layer on tensors returns the next.

    Attributes
    ----------
    layer : Layer
        That puts it out.
    inputs : tuple of Tensor
        What the layer was called on; none for an `Input`.
    row_shape : tuple of int
        Of one row.
    """

    __slots__ = ("inputs", "layer", "row_shape")

    def __init__(self, layer: Layer, inputs: tuple[Tensor, ...], row_shape: tuple[int, ...]) -> None:
        self.layer = layer
        self.inputs = inputs
        self.row_shape = row_shape

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Its shape, with None for the rows."""
        return (None, *self.row_shape)

    def __repr__(self) -> str:
        return f"<Tensor of shape {self.shape} from {self.layer!r}>"


class Graph:
    """What lies between some tensors and others, in an order that can be computed.

    Parameters
    ----------
    inputs, outputs : sequence of Tensor
        The inputs may lie inside of another graph: what is before them does not belong to this one.

    Attributes
    ----------
    tensors : list of Tensor
        Each after those that it is computed from; the inputs first.

    Raises
    ------
    ValueError
        If an output depends on an `Input` that is not among the inputs.
    """

    __slots__ = ("inputs", "outputs", "tensors")

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.tensors = list(dict.fromkeys(self.inputs))
        done = set(self.tensors)
        waiting = list(reversed(self.outputs))
        while waiting:  # depth first, without recursion: networks may be deep
            tensor = waiting[-1]
            missing = [t for t in tensor.inputs if t not in done]
            if tensor in done:
                waiting.pop()
            elif missing:
                waiting.extend(reversed(missing))
            elif not tensor.inputs:
                raise ValueError(
                    f"an output depends on the input {tensor.layer.name or tensor!r}, which is not among the "
                    f"model's inputs; add it to them."
                )
            else:
                self.tensors.append(waiting.pop())
                done.add(tensor)

    @classmethod
    def chain(cls, source: Tensor, layers: Iterable[Layer]) -> Graph:
        """Return the graph of layers in a row."""
        output = source
        for layer in layers:
            output = layer(output)
        return cls([source], [output])

    @property
    def layers(self) -> list[Layer]:
        """The layers, each once, in the order of the tensors."""
        return list(dict.fromkeys(t.layer for t in self.tensors))

    def input_shape(self, layer: Layer) -> Any:
        """Return the shape of the rows that a layer is first called on in this graph; of all where it merges."""
        tensor = next(t for t in self.tensors if t.layer is layer)
        shapes = tuple(t.row_shape for t in tensor.inputs)
        return shapes if layer.merges else shapes[0]

    def replay(self, inputs: Mapping[Tensor, Tensor]) -> list[Tensor]:
        """Call the same layers on other inputs and return what becomes of the outputs."""
        now = dict(inputs)
        for tensor in self.tensors:
            if tensor not in now:
                sources = [now[t] for t in tensor.inputs]
                now[tensor] = tensor.layer(sources if tensor.layer.merges else sources[0])
        return [now[t] for t in self.outputs]

    def get_config(self) -> dict[str, Any]:
        """Return the structure, ready for JSON: layers, and which of them is called on which tensors."""
        layers = self.layers
        place = {tensor: i for i, tensor in enumerate(self.tensors)}
        return {
            "layers": [{"class": type(layer).__name__, "config": layer.get_config()} for layer in layers],
            "calls": [[layers.index(tensor.layer), [place[t] for t in tensor.inputs]] for tensor in self.tensors],
            "inputs": [place[t] for t in self.inputs],
            "outputs": [place[t] for t in self.outputs],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Graph:
        """Return a graph of new layers from what `get_config` returned."""
        from .layers import InputLayer, layers_from_config

        layers = layers_from_config(config["layers"])
        tensors: list[Tensor] = []
        for number, sources in config["calls"]:
            layer = layers[number]
            inputs = [tensors[i] for i in sources]
            if isinstance(layer, InputLayer):
                tensors.append(layer.tensor())
            else:
                tensors.append(layer(inputs if layer.merges else inputs[0]))
        return cls([tensors[i] for i in config["inputs"]], [tensors[i] for i in config["outputs"]])

"""What every layer is: a name, shapes, and the variables it gets at build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import checks, constraints, initializers, regularizers
from ..graph import Tensor
from ..regularizers import L1L2, SparseKL
from ..variable import Variable

__all__ = ["Input", "InputLayer", "Layer", "Shape", "assign_all", "units_axis"]

Shape = tuple[int, ...]


class Layer:
    """Base of all layers.

    Parameters
    ----------
    name : str, optional
        Unique in a model; the model chooses ``dense``, ``dense_1``, ... where it is not given.
    trainable : bool
        Whether `fit` may change the layer's variables. Setting it on a built layer works.
    learning_rate_multiplier : float
        A factor on the optimiser's learning rate for this layer, at least 0. Setting it on a built layer works.
    input_shape : tuple of int, optional
        Shape of one row, on a first layer; `input_dim` is the same for vectors.
    activity_regularizer : str, L1L2 or SparseKL, optional
        A penalty on the layer's outputs.
    """

    base_name = "layer"
    merges = False  # whether it is called on a list of tensors
    decaying: tuple[str, ...] = ()  # the variables that weight decay applies to
    untrained: tuple[str, ...] = ()  # those that no gradient changes

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        learning_rate_multiplier: float = 1.0,
        input_shape: Any = None,
        input_dim: int | None = None,
        activity_regularizer: str | L1L2 | SparseKL | dict[str, Any] | None = None,
    ) -> None:
        if input_shape is not None and input_dim is not None:
            raise ValueError("give input_shape or input_dim, not both.")
        self.name = None if name is None else checks.name("a layer", name)
        self.name_is_chosen = False  # by a model: then another model may choose again
        self.calls: list[Tensor] = []  # what it returned when it was called
        self.trainable = bool(trainable)
        self.learning_rate_multiplier = learning_rate_multiplier
        self.activity_regularizer = regularizers.get_activity(activity_regularizer)
        self.declared_shape: Shape | None = None
        if input_dim is not None:
            self.declared_shape = (checks.whole("input_dim", input_dim, least=1),)
        elif input_shape is not None:
            self.declared_shape = checks.shape("input_shape", input_shape)
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self.variables: list[Variable] = []

    @property
    def label(self) -> str:
        """What messages call it: its name, or what the name would begin with."""
        return self.name or self.base_name

    def __call__(self, inputs: Any) -> Tensor:
        """Return what the layer will put out for a tensor, or for a list of tensors where it merges.

        Parameters
        ----------
        inputs : Tensor or list of Tensor
            From `dp.Input`, or from other layers. A layer that is called twice is shared: the same
            variables work in both places.

        Raises
        ------
        ValueError
            If it is called on something else, or on rows of a shape that it cannot take.
        """
        tensors = tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
        if not all(isinstance(t, Tensor) for t in tensors):
            raise ValueError(
                f"a layer is called on dp.Input(...) or on what another layer returned, received "
                f"{type(inputs).__name__}. To compute with numbers, put it in a model."
            )
        if not self.merges and len(tensors) != 1:
            raise ValueError(
                f"layer {self.label!r} takes one tensor, received {len(tensors)}; merge them "
                f"with dp.layers.Concatenate, Add or Multiply."
            )
        shapes = tuple(t.row_shape for t in tensors)
        shape: Any = shapes if self.merges else shapes[0]
        self._check_sharing(shape)
        tensor = Tensor(self, tensors, self.compute_output_shape(shape))
        self.calls.append(tensor)
        return tensor

    def _check_sharing(self, shape: Any) -> None:
        """Raise if the variables that it has, or will have, do not fit rows of that shape."""
        first = self.input_shape
        if first is None and self.calls:
            first = self.calls[0].inputs[0].row_shape
        if self.merges or first is None or self.variable_shapes(shape) == self.variable_shapes(first):
            return
        raise ValueError(
            f"layer {self.name!r} was built for rows of shape {first} and cannot take rows of shape {shape}."
        )

    @property
    def input(self) -> Any:
        """The tensor that it was first called on, or the list of them."""
        inputs = list(self._first_call().inputs)
        return inputs if self.merges else inputs[0]

    @property
    def output(self) -> Tensor:
        """The tensor that its first call returned."""
        return self._first_call()

    def _first_call(self) -> Tensor:
        if not self.calls:
            raise ValueError(f"layer {self.name!r} is in no model yet, and so has neither input nor output.")
        return self.calls[0]

    @property
    def built(self) -> bool:
        """Whether the input shape is known and the variables exist."""
        return self.output_shape is not None

    @property
    def learning_rate_multiplier(self) -> float:
        """A factor on the optimiser's learning rate; it holds from the next call of `fit`."""
        return self._learning_rate_multiplier

    @learning_rate_multiplier.setter
    def learning_rate_multiplier(self, value: float) -> None:
        self._learning_rate_multiplier = checks.number("learning_rate_multiplier", value, least=0)

    @property
    def borrowed(self) -> list[Variable]:
        """The variables of other layers that it works with; most layers have their own only."""
        return []

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that `fit` may change."""
        return [v for v in self.variables if v.trainable]

    def build(self, input_shape: Any, dtype: str, seed: int, stream: int) -> None:
        """Fix the shapes and create the variables.

        Parameters
        ----------
        input_shape : tuple of int, or a tuple of such
            Of one row; of one row of each input where the layer merges.
        dtype : {"float32", "float64"}
        seed, stream : int
            The model's seed, and the number of the layer's first stream of random bits.
        """
        if self.built:
            self._check_sharing(input_shape)
            if any(v.dtype != dtype for v in self.variables):
                raise ValueError(
                    f"layer {self.name!r} was built as {self.variables[0].dtype} and cannot be part of a model "
                    f"of dtype {dtype}."
                )
            return
        output_shape = self.compute_output_shape(input_shape)
        self.create_variables(input_shape, dtype, seed, stream)
        for variable in self.variables:
            variable.owner = self
        self.input_shape = input_shape
        self.output_shape = output_shape

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of one row of the output."""
        shape: Shape = input_shape
        return shape

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of the variables that `create_variables` makes, by name, in order."""
        return {}

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Fill `variables`: each as its initializer, and its constraint if it may have one, say."""
        self.variables = []
        for i, (name, shape) in enumerate(self.variable_shapes(input_shape).items()):
            variable = Variable(
                shape, dtype, f"{self.name}/{name}", trainable=name not in self.untrained,
                decays=name in self.decaying, constraint=getattr(self, f"{name}_constraint", None),
            )  # fmt: skip
            initializer = getattr(self, f"{name}_initializer")
            variable.assign(initializer(shape, dtype, seed=seed, stream=stream + i % 2))  # a layer has two streams
            setattr(self, name, variable)
            self.variables.append(variable)

    def penalties(self) -> list[tuple[Variable, L1L2]]:
        """Return the regularised variables with their penalties."""
        pairs = [(v, getattr(self, f"{v.name.rpartition('/')[2]}_regularizer", None)) for v in self.variables]
        return [(v, regularizer) for v, regularizer in pairs if regularizer is not None]

    def count_params(self) -> int:
        """Return the number of elements of all variables."""
        return sum(v.size for v in self.variables)

    def get_weights(self) -> list[Any]:
        """Return copies of the variables' arrays."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: list[Any]) -> None:
        """Assign all variables; nothing is changed if one array does not fit."""
        assign_all(self.variables, weights, f"layer {self.name!r}")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = self.activity_regularizer.get_config()
        return config

    def _config_of(self, *names: str) -> dict[str, Any]:
        """Return the constructor's arguments for some variables: initializers, regularizers and constraints."""
        kinds: dict[str, Any] = {
            "initializer": initializers, "regularizer": regularizers, "constraint": constraints,
        }  # fmt: skip
        arguments = {f"{name}_{kind}": module for name in names for kind, module in kinds.items()}
        return {key: module.serialize(getattr(self, key)) for key, module in arguments.items() if hasattr(self, key)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Return a layer from what `get_config` returned."""
        return cls(**config)

    def find_layers(self, layers: Mapping[str, Layer]) -> None:
        """Replace the names of other layers, which `get_config` gives, by these; most layers name none."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def assign_all(variables: list[Variable], arrays: Any, what: str) -> None:
    """Assign arrays to variables, all or none."""
    arrays = list(arrays)
    if len(arrays) != len(variables):
        shapes = [v.shape for v in variables]
        raise ValueError(f"{what} takes {len(variables)} arrays of shapes {shapes}, received {len(arrays)}.")
    checked = [v.checked(a) for v, a in zip(variables, arrays)]
    for variable, array in zip(variables, checked):
        variable.assign(array)


def units_axis(axis: Any) -> int:
    """Return the axis of the units, -1 or 1, or raise a ValueError: rows are vectors."""
    if checks.whole("axis", axis) not in (-1, 1):
        raise ValueError(f"axis must be -1, the units of a row, received {axis!r}.")
    return int(axis)


class InputLayer(Layer):
    """Where rows of a given shape enter a model."""

    base_name = "input_layer"

    def __init__(self, shape: Any, name: str | None = None) -> None:
        super().__init__(name=name, input_shape=checks.shape("shape", shape))
        self.input_shape = self.output_shape = self.declared_shape

    def tensor(self) -> Tensor:
        """Return what it puts out: the same tensor each time."""
        if not self.calls:
            assert self.declared_shape is not None
            self.calls.append(Tensor(self, (), self.declared_shape))
        return self.calls[0]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        assert self.declared_shape is not None
        return {"shape": list(self.declared_shape), "name": self.name}


def Input(shape: Any, name: str | None = None) -> Tensor:  # noqa: N802  # Keras's spelling
    """Declare the shape of one row of an input: the first entry of a `Sequential`, or where a graph begins.

    Parameters
    ----------
    shape : tuple of int
        Without the batch axis, such as ``(784,)`` or ``(28, 28)``.
    name : str, optional
        By which `fit` and `predict` find its data in a dict.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import deltaprop as dp
    >>> x = dp.Input(shape=(4,))
    >>> y = dp.layers.Dense(3)(x)
    >>> dp.Model(x, y).output_shape
    (None, 3)
    """
    return InputLayer(shape, name).tensor()

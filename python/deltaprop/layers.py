"""Layers: what a network is made of, and the variables they get at build. No arithmetic lives here."""

from __future__ import annotations

import math
from typing import Any

from . import activations, initializers, regularizers
from .activations import Activation as ActivationFunction
from .initializers import Initializer
from .regularizers import L1L2
from .utils import choose
from .variable import Variable

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "get_layer_class"]

Shape = tuple[int, ...]


def checked_shape(shape: Any, what: str) -> Shape:
    """Return a shape of one row as a tuple of positive integers, or raise a ValueError."""
    given = (shape,) if isinstance(shape, int) else shape
    valid = isinstance(given, (tuple, list)) and all(
        isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in given
    )
    if not valid or not given:
        raise ValueError(
            f"{what} must be a tuple of positive integers without the batch axis, such as (784,); "
            f"received {shape!r}."
        )
    return tuple(given)


class Layer:
    """Base of all layers.

    Parameters
    ----------
    name : str, optional
        Unique in a model; the model chooses ``dense``, ``dense_1``, ... where it is not given.
    trainable : bool
        Whether `fit` may change the layer's variables. Setting it on a built layer works.
    input_shape : tuple of int, optional
        Shape of one row, on a first layer; `input_dim` is the same for vectors.
    """

    base_name = "layer"

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Any = None,
        input_dim: int | None = None,
    ) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"a layer's name must be a non-empty string, received {name!r}.")
        if input_shape is not None and input_dim is not None:
            raise ValueError("give input_shape or input_dim, not both.")
        self.name = name
        self.trainable = bool(trainable)
        self.declared_shape: Shape | None = None
        if input_dim is not None:
            self.declared_shape = checked_shape(input_dim, "input_dim")
        elif input_shape is not None:
            self.declared_shape = checked_shape(input_shape, "input_shape")
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self.variables: list[Variable] = []

    @property
    def built(self) -> bool:
        """Whether the input shape is known and the variables exist."""
        return self.output_shape is not None

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that `fit` may change."""
        return [v for v in self.variables if v.trainable]

    def build(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Fix the shapes and create the variables.

        Parameters
        ----------
        input_shape : tuple of int
            Of one row.
        dtype : {"float32", "float64"}
        seed, stream : int
            The model's seed, and the number of the layer's first stream of random bits.
        """
        if self.built:
            if input_shape != self.input_shape:
                raise ValueError(
                    f"layer {self.name!r} was built for rows of shape {self.input_shape} and cannot "
                    f"take rows of shape {input_shape}."
                )
            return
        output_shape = self.compute_output_shape(input_shape)
        self.create_variables(input_shape, dtype, seed, stream)
        for variable in self.variables:
            variable.owner = self
        self.input_shape = input_shape
        self.output_shape = output_shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one row of the output."""
        return input_shape

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of the variables that `create_variables` makes, by name, in order."""
        return {}

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Fill `variables`; most layers have none."""

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
        return {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Return a layer from what `get_config` returned."""
        return cls(**config)

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


class InputLayer(Layer):
    """The shape of one row of the input, as the first entry of a `Sequential`."""

    base_name = "input_layer"

    def __init__(self, shape: Any, name: str | None = None) -> None:
        super().__init__(name=name, input_shape=shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        assert self.declared_shape is not None
        return {"shape": list(self.declared_shape), "name": self.name}


def Input(shape: Any, name: str | None = None) -> InputLayer:  # noqa: N802  # Keras's spelling
    """Declare the shape of one row of the input.

    Parameters
    ----------
    shape : tuple of int
        Without the batch axis, such as ``(784,)`` or ``(28, 28)``.
    name : str, optional

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(4,)), dp.layers.Dense(3)])
    >>> model.output_shape
    (None, 3)
    """
    return InputLayer(shape, name)


class Dense(Layer):
    """``z = φ(x W + b)``: every output unit sees every input.

    Parameters
    ----------
    units : int
        Number of outputs, n_out.
    activation : str or Activation, optional
        φ; none is linear.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str or L1L2, optional
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    kernel : Variable of shape (n_in, n_out)
    bias : Variable of shape (n_out,), or None

    Examples
    --------
    >>> import deltaprop as dp
    >>> layer = dp.layers.Dense(128, activation="relu")
    >>> model = dp.Sequential([dp.Input(shape=(784,)), layer])
    >>> layer.count_params()
    100480
    """

    base_name = "dense"

    def __init__(
        self,
        units: int,
        activation: str | ActivationFunction | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer | dict[str, Any] = "glorot_uniform",
        bias_initializer: str | Initializer | dict[str, Any] = "zeros",
        kernel_regularizer: str | L1L2 | dict[str, Any] | None = None,
        bias_regularizer: str | L1L2 | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise ValueError(f"units must be a positive integer, received {units!r}.")
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel: Variable | None = None
        self.bias: Variable | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (units,)."""
        if len(input_shape) != 1:
            raise ValueError(
                f"layer {self.name!r} (Dense) takes rows that are vectors, received rows of shape "
                f"{input_shape}; put a Flatten layer before it."
            )
        return (self.units,)

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of kernel and bias."""
        shapes: dict[str, Shape] = {"kernel": (input_shape[0], self.units)}
        return {**shapes, "bias": (self.units,)} if self.use_bias else shapes

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Create kernel and bias."""
        shape = self.variable_shapes(input_shape)["kernel"]
        initial = self.kernel_initializer(shape, dtype, seed=seed, stream=stream)
        self.kernel = Variable(shape, dtype, f"{self.name}/kernel")
        self.kernel.assign(initial)
        self.variables = [self.kernel]
        if self.use_bias:
            initial = self.bias_initializer((self.units,), dtype, seed=seed, stream=stream + 1)
            self.bias = Variable((self.units,), dtype, f"{self.name}/bias", decays=False)
            self.bias.assign(initial)
            self.variables.append(self.bias)

    def penalties(self) -> list[tuple[Variable, L1L2]]:
        """Return the regularised variables with their penalties."""
        pairs = [(self.kernel, self.kernel_regularizer), (self.bias, self.bias_regularizer)]
        return [(v, r) for v, r in pairs if v is not None and r is not None and (r.l1 or r.l2)]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""

        def penalty(regularizer: L1L2 | None) -> dict[str, float] | None:
            return None if regularizer is None else {"l1": regularizer.l1, "l2": regularizer.l2}

        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation.name,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": penalty(self.kernel_regularizer),
            "bias_regularizer": penalty(self.bias_regularizer),
        }


class Activation(Layer):
    """An activation function as a layer of its own.

    Parameters
    ----------
    activation : str or Activation
    **kwargs
        As in `Layer`.
    """

    base_name = "activation"

    def __init__(self, activation: str | ActivationFunction, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape unchanged; softmax takes vectors only."""
        if self.activation is activations.softmax and len(input_shape) != 1:
            raise ValueError(
                f"layer {self.name!r}: softmax takes rows that are vectors, received rows of shape "
                f"{input_shape}; put a Flatten layer before it."
            )
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**super().get_config(), "activation": self.activation.name}


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


class Flatten(Layer):
    """Lays the elements of a row in one line, in C order: (28, 28) becomes (784,)."""

    base_name = "flatten"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the number of elements, as a shape."""
        return (math.prod(input_shape),)


_CLASSES: tuple[type[Layer], ...] = (Activation, Dense, Dropout, Flatten, InputLayer)


def get_layer_class(name: str) -> type[Layer]:
    """Return the layer class of a saved model; only our own are known, so loading runs no foreign code."""
    return choose("layer", name, {cls.__name__: cls for cls in _CLASSES})

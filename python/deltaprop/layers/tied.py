"""Layers that work with another layer's weights: DenseTranspose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import activations, constraints, initializers, regularizers
from ..activations import Activation as ActivationFunction
from ..constraints import Constraint
from ..initializers import Initializer
from ..regularizers import L1L2
from ..variable import Variable
from .activation import Activation
from .base import Layer, Shape
from .core import Dense

__all__ = ["DenseTranspose"]


class DenseTranspose(Layer):
    """``z = φ(x W' + b)``: the way back through a dense layer, with that one's weights W, as in tied autoencoders.

    The bias is its own. W gets the gradients of both layers: ``dW = x' dz`` from the dense one and ``dz' x`` from
    this one. Vincent et al. 2010.

    Parameters
    ----------
    tied_to : Dense
        Which maps n_out inputs to n_in outputs; it must come before, in the same model or in one that is there.
        In a saved model it is told by its name.
    activation : str or Activation, optional
        φ, as in `Dense`.
    use_bias : bool
    bias_initializer : str or Initializer
    bias_regularizer : str or L1L2, optional
    bias_constraint : str or Constraint, optional
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    bias : Variable of shape (n_out,), or None

    Raises
    ------
    ValueError
        If `tied_to` is no Dense layer, or was not called on anything when this one is.

    Examples
    --------
    >>> import deltaprop as dp
    >>> encoder = dp.layers.Dense(16, activation="sigmoid")
    >>> decoder = dp.layers.DenseTranspose(encoder, activation="sigmoid")
    >>> model = dp.Sequential([dp.Input(shape=(64,)), encoder, decoder])
    >>> model.output_shape, encoder.count_params(), decoder.count_params()
    ((None, 64), 1040, 64)
    """

    base_name = "dense_transpose"

    def __init__(
        self,
        tied_to: Dense | str,
        activation: str | ActivationFunction | Activation | dict[str, Any] | None = None,
        use_bias: bool = True,
        bias_initializer: str | Initializer | dict[str, Any] = "zeros",
        bias_regularizer: str | L1L2 | dict[str, Any] | None = None,
        bias_constraint: str | Constraint | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(tied_to, (Dense, str)):
            raise ValueError(f"tied_to must be the Dense layer whose weights are used, received {tied_to!r}.")
        self._tied_to = tied_to
        self.activation = activations.get(activation.activation if isinstance(activation, Activation) else activation)
        self.use_bias = bool(use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None

    @property
    def tied_to(self) -> Dense:
        """The layer whose weights it uses."""
        if isinstance(self._tied_to, str):
            raise ValueError(
                f"layer {self.name!r} is tied to a layer named {self._tied_to!r}, which is not there; pass the layer "
                f"itself, and save it together with this one."
            )
        return self._tied_to

    @property
    def borrowed(self) -> list[Variable]:
        """The other layer's kernel."""
        return [] if self.tied_to.kernel is None else [self.tied_to.kernel]

    def find_layers(self, layers: Mapping[str, Layer]) -> None:
        """Replace the name of the layer that it is tied to by the layer."""
        found = layers.get(self._tied_to) if isinstance(self._tied_to, str) else None
        if isinstance(found, Dense):
            self._tied_to = found

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the rows that the other layer takes."""
        if input_shape != (self.tied_to.units,):
            raise ValueError(
                f"layer {self.label!r} (DenseTranspose) takes rows of shape ({self.tied_to.units},), the outputs of "
                f"{self.tied_to.name!r}, received rows of shape {input_shape}."
            )
        return self._shape_before()

    def _shape_before(self) -> Shape:
        """Return the shape of the rows that the other layer takes."""
        shape: Shape | None = self.tied_to.input_shape
        if shape is None and self.tied_to.calls:
            shape = self.tied_to.calls[0].inputs[0].row_shape
        if shape is None:
            raise ValueError(
                f"layer {self.name or self.base_name!r} is tied to {self.tied_to!r}, which is in no model yet; call "
                f"that one on its input first."
            )
        return shape

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of the bias."""
        return {"bias": self._shape_before()} if self.use_bias else {}

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Create the bias."""
        kernel = self.tied_to.kernel
        if kernel is None or kernel.dtype != dtype:
            raise ValueError(
                f"layer {self.name!r} is tied to {self.tied_to.name!r}, which must be built before it, with weights "
                f"of dtype {dtype}; " + ("it has none." if kernel is None else f"its own are {kernel.dtype}.")
            )
        super().create_variables(input_shape, dtype, seed, stream)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            **super().get_config(),
            "tied_to": self.tied_to.name,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **self._config_of("bias"),
        }

"""Layers that compute the same in training and prediction: Dense, ActivityRegularization, Flatten."""

from __future__ import annotations

import math
from typing import Any

from .. import activations, checks, constraints, initializers, regularizers
from ..activations import Activation as ActivationFunction
from ..constraints import Constraint
from ..initializers import Initializer
from ..regularizers import L1L2, SparseKL
from ..variable import Variable
from .activation import Activation
from .base import Layer, Shape

__all__ = ["ActivityRegularization", "Dense", "Flatten"]


class Dense(Layer):
    """``z = φ(x W + b)``: every output unit sees every input.

    Parameters
    ----------
    units : int
        Number of outputs, n_out.
    activation : str or Activation, optional
        φ, by name or from `dp.activations`, or a layer such as ``LeakyReLU(0.1)``; none is linear.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str or L1L2, optional
    activity_regularizer : str, L1L2 or SparseKL, optional
        A penalty on the outputs.
    kernel_constraint, bias_constraint : str or Constraint, optional
        What holds after each update.
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
    decaying = ("kernel",)

    def __init__(
        self,
        units: int,
        activation: str | ActivationFunction | Activation | dict[str, Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer | dict[str, Any] = "glorot_uniform",
        bias_initializer: str | Initializer | dict[str, Any] = "zeros",
        kernel_regularizer: str | L1L2 | dict[str, Any] | None = None,
        bias_regularizer: str | L1L2 | dict[str, Any] | None = None,
        activity_regularizer: str | L1L2 | SparseKL | dict[str, Any] | None = None,
        kernel_constraint: str | Constraint | dict[str, Any] | None = None,
        bias_constraint: str | Constraint | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = checks.whole("units", units, least=1)
        self.activation = activations.get(
            activation.activation if isinstance(activation, Activation) else activation
        )
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Variable | None = None
        self.bias: Variable | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (units,)."""
        if len(input_shape) != 1:
            raise ValueError(
                f"layer {self.label!r} (Dense) takes rows that are vectors, received rows of shape "
                f"{input_shape}; put a Flatten layer before it."
            )
        return (self.units,)

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of kernel and bias."""
        shapes: dict[str, Shape] = {"kernel": (input_shape[0], self.units)}
        return {**shapes, "bias": (self.units,)} if self.use_bias else shapes

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **self._config_of("kernel", "bias"),
        }


class ActivityRegularization(Layer):
    """The identity, with the penalty ``l1 * sum |x| + l2 * sum x**2`` on what passes: the mean over the batch.

    Parameters
    ----------
    l1, l2 : float
        Not negative.
    **kwargs
        As in `Layer`.
    """

    base_name = "activity_regularization"

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        config = super().get_config()
        factors = config.pop("activity_regularizer")
        return {**config, **factors}


class Flatten(Layer):
    """Lays the elements of a row in one line, in C order: (28, 28) becomes (784,)."""

    base_name = "flatten"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the number of elements, as a shape."""
        return (math.prod(input_shape),)

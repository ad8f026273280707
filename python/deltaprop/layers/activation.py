"""Activations as layers of their own."""

from __future__ import annotations

from typing import Any

from .. import activations, checks, constraints, initializers, regularizers
from ..activations import Activation as ActivationFunction
from ..constraints import Constraint
from ..initializers import Initializer
from ..regularizers import L1L2
from ..variable import Variable
from .base import Layer, Shape, units_axis

__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


class Activation(Layer):
    """An activation function as a layer of its own.

    Parameters
    ----------
    activation : str or Activation
    **kwargs
        As in `Layer`.
    """

    base_name = "activation"

    def __init__(self, activation: str | ActivationFunction | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape unchanged; softmax and its logarithm take vectors only."""
        if self.activation.rowwise and len(input_shape) != 1:
            raise ValueError(
                f"layer {self.name!r}: {self.activation.name} takes rows that are vectors, received rows of "
                f"shape {input_shape}; put a Flatten layer before it."
            )
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


_PAIR = "dp.layers.Activation((value, derivative))"


def _leaky(negative_slope: float) -> ActivationFunction:
    return activations.leaky_relu.with_alpha(negative_slope) if negative_slope else activations.relu


class LeakyReLU(Activation):
    """``a if a > 0 else negative_slope a``.

    Parameters
    ----------
    negative_slope : float
        0 is the plain ReLU.
    **kwargs
        As in `Layer`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input((2,)), dp.layers.LeakyReLU(0.1)])
    >>> print(model([[-1.0, 2.0]]))
    [[-0.1  2. ]]
    """

    base_name = "leaky_re_lu"

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        self.negative_slope = checks.number("negative_slope", negative_slope, least=0)
        super().__init__(_leaky(self.negative_slope), **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**Layer.get_config(self), "negative_slope": self.negative_slope}


class ReLU(Activation):
    """``max(0, a)``, with a slope below zero or with a largest value.

    Parameters
    ----------
    max_value : float, optional
        The output's largest value.
    negative_slope : float
        As in `LeakyReLU`.
    threshold : float
        Keras's; only 0 is supported.
    **kwargs
        As in `Layer`.

    Raises
    ------
    ValueError
        For a threshold, or for a slope together with a largest value: no activation here has these.
    """

    base_name = "re_lu"

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if threshold != 0:
            raise ValueError(
                f"threshold must be 0, received {threshold!r}; a pair of functions would do: {_PAIR}."
            )
        self.negative_slope = checks.number("negative_slope", negative_slope, least=0)
        self.max_value = None if max_value is None else checks.number("max_value", max_value, above=0)
        if self.max_value is not None and self.negative_slope:
            raise ValueError(
                f"give max_value or negative_slope, not both; received {max_value!r} and {negative_slope!r}. A pair "
                f"of functions would do: {_PAIR}."
            )
        bounded = None if self.max_value is None else activations.relu6.with_alpha(self.max_value)
        super().__init__(bounded or _leaky(self.negative_slope), **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        more = {"max_value": self.max_value, "negative_slope": self.negative_slope}
        return {**Layer.get_config(self), **more}


class ELU(Activation):
    """``a if a > 0 else alpha (exp(a) - 1)``. Clevert et al. 2016.

    Parameters
    ----------
    alpha : float
        Positive.
    **kwargs
        As in `Layer`.
    """

    base_name = "elu"

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(activations.elu.with_alpha(checks.number("alpha", alpha, above=0)), **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**Layer.get_config(self), "alpha": self.activation.alpha}


class PReLU(Layer):
    """``a if a > 0 else alpha a``, where the slopes `alpha` are learned. He et al. 2015.

    Weight decay skips them, as in the paper.

    Parameters
    ----------
    alpha_initializer : str or Initializer
    alpha_regularizer : str or L1L2, optional
    alpha_constraint : str or Constraint, optional
        What holds after each update.
    shared_axes : int or list of int, optional
        1 shares one slope among all units; by default each has its own.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    alpha : Variable of shape (n,), or (1,) where it is shared

    Examples
    --------
    >>> import deltaprop as dp
    >>> layer = dp.layers.PReLU(alpha_initializer=dp.initializers.Constant(0.25))
    >>> model = dp.Sequential([dp.Input((3,)), layer])
    >>> print(model([[-4.0, 0.0, 2.0]]), layer.alpha.shape)
    [[-1.  0.  2.]] (3,)
    """

    base_name = "p_re_lu"

    def __init__(
        self,
        alpha_initializer: str | Initializer | dict[str, Any] = "zeros",
        alpha_regularizer: str | L1L2 | dict[str, Any] | None = None,
        alpha_constraint: str | Constraint | dict[str, Any] | None = None,
        shared_axes: int | list[int] | tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = () if shared_axes is None else checks.axes("shared_axes", shared_axes)
        if set(axes) - {1, -1}:
            raise ValueError(f"shared_axes must be None or [1], the units of a row, received {shared_axes!r}.")
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared = bool(axes)
        self.alpha: Variable | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape unchanged."""
        if len(input_shape) != 1:
            raise ValueError(
                f"layer {self.label!r} (PReLU) takes rows that are vectors, received rows of shape "
                f"{input_shape}; put a Flatten layer before it."
            )
        return input_shape

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shape of the slopes."""
        return {"alpha": (1,) if self.shared else input_shape}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            **super().get_config(),
            **self._config_of("alpha"),
            "shared_axes": [1] if self.shared else None,
        }


class Softmax(Activation):
    """``exp(a_k) / sum_j exp(a_j)`` over a row.

    Parameters
    ----------
    axis : int
        Keras's; rows are vectors, so only the last one, -1, is there.
    **kwargs
        As in `Layer`.
    """

    base_name = "softmax"

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        units_axis(axis)
        super().__init__(activations.softmax, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return Layer.get_config(self)

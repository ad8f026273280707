"""Layers that bring their input to a mean of 0 and a variance of 1: of a batch, of a row, or of given data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks, constraints, initializers, regularizers
from ..constraints import Constraint
from ..initializers import Initializer
from ..regularizers import L1L2
from ..variable import Variable
from .base import Layer, Shape, assign_all, units_axis

__all__ = ["BatchNormalization", "LayerNormalization", "Normalization", "RMSNormalization"]

AnyInitializer = str | Initializer | dict[str, Any]
AnyRegularizer = str | L1L2 | dict[str, Any] | None
AnyConstraint = str | Constraint | dict[str, Any] | None


class _Scaled(Layer):
    """What the normalising layers share: y = gamma x̂ + beta, unit by unit. Weight decay skips both."""

    def __init__(
        self, axis: int, epsilon: float, center: bool, scale: bool, beta_initializer: AnyInitializer,
        gamma_initializer: AnyInitializer, beta_regularizer: AnyRegularizer, gamma_regularizer: AnyRegularizer,
        beta_constraint: AnyConstraint, gamma_constraint: AnyConstraint, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.axis = units_axis(axis)
        self.epsilon = checks.number("epsilon", epsilon, above=0)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape unchanged; rows must be vectors."""
        if len(input_shape) != 1:
            raise ValueError(
                f"layer {self.label!r} ({type(self).__name__}) takes rows that are vectors, received rows of "
                f"shape {input_shape}; put a Flatten layer before it."
            )
        return input_shape

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of gamma and beta."""
        names = ["gamma"] * self.scale + ["beta"] * self.center
        return dict.fromkeys(names, input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **self._config_of("gamma", "beta"),
        }


class BatchNormalization(_Scaled):
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, each unit over the rows of the batch.

    In training mean and (biased) variance are the batch's, and the moving ones follow:
    ``moving = momentum moving + (1 - momentum) batch``. `predict` and `evaluate` use the moving ones, and so
    does training while ``layer.trainable`` is False. A batch is never cut into blocks. Ioffe and Szegedy 2015.

    Parameters
    ----------
    axis : {-1, 1}
        The units: rows are vectors.
    momentum : float
        From 0 to below 1.
    epsilon : float
        Above 0.
    center, scale : bool
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer : str or Initializer
    moving_mean_initializer, moving_variance_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str or L1L2, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
        What holds after each update.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    gamma, beta : Variable of shape (n,), or None
    moving_mean, moving_variance : Variable of shape (n,)
        Not trainable, but saved and in `get_weights`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(4,)), dp.layers.BatchNormalization()])
    >>> [v.name for v in model.variables][-2:]
    ['batch_normalization/moving_mean', 'batch_normalization/moving_variance']
    >>> len(model.trainable_variables)
    2
    """

    base_name = "batch_normalization"
    untrained = ("moving_mean", "moving_variance")

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: AnyInitializer = "zeros",
        gamma_initializer: AnyInitializer = "ones",
        moving_mean_initializer: AnyInitializer = "zeros",
        moving_variance_initializer: AnyInitializer = "ones",
        beta_regularizer: AnyRegularizer = None,
        gamma_regularizer: AnyRegularizer = None,
        beta_constraint: AnyConstraint = None,
        gamma_constraint: AnyConstraint = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.momentum = checks.number("momentum", momentum, least=0, below=1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.moving_mean: Variable | None = None
        self.moving_variance: Variable | None = None

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of gamma, beta and the moving statistics."""
        return {**super().variable_shapes(input_shape), **dict.fromkeys(self.untrained, input_shape)}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            **self._config_of(*self.untrained),
        }


class LayerNormalization(_Scaled):
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, mean and variance over the units of each row.

    The same in training and prediction. Ba, Kiros and Hinton 2016.

    Parameters
    ----------
    axis : {-1, 1}
        The units: rows are vectors.
    epsilon : float
        Above 0.
    center, scale : bool
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str or L1L2, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
        What holds after each update.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    gamma, beta : Variable of shape (n,), or None

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.LayerNormalization()])
    >>> model.predict([[1.0, 3.0]], verbose=0).round(2)
    array([[-1.,  1.]], dtype=float32)
    """

    base_name = "layer_normalization"

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: AnyInitializer = "zeros",
        gamma_initializer: AnyInitializer = "ones",
        beta_regularizer: AnyRegularizer = None,
        gamma_regularizer: AnyRegularizer = None,
        beta_constraint: AnyConstraint = None,
        gamma_constraint: AnyConstraint = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip


class RMSNormalization(_Scaled):
    """``y = gamma x / sqrt(mean x^2 + epsilon)``, the mean over the units of each row.

    Zhang and Sennrich 2019.

    Parameters
    ----------
    axis : {-1, 1}
        The units: rows are vectors.
    epsilon : float
        Above 0.
    gamma_initializer : str or Initializer
    gamma_regularizer : str or L1L2, optional
    gamma_constraint : str or Constraint, optional
        What holds after each update.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    gamma : Variable of shape (n,)

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.RMSNormalization()])
    >>> model.predict([[3.0, 3.0]], verbose=0).round(4)
    array([[1., 1.]], dtype=float32)
    """

    base_name = "rms_normalization"

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-6,
        gamma_initializer: AnyInitializer = "ones",
        gamma_regularizer: AnyRegularizer = None,
        gamma_constraint: AnyConstraint = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, False, True, "zeros", gamma_initializer, None, gamma_regularizer, None, gamma_constraint,
            **kwargs,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        return {**Layer.get_config(self), "axis": self.axis, "epsilon": self.epsilon, **self._config_of("gamma")}


class Normalization(Layer):
    """``y = (x - mean) / max(sqrt(variance), 1e-7)`` with the statistics of some data, kept in the model.

    Parameters
    ----------
    axis : int, tuple of int or None
        The axes of the data that keep statistics of their own, the rows being axis 0; the others, the rows
        among them, are averaged over. None averages over all.
    mean, variance : array_like, optional
        Instead of `adapt`: what broadcasts to a row.
    invert : bool
        ``x max(sqrt(variance), 1e-7) + mean``: the way back, for outputs.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    mean, variance : Variable of shape (n,)
        A value per element of a row, repeated where axes share one. Not trainable, saved with the model; NaN
        until there are any.

    Examples
    --------
    >>> import deltaprop as dp
    >>> layer = dp.layers.Normalization()
    >>> layer.adapt([[0.0, 1.0], [2.0, 1.0]])
    >>> model = dp.Sequential([dp.Input(shape=(2,)), layer])
    >>> model.predict([[0.0, 1.0], [4.0, 1.0]], verbose=0)
    array([[-1.,  0.],
           [ 3.,  0.]], dtype=float32)
    """

    base_name = "normalization"

    def __init__(
        self,
        axis: int | tuple[int, ...] | list[int] | None = -1,
        mean: npt.ArrayLike | None = None,
        variance: npt.ArrayLike | None = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else checks.axes("axis", axis)
        if 0 in self.axis:
            raise ValueError(f"axis must be an axis of a row, several or None, not the rows' 0, received {axis!r}.")
        if (mean is None) != (variance is None):
            raise ValueError("give both mean and variance, or neither and call adapt(data).")
        self.invert = bool(invert)
        self.given = None if mean is None else (checks.array("mean", mean), checks.array("variance", variance))
        if self.given is not None and (self.given[1] < 0).any():
            raise ValueError(f"variance must not be negative, received {variance!r}.")
        self.mean: Variable | None = None
        self.variance: Variable | None = None
        self._adapted: tuple[Any, Any] | None = None  # before the layer is built

    def adapt(self, data: Any) -> None:
        """Take mean and variance (with divisor n) from data, in float64; built or not.

        Parameters
        ----------
        data : array_like of shape (n_samples, *input_shape)
            Any real type; read in pieces.

        Raises
        ------
        ValueError
            For data that do not fit or are not finite, and where mean and variance were given; nothing is
            changed then.
        """
        from ..data import moments

        if self.given is not None:
            raise ValueError(
                f"layer {self.name or self.base_name!r} has the mean and variance it was constructed with; to adapt, "
                f"make it without."
            )
        statistics = moments(data, self.input_shape or self.declared_shape, self._averaged)
        if self.input_shape is None:
            self._adapted = statistics
        else:
            assign_all(self.variables, self._rows(statistics, self.input_shape), f"layer {self.name!r}")

    def _averaged(self, ndim: int) -> tuple[int, ...]:
        """Return the axes of data that are averaged over, the rows' first."""
        if any(not -ndim < a < ndim for a in self.axis):
            raise ValueError(f"axis {self.axis} is none of rows of {ndim - 1} axes, which are 1 to {ndim - 1}.")
        kept = {a % ndim for a in self.axis}
        return tuple(a for a in range(ndim) if a not in kept)

    @property
    def adapted(self) -> bool:
        """Whether there are statistics, from `adapt`, the constructor or a file."""
        return self.mean is not None and not np.isnan(self.mean.numpy()).any()

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of mean and variance."""
        return dict.fromkeys(("mean", "variance"), (math.prod(input_shape),))

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Create mean and variance, NaN where they are not known yet."""
        self._averaged(1 + len(input_shape))
        rows = self._rows(self.given or self._adapted or (np.nan, np.nan), input_shape)
        shapes = self.variable_shapes(input_shape).items()
        self.variables = [Variable(shape, dtype, f"{self.name}/{name}", trainable=False) for name, shape in shapes]
        self.mean, self.variance = self.variables
        assign_all(self.variables, rows, f"layer {self.name!r}")

    def _rows(self, statistics: tuple[Any, Any], input_shape: Shape) -> list[npt.NDArray[Any]]:
        """Return mean and variance for each element of a row."""
        try:
            return [np.broadcast_to(statistic, input_shape).ravel() for statistic in statistics]
        except ValueError:
            raise ValueError(
                f"layer {self.name!r} has statistics of shape {np.shape(statistics[0])}, which do not fit rows "
                f"of shape {input_shape}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        mean, variance = (None, None) if self.given is None else (s.tolist() for s in self.given)
        return {
            **super().get_config(),
            "axis": list(self.axis) or None,
            "mean": mean,
            "variance": variance,
            "invert": self.invert,
        }

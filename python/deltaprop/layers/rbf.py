"""Radial basis functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks, initializers
from ..initializers import Initializer
from ..variable import Variable
from .base import Layer, Shape, assign_all

__all__ = ["RBF"]


class RBF(Layer):
    """Gaussian units ``y_j = exp(-|x - c_j|^2 / (2 s_j^2))``; a `Dense` layer after it makes an RBF network.

    Centres c and widths s come from k-means (`adapt`), and `fit` refines them with the other weights, or leaves them
    alone where ``trainable=False``: the classical two steps of Moody and Darken 1989. Without `adapt` they start at
    random. Weight decay skips both.

    Parameters
    ----------
    units : int
    centers_initializer : str or Initializer
        By default normal with deviation 1, for inputs that are standardised.
    widths_initializer : str or Initializer, optional
        By default ``sqrt(n)`` for n inputs, which is about the distance between standardised rows.
    **kwargs
        As in `Layer`.

    Attributes
    ----------
    centers : Variable of shape (n, units)
        A column per unit.
    widths : Variable of shape (units,)
        In units of the input. Their signs do not matter, and a unit without any is 1 at its centre, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.linspace(0, 6, 100).reshape(-1, 1)
    >>> layer = dp.layers.RBF(12, input_dim=1)
    >>> layer.adapt(x)
    >>> model = dp.Sequential([layer, dp.layers.Dense(1)], seed=1)
    >>> model.compile(dp.optimizers.Adam(0.02), "mse")
    >>> history = model.fit(x, np.sin(x), epochs=300, verbose=0)
    >>> bool(model.evaluate(x, np.sin(x), verbose=0) < 1e-3)
    True
    """

    base_name = "rbf"

    def __init__(
        self,
        units: int,
        centers_initializer: str | Initializer | dict[str, Any] | None = None,
        widths_initializer: str | Initializer | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = checks.whole("units", units, least=1)
        if centers_initializer is None:
            centers_initializer = initializers.RandomNormal(stddev=1.0)
        self.centers_initializer = initializers.get(centers_initializer)
        self.widths_initializer = None if widths_initializer is None else initializers.get(widths_initializer)
        self.centers: Variable | None = None
        self.widths: Variable | None = None
        self._adapted: list[Any] | None = None  # where a training starts

    def adapt(self, data: Any, neighbors: int = 2, seed: int = 0) -> None:
        """Take the centres from k-means, and each width from the distances to the nearest other centres.

        A width is the root mean square of these distances, or for a single unit that of the rows' distances to its
        centre. Built or not. Needs scikit-learn, which ``pip install "deltaprop[rbf]"`` brings.

        Parameters
        ----------
        data : array_like of shape (n_samples, n)
            Inputs of the layer, with at least `units` different rows.
        neighbors : int
            How many other centres a width is made of, or all if there are fewer.
        seed : int
            Of k-means.

        Raises
        ------
        ValueError
            For data that do not fit, are not finite or have too few different rows; nothing is changed then.
        ImportError
            Without scikit-learn.
        """
        from ..data import finite_rows

        neighbors, seed = checks.whole("neighbors", neighbors, least=1), checks.seed(seed)
        x = finite_rows(data, self.input_shape or self.declared_shape, "data")
        self.variable_shapes(x.shape[1:])
        found = _k_means(np.asarray(x, dtype=np.float64), self.units, neighbors, seed, self.label)
        if self.input_shape is not None:
            assign_all(self.variables, found, f"layer {self.name!r}")
        self._adapted = found

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return ``(units,)``."""
        self.variable_shapes(input_shape)
        return (self.units,)

    def variable_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes of centres and widths."""
        if len(input_shape) != 1:
            raise ValueError(
                f"layer {self.label!r} (RBF) takes rows that are vectors, received rows of shape {input_shape}; put a "
                f"Flatten layer before it."
            )
        return {"centers": (*input_shape, self.units), "widths": (self.units,)}

    def create_variables(self, input_shape: Shape, dtype: str, seed: int, stream: int) -> None:
        """Create centres and widths."""
        shapes = self.variable_shapes(input_shape)
        widths = self.widths_initializer or initializers.Constant(float(np.sqrt(input_shape[0])))
        values = self._adapted or [
            self.centers_initializer(shapes["centers"], dtype, seed=seed, stream=stream),
            widths(shapes["widths"], dtype, seed=seed, stream=stream + 1),
        ]
        self.variables = [Variable(shape, dtype, f"{self.name}/{name}", decays=False) for name, shape in shapes.items()]
        assign_all(self.variables, values, f"layer {self.name!r}")
        self.centers, self.widths = self.variables

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        widths = self.widths_initializer
        return {
            **super().get_config(),
            "units": self.units,
            "centers_initializer": initializers.serialize(self.centers_initializer),
            "widths_initializer": None if widths is None else initializers.serialize(widths),
        }


def _k_means(x: Any, units: int, neighbors: int, seed: int, label: str) -> list[Any]:
    """Return centres of shape (n, units) and widths of shape (units,)."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.neighbors import NearestNeighbors
    except ImportError as error:
        raise ImportError(
            'RBF.adapt finds the centres with scikit-learn, which is not installed: pip install "deltaprop[rbf]", or '
            "assign layer.centers and layer.widths."
        ) from error

    different = len(np.unique(x, axis=0))
    if different < units:
        raise ValueError(f"layer {label!r} has {units} units, and data has {different} different rows only.")
    clusters = KMeans(units, n_init=3, random_state=seed).fit(x)
    centers = clusters.cluster_centers_
    if units == 1:
        return [centers.T, np.sqrt([clusters.inertia_ / len(x)])]
    distances, _ = NearestNeighbors(n_neighbors=min(neighbors, units - 1)).fit(centers).kneighbors()
    return [centers.T, np.sqrt(np.square(distances).mean(axis=1))]

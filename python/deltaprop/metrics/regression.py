"""Metrics for numbers, and every loss as a metric under Keras's name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks, losses
from .base import LossMetric, Metric, Result, plain, ratio

if TYPE_CHECKING:
    from ..layers import Shape


class NamedLoss(LossMetric):
    """A loss that is a metric of its own name, with the loss's arguments as keywords."""

    __slots__ = ()
    loss: type[losses.Loss]

    def __init__(self, name: str | None = None, **arguments: Any) -> None:
        super().__init__(self.loss(**arguments), name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**self._loss.get_config(), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a metric from what `get_config` returned."""
        return cls(**config)


class BinaryCrossentropy(NamedLoss):
    """`losses.BinaryCrossentropy`, averaged over rows."""

    __slots__ = ()
    loss = losses.BinaryCrossentropy


class CategoricalCrossentropy(NamedLoss):
    """`losses.CategoricalCrossentropy`, averaged over rows."""

    __slots__ = ()
    loss = losses.CategoricalCrossentropy


class CategoricalHinge(NamedLoss):
    """`losses.CategoricalHinge`, averaged over rows."""

    __slots__ = ()
    loss = losses.CategoricalHinge


class CosineSimilarity(NamedLoss):
    """The cosine of the angle between prediction and target, averaged over rows: 1 is best."""

    __slots__ = ()
    loss = losses.CosineSimilarity

    def value(self, sums: Sequence[float]) -> Result:
        """Return the mean with the other sign than the loss's."""
        return -super().value(sums)


class Hinge(NamedLoss):
    """`losses.Hinge`, averaged over rows."""

    __slots__ = ()
    loss = losses.Hinge


class KLDivergence(NamedLoss):
    """`losses.KLDivergence`, averaged over rows."""

    __slots__ = ()
    loss = losses.KLDivergence


class LogCoshError(NamedLoss):
    """`losses.LogCosh`, averaged over rows."""

    __slots__ = ()
    loss = losses.LogCosh


class MeanAbsoluteError(NamedLoss):
    """``(1/K) sum_k |y_k - ŷ_k|``, averaged over rows."""

    __slots__ = ()
    loss = losses.MeanAbsoluteError


class MeanAbsolutePercentageError(NamedLoss):
    """``(100/K) sum_k |y_k - ŷ_k| / max(|y_k|, 1e-7)``, averaged over rows."""

    __slots__ = ()
    loss = losses.MeanAbsolutePercentageError


class MeanSquaredError(NamedLoss):
    """``(1/K) sum_k (y_k - ŷ_k)**2``, averaged over rows."""

    __slots__ = ()
    loss = losses.MeanSquaredError


class MeanSquaredLogarithmicError(NamedLoss):
    """`losses.MeanSquaredLogarithmicError`, averaged over rows."""

    __slots__ = ()
    loss = losses.MeanSquaredLogarithmicError


class Poisson(NamedLoss):
    """`losses.Poisson`, averaged over rows."""

    __slots__ = ()
    loss = losses.Poisson


class RootMeanSquaredError(NamedLoss):
    """The root of the mean over rows of ``(1/K) sum_k (y_k - ŷ_k)**2``."""

    __slots__ = ()
    loss = losses.MeanSquaredError
    default_name = "root_mean_squared_error"

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or self.default_name)

    def value(self, sums: Sequence[float]) -> Result:
        """Return the root of the mean."""
        return float(np.sqrt(super().value(sums)))


class SparseCategoricalCrossentropy(NamedLoss):
    """`losses.SparseCategoricalCrossentropy`, averaged over rows."""

    __slots__ = ()
    loss = losses.SparseCategoricalCrossentropy


class SquaredHinge(NamedLoss):
    """`losses.SquaredHinge`, averaged over rows."""

    __slots__ = ()
    loss = losses.SquaredHinge


class R2Score(Metric):
    """``1 - sum (y - ŷ)**2 / sum (y - mean y)**2``: 1 is best, 0 is as good as the mean of the targets.

    An output whose targets are all alike has the score 0, as in Keras.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        How the scores of several outputs are averaged; None gives an array.
    num_regressors : int
        p, for the adjusted score ``1 - (1 - R2)(n - 1) / (n - p - 1)``; 0 for the plain one.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(1,)), dp.layers.Dense(1)])
    >>> model.set_weights([np.ones((1, 1)), np.zeros(1)])
    >>> model.compile(optimizer="adam", loss="mse", metrics=[dp.metrics.R2Score()])
    >>> loss, r2 = model.evaluate([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0], verbose=0)
    >>> round(r2, 3)  # 1 - 1 / 4.67
    0.786
    """

    __slots__ = ("class_aggregation", "num_regressors")
    kind = "tally"
    function = "moments"
    default_name = "r2_score"
    arguments = ("class_aggregation", "num_regressors")
    sparse = False

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known:
            raise ValueError(f"class_aggregation must be one of {known}, received {class_aggregation!r}.")
        self.class_aggregation = class_aggregation
        self.num_regressors = checks.whole("num_regressors", num_regressors, least=0)

    def counter_shape(self, n_outputs: int) -> Shape:
        """Return (n_outputs, 4): the sums of w, w y, w y**2 and w (y - ŷ)**2."""
        return (n_outputs, 4)

    def value(self, sums: Sequence[float]) -> Result:
        """Return the score."""
        weight, y, squares, errors = np.asarray(sums, dtype=np.float64).reshape(-1, 4).T
        total = squares - ratio(y * y, weight)
        scores = np.where(total > 0, 1 - ratio(errors, np.where(total > 0, total, 1)), 0)
        if self.class_aggregation is None:
            return plain(scores)
        if self.class_aggregation == "uniform_average":
            score = float(scores.mean())
        else:
            score = float(ratio(np.sum(scores * total), np.sum(total)))
        left = float(weight[0]) - self.num_regressors - 1
        if self.num_regressors and left > 0:
            score = 1 - (1 - score) * (float(weight[0]) - 1) / left
        return score if weight[0] else math.nan

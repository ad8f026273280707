"""What is measured beside the loss: descriptions; the arithmetic is in the kernels and textbook.py."""

from __future__ import annotations

from typing import Any

from . import losses
from .utils import choose

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "SparseCategoricalAccuracy",
    "get",
]


class Metric:
    """Base of all metrics: a value per row, averaged over the rows of an epoch or an evaluation.

    Parameters
    ----------
    name : str, optional
        The key in logs and in `History.history`.
    """

    __slots__ = ("name",)
    function = ""
    default_name = ""
    sparse: bool | None = None  # whether targets are class ids; None: as the loss has it
    from_logits = False  # whether the outputs become probabilities first

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.default_name

    def resolve(self, n_outputs: int, sparse_targets: bool) -> Metric:
        """Return the metric for a given number of outputs and kind of target; most are themselves."""
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a metric from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class BinaryAccuracy(Metric):
    """The share of outputs on the right side of 0.5."""

    __slots__ = ()
    function = default_name = "binary_accuracy"
    sparse = False


class CategoricalAccuracy(Metric):
    """The share of rows whose largest output is where the one-hot target has its one."""

    __slots__ = ()
    function = default_name = "categorical_accuracy"
    sparse = False


class SparseCategoricalAccuracy(Metric):
    """The share of rows whose largest output is the class id."""

    __slots__ = ()
    function = default_name = "sparse_categorical_accuracy"
    sparse = True


class Accuracy(Metric):
    """``"accuracy"``: one of the three above, by the shape of outputs and targets, as Keras resolves it.

    One output is binary; class ids against several outputs are sparse; anything else is categorical.
    """

    __slots__ = ()
    default_name = "accuracy"

    def resolve(self, n_outputs: int, sparse_targets: bool) -> Metric:
        """Return the accuracy that fits."""
        if n_outputs == 1:
            return BinaryAccuracy(self.name)
        return SparseCategoricalAccuracy(self.name) if sparse_targets else CategoricalAccuracy(self.name)


class MeanSquaredError(Metric):
    """``(1/K) sum_k (y_k - ŷ_k)**2``, averaged over rows."""

    __slots__ = ()
    function = "mse"
    default_name = "mean_squared_error"
    sparse = False


class MeanAbsoluteError(Metric):
    """``(1/K) sum_k |y_k - ŷ_k|``, averaged over rows."""

    __slots__ = ()
    function = "mae"
    default_name = "mean_absolute_error"
    sparse = False


class _LossMetric(Metric):
    """Any loss, measured."""

    __slots__ = ("_loss",)

    def __init__(self, loss: losses.Loss) -> None:
        super().__init__(loss.name)
        self._loss = loss

    @property
    def function(self) -> str:  # type: ignore[override]  # a constant in the other metrics
        """The loss's function."""
        return self._loss.function

    @property
    def sparse(self) -> bool:  # type: ignore[override]
        """Whether the loss takes class ids."""
        return self._loss.sparse

    @property
    def from_logits(self) -> bool:  # type: ignore[override]
        """Whether the loss makes probabilities of the outputs first."""
        return bool(getattr(self._loss, "from_logits", False))

    def get_config(self) -> dict[str, Any]:
        """Return the loss's class and arguments, and the name in logs."""
        config = self._loss.get_config()
        return {"loss": type(self._loss).__name__, "config": config, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a metric from what `get_config` returned."""
        metric = cls(choose("loss", config["loss"], losses.LOSSES).from_config(config["config"]))
        metric.name = config["name"]
        return metric


METRICS: dict[str, type[Metric]] = {
    "acc": Accuracy,
    "accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
}


def get(identifier: str | Metric | losses.Loss) -> Metric:
    """Return the metric that a name, a metric or a loss stands for; a name is also the key in logs."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, losses.Loss):
        return _LossMetric(identifier)
    if identifier in losses.LOSSES and identifier not in METRICS:
        return _LossMetric(losses.get(identifier))
    return choose("metric", identifier, METRICS)(identifier)

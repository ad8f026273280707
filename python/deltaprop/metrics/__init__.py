"""What is measured beside the loss: descriptions; the arithmetic is in the kernels and textbook_losses.py."""

from __future__ import annotations

from typing import Any

from .. import losses
from ..utils import choose
from .accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from .base import LossMetric, Metric
from .confusion import AUC, ConfusionMatrix, F1Score, Precision, Recall
from .function import FunctionMetric
from .regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FunctionMetric",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "LossMetric",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
    "get",
]

# Names as in Keras: a class's own, and that in snake case; and short ones.
METRICS: dict[str, type[Metric]] = {
    "Accuracy": Accuracy,
    "acc": Accuracy,
    "accuracy": Accuracy,
    "AUC": AUC,
    "auc": AUC,
    "BinaryAccuracy": BinaryAccuracy,
    "binary_accuracy": BinaryAccuracy,
    "BCE": BinaryCrossentropy,
    "BinaryCrossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "CategoricalAccuracy": CategoricalAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "CategoricalHinge": CategoricalHinge,
    "categorical_hinge": CategoricalHinge,
    "ConfusionMatrix": ConfusionMatrix,
    "confusion_matrix": ConfusionMatrix,
    "CosineSimilarity": CosineSimilarity,
    "cosine_similarity": CosineSimilarity,
    "F1Score": F1Score,
    "f1": F1Score,
    "f1_score": F1Score,
    "Hinge": Hinge,
    "hinge": Hinge,
    "KLD": KLDivergence,
    "KLDivergence": KLDivergence,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
    "LogCoshError": LogCoshError,
    "log_cosh": LogCoshError,
    "log_cosh_error": LogCoshError,
    "logcosh": LogCoshError,
    "MAE": MeanAbsoluteError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "MAPE": MeanAbsolutePercentageError,
    "MeanAbsolutePercentageError": MeanAbsolutePercentageError,
    "mape": MeanAbsolutePercentageError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "MSE": MeanSquaredError,
    "MeanSquaredError": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MSLE": MeanSquaredLogarithmicError,
    "MeanSquaredLogarithmicError": MeanSquaredLogarithmicError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "msle": MeanSquaredLogarithmicError,
    "Poisson": Poisson,
    "poisson": Poisson,
    "Precision": Precision,
    "precision": Precision,
    "R2Score": R2Score,
    "r2": R2Score,
    "r2_score": R2Score,
    "Recall": Recall,
    "recall": Recall,
    "RMSE": RootMeanSquaredError,
    "RootMeanSquaredError": RootMeanSquaredError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "SparseCategoricalAccuracy": SparseCategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "SparseTopKCategoricalAccuracy": SparseTopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "SquaredHinge": SquaredHinge,
    "squared_hinge": SquaredHinge,
    "TopKCategoricalAccuracy": TopKCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
}


def get(identifier: Any) -> Metric:
    """Return the metric that a name, a metric, a loss or a function stands for; a name is also the key in logs."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, losses.Loss):
        return LossMetric(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionMetric(identifier)
    if isinstance(identifier, str) and identifier in losses.LOSSES and identifier not in METRICS:
        return LossMetric(losses.get(identifier), identifier)
    return choose("metric", identifier, METRICS)(name=identifier)

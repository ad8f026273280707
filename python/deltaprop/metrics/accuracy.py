"""Metrics that count right answers, a value per row."""

from __future__ import annotations

from .. import checks
from .base import Metric

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]


class BinaryAccuracy(Metric):
    """The share of outputs on the right side of the threshold, which itself counts as no.

    Parameters
    ----------
    name : str, optional
    threshold : float
        0.5 is for probabilities; logits want 0.
    """

    __slots__ = ("threshold",)
    function = default_name = "binary_accuracy"
    arguments = ("threshold",)
    sparse = False

    def __init__(self, name: str | None = None, *, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = checks.number("threshold", threshold)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the threshold."""
        return (self.threshold,)


class CategoricalAccuracy(Metric):
    """The share of rows whose largest output is where the one-hot target has its one."""

    __slots__ = ()
    function = default_name = "categorical_accuracy"
    sparse = False
    one_hot = True


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


class TopKCategoricalAccuracy(Metric):
    """The share of rows where fewer than k outputs are larger than that of the class.

    Parameters
    ----------
    k : int
        At least 1.
    name : str, optional
    """

    __slots__ = ("k",)
    function = default_name = "top_k_categorical_accuracy"
    arguments = ("k",)
    sparse = False
    one_hot = True

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = checks.whole("k", k, least=1)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return k."""
        return (float(self.k),)


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """`TopKCategoricalAccuracy` for targets that are class ids."""

    __slots__ = ()
    function = default_name = "sparse_top_k_categorical_accuracy"
    sparse = True
    one_hot = False

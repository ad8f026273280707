"""Metrics that are made of counts of true and false, positive and negative answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from .base import Array, Metric, Result, plain, ratio

if TYPE_CHECKING:
    from ..layers import Shape

__all__ = ["AUC", "ConfusionMatrix", "F1Score", "Precision", "Recall"]


class _Thresholds(Metric):
    """Counts how much weight lies between which thresholds, per output, for targets of no and of yes.

    A target is yes where it is above 0.5, or the class id; an output is where it is above a threshold.
    """

    __slots__ = ()
    kind = "tally"
    function = "thresholds"

    def counter_shape(self, n_outputs: int) -> Shape:
        """Return (n_outputs, 2, number of thresholds + 1)."""
        return (n_outputs, 2, len(self.constants(n_outputs)) + 1)

    def counts(self, sums: Sequence[float], class_id: int | None = None) -> tuple[Array, Array, Array, Array]:
        """Return true and false positives and negatives, (n_outputs, number of thresholds) each."""
        bins = np.asarray(sums, dtype=np.float64).reshape(-1, 2, len(self.constants(0)) + 1)
        if class_id is not None:
            bins = bins[class_id : class_id + 1]
        above = np.cumsum(bins[..., ::-1], axis=-1)[..., ::-1]
        positive, below = above[..., 1:], above[..., :1] - above[..., 1:]
        return positive[:, 1], positive[:, 0], below[:, 0], below[:, 1]  # tp, fp, tn, fn


class _Share(_Thresholds):
    __slots__ = ("class_id", "thresholds")
    arguments = ("thresholds", "class_id")

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.thresholds = None if thresholds is None else checks.number_or_list("thresholds", thresholds)
        self.class_id = None if class_id is None else checks.whole("class_id", class_id, least=0)

    def resolve(self, n_outputs: int, sparse_targets: bool) -> Metric:
        """Return self, if there is such a class."""
        if self.class_id is not None and self.class_id >= n_outputs:
            raise ValueError(
                f"class_id of metric {self.name!r} must be below the number of outputs, {n_outputs}; received "
                f"{self.class_id}."
            )
        return self

    def _given(self) -> list[float]:
        thresholds = 0.5 if self.thresholds is None else self.thresholds
        return thresholds if isinstance(thresholds, list) else [thresholds]

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the thresholds in ascending order."""
        return tuple(sorted(self._given()))

    def _share(self, right: Array, wrong: Array) -> Result:
        """Right answers out of both, summed over the outputs, in the order of the given thresholds."""
        right, wrong = right.sum(axis=0), wrong.sum(axis=0)
        return plain(ratio(right, right + wrong)[np.searchsorted(self.constants(0), self._given())])


class Precision(_Share):
    """``TP / (TP + FP)``: how many of the positive answers are right; 0 where there are none.

    Several outputs are counted together, as in Keras; class ids are taken as one-hot rows.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        An answer is positive above it, by default 0.5; several give an array.
    class_id : int, optional
        Count this output alone.
    name : str, optional

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(3,)), dp.layers.Dense(1, activation="sigmoid")])
    >>> model.compile(
    ...     optimizer="adam", loss="binary_crossentropy", metrics=[dp.metrics.Precision(thresholds=0.8)])
    >>> model.metrics_names
    ['loss', 'precision']
    """

    __slots__ = ()
    default_name = "precision"

    def value(self, sums: Sequence[float]) -> Result:
        """Return the precision at each threshold."""
        tp, fp, _, _ = self.counts(sums, self.class_id)
        return self._share(tp, fp)


class Recall(_Share):
    """``TP / (TP + FN)``: how many of the positive targets are found; 0 where there are none.

    Parameters as in `Precision`.
    """

    __slots__ = ()
    default_name = "recall"

    def value(self, sums: Sequence[float]) -> Result:
        """Return the recall at each threshold."""
        tp, _, _, fn = self.counts(sums, self.class_id)
        return self._share(tp, fn)


class AUC(_Thresholds):
    """The area under the ROC or the precision-recall curve, from counts at `num_thresholds` thresholds.

    As in Keras: thresholds are evenly spaced from 0 to 1, so outputs must be probabilities. The PR curve
    is interpolated by Davis and Goadrich (2006, *The relationship between precision-recall and ROC
    curves*).

    Parameters
    ----------
    num_thresholds : int
        At least 2.
    curve : {"ROC", "PR"}
    summation_method : {"interpolation", "minoring", "majoring"}
    name : str, optional
    thresholds : sequence of float, optional
        Inside (0, 1), instead of evenly spaced ones.
    multi_label : bool
        Average the areas of the outputs, instead of counting all outputs together.
    from_logits : bool
        Whether the outputs are to go through a sigmoid first.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(1,)), dp.layers.Dense(1, activation="sigmoid")])
    >>> model.set_weights([np.ones((1, 1)), np.zeros(1)])
    >>> model.compile(optimizer="adam", loss="binary_crossentropy", metrics=[dp.metrics.AUC()])
    >>> model.evaluate([[-1.0], [0.0], [1.0], [2.0]], [0, 1, 0, 1], verbose=0)[1]
    0.75
    """

    __slots__ = ("_constants", "curve", "from_logits", "multi_label", "num_thresholds", "summation_method",
                 "thresholds")  # fmt: skip
    default_name = "auc"
    arguments = ("num_thresholds", "curve", "summation_method", "thresholds", "multi_label", "from_logits")
    link = "sigmoid"

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
        name: str | None = None, thresholds: Sequence[float] | None = None, multi_label: bool = False,
        from_logits: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name)
        for what, value, known in (
            ("curve", curve, ("ROC", "PR")),
            ("summation_method", summation_method, ("interpolation", "minoring", "majoring")),
        ):
            if value not in known:
                raise ValueError(f"{what} must be one of {', '.join(known)}, received {value!r}.")
        self.curve, self.summation_method = curve, summation_method
        self.multi_label, self.from_logits = bool(multi_label), bool(from_logits)
        self.thresholds = None if thresholds is None else checks.numbers("thresholds", thresholds, least=0, most=1)
        if self.thresholds is None:
            self.num_thresholds = checks.whole("num_thresholds", num_thresholds, least=2)
            between = [i / (self.num_thresholds - 1) for i in range(1, self.num_thresholds - 1)]
        else:
            between = sorted(self.thresholds)
            self.num_thresholds = len(between) + 2
        self._constants = (-1e-7, *between, 1 + 1e-7)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the thresholds, one of which is below all probabilities and one above."""
        return self._constants

    def value(self, sums: Sequence[float]) -> Result:
        """Return the area."""
        counts = self.counts(sums)
        if not self.multi_label:
            counts = tuple(c.sum(axis=0, keepdims=True) for c in counts)
        tp, fp, tn, fn = counts
        if self.curve == "PR" and self.summation_method == "interpolation":
            return float(self._interpolated(tp, fp, fn).mean())
        recall = ratio(tp, tp + fn)
        x, y = (ratio(fp, fp + tn), recall) if self.curve == "ROC" else (recall, ratio(tp, tp + fp))
        left, right = y[:, :-1], y[:, 1:]
        heights = {
            "interpolation": (left + right) / 2,
            "minoring": np.minimum(left, right),
            "majoring": np.maximum(left, right),
        }[self.summation_method]
        return float(np.sum((x[:, :-1] - x[:, 1:]) * heights, axis=1).mean())

    @staticmethod
    def _interpolated(tp: Array, fp: Array, fn: Array) -> Array:
        """Between two thresholds true positives grow linearly with positives."""
        p = tp + fp
        more, less = p[:, :-1], p[:, 1:]
        gained = tp[:, :-1] - tp[:, 1:]
        slope = ratio(gained, more - less)
        intercept = tp[:, 1:] - slope * less
        both = (more > 0) & (less > 0)
        quotient = np.divide(more, less, out=np.ones_like(more), where=both)
        parts = ratio(slope * (gained + intercept * np.log(quotient)), tp[:, 1:] + fn[:, 1:])
        return np.asarray(parts.sum(axis=1))


class ConfusionMatrix(Metric):
    """How much weight each class (row) has under which prediction (column): an array of (n_classes, n_classes).

    The prediction is the largest output; a single output is class 1 where it is above the threshold.

    Parameters
    ----------
    threshold : float
        For a single output.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.Dense(2, activation="softmax")])
    >>> model.set_weights([np.eye(2), np.zeros(2)])
    >>> model.compile(
    ...     optimizer="adam", loss="sparse_categorical_crossentropy", metrics=[dp.metrics.ConfusionMatrix()])
    >>> x = [[1, 0], [1, 0], [0, 1], [1, 0]]
    >>> model.evaluate(x, [0, 0, 1, 1], verbose=0, return_dict=True)["confusion_matrix"]
    array([[2., 0.],
           [1., 1.]])
    """

    __slots__ = ("threshold",)
    kind = "tally"
    function = "confusion"
    default_name = "confusion_matrix"
    arguments = ("threshold",)

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        super().__init__(name)
        self.threshold = checks.number("threshold", threshold)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the threshold."""
        return (self.threshold,)

    def counter_shape(self, n_outputs: int) -> Shape:
        """Return (n_classes, n_classes)."""
        return (max(n_outputs, 2), max(n_outputs, 2))

    def value(self, sums: Sequence[float]) -> Result:
        """Return the matrix."""
        n = math.isqrt(len(sums))
        return np.array(sums, dtype=np.float64).reshape(n, n)


class F1Score(_Thresholds):
    """``2 TP / (2 TP + FP + FN)`` for each class: the harmonic mean of precision and recall.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        None gives an array with a number for each class (one number for a single output); "micro"
        counts all classes together; "macro" is the mean over classes; "weighted" weights it by the
        classes' targets.
    threshold : float, optional
        Every output above it is an answer. By default the largest output is the answer, and for a
        single output the threshold is 0.5 (in Keras a single output would always be yes).
    name : str, optional

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(4,)), dp.layers.Dense(3, activation="softmax")])
    >>> model.compile(
    ...     optimizer="adam", loss="categorical_crossentropy", metrics=[dp.metrics.F1Score("macro")])
    """

    __slots__ = ("average", "function", "threshold")
    default_name = "f1_score"
    arguments = ("average", "threshold")

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"average must be None, 'micro', 'macro' or 'weighted', received {average!r}.")
        self.average = average
        self.threshold = None if threshold is None else checks.number("threshold", threshold)
        self.function = "confusion" if self.threshold is None else "thresholds"

    def resolve(self, n_outputs: int, sparse_targets: bool) -> Metric:
        """Return the score with a threshold if there is but one output."""
        return F1Score(self.average, 0.5, self.name) if n_outputs == 1 and self.threshold is None else self

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the threshold."""
        return (0.5 if self.threshold is None else self.threshold,)

    def counter_shape(self, n_outputs: int) -> Shape:
        """Return that of the confusion matrix, or of the thresholds."""
        return (n_outputs, n_outputs) if self.threshold is None else super().counter_shape(n_outputs)

    def value(self, sums: Sequence[float]) -> Result:
        """Return the score of each class, or their average."""
        if self.threshold is None:
            n = math.isqrt(len(sums))
            matrix = np.asarray(sums, dtype=np.float64).reshape(n, n)
            tp = matrix.diagonal()
            fp, fn = matrix.sum(axis=0) - tp, matrix.sum(axis=1) - tp
        else:
            tp, fp, _, fn = (c[:, 0] for c in self.counts(sums))
        if self.average == "micro":
            tp, fp, fn = (np.asarray(np.sum(c, keepdims=True)) for c in (tp, fp, fn))
        scores = ratio(2 * tp, 2 * tp + fp + fn)
        if self.average == "weighted":
            return plain(ratio(np.sum(scores * (tp + fn)), np.sum(tp + fn)))
        return plain(scores) if self.average is None else float(scores.mean())



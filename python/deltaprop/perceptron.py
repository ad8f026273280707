"""Single neurons with learning rules of their own, before backpropagation: Perceptron and Adaline."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data import array_of, check_finite, check_length, check_not_empty, rows_of
from .training import TrainingDiverged
from .utils import draw_seed

__all__ = ["Adaline", "Perceptron"]

Array = npt.NDArray[Any]


class Neuron:
    """Base of both: ``a = w·x + b``, and a class by whether ``a > 0``; float64.

    Parameters
    ----------
    weights : array_like of shape (n_features,), optional
        Given, the neuron can decide without learning, and `fit` starts there; else at zeros.
    bias : float
        Minus the threshold of a neuron that fires where ``w·x`` exceeds one.
    """

    def __init__(self, weights: Any = None, bias: float = 0.0) -> None:
        self.weights: Array | None = None
        if weights is not None:
            given = array_of(weights, "weights")
            if given.ndim != 1 or not given.size:
                raise ValueError(f"weights must have shape (n_features,), received {given.shape}.")
            check_finite(given, "weights")
            self.weights = given.astype(np.float64)
        self.bias = checks.number("bias", bias)
        self.labels: tuple[int, int] = (0, 1)  # what predict returns; those of the last fit
        self.errors_per_epoch: list[int] = []
        self.converged: bool = False

    def decision_function(self, x: Any) -> Array:
        """Return ``a = w·x + b`` for each row of x, of shape (n_samples, n_features)."""
        if self.weights is None:
            raise ValueError(f"this {type(self).__name__} has no weights yet; call fit, or give it some.")
        activations: Array = rows_of(x, self.weights.shape).astype(np.float64) @ self.weights + self.bias
        return activations

    def predict(self, x: Any) -> Array:
        """Return a label for each row of x: the upper one where ``a > 0``."""
        lower, upper = self.labels
        return np.where(self.decision_function(x) > 0, upper, lower)

    def score(self, x: Any, y: Any) -> float:
        """Return the fraction of rows whose label is predicted."""
        predicted = self.predict(x)
        labels = array_of(y, "y")
        check_length(labels, len(predicted), "y")
        check_not_empty(labels, "y")
        return float(np.mean(predicted == labels.reshape(len(predicted))))

    def _begin(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Check data; return the rows with a 1 in front, for the bias, and whether each is to fire."""
        rows = array_of(x, "x")
        if rows.ndim != 2:
            raise ValueError(f"x must have shape (n_samples, n_features), received {rows.shape}.")
        if self.weights is not None:
            rows = rows_of(rows, self.weights.shape)
        check_not_empty(rows, "x")
        check_finite(rows, "x")
        given = array_of(y, "y")
        check_length(given, len(rows), "y")
        if given.size != len(rows):
            raise ValueError(f"y must have shape (n_samples,), received {given.shape}.")
        there = np.unique(given)
        labels = next((two for two in ((0, 1), (-1, 1)) if np.isin(there, two).all()), None)
        if labels is None:
            raise ValueError(f"y must hold labels 0 and 1, or -1 and 1, received {there[:5].tolist()}.")
        self.labels = labels
        self.errors_per_epoch = []
        self.converged = False
        if self.weights is None:
            self.weights = np.zeros(rows.shape[1])
        ones = np.ones((len(rows), 1))
        return np.hstack([ones, rows]), given.reshape(len(rows)) == 1

    def _orders(self, n: int, epochs: int, shuffle: bool, seed: int | None) -> Iterator[Array]:
        """Yield the order of the rows in each epoch."""
        if not shuffle:
            yield from [np.arange(n)] * epochs
            return
        seed = draw_seed() if seed is None else seed
        for epoch in range(epochs):
            yield _core.permutation(n, seed, epoch)

    @property
    def _joined(self) -> Array:
        """Bias and weights in one vector, as `_begin` returns the rows."""
        assert self.weights is not None
        return np.concatenate([[self.bias], self.weights])

    @_joined.setter
    def _joined(self, value: Array) -> None:
        self.bias, self.weights = float(value[0]), value[1:].copy()


class Perceptron(Neuron):
    """``w ← w + η (y − ŷ) x`` after every row, with ``ŷ = 1 if w·x + b > 0 else 0``; the same for b with x = 1.

    If a plane separates the two classes, the rule finds one in a finite number of corrections, whatever η and
    the order of the rows (Rosenblatt 1962; Novikoff 1962).

    Parameters
    ----------
    weights, bias
        As in `Neuron`.

    Attributes
    ----------
    weights : ndarray of shape (n_features,)
    bias : float
    errors_per_epoch : list of int
        Corrections made in each epoch of the last `fit`.
    converged : bool
        Whether its last epoch needed none.
    separable : bool or None
        True once the rule has converged. False if it came back to weights that it had before, which the theorem
        rules out for classes that a plane separates (a proof up to the rounding of the sums, which integers do not
        suffer). None while neither has happened.

    Examples
    --------
    >>> import deltaprop as dp
    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> nand = dp.Perceptron().fit(x, [1, 1, 1, 0])
    >>> nand.predict(x).tolist(), nand.separable
    ([1, 1, 1, 0], True)
    >>> dp.Perceptron(weights=(6, 2, 2), bias=-5).predict([[1, 0, 0]]).tolist()
    [1]
    """

    def __init__(self, weights: Any = None, bias: float = 0.0) -> None:
        super().__init__(weights, bias)
        self.separable: bool | None = None

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 100,
        learning_rate: float = 1.0,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> Perceptron:
        """Learn until an epoch needs no correction, and return the neuron.

        Parameters
        ----------
        x : array_like of shape (n_samples, n_features)
        y : array_like of shape (n_samples,)
            0 and 1, or −1 and 1; the rule sees 0 and 1 in either case.
        epochs : int
            At most so many.
        learning_rate : float
            η. From zeros it only scales the weights.
        shuffle : bool
            Draw a new order of the rows for each epoch.
        seed : int, optional
            Of these orders; drawn from `dp.utils.set_random_seed` by default.

        Raises
        ------
        ValueError
            For data or arguments that do not fit; nothing is changed then.

        Warns
        -----
        UserWarning
            If the classes are not separated in the end.
        """
        epochs = checks.whole("epochs", epochs, least=1)
        learning_rate = checks.number("learning_rate", learning_rate, above=0)
        seed = None if seed is None else checks.seed(seed)
        rows, fires = self._begin(x, y)
        self.separable = None
        w, before = self._joined, set[bytes]()
        for order in self._orders(len(rows), epochs, shuffle, seed):
            before.add(w.tobytes())
            corrections = 0
            for row, target in zip(rows[order], fires[order]):
                error = int(target) - int(row @ w > 0)
                if error:
                    w += learning_rate * error * row
                    corrections += 1
            self.errors_per_epoch.append(corrections)
            self.converged = corrections == 0
            if self.converged or w.tobytes() in before:
                self.separable = self.converged
                break
        self._joined = w
        if not self.converged:
            reason = f"not separated within {epochs} epochs; more may do"
            if self.separable is False:
                reason = "not linearly separable: the weights have come back to what they were before"
            warnings.warn(f"the classes are {reason}.", stacklevel=2)
        return self


class Adaline(Neuron):
    """``w ← w + η (t − a) x`` with the linear output ``a = w·x + b`` and targets t = ±1: least mean squares.

    Gradient descent on ``½ (t − a)²`` (Widrow & Hoff 1960), so that it settles for classes that no plane
    separates, too. Steps on whole batches converge for ``η < 2 / λ``, λ the largest eigenvalue of the mean of x xᵀ.

    Parameters
    ----------
    weights, bias
        As in `Neuron`.

    Attributes
    ----------
    weights : ndarray of shape (n_features,)
    bias : float
    errors_per_epoch : list of int
        Rows on the wrong side, in each epoch of the last `fit`.
    loss_per_epoch : list of float
        The mean of ``½ (t − a)²`` in each; both as the rows were met, before the step on them.
    converged : bool
        Whether its last epoch changed no weight by more than the tolerance.

    Examples
    --------
    >>> import deltaprop as dp
    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> adaline = dp.Adaline().fit(x, [0, 0, 0, 1], epochs=2000, learning_rate=0.5, batch_size=4)
    >>> adaline.predict(x).tolist(), adaline.weights.round(3).tolist(), round(adaline.bias, 3)
    ([0, 0, 0, 1], [1.0, 1.0], -1.5)
    """

    def __init__(self, weights: Any = None, bias: float = 0.0) -> None:
        super().__init__(weights, bias)
        self.loss_per_epoch: list[float] = []

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 100,
        learning_rate: float = 0.01,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int | None = None,
        tolerance: float = 1e-9,
    ) -> Adaline:
        """Learn until the weights rest, and return the neuron.

        Parameters
        ----------
        x : array_like of shape (n_samples, n_features)
        y : array_like of shape (n_samples,)
            0 and 1, or −1 and 1; the rule sees −1 and 1 in either case.
        epochs : int
            At most so many.
        learning_rate : float
            η.
        batch_size : int
            Rows per step, whose corrections are averaged: 1 is the online rule, ``len(x)`` the batch rule.
        shuffle : bool
            Draw a new order of the rows for each epoch.
        seed : int, optional
            Of these orders; drawn from `dp.utils.set_random_seed` by default.
        tolerance : float
            Stop after an epoch that changed no weight by more.

        Raises
        ------
        ValueError
            For data or arguments that do not fit; nothing is changed then.
        TrainingDiverged
            If the learning rate is too large; the weights are those of the start of that epoch.
        """
        epochs, batch_size = checks.whole("epochs", epochs, least=1), checks.whole("batch_size", batch_size, least=1)
        learning_rate = checks.number("learning_rate", learning_rate, above=0)
        seed = None if seed is None else checks.seed(seed)
        tolerance = checks.number("tolerance", tolerance, least=0)
        rows, fires = self._begin(x, y)
        targets = np.where(fires, 1.0, -1.0)
        self.loss_per_epoch = []
        for epoch, order in enumerate(self._orders(len(rows), epochs, shuffle, seed)):
            w, loss, wrong = self._joined, 0.0, 0
            for first in range(0, len(rows), batch_size):
                batch = order[first : first + batch_size]
                with np.errstate(over="ignore", invalid="ignore"):
                    a = rows[batch] @ w
                    error = targets[batch] - a
                    loss += float(np.sum(error**2)) / (2 * len(rows))
                    w += learning_rate / len(batch) * (error @ rows[batch])
                if not (math.isfinite(loss) and np.isfinite(w).all()):
                    raise TrainingDiverged(epoch, first // batch_size, {"loss": self.loss_per_epoch})
                wrong += int(np.count_nonzero((a > 0) != fires[batch]))
            self.errors_per_epoch.append(wrong)
            self.loss_per_epoch.append(loss)
            self.converged = bool(np.abs(w - self._joined).max() <= tolerance)
            self._joined = w
            if self.converged:
                break
        return self

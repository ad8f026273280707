"""What the user passes, checked for an executor: rows, targets, weights. Nothing is copied whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .graph import Graph
from .layers import Shape
from .layers.embedding import embedded_inputs
from .losses import FunctionLoss
from .objective import Term, per_entry

__all__ = [
    "check_finite", "check_ids", "finite_rows", "fold_weights", "inputs_of", "moments", "rows_of",
    "split_validation", "targets_of",
]  # fmt: skip

Array = npt.NDArray[Any]


def array_of(given: Any, what: str) -> Array:
    """Return an array of numbers that `_core` can read in place, or raise a ValueError."""
    if given is None:
        raise ValueError(f"{what} is missing: an array with one entry per row is needed, received None.")
    if hasattr(given, "toarray"):
        raise ValueError(
            f"{what} is a sparse matrix of type {type(given).__name__}; pass {what}.toarray()."
        )
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"{what} is no rectangular array; all rows must have the same length ({error})."
        ) from None
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{what} must hold real numbers, received dtype {array.dtype}"
            + ("; convert it with .astype('float32')." if array.dtype.kind in "OUS" else ".")
        )
    if array.ndim == 0:
        raise ValueError(f"{what} must have one entry per row, received the single number {array}.")
    readable = array.dtype.isnative and array.flags.aligned and array.dtype.itemsize in (1, 2, 4, 8)
    if array.dtype.kind == "f":
        readable = readable and array.dtype.itemsize in (4, 8)
    if not readable:  # half and extended precision, foreign byte order: rare, and copied
        wanted = np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("=")
        array = array.astype(np.float64 if array.dtype.kind == "f" and array.itemsize > 8 else wanted)
    return array


def rows_of(x: Any, shape: Shape, what: str = "x") -> Array:
    """Return x as rows of the given shape.

    Parameters
    ----------
    x : array_like of shape (n_samples, *shape)
        A vector is taken as n_samples rows of one feature.
    """
    array = array_of(x, what)
    if array.ndim == 1 and shape == (1,):
        array = array[:, np.newaxis]
    if array.shape[1:] != shape:
        wanted = ", ".join(("n_samples", *map(str, shape)))
        hint = ""
        if array.shape == shape:
            hint = f" For a single row pass {what}[np.newaxis]."
        elif array.ndim > 1 and np.prod(array.shape[1:]) == np.prod(shape):
            hint = f" {what}.reshape(len({what}), {', '.join(map(str, shape))}) would fit."
        raise ValueError(f"{what} must have shape ({wanted}), received shape {array.shape}.{hint}")
    return array


def entry_names(names: Sequence[str], what: str) -> list[str]:
    """Return what messages call each of several inputs or outputs."""
    return [what] if len(names) == 1 else [f"{what}[{name!r}]" for name in names]


def inputs_of(x: Any, names: Sequence[str], shapes: Sequence[Shape], what: str) -> list[Array]:
    """Return an array of rows for each input, all of one length.

    Parameters
    ----------
    x : array_like, or a list or dict of them
    names : sequence of str
        Of the inputs.
    shapes : sequence of tuple of int
        Of one row of each.
    """
    labels = entry_names(names, what)
    rows = [rows_of(a, s, label) for a, s, label in zip(per_entry(x, names, what), shapes, labels)]
    for array, label in zip(rows, labels):
        if len(array) != len(rows[0]):
            raise ValueError(
                f"all inputs must have the same number of rows: {labels[0]} has {len(rows[0])}, {label} has "
                f"{len(array)}."
            )
    return rows


def check_length(array: Array, n: int, what: str) -> None:
    """Raise unless there is one entry per row."""
    if len(array) != n:
        raise ValueError(f"{what} must have one entry per row: there are {n} rows, and {what} has {len(array)}.")


def check_not_empty(array: Array, what: str) -> None:
    """Raise if there are no rows."""
    if len(array) == 0:
        raise ValueError(f"{what} has no rows (shape {array.shape}); at least one is needed.")


def check_finite(array: Array, what: str) -> None:
    """Raise if there is a NaN or an infinity; one pass in C++, without a copy."""
    if array.dtype.kind == "f" and not _core.all_finite(array):
        first = next(i for i in range(len(array)) if not np.isfinite(array[i]).all())
        raise ValueError(
            f"{what} contains NaN or infinity, first in row {first}. Drop such rows or replace the values."
        )


def check_ids(inputs: Sequence[Array], graph: Graph, what: str) -> None:
    """Raise unless what goes to an Embedding are integers that it has vectors for."""
    labels = entry_names([str(t.layer.name) for t in graph.inputs], what)
    for i, layer in embedded_inputs(graph):
        array = inputs[i]
        integers = array.dtype.kind != "f" or np.array_equal(array, np.floor(array))
        if array.size and not (integers and array.min() >= 0 and array.max() < layer.input_dim):
            other = f"numbers from {array.min()} to {array.max()}"
            if not integers:
                other = str(array[array != np.floor(array)][0])
            raise ValueError(
                f"{labels[i]} goes to layer {layer.name!r} (Embedding), which takes integers from 0 to "
                f"{layer.input_dim - 1}; received {other}."
            )


def finite_rows(data: Any, shape: Shape | None, what: str) -> Array:
    """Return data that a layer adapts to: at least one row, without NaN or infinity, of a shape if it is known."""
    array = array_of(data, what) if shape is None else rows_of(data, shape, what)
    check_not_empty(array, what)
    check_finite(array, what)
    return array


def moments(data: Any, shape: Shape | None, averaged: Callable[[int], tuple[int, ...]]) -> tuple[Array, Array]:
    """Return mean and variance (divisor n) in float64, over some axes, kept with length 1, and the rows.

    Parameters
    ----------
    data : array_like of shape (n_samples, *shape)
    shape : tuple of int, optional
        Of one row, where it is known.
    averaged : callable
        From the number of axes to those that are averaged over, the rows' 0 first.
    """
    array = finite_rows(data, shape, "data")
    axes = averaged(array.ndim)
    pieces = [array[i : i + 4096] for i in range(0, len(array), 4096)]  # never converted whole
    count = array.size / np.prod([n for a, n in enumerate(array.shape) if a not in axes])
    mean = sum(piece.sum(axis=axes, dtype=np.float64, keepdims=True) for piece in pieces) / count
    variance = sum(np.square(piece - mean).sum(axis=axes, keepdims=True) for piece in pieces) / count
    return mean[0], variance[0]


def targets_of(y: Any, n: int, output_shape: Shape, term: Term, what: str = "y") -> Array:
    """Return y as the loss takes it, every value checked.

    Parameters
    ----------
    y : array_like of shape (n_samples,) or (n_samples, 1) for class ids, (n_samples, *output_shape) otherwise
    n : int
        Rows of x.
    """
    array = array_of(y, what)
    check_length(array, n, what)
    check_finite(array, what)
    shape = term.target_shape(output_shape)
    if term.sparse:
        return _class_ids(array, output_shape[-1], what)
    if array.ndim == 1 and shape == (1,):
        array = array[:, np.newaxis]
    if array.shape[1:] != shape:
        wanted = ", ".join(("n_samples", *map(str, shape)))
        fit = "match the model's output"
        if shape != output_shape:
            fit = f"fit loss {term.name!r} on the model's output of shape {output_shape}"
        hint = ""
        if isinstance(term.loss, FunctionLoss):
            hint = " A function takes targets of another shape as dp.losses.FunctionLoss(function, target_shape=(1,))."
        if term.one_hot and array.shape[1:] in ((), (1,)):
            hint = " For class ids use loss='sparse_categorical_crossentropy', or dp.utils.to_categorical."
        raise ValueError(f"{what} must have shape ({wanted}) to {fit}, received {array.shape}.{hint}")
    if term.loss is not None and array.dtype.kind != "b" and array.size:
        term.loss.check_targets(array, what)
    return array


def _class_ids(array: Array, n_classes: int, what: str) -> Array:
    if array.ndim > 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"{what} must hold class ids, of shape (n_samples,), for a sparse loss; received shape "
            f"{array.shape}. For one-hot rows use loss='categorical_crossentropy'."
        )
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        other = array[array != np.floor(array)][0]
        raise ValueError(f"{what} must hold class ids, which are integers; received {other}.")
    if array.size and (int(array.min()) < 0 or int(array.max()) >= n_classes):
        raise ValueError(
            f"{what} must hold class ids from 0 to {n_classes - 1} ({n_classes} outputs), received ids "
            f"from {array.min()} to {array.max()}."
        )
    return array.reshape(len(array))


def _classes(y: Array, term: Term) -> Array | None:
    """Return the class id of each row, or None where targets are no classes."""
    if term.sparse:
        return y.astype(np.int64)
    if term.one_hot:
        return np.asarray(y.argmax(axis=1))
    if y.ndim == 2 and y.shape[1] == 1 and np.isin(y, (0, 1)).all():
        return y[:, 0].astype(np.int64)
    return None


def fold_weights(
    y: Array, term: Term, output_shape: Shape, sample_weight: Any,
    class_weight: Mapping[int, float] | str | None, what: str = "",
) -> Array | None:  # fmt: skip
    """Fold class and sample weights into one weight per row, or None for ones.

    Parameters
    ----------
    y : ndarray
        As `targets_of` returned it.
    sample_weight : array_like of shape (n_samples,), optional
        Not negative.
    class_weight : dict of int to float, or "balanced", optional
        A class that is not named has weight 1. "balanced" is n_samples / (n_classes * count).
    """
    weights = None
    if sample_weight is not None:
        weights = array_of(sample_weight, f"{what}sample_weight")
        check_length(weights, len(y), f"{what}sample_weight")
        if weights.shape not in ((len(y),), (len(y), 1)):
            raise ValueError(
                f"{what}sample_weight must have shape (n_samples,), received {weights.shape}."
            )
        weights = weights.reshape(len(y))
        check_finite(weights, f"{what}sample_weight")
        if weights.size and weights.min() < 0:
            raise ValueError(f"{what}sample_weight must not be negative, received {weights.min()}.")
    if class_weight is None:
        return weights
    classes = _classes(y, term)
    if classes is None:
        raise ValueError(
            "class_weight needs targets that are classes: class ids, one-hot rows or a 0/1 column; "
            "use sample_weight instead."
        )
    n_classes = max(output_shape[-1], 2) if term.sparse or term.one_hot else 2
    by_class = _class_table(classes, n_classes, class_weight)[classes]
    return by_class if weights is None else by_class * weights


def _class_table(
    classes: Array, n_classes: int, class_weight: Mapping[int, float] | str
) -> npt.NDArray[np.float64]:
    counts = np.bincount(classes)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight must be a dict or 'balanced', received {class_weight!r}.")
        present = np.count_nonzero(counts)
        return len(classes) / (present * np.maximum(counts, 1))
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"class_weight must be a dict such as {{0: 1.0, 1: 5.0}} or 'balanced', received "
            f"{class_weight!r}."
        )
    table = np.ones(n_classes)
    for key, value in class_weight.items():
        if checks.whole("a class id in class_weight", key, least=0) >= n_classes:
            raise ValueError(f"class_weight names class {key}; the classes are 0 to {n_classes - 1}.")
        table[int(key)] = checks.number(f"class_weight[{key}]", value, least=0)
    return table


def split_validation(n: int, fraction: float, targets: Sequence[Array], terms: Sequence[Term]) -> int:
    """Return how many rows train when the last `fraction` validates, as in Keras: before any shuffling.

    Warns if the split leaves a class without rows on one side: sorted data are split badly this way.
    """
    split = int(np.floor(n * (1.0 - fraction)))
    if split == 0 or split == n:
        raise ValueError(
            f"validation_split={fraction} of {n} rows leaves {split} to train on and {n - split} to "
            f"validate on; another fraction or more rows would do."
        )
    for y, term in zip(targets, terms):
        classes = _classes(y, term)
        if classes is None:
            continue
        train, held = set(np.unique(classes[:split])), set(np.unique(classes[split:]))
        for side, unseen in (("training", held - train), ("validation", train - held)):
            if unseen:
                warnings.warn(
                    f"validation_split={fraction} takes the last {n - split} rows, which leaves "
                    f"{'class' if len(unseen) == 1 else 'classes'} {sorted(map(int, unseen))} out of the "
                    f"{side} rows. Shuffle the rows first, or pass validation_data.",
                    stacklevel=4,
                )
    return split

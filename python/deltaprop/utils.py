"""Keras's public helpers (`set_random_seed`, `to_categorical`), and the one way names are looked up and made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import checks

__all__ = ["set_random_seed", "to_categorical"]

Value = TypeVar("Value")


def choose(what: str, name: object, known: Mapping[str, Value]) -> Value:
    """Return ``known[name]``, or raise a ValueError that names the nearest known words."""
    if isinstance(name, str) and name in known:
        return known[name]
    if not isinstance(name, str):
        raise ValueError(
            f"{what} must be a name or an instance, received {name!r} of type "
            f"{type(name).__name__}. Known names: {', '.join(sorted(known))}."
        )
    import difflib  # only for the message

    near = difflib.get_close_matches(name.lower(), known, n=3)
    hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    raise ValueError(f"unknown {what} {name!r}. {hint}Known: {', '.join(sorted(known))}.")


def unique_name(stem: str, taken: Collection[Any]) -> str:
    """stem, stem_1, stem_2, ..."""
    name, n = stem, 0
    while name in taken:
        n += 1
        name = f"{stem}_{n}"
    return name


class _Seeds:
    """Where models that were given no seed take theirs from."""

    seed: int | None = None
    drawn = 0


def set_random_seed(seed: int) -> None:
    """Make everything that follows reproducible: models built later, `random` and NumPy's global generator.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.utils.set_random_seed(7)
    """
    import random

    _Seeds.seed = checks.seed(seed)
    random.seed(_Seeds.seed)
    np.random.seed(_Seeds.seed)
    _Seeds.drawn = 0


def draw_seed() -> int:
    """Return the next model's seed: fresh entropy, or the n-th word after `set_random_seed`."""
    from . import _core

    if _Seeds.seed is None:
        import secrets

        return secrets.randbits(32)
    stream = _Seeds.drawn
    _Seeds.drawn += 1
    return int(_core.random_bits(_Seeds.seed, stream, 1)[0])


def to_categorical(x: npt.ArrayLike, num_classes: int | None = None) -> npt.NDArray[np.float64]:
    """Turn class ids into one-hot rows.

    Parameters
    ----------
    x : array_like of int of shape (...)
        Class ids from 0 on. A last axis of length 1 is dropped, as in Keras.
    num_classes : int, optional
        Columns of the result; the largest id plus one where it is not given.

    Returns
    -------
    ndarray of shape (..., num_classes)

    Raises
    ------
    ValueError
        If an id is negative, not an integer or not below `num_classes`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.utils.to_categorical([0, 2], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    given: npt.NDArray[Any] = np.asarray(x)
    if num_classes is not None:
        num_classes = checks.whole("num_classes", num_classes, least=1)
    if given.dtype.kind not in "iub" and not (
        given.dtype.kind == "f" and bool(np.all(given == np.floor(given)))
    ):
        raise ValueError(f"class ids must be integers, received an array of {given.dtype}.")
    ids = given.astype(np.int64)
    if ids.ndim > 1 and ids.shape[-1] == 1:
        ids = ids[..., 0]
    if ids.size and int(ids.min()) < 0:
        raise ValueError(f"class ids must not be negative, received {int(ids.min())}.")
    most = int(ids.max()) + 1 if ids.size else 0
    if num_classes is None:
        num_classes = most
    elif most > num_classes:
        raise ValueError(
            f"class id {most - 1} does not fit num_classes={num_classes}; ids go from 0 to "
            f"{num_classes - 1}."
        )
    return np.eye(num_classes, dtype=np.float64)[ids]

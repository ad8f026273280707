"""Arguments checked: numbers, seeds, shapes, names. What comes out is plain Python, for JSON; data.py checks data."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["array", "axes", "name", "number", "number_or_list", "numbers", "seed", "shape", "whole"]

_INTEGERS, _NUMBERS = (int, Integral), (float, int, Real)  # to ask an abstract class takes ten times as long


def number(
    what: str, value: Any, *, least: float | None = None, above: float | None = None, most: float | None = None,
    below: float | None = None,
) -> float:  # fmt: skip
    """Return a finite number as a float.

    Parameters
    ----------
    what : str
        What the message calls it.
    value : int or float
        Of Python or NumPy, but no bool.
    least, above, most, below : float, optional
        Bounds: ``least <= value``, ``above < value``, ``value <= most``, ``value < below``.

    Raises
    ------
    ValueError
        For anything else.
    """
    try:
        plain = float(value) if isinstance(value, _NUMBERS) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer beyond all floats
        plain = math.inf
    _require(math.isfinite(plain), "a finite number", what, value, plain, (least, above, most, below))
    return plain


def whole(what: str, value: Any, *, least: int | None = None, below: int | None = None) -> int:
    """Return an integer, of Python or NumPy, as an int; otherwise as `number`."""
    valid = _is_whole(value)
    _require(valid, "an integer", what, value, int(value) if valid else 0, (least, None, None, below))
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, _INTEGERS) and not isinstance(value, bool)


def _require(
    valid: bool, kind: str, what: str, value: Any, plain: float, bounds: tuple[float | None, ...]
) -> None:
    least, above, most, below = bounds
    if (
        not valid
        or (least is not None and plain < least)
        or (above is not None and plain <= above)
        or (most is not None and plain > most)
        or (below is not None and plain >= below)
    ):
        words = zip(("of at least", "above", "at most", "below"), bounds)
        limits = " and ".join(f"{word} {bound}" for word, bound in words if bound is not None)
        raise ValueError(f"{what} must be {f'{kind} {limits}'.rstrip()}, received {value!r}.")


def numbers(what: str, values: Any, **bounds: float) -> list[float]:
    """Return one or more numbers, from a sequence or an array, as a list of floats; bounds as in `number`."""
    given = list(values) if _is_several(values) else []
    if not given:
        raise ValueError(f"{what} must be a list of at least one number, received {values!r}.")
    return [number(f"{what}[{i}]", value, **bounds) for i, value in enumerate(given)]


def number_or_list(what: str, value: Any, **bounds: float) -> float | list[float]:
    """Return what `number` makes of one number, or `numbers` of several."""
    return numbers(what, value, **bounds) if _is_several(value) else number(what, value, **bounds)


def _is_several(value: Any) -> bool:
    return np.iterable(value) and not isinstance(value, str)


def seed(value: Any) -> int:
    """Return the seed of a random generator as an int."""
    if not _is_whole(value) or not 0 <= value < 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, received {value!r}.")
    return int(value)


def shape(what: str, value: Any) -> tuple[int, ...]:
    """Return the shape of one row as a tuple of positive ints; an integer is that of a vector."""
    given = value if isinstance(value, (tuple, list)) else (value,)
    if not given or not all(_is_whole(n) and n > 0 for n in given):
        raise ValueError(
            f"{what} must be a tuple of positive integers without the batch axis, such as (784,), received {value!r}."
        )
    return tuple(int(n) for n in given)


def axes(what: str, value: Any) -> tuple[int, ...]:
    """Return an axis, or several, as a tuple of ints."""
    given = value if isinstance(value, (tuple, list)) else (value,)
    if not all(_is_whole(axis) for axis in given):
        raise ValueError(f"{what} must be an integer or a tuple of them, received {value!r}.")
    return tuple(int(axis) for axis in given)


def array(what: str, value: Any) -> npt.NDArray[np.float64]:
    """Return finite numbers, of any shape, as an array of float64."""
    try:
        given: npt.NDArray[Any] = np.asarray(value)
        valid = given.dtype.kind in "biuf" and bool(np.isfinite(given).all())
    except ValueError:  # rows of different lengths
        valid = False
    if not valid:
        raise ValueError(f"{what} must be finite numbers, received {value!r}.")
    return given.astype(np.float64)


def name(what: str, value: Any) -> str:
    """Return the name of a layer, a model and so on."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"the name of {what} must be a non-empty string, received {value!r}.")
    return value

"""Activation functions, and what derivatives read; the arithmetic is in the kernels and textbook.py."""

from __future__ import annotations

from collections.abc import Callable

from .utils import choose

__all__ = ["get", "linear", "relu", "sigmoid", "softmax", "tanh"]


class Activation:
    """An activation function, by name.

    Parameters
    ----------
    name : str
        As Keras spells it.
    reads : {"output", "input"}
        What the derivative is computed from. An activation whose derivative reads the input keeps
        its input until the backward pass; the others run in place.
    formula : str
        For the printed plan and the documentation.
    """

    __slots__ = ("formula", "name", "reads")

    def __init__(self, name: str, reads: str, formula: str) -> None:
        self.name = name
        self.reads = reads
        self.formula = formula

    def __repr__(self) -> str:
        return f"<activation {self.name}: {self.formula}>"


linear = Activation("linear", "output", "a")
relu = Activation("relu", "output", "max(0, a)")
sigmoid = Activation("sigmoid", "output", "1 / (1 + exp(-a))")
tanh = Activation("tanh", "output", "tanh(a)")
softmax = Activation("softmax", "output", "exp(a_k) / sum_j exp(a_j)")

ACTIVATIONS = {a.name: a for a in (linear, relu, sigmoid, tanh, softmax)}


def get(identifier: str | Activation | Callable[..., object] | None) -> Activation:
    """Return the activation that a name stands for; None is linear.

    Raises
    ------
    ValueError
        For a name that is not known; the message suggests the nearest ones.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Activation):
        return identifier
    return choose("activation", identifier, ACTIVATIONS)

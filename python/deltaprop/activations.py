"""Activation functions: formulas and what derivatives read; the arithmetic is in the kernels and the textbook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import checks
from .utils import choose

__all__ = [
    "Activation", "celu", "elu", "exponential", "gelu", "gelu_tanh", "get", "hard_sigmoid", "hard_tanh",
    "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "sign", "silu",
    "softmax", "softplus", "softsign", "step", "swish", "tanh",
]  # fmt: skip


class Activation:
    """An activation function, by name.

    Parameters
    ----------
    name : str
        As Keras spells it.
    reads : {"output", "input", "nothing"}
        What the derivative is computed from. An activation whose derivative reads the input keeps
        its input until the backward pass; the others run in place. One whose derivative is zero
        wherever it exists reads nothing, and only predicts.
    formula : str
        For the documentation; `a` is what goes in.
    alpha : float, optional
        The function's constant, where it has one; `with_alpha` gives the function with another.
    rowwise : bool
        Whether an output depends on the whole row, as with softmax.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.layers.Dense(8, activation=dp.activations.leaky_relu.with_alpha(0.1)).activation
    <activation leaky_relu: a if a > 0 else alpha a, alpha = 0.1>
    """

    __slots__ = ("alpha", "formula", "name", "reads", "rowwise")

    def __init__(
        self, name: str, reads: str, formula: str, alpha: float | None = None, *, rowwise: bool = False
    ) -> None:
        self.name = name
        self.reads = reads
        self.formula = formula
        self.alpha = alpha
        self.rowwise = rowwise

    @property
    def constants(self) -> tuple[float, ...]:
        """The attributes of its operations in a plan."""
        return () if self.alpha is None else (self.alpha,)

    def with_alpha(self, alpha: float) -> Activation:
        """Return the same function with another constant.

        Raises
        ------
        ValueError
            If the function has none, or for anything but a positive number.
        """
        if self.alpha is None:
            raise ValueError(f"{self.name} has no constant, received {alpha!r} for one.")
        alpha = checks.number(f"the constant of {self.name}", alpha, above=0)
        return Activation(self.name, self.reads, self.formula, alpha, rowwise=self.rowwise)

    def __repr__(self) -> str:
        constant = "" if self.alpha is None else f", alpha = {self.alpha:g}"
        return f"<activation {self.name}: {self.formula}{constant}>"


class FunctionActivation(Activation):
    """A Python pair as an activation: slow, but anything goes.

    Parameters
    ----------
    value, derivative : callable
        Each takes an array z of shape (n_samples, units) and returns one of that shape: φ(z) and φ'(z).
    """

    __slots__ = ("derivative", "value")

    def __init__(self, value: Callable[..., Any], derivative: Callable[..., Any]) -> None:
        name = getattr(value, "__name__", type(value).__name__)
        super().__init__(f"<function {name}>", "input", "a Python function")  # no name that a file could hold
        self.value = value
        self.derivative = derivative


linear = Activation("linear", "output", "a")
relu = Activation("relu", "output", "max(0, a)")
sigmoid = Activation("sigmoid", "output", "1 / (1 + exp(-a))")
tanh = Activation("tanh", "output", "tanh(a)")
step = Activation("step", "nothing", "1 if a > 0 else 0")
sign = Activation("sign", "nothing", "1 if a >= 0 else -1")
leaky_relu = Activation("leaky_relu", "output", "a if a > 0 else alpha a", 0.2)
relu6 = Activation("relu6", "output", "min(max(0, a), alpha)", 6.0)
hard_tanh = Activation("hard_tanh", "output", "min(max(-1, a), 1)")
hard_sigmoid = Activation("hard_sigmoid", "output", "min(max(0, a + 3), 6) / 6")
elu = Activation("elu", "output", "a if a > 0 else alpha (exp(a) - 1)", 1.0)
selu = Activation("selu", "output", "1.0507 (a if a > 0 else 1.6733 (exp(a) - 1))")
celu = Activation("celu", "output", "a if a > 0 else alpha (exp(a / alpha) - 1)", 1.0)
gelu = Activation("gelu", "input", "a (1 + erf(a / sqrt(2))) / 2")
gelu_tanh = Activation("gelu_tanh", "input", "a (1 + tanh(sqrt(2 / pi) (a + 0.044715 a^3))) / 2")
silu = swish = Activation("silu", "input", "a / (1 + exp(-a))")
mish = Activation("mish", "input", "a tanh(ln(1 + exp(a)))")
softplus = Activation("softplus", "output", "ln(1 + exp(a))")
softsign = Activation("softsign", "output", "a / (1 + |a|)")
exponential = Activation("exponential", "output", "exp(a)")
softmax = Activation("softmax", "output", "exp(a_k) / sum_j exp(a_j)", rowwise=True)
log_softmax = Activation("log_softmax", "output", "a_k - ln sum_j exp(a_j)", rowwise=True)

ACTIVATIONS = {a.name: a for a in list(globals().values()) if isinstance(a, Activation)}


def get(identifier: Any) -> Activation:
    """Return the activation that a name, or what `serialize` returned, stands for; None is linear.

    A pair (value, derivative) of Python functions is an activation, too.

    Raises
    ------
    ValueError
        For a name that is not known; the message suggests the nearest ones.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Activation):
        return identifier
    if isinstance(identifier, dict) and set(identifier) == {"name", "alpha"}:
        return get(identifier["name"]).with_alpha(identifier["alpha"])
    if isinstance(identifier, (tuple, list)) and len(identifier) == 2 and all(map(callable, identifier)):
        return FunctionActivation(*identifier)
    if callable(identifier):
        raise ValueError(
            f"an activation of your own is a pair (value, derivative) of functions, received {identifier!r} alone."
        )
    return choose("activation", identifier, {**ACTIVATIONS, "swish": swish})


def serialize(activation: Activation) -> str | dict[str, Any]:
    """Return the name, with the constant where it is not the usual one, ready for JSON."""
    if isinstance(activation, FunctionActivation) or activation.alpha == ACTIVATIONS[activation.name].alpha:
        return activation.name
    return {"name": activation.name, "alpha": activation.alpha}

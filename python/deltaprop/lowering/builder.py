"""Adding operations and buffers to a plan."""

from __future__ import annotations

from typing import Any

from .. import host
from ..activations import Activation, FunctionActivation, linear, softmax
from ..plan import Op, Plan
from ..variable import Variable

__all__ = ["Builder"]


class Builder:
    """Adds a network's operations to a plan, span by span."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.parameters: dict[Variable, int] = {}
        self.streams = 0
        self.gradients: dict[int, int] = {}  # by parameter
        self.functions: dict[int, FunctionActivation] = {}  # by what they put out
        self.numbers: dict[str, int] = {}

    def name(self, stem: str) -> str:
        """Return z1, z2, ... for the stem z."""
        self.numbers[stem] = self.numbers.get(stem, 0) + 1
        return f"{stem}{self.numbers[stem]}"

    def rows(self, role: str, like: int, name: str) -> int:
        """Add a buffer with rows of the same shape as another's."""
        return self.plan.buffer(role, self.plan.buffers[like].shape, name)

    def emit(self, span: str, kind: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **more: Any) -> None:
        """Add an operation."""
        self.plan.spans[span].append(Op(kind, inputs, outputs, **more))

    def parameter(self, variable: Variable, stem: str) -> int:
        """Return the buffer of a variable, the same each time it is used."""
        if variable not in self.parameters:
            number = self.plan.buffer("parameter", variable.shape, self.name(stem))
            self.parameters[variable] = number
            self.plan.variables[number] = variable
        return self.parameters[variable]

    def stream(self, seed: int | None) -> float:
        """Return what keeps the random bits of two layers apart; a seed of its own takes a stream far away."""
        self.streams += 1
        return float(self.streams if seed is None else 2**31 + seed % 2**31)

    def gradient(self, parameter: int) -> tuple[int, bool]:
        """Return the buffer of a parameter's gradient, and whether there is something in it to add to."""
        known = parameter in self.gradients
        if not known:
            buffer = self.plan.buffers[parameter]
            self.gradients[parameter] = self.plan.buffer("gradient", buffer.shape, "g" + buffer.name)
        return self.gradients[parameter], known

    def delta(self, like: int) -> int:
        """Add a buffer for the gradient with respect to another."""
        name = "d" + self.plan.buffers[like].name
        while any(name == b.name for b in self.plan.buffers):  # another reader's share of the same gradient
            name += "'"
        return self.rows("delta", like, name)

    def call(self, span: str, function: host.Host, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        """Add an operation that calls a Python function."""
        self.plan.hosts.append(function)
        number = float(len(self.plan.hosts) - 1)
        self.emit(span, "host", inputs, outputs, function=function.__qualname__.split(".")[0], attributes=(number,))

    def activate(self, span: str, activation: Activation, z: int) -> int:
        """Add an activation of its own and return its output."""
        if activation is linear:
            return z
        a = self.rows("activation", z, self.name("p" if activation is softmax else "a"))
        if isinstance(activation, FunctionActivation):
            self.functions[a] = activation
            self.call(span, host.activation(activation), (z,), (a,))
        elif activation.rowwise:
            self.emit(span, activation.name, (z,), (a,))
        else:
            constants = activation.constants
            self.emit(span, "activation", (z,), (a,), function=activation.name, attributes=constants)
        return a

"""The plan: what a network computes, a list of operations over numbered buffers."""

from __future__ import annotations

from typing import Any

from . import _core
from .host import Host
from .layers import Shape
from .metrics import Metric
from .variable import Variable

__all__ = ["ABSENT", "SPANS", "Buffer", "Op", "Plan"]

SPANS = ("forward", "loss", "backward", "update")
ABSENT = -1


class Buffer:
    """A logical buffer: its role (see csrc/plan.h), its shape without the rows, and its name."""

    __slots__ = ("name", "role", "shape")

    def __init__(self, role: str, shape: Shape, name: str) -> None:
        self.role = role
        self.shape = shape
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.role} {self.name} {self.shape}>"


class Op:
    """One operation: what it does, which buffers it reads and writes (-1 where one is absent).

    The kinds, their operands and attributes are listed in csrc/plan.h; `function` is the activation,
    loss or optimiser, and for a host operation what its Python function is there for.
    """

    __slots__ = ("accumulate", "attributes", "function", "inputs", "kind", "outputs")

    def __init__(
        self,
        kind: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        function: str = "",
        attributes: tuple[float, ...] = (),
        accumulate: bool = False,
    ) -> None:
        self.kind = kind
        self.inputs = inputs
        self.outputs = outputs
        self.function = function
        self.attributes = attributes
        self.accumulate = accumulate

    def __repr__(self) -> str:
        return f"<{self.kind}.{self.function} {self.inputs} -> {self.outputs}>"


class Plan:
    """Operations in four spans: forward, loss, backward, update.

    Attributes
    ----------
    buffers : list of Buffer
    spans : dict of str to list of Op
    inputs, targets, weights, outputs : list of int
        Buffers; ``weights[i]`` holds the sample weights of ``targets[i]``.
    losses : list of (str, int, float)
        The name of each output with a loss, the loss's counter and its factor in the objective.
    penalties : list of int
        The counters of what is added to them.
    obstacle : str
        Why the network cannot be trained, and what would do; empty where it can.
    metrics : list of (Metric, int)
        What is reported beside the loss, and its counter.
    hosts : list of callable
        The functions that host operations call, see host.py.
    variables : dict of int to Variable
        What the parameter and slot buffers are.
    """

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.spans: dict[str, list[Op]] = {span: [] for span in SPANS}
        self.inputs: list[int] = []
        self.targets: list[int] = []
        self.weights: list[int] = []
        self.outputs: list[int] = []
        self.losses: list[tuple[str, int, float]] = []
        self.penalties: list[int] = []
        self.obstacle = ""
        self.metrics: list[tuple[Metric, int]] = []
        self.hosts: list[Host] = []
        self.variables: dict[int, Variable] = {}

    @property
    def objective(self) -> list[int]:
        """The counters of all that is minimised."""
        return [*(counter for _, counter, _ in self.losses), *self.penalties]

    @property
    def ops(self) -> list[Op]:
        """All operations in order."""
        return [op for span in SPANS for op in self.spans[span]]

    def buffer(self, role: str, shape: Shape, name: str) -> int:
        """Add a buffer and return its number."""
        self.buffers.append(Buffer(role, shape, name))
        return len(self.buffers) - 1

    def bounds(self) -> list[int]:
        """Return where each span starts in `ops`, and where the last one ends."""
        bounds = [0]
        for span in SPANS:
            bounds.append(bounds[-1] + len(self.spans[span]))
        return bounds

    def range(self, first: str, last: str) -> tuple[int, int]:
        """Return the operations from the span `first` to the end of the span `last`."""
        bounds = self.bounds()
        return bounds[SPANS.index(first)], bounds[SPANS.index(last) + 1]

    def native(self) -> Any:
        """Return the plan as `_core` reads it."""
        buffers = [(b.role, b.shape, b.name) for b in self.buffers]
        ops = [
            (op.kind, op.function if op.kind != "host" else "", op.accumulate, op.inputs, op.outputs, op.attributes)
            for op in self.ops
        ]
        return _core.Plan(
            buffers, ops, self.bounds(), self.inputs, self.targets, self.weights, self.outputs,
            self.objective,
        )  # fmt: skip

    def __str__(self) -> str:
        from .equations import render

        return render(self)

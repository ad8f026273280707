"""Tangent propagation as operations: a tangent's way through the network, and the second-order gradient of its cost.

A tangent t of the input becomes the tangent ``J t`` of each activation by the network's own products, without biases,
and slopes (Pearlmutter 1994). All of this lies in the backward span: only training asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph
from ..plan import ABSENT, Op
from ..regularizers import ModelRegularizer
from .backward import input_gradient
from .builder import Builder

__all__ = ["Tangent", "tangents_of"]

# Their second derivative is zero wherever it exists.
_STRAIGHT = {"linear", "relu", "leaky_relu", "relu6", "hard_tanh", "hard_sigmoid"}


class Tangent:
    """One tangent vector per row, with its image at each activation.

    Parameters
    ----------
    builder : Builder
    forward : list of Op
        The network.
    x, output : int
        The network's ends.
    weight : float
        Of the penalty ``1/2 ‖J t‖²``.
    counter : int
        Where the penalty is added.
    """

    def __init__(
        self, builder: Builder, forward: list[Op], x: int, output: int, weight: float, counter: int
    ) -> None:
        self.builder = builder
        self.stem = builder.name("t")
        plan = builder.plan
        tangent = builder.rows("input", x, self.stem)
        plan.inputs.append(tangent)
        self.images = {x: tangent}
        for op in forward:
            if op.inputs[0] in self.images:
                self.images[op.outputs[0]] = self._push(op, self.images[op.inputs[0]])
        image = self.images[output]
        value = plan.buffer("row", (), builder.name("l"))
        delta = builder.rows("delta", image, "d" + plan.buffers[image].name)
        attributes = (0.0, weight / 2)
        builder.emit("backward", "activity", (image,), (value,), attributes=attributes)
        builder.emit("backward", "reduce", (value, ABSENT), (counter,), attributes=(0.0,))
        builder.emit("backward", "activity_grad", (image,), (delta,), attributes=attributes)
        self.deltas = {output: delta}

    def _push(self, op: Op, t: int) -> int:
        """Take a tangent of what an operation reads to one of what it writes."""
        builder, plan = self.builder, self.builder.plan
        if op.kind in ("add_bias", "gaussian_noise"):
            return t
        if op.kind in ("dense", "dense_transposed"):
            image = builder.rows("activation", op.outputs[0], "")
            builder.emit("backward", op.kind, (t, op.inputs[1], ABSENT), (image,), function="linear")
        elif op.kind in ("activation", "softmax", "standardize", "dropout", "alpha_dropout", "gaussian_dropout"):
            image = input_gradient(builder, op, t)  # its Jacobian is symmetric
        else:
            raise ValueError(
                f"TangentPropagation does not go through {op.kind!r}; it takes Dense, Flatten, Normalization, "
                f"dropout and noise layers in a row, with softmax or activations that have no weights and act on each "
                f"element."
            )
        plan.buffers[image].name = self.stem + plan.buffers[op.outputs[0]].name
        return image

    def pull(self, op: Op, needs: set[int], deltas: dict[int, int]) -> None:
        """Add what the penalty owes to an operation's weights and to the delta of what it reads.

        The network's own gradients of the operation must be there already.
        """
        emit, x = self.builder.emit, op.inputs[0]
        delta = self.deltas.get(op.outputs[0])
        if delta is None:
            return
        if op.kind in ("dense", "dense_transposed") and op.inputs[1] in needs:
            operands = (self.images[x], delta) if op.kind == "dense" else (delta, self.images[x])
            outputs = (self.builder.gradient(op.inputs[1])[0],)
            emit("backward", "dense_grad_w", operands, outputs, accumulate=True)
        if x not in needs:
            return
        self.deltas[x] = input_gradient(self.builder, op, delta)
        buffers = self.builder.plan.buffers
        buffers[self.deltas[x]].name = "d" + buffers[self.images[x]].name
        curved = op.kind == "softmax" or (op.kind == "activation" and op.function not in _STRAIGHT)
        if curved:
            slope = self.builder.plan.spans["backward"][-1]  # reads what the curvature reads
            emit(
                "backward", f"{op.kind}_curvature", (delta, self.images[x], slope.inputs[1]), (deltas[x],),
                function=op.function, attributes=op.attributes, accumulate=True,
            )  # fmt: skip


def tangents_of(builder: Builder, graph: Graph, regularizers: Sequence[ModelRegularizer]) -> list[Tangent]:
    """Send the tangents of all regularisers through the network."""
    plan = builder.plan
    x, forward = plan.inputs[0], list(plan.spans["forward"])
    weights = [r.weight for r in regularizers for _ in range(r.count(graph.inputs[0].row_shape))]
    if weights and (len(graph.inputs) > 1 or len(graph.outputs) > 1):
        raise ValueError(
            f"TangentPropagation takes a model with one input and one output; this one has {len(graph.inputs)} and "
            f"{len(graph.outputs)}."
        )
    return [Tangent(builder, forward, x, plan.outputs[0], weight, plan.penalties[0]) for weight in weights]

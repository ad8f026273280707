"""The update span: clipping, the optimiser's step for each variable, and constraints."""

from __future__ import annotations

from ..optimizers import Optimizer
from ..plan import ABSENT
from .builder import Builder

__all__ = ["lower_update"]


def lower_update(builder: Builder, optimizer: Optimizer) -> None:
    """Add clipping, the optimiser's step and the constraint of each parameter with a gradient."""
    plan = builder.plan
    ordered = sorted(builder.gradients.items())
    norms = []
    if optimizer.clipnorm is not None or optimizer.global_clipnorm is not None:
        for _, g in ordered:
            norms.append(plan.buffer("scalar", (1,), builder.name("s")))
            builder.emit("update", "square_sum", (g,), (norms[-1],))
    for i, (p, g) in enumerate(ordered):
        if optimizer.clipvalue is not None:
            builder.emit("update", "clip_value", (g,), (g,), attributes=(float(optimizer.clipvalue),))
        if optimizer.clipnorm is not None:
            builder.emit("update", "clip_norm", (g, norms[i]), (g,), attributes=(float(optimizer.clipnorm),))
        if optimizer.global_clipnorm is not None:
            limit = float(optimizer.global_clipnorm)
            builder.emit("update", "clip_norm", (g, *norms), (g,), attributes=(limit,))
        variable = plan.variables[p]
        slots = []
        for name, slot in zip(optimizer.kept, optimizer.slots_of(variable)):
            slots.append(plan.buffer("slot", variable.shape, f"{name}({plan.buffers[p].name})"))
            plan.variables[slots[-1]] = slot
        average = slots.pop() if optimizer.use_ema else ABSENT
        decay = optimizer.decay_of(variable)
        builder.emit(
            "update", "update", (p, g), (p, *slots),
            function=optimizer.function,
            attributes=(decay, variable.learning_rate_multiplier, *optimizer.constants),
        )  # fmt: skip
        if variable.constraint is not None:
            kind, attributes = variable.constraint.operation(variable.shape)
            builder.emit("update", kind, (p,), (p,), attributes=attributes)
        if optimizer.use_ema:
            every = float(optimizer.ema_overwrite_frequency or 0)
            builder.emit("update", "ema", (p, average), (average, p), attributes=(optimizer.ema_momentum, every))

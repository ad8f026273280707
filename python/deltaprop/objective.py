"""What a model is trained for: loss, weight and metrics of each of its outputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from . import checks, losses, metrics
from .layers import Shape
from .utils import unique_name

__all__ = ["Term", "per_entry", "terms_of"]


class Term:
    """One output of a model and what is made of it.

    Attributes
    ----------
    loss : Loss or None
        None leaves the output out of training.
    factor : float
        Of the loss in the objective.
    metrics : list of (Metric, bool)
        And whether sample weights apply to each.
    output : str
        The output's name.
    names : list of str
        The metrics' keys in logs.
    classes : bool
        Whether targets are class ids if neither loss nor metrics say so.
    """

    __slots__ = ("classes", "factor", "loss", "metrics", "names", "output")

    def __init__(
        self, output: str, loss: losses.Loss | None, factor: float, measured: list[tuple[metrics.Metric, bool]],
        *, classes: bool = False,
    ) -> None:  # fmt: skip
        self.output = output
        self.classes = classes
        self.loss = loss
        self.factor = factor
        self.metrics = measured
        self.names: list[str] = []
        for metric, _ in measured:
            if metric.sparse is not None and loss is not None and metric.sparse != loss.sparse:
                takes = "class ids" if metric.sparse else "one target per output"
                raise ValueError(
                    f"metric {metric.name!r} takes {takes}, which loss {loss.name!r} does not; 'accuracy' always fits."
                )

    @property
    def sparse(self) -> bool:
        """Whether targets are class ids."""
        if self.loss is not None:
            return self.loss.sparse
        return self.classes or any(metric.sparse for metric, _ in self.metrics)

    @property
    def one_hot(self) -> bool:
        """Whether targets are one-hot rows."""
        return self.loss is not None and self.loss.one_hot

    @property
    def name(self) -> str:
        """The loss's, for messages."""
        return self.loss.name if self.loss is not None else "none"

    def target_shape(self, output_shape: Shape) -> Shape:
        """Return the shape of one target, without the rows.

        Raises
        ------
        ValueError
            If a loss or a metric for classes stands on a single output, where it would always be content.
        """
        if math.prod(output_shape) == 1:
            for measure in (self.loss, *(metric for metric, _ in self.metrics)):
                if measure is not None and (measure.sparse or measure.one_hot):
                    kind, other = ("loss", "binary_crossentropy") if measure is self.loss else ("metric", "accuracy")
                    raise ValueError(
                        f"{kind} {measure.name!r} needs an output for each class, received rows of a single output, "
                        f"for which {other!r} would do."
                    )
        if self.loss is not None:
            return self.loss.target_shape(output_shape)
        return self.resolved(output_shape)[0][0].target_shape(output_shape, self.sparse)

    def resolved(self, output_shape: Shape) -> list[tuple[metrics.Metric, bool]]:
        """Return the metrics for an output of that shape, with the names of logs."""
        found = []
        for (metric, weighted), name in zip(self.metrics, self.names):
            metric = copy.copy(metric.resolve(math.prod(output_shape), self.sparse))
            metric.name = name
            found.append((metric, weighted))
        return found

    @property
    def measured(self) -> bool:
        """Whether the output needs targets at all."""
        return self.loss is not None or bool(self.metrics)


def per_entry(given: Any, names: Sequence[str], what: str, *, broadcast: bool = False) -> list[Any]:
    """Return one entry per input or output of a model, from a list in order or a dict by name.

    Parameters
    ----------
    given : list, tuple, dict or anything
        For a single input or output anything but such a dict is its entry. A name that a dict lacks is
        None.
    names : sequence of str
    what : str
        For messages.
    broadcast : bool
        Whether one thing may stand for all.
    """
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(
                f"{what} has no use for {', '.join(map(repr, unknown))}; the names are {', '.join(map(repr, names))}."
            )
        return [given.get(name) for name in names]
    if len(names) == 1:
        return [given]
    if given is None or (broadcast and not isinstance(given, (list, tuple))):
        return [given] * len(names)
    if not isinstance(given, (list, tuple)):
        raise ValueError(
            f"{what} must be a list or a dict with an entry for each of {', '.join(map(repr, names))}; "
            f"received {type(given).__name__}."
        )
    if len(given) != len(names):
        raise ValueError(
            f"{what} must have {len(names)} entries, for {', '.join(map(repr, names))}; received {len(given)}."
        )
    return list(given)


def _chosen(group: Any, weighted: bool) -> list[tuple[metrics.Metric, bool]]:
    if isinstance(group, str):
        raise ValueError(f"metrics must be a list such as [{group!r}], received {group!r}.")
    if group is None:
        return []
    entries = group if isinstance(group, (list, tuple)) else [group]
    return [(metrics.get(metric), weighted) for metric in entries]


def _metrics_per_output(given: Any, names: Sequence[str], what: str) -> list[Any]:
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return [None] * len(names)
    if isinstance(given, Mapping):
        given = {name: [m] if isinstance(m, str) else m for name, m in given.items()}
    elif len(names) > 1 and isinstance(given, (list, tuple)):
        given = [[m] if isinstance(m, str) else m for m in given]
    elif len(names) == 1 and isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], list):
        given = given[0]
    return per_entry(given, names, what)


def terms_of(
    loss: Any, loss_weights: Any, given_metrics: Any, weighted_metrics: Any, names: Sequence[str]
) -> list[Term]:
    """Return what `compile` was told, output by output.

    Parameters
    ----------
    names : sequence of str
        Of the outputs.

    Raises
    ------
    ValueError
        For a name that nobody knows, a list of another length, or if no output has a loss.
    """
    if len(names) == 1:  # a list of one stands for the one, as in Keras
        loss, loss_weights = (
            one[0] if isinstance(one, (list, tuple)) and len(one) == 1 else one for one in (loss, loss_weights)
        )
    chosen = per_entry(loss, names, "loss", broadcast=True)
    if all(one is None for one in chosen):
        raise ValueError("loss is missing; for example loss='mse' or loss='categorical_crossentropy'.")
    factors = [1.0 if w is None else w for w in per_entry(loss_weights, names, "loss_weights")]
    for factor in factors:
        if isinstance(factor, (str, list, tuple)):
            raise ValueError(
                f"loss_weights must be numbers, received {factor!r}; metrics are given by name: metrics=[...]."
            )
        checks.number("each of loss_weights", factor, least=0)
    plain = _metrics_per_output(given_metrics, names, "metrics")
    weighted = _metrics_per_output(weighted_metrics, names, "weighted_metrics")
    terms = [
        Term(name, None if one is None else losses.get(one), float(f), _chosen(p, False) + _chosen(w, True))
        for name, one, f, p, w in zip(names, chosen, factors, plain, weighted)
    ]
    taken: list[str] = []
    for term in terms:
        prefix = f"{term.output}_" if len(names) > 1 else ""
        for metric, by_weight in term.metrics:
            name = prefix + metric.name
            if name in taken and by_weight:
                name = f"{prefix}weighted_{metric.name}"
            term.names.append(unique_name(name, taken))
            taken.append(term.names[-1])
    return terms

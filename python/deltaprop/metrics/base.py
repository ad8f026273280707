"""What all metrics share: a description of an operation of the plan, and how its sums become a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import checks, losses
from ..utils import choose

if TYPE_CHECKING:
    from ..layers import Shape

Array = npt.NDArray[Any]
Result = float | Array


class Metric:
    """Base of all metrics: a value per row, averaged over the rows of an epoch or an evaluation.

    On its own a metric is called on targets and predictions, as in Keras: it adds them to those before,
    and returns its value on all of them.

    Parameters
    ----------
    name : str, optional
        The key in logs and in `History.history`.

    Examples
    --------
    >>> import deltaprop as dp
    >>> metric = dp.metrics.MeanAbsoluteError()
    >>> metric([1.0, 2.0], [1.5, 2.5]), metric([3.0], [3.0])
    (0.5, 0.3333333333333333)
    >>> metric.reset_state()
    >>> metric.update_state([1, 0, 1], [0.8, 0.4, 0.9])
    >>> round(metric.result(), 3)
    0.233
    """

    __slots__ = ("_state", "name")
    kind = "loss"  # of operation: a value per row, or a "tally", which adds rows to sums of its own
    function = ""  # its word in the plan
    default_name = ""
    arguments: tuple[str, ...] = ()  # of the constructor, beside the name
    sparse: bool | None = None  # whether targets are class ids; None: as the loss has it
    one_hot = False  # targets are one-hot rows
    link = ""  # the activation that turns logits into what the metric takes
    from_logits = False  # whether the metric applies the link

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for hook in {"update_state", "result"} & vars(cls).keys():
            raise TypeError(
                f"{cls.__name__}.{hook} would not be called by fit: metrics have no arithmetic of their own; one of "
                f"yours is a function, see Model.compile."
            )

    def __init__(self, name: str | None = None) -> None:
        self.name = self.default_name if name is None else checks.name("a metric", name)
        self._state: tuple[Metric, list[float]] | None = None  # what it resolved to, and the sums of its own updates

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Result:
        """Add rows as `update_state` does, and return the value on all of them."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add rows.

        Parameters
        ----------
        y_true : array_like of shape (n_samples,) for class ids, (n_samples, *output_shape) otherwise
            A metric that takes both takes one number per row for class ids, if there are several outputs.
        y_pred : array_like of shape (n_samples, *output_shape)
        sample_weight : array_like of shape (n_samples,), optional

        Raises
        ------
        ValueError
            As in `Model.fit`; nothing is added then.
        """
        from ..standalone import sums_of_metric

        metric, sums = sums_of_metric(self, y_true, y_pred, sample_weight)
        if self._state is not None:
            before = self._state[1]
            if len(before) != len(sums):
                raise ValueError(
                    f"y_pred must have as many columns as before, received shape {np.shape(y_pred)}; "
                    f"metric.reset_state() begins anew."
                )
            sums = [a + b for a, b in zip(before, sums)]
        self._state = metric, sums

    def result(self) -> Result:
        """Return the value on all rows since the last `reset_state`; NaN where there were none."""
        return math.nan if self._state is None else self._state[0].value(self._state[1])

    def reset_state(self) -> None:
        """Forget all rows."""
        self._state = None

    def resolve(self, n_outputs: int, sparse_targets: bool) -> Metric:
        """Return the metric for a given number of outputs and kind of target; most are themselves."""
        return self

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the numbers of the metric's formula, as the plan has them."""
        return ()

    def target_shape(self, output_shape: Shape, sparse: bool) -> Shape:
        """Return the shape of one target, without the rows."""
        return () if sparse else output_shape

    def counter_shape(self, n_outputs: int) -> Shape:
        """Return the shape of the sums."""
        return (2,)

    def value(self, sums: Sequence[float]) -> Result:
        """Return what people read.

        Parameters
        ----------
        sums : sequence of float
            Flat, in C order of `counter_shape`: here the sum over rows, and its divisor.
        """
        return sums[0] / sums[1] if sums[1] else math.nan

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in (*self.arguments, "name")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a metric from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class LossMetric(Metric):
    """Any loss, measured."""

    __slots__ = ("_loss", "from_logits", "function", "link", "one_hot", "sparse")

    def __init__(self, loss: losses.Loss, name: str | None = None) -> None:
        super().__init__(name or loss.name)
        self._loss = loss
        self.function, self.sparse, self.one_hot = loss.function, loss.sparse, loss.one_hot
        self.link, self.from_logits = loss.link, loss.from_logits

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the loss's."""
        return self._loss.constants(n_outputs)

    def target_shape(self, output_shape: Shape, sparse: bool) -> Shape:
        """Return the loss's."""
        return self._loss.target_shape(output_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the loss's class and arguments, and the name in logs."""
        config = self._loss.get_config()
        return {"loss": type(self._loss).__name__, "config": config, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a metric from what `get_config` returned."""
        loss = choose("loss", config["loss"], losses.LOSSES).from_config(config["config"])
        return LossMetric(loss, config["name"])


def ratio(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """a / b, and 0 where b is."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=np.not_equal(b, 0))


def plain(result: Array) -> Result:
    """Return a number as a float, several as an array."""
    return float(result.reshape(())) if result.size == 1 else result

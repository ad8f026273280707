"""What all losses share: a description of a function of the plan; the losses are in the other files here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from .. import checks

if TYPE_CHECKING:
    from ..layers import Shape

Array = npt.NDArray[Any]


class Loss:
    """Base of all losses: a name, and the function of the plan that computes it.

    The objective is the mean of the loss over the rows of a batch; weighted rows are multiplied by
    their weight and still divided by the number of rows, as in Keras. Called on targets and predictions
    of its own, a loss returns that mean, in float64.

    Examples
    --------
    >>> import deltaprop as dp
    >>> loss = dp.losses.MeanSquaredError()
    >>> loss([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    0.5
    >>> loss([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]], sample_weight=[0.7, 0.3])
    0.25
    """

    __slots__ = ("name",)
    function = ""  # its word in the plan
    default_name = ""  # where that is another
    aliases: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()  # of the constructor, beside the name
    sparse = False  # targets are class ids instead of one value per output
    one_hot = False  # targets are one-hot rows
    link = ""  # the activation that turns logits into what the loss takes
    from_logits = False  # whether the loss applies the link

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if callable(vars(cls).get("call")):
            raise TypeError(
                f"{cls.__name__}.call would never be called: losses have no arithmetic of their own; one of yours is a "
                f"function, see Model.compile."
            )

    def __init__(self, name: str | None = None) -> None:
        self.name = self.default_name or self.function if name is None else checks.name("a loss", name)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the mean over rows.

        Parameters
        ----------
        y_true : array_like of shape (n_samples,) for class ids, (n_samples, *output_shape) otherwise
        y_pred : array_like of shape (n_samples, *output_shape)
            What the model would put out: logits for ``from_logits=True``.
        sample_weight : array_like of shape (n_samples,), optional

        Raises
        ------
        ValueError
            As in `Model.fit`.
        """
        from ..standalone import mean_of_loss

        return mean_of_loss(self, y_true, y_pred, sample_weight)

    def constants(self, n_outputs: int) -> tuple[float, ...]:
        """Return the numbers of the loss's formula, as the plan has them."""
        return ()

    def target_shape(self, output_shape: Shape) -> Shape:
        """Return the shape of one target, without the rows.

        Raises
        ------
        ValueError
            If the loss cannot be computed from such an output.
        """
        return () if self.sparse else output_shape

    def check_targets(self, y: Array, what: str) -> None:
        """Raise a ValueError if there are values that the loss is not defined for."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in (*self.arguments, "name")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Return a loss from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def check_range(y: Array, what: str, loss: Loss, low: float, high: float, wanted: str) -> None:
    """Raise unless all targets lie in [low, high]."""
    if y.size and (y.min() < low or y.max() > high):
        raise ValueError(
            f"{what} must hold {wanted} for loss {loss.function!r}, received values from {y.min()} to {y.max()}."
        )

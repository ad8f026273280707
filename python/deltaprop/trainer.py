"""The user's verbs: compile, fit, evaluate, predict; what they do is in training.py and inference.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy.typing as npt

from . import _core, inference, losses, optimizers, runtime, training
from .fuse import fuse
from .graph import Graph
from .lowering import lower
from .objective import Term, terms_of
from .plan import Plan
from .regularizers import ModelRegularizer, get_of_model
from .variable import Variable

if TYPE_CHECKING:
    from .callbacks import Callback
    from .history import History
    from .model import Model

__all__ = ["Trainer"]

Array = npt.NDArray[Any]


class Trainer(_core.Callable):
    """What every model can do once it has a graph of built layers."""

    graph: Graph | None
    dtype: str
    seed: int
    gives_back = False  # whether y, where there is none, is x

    def __init__(self) -> None:
        self.epochs_done = 0  # over all calls of fit: with the seed and the step, the whole random state
        self.calls_in_training = 0  # of model(x, training=True), each with random bits of its own
        self.stop_training = False
        self.history: History | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.terms: list[Term] = []
        self.regularizers: list[ModelRegularizer] = []
        self._run_eagerly = False
        self._executor: Any = None
        self._executor_key: Any = None
        self._plan: Plan | None = None
        self.gate = _core.Gate()

    @property
    def variables(self) -> list[Variable]:
        """The variables of all layers, in `get_weights` order."""
        raise NotImplementedError

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        raise NotImplementedError

    def require_graph(self) -> Graph:
        """Return the graph, or raise a ValueError that says how the model gets one."""
        raise NotImplementedError

    @property
    def _model(self) -> Model:
        return cast("Model", self)  # the only class that trains

    # ---- compiling

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        regularizers: Sequence[ModelRegularizer] | ModelRegularizer | None = None,
    ) -> None:
        """Say how to train.

        For a model with several outputs `loss`, `loss_weights` and the metrics are lists in the order of
        the outputs, or dicts by the names of their layers; the objective is the sum of the losses, each
        times its weight. An output whose loss is None is not trained.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or callable, or one for each output
            A function ``(y_true, y_pred) -> (loss per sample, gradient by y_pred)`` of NumPy arrays is a
            loss, too.
        loss_weights : float, or one for each output, optional
        metrics : list of str, Metric or callable, or such a list for each output, optional
            They ignore weights. A function ``(y_true, y_pred) -> number, or one per sample`` is averaged
            over batches.
        weighted_metrics : the same, optional
            They use sample weights.
        run_eagerly : bool
            Run on the readable NumPy executor instead of the C++ one, to look into a network or to
            doubt a result.
        regularizers : list of GroupDecay or TangentPropagation, optional
            Penalties on the model as a whole, added to the loss; those of layers are given to layers.
        """
        penalties = get_of_model(regularizers)
        if self.graph is not None:
            for regularizer in penalties:
                regularizer.penalties(self.variables)  # raises if the names do not fit
        terms = terms_of(loss, loss_weights, metrics, weighted_metrics, self.output_names)
        chosen = optimizers.get(optimizer)
        self.terms, self.optimizer, self.regularizers = terms, chosen, penalties
        self._run_eagerly = bool(run_eagerly)
        self._forget_plan()

    @property
    def loss(self) -> losses.Loss | list[losses.Loss | None] | None:
        """The loss, or one for each output; None before `compile`."""
        if len(self.terms) > 1:
            return [term.loss for term in self.terms]
        return self.terms[0].loss if self.terms else None

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` returns, in order."""
        outputs = []
        if len(self.terms) > 1:
            outputs = [f"{n}_loss" for n, t in zip(self.output_names, self.terms) if t.loss is not None]
        return ["loss", *outputs, *(name for term in self.terms for name in term.names)]

    @property
    def plan(self) -> Plan:
        """The operations that will run; print it to read them as equations."""
        return self.lowered()[0]

    def executor(self) -> Any:
        """Return the executor of the model as it stands now."""
        return self.lowered()[1]

    def lowered(self) -> tuple[Plan, Any]:
        """Return the plan of the model as it stands now, and its executor."""
        graph = self.require_graph()
        # A layer without variables that train can still act otherwise while it is frozen.
        optimizer = self.optimizer
        key = (
            *((v.trainable, v.learning_rate_multiplier, optimizer and optimizer.decay_of(v)) for v in self.variables),
            *(layer.trainable for layer in graph.layers),
            *(regularizer.count(graph.inputs[0].row_shape) for regularizer in self.regularizers),
        )
        if self._executor is None or self._executor_key != key:
            self._plan, self._executor = fuse(lower(graph, self.terms, optimizer, self.regularizers)), None
            if self._run_eagerly:
                from .reference import ReferenceExecutor

                self._executor = ReferenceExecutor(self._plan, self.dtype)
            else:
                natives = [
                    self._plan.variables[b].native if b in self._plan.variables else None
                    for b in range(len(self._plan.buffers))
                ]
                self._executor = runtime.native_executor(self._plan, natives, self.dtype, self.gate)
            self._executor_key = key
            self._set_quick_target(None if self._run_eagerly else self._executor)
        assert self._plan is not None
        return self._plan, self._executor

    def bind(self, inputs: list[Any], targets: list[Any], weights: list[Any]) -> Any:
        """Return checked arrays as the executor takes them; inputs that are missing are tangents."""
        if self.regularizers:
            inputs = inputs + [None] * (len(self.plan.inputs) - len(inputs))
        if self._run_eagerly:
            from .reference import Data

            return Data(inputs, targets, weights)
        return _core.Data(inputs, targets, weights)

    def _forget_plan(self) -> None:
        self._executor = self._plan = None
        self._set_quick_target(None)

    # ---- training and using

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | str | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        restarts: int | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array_like of shape (n_samples, *input_shape)
            Any real type, contiguous or not, memory-mapped or not; never copied whole. For several inputs
            a list, or a dict by their names.
        y : array_like of shape (n_samples,) or (n_samples, *output_shape)
            For several outputs a list, or a dict by their names.
        batch_size : int, optional
            Rows per update, 32 by default. ``len(x)`` is full-batch training.
        epochs : int
            The number of the last epoch, as in Keras: ``epochs - initial_epoch`` are run.
        verbose : {"auto", 0, 1, 2}
            Silent, a progress bar ("auto"), or a line per epoch.
        callbacks : list of Callback, optional
        validation_split : float
            The last fraction of the rows validates, as in Keras: before any shuffling.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            Comes before `validation_split`.
        shuffle : bool
            Draw a new order of the rows for each epoch.
        class_weight : dict of int to float, or "balanced", optional
            For training only, and for a single output.
        sample_weight : array_like of shape (n_samples,), optional
            For several outputs one for all, a list, or a dict.
        initial_epoch : int
        validation_batch_size : int, optional
            Accepted for Keras's sake: results do not depend on how validation is cut into batches.
        validation_freq : int
            Validate after every so many epochs.
        restarts : int, optional
            Train so many times, from other initial weights each time but the first, and keep the
            best by the loss on the validation data, or on the training data without these.
            ``history.restart`` tells which it was.

        Returns
        -------
        History
            ``history.history["loss"]`` and so on, a number per epoch. Also `model.history`.

        Raises
        ------
        ValueError
            For data or arguments that do not fit; nothing is changed then.
        TrainingDiverged
            If the loss becomes NaN or infinite; the weights are those of the start of that epoch.
        """
        return training.fit(
            self._model, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data,
            shuffle, class_weight, sample_weight, initial_epoch, validation_batch_size, validation_freq,
            restarts,
        )  # fmt: skip

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, or [loss, metrics ...], on given data, with dropout off.

        Parameters
        ----------
        x, y, sample_weight : array_like
            As in `fit`.
        batch_size : int, optional
            Only how often batch hooks are called: results do not depend on it.
        return_dict : bool
            Return a dict by name instead.
        """
        return training.evaluate(self._model, x, y, batch_size, verbose, sample_weight, callbacks, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> Any:
        """Return the outputs, of shape (n_samples, *output_shape) and the model's dtype.

        A model with several outputs returns a list of them.

        Data are not scanned: a row with a NaN gives a row with NaNs. Any number of threads may
        predict on one model at once.
        """
        return inference.predict(self._model, x, batch_size, verbose, callbacks)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the outputs without the conveniences of `predict`: what ``model(x)`` does.

        For few rows at low latency: an array of the model's dtype in C order goes straight to C++ and
        does not even pass through here. On tensors of a graph it applies the model's layers to them and
        returns what they will put out.

        Parameters
        ----------
        x : array_like of shape (n_samples, *input_shape) or input_shape, or Tensor
            A single row gives a single output row. For several inputs a list, or a dict by name.
        training : bool
            Whether layers work as in `fit`: dropout and noise are drawn anew for each call, and
            BatchNormalization takes the statistics of these rows, which its moving ones follow. NaN and
            infinity are a ValueError then.
            Predictions under dropout tell how sure a model is (Gal and Ghahramani 2016).
        """
        return inference.call(self._model, x, training)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | str | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one update and return the loss (and metrics) of this batch before it."""
        return training.train_on_batch(self._model, x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss (and metrics) of one batch."""
        return training.evaluate(self._model, x, y, None, 0, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of one batch."""
        return inference.predict(self._model, x, None, 0, None)

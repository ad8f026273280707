"""Models: layers in a row, how they are compiled, and the user's verbs; the loops are in training.py."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _core, losses, metrics, optimizers, runtime, training
from .fuse import fuse
from .layers import InputLayer, Layer, Shape, assign_all, checked_shape
from .plan import Plan, lower
from .summary import render_summary
from .utils import draw_seed
from .variable import Variable

if TYPE_CHECKING:
    from .callbacks import Callback
    from .history import History

__all__ = ["Sequential"]

Array = npt.NDArray[Any]


class Sequential(_core.Callable):
    """A feed-forward network: layers in a row.

    Parameters
    ----------
    layers : list of Layer, optional
        The first may be `Input`, or carry `input_shape=`; else the model is built when it first sees
        data.
    name : str, optional
    dtype : {"float32", "float64"}
        Of weights and arithmetic. Data may be of any real type.
    seed : int, optional
        Of initial weights, shuffling and dropout. By default drawn from `dp.utils.set_random_seed`.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([0, 1, 1, 0])
    >>> model = dp.Sequential([
    ...     dp.Input(shape=(2,)),
    ...     dp.layers.Dense(8, activation="tanh"),
    ...     dp.layers.Dense(1, activation="sigmoid"),
    ... ], seed=1)
    >>> model.compile(optimizer=dp.optimizers.Adam(0.1), loss="binary_crossentropy")
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> model.predict(x).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        name: str | None = None,
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', received {dtype!r}.")
        if seed is not None and (not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32):
            raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, received {seed!r}.")
        self.name = name or "sequential"
        self.dtype = dtype
        self.seed = draw_seed() if seed is None else int(seed)
        self.epochs_done = 0  # over all calls of fit: with the seed and the step, the whole random state
        self.stop_training = False
        self.history: History | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self._metrics: list[tuple[metrics.Metric, bool]] = []
        self._run_eagerly = False
        self._entries: list[Layer] = []  # the layers, an Input among them
        self._input_shape: Shape | None = None
        self._executor: Any = None
        self._executor_key: Any = None
        self._plan: Plan | None = None
        self.gate = _core.Gate()
        for layer in layers or []:
            self.add(layer)

    # ---- structure

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `Input`."""
        return [layer for layer in self._entries if not isinstance(layer, InputLayer)]

    @property
    def built(self) -> bool:
        """Whether the input's shape is known, and so all variables exist."""
        return self._input_shape is not None and bool(self._entries)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the input, with None for the rows."""
        return (None, *self._shapes()[0])

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of the output, with None for the rows."""
        return (None, *self._shapes()[1])

    def _shapes(self) -> tuple[Shape, Shape]:
        self._require_built()
        assert self._input_shape is not None
        output = self._entries[-1].output_shape
        assert output is not None
        return self._input_shape, output

    @property
    def variables(self) -> list[Variable]:
        """The variables of all layers, in `get_weights` order."""
        return [v for layer in self._entries for v in layer.variables]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that `fit` changes."""
        return [v for v in self.variables if v.trainable]

    def add(self, layer: Layer) -> None:
        """Append a layer."""
        if not isinstance(layer, Layer):
            raise ValueError(
                f"a Sequential is made of layers such as dp.layers.Dense(10), received {layer!r}."
            )
        if isinstance(layer, InputLayer) and self._entries:
            raise ValueError("Input must be the first entry of a Sequential.")
        if layer.built and layer in self._entries:
            raise ValueError(f"layer {layer.name!r} is in the model already.")
        names = {other.name for other in self._entries}
        if layer.name is None:
            layer.name = _unique(layer.base_name, names)
        elif layer.name in names:
            raise ValueError(f"layer names must differ, and there is a layer {layer.name!r} already.")
        shape = self._input_shape if self._entries else layer.declared_shape or layer.input_shape
        if shape is not None:
            stream = 2 * len(self.layers)
            before = self._entries[-1].output_shape if self._entries else shape
            assert before is not None
            layer.build(before, self.dtype, self.seed, stream)
            self._input_shape = shape
        self._entries.append(layer)
        self._forget_plan()

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self.layers:
            raise ValueError("there is no layer to remove.")
        self._forget_plan()
        layer = self._entries.pop()
        if not self._entries:
            self._input_shape = None
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Create the variables.

        Parameters
        ----------
        input_shape : tuple
            Of the input; the first entry may be None for the rows, as in Keras.
        """
        if self.built:
            return
        if not self.layers:
            raise ValueError("the model has no layers; add one first.")
        if input_shape is None:
            raise ValueError("the shape of the input is not known; pass input_shape, or start with dp.Input.")
        if isinstance(input_shape, (tuple, list)) and input_shape and input_shape[0] is None:
            input_shape = tuple(input_shape[1:])
        shape = before = checked_shape(input_shape, "input_shape")
        for i, layer in enumerate(self.layers):
            layer.build(before, self.dtype, self.seed, 2 * i)
            assert layer.output_shape is not None
            before = layer.output_shape
        self._input_shape = shape

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by position."""
        if (name is None) == (index is None):
            raise ValueError("give a name or an index.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"index {index} is out of range: there are {len(self.layers)} layers.")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(repr(layer.name) for layer in self.layers)
        raise ValueError(f"there is no layer {name!r}; the layers are {names}.")

    def count_params(self) -> int:
        """Return the number of all weights."""
        self._require_built()
        return sum(v.size for v in self.variables)

    def summary(
        self, line_length: int | None = None, print_fn: Callable[[str], object] | None = None
    ) -> None:
        """Print each layer's name, type, output shape and number of parameters, and the totals.

        Parameters
        ----------
        line_length : int, optional
            Width of the table, by default 65 characters.
        print_fn : callable, optional
            Called with each line instead of `print`.
        """
        self._require_built()
        render_summary(self, line_length or 65, print_fn or print)

    def get_weights(self) -> list[Array]:
        """Return copies of all weight arrays: kernel and bias of each layer in turn."""
        self._require_built()
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Assign all weight arrays, in `get_weights` order; nothing is changed if one does not fit."""
        self._require_built()
        with self.gate:
            assign_all(self.variables, weights, f"model {self.name!r}")

    # ---- compiling

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: str | losses.Loss | None = None,
        metrics: Sequence[Any] | None = None,
        weighted_metrics: Sequence[Any] | None = None,
        run_eagerly: bool = False,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
        metrics : list of str or Metric, optional
            They ignore weights.
        weighted_metrics : list of str or Metric, optional
            They use sample weights.
        run_eagerly : bool
            Run on the readable NumPy executor instead of the C++ one, to look into a network or to
            doubt a result.
        """
        from .metrics import get as get_metric

        if loss is None:
            raise ValueError("loss is missing; for example loss='mse' or loss='categorical_crossentropy'.")
        chosen_loss = losses.get(loss)
        chosen_optimizer = optimizers.get(optimizer)
        chosen: list[tuple[Any, bool]] = []
        for group, weighted in ((metrics, False), (weighted_metrics, True)):
            if isinstance(group, str):
                raise ValueError(f"metrics must be a list such as [{group!r}], received {group!r}.")
            chosen += [(get_metric(metric), weighted) for metric in group or []]
        for metric, _ in chosen:
            if metric.sparse is not None and metric.sparse != chosen_loss.sparse:
                takes = "class ids" if metric.sparse else "one target per output"
                raise ValueError(
                    f"metric {metric.name!r} takes {takes}, which loss {chosen_loss.name!r} does not; "
                    f"'accuracy' always fits."
                )
        self.loss, self.optimizer = chosen_loss, chosen_optimizer
        self._metrics = chosen
        self._run_eagerly = bool(run_eagerly)
        self._forget_plan()

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` returns, in order."""
        return ["loss", *self._metric_names()]

    def _metric_names(self) -> list[str]:
        names: list[str] = []
        for metric, weighted in self._metrics:
            name = metric.name
            if name in names and weighted:
                name = f"weighted_{name}"
            names.append(_unique(name, set(names)))
        return names

    @property
    def plan(self) -> Plan:
        """The operations that will run; print it to read them as equations."""
        self.executor()
        assert self._plan is not None
        return self._plan

    def executor(self) -> Any:
        """Return the executor of the model as it stands now."""
        self._require_built()
        # A layer without variables that train can still act otherwise while it is frozen.
        key = (
            *((v.trainable, v.learning_rate_multiplier) for v in self.variables),
            *(layer.trainable for layer in self.layers),
        )
        if self._executor is None or self._executor_key != key:
            self._plan, self._executor = self._lower(), None
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
        return self._executor

    def _lower(self) -> Plan:
        input_shape, output_shape = self._shapes()
        resolved = []
        for (metric, weighted), name in zip(self._metrics, self._metric_names()):
            assert self.loss is not None
            metric = copy.copy(metric.resolve(int(np.prod(output_shape)), self.loss.sparse))
            metric.name = name
            resolved.append((metric, weighted))
        return fuse(lower(self.layers, input_shape, self.loss, resolved, self.optimizer))

    def bind(self, inputs: list[Any], targets: list[Any], weights: list[Any]) -> Any:
        """Return checked arrays as the executor takes them."""
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
            Any real type, contiguous or not, memory-mapped or not; never copied whole.
        y : array_like of shape (n_samples,) or (n_samples, *output_shape)
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
            For training only.
        sample_weight : array_like of shape (n_samples,), optional
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
            self, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data,
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
        return training.evaluate(self, x, y, batch_size, verbose, sample_weight, callbacks, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> Array:
        """Return the outputs, of shape (n_samples, *output_shape) and the model's dtype.

        Data are not scanned: a row with a NaN gives a row with NaNs. Any number of threads may
        predict on one model at once.
        """
        return training.predict(self, x, batch_size, verbose, callbacks)

    def call(self, x: Any, training: bool = False) -> Array:
        """Return the outputs without the conveniences of `predict`: what ``model(x)`` does.

        For few rows at low latency: an array of the model's dtype in C order goes straight to C++ and
        does not even pass through here.

        Parameters
        ----------
        x : array_like of shape (n_samples, *input_shape) or input_shape
            A single row gives a single output row.
        training : bool
            Only False: dropout is off.
        """
        from . import training as loops

        if training:
            raise ValueError("model(x, training=True) is not supported; dropout is on in fit only.")
        return loops.call(self, x)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | str | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one update and return the loss (and metrics) of this batch before it."""
        return training.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss (and metrics) of one batch."""
        return training.evaluate(self, x, y, None, 0, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """Return the outputs of one batch."""
        return training.predict(self, x, None, 0, None)

    # ---- files

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write weights, configuration and training state to one safetensors file."""
        from .saving import save_model

        save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone to a safetensors file."""
        from .saving import save_weights

        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read weights that `save_weights` or `save` wrote into this model; all or none."""
        from .saving import load_weights

        load_weights(self, filepath)

    def __getstate__(self) -> bytes:
        from .saving import to_bytes

        return to_bytes(self)

    def __setstate__(self, state: bytes) -> None:
        from .saving import from_bytes

        vars(self).update(vars(from_bytes(state)))

    def get_config(self) -> dict[str, Any]:
        """Return the structure, ready for JSON."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "seed": self.seed,
            "input_shape": None if self._input_shape is None else list(self._input_shape),
            "layers": [
                {"class": type(layer).__name__, "config": layer.get_config()} for layer in self._entries
            ],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """Return a model with the structure that `get_config` returned, and new weights."""
        from .layers import get_layer_class

        model = cls(name=config["name"], dtype=config["dtype"], seed=config["seed"])
        for entry in config["layers"]:
            model.add(get_layer_class(entry["class"]).from_config(entry["config"]))
        if config["input_shape"] is not None:
            model.build(tuple(config["input_shape"]))
        return model

    def _require_built(self) -> None:
        if self.built:
            return
        if not self._entries:
            raise ValueError("the model has no layers; add one first.")
        raise ValueError(
            "the model is not built: its input's shape is not known. Start with dp.Input(shape=...), call "
            "model.build(input_shape), or fit it first."
        )

    def __repr__(self) -> str:
        return f"<Sequential {self.name}: {', '.join(repr(layer) for layer in self.layers)}>"


def _unique(stem: str, taken: set[Any]) -> str:
    """stem, stem_1, stem_2, ..."""
    name, n = stem, 0
    while name in taken:
        n += 1
        name = f"{stem}_{n}"
    return name

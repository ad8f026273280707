"""Models as files, bytes and pickles: configuration as JSON, arrays by name; no file is ever run."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks, losses, metrics, optimizers, regularizers
from .autoencoder import Autoencoder
from .container import pack, reason, unpack, write
from .graph import Graph
from .layers import InputLayer, Layer, Shape, assign_all, layers_from_config
from .model import Model, trainables
from .objective import Term
from .sequential import Sequential
from .utils import choose, unique_name
from .variable import Variable

__all__ = ["from_bytes", "load_model", "load_weights", "save_model", "save_weights", "to_bytes"]

Array = npt.NDArray[Any]
Path = str | os.PathLike[str]

# What constructors raise for arguments that are not theirs.
_UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def save_model(model: Model, filepath: Path, overwrite: bool = True) -> None:
    """Write weights, configuration and training state to one file.

    Training that goes on from the file equals training that was never interrupted, bit for bit. The
    file appears whole or not at all. The history of `fit` is not in it.

    Parameters
    ----------
    model : Model
        Built or not, compiled or not.
    filepath : str or path-like
        With any suffix; ``.safetensors`` is usual.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ValueError
        If the model holds an object that is not deltaprop's own, such as a schedule of yours, which
        a file of data could not bring back. `save_weights` saves any model.
    FileExistsError
        If there is such a file, and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    """
    write(filepath, to_bytes(model), overwrite)


def load_model(filepath: Path, compile: bool = True) -> Model:
    """Return the model that `Model.save` wrote: a `Model`, `Sequential` or `Autoencoder`, as it was.

    Parameters
    ----------
    filepath : str or path-like
    compile : bool
        Whether to restore optimiser, loss and metrics too, ready to train on.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If the file is damaged, truncated, not a model of deltaprop, or written by a newer version.
        Nothing in a file is ever run or imported.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import os, tempfile
    >>> import deltaprop as dp
    >>> model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.safetensors"))
    ...     again = dp.load_model(os.path.join(folder, "model.safetensors"))
    >>> bool((again.layers[0].kernel.numpy() == model.layers[0].kernel.numpy()).all())
    True
    """
    with open(filepath, "rb") as file:
        where = f"file {os.fspath(filepath)!r}"
        return _model(*unpack(file, where), where, compile)


def save_weights(model: Model, filepath: Path, overwrite: bool = True) -> None:
    """Write the weights alone to one file.

    Parameters and errors are those of `save_model`, but the model must be built, and may hold objects
    of any class.
    """
    model.require_graph()
    write(filepath, to_bytes(model, weights_only=True), overwrite)


def load_weights(model: Model, filepath: Path) -> None:
    """Read the weights that `save_weights` or `save_model` wrote into a model, all or none.

    Arrays find their variables by name if file and model have the same names, else by order, and are
    converted to the model's dtype. The optimiser's state stays as it is.

    Parameters
    ----------
    model : Model
        Built.
    filepath : str or path-like

    Raises
    ------
    ValueError
        If number or shapes differ, and as in `load_model`; the model is unchanged then.
    FileNotFoundError
        If there is no such file.
    """
    model.require_graph()
    where = f"file {os.fspath(filepath)!r}"
    with open(filepath, "rb") as file:
        metadata, arrays = unpack(file, where)
    variables = _variables(model)
    try:
        weights = _take(arrays, json.loads(metadata["weights"]))
        same = set(weights) == set(variables)
        with model.gate:
            assign_all(
                list(variables.values()), _take(weights, variables if same else list(weights)).values(),
                f"model {model.name!r}",
            )  # fmt: skip
    except _UNFIT as error:
        raise ValueError(f"{where} holds the weights of another architecture: {reason(error)}.") from error


def to_bytes(model: Model, weights_only: bool = False) -> bytes:
    """Return what `save_model` writes; the same model gives the same bytes."""
    with model.gate:  # not in the middle of somebody's fit
        variables = _variables(model)
        arrays = {name: variable.numpy() for name, variable in variables.items()}
        metadata = {"weights": json.dumps(list(arrays))}
        if weights_only:
            return pack(metadata, arrays)
        metadata["configuration"] = _configuration(model, arrays)
        counters = {"epochs_done": model.epochs_done}
        if model.optimizer is not None:
            counters["iterations"] = model.optimizer.iterations
            for name, variable in variables.items():  # one that was never updated has no slots
                for slot in model.optimizer._slots.get(variable, ()):
                    arrays[_slot_name(name, slot.name.rpartition("/")[2])] = slot.numpy()
        metadata["counters"] = json.dumps(counters)
    return pack(metadata, arrays)


def from_bytes(data: bytes) -> Model:
    """Return the model of `to_bytes`, with the errors of `load_model`."""
    return _model(*unpack(io.BytesIO(data), "the data"), "the data", compile=True)


# ---- names in files


def _variables(model: Model) -> dict[str, Variable]:
    """Return the variables by name, such as ``dense/kernel``, in `get_weights` order."""
    own = {f"{layer.name}/{v.name.rpartition('/')[2]}": v for layer in model.layers for v in layer.variables}
    for variable in model.variables[len(own) :]:  # of layers that are not in the model
        own[unique_name(variable.name, own)] = variable
    return own


def _undecayed(model: Model) -> list[str]:
    """Return the names of the variables that would decay, had they not been excluded."""
    optimizer = model.optimizer
    if optimizer is None or not optimizer.weight_decay:
        return []
    return [name for name, v in _variables(model).items() if v.decays and not optimizer.decay_of(v)]


def _slot_name(variable: str, slot: str) -> str:
    return f"optimizer/{variable}/{slot}"


def _take(arrays: dict[str, Array], names: Iterable[str]) -> dict[str, Array]:
    """Return the named arrays in that order, and remove them from the others."""
    return {name: arrays.pop(name) for name in names}


# ---- describing


def _by_class(classes: Iterable[Any]) -> dict[str, Any]:
    return {cls.__name__: cls for cls in classes}


_MODELS: dict[str, type[Model]] = {"Autoencoder": Autoencoder, "Model": Model, "Sequential": Sequential}
_LOSSES = _by_class(losses.LOSSES.values())
_METRICS = _by_class([*metrics.METRICS.values(), metrics.LossMetric])
_OPTIMIZERS = _by_class(optimizers.OPTIMIZERS.values())
_REGULARIZERS = regularizers.OF_MODEL


def _configuration(model: Model, weights: Mapping[str, Array]) -> str:
    """Return all but arrays and counters, as JSON; what could not be built again is refused."""
    try:
        compiled = None
        if model.optimizer is not None:
            compiled = {
                "optimizer": _described("optimizer", model.optimizer, _OPTIMIZERS),
                "outputs": [_described_term(term) for term in model.terms],
                "run_eagerly": model._run_eagerly,
                "regularizers": [
                    _described("regularizer", r, _REGULARIZERS) for r in model.regularizers
                ],
                "undecayed": _undecayed(model),
            }
        frozen = [name for name, variable in _variables(model).items() if not variable._trainable]
        text = json.dumps(
            {"model": model.get_config(), "frozen": frozen, "compiled": compiled}, default=_plain
        )
        again = json.loads(text)
        layers = _check_fit(again["model"], weights)
        if [type(layer) for layer in layers] != [type(layer) for layer in _entries(model)]:
            raise ValueError("a layer's class has the name of one of deltaprop's, but is another.")
        if compiled is not None:
            _compile_arguments(again["compiled"])
    except _UNFIT as error:
        raise ValueError(
            f"the model could not be loaded again: {reason(error)}. A file holds data only, so all objects "
            f"must be of deltaprop's own classes; model.save_weights(...) saves the weights of any model."
        ) from error
    return text


def _described(what: str, thing: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    name = type(thing).__name__
    if known.get(name) is not type(thing):
        raise ValueError(f"{what} {thing!r} is not one of {', '.join(known)}.")
    return {"class": name, "config": thing.get_config()}


def _described_term(term: Term) -> dict[str, Any]:
    return {
        "loss": None if term.loss is None else _described("loss", term.loss, _LOSSES),
        "weight": term.factor,
        "metrics": [[_described("metric", m, _METRICS), weighted] for m, weighted in term.metrics],
    }


def _made(what: str, description: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    return choose(what, description["class"], known).from_config(description["config"])


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's, for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise ValueError(f"{value!r} is not data.")


# ---- building


def _model(metadata: Mapping[str, str], arrays: dict[str, Array], where: str, compile: bool) -> Model:
    """Build what a file describes, once it is clear that its arrays fit."""
    if "configuration" not in metadata:
        raise ValueError(f"{where} holds weights only; build the model and call model.load_weights(...).")
    try:
        configuration = json.loads(metadata["configuration"])
        counters = json.loads(metadata["counters"])
        weights = _take(arrays, json.loads(metadata["weights"]))
        _check_fit(configuration["model"], weights)
        kind = choose("model class", configuration["model"].get("class", "Sequential"), _MODELS)
        model = kind.from_config(configuration["model"])
        variables = _variables(model)
        assign_all(list(variables.values()), weights.values(), "the model")
        for name in configuration["frozen"]:
            variables[name].trainable = False
        model.epochs_done = _count(counters["epochs_done"])
        if compile and configuration["compiled"] is not None:
            model.compile(**_compile_arguments(configuration["compiled"]))
            assert model.optimizer is not None
            model.optimizer.iterations = _count(counters["iterations"])
            undecayed = configuration["compiled"].get("undecayed", [])
            model.optimizer.exclude_from_weight_decay([variables[name] for name in undecayed])
            for name, variable in variables.items():
                names = [_slot_name(name, slot) for slot in model.optimizer.kept]
                if any(slot in arrays for slot in names):
                    slots = _take(arrays, names).values()
                    assign_all(model.optimizer.slots_of(variable), slots, f"variable {name!r}")
            if arrays:
                raise ValueError(f"the optimizer has no use for {', '.join(arrays)}.")
    except _UNFIT as error:
        raise ValueError(
            f"{where} describes a model that cannot be built: {reason(error)}. Save it again with the "
            f"version of deltaprop that you load it with."
        ) from error
    return model


def _entries(model: Model) -> list[Layer]:
    return model._entries if isinstance(model, Sequential) else model.layers


def _check_fit(config: Mapping[str, Any], weights: Mapping[str, Array]) -> list[Layer]:
    """Return the layers, not built, if they fit the weights: a misfit might not even fit in memory."""
    graph: Graph | None = None
    if "calls" in config:
        graph = Graph.from_config(config)
        layers = graph.layers
    else:
        layers = layers_from_config(config["layers"])
        row = (layers[0].declared_shape if layers else None) or config["input_shape"]
        if row is not None:
            source = InputLayer(checks.shape("input_shape", row)).tensor()
            graph = Graph.chain(source, [layer for layer in layers if not isinstance(layer, InputLayer)])
    expected: list[tuple[str, str, Shape]] = []
    if graph is not None:
        for layer in trainables(graph):
            of_variables = layer.variable_shapes(graph.input_shape(layer)).items()
            expected += [(f"{layer.name}/{name}", config["dtype"], shape) for name, shape in of_variables]
    found = [(name, array.dtype.name, array.shape) for name, array in weights.items()]
    if found != expected:
        raise ValueError(f"the layers need the arrays {expected}, and there are {found}.")
    return layers


def _compile_arguments(compiled: Mapping[str, Any]) -> dict[str, Any]:
    terms = compiled["outputs"]
    made = [[(_made("metric", m, _METRICS), weighted) for m, weighted in term["metrics"]] for term in terms]
    arguments = {
        "loss": [None if t["loss"] is None else _made("loss", t["loss"], _LOSSES) for t in terms],
        "loss_weights": [term["weight"] for term in terms],
        "metrics": [[metric for metric, weighted in group if not weighted] for group in made],
        "weighted_metrics": [[metric for metric, weighted in group if weighted] for group in made],
    }
    if len(terms) == 1:
        arguments = {name: values[0] for name, values in arguments.items()}
    penalties = [_made("regularizer", r, _REGULARIZERS) for r in compiled.get("regularizers", [])]
    optimizer = _made("optimizer", compiled["optimizer"], _OPTIMIZERS)
    return {"optimizer": optimizer, "run_eagerly": compiled["run_eagerly"], "regularizers": penalties, **arguments}


def _count(value: Any) -> int:
    return checks.whole("a counter", value, least=0, below=2**63)

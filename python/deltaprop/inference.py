"""Using a model: predict, and model(x) on numbers or on the tensors of another graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import checks, runtime
from .callbacks import CallbackList
from .data import array_of, check_finite, check_ids, inputs_of
from .graph import Tensor
from .objective import per_entry
from .progress import Progress

if TYPE_CHECKING:
    from .model import Model

__all__ = ["build_for", "call", "predict"]

Array = npt.NDArray[Any]


def build_for(model: Model, x: Any) -> Any:
    """Build a model that has not seen its input's shape yet."""
    if not model.built:
        x = array_of(x, "x")
        if x.ndim == 1:
            x = x[:, np.newaxis]
        model.build(x.shape[1:])
    return x


def predict(model: Model, x: Any, batch_size: int | None, verbose: int | str, callbacks: Any) -> Any:
    """Return outputs; see `Trainer.predict`."""
    if batch_size is not None:
        checks.whole("batch_size", batch_size, least=1)
    x = build_for(model, x)
    inputs = inputs_of(x, model.input_names, [t.row_shape for t in model.inputs], "x")
    check_ids(inputs, model.require_graph(), "x")
    watchers = CallbackList(callbacks, model=model)
    progress = Progress(verbose, None, len(inputs[0]), label="Predict")
    try:
        watchers.on_predict_begin()
        watchers.on_predict_batch_begin(0)
        outputs = _outputs(model, inputs)
        watchers.on_predict_batch_end(0)
        watchers.on_predict_end()
    finally:
        progress.close()
    return outputs if len(outputs) > 1 else outputs[0]


def _outputs(model: Model, inputs: list[Array]) -> list[Array]:
    executor, rows = model.executor(), len(inputs[0])
    threads = runtime.threads_for(executor.flops(False) * rows, single_call=True)
    outputs = executor.predict(inputs, threads)
    return [out.reshape(rows, *t.row_shape) for out, t in zip(outputs, model.outputs)]


def _outputs_in_training(model: Model, inputs: list[Array]) -> list[Array]:
    """Return outputs as a step of `fit` computes them, with random bits that are no step's of it."""
    for array in inputs:  # moving statistics follow them
        check_finite(array, "x")
    rows = len(inputs[0])
    with model.gate:
        plan, executor = model.lowered()
        executor.prepare(rows, 0, rows, 2**63 + model.calls_in_training, model.seed, True, ())
        model.calls_in_training += 1
        if model._run_eagerly:  # it works on copies
            executor.load_variables()
        for buffer, array in zip(plan.inputs, inputs):
            executor.write(buffer, array.reshape(rows, math.prod(array.shape[1:])))
        threads = runtime.threads_for(executor.flops(False) * rows, single_call=True)
        executor.step(*plan.range("forward", "forward"), threads)
        if model._run_eagerly:
            executor.store_variables()
        return [executor.read(b).reshape(rows, *t.row_shape) for b, t in zip(plan.outputs, model.outputs)]


def call(model: Model, x: Any, training: bool) -> Any:
    """Return outputs for rows, a single row or tensors; see `Trainer.call`."""
    if isinstance(x, Tensor) or (isinstance(x, (list, tuple)) and any(isinstance(t, Tensor) for t in x)):
        if training:
            raise ValueError("training=True is for numbers; the model of these tensors takes it when it is called.")
        return _applied(model, x)
    shapes = [t.row_shape for t in model.inputs]
    arrays = [array_of(entry, "x") for entry in per_entry(x, model.input_names, "x")]
    single = all(array.shape == shape for array, shape in zip(arrays, shapes))
    if single:
        arrays = [array[np.newaxis] for array in arrays]
    inputs = inputs_of(arrays[0] if len(arrays) == 1 else arrays, model.input_names, shapes, "x")
    compute = _outputs_in_training if training and len(inputs[0]) else _outputs
    outputs = compute(model, inputs)
    if single:
        outputs = [output[0] for output in outputs]
    return outputs if len(outputs) > 1 else outputs[0]


def _applied(model: Model, x: Any) -> Any:
    """Call the model's layers on tensors: it becomes part of another graph."""
    tensors = list(x) if isinstance(x, (list, tuple)) else [x]
    if not model.built:
        model.build(tensors[0].row_shape)
    if len(tensors) != len(model.inputs) or not all(isinstance(t, Tensor) for t in tensors):
        raise ValueError(f"model {model.name!r} takes {len(model.inputs)} tensors, received {x!r}.")
    for tensor, expected in zip(tensors, model.inputs):
        if tensor.row_shape != expected.row_shape:
            raise ValueError(
                f"model {model.name!r} takes rows of shape {expected.row_shape}, received {tensor.row_shape}."
            )
    outputs = model.require_graph().replay(dict(zip(model.inputs, tensors)))
    return outputs if len(outputs) > 1 else outputs[0]

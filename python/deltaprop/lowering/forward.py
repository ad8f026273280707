"""The forward span: what each class of layer computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..layers import (
    RBF,
    Activation,
    ActivityRegularization,
    Add,
    AlphaDropout,
    Average,
    BatchNormalization,
    Concatenate,
    Dense,
    DenseTranspose,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    Multiply,
    Normalization,
    PReLU,
    RMSNormalization,
    Subtract,
)  # fmt: skip
from ..plan import ABSENT
from .builder import Builder

__all__ = ["lower_layer"]


def _lower_dense(builder: Builder, layer: Dense | DenseTranspose, x: int) -> int:
    kind, dense = ("dense_transposed", layer.tied_to) if isinstance(layer, DenseTranspose) else ("dense", layer)
    assert dense.kernel is not None and layer.output_shape is not None
    w = builder.parameter(dense.kernel, "W")
    z = builder.plan.buffer("activation", layer.output_shape, builder.name("z"))
    builder.emit("forward", kind, (x, w, ABSENT), (z,), function="linear")
    if layer.bias is not None:
        b = builder.parameter(layer.bias, "b")
        product, z = z, builder.rows("activation", z, builder.plan.buffers[z].name)
        builder.plan.buffers[product].name += "'"
        builder.emit("forward", "add_bias", (product, b), (z,))
    return builder.activate("forward", layer.activation, z)


def _lower_activation(builder: Builder, layer: Activation, x: int) -> int:
    return builder.activate("forward", layer.activation, x)


def _lower_prelu(builder: Builder, layer: PReLU, x: int) -> int:
    assert layer.alpha is not None
    a = builder.rows("activation", x, builder.name("a"))
    builder.emit("forward", "prelu", (x, builder.parameter(layer.alpha, "alpha")), (a,))
    return a


def _lower_rbf(builder: Builder, layer: RBF, x: int) -> int:
    assert layer.centers is not None and layer.widths is not None
    d = builder.plan.buffer("activation", (layer.units,), builder.name("d"))
    y = builder.rows("activation", d, builder.name("a"))
    builder.emit("forward", "distance", (x, builder.parameter(layer.centers, "C")), (d,))
    builder.emit("forward", "gaussian", (d, builder.parameter(layer.widths, "s")), (y,))
    return y


def _lower_dropout(builder: Builder, layer: Dropout, x: int) -> int:
    if layer.rate == 0:
        return x
    y = builder.rows("activation", x, builder.name("r"))
    mask = builder.rows("mask", x, builder.name("mask"))
    builder.emit("forward", "dropout", (x,), (y, mask), attributes=(layer.rate, builder.stream(layer.seed)))
    return y


def _lower_alpha_dropout(builder: Builder, layer: AlphaDropout, x: int) -> int:
    rate, limit = layer.rate, -1.0507009873554805 * 1.6732632423543772  # selu(-infinity)
    if rate == 0:
        return x
    a = ((1 - rate) * (1 + rate * limit**2)) ** -0.5
    b = -a * limit * rate
    y = builder.rows("activation", x, builder.name("r"))
    mask = builder.rows("mask", x, builder.name("mask"))
    attributes = (rate, builder.stream(layer.seed), a, b, a * limit + b)
    builder.emit("forward", "alpha_dropout", (x,), (y, mask), attributes=attributes)
    return y


def _lower_gaussian_dropout(builder: Builder, layer: GaussianDropout, x: int) -> int:
    if layer.rate == 0:
        return x
    y = builder.rows("activation", x, builder.name("r"))
    noise = builder.rows("activation", x, builder.name("noise"))
    attributes = (math.sqrt(layer.rate / (1 - layer.rate)), builder.stream(layer.seed))
    builder.emit("forward", "gaussian_dropout", (x,), (y, noise), attributes=attributes)
    return y


def _lower_gaussian_noise(builder: Builder, layer: GaussianNoise, x: int) -> int:
    if layer.stddev == 0:
        return x
    y = builder.rows("activation", x, builder.name("r"))
    attributes = (layer.stddev, builder.stream(layer.seed))
    builder.emit("forward", "gaussian_noise", (x,), (y,), attributes=attributes)
    return y


def _lower_batch_norm(builder: Builder, layer: BatchNormalization, x: int) -> int:
    assert layer.moving_mean is not None and layer.moving_variance is not None
    y = builder.rows("activation", x, builder.name("n"))
    mean = builder.parameter(layer.moving_mean, "mean")
    variance = builder.parameter(layer.moving_variance, "var")
    if layer.trainable:
        scale = builder.plan.buffer("unit", layer.moving_mean.shape, builder.name("s"))
        builder.emit(
            "forward", "batch_norm", (x, mean, variance), (y, scale, mean, variance),
            attributes=(layer.momentum, layer.epsilon),
        )  # fmt: skip
    else:
        builder.emit("forward", "standardize", (x, mean, variance), (y,), attributes=(layer.epsilon, 0.0, 0.0))
    return _scale_and_shift(builder, layer, y)


def _lower_layer_norm(builder: Builder, layer: LayerNormalization | RMSNormalization, x: int) -> int:
    y = builder.rows("activation", x, builder.name("n"))
    scale = builder.plan.buffer("row", (), builder.name("s"))
    centred = float(isinstance(layer, LayerNormalization))
    builder.emit("forward", "layer_norm", (x,), (y, scale), attributes=(centred, layer.epsilon))
    return _scale_and_shift(builder, layer, y)


def _scale_and_shift(
    builder: Builder, layer: BatchNormalization | LayerNormalization | RMSNormalization, x: int
) -> int:
    for variable, stem, kind in ((layer.gamma, "gamma", "scale_columns"), (layer.beta, "beta", "add_bias")):
        if variable is not None:
            x, before = builder.rows("activation", x, builder.name("n")), x
            builder.emit("forward", kind, (before, builder.parameter(variable, stem)), (x,))
    return x


def _lower_normalization(builder: Builder, layer: Normalization, x: int) -> int:
    assert layer.mean is not None and layer.variance is not None
    if not layer.adapted:
        raise ValueError(
            f"layer {layer.name!r} (Normalization) has no statistics yet; call its adapt(data), or construct it with "
            f"mean and variance."
        )
    y = builder.rows("activation", x, builder.name("n"))
    statistics = builder.parameter(layer.mean, "mean"), builder.parameter(layer.variance, "var")
    attributes = (0.0, 1e-14, float(layer.invert))  # deviations of at least 1e-7, as in Keras
    builder.emit("forward", "standardize", (x, *statistics), (y,), attributes=attributes)
    return y


def _lower_identity(builder: Builder, layer: Layer, x: int) -> int:
    return x  # rows are flat anyway


def _lower_embedding(builder: Builder, layer: Embedding, x: int) -> int:
    assert layer.embeddings is not None
    shape = (*builder.plan.buffers[x].shape, layer.output_dim)
    y = builder.plan.buffer("activation", shape, builder.name("e"))
    builder.emit("forward", "embedding", (x, builder.parameter(layer.embeddings, "E")), (y,))
    return y


def _merge(builder: Builder, layer: Layer, kind: str, xs: tuple[int, ...], attributes: tuple[float, ...]) -> int:
    assert layer.output_shape is not None
    y = builder.plan.buffer("activation", layer.output_shape, builder.name("m"))
    builder.emit("forward", kind, xs, (y,), attributes=attributes)
    return y


def _lower_combine(builder: Builder, layer: Any, xs: tuple[int, ...]) -> int:
    return _merge(builder, layer, "combine", xs, layer.coefficients(len(xs)))


def _lower_multiply(builder: Builder, layer: Multiply, xs: tuple[int, ...]) -> int:
    return _merge(builder, layer, "multiply", xs, ())


def _lower_concatenate(builder: Builder, layer: Concatenate, xs: tuple[int, ...]) -> int:
    return _merge(builder, layer, "concatenate", xs, ())


# A layer that merges gets all its inputs, any other one its single input.
_LOWERINGS: dict[type[Layer], Callable[[Builder, Any, Any], int]] = {
    Activation: _lower_activation,
    ActivityRegularization: _lower_identity,
    Add: _lower_combine,
    Average: _lower_combine,
    Concatenate: _lower_concatenate,
    Dense: _lower_dense,
    DenseTranspose: _lower_dense,
    Dropout: _lower_dropout,
    Embedding: _lower_embedding,
    Flatten: _lower_identity,
    Multiply: _lower_multiply,
    PReLU: _lower_prelu,
    RBF: _lower_rbf,
    Subtract: _lower_combine,
    AlphaDropout: _lower_alpha_dropout,
    BatchNormalization: _lower_batch_norm,
    GaussianDropout: _lower_gaussian_dropout,
    GaussianNoise: _lower_gaussian_noise,
    LayerNormalization: _lower_layer_norm,
    Normalization: _lower_normalization,
    RMSNormalization: _lower_layer_norm,
}


def lower_layer(builder: Builder, layer: Layer, inputs: tuple[int, ...]) -> int:
    """Add a layer's operations and return the buffer of its output."""
    lowering = next((_LOWERINGS[cls] for cls in type(layer).__mro__ if cls in _LOWERINGS), None)
    if lowering is None or hasattr(layer, "call"):
        raise ValueError(
            f"layer {layer.name!r} is of class {type(layer).__name__}, and layers have no arithmetic of their own; a "
            f"function with its derivative goes to dp.layers.Activation((value, derivative))."
        )
    return lowering(builder, layer, inputs if layer.merges else inputs[0])

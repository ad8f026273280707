"""Networks and optimisers that have every word of the plan between them; no test is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import deltaprop as dp

Dense, Dropout, Activation = dp.layers.Dense, dp.layers.Dropout, dp.layers.Activation
BatchNorm, LayerNorm, RMSNorm = dp.layers.BatchNormalization, dp.layers.LayerNormalization, dp.layers.RMSNormalization
Normalization, DenseTranspose, RBF = dp.layers.Normalization, dp.layers.DenseTranspose, dp.layers.RBF


class Network:
    """A row of the table: input shape, layers or a graph of them, what is minimised and measured, rows."""

    def __init__(
        self,
        shape: tuple[int, ...],
        layers: list[dp.layers.Layer] | Callable[[Any], Any],
        loss: Any,
        rows: int,
        metrics: tuple[Any, ...] = (),
        weighted: tuple[Any, ...] = (),
        regularizers: tuple[Any, ...] = (),
        ids: int = 0,
    ) -> None:
        self.shape, self.layers, self.loss = shape, layers, loss
        self.rows, self.metrics, self.weighted = rows, metrics, weighted
        self.regularizers = regularizers
        self.ids = ids  # inputs are integers below it, instead of normal numbers

    def model(self, dtype: str, optimizer: dp.optimizers.Optimizer, **compiled: Any) -> dp.Model:
        x = dp.Input(self.shape)
        if callable(self.layers):
            model = dp.Model(x, self.layers(x), dtype=dtype, seed=5)
        else:
            model = dp.Sequential([x, *self.layers], dtype=dtype, seed=5)
        for i, v in enumerate(model.variables):  # biases start at zero, and then an error in them hides
            value = np.random.default_rng(i).normal(size=v.shape) / np.sqrt(v.shape[0])
            value = abs(value) if "variance" in v.name else 1 + abs(value) if "widths" in v.name else value
            v.assign(value)
        model.compile(
            optimizer, self.loss, metrics=list(self.metrics), weighted_metrics=list(self.weighted),
            regularizers=self.regularizers, **compiled,
        )  # fmt: skip
        return model


def frozen(layer: dp.layers.Layer) -> dp.layers.Layer:
    """A layer that does not train."""
    layer.trainable = False
    return layer


def activated(activation: dp.activations.Activation) -> Network:
    """A wide layer and a narrow one with the activation; what has no slope is behind layers that do not train."""
    layers = [Dense(17, activation), Activation("tanh"), Dense(1, activation)]
    for layer in layers:
        layer.trainable = activation.reads != "nothing"
    return Network((10,), [*layers, Dense(3)], "mse", 17)


def tangents(count: int, weight: float) -> dp.regularizers.TangentPropagation:
    """Tangents that a function makes of each row."""

    def of(x: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(x, i, axis=1) - x / 2 for i in range(count)], axis=1)

    return dp.regularizers.TangentPropagation(of, weight, n_tangents=count)


L1, L2, L1L2 = dp.regularizers.L1(0.02), dp.regularizers.L2(0.03), dp.regularizers.L1L2(0.01, 0.02)


def branches(x: Any) -> Any:
    """Every way to merge, a layer in two places, and what is read twice."""
    shared = Dense(17, "tanh")
    a, b = shared(x), shared(Activation("sigmoid")(x))
    product = dp.layers.Multiply()([a, b, x])
    mean = dp.layers.Average()([a, b, product])
    wide = dp.layers.Concatenate()([product, dp.layers.Subtract()([a, b]), Dense(10, "relu")(mean)])
    return Dense(3)(dp.layers.Add()([wide, Dense(44, "relu")(wide), wide]))


def embedded_twice(x: Any) -> Any:
    """One table for two branches."""
    table, flatten = dp.layers.Embedding(7, 2), dp.layers.Flatten()
    a = Dense(3, "tanh")(flatten(table(x)))
    return dp.layers.Add()([a, Dense(3)(flatten(table(x)))])


def centered_twice(x: Any) -> Any:
    """The same centres for two branches."""
    units = RBF(17)
    return Dense(3)(dp.layers.Add()([units(x), units(Dense(10, "tanh")(x))]))


def two_heads(x: Any) -> list[Any]:
    h = Dense(10, "tanh")(x)
    return [Dense(3)(h), Dense(3, "sigmoid", kernel_regularizer=L2)(h), h]


def tied(*units: int) -> list[dp.layers.Layer]:
    """An autoencoder whose way back has the weights of the way there."""
    down = [Dense(n, "tanh", kernel_regularizer=L2) for n in units]
    return [*down, *(DenseTranspose(layer, "sigmoid", bias_regularizer=L1) for layer in reversed(down))]


def cubed(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A loss of our own: mean |error| cubed."""
    error = y_pred - y_true
    return np.mean(np.abs(error) ** 3, axis=1), 3 * error * np.abs(error) / error.shape[1]


def largest_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float(np.abs(y_true - y_pred).max())


# Every layer, activation, loss and metric; a loss stands after the activation it is matched with, and after others.
NETWORKS: dict[str, Callable[[], Network]] = {
    "relu-softmax-sparse": lambda: Network(
        (17,), [Dense(129, "relu"), Dense(10, "softmax")], "sparse_categorical_crossentropy", 129,
        ("accuracy", "sparse_categorical_crossentropy"), ("accuracy", "sparse_categorical_crossentropy"),
    ),
    "tanh-mse": lambda: Network((3,), [Dense(17, "tanh"), Dense(1)], "mse", 17, ("mae", "mse"), ("mae",)),
    "sigmoid-bce": lambda: Network(
        (64,), [Dense(100, "sigmoid"), Dense(17, "sigmoid")], "binary_crossentropy", 64,
        ("accuracy", "binary_accuracy", "binary_crossentropy"), ("binary_accuracy",),
    ),
    "narrow-mae": lambda: Network((129,), [Dense(1)], "mae", 3, ("half_squared_error",)),
    "half-squared-sigmoid": lambda: Network(
        (10,), [Dense(3, "sigmoid"), Dense(1, "sigmoid")], "half_squared_error", 100, ("accuracy",)
    ),
    "softmax-cce": lambda: Network(
        (100,), [Dense(64, "relu"), Dense(3, "softmax")], "categorical_crossentropy", 10,
        ("categorical_accuracy", "categorical_crossentropy", "mse"), ("categorical_accuracy",),
    ),
    "bce-from-logits": lambda: Network(
        (1,), [Dense(129, "tanh"), Dense(10)], dp.losses.BinaryCrossentropy(from_logits=True), 17, ("mae",)
    ),
    "cce-from-logits": lambda: Network(
        (17,), [Dense(17, "relu"), Dense(17)], dp.losses.CategoricalCrossentropy(from_logits=True), 17,
        ("accuracy",),
    ),
    "sparse-from-logits": lambda: Network(
        (3,), [Dense(3)], dp.losses.SparseCategoricalCrossentropy(from_logits=True), 3, ("accuracy",)
    ),
    "huber": lambda: Network((10,), [Dense(17)], dp.losses.Huber(0.7), 64, ("huber", "log_cosh", "mape", "rmse", "r2")),
    "log-cosh": lambda: Network((3,), [Dense(10, "tanh"), Dense(3)], "log_cosh", 17),
    "mape": lambda: Network((3,), [Dense(3)], "mape", 17, (), ("R2Score",)),
    "msle": lambda: Network((10,), [Dense(17, "sigmoid")], "msle", 17),
    "poisson": lambda: Network((10,), [Dense(17, "sigmoid")], "poisson", 64, (dp.metrics.R2Score(None),)),
    "kl-divergence": lambda: Network((10,), [Dense(17, "softmax")], "kl_divergence", 17, ("cosine_similarity",)),
    "hinge": lambda: Network(
        (10,), [Dense(1)], "hinge", 64, (dp.metrics.BinaryAccuracy(threshold=0.0), dp.metrics.AUC(from_logits=True))
    ),
    "squared-hinge": lambda: Network((3,), [Dense(17, "tanh")], "squared_hinge", 17, ("Precision",), ("Recall",)),
    "categorical-hinge": lambda: Network(
        (10,), [Dense(17)], "categorical_hinge", 64,
        (dp.metrics.TopKCategoricalAccuracy(3),), ("top_k_categorical_accuracy",),
    ),
    "cosine": lambda: Network((10,), [Dense(17)], "cosine_similarity", 17, ("mse",)),
    "quantiles": lambda: Network((10,), [Dense(9)], dp.losses.Quantile((0.1, 0.5, 0.9)), 17),
    "median": lambda: Network((10,), [Dense(17)], "quantile", 17, ("mae",), ("mae",)),
    "gaussian": lambda: Network(
        (10,), [Dense(34, "sigmoid")], dp.losses.GaussianNLL(full=True), 17, (dp.losses.GaussianNLL(),)
    ),
    "focal-sigmoid": lambda: Network(
        (10,), [Dense(17, "sigmoid")], dp.losses.BinaryFocalCrossentropy(True, 0.3, 1.5, label_smoothing=0.1), 64,
        ("auc", "f1", dp.metrics.AUC(curve="PR"), dp.metrics.F1Score(threshold=0.4)), ("auc", "Recall"),
    ),
    "focal-of-tanh": lambda: Network((10,), [Dense(17, "tanh")], "binary_focal_crossentropy", 17),
    "focal-softmax": lambda: Network(
        (10,), [Dense(3, "softmax")],
        dp.losses.CategoricalFocalCrossentropy((0.1, 0.5, 0.9), 1.5, label_smoothing=0.1), 64,
        ("ConfusionMatrix", "f1_score", "Precision"), ("ConfusionMatrix",),
    ),
    "focal-of-sigmoid": lambda: Network((10,), [Dense(17, "sigmoid")], "categorical_focal_crossentropy", 17),
    "smoothed-bce": lambda: Network(
        (10,), [Dense(1, "sigmoid")], dp.losses.BinaryCrossentropy(label_smoothing=0.2), 64,
        ("f1_score", "ConfusionMatrix", dp.metrics.Precision((0.7, 0.2))),
    ),
    "smoothed-cce": lambda: Network(
        (10,), [Dense(17, "softmax")], dp.losses.CategoricalCrossentropy(label_smoothing=0.2), 64
    ),
    "class-ids": lambda: Network(
        (10,), [Dense(17, "softmax")], "sparse_categorical_crossentropy", 64,
        ("sparse_top_k_categorical_accuracy", "f1_score", "auc", "ConfusionMatrix", dp.metrics.Recall(class_id=2)),
    ),
    "bce-of-tanh": lambda: Network((3,), [Dense(17, "tanh")], "binary_crossentropy", 17),
    "bce-of-softmax": lambda: Network((3,), [Dense(17, "softmax")], "binary_crossentropy", 17),
    "cce-of-sigmoid": lambda: Network((10,), [Dense(10, "sigmoid")], "categorical_crossentropy", 64),
    "sparse-of-sigmoid": lambda: Network((10,), [Dense(17, "sigmoid")], "sparse_categorical_crossentropy", 10),
    "mse-of-softmax": lambda: Network((10,), [Dense(17, "softmax")], "mse", 10),
    "hidden-softmax": lambda: Network((10,), [Dense(17, "softmax"), Dense(3, "relu")], "mse", 17),
    "dropout": lambda: Network(
        (17,), [Dense(100, "relu"), Dropout(0.2), Dense(17, "tanh"), Dropout(0.5, seed=3), Dense(3)], "mse", 129
    ),
    "dropout-of-the-input": lambda: Network((129,), [Dropout(0.3), Dense(10, "sigmoid")], "mae", 17),
    "dropout-at-the-end": lambda: Network((3,), [Dense(10), Dropout(0.3)], "mse", 17),
    "alpha-dropout": lambda: Network(
        (17,), [dp.layers.AlphaDropout(0.1), Dense(100, "tanh"), dp.layers.AlphaDropout(0.4, seed=3), Dense(3)],
        "mse", 64,
    ),
    "gaussian-noise": lambda: Network(
        (17,), [dp.layers.GaussianNoise(0.5), Dense(129, "relu"), dp.layers.GaussianNoise(0.1, seed=8), Dense(3)],
        "mse", 129,
    ),
    "gaussian-dropout": lambda: Network(
        (3,), [dp.layers.GaussianDropout(0.3), Dense(100), dp.layers.GaussianDropout(0.5, seed=1), Dense(10, "tanh")],
        "mae", 17,
    ),
    "batch-norm": lambda: Network(
        (17,),
        [
            Dense(129, use_bias=False), BatchNorm(momentum=0.9), Activation("relu"), Dense(17, "tanh"),
            BatchNorm(center=False, gamma_regularizer=L1L2), Dense(3, "sigmoid"),
            BatchNorm(scale=False, beta_regularizer=L2),
        ],
        "mse", 129,
    ),
    "batch-norm-of-the-input": lambda: Network((10,), [BatchNorm(scale=False, center=False), Dense(3)], "mse", 64),
    "batch-norm-of-one-row": lambda: Network((3,), [Dense(10), BatchNorm(), Dense(1)], "mse", 1),
    "batch-norm-frozen": lambda: Network(
        (10,), [Dense(64, "tanh"), frozen(BatchNorm()), Dense(3, "tanh"), frozen(BatchNorm()), Dense(1)], "mse", 17
    ),
    "layer-norm": lambda: Network(
        (17,),
        [
            LayerNorm(), Dense(129, "relu"), LayerNorm(epsilon=1e-5, gamma_regularizer=L1, beta_regularizer=L2),
            Dense(100), RMSNorm(), Activation("tanh"), LayerNorm(center=False), Dense(10), LayerNorm(scale=False),
        ],
        "mse", 64,
    ),
    "normalization": lambda: Network(
        (3, 10),
        [
            Normalization(mean=np.arange(10.0), variance=2.0), dp.layers.Flatten(), Dense(17, "tanh"),
            Normalization(mean=0.1, variance=0.3), Dense(3), Normalization(mean=5.0, variance=4.0, invert=True),
        ],
        "mse", 17,
    ),
    "layers-of-their-own": lambda: Network(
        (3, 17),
        [
            Activation("relu"), dp.layers.Flatten(), Dense(100, use_bias=False), Activation("tanh"),
            Activation("sigmoid"), Dense(10), Activation("linear"), Activation("softmax"),
        ],
        "categorical_crossentropy", 17,
    ),
    "regularised": lambda: Network(
        (17,),
        [
            Dense(129, "relu", kernel_regularizer=L1, bias_regularizer=L2), Dense(10, "tanh"),
            Dense(3, kernel_regularizer=L1L2, bias_regularizer=L1L2), Dense(1, kernel_regularizer=L2),
        ],
        "mse", 64,
    ),
    "activity": lambda: Network(
        (17,),
        [
            Dense(100, "relu", activity_regularizer=L1L2), dp.layers.ActivityRegularization(l2=0.1),
            Dense(10, activity_regularizer=L1), Dropout(0.2), Dense(3, "tanh", activity_regularizer=L2),
        ],
        "mse", 64,
    ),
    "sparse-kl": lambda: Network(
        (10,),
        [
            Dense(100, "sigmoid", activity_regularizer=dp.regularizers.SparseKL(0.1, 0.3)),
            Dense(3, "softmax", activity_regularizer=dp.regularizers.SparseKL(0.4, 0.1)),
        ],
        "categorical_crossentropy", 64,
    ),
    "constrained": lambda: Network(
        (17,),
        [
            Dense(129, "relu", kernel_constraint=dp.constraints.MaxNorm(0.7), bias_constraint="non_neg"),
            Dense(65, "tanh", kernel_constraint=dp.constraints.MaxNorm(0.8, axis=1), bias_constraint="unit_norm"),
            Dense(10, kernel_constraint=dp.constraints.MinMaxNorm(0.5, 0.9, rate=0.5)),
            Dense(3, kernel_constraint=dp.constraints.UnitNorm(axis=-1)),
            Dense(3, kernel_constraint=dp.constraints.MaxNorm(0.5, axis=(0, 1))),
            Dense(1, kernel_constraint="non_neg"),
        ],
        "mse", 64,
    ),
    "tangents": lambda: Network(
        (17,),
        [
            Dense(100, "tanh"), Dropout(0.2), Dense(33, "gelu", use_bias=False), Activation("sigmoid"),
            Dense(17, "relu", kernel_regularizer=L2), Dense(3, "softmax"),
        ],
        "categorical_crossentropy", 64, regularizers=(tangents(2, 0.3), dp.regularizers.GroupDecay({"dense": 0.1})),
    ),
    "tangents-to-logits": lambda: Network(
        (10,), [frozen(Dense(17, "tanh")), Dense(10, "elu"), Dense(1)], "mse", 17, regularizers=(tangents(1, 0.5),)
    ),
    "frozen-below": lambda: Network(
        (10,), [frozen(Dense(17, "relu", kernel_regularizer=L2)), Dense(3, "tanh"), Dense(1)], "mse", 17
    ),
    "frozen-between": lambda: Network(
        (10,), [Dense(3, "tanh"), frozen(Dense(17, "sigmoid")), frozen(Dense(1))], "mse", 17
    ),
    "prelu": lambda: Network(
        (17,), [dp.layers.PReLU(), Dense(129), dp.layers.PReLU(), Dense(10), dp.layers.PReLU()], "mse", 64
    ),
    "rbf": lambda: Network((17,), [Dense(17, "tanh"), RBF(129), RBF(100), Dense(3)], "mse", 64),
    "rbf-narrow": lambda: Network((33,), [RBF(3), Dense(17, "tanh"), RBF(1)], "mse", 17),
    "rbf-of-one-row": lambda: Network((10,), [Dense(10, "tanh"), RBF(17), Dense(1)], "mse", 1),
    "rbf-frozen": lambda: Network((10,), [Dense(17, "tanh"), frozen(RBF(10)), Dense(1)], "mse", 17),
    "rbf-shared": lambda: Network((10,), centered_twice, "mse", 17),
    "prelu-shared": lambda: Network(
        (17,), [Dense(100), dp.layers.PReLU(shared_axes=[1]), Dense(1), dp.layers.PReLU()], "mse", 17
    ),
    "embedding": lambda: Network(
        (3,), [dp.layers.Embedding(5, 17), dp.layers.Flatten(), Dense(10, "tanh"), Dense(1)], "mse", 17, ids=5
    ),
    "embedding-wide": lambda: Network(
        (1,), [dp.layers.Embedding(3, 129), dp.layers.Flatten(), Dense(3)], "mse", 3, ids=3
    ),
    "embedding-long": lambda: Network(
        (10,), [dp.layers.Embedding(200, 3), dp.layers.Flatten(), Dense(17, "relu"), Dense(3)], "mse", 64, ids=200
    ),
    "embedding-shared": lambda: Network((10,), embedded_twice, "mse", 17, ids=7),
    "embedding-regularised": lambda: Network(
        (3,), [dp.layers.Embedding(9, 3, embeddings_regularizer=L1L2), dp.layers.Flatten(), Dense(1)], "mse", 17, ids=9
    ),
    "constants": lambda: Network(
        (17,), [Dense(10, dp.layers.LeakyReLU(0.1)), dp.layers.ELU(0.5), dp.layers.ReLU(max_value=0.5), Dense(3)],
        "mse", 17,
    ),
    **{name: lambda a=a: activated(a) for name, a in dp.activations.ACTIVATIONS.items()},
    "branches": lambda: Network((17,), branches, "mse", 64, ("mae",)),
    "tied": lambda: Network((17,), tied(100, 3), "mse", 64),
    "tied-wide": lambda: Network((10,), tied(129), "mse", 17),
    "tied-narrow": lambda: Network((129,), tied(1), "mse", 17),
    "two-heads": lambda: Network((10,), two_heads, ["mse", "half_squared_error", None], 17, (["mae"], ["mse"], None)),
    "functions": lambda: Network(
        (10,), [Dense(17, (np.sin, np.cos)), Dense(3), Activation((np.arctan, lambda z: 1 / (1 + z**2)))], cubed, 17,
        (largest_error, "mae"), (largest_error,),
    ),
    "ones": lambda: Network((1,), [Dense(1, "tanh"), Dense(1)], "mse", 1, ("mse",)),
}  # fmt: skip

sgd, rmsprop, adam = dp.optimizers.SGD, dp.optimizers.RMSprop, dp.optimizers.Adam
OPTIMIZERS: dict[str, Callable[[], dp.optimizers.Optimizer]] = {
    "sgd": lambda: sgd(0.02),
    "momentum": lambda: sgd(0.02, momentum=0.9),
    "nesterov": lambda: sgd(0.02, momentum=0.9, nesterov=True),
    "rmsprop": lambda: rmsprop(0.01),
    "rmsprop-momentum": lambda: rmsprop(0.01, rho=0.8, momentum=0.5),
    "rmsprop-centered": lambda: rmsprop(0.01, centered=True),
    "rmsprop-centered-momentum": lambda: rmsprop(0.01, momentum=0.5, centered=True),
    "adam": lambda: adam(0.01),
    "amsgrad": lambda: adam(0.01, beta_1=0.8, beta_2=0.9, amsgrad=True),
    "adamw": lambda: dp.optimizers.AdamW(0.01, weight_decay=0.1),
    "sgd-decay": lambda: sgd(0.02, weight_decay=0.1),
    "clipnorm": lambda: sgd(0.02, momentum=0.9, clipnorm=0.01),
    "clipnorm-idle": lambda: sgd(0.02, clipnorm=1e6),
    "clipvalue": lambda: adam(0.01, clipvalue=0.001, weight_decay=0.1),
    "global-clipnorm": lambda: rmsprop(0.01, global_clipnorm=0.01),
    "adagrad": lambda: dp.optimizers.Adagrad(0.05),
    "adadelta": lambda: dp.optimizers.Adadelta(1.0, rho=0.9, epsilon=1e-4),
    "adamax": lambda: dp.optimizers.Adamax(0.01, beta_2=0.9),
    "nadam": lambda: dp.optimizers.Nadam(0.01, beta_2=0.9, weight_decay=0.1),
    "lion": lambda: dp.optimizers.Lion(0.01),
    "rprop": lambda: dp.optimizers.Rprop(0.01, weight_decay=0.1),
    "ema": lambda: sgd(0.02, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2),
    "ema-clipped": lambda: adam(0.01, use_ema=True, clipnorm=0.01),
    "schedule": lambda: adam(dp.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
}

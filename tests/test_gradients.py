"""Gradients of every layer, loss and regulariser against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.plan import ABSENT, Plan
from deltaprop.reference import ReferenceExecutor

EPSILON = 1e-5
ROWS = 4

Dense, Dropout, Activation = dp.layers.Dense, dp.layers.Dropout, dp.layers.Activation
BatchNorm, LayerNorm = dp.layers.BatchNormalization, dp.layers.LayerNormalization
Normalization = dp.layers.Normalization
Categorical, Sparse = dp.losses.CategoricalCrossentropy, dp.losses.SparseCategoricalCrossentropy


def scaled(penalties: dict[str, Any]) -> dict[str, Any]:
    """The regularisers of kernel and bias, for gamma and beta."""
    pairs = {"gamma_regularizer": "kernel_regularizer", "beta_regularizer": "bias_regularizer"}
    return {new: penalties[old] for new, old in pairs.items() if old in penalties}


def tied(*units: int, **r: Any) -> list[dp.layers.Layer]:
    """An autoencoder whose way back has the weights of the way there."""
    down = [Dense(n, "tanh", **r) for n in units]
    bias = {name: value for name, value in r.items() if name.startswith("bias")}
    return [*down, *(dp.layers.DenseTranspose(layer, "sigmoid", **bias) for layer in reversed(down))]


# What stands between the input, of width 3, and the output layer.
HIDDEN: dict[str, Callable[..., list[dp.layers.Layer]]] = {
    "dense-linear": lambda **r: [Dense(4, **r)],
    "dense-relu": lambda **r: [Dense(4, "relu", **r)],
    "dense-sigmoid": lambda **r: [Dense(4, "sigmoid", **r)],
    "dense-tanh": lambda **r: [Dense(4, "tanh", **r)],
    "dense-softmax": lambda **r: [Dense(4, "softmax", **r)],
    "dense-gelu": lambda **r: [Dense(4, "gelu", **r)],
    "dense-without-bias": lambda **r: [
        Dense(4, "tanh", use_bias=False, kernel_regularizer=r.get("kernel_regularizer"))
    ],
    "constants": lambda **r: [
        Dense(4, dp.activations.celu.with_alpha(0.4), **r), dp.layers.LeakyReLU(0.1), dp.layers.ELU(0.3)
    ],
    "prelu": lambda **r: [Dense(4, **r), dp.layers.PReLU(), Dense(3), dp.layers.PReLU(shared_axes=1)],
    "rbf": lambda **r: [Dense(4, "tanh", **r), dp.layers.RBF(5), dp.layers.RBF(2)],
    "two": lambda **r: [Dense(4, "relu", **r), Dense(3, "tanh", **r)],
    "tied": lambda **r: tied(4, **r),
    "activation": lambda **r: [Dense(4, **r), Activation("tanh"), Activation("softmax")],
    "dropout": lambda **r: [Dropout(0.2), Dense(6, "relu", **r), Dropout(0.5)],
    "noise": lambda **r: [
        dp.layers.AlphaDropout(0.2), Dense(6, "relu", **r), dp.layers.GaussianNoise(0.1), dp.layers.GaussianDropout(0.3)
    ],
    "batch-norm": lambda **r: [Dense(4, **r), BatchNorm(**scaled(r)), Activation("tanh"), BatchNorm(center=False)],
    "batch-norm-frozen": lambda **r: [Dense(4, "tanh", **r), BatchNorm(trainable=False)],
    "layer-norm": lambda **r: [Dense(4, "sigmoid", **r), LayerNorm(**scaled(r)), dp.layers.RMSNormalization()],
    "normalization": lambda **r: [
        Dense(4, "tanh", **r), Normalization(mean=0.5, variance=0.2), Normalization(mean=3, variance=4, invert=True)
    ],
    "embedding": lambda **r: [
        dp.layers.Embedding(4, 2, embeddings_regularizer=r.get("kernel_regularizer")), dp.layers.Flatten(),
        Dense(3, "tanh", **r),
    ],
    "flatten": lambda **r: [dp.layers.Flatten(), Dense(3, "sigmoid", **r), dp.layers.Flatten()],
    "frozen-bias": lambda **r: [Dense(4, "tanh", **r)],
}

# The same for every activation with a slope; these meet one loss only.
ACTIVATED: dict[str, Callable[..., list[dp.layers.Layer]]] = {
    name: lambda name=name, **r: [Dense(4, name, **r)]
    for name, activation in dp.activations.ACTIVATIONS.items()
    if activation.reads != "nothing"
}

WITHOUT_TANGENTS = (
    "log_softmax", "prelu", "batch-norm", "batch-norm-frozen", "layer-norm", "embedding", "rbf",
)  # fmt: skip

# Activation of the output layer, its width, and the loss: matched pairs, logits, and losses after anything else.
LOSSES: dict[str, tuple[str, int, Callable[[], Any]]] = {
    "mse": ("linear", 2, lambda: "mse"),
    "mse-of-relu": ("relu", 2, lambda: "mse"),
    "mse-of-softmax": ("softmax", 3, lambda: "mse"),
    "mae": ("linear", 3, lambda: "mae"),
    "mae-of-tanh": ("tanh", 2, lambda: "mae"),
    "half-squared": ("linear", 1, lambda: "half_squared_error"),
    "half-squared-of-sigmoid": ("sigmoid", 2, lambda: "half_squared_error"),
    "binary": ("sigmoid", 2, lambda: "binary_crossentropy"),
    "binary-from-logits": ("linear", 1, lambda: dp.losses.BinaryCrossentropy(from_logits=True)),
    "binary-of-softmax": ("softmax", 3, lambda: "binary_crossentropy"),
    "categorical": ("softmax", 3, lambda: "categorical_crossentropy"),
    "categorical-from-logits": ("linear", 3, lambda: Categorical(from_logits=True)),
    "categorical-of-sigmoid": ("sigmoid", 3, lambda: "categorical_crossentropy"),
    "sparse": ("softmax", 3, lambda: "sparse_categorical_crossentropy"),
    "sparse-from-logits": ("linear", 3, lambda: Sparse(from_logits=True)),
    "huber": ("linear", 2, lambda: dp.losses.Huber(0.7)),
    "log-cosh": ("linear", 2, lambda: "log_cosh"),
    "mape": ("linear", 2, lambda: "mape"),
    "msle-of-sigmoid": ("sigmoid", 2, lambda: "msle"),
    "poisson-of-sigmoid": ("sigmoid", 2, lambda: "poisson"),
    "kl-divergence": ("softmax", 3, lambda: "kl_divergence"),
    "hinge": ("linear", 2, lambda: "hinge"),
    "squared-hinge": ("tanh", 2, lambda: "squared_hinge"),
    "categorical-hinge": ("linear", 3, lambda: "categorical_hinge"),
    "cosine": ("linear", 3, lambda: "cosine_similarity"),
    "quantiles": ("linear", 6, lambda: dp.losses.Quantile((0.1, 0.5, 0.9))),
    "gaussian": ("sigmoid", 4, lambda: dp.losses.GaussianNLL(full=True)),
    "focal-binary": ("sigmoid", 2, lambda: dp.losses.BinaryFocalCrossentropy(True, label_smoothing=0.1)),
    "focal-binary-from-logits": (
        "linear", 2, lambda: dp.losses.BinaryFocalCrossentropy(gamma=0.5, from_logits=True),
    ),
    "focal-binary-of-softmax": ("softmax", 3, lambda: "binary_focal_crossentropy"),
    "focal-categorical": ("softmax", 3, lambda: dp.losses.CategoricalFocalCrossentropy((0.2, 0.5, 0.9))),
    "focal-categorical-from-logits": (
        "linear", 3, lambda: dp.losses.CategoricalFocalCrossentropy(1, 0.5, from_logits=True, label_smoothing=0.1),
    ),
    "focal-categorical-of-sigmoid": ("sigmoid", 3, lambda: "categorical_focal_crossentropy"),
    "smoothed-binary": ("sigmoid", 2, lambda: dp.losses.BinaryCrossentropy(label_smoothing=0.2)),
    "smoothed-categorical": ("softmax", 3, lambda: Categorical(label_smoothing=0.2)),
    "sparse-of-sigmoid": ("sigmoid", 3, lambda: "sparse_categorical_crossentropy"),
}

# How far an output is from where the slope of a loss jumps.
KINKS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mae": lambda p, y: p - y,
    "mape": lambda p, y: p - y,
    "quantile": lambda p, y: p - np.tile(y, (1, p.shape[1] // y.shape[1])),
    "hinge": lambda p, y: 1 - np.where(y == 0, -1, y) * p,
    "categorical_hinge": lambda p, y: np.diff(np.sort(np.c_[np.sum(y * p, axis=1) - 1, (1 - y) * p], axis=1)),
}

REGULARIZERS: dict[str, dict[str, Any]] = {
    "none": {},
    "l1": {"kernel_regularizer": dp.regularizers.L1(0.1), "bias_regularizer": dp.regularizers.L1(0.2)},
    "l2": {"kernel_regularizer": dp.regularizers.L2(0.1), "bias_regularizer": dp.regularizers.L2(0.2)},
    "l1-l2": {"kernel_regularizer": dp.regularizers.L1L2(0.1, 0.2)},
    "activity": {"activity_regularizer": dp.regularizers.L1L2(0.1, 0.2)},
    "tangents": {"model": [dp.regularizers.TangentPropagation(weight=0.7)]},
    "sparse-kl": {"activity_regularizer": dp.regularizers.SparseKL(0.2, 0.3)},
}


class Problem:
    """An executor at one point, with the objective as a function of one parameter buffer."""

    def __init__(self, plan: Plan, executor: Any, data: tuple[np.ndarray, ...]) -> None:
        self.plan, self.executor = plan, executor
        executor.prepare(ROWS, 0, ROWS, 3, 5, True, [0.0, 0.0])
        for buffers, array in zip((plan.inputs, plan.targets, plan.weights), data):
            for b in buffers:
                executor.write(b, np.asarray(array, dtype=np.float64))
        self.trainable = {
            op.inputs[0]: op.inputs[1] for op in plan.spans["update"] if op.kind == "update"
        }  # parameter to gradient

    def objective(self) -> float:
        """Mean loss of the rows, and penalties."""
        self.executor.reset_counters()
        # The cost of tangents is part of the backward span.
        last = "backward" if len(self.plan.inputs) > 1 else "loss"
        self.executor.step(*self.plan.range("forward", last), 1)
        return sum(self.executor.read(b)[0] for b in self.plan.objective) / ROWS

    def gradients(self) -> dict[int, np.ndarray]:
        self.executor.step(*self.plan.range("forward", "backward"), 1)
        return {p: np.array(self.executor.read(g)) for p, g in self.trainable.items()}

    def differences(self, parameter: int) -> np.ndarray:
        """Central differences, one element at a time."""
        w = np.array(self.executor.read(parameter))
        out = np.empty_like(w)
        for i in np.ndindex(w.shape):
            value = w[i]
            ends = []
            for moved in (value + EPSILON, value - EPSILON):
                w[i] = moved
                self.executor.write(parameter, w)
                ends.append(self.objective())
            w[i] = value
            out[i] = (ends[0] - ends[1]) / (2 * EPSILON)
        self.executor.write(parameter, w)
        return out

    def near_a_kink(self, kinks: dict[str, tuple[float, ...]]) -> bool:
        """Whether a corner of something in an unfused plan lies within 10 epsilon.

        Nor may the mean that the sparse penalty takes the logarithm of be small: its slope is too steep to measure.
        """
        self.executor.step(*self.plan.range("forward", "loss"), 1)
        distances = [np.inf]
        for op in self.plan.spans["forward"] + self.plan.spans["loss"]:
            values = [np.asarray(self.executor.read(b)) for b in op.inputs[:2] if b != ABSENT]
            if op.kind == "activation":
                distances += [np.abs(values[0] - kink).min() for kink in kinks.get(op.function, ())]
            elif op.kind == "prelu":
                distances.append(np.abs(values[0]).min())
            elif op.kind == "loss" and op.function in KINKS:
                distances.append(np.abs(KINKS[op.function](*values)).min())
            elif op.kind == "penalty" and op.attributes[0]:
                distances.append(np.abs(values[0]).min())
            elif op.kind == "activity":
                distances.append(np.abs(values[0][values[0] != 0]).min(initial=np.inf))  # a dead unit stays so
            elif op.kind == "sparse_kl":
                mean = values[0][values[0] != 0] / ROWS
                distances.append(np.minimum(np.abs(mean), np.abs(1 - mean)).min(initial=np.inf) / 500)
        return bool(min(distances) < 10 * EPSILON)


@pytest.fixture
def problem(
    plan_of: Any, core_executor: Any, targets_for: Any, kinks: dict[str, tuple[float, ...]], rng: np.random.Generator
) -> Callable[..., Problem]:
    """Return a problem away from kinks: (hidden, loss, regulariser, which executor)."""

    def build(hidden: str, loss: str, regularizer: str, which: str) -> Problem:
        activation, width, make = LOSSES[loss]
        penalties = dict(REGULARIZERS[regularizer])
        of_model = penalties.pop("model", None)
        shape = (1, 3) if hidden == "flatten" else (3,)
        layers = [dp.Input(shape), *{**HIDDEN, **ACTIVATED}[hidden](**penalties), Dense(width, activation, **penalties)]
        model = dp.Sequential(layers, dtype="float64", seed=2)
        if hidden == "frozen-bias":
            model.layers[0].bias.trainable = False
        # Gradients that are used up as they are formed cannot be read; a limit that never bites keeps them.
        model.compile(dp.optimizers.SGD(0.1, clipnorm=1e30), make(), regularizers=of_model)
        for _ in range(20):
            for v in model.variables:
                value = rng.normal(size=v.shape) / np.sqrt(v.shape[0])  # moderate: ln(1 - p) is exact enough
                v.assign(0.1 + abs(value) if "variance" in v.name or "widths" in v.name else value)
            size = (ROWS, *shape)
            x = rng.integers(0, 4, size).astype(float) if hidden == "embedding" else rng.normal(size=size)
            y = targets_for(model.loss, ROWS, width, rng)
            data = x, y, rng.uniform(0.3, 3.0, ROWS)
            plain = ReferenceExecutor(plan_of(model, False), "float64")
            plain.load_variables()
            flat = (x.reshape(ROWS, -1), *data[1:])
            if not Problem(plain.plan, plain, flat).near_a_kink(kinks):
                break
        else:
            pytest.fail("no point away from kinks in 20 draws")
        if which == "reference":
            return Problem(plain.plan, plain, flat)
        plan = plan_of(model, which == "core-fused")
        return Problem(plan, core_executor(plan, "float64"), data)

    return build


def distance(g: np.ndarray, numeric: np.ndarray) -> float:
    """|g - ĝ| / (|g| + |ĝ|), and 0 where both are but rounding errors."""
    norms = float(np.linalg.norm(g) + np.linalg.norm(numeric))
    return float(np.linalg.norm(g - numeric)) / norms if norms > 1e-9 else 0.0


def check(at: Problem, tolerance: float) -> None:
    """Compare all gradients, variable by variable."""
    for parameter, g in at.gradients().items():
        off = distance(g, at.differences(parameter))
        assert off < tolerance, f"{at.plan.buffers[parameter]!r} is off by {off:.3g}"


def goes_with(hidden: str, regularizer: str) -> bool:
    """Whether the regulariser has a gradient there: tangents do not go through every layer."""
    return "model" not in REGULARIZERS[regularizer] or hidden not in WITHOUT_TANGENTS


@pytest.mark.parametrize("hidden", sorted(WITHOUT_TANGENTS))
def test_tangents_are_refused_where_they_do_not_go_through(hidden: str, problem: Callable[..., Problem]) -> None:
    tangents = next(name for name, arguments in REGULARIZERS.items() if "model" in arguments)
    with pytest.raises(ValueError, match="TangentPropagation does not go through"):
        problem(hidden, "mse", tangents, "core")


@pytest.mark.parametrize(
    ("hidden", "regularizer"), [(h, r) for h in HIDDEN for r in REGULARIZERS if goes_with(h, r)]
)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_central_differences(
    hidden: str, loss: str, regularizer: str, problem: Callable[..., Problem], tolerance: dict[str, float]
) -> None:
    at = problem(hidden, loss, regularizer, "core")
    check(at, tolerance["gradient"])
    parameters = [b for b, v in at.plan.variables.items() if at.plan.buffers[b].role == "parameter" and v.trainable]
    assert len(at.trainable) == len(parameters) > 0


@pytest.mark.parametrize("which", ["core", "core-fused", "reference"])
@pytest.mark.parametrize(
    ("activation", "regularizer"), [(a, r) for a in ACTIVATED for r in ("none", "tangents") if goes_with(a, r)]
)
def test_gradients_of_every_activation(
    activation: str, regularizer: str, which: str, problem: Callable[..., Problem], tolerance: dict[str, float]
) -> None:
    check(problem(activation, "mse", regularizer, which), tolerance["gradient"])


@pytest.mark.parametrize("which", ["core-fused", "reference"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_gradients_of_every_executor(
    hidden: str, loss: str, which: str, problem: Callable[..., Problem], tolerance: dict[str, float]
) -> None:
    """The fused plan and the reference, with one regulariser after the other."""
    regularizer = list(REGULARIZERS)[(list(LOSSES).index(loss) + list(HIDDEN).index(hidden)) % len(REGULARIZERS)]
    at = problem(hidden, loss, regularizer if goes_with(hidden, regularizer) else "none", which)
    check(at, tolerance["gradient"])


def test_the_check_notices_a_wrong_gradient(problem: Callable[..., Problem], tolerance: dict[str, float]) -> None:
    """One element off by a millionth of the norm is seen."""
    at = problem("dense-tanh", "mse", "none", "core")
    parameter, g = next(iter(at.gradients().items()))
    numeric = at.differences(parameter)
    g.flat[0] += 1e-6 * np.linalg.norm(g)
    assert distance(g, numeric) > tolerance["gradient"]

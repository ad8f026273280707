"""Shared by the tests: the table of tolerances, ISA levels and float types, and the way from a model to executors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop import _core, runtime
from deltaprop.fuse import fuse
from deltaprop.lowering import lower
from deltaprop.plan import Plan

SEED = 20240607

# Every tolerance of the tests, in units of the float type's epsilon (float32 1.2e-7, float64 2.2e-16) unless it says
# otherwise. Differences are measured against the largest element of what is expected: an element near zero is the
# difference of larger ones, and inherits their rounding errors.
TOLERANCES = {
    # one operation: C++ against the reference on the same inputs
    "exact": 0.0,  # selections, comparisons, masks, one addition or product: both round once, alike
    "elementwise": 16.0,  # own polynomials against libm's (a few ulp each), and a few roundings after them
    "contraction": 32.0,  # up to 129 terms in index order against BLAS's order, of the sum of absolute terms
    "row_sum": 16.0,  # softmax, losses: sums over a row of up to 129, and a logarithm
    "normalised": 128.0,  # differences from a mean, divided by a deviation that is smaller than they were
    "wide_sum": 32.0,  # penalties and norms: columns are summed in the float type, in the reference in float64
    "counter": 32.0,  # of float64, whatever the model's type: both sum in it, in other orders
    # many operations
    "epochs": 5e3,  # a dozen updates, each of which passes rounding errors on to the next, some through a division
    "fused": 32.0,  # one pass: a fused sum starts from the bias, an unfused one ends with it
    "symmetry": 256.0,  # the same sums in another order, through two layers
    # not in units of epsilon
    "gradient": 1e-7,  # |g - ĝ| / (|g| + |ĝ|): central differences at 1e-5 are good to about 1e-9
}


# Where the slope of an activation jumps: differences are not taken across.
KINKS: dict[str, tuple[float, ...]] = {
    "relu": (0,), "step": (0,), "sign": (0,), "leaky_relu": (0,), "relu6": (0, 6), "hard_tanh": (-1, 1),
    "hard_sigmoid": (-3, 3), "elu": (0,), "selu": (0,), "celu": (0,), "softsign": (0,),
}  # fmt: skip


@pytest.fixture
def kinks() -> dict[str, tuple[float, ...]]:
    """Return the places where the slopes of activations jump, or their own slopes, by name."""
    return KINKS


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Each ISA level that this processor and build have."""
    return str(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """Each float type."""
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["fused", "unfused"])
def fused(request: pytest.FixtureRequest) -> bool:
    """Whether neighbours of the plan are merged."""
    return bool(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in each run."""
    return np.random.default_rng(SEED)


@pytest.fixture
def tolerance() -> dict[str, float]:
    """The table of tolerances."""
    return TOLERANCES


@pytest.fixture
def assert_close() -> Callable[..., None]:
    """Return a comparison by the table: (actual, expected, what, dtype, label, scale)."""

    def check(actual: Any, expected: Any, what: str, dtype: str, label: str = "", scale: float | None = None) -> None:
        actual = np.asarray(actual, dtype=np.float64)
        expected = np.asarray(expected, dtype=np.float64)
        assert actual.shape == expected.shape, f"{label}: shape {actual.shape}, expected {expected.shape}"
        if scale is None:
            scale = float(np.abs(expected).max(initial=0.0))
        allowed = TOLERANCES[what] * float(np.finfo(dtype).eps) * scale
        error = np.abs(actual - expected).max(initial=0.0)
        assert error <= allowed, f"{label}: off by {error:.3g}, allowed {allowed:.3g} ({what}, {dtype})"

    return check


@pytest.fixture
def plan_of() -> Callable[..., Plan]:
    """Return the lowering of a compiled model: (model, fused)."""

    def build(model: dp.Model, fused: bool) -> Plan:
        plan = lower(model.require_graph(), model.terms, model.optimizer, model.regularizers)
        return fuse(plan) if fused else plan

    return build


@pytest.fixture
def core_executor() -> Callable[..., Any]:
    """Return a C++ executor with variables of its own: (plan, dtype, isa)."""

    def build(plan: Plan, dtype: str, isa: str | None = None) -> Any:
        natives: list[Any] = [None] * len(plan.buffers)
        for buffer, variable in plan.variables.items():
            natives[buffer] = runtime.native_variable(variable.shape, dtype, isa)
            natives[buffer].assign(variable.numpy().astype(dtype))
        return runtime.native_executor(plan, natives, dtype, _core.Gate(), isa)

    return build


@pytest.fixture
def targets_for() -> Callable[..., np.ndarray]:
    """Return targets that suit a loss: (loss, rows, n_outputs, generator)."""

    def draw(loss: dp.losses.Loss, rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
        if loss.sparse:
            return rng.integers(0, n, rows)
        (n,) = loss.target_shape((n,))
        if loss.function.startswith("binary_") or loss.function.endswith("hinge"):
            yes = rng.integers(0, 2, (rows, n)).astype(np.float64)
            return np.eye(n)[rng.integers(0, n, rows)] if loss.one_hot else yes
        if loss.one_hot or loss.function == "kl_divergence":
            return rng.dirichlet(np.ones(n), rows)  # soft targets: every term counts
        if loss.function == "poisson":
            return rng.poisson(3, (rows, n)).astype(np.float64)
        y = rng.normal(size=(rows, n))
        return np.abs(y) if loss.function == "msle" else y

    return draw

"""Penalties on weights and on activations: descriptions; the arithmetic is in the kernels and textbook.py."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .utils import choose
from .variable import Variable

__all__ = [
    "L1", "L1L2", "L2", "GroupDecay", "SparseKL", "TangentPropagation", "get", "get_activity", "get_of_model",
    "l1", "l1_l2", "l2",
]  # fmt: skip


class L1L2:
    """The penalty ``l1 * sum |w| + l2 * sum w**2``, added to the loss, as in Keras (no 1/2).

    As an `activity_regularizer` the sums go over a row's outputs of the layer, and the penalty is the
    mean over the batch, whatever the rows' weights.

    Parameters
    ----------
    l1, l2 : float
        Not negative.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.layers.Dense(8, kernel_regularizer=dp.regularizers.L1L2(l1=1e-5, l2=1e-4)).kernel_regularizer
    L1L2(l1=1e-05, l2=0.0001)
    """

    __slots__ = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = checks.number("l1", l1, least=0)
        self.l2 = checks.number("l2", l2, least=0)

    def get_config(self) -> dict[str, float]:
        """Return both factors."""
        return {"l1": self.l1, "l2": self.l2}

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1}, l2={self.l2})"


class L1(L1L2):
    """The penalty ``l1 * sum |w|``."""

    __slots__ = ()

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """The penalty ``l2 * sum w**2``; weight decay in the notes' form ``λ/2 wᵀw`` is ``l2 = λ/2``."""

    __slots__ = ()

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


# Keras's other spelling.
l1, l2, l1_l2 = L1, L2, L1L2


class SparseKL:
    """``beta * sum_j [rho ln(rho / q_j) + (1 - rho) ln((1 - rho) / (1 - q_j))]``, an `activity_regularizer`.

    q_j is the mean output of unit j over the batch, so the penalty pulls each unit's mean towards rho
    (the sparse autoencoder; Ng 2011, *Sparse autoencoder*). It suits outputs between 0 and 1, as of
    a sigmoid. q_j is clipped to [1e-7, 1 - 1e-7], where the penalty is finite, and flat beyond.

    A batch that is trained on with this penalty stays in memory whole, since each row's gradient
    depends on all rows.

    Parameters
    ----------
    rho : float
        The wanted mean output, between 0 and 1.
    beta : float
        Weight of the penalty, not negative.

    Examples
    --------
    >>> import deltaprop as dp
    >>> penalty = dp.regularizers.SparseKL(rho=0.05, beta=0.1)
    >>> dp.layers.Dense(64, activation="sigmoid", activity_regularizer=penalty).activity_regularizer
    SparseKL(rho=0.05, beta=0.1)
    """

    __slots__ = ("beta", "rho")

    def __init__(self, rho: float = 0.05, beta: float = 1.0) -> None:
        self.rho = checks.number("rho", rho, above=0, below=1)
        self.beta = checks.number("beta", beta, least=0)

    def get_config(self) -> dict[str, float]:
        """Return rho and beta."""
        return {"rho": self.rho, "beta": self.beta}

    def __repr__(self) -> str:
        return f"SparseKL(rho={self.rho}, beta={self.beta})"


class ModelRegularizer:
    """Base of the penalties on a model as a whole, which `compile` takes."""

    __slots__ = ()
    weight: float  # of each tangent's penalty

    def penalties(self, variables: Iterable[Variable]) -> list[tuple[Variable, L1L2]]:
        """Return which of a model's variables are penalised, and how."""
        return []

    def count(self, input_shape: tuple[int, ...]) -> int:
        """Return how many tangents a row has."""
        return 0

    def of(self, x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the tangents of rows: arrays of the shape of x."""
        return []

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ModelRegularizer:
        """Return a regulariser from what `get_config` returned."""
        return cls(**config)


class GroupDecay(ModelRegularizer):
    """``1/2 * sum_k alpha_k ‖w‖²_k``: weight decay with a strength of its own for each group of weights.

    It is the prior ``p(w) ∝ exp(-1/2 sum_k alpha_k ‖w‖²_k)`` (Bishop 2006, section 5.5.1), goes to
    ``compile(regularizers=[...])`` and is part of the loss. Biases do not decay unless they are named.

    Parameters
    ----------
    alphas : dict of str to float, or list of float
        By group. A group is named by a layer (its kernel), by a pattern that fits several layers
        (``"hidden_*"``), or by a variable (``"dense/bias"``). A list has one strength for each layer
        with weights, from the input to the output.

    Examples
    --------
    >>> import deltaprop as dp
    >>> model = dp.Sequential([
    ...     dp.Input(shape=(2,)), dp.layers.Dense(3, name="first"), dp.layers.Dense(1, name="second")])
    >>> decay = dp.regularizers.GroupDecay({"first": 1e-3, "second": 1e-4})
    >>> model.compile("sgd", "mse", regularizers=[decay])
    """

    __slots__ = ("alphas",)

    def __init__(self, alphas: Mapping[str, float] | Sequence[float]) -> None:
        self.alphas: dict[str, float] | list[float]
        if isinstance(alphas, Mapping):
            if not all(isinstance(name, str) for name in alphas):
                raise ValueError(f"the groups of alphas must be named by strings, received {alphas!r}.")
            self.alphas = {name: checks.number(f"alphas[{name!r}]", alpha, least=0) for name, alpha in alphas.items()}
        elif isinstance(alphas, (Sequence, np.ndarray)) and not isinstance(alphas, str):
            self.alphas = checks.numbers("alphas", alphas, least=0)
        else:
            raise ValueError(
                f"alphas must be a dict such as {{'dense': 1e-3}} or a list of one number per layer, "
                f"received {alphas!r}."
            )

    def penalties(self, variables: Iterable[Variable]) -> list[tuple[Variable, L1L2]]:
        """Return which of a model's variables are penalised, and how.

        Raises
        ------
        ValueError
            If a group has no variable, a variable has two groups, or a list has another length.
        """
        names = {v.name: [v] for v in variables}
        kernels: dict[str, list[Variable]] = {}
        for name, (v,) in names.items():
            if v.decays:
                kernels.setdefault(name.rpartition("/")[0], []).append(v)
        if isinstance(self.alphas, list):
            if len(self.alphas) != len(kernels):
                raise ValueError(
                    f"GroupDecay takes one strength for each of the layers {', '.join(kernels)}; "
                    f"received {len(self.alphas)}."
                )
            return [(v, L2(alpha / 2)) for group, alpha in zip(kernels.values(), self.alphas) for v in group]
        found: dict[Variable, str] = {}
        for group in self.alphas:
            known = names if "/" in group else kernels
            members = [v for name in fnmatch.filter(known, group) for v in known[name]]
            if not members:
                raise ValueError(
                    f"GroupDecay knows no weights {group!r}; the layers are {', '.join(kernels)}, and the "
                    f"variables {', '.join(names)}."
                )
            for v in members:
                if v in found:
                    raise ValueError(
                        f"GroupDecay received two groups for {v.name!r}, {found[v]!r} and {group!r}; give "
                        f"each variable one."
                    )
                found[v] = group
        return [(v, L2(self.alphas[group] / 2)) for v, group in found.items()]

    def get_config(self) -> dict[str, Any]:
        """Return the strengths."""
        return {"alphas": self.alphas}

    def __repr__(self) -> str:
        return f"GroupDecay({self.alphas})"


class TangentPropagation(ModelRegularizer):
    """``weight * 1/2 * ‖J t‖²``: what moves an input along its tangent t should not move the output.

    J is the Jacobian of the network's output by its input, and the penalty is the mean over the batch
    and the sum over a row's tangents, whatever the rows' weights (Simard et al. 1992). The tangent of
    a transformation s(x, ξ) is ``∂s/∂ξ`` at ``ξ = 0``. Goes to ``compile(regularizers=[...])``; the
    gradient is exact, through second derivatives of the activations. The penalty is part of the
    training loss only, as dropout is, since other data have no tangents.

    Parameters
    ----------
    tangents : array_like of shape (n_samples, *input_shape) or (n_samples, n_tangents, *input_shape), or callable
        One or several tangents for each row that `fit` gets; or a function that makes them from these
        rows, all at once. A model from a file has none until `tangents` is set again.
    weight : float
        Not negative.
    n_tangents : int, optional
        How many tangents a row has, where a function makes them; by default 1.

    Examples
    --------
    Outputs that hardly change where both inputs grow together:

    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> penalty = dp.regularizers.TangentPropagation(np.ones((64, 2)), weight=10.0)
    >>> model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.Dense(8, "tanh"), dp.layers.Dense(1)], seed=0)
    >>> model.compile(dp.optimizers.Adam(0.01), "mse", regularizers=[penalty])
    >>> history = model.fit(x, x[:, 0] - x[:, 1], epochs=200, verbose=0)
    >>> bool(np.abs(model.predict(x + 0.1) - model.predict(x)).mean() < 0.01)
    True
    """

    __slots__ = ("n_tangents", "tangents", "weight")

    def __init__(self, tangents: Any = None, weight: float = 1.0, n_tangents: int | None = None) -> None:
        self.weight = checks.number("weight", weight, least=0)
        self.n_tangents = None if n_tangents is None else checks.whole("n_tangents", n_tangents, least=1)
        self.tangents = tangents if tangents is None or callable(tangents) else np.asarray(tangents)

    def count(self, input_shape: tuple[int, ...]) -> int:
        """Return how many tangents a row has."""
        if isinstance(self.tangents, np.ndarray):  # a file will need to know
            self.n_tangents = self.tangents.shape[1] if self.tangents.ndim == len(input_shape) + 2 else 1
        return self.n_tangents or 1

    def of(self, x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return arrays of the shape of x, one for each tangent of a row.

        Raises
        ------
        ValueError
            If there are none, or they do not fit x.
        """
        if self.tangents is None:
            raise ValueError(
                "TangentPropagation has no tangents: files do not hold them. Set "
                "model.regularizers[i].tangents to an array or a function before fit."
            )
        given = np.asarray(self.tangents(x) if callable(self.tangents) else self.tangents)
        count = self.count(x.shape[1:])
        wanted = x.shape if count == 1 else (len(x), count, *x.shape[1:])
        several = given.shape == (len(x), count, *x.shape[1:])
        if given.shape != wanted and not several:
            raise ValueError(
                f"tangents must have shape {wanted} for x of shape {x.shape}, received shape {given.shape}; "
                f"n_tangents says how many a function makes."
            )
        if given.dtype.kind not in "biuf":
            raise ValueError(f"tangents must be real numbers, received dtype {given.dtype}.")
        if not np.isfinite(given).all():
            raise ValueError("tangents must be finite, received NaN or infinity.")
        return [given[:, i] for i in range(count)] if several else [given]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments but for the tangents."""
        return {"weight": self.weight, "n_tangents": self.n_tangents}

    def __repr__(self) -> str:
        return f"TangentPropagation(weight={self.weight})"


OF_MODEL: dict[str, type[ModelRegularizer]] = {"GroupDecay": GroupDecay, "TangentPropagation": TangentPropagation}


def serialize(regularizer: L1L2 | None) -> dict[str, float] | None:
    """Return what `get` turns back into the regulariser."""
    return None if regularizer is None else {"l1": regularizer.l1, "l2": regularizer.l2}


def get(identifier: str | L1L2 | dict[str, Any] | None) -> L1L2 | None:
    """Return the penalty on weights that a name, an instance or a saved configuration stands for."""
    if identifier is None or isinstance(identifier, L1L2):
        return identifier
    if isinstance(identifier, SparseKL):
        raise ValueError(f"{identifier!r} penalises activations; pass it as activity_regularizer.")
    if isinstance(identifier, ModelRegularizer):
        raise ValueError(f"{identifier!r} penalises a model; pass it to compile(regularizers=[...]).")
    if isinstance(identifier, dict):
        return L1L2(**identifier)
    if identifier in ("l1_l2", "L1L2"):
        return L1L2(0.01, 0.01)
    return choose("regularizer", identifier, {"l1": L1, "l2": L2, "L1": L1, "L2": L2})()


def get_activity(identifier: str | L1L2 | SparseKL | dict[str, Any] | None) -> L1L2 | SparseKL | None:
    """Return the penalty on activations that a name, an instance or a saved configuration stands for."""
    if isinstance(identifier, SparseKL):
        return identifier
    if isinstance(identifier, dict) and "rho" in identifier:
        return SparseKL(**identifier)
    return SparseKL() if identifier in ("sparse_kl", "SparseKL") else get(identifier)


def get_of_model(identifiers: Any) -> list[ModelRegularizer]:
    """Return the penalties on a whole model as a list."""
    given = identifiers if isinstance(identifiers, (list, tuple)) else [identifiers] if identifiers else []
    for regularizer in given:
        if not isinstance(regularizer, tuple(OF_MODEL.values())):
            raise ValueError(
                f"regularizers of a model must be of {', '.join(OF_MODEL)}, received {regularizer!r}; "
                f"others belong to layers, as kernel_regularizer or activity_regularizer."
            )
    return list(given)

"""The networks that are timed: shapes, data, first weights and FLOPs; nothing here runs one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A ReLU network with one linear output, or with a softmax over several classes."""

    widths: tuple[int, ...]
    batch: int
    rows: int  # of the data set: what an epoch visits
    optimizer: str = "adam"

    @property
    def name(self) -> str:
        shape = "-".join(map(str, self.widths))
        suffix = "" if self.optimizer == "adam" else " " + self.optimizer
        return f"{shape} b{self.batch}{suffix}"

    @property
    def is_classifier(self) -> bool:
        return self.widths[-1] > 1

    @property
    def steps(self) -> int:
        """Updates in an epoch; `rows` are whole batches, so that no peer needs a ragged one."""
        assert self.rows % self.batch == 0
        return self.rows // self.batch

    @property
    def step_flops(self) -> int:
        """Multiply-adds of one update, counted twice; the first layer has no input gradient."""
        products = [a * b for a, b in zip(self.widths, self.widths[1:], strict=False)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    def data(self) -> tuple[Array, npt.NDArray[np.generic]]:
        """Return x of shape (rows, n_in) and, of a rule that can be learnt, y.

        Classes are int64 of shape (rows,), numbers are float32 of shape (rows, 1).
        """
        rng = np.random.default_rng(113)
        x = rng.standard_normal((self.rows, self.widths[0]), np.float32)
        rule = rng.standard_normal((self.widths[0], self.widths[-1]), np.float32)
        signal = x @ (rule / np.sqrt(self.widths[0]))
        return x, signal.argmax(axis=1) if self.is_classifier else np.tanh(2 * signal)

    def weights(self) -> list[Array]:
        """Return [W, b, W, b, …], W of shape (n_in, n_out), the same in every library.

        He's deviation; the last layer is ten times smaller, else the first loss of a wide network
        depends too much on the order of the rows to be compared.
        """
        rng = np.random.default_rng(7)
        weights = []
        for n_in, n_out in zip(self.widths, self.widths[1:], strict=False):
            w = rng.standard_normal((n_in, n_out), np.float32) * np.float32(np.sqrt(2 / n_in))
            weights += [w, rng.standard_normal(n_out, np.float32) / 10]
        weights[-2] /= 10
        return weights


def forward(x: Array, weights: list[Array], softmax: bool) -> npt.NDArray[np.float64]:
    """The answer that every library has to give: plain NumPy in float64."""
    a = x.astype(np.float64)
    for layer in range(0, len(weights), 2):
        a = a @ weights[layer] + weights[layer + 1]
        if layer + 2 < len(weights):
            a = np.maximum(a, 0)
    if softmax:
        a = np.exp(a - a.max(axis=1, keepdims=True))
        a /= a.sum(axis=1, keepdims=True)
    return a

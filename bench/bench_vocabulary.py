"""An epoch of 784-128-10, batch 32, Adam, with each activation, loss and metric, against ReLU and cross-entropy."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pytest
from networks import Network

import deltaprop as dp

ROUNDS = int(os.environ.get("DELTAPROP_BENCH_ROUNDS", 8))
SLOWEST = 1.15  # of what every word of the vocabulary may cost, as a ratio of epochs
NETWORK = Network((784, 128, 10), 32, 6400)
BASE = "sparse_categorical_crossentropy"
LOSSES: dict[str, Any] = {name: name for name in sorted({c.function for c in dp.losses.LOSSES.values()} - {BASE})}
LOSSES["quantile"] = dp.losses.Quantile((0.05, 0.25, 0.5, 0.75, 0.95))
ACTIVATIONS: dict[str, list[dp.layers.Layer]] = {
    name: [dp.layers.Dense(128, a)] for name, a in dp.activations.ACTIVATIONS.items() if a.reads != "nothing"
}
ACTIVATIONS["prelu"] = [dp.layers.Dense(128), dp.layers.PReLU()]
METRICS: dict[str, Any] = {
    "accuracy": "accuracy",
    "top_k": dp.metrics.SparseTopKCategoricalAccuracy(3),
    "auc": dp.metrics.AUC(),
    "f1_score": dp.metrics.F1Score(),
    "precision": dp.metrics.Precision(),
}


def compiled(loss: Any, metrics: list[Any], hidden: list[dp.layers.Layer] | None = None) -> tuple[Any, Any]:
    """A model, and targets that suit its loss."""
    loss = dp.losses.get(loss)
    activation = loss.link or ("softplus" if loss.function in ("poisson", "gaussian_nll", "msle") else "linear")
    if loss.function == "kl_divergence":
        activation = "softmax"
    hidden = hidden or [dp.layers.Dense(128, "relu")]
    model = dp.Sequential([dp.Input((784,)), *hidden, dp.layers.Dense(10, activation)], seed=1)
    model.compile("adam", loss, metrics=metrics)
    ids = NETWORK.data()[1]
    shape = loss.target_shape((10,))
    return model, ids if loss.sparse else np.eye(10, dtype=np.float32)[ids][:, : shape[0]]


def race(entries: dict[str, tuple[Any, Any]]) -> dict[str, float]:
    """The fastest epoch of each, in interleaved rounds on one thread."""
    x = NETWORK.data()[0]
    best = dict.fromkeys(entries, float("inf"))
    threads = dp.get_num_threads()
    dp.set_num_threads(1)
    try:
        for _ in range(ROUNDS + 1):
            for name, (model, y) in entries.items():
                start = time.perf_counter()
                model.fit(x, y, batch_size=NETWORK.batch, verbose=0)
                best[name] = min(best[name], time.perf_counter() - start)
    finally:
        dp.set_num_threads(threads)
    return best


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param({name: (BASE, [], hidden) for name, hidden in ACTIVATIONS.items()}, id="activations"),
        pytest.param({name: (loss, []) for name, loss in LOSSES.items()}, id="losses"),
        pytest.param({name: (BASE, [metric]) for name, metric in METRICS.items()}, id="metrics"),
    ],
)
def test_epoch(entries: dict[str, tuple[Any, ...]]) -> None:
    best = race({name: compiled(*entry) for name, entry in {BASE: (BASE, []), **entries}.items()})
    ratios = {name: seconds / best[BASE] for name, seconds in best.items()}
    print(f"\n{BASE}: {1e6 * best[BASE] / NETWORK.steps:.1f} us a step")
    for name, ratio in sorted(ratios.items(), key=lambda item: -item[1]):
        print(f"{name:34}{ratio:6.3f}")
    slow = {name: round(ratio, 3) for name, ratio in ratios.items() if ratio > SLOWEST}
    assert not slow, f"slower than {SLOWEST} times {BASE}: {slow}"

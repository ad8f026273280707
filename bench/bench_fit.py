"""An epoch of `model.fit` with shuffling, against every peer that can train the network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from baselines import Deltaprop
from networks import Network
from workers import CHECKED_EPOCHS, DEFAULT, Lane

import deltaprop as dp

PEERS = ("deltaprop", "torch", "jax", "scikit-learn")
FITS = [  # with the ratios that have to hold; "best" is the fastest peer
    (Network((13, 64, 64, 1), 1, 404, "rmsprop"), {"jax": 2.0, "torch": 120.0}),
    (Network((20, 64, 64, 1), 32, 8192), {"jax": 1.8, "scikit-learn": 9.0, "torch": 20.0}),
    (Network((64, 32, 10), 32, 8192), {"jax": 2.5, "scikit-learn": 14.0, "torch": 25.0}),
    (Network((784, 128, 10), 32, 12800), {"jax": 1.4, "scikit-learn": 4.0, "torch": 3.5}),
    (Network((784, 512, 512, 10), 128, 6400), {"best": 1.25}),
    (Network((1024, 1024, 1024, 1024, 10), 1024, 4096), {"best": 1.08}),
]
SIZES = (8, 32, 128, 512, 2048)
SWEEP = [("width", n, Network((n, n, n, 10), 64, 64 * max(8, 512 // n))) for n in SIZES] + [
    ("batch", n, Network((784, 128, 10), n, n * max(8, 4096 // n))) for n in SIZES
]


def check_against_reference(network: Network) -> None:
    """Three updates in C++ leave the weights where the NumPy executor leaves them."""
    rows = slice(3 * network.batch)
    losses, weights = [], []
    for run_eagerly in (False, True):
        ours = Deltaprop(network, None, run_eagerly=run_eagerly)
        history = ours.model.fit(
            ours.x[rows], ours.y[rows], batch_size=network.batch, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"])
        weights.append(np.concatenate([w.ravel() for w in ours.model.get_weights()]))
    start = np.concatenate([w.ravel() for w in network.weights()])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    # By the mean: Adam turns the rounding of a gradient near zero into a whole step.
    moved = np.abs(weights[1] - start).mean()
    assert moved > 0
    assert np.abs(weights[0] - weights[1]).mean() < 1e-2 * moved


def check_against_peers(network: Network, lanes: list[Lane]) -> list[float]:
    """From the same weights everyone's first epoch has our loss, and everyone's loss falls.

    The tolerance is for the order of the rows; in later epochs it would have to be larger.
    """
    ours = Deltaprop(network, None)
    losses = [ours.epoch() for _ in range(CHECKED_EPOCHS)]
    for name, seen in [("deltaprop", losses), *((lane.peer, lane.losses) for lane in lanes)]:
        assert seen[-1] < seen[0], f"the loss of {name} does not fall: {seen}"
        np.testing.assert_allclose(seen[0], losses[0], rtol=0.15, err_msg=name)
    return losses


def run(network: Network, lanes_for: Callable[..., list[Lane]], race: Any, **extra: Any) -> None:
    # A small fit takes up to a fifth longer in pytest's process than in a worker, where the peers are.
    lanes = lanes_for(network, "epoch", ("deltaprop",), threads=(DEFAULT,)) + lanes_for(network, "epoch", PEERS)
    check_against_reference(network)
    losses = check_against_peers(network, lanes)
    ours = Deltaprop(network, None)
    race(
        f"fit {network.name}",
        ours.epoch,
        lanes=lanes,
        steps=network.steps,
        step_flops=network.step_flops,
        losses=losses,
        **extra,
    )


@pytest.mark.benchmark(group="fit")
@pytest.mark.parametrize(("network", "gates"), FITS, ids=[network.name for network, _ in FITS])
def test_fit(
    network: Network,
    gates: dict[str, float],
    lanes_for: Callable[..., list[Lane]],
    race: Callable[..., None],
) -> None:
    run(network, lanes_for, race, gates=gates)


class InTurn:
    """A lane of ours in this process, which takes turns with what is timed."""

    def __init__(self, label: str, call: Callable[[], Any]) -> None:
        self.label, self.call = label, call
        self.seconds: list[float] = []

    def round(self) -> None:
        begin = time.perf_counter()
        self.call()
        self.seconds.append(time.perf_counter() - begin)

    def record(self) -> dict[str, Any]:
        best = min(self.seconds)
        return {"peer": self.label, "version": "", "threads": 1, "seconds": best, "rounds": self.seconds}


@pytest.mark.benchmark(group="fit")
def test_float64(race: Callable[..., None]) -> None:
    """The same kernels on registers that hold half as many numbers."""
    network = Network((784, 512, 512, 10), 128, 6400)
    try:
        single, double = Deltaprop(network, 1), Deltaprop(network, 1, dtype="float64")
        lanes = [InTurn("float32", single.epoch)]
        race(f"fit {network.name} float64", double.epoch, lanes=lanes, gates={"float32": 0.45}, steps=network.steps)
    finally:
        dp.set_num_threads(None)


@pytest.mark.skipif(not os.environ.get("DELTAPROP_BENCH_SWEEP"), reason="DELTAPROP_BENCH_SWEEP=1")
@pytest.mark.benchmark(group="sweep")
@pytest.mark.parametrize(
    ("axis", "size", "network"), SWEEP, ids=[f"{axis}-{size}" for axis, size, _ in SWEEP]
)
def test_sweep(
    axis: str,
    size: int,
    network: Network,
    lanes_for: Callable[..., list[Lane]],
    race: Callable[..., None],
) -> None:
    run(network, lanes_for, race, axis=axis, size=size)

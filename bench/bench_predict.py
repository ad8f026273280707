"""One row through `model(x)` and many through `model.predict`, against inference libraries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from baselines import Deltaprop
from networks import Network, forward
from workers import CHECKED_ROWS, Lane

ONE = [
    (Network((20, 64, 64, 1), 1, 16), {"mlpfile": 2.5, "onnxruntime": 12.0, "torch": 45.0}),
    (Network((40, 100, 100, 10), 1, 16), {"mlpfile": 2.5, "onnxruntime": 9.0}),
    (Network((784, 128, 10), 1, 16), {"mlpfile": 1.7, "onnxruntime": 2.4}),
]
MANY = [(Network((784, 128, 10), 1, 10_000), {"onnxruntime": 1.1, "torch": 1.35})]
PEERS = ("deltaprop", "torch", "onnxruntime")


def check(network: Network, work: str, lanes: list[Lane]) -> Deltaprop:
    """Return our model, after everyone has given the answer of plain NumPy."""
    ours = Deltaprop(network, None)
    rows = ours.x[: 1 if work == "one" else CHECKED_ROWS]
    weights = ours.model.get_weights()
    expected = forward(rows, weights, network.is_classifier)
    np.testing.assert_allclose(getattr(ours, work)(rows), expected, rtol=1e-4, atol=1e-5)
    for lane in lanes:
        softmax = network.is_classifier and lane.peer != "mlpfile"  # it has no softmax
        expected = forward(rows, network.weights(), softmax).ravel()
        np.testing.assert_allclose(lane.output, expected, rtol=1e-4, atol=1e-5, err_msg=lane.peer)
    return ours


@pytest.mark.benchmark(group="one row")
@pytest.mark.parametrize(("network", "gates"), ONE, ids=[network.name for network, _ in ONE])
def test_one_row(
    network: Network,
    gates: dict[str, float],
    lanes_for: Callable[..., list[Lane]],
    race: Callable[..., None],
) -> None:
    lanes = lanes_for(network, "one", (*PEERS, "mlpfile"), threads=(1,))
    ours = check(network, "one", lanes)
    # pytest-benchmark's loop costs a sixth of the smallest call. The workers' loop does not, so
    # the ratios of these rows are taken from ours among the workers.
    race(
        f"one row {shape(network)}",
        ours.model,
        (ours.x[:1],),
        lanes=lanes,
        gates=gates,
        ours_from_worker=True,
    )


@pytest.mark.benchmark(group="predict")
@pytest.mark.parametrize(("network", "gates"), MANY, ids=[network.name for network, _ in MANY])
def test_predict(
    network: Network,
    gates: dict[str, float],
    lanes_for: Callable[..., list[Lane]],
    race: Callable[..., None],
) -> None:
    lanes = lanes_for(network, "predict", PEERS)
    ours = check(network, "predict", lanes)
    work = f"predict {len(ours.x)} rows {shape(network)}"
    race(work, ours.predict, (ours.x,), lanes=lanes, gates=gates)


def shape(network: Network) -> str:
    return "-".join(map(str, network.widths))

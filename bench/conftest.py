"""How `pytest bench` races and reports; what is timed stands in the ``bench_*.py`` files.

``DELTAPROP_BENCH_ROUNDS`` (default 8) is the number of rounds, ``DELTAPROP_BENCH_PEERS`` a
comma-separated choice of peers, ``DELTAPROP_BENCH_SWEEP=1`` adds the rows of the plot.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import baselines
import probe
import pytest
import workers
from networks import Network

CHOSEN = os.environ.get("DELTAPROP_BENCH_PEERS", ",".join(baselines.PEERS)).split(",")
RECORDS = pytest.StashKey[list[dict[str, Any]]]()
CREW = pytest.StashKey[workers.Crew]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDS] = []
    config.stash[CREW] = workers.Crew()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[CREW].close()


def machine() -> dict[str, Any]:
    """Return what a figure depends on besides the code."""
    import deltaprop as dp

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        returned = dp.show_config()
    settings = shown.getvalue().strip() or str(returned)
    isa = re.search(r"x86-64-v\d|baseline|neon", settings)
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": found[1] if found else platform.processor(),
        "cpus": len(workers.CPUS),
        "isa": isa[0] if isa else "unknown",
        "deltaprop": settings,
        "peak_gflops": probe.peak(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("numpy", *(distribution for _, distribution in baselines.PEERS.values())):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    machine_info["bench"] = machine()


@pytest.fixture(scope="session")
def crew(pytestconfig: pytest.Config) -> workers.Crew:
    return pytestconfig.stash[CREW]


@pytest.fixture
def record(benchmark: Any, pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return a function that puts a row into the JSON and into the table at the end."""

    def add(work: str, **fields: Any) -> None:
        if benchmark.stats is None:  # --benchmark-disable
            return
        row = {"work": work, "seconds": benchmark.stats["min"], **fields}
        benchmark.extra_info.update(row)
        pytestconfig.stash[RECORDS].append(row)

    return add


@pytest.fixture
def race(benchmark: Any, record: Callable[..., None]) -> Callable[..., None]:
    """Return a function that times ours and, in turn with it, what the peers' workers do."""

    def run(
        work: str,
        target: Callable[..., Any],
        arguments: tuple[Any, ...] = (),
        lanes: Sequence[workers.Lane] = (),
        gates: Mapping[str, float] | None = None,
        **extra: Any,
    ) -> None:
        def peers_turn(*_: Any) -> None:
            for lane in lanes:
                if len(lane.seconds) < workers.ROUNDS:  # as many as ours, warm-up or not
                    lane.round()
            time.sleep(workers.REST)

        target(*arguments)
        end, fastest = time.perf_counter() + workers.WARM_UP, workers.WARM_UP
        while (begin := time.perf_counter()) < end:
            target(*arguments)
            fastest = min(fastest, time.perf_counter() - begin)
        ping_pong = [probe.ping_pong()]
        benchmark.pedantic(
            target,
            arguments,
            teardown=peers_turn,
            rounds=workers.ROUNDS,
            warmup_rounds=1,
            iterations=math.ceil(workers.SHORTEST / fastest),
        )
        ping_pong.append(probe.ping_pong())
        record(
            work,
            lanes=[lane.record() for lane in lanes],
            gates=dict(gates or {}),
            ping_pong_ns=ping_pong,
            **extra,
        )

    return run


@pytest.fixture
def lanes_for(crew: workers.Crew) -> Callable[..., list[workers.Lane]]:
    """Return a function that builds a network in every chosen peer, ourselves included."""

    def build(
        network: Network, work: str, peers: Sequence[str], threads: Sequence[int] = (1, 2)
    ) -> list[workers.Lane]:
        return crew.build([peer for peer in peers if peer in CHOSEN], network, work, threads)

    return build


def pytest_report_header(config: pytest.Config) -> list[str]:
    try:
        info = machine()
    except ImportError:
        return ["bench: deltaprop is not installed"]
    named = ", ".join(f"{name} {number}" for name, number in info["versions"].items())
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return [
        f"bench: {info['cpu']}, {info['cpus']} CPUs, ISA {info['isa']}, OMP_NUM_THREADS {threads}",
        f"bench: {named}; {workers.ROUNDS} rounds",
    ]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    from report import lines

    records = config.stash[RECORDS]
    if records:
        terminalreporter.section("ratios: peer time / our time, best of the rounds")
        for line in lines(records):
            terminalreporter.write_line(line)
    for row, reason in config.stash[CREW].missing.items():
        terminalreporter.write_line(f"left out: {row} ({reason})")

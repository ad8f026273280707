"""A fit among others: other thread pools, a busy neighbour, OpenMP settings; and what it costs besides time.

Every figure is of a new process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workers import CPUS, ROUNDS

# Each word has its own program, which prints one number; `fit` is the median of epochs that follow a disturbance.
PROGRAMS = {
    "fit": """
        ours = Deltaprop(Network((784, 128, 10), 32, 6400), None)
        seconds = []
        for _ in range(15):
            disturb()
            begin = time.perf_counter()
            ours.epoch()
            seconds.append(time.perf_counter() - begin)
        print(statistics.median(seconds[3:]) / 200)
    """,
    "memory": """
        x, y = np.full((60_000, 784), 7, np.uint8), np.zeros(60_000, np.int64)
        ours = Deltaprop(Network((784, 128, 10), 128, 128), None)
        ours.epoch()
        before = status("VmRSS")
        ours.model.fit(x, y, batch_size=128, verbose=0)
        print(status("VmHWM") - before)
    """,
    "epochs": """
        ours = Deltaprop(Network((4, 16, 3), 50, 150), None)
        stopping = dp.callbacks.EarlyStopping(monitor="loss", patience=1000)
        begin = time.perf_counter()
        ours.model.fit(ours.x, ours.y, batch_size=50, epochs=1000, verbose=0, callbacks=[stopping])
        print(time.perf_counter() - begin)
    """,
    "python": """
        ours = Deltaprop(Network((4, 16, 3), 150, 150), None)
        fit = lambda: ours.model.fit(ours.x, ours.y, batch_size=150, epochs=1000, verbose=0)
        fit()
        begin = time.perf_counter()
        fit()
        whole = time.perf_counter() - begin
        data = _core.Data([ours.x], [ours.y], [None])
        executor, rates = ours.model.executor(), ours.model.optimizer.scalars(0, 1000)
        order = np.tile(np.arange(150), 1000)
        begin = time.perf_counter()
        executor.run(data, order, 150_000, 150, 0, 1000, rates, 0, 1, True, 1, None)
        print((whole - (time.perf_counter() - begin)) / 1000)
    """,
}
HEADER = """
import statistics, time
import numpy as np
import deltaprop as dp
from deltaprop import _core
from baselines import Deltaprop
from networks import Network
def status(key):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))
"""
# What a process does before every epoch: a second pool of threads is then awake and spins.
DISTURB = {
    "nothing": "disturb = lambda: None",
    "NumPy's products": "a = np.ones((500, 500)); disturb = lambda: a @ a",
    "torch's products": "import torch; a = torch.ones(500, 500); disturb = lambda: a @ a",
    "scikit-learn's threads": """
from sklearn.cluster import KMeans
means, points = KMeans(4, n_init=1, max_iter=3), np.random.default_rng(0).random((5000, 8))
disturb = lambda: means.fit(points)""",
}
MEMORY, PYTHON, EPOCHS = 25.0, 30e-6, 0.5  # MB, seconds, seconds
SLOWED = 0.9  # the ratio to one thread alone that has to hold: who takes a CPU away can cost us no more than that one


def answer(program: str, disturb: str = "nothing", **environment: str) -> float:
    """Run a program in a new process and return what it prints."""
    body = "\n".join(line.removeprefix(" " * 8) for line in PROGRAMS[program].splitlines())
    command = [sys.executable, "-c", f"{HEADER}\n{DISTURB[disturb]}\n{body}"]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


class Clock:
    """A timer for pytest-benchmark that only moves by what the children have measured."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def add(self, program: str, *arguments: str, **environment: str) -> None:
        self.now += answer(program, *arguments, **environment)


CLOCK = Clock()


@pytest.fixture
def against_one_thread(benchmark: Any, record: Callable[..., None]) -> Callable[..., None]:
    """Return a function that times the fit in some company and, in turn with it, on one thread that is left alone."""

    def run(company: str, gated: bool = True, disturb: str = "nothing", **environment: str) -> None:
        alone: list[float] = []
        benchmark.pedantic(
            lambda: CLOCK.add("fit", disturb, **environment),
            teardown=lambda: alone.append(answer("fit", OMP_NUM_THREADS="1")),
            rounds=ROUNDS,
        )
        lane = {"peer": "one thread", "version": "", "threads": 1, "seconds": min(alone), "rounds": alone}
        gates = {"one thread": SLOWED} if gated else {}
        record(f"step of 784-128-10 b32, {company}", lanes=[lane], gates=gates, ping_pong_ns=[])

    return run


@pytest.mark.benchmark(group="surroundings", timer=CLOCK)
@pytest.mark.parametrize("disturb", [word for word in DISTURB if word != "nothing"])
def test_after_other_threads(against_one_thread: Callable[..., None], disturb: str) -> None:
    against_one_thread(f"after {disturb}", disturb=disturb)


@pytest.mark.benchmark(group="surroundings", timer=CLOCK)
@pytest.mark.parametrize("policy", ["active", "passive"])
def test_wait_policy(against_one_thread: Callable[..., None], policy: str) -> None:
    """Active is what its user asked for: OpenMP's own threads then spin for ever, on a sibling of our core at worst."""
    against_one_thread(f"OMP_WAIT_POLICY={policy}", gated=policy == "passive", OMP_WAIT_POLICY=policy)


@pytest.mark.benchmark(group="surroundings", timer=CLOCK)
@pytest.mark.skipif(len(CPUS) < 2, reason="a neighbour needs a CPU of its own")
def test_busy_neighbour(against_one_thread: Callable[..., None]) -> None:
    spin = f"import os\nos.sched_setaffinity(0, [{CPUS[-1]}])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as neighbour:
        try:
            against_one_thread("beside a busy neighbour")
        finally:
            neighbour.kill()


@pytest.mark.benchmark(group="surroundings", timer=CLOCK)
@pytest.mark.parametrize(
    ("program", "work", "gate"),
    [
        ("python", "Python's part of an epoch of 150 rows", PYTHON),
        ("epochs", "1000 epochs of 150 rows, 4-16-3", EPOCHS),
    ],
)
def test_small_fits(benchmark: Any, record: Callable[..., None], program: str, work: str, gate: float) -> None:
    benchmark.pedantic(lambda: CLOCK.add(program), rounds=ROUNDS)
    record(work, lanes=[], gates={"seconds": gate}, ping_pong_ns=[])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.benchmark(group="surroundings", timer=CLOCK)
def test_memory(benchmark: Any, record: Callable[..., None]) -> None:
    benchmark.pedantic(lambda: CLOCK.add("memory"), rounds=1)
    work = "memory of fit on 60,000 x 784 uint8, beside its input"
    record(work, lanes=[], gates={"megabytes": MEMORY}, megabytes=benchmark.stats["min"], ping_pong_ns=[])

"""What `import deltaprop` adds to `import numpy`, each time in a new interpreter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from workers import ROUNDS

PROGRAM = """
import numpy, time
begin = time.perf_counter()
import deltaprop
print(time.perf_counter() - begin)
"""
GATE = 0.030  # seconds


class Clock:
    """A timer for pytest-benchmark that stands still except for what the child has measured."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def import_once(self) -> None:
        command = [sys.executable, "-c", PROGRAM]
        self.now += float(subprocess.run(command, capture_output=True, check=True).stdout)


CLOCK = Clock()


@pytest.mark.benchmark(group="import", timer=CLOCK)
def test_import(benchmark: Any, record: Callable[..., None]) -> None:
    benchmark.pedantic(CLOCK.import_once, rounds=ROUNDS, warmup_rounds=1)
    record("import after NumPy", lanes=[], gates={"seconds": GATE}, ping_pong_ns=[])

"""One process for each library and thread count, idle until told to time a round.

Two libraries that spin in one process spoil each other's two-thread figures, and some fix their
thread count at import. So each lives alone, pinned to as many CPUs as it has threads, and blocks
on a pipe: rounds of all can be interleaved, and nobody spins while another one is measured.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from baselines import build
from networks import Network

CAN_PIN = hasattr(os, "sched_setaffinity")
CPUS = sorted(os.sched_getaffinity(0)) if CAN_PIN else list(range(os.cpu_count() or 1))
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ROUNDS = int(os.environ.get("DELTAPROP_BENCH_ROUNDS", "8"))
REST = 0.01  # seconds: thread pools stop spinning some milliseconds after their last task
SHORTEST = 0.004  # seconds that a round lasts at least
WARM_UP = 0.3  # seconds: a new thread shares its creator's core for the first tenth of a second
CHECKED_ROWS, CHECKED_EPOCHS = 16, 2  # of what a peer's answer is judged by


class MissingError(Exception):
    """The library is not installed, or cannot do this work."""


DEFAULT = 0  # threads: as many as the library takes by itself


class Worker:
    """A library in a process of its own with a fixed number of threads, or with its default."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = peer, threads
        environment = dict(os.environ)
        if threads != DEFAULT:
            environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        command = [sys.executable, str(Path(__file__)), peer, str(threads)]
        if CAN_PIN:  # a child inherits it, so it holds before the library counts the CPUs
            os.sched_setaffinity(0, CPUS[: threads or len(CPUS)])
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
            )
        finally:
            if CAN_PIN:
                os.sched_setaffinity(0, CPUS)

    def ask(self, question: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"question": question, **arguments}) + "\n")
        self.process.stdin.flush()
        self.wake()
        line = self.process.stdout.readline()
        self.sleep()
        if not line:
            raise RuntimeError(f"the worker for {self.peer} ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise MissingError(answer["missing"])
        if "error" in answer:
            raise RuntimeError(f"{self.peer}: {answer['error']}")
        return answer

    def sleep(self) -> None:
        """Stop the process: ONNX Runtime's threads spin on long after their work, on others' cores."""
        if hasattr(signal, "SIGSTOP"):
            self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        if hasattr(signal, "SIGCONT"):
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.wake()
        self.process.wait()
        self.process.stdout.close()


class Crew:
    """The workers of a session, started when first needed and reused for every row."""

    def __init__(self) -> None:
        self.workers: dict[tuple[str, int], Worker] = {}
        self.missing: dict[str, str] = {}  # peers that are not in the table, and why

    def build(
        self, peers: Iterable[str], network: Network, work: str, threads: Iterable[int] = (1, 2)
    ) -> list[Lane]:
        """Return a lane for each peer and thread count, as far as the peer and the CPUs allow."""
        lanes = []
        for peer, count in itertools.product(peers, threads):
            if count > len(CPUS):
                continue
            if (peer, count) not in self.workers:
                self.workers[peer, count] = Worker(peer, count)
            worker = self.workers[peer, count]
            try:
                lanes.append(Lane(worker, worker.ask("build", network=asdict(network), work=work)))
            except MissingError as reason:
                self.missing[f"{work} {network.name}: {peer}"] = str(reason)
        return lanes

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()


class Lane:
    """What one worker measures for one row of the table."""

    def __init__(self, worker: Worker, built: dict[str, Any]) -> None:
        self.peer, self.threads, self.version = worker.peer, worker.threads, built["version"]
        self.losses: list[float] = built["losses"]  # of the first epochs, from the first weights
        self.output: list[float] = built["output"]  # for the first rows, from the first weights
        self.seconds: list[float] = []  # for one call, in each round
        self.worker = worker

    def round(self) -> None:
        time.sleep(REST)
        self.seconds.append(self.worker.ask("round")["seconds"])

    def record(self) -> dict[str, Any]:
        return {
            "peer": self.peer,
            "version": self.version,
            "threads": self.threads,
            "seconds": min(self.seconds),
            "rounds": self.seconds,
        }


class Task:
    """In the worker: a library, built for one network and one kind of work."""

    def __init__(self, peer: str, threads: int, network: Network, work: str) -> None:
        library, self.version = build(peer, network, None if threads == DEFAULT else threads)
        if not hasattr(library, work):
            raise NotImplementedError(f"it has no {work}")
        self.call = getattr(library, work)
        self.mode = getattr(library, "inference", nullcontext) if work != "epoch" else nullcontext
        self.losses = [self.call() for _ in range(CHECKED_EPOCHS)] if work == "epoch" else []
        self.arguments: tuple[Any, ...] = ()
        self.output: list[float] = []
        if work != "epoch":
            x, prepare = network.data()[0], getattr(library, "prepare", lambda x: x)
            rows = 1 if work == "one" else CHECKED_ROWS
            with self.mode():
                self.output = np.asarray(self.call(prepare(x[:rows]))).ravel().tolist()
            self.arguments = (prepare(x[:1] if work == "one" else x),)
        self.count = 1
        begin = time.perf_counter()
        while self.round() * self.count < SHORTEST or time.perf_counter() - begin < WARM_UP:
            if self.round() * self.count < SHORTEST:
                self.count *= 2

    def round(self) -> float:
        """Return the seconds for one call, averaged over `count`."""
        with self.mode():
            calls = itertools.starmap(self.call, itertools.repeat(self.arguments, self.count))
            begin = time.perf_counter()
            for _ in calls:  # the cheapest loop there is: a call may take 0.3 µs
                pass
            return (time.perf_counter() - begin) / self.count


def serve(peer: str, threads: int) -> None:
    """Answer questions on standard input until it closes; libraries may print to stderr only."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task: Task | None = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any]
        try:
            if question["question"] == "build":
                task = None  # the old network's memory goes first
                network = Network(**question["network"])
                task = Task(peer, threads, network, question["work"])
                answer = {key: getattr(task, key) for key in ("version", "losses", "output")}
            else:
                assert task is not None
                answer = {"seconds": task.round()}
        except (ImportError, NotImplementedError) as error:
            answer = {"missing": str(error)}
        except Exception as error:  # the parent reports it; the worker lives on
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

"""What the machine can do at this moment: core-to-core ping-pong and FMA peak.

A small C program measures them. It is compiled when first asked, if a C compiler is there;
otherwise the figures are unknown.
"""

from __future__ import annotations

import atexit
import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIPS = 20000, ROUNDS = 10, CHAINS = 12, STEPS = 2000000 };
static _Alignas(128) atomic_int ball;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void* partner(void* cpu) {
    pin(*(int*)cpu);
    for (int i = 0; i < TRIPS * ROUNDS; ++i) {
        while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 1) {}
        atomic_store_explicit(&ball, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

static double ping_pong(int here, int there) {  // ns for a round trip, the best round
    pthread_t thread;
    double best = 1e9;
    pin(here);
    pthread_create(&thread, NULL, partner, &there);
    for (int round = 0, i = 0; round < ROUNDS; ++round) {
        double begin = now();
        for (int trip = 0; trip < TRIPS; ++trip, ++i) {
            atomic_store_explicit(&ball, 2 * i + 1, memory_order_release);
            while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 2) {}
        }
        double ns = (now() - begin) / TRIPS * 1e9;
        if (ns < best) best = ns;
    }
    pthread_join(thread, NULL);
    return best;
}

typedef float Vec __attribute__((vector_size(VECTOR_BYTES)));

static double peak(int cpu) {  // float32 GFLOP/s of one core, multiply and add counted as two
    double best = 0;
    pin(cpu);
    for (int round = 0; round < ROUNDS; ++round) {
        Vec sum[CHAINS], factor = (Vec){} + 0.999f, term = (Vec){} + 0.001f;
        for (int c = 0; c < CHAINS; ++c) sum[c] = term;
        double begin = now();
        for (int i = 0; i < STEPS; ++i) {
#pragma GCC unroll 12
            for (int c = 0; c < CHAINS; ++c) {
                sum[c] = sum[c] * factor + term;
                __asm__ volatile("" : REGISTER(sum[c]));  // every chain is computed, in a register
            }
        }
        double rate = 2e-9 * STEPS * CHAINS * (VECTOR_BYTES / 4) / (now() - begin);
        if (rate > best) best = rate;
    }
    return best;
}

int main(int argc, char** argv) {
    if (argc == 4 && !strcmp(argv[1], "ping")) {
        printf("%f\n", ping_pong(atoi(argv[2]), atoi(argv[3])));
    } else if (argc == 3 && !strcmp(argv[1], "peak")) {
        printf("%f\n", peak(atoi(argv[2])));
    }
}
"""


@functools.cache
def _program() -> str | None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or platform.system() != "Linux":
        return None
    folder = tempfile.mkdtemp(prefix="deltaprop-probe-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source, program = Path(folder, "probe.c"), Path(folder, "probe")
    source.write_text(SOURCE)
    wide = "avx512f" in Path("/proc/cpuinfo").read_text().split()
    x86 = platform.machine() == "x86_64"
    command = [
        *(compiler, "-O3", "-march=native", "-ffp-contract=fast", "-pthread"),
        f"-DVECTOR_BYTES={64 if wide else 32 if x86 else 16}",
        f'-DREGISTER="+{"x" if x86 else "w"}"',
        *("-o", str(program), str(source)),
    ]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return None
    return str(program)


def _run(*arguments: object) -> float | None:
    program = _program()
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, timeout=30
        )
        return float(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None


def ping_pong() -> float | None:
    """Nanoseconds for a cache line to go to the second CPU and back; None where unknown.

    On a virtual machine it tells whether two CPUs share a cache at this moment, and with that
    whether a two-thread figure means anything.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return _run("ping", cpus[0], cpus[1]) if len(cpus) > 1 else None


def peak() -> float | None:
    """float32 GFLOP/s of one core, measured with nothing but FMAs; None where unknown."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return _run("peak", cpus[0])

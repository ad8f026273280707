"""Which kernels and how many threads run, and a report of it. The only door to `_core`'s classes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _core, checks

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["get_num_threads", "set_num_threads", "show_config"]

# Below this much work in a step a second thread costs more than it saves: about 20 us of one core.
_WORTH_A_THREAD = 2.4e6  # FLOP
# A single call, evaluate or predict, also pays for waking the threads.
_WORTH_WAKING = 2e7  # FLOP

_SUFFIX = {"float32": "Float32", "float64": "Float64"}


def _choose_isa() -> str:
    available: list[str] = _core.available_isas()
    forced = os.environ.get("DELTAPROP_ISA")
    if not forced:
        return available[0]
    if forced not in available:
        raise ImportError(
            f"DELTAPROP_ISA={forced!r} is not available here; this processor and build have: "
            f"{', '.join(available)}. Unset the variable to use the best of them."
        )
    return forced


def _quota() -> int | None:
    """Return the processors that the control group grants, rounded up, or None for no limit."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        return None if quota == "max" else max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return None


def _default_threads() -> int:
    threads: int = _core.processors()
    quota = _quota()
    return threads if quota is None else max(1, min(threads, quota))


isa = _choose_isa()
_threads = _default_threads()


def set_num_threads(n: int | None) -> None:
    """Set how many threads training and prediction may use; results do not depend on it.

    Parameters
    ----------
    n : int or None
        At least 1. None goes back to the default: what OMP_NUM_THREADS, the affinity mask and the
        control group allow. Little work runs on one thread in any case.

    Examples
    --------
    >>> import deltaprop as dp
    >>> dp.set_num_threads(1)
    >>> dp.get_num_threads()
    1
    >>> dp.set_num_threads(None)
    """
    global _threads
    if n is None:
        _threads = _default_threads()
        return
    _threads = checks.whole("the number of threads", n, least=1)


def get_num_threads() -> int:
    """Return how many threads training and prediction may use."""
    return _threads


def threads_for(flops: float, *, single_call: bool = False) -> int:
    """Return how many threads a step of so many operations, or a single call, should use at most."""
    return _threads if flops >= (_WORTH_WAKING if single_call else _WORTH_A_THREAD) else 1


def native_variable(shape: tuple[int, ...], dtype: str, level: str | None = None) -> Any:
    """Return a `_core` variable; its layout is that of the ISA level."""
    return getattr(_core, f"Variable{_SUFFIX[dtype]}")(shape, level or isa)


def native_executor(plan: Plan, natives: list[Any], dtype: str, gate: Any, level: str | None = None) -> Any:
    """Return a `_core` executor of a plan.

    Parameters
    ----------
    natives : list
        By buffer: the `_core` variable of a parameter or slot, else None.
    """
    executor = getattr(_core, f"Executor{_SUFFIX[dtype]}")
    return executor(plan.native(), natives, plan.hosts, gate, level or isa)


def show_config() -> None:
    """Print version, ISA level, threads and compiler: what a bug report should quote."""
    import platform

    import numpy

    from . import __version__

    openmp = "OpenMP" if _core.has_openmp() else "no OpenMP"
    print(f"deltaprop {__version__}, Python {platform.python_version()}, NumPy {numpy.__version__}")
    print(f"ISA level {isa} (available: {', '.join(_core.available_isas())})")
    print(f"threads   {_threads} of {os.cpu_count()} processors ({openmp})")
    print(f"compiler  {_core.compiler()}")

"""The C++ test programs, built from the source tree and run by ctest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted(path.stem for path in (ROOT / "tests" / "cpp").glob("test_*.cpp"))


def tool(name: str) -> str | None:
    """Return where a program is, with those of this Python's environment first."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(folders))


def run(command: Sequence[str | Path], timeout: float) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout[-20000:]}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cmake, ninja = tool("cmake"), tool("ninja")
    assert cmake is not None, "no cmake: the tests need what the package is built with"
    folder = tmp_path_factory.mktemp("cpp")
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DDELTAPROP_PYTHON=OFF", "-DDELTAPROP_TESTS=ON"]
    run([cmake, "-S", ROOT, "-B", folder, *generator, *options], timeout=300)
    jobs = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    run([cmake, "--build", folder, "--config", "Release", "--parallel", jobs], timeout=1800)
    return folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_cpp_program(build: Path, program: str) -> None:
    ctest = tool("ctest")
    assert ctest is not None, "no ctest: it comes with cmake"
    # test_math is one program per ISA level.
    selection = ["-C", "Release", "-R", f"^{program}(_|$)", "--no-tests=error", "--output-on-failure"]
    print(run([ctest, "--test-dir", build, *selection], timeout=900))


def test_kernel_objects_export_no_weak_symbols(build: Path) -> None:
    """The linker may keep any level's copy of a weak symbol, also AVX-512 code on a processor without it."""
    nm = tool("nm")
    if nm is None:
        pytest.skip("no nm to look into object files with")
    objects = [path for path in build.rglob("*.o*") if path.suffix in (".o", ".obj") and "kernels_" in str(path)]
    assert objects, "no kernel objects were built"
    weak = [
        f"{path.parts[-4]}: {line}"
        for path in objects
        for line in run([nm, path], timeout=60).splitlines()
        if line.split()[-2] in ("W", "w", "V", "v", "u")
    ]
    assert not weak, "\n".join(weak)

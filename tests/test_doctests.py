"""The examples in the docstrings of every installed module."""

import doctest
import importlib
import pkgutil

import pytest

import deltaprop

MODULES = [
    "deltaprop",
    *sorted(
        m.name for m in pkgutil.walk_packages(deltaprop.__path__, "deltaprop.") if "._core" not in m.name
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = deltaprop.get_num_threads()
    try:
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    finally:
        deltaprop.set_num_threads(threads)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples failed; see the output above"


def test_examples_are_found():
    finder = doctest.DocTestFinder()
    found = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert found > 50

"""Keras's public helpers, what importing costs, and the configuration report."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest

import deltaprop as dp


def python(code, **environment):
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def weights(seed=None):
    return dp.Sequential([dp.Input(shape=(3,)), dp.layers.Dense(2)], seed=seed).get_weights()[0]


def test_set_random_seed_fixes_models_and_both_generators():
    def draw():
        dp.utils.set_random_seed(7)
        return random.random(), np.random.rand(), weights().tolist(), weights().tolist()

    first = draw()
    assert draw() == first
    assert first[2] != first[3]  # two models in a row differ


def test_a_model_of_its_own_seed_ignores_the_global_one():
    dp.utils.set_random_seed(1)
    first = weights(seed=5)
    dp.utils.set_random_seed(2)
    np.testing.assert_array_equal(weights(seed=5), first)


def test_models_without_any_seed_differ():
    code = "import deltaprop as dp; print(dp.Sequential().seed)"
    assert python(code) != python(code)


@pytest.mark.parametrize("ids", [[2, 0, 1], [[2], [0], [1]], np.array([2, 0, 1], np.uint8), [2.0, 0.0, 1.0]])
def test_to_categorical(ids):
    np.testing.assert_array_equal(dp.utils.to_categorical(ids), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    assert dp.utils.to_categorical(ids, num_classes=5).shape == (3, 5)


def test_to_categorical_keeps_further_axes():
    assert dp.utils.to_categorical([[0, 1, 2], [2, 1, 0]]).shape == (2, 3, 3)


def test_import_brings_no_extra():
    optional = "tqdm safetensors sklearn scipy matplotlib torch pytest hypothesis pandas"
    code = f"import sys, deltaprop; print([m for m in '{optional}'.split() if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_silent_training_brings_no_extra():
    code = """
import sys
import numpy as np
import deltaprop as dp
model = dp.Sequential([dp.Input(shape=(2,)), dp.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
model.evaluate(np.ones((4, 2)), np.ones(4), verbose=0)
model.predict(np.ones((4, 2)), verbose=0)
print([m for m in ("tqdm", "safetensors", "sklearn") if m in sys.modules])
"""
    assert python(code).strip() == "[]"


def test_every_public_name_exists():
    for name in dp.__all__:
        assert getattr(dp, name) is not None
    assert "load_model" in dir(dp)


def test_set_num_threads():
    default = dp.get_num_threads()
    try:
        dp.set_num_threads(3)
        assert dp.get_num_threads() == 3
    finally:
        dp.set_num_threads(None)
    assert dp.get_num_threads() == default


def test_omp_num_threads_is_honoured():
    code = "import deltaprop as dp; print(dp.get_num_threads())"
    assert python(code, OMP_NUM_THREADS="1").strip() == "1"


def test_show_config_tells_version_level_threads_and_compiler(capsys):
    dp.show_config()
    shown = capsys.readouterr().out
    for word in (dp.__version__, np.__version__, "ISA level", "threads", "compiler"):
        assert word in shown


@pytest.mark.parametrize("isa", ["baseline", "x86-64-v3", "x86-64-v4"])
def test_deltaprop_isa_forces_a_level(isa):
    if isa not in dp._core.available_isas():
        pytest.skip(f"{isa} is not available here")
    code = "import deltaprop as dp; dp.show_config()"
    assert f"ISA level {isa} " in python(code, DELTAPROP_ISA=isa)

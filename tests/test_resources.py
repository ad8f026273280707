"""What a process keeps: its memory, its floating-point mode, its children, under other OpenMP settings too."""

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

import deltaprop as dp

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def small_model(seed=1):
    model = dp.Sequential(
        [dp.Input(shape=(20,)), dp.layers.Dense(64, activation="relu"), dp.layers.Dense(1)], seed=seed
    )
    model.compile(optimizer="adam", loss="mse")
    return model


def status(key):
    """A line of /proc/self/status, in MB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


@linux_only
def test_predicting_in_a_loop_leaves_memory_where_it_was():
    model, x = small_model(), np.ones((3, 20), np.float32)
    strided = np.ones((40, 3)).T[:, ::2]

    def use(times):
        for _ in range(times):
            model(x)
            model.predict(x, verbose=0)
            model(strided)

    use(2000)
    before = status("VmRSS")
    use(20000)
    assert status("VmRSS") - before < 1


MEMORY_OF_FIT = """
import numpy as np
import deltaprop as dp

def status(key):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))

rng = np.random.default_rng(0)
x = rng.integers(0, 256, (60000, 784), dtype=np.uint8)
y = rng.integers(0, 10, 60000)
model = dp.Sequential(
    [dp.Input(shape=(784,)), dp.layers.Dense(32, activation="relu"), dp.layers.Dense(10, activation="softmax")]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x[:64], y[:64], verbose=0)
before = status("VmRSS")
model.fit(x, y, batch_size=128, verbose=0, validation_split=0.1)
print(status("VmHWM") - before)
"""


def run(program, **environment):
    command = [sys.executable, "-c", program]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env, timeout=300).stdout


@linux_only
def test_fit_never_copies_its_data():
    assert float(run(MEMORY_OF_FIT)) < 25  # MB, with an input of 45


def denormals_work():
    tiny = np.full(4, 1e-310)
    return bool((tiny * 0.5 > 0).all()) and bool((np.float32(1e-40) * np.ones(8, np.float32) > 0).all())


def test_denormals_of_the_caller_survive_fit_and_predict():
    model, x = small_model(), np.ones((100, 20))
    model.fit(x, np.ones(100), epochs=2, verbose=0)
    model.predict(x, verbose=0)
    model(x[:1].astype(np.float32))
    assert denormals_work()


class Failing(dp.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise RuntimeError("from a callback")


def test_denormals_of_the_caller_survive_an_exception():
    with pytest.raises(RuntimeError, match="from a callback"):
        small_model().fit(np.ones((100, 20)), np.ones(100), callbacks=[Failing()], verbose=0)
    assert denormals_work()


def test_moments_that_decay_below_the_normal_numbers_become_zero():
    model = small_model()
    x, y = np.zeros((64, 20), np.float32), np.zeros(64)
    x[:32] = 1
    model.fit(x, y, epochs=1, verbose=0)
    model.fit(np.zeros((64, 20), np.float32), y, epochs=2000, batch_size=16, verbose=0)
    slots = [slot.numpy() for slots in model.optimizer._slots.values() for slot in slots]
    values = np.abs(np.concatenate([slot.ravel() for slot in slots]))
    assert not np.any((values > 0) & (values < np.finfo(np.float32).tiny))


def _train_in_child(queue):
    model = small_model()
    x = np.linspace(-1, 1, 4096 * 20, dtype=np.float32).reshape(4096, 20)
    model.fit(x, x.sum(axis=1), batch_size=1024, epochs=2, verbose=0)
    queue.put(model.predict(x[:5], verbose=0))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_forked_child_trains_to_the_same_bits_instead_of_hanging():
    dp.set_num_threads(2)
    try:
        context = multiprocessing.get_context("fork")
        here, there = context.SimpleQueue(), context.SimpleQueue()
        _train_in_child(here)  # starts the parent's team first
        child = context.Process(target=_train_in_child, args=(there,))
        child.start()
        child.join(timeout=120)
        assert child.exitcode == 0
        np.testing.assert_array_equal(here.get(), there.get())
    finally:
        dp.set_num_threads(None)


TRAIN = """
import numpy as np
import deltaprop as dp
x = np.linspace(-1, 1, 2048 * 20, dtype=np.float32).reshape(2048, 20)
model = dp.Sequential(
    [dp.Input(shape=(20,)), dp.layers.Dense(256, activation="tanh"), dp.layers.Dense(1)], seed=3
)
model.compile(optimizer="adam", loss="mse")
model.fit(x, x.sum(axis=1), batch_size=512, epochs=3, verbose=0)
print(model.predict(x[:8], verbose=0).tobytes().hex())
"""


@pytest.mark.parametrize(
    "setting",
    [{"OMP_WAIT_POLICY": "passive"}, {"OMP_WAIT_POLICY": "active"}, {"OMP_NUM_THREADS": "1"}, {"OMP_DYNAMIC": "true"}],
    ids=lambda setting: "-".join(setting.values()) + "-" + next(iter(setting)),
)
def test_openmp_settings_of_the_user_do_not_change_the_result(setting):
    assert run(TRAIN, **setting) == run(TRAIN)

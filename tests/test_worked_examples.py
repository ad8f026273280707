"""Worked examples whose numbers are printed in the literature, reproduced to every printed digit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop.reference import ReferenceExecutor

# ---- 2-3-2, all sigmoid: one sample, half squared error, biases that do not train

X, Y = np.array([[5.0, 10.0]]), np.array([[0.01, 0.99]])
HIDDEN = np.array([[0.1, 0.2, 0.3], [0.15, 0.25, 0.35]])
OUTPUT = np.array([[0.4, 0.45], [0.5, 0.55], [0.6, 0.65]])


def printed(values: Any) -> list[str]:
    """Numbers as they are printed."""
    return [f"{value:.6f}" for value in np.ravel(values)]


def network(run_eagerly: bool = False) -> dp.Sequential:
    hidden, output = dp.layers.Dense(3, activation="sigmoid"), dp.layers.Dense(2, activation="sigmoid")
    model = dp.Sequential([dp.Input(shape=(2,)), hidden, output], dtype="float64")
    model.set_weights([HIDDEN, np.full(3, 0.35), OUTPUT, np.full(2, 0.65)])
    hidden.bias.trainable = False
    output.bias.trainable = False
    model.compile(dp.optimizers.SGD(0.5), loss="half_squared_error", run_eagerly=run_eagerly)
    return model


def test_the_first_forward_pass() -> None:
    model = network()
    hidden = dp.Sequential([dp.Input(shape=(2,)), model.layers[0]], dtype="float64")
    assert printed(hidden.predict(X, verbose=0)) == ["0.912934", "0.979164", "0.995274"]
    assert printed(model.predict(X, verbose=0)) == ["0.891090", "0.904330"]
    assert printed(model.evaluate(X, Y, verbose=0)) == ["0.391829"]


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["core", "reference"])
def test_one_step(run_eagerly: bool) -> None:
    model = network(run_eagerly)
    assert printed(model.train_on_batch(X, Y)) == ["0.391829"]
    hidden, hidden_bias, output, output_bias = model.get_weights()
    assert printed((OUTPUT[0, 0] - output[0, 0]) / 0.5) == ["0.078064"]
    assert printed(output) == ["0.360968", "0.453383", "0.458136", "0.553629", "0.557448", "0.653688"]
    # With the output weights already updated these would be 0.094534, 0.139069, 0.198211 ...: see below.
    assert printed(hidden.T) == ["0.093866", "0.137732", "0.198027", "0.246054", "0.299453", "0.348907"]
    assert np.array_equal(hidden_bias, np.full(3, 0.35)) and np.array_equal(output_bias, np.full(2, 0.65))


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["core", "reference"])
@pytest.mark.parametrize(("steps", "outputs"), [(100, ["0.073983", "0.945932"]), (1000, ["0.022969", "0.977682"])])
def test_many_steps(steps: int, outputs: list[str], run_eagerly: bool) -> None:
    model = network(run_eagerly)
    model.fit(X, Y, batch_size=1, epochs=steps, verbose=0)
    assert printed(model.predict(X, verbose=0)) == outputs


def test_an_update_before_the_backward_pass_has_ended_gives_other_numbers(plan_of: Any, core_executor: Any) -> None:
    """The order of the notes' own table, operation by operation: the tests above can tell it from ours."""
    model = network()
    plan = plan_of(model, False)
    executor = core_executor(plan, "float64")
    ops = plan.ops
    updates = {op.inputs[0]: i for i, op in enumerate(ops) if op.kind == "update"}
    hidden_update, output_update = (updates[b] for b in sorted(updates))
    early = next(i for i, op in enumerate(ops) if op.kind == "dense_grad_x")
    hidden, output = sorted(updates)
    assert early < output_update, "in our plan every delta is formed before any update"
    executor.prepare(1, 0, 1, 0, 0, True, [0.5, 0.5])
    for buffers, array in ((plan.inputs, X), (plan.targets, Y), (plan.weights, np.ones(1))):
        executor.write(buffers[0], array)
    seen = {}
    for step in range(1, 1001):
        for first, last in ((0, early), (output_update, output_update + 1), (early, plan.range("update", "update")[0])):
            executor.step(first, last, 1)
        executor.step(hidden_update, hidden_update + 1, 1)
        if step == 1:
            w = executor.read(hidden)
            assert printed(w.T) == ["0.094534", "0.139069", "0.198211", "0.246422", "0.299496", "0.348993"]
            assert printed(executor.read(output)[0]) == ["0.360968", "0.453383"]
        if step in (9, 100, 1000):
            executor.step(*plan.range("forward", "forward"), 1)
            seen[step] = printed(executor.read(plan.outputs[0]))
    assert seen == {
        9: ["0.662866", "0.908195"], 100: ["0.073889", "0.945865"], 1000: ["0.022971", "0.977675"],
    }  # fmt: skip


# ---- one tanh hidden layer and two outputs, a regression beside a binary class


def two_outputs(**compiled: Any) -> dp.Model:
    x = dp.Input(shape=(2,))
    h = dp.layers.Dense(3, activation="tanh", name="hidden")(x)
    value = dp.layers.Dense(1, name="value")(h)
    label = dp.layers.Dense(1, activation="sigmoid", name="label")(h)
    model = dp.Model(x, [value, label], dtype="float64")
    model.set_weights([
        np.array([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]]).T, [0.1, -0.2, 0.3],
        [[0.7], [-0.8], [0.9]], [0.1], [[-0.4], [0.5], [0.6]], [-0.1],
    ])  # fmt: skip
    model.compile("sgd", {"value": "half_squared_error", "label": "binary_crossentropy"}, **compiled)
    return model


INPUT, TARGETS = np.array([[0.5, -1.0]]), [np.array([[1.0]]), np.array([[0.0]])]


@pytest.mark.parametrize("which", ["core", "reference"])
def test_a_regression_beside_a_class(which: str, fused: bool, isa: str, plan_of: Any, core_executor: Any) -> None:
    plan = plan_of(two_outputs(), fused)
    if which == "core":
        executor = core_executor(plan, "float64", isa)
    else:
        executor = ReferenceExecutor(plan, "float64")
        executor.load_variables()
    executor.prepare(1, 0, 1, 0, 0, True, [0.0, 0.0])
    for b, value in zip((*plan.inputs, *plan.targets, *plan.weights), (INPUT, *TARGETS, [1.0], [1.0])):
        executor.write(b, np.asarray(value))
    executor.step(*plan.range("forward", "backward"), 1)
    assert printed(executor.read(plan.outputs[0])) + printed(executor.read(plan.outputs[1])) == [
        "1.309127", "0.523249",
    ]  # fmt: skip
    by_name = {buffer.name: b for b, buffer in enumerate(plan.buffers)}
    assert printed(executor.read(by_name["dz2"])) + printed(executor.read(by_name["dz3"])) == [
        "0.309127", "0.523249",
    ]  # fmt: skip
    assert printed(executor.read(by_name["dz1"])) == ["0.007072", "0.008545", "0.196171"]
    assert printed(sum(executor.read(b)[0] for b in plan.objective)) == ["0.788540"]


@pytest.mark.parametrize("eagerly", [False, True])
def test_two_outputs_train_together(eagerly: bool) -> None:
    """An update lowers the objective, and what is reported adds up."""
    model = two_outputs(run_eagerly=eagerly)
    history = model.fit(INPUT, TARGETS, epochs=50, verbose=0).history
    assert printed(history["loss"][0]) == ["0.788540"]
    assert all(after < before for before, after in itertools.pairwise(history["loss"]))
    parts = np.add(history["value_loss"], history["label_loss"])
    assert np.allclose(parts, history["loss"], rtol=1e-12)

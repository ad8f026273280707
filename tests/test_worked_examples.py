"""Worked examples whose numbers are printed in the literature, reproduced to every printed digit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import deltaprop as dp
from deltaprop import _core
from deltaprop.plan import ABSENT, Builder, Plan
from deltaprop.reference import ReferenceExecutor
from deltaprop.variable import Variable

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


def two_outputs(merged: bool) -> tuple[Plan, dict[str, int]]:
    """The plan by hand; merged: the derivative of tanh belongs to the last contribution to the hidden delta."""
    builder = Builder()
    plan = builder.plan
    arrays = {
        "W": np.array([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]]).T, "b": np.array([0.1, -0.2, 0.3]),
        "w1": np.array([[0.7], [-0.8], [0.9]]), "b1": np.array([0.1]),
        "w2": np.array([[-0.4], [0.5], [0.6]]), "b2": np.array([-0.1]),
    }  # fmt: skip
    n = {}
    for name, array in arrays.items():
        variable = Variable(array.shape, "float64", name)
        variable.assign(array)
        n[name] = builder.parameter(variable, name)
        n["g" + name] = plan.buffer("gradient", array.shape, "g" + name)
    roles = {
        "x": ("input", (2,)), "y1": ("target", (1,)), "y2": ("target", (1,)), "v1": ("weight", ()),
        "v2": ("weight", ()), "h": ("activation", (3,)), "a1": ("activation", (1,)),
        "a2": ("activation", (1,)), "p2": ("activation", (1,)), "d1": ("delta", (1,)),
        "d2": ("delta", (1,)), "dh": ("delta", (3,)), "da": ("delta", (3,)), "l1": ("row", ()),
        "l2": ("row", ()), "sum1": ("counter", (2,)), "sum2": ("counter", (2,)),
    }  # fmt: skip
    for name, (role, shape) in roles.items():
        n[name] = plan.buffer(role, shape, name)
    plan.inputs, plan.outputs = [n["x"]], [n["a1"], n["p2"]]
    plan.targets, plan.weights = [n["y1"], n["y2"]], [n["v1"], n["v2"]]
    plan.objective = [n["sum1"], n["sum2"]]

    def emit(span: str, kind: str, inputs: str, outputs: str, **more: Any) -> None:
        operands = [tuple(n.get(name, ABSENT) for name in names.split()) for names in (inputs, outputs)]
        builder.emit(span, kind, operands[0], operands[1], **more)

    emit("forward", "dense", "x W b", "h", function="tanh")
    emit("forward", "dense", "h w1 b1", "a1", function="linear")
    emit("forward", "dense", "h w2 b2", "a2", function="linear")
    emit("forward", "activation", "a2", "p2", function="sigmoid")
    emit("loss", "loss", "a1 y1 v1 -", "l1 d1", function="half_squared_error")
    emit("loss", "reduce", "l1 v1", "sum1", attributes=(0.0,))
    emit("loss", "loss", "p2 y2 v2 a2", "l2 d2", function="sigmoid_binary_crossentropy", attributes=(0.0,))
    emit("loss", "reduce", "l2 v2", "sum2", attributes=(0.0,))
    emit("backward", "dense_grad_w", "h d1", "gw1 gb1")
    emit("backward", "dense_grad_w", "h d2", "gw2 gb2")
    emit("backward", "dense_grad_x", "d1 w1 -", "dh", function="linear")
    if merged:
        emit("backward", "dense_grad_x", "d2 w2 h", "dh", function="tanh", accumulate=True)
        n["da"] = n["dh"]
    else:
        emit("backward", "dense_grad_x", "d2 w2 -", "dh", function="linear", accumulate=True)
        emit("backward", "activation_grad", "dh h", "da", function="tanh")
    emit("backward", "dense_grad_w", "x da", "gW gb")
    return plan, n


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("which", ["core", "reference"])
def test_a_regression_beside_a_class(which: str, merged: bool, isa: str, core_executor: Any) -> None:
    plan, n = two_outputs(merged)
    if which == "core":
        executor = core_executor(plan, "float64", isa)
    else:
        executor = ReferenceExecutor(plan, "float64")
        executor.load_variables()
    executor.prepare(1, 0, 1, 0, 0, True, [])
    for name, value in (("x", [[0.5, -1.0]]), ("y1", [[1.0]]), ("y2", [[0.0]]), ("v1", [1.0]), ("v2", [1.0])):
        executor.write(n[name], np.array(value))
    executor.step(*plan.range("forward", "backward"), 1)
    read = executor.read
    assert printed(read(n["a1"])) + printed(read(n["p2"])) == ["1.309127", "0.523249"]
    assert printed(read(n["d1"])) + printed(read(n["d2"])) == ["0.309127", "0.523249"]
    assert printed(read(n["da"])) == ["0.007072", "0.008545", "0.196171"]
    assert printed(read(n["sum1"])[0] + read(n["sum2"])[0]) == ["0.788540"]
    assert np.allclose(read(n["gW"]), np.outer([0.5, -1.0], read(n["da"])), rtol=1e-15)


def test_two_outputs_are_predicted_side_by_side(core_executor: Any) -> None:
    plan, _ = two_outputs(merged=True)
    regression, probability = core_executor(plan, "float64").predict([np.array([[0.5, -1.0]])], 1)
    assert printed(regression) + printed(probability) == ["1.309127", "0.523249"]


def test_two_outputs_train_in_one_run(core_executor: Any) -> None:
    """Two targets with two weights through the whole executor: an update lowers the objective."""
    plan, n = two_outputs(merged=True)
    for name in ("W", "b", "w1", "b1", "w2", "b2"):
        plan.spans["update"].append(_sgd(n[name], n["g" + name]))
    executor = core_executor(plan, "float64")
    data = _core.Data([np.array([[0.5, -1.0]])], [np.array([[1.0]]), np.array([[0.0]])], [None, None])
    losses = []
    for step in range(50):
        executor.reset_counters()
        executor.run(data, None, 1, 1, 0, 1, np.array([[0.1, 0.1]]), step, 0, True, 1, None)
        losses.append(sum(executor.sums(b)[0] for b in plan.objective))
    assert printed(losses[0]) == ["0.788540"]
    assert all(after < before for before, after in itertools.pairwise(losses))


def _sgd(parameter: int, gradient: int) -> Any:
    from deltaprop.plan import Op

    return Op("update", (parameter, gradient), (parameter,), function="sgd", attributes=(0.0, 1.0))

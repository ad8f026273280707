"""Lowering, fusing, printing and validating plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import deltaprop as dp
from deltaprop.plan import ABSENT, SPANS, Op, Plan

Dense, Dropout = dp.layers.Dense, dp.layers.Dropout


def compiled(
    layers: list[Any], loss: Any = "mse", optimizer: Any = "sgd", shape: tuple[int, ...] = (5,), **more: Any
) -> dp.Sequential:
    model = dp.Sequential([dp.Input(shape), *layers], seed=0)
    model.compile(optimizer, loss, **more)
    return model


def kinds(plan: Plan, span: str) -> list[str]:
    return [op.kind for op in plan.spans[span]]


def lines(plan: Plan) -> list[str]:
    """The printed plan with single spaces."""
    return [" ".join(line.split()) for line in str(plan).splitlines()]


# ---- printing


def test_a_classifier_prints_as_its_equations() -> None:
    model = compiled(
        [Dense(128, "relu"), Dense(10, "softmax")], "sparse_categorical_crossentropy", "sgd", (784,),
        metrics=["accuracy"],
    )  # fmt: skip
    assert lines(model.plan) == [
        "forward dense.relu a1 = relu(x W1 + b1) (784, 128)",
        "dense z2 = a1 W2 + b2 (128, 10)",
        "softmax p1 = softmax(z2)",
        "loss loss l1 = softmax_sparse_categorical_crossentropy(y, p1), dz2 = (p1 - y) w / rows",
        "reduce sum1 += sum of l1 w",
        "loss l2 = sparse_categorical_accuracy(y, p1)",
        "reduce sum2 += sum of l2",
        "backward dense_grad_x.relu dz1 = dz2 W2' * relu'(a1) (128, 10)",
        "update dense_update.sgd gW1 = x' dz1, W1 = W1 - lr gW1 (784, 128)",
        "bias_update gb1 = sum of the rows of dz1, b1 = b1 - lr gb1",
        "dense_update.sgd gW2 = a1' dz2, W2 = W2 - lr gW2 (128, 10)",
        "bias_update gb2 = sum of the rows of dz2, b2 = b2 - lr gb2",
    ]


def test_the_unfused_plan_prints_its_backward_span_as_the_forward_span_read_upwards(plan_of: Any) -> None:
    model = compiled([Dense(4, "tanh"), Dropout(0.5), Dense(2)])
    printed = lines(plan_of(model, False))
    assert printed == [
        "forward dense z1' = x W1 (5, 4)",
        "add_bias z1 = z1' + b1",
        "activation a1 = tanh(z1)",
        "dropout r1 = a1 * mask1 / 0.5",
        "dense z2' = r1 W2 (4, 2)",
        "add_bias z2 = z2' + b2",
        "loss loss l1 = mse(y, z2), dz2 = w / rows dl1/dz2",
        "reduce sum1 += sum of l1 w",
        "backward bias_grad gb2 = sum of the rows of dz2",
        "dense_grad_w gW2 = r1' dz2 (4, 2)",
        "dense_grad_x dr1 = dz2 W2' (4, 2)",
        "dropout_grad da1 = dr1 * mask1 / 0.5",
        "activation_grad dz1 = da1 * tanh'(a1)",
        "bias_grad gb1 = sum of the rows of dz1",
        "dense_grad_w gW1 = x' dz1 (5, 4)",
        "update sgd W1 = W1 - lr gW1",
        "sgd b1 = b1 - lr gb1",
        "sgd W2 = W2 - lr gW2",
        "sgd b2 = b2 - lr gb2",
    ]


def test_penalties_and_clipping_print() -> None:
    model = compiled(
        [Dense(1, use_bias=False, kernel_regularizer=dp.regularizers.L1L2(0.1, 0.2))],
        optimizer=dp.optimizers.AdamW(clipnorm=2.0, weight_decay=0.5),
    )
    text = "\n".join(lines(model.plan))
    assert "penalty penalty += 0.1 sum |W1| + 0.2 sum W1^2" in text
    assert "penalty_grad gW1 += 0.1 sign(W1) + 0.4 W1" in text
    assert "square_sum s1 = sum gW1^2" in text
    assert "clip_norm gW1 *= min(1, 2 / sqrt(s1))" in text
    assert "after W1 -= lr 0.5 W1" in text


def test_every_operation_of_every_plan_prints(plan_of: Any) -> None:
    model = compiled([Dropout(0.1), Dense(3, "softmax"), Dense(2, "tanh", kernel_regularizer="l1")], optimizer="adam")
    for fused in (True, False):
        plan = plan_of(model, fused)
        assert len(lines(plan)) == len(plan.ops)
        assert [line.split()[0] for line in str(plan).splitlines() if not line.startswith(" ")] == list(SPANS)


# ---- fusing


def test_dense_merges_with_its_bias_and_activation() -> None:
    plan = compiled([Dense(4, "tanh"), Dense(3, "relu", use_bias=False), Dense(1)]).plan
    assert [(op.kind, op.function) for op in plan.spans["forward"]] == [
        ("dense", "tanh"), ("dense", "relu"), ("dense", "linear"),
    ]  # fmt: skip
    assert [op.inputs[2] != ABSENT for op in plan.spans["forward"]] == [True, False, True]


def test_an_activation_whose_input_is_read_elsewhere_keeps_it() -> None:
    """The matched loss is computed from what goes into the sigmoid."""
    plan = compiled([Dense(1, "sigmoid")], "binary_crossentropy").plan
    (dense,) = plan.spans["forward"]
    (loss,) = (op for op in plan.spans["loss"] if op.kind == "loss")
    assert (dense.function, loss.inputs[3]) == ("sigmoid", dense.outputs[1])


@pytest.mark.parametrize(("activation", "keeps"), [("gelu", True), ("silu", True), ("softplus", False)])
def test_training_keeps_what_the_derivative_reads(activation: str, keeps: bool) -> None:
    plan = compiled([Dense(4, activation), Dense(1)]).plan
    dense, gradient = plan.spans["forward"][0], plan.spans["backward"][0]
    assert len(dense.outputs) == 1 + keeps
    assert gradient.inputs[2] == dense.outputs[-1]


def test_prediction_keeps_nothing() -> None:
    model = dp.Sequential([dp.Input((3,)), Dense(4, "gelu"), Dense(1)])
    assert [len(op.outputs) for op in model.plan.spans["forward"]] == [1, 1]


@pytest.mark.parametrize(
    ("activation", "loss", "matched"),
    [
        ("sigmoid", "binary_crossentropy", "sigmoid_binary_crossentropy"),
        ("softmax", "categorical_crossentropy", "softmax_categorical_crossentropy"),
        ("softmax", "sparse_categorical_crossentropy", "softmax_sparse_categorical_crossentropy"),
        ("softmax", "binary_crossentropy", "binary_crossentropy"),
        ("sigmoid", "categorical_crossentropy", "categorical_crossentropy"),
        ("sigmoid", "half_squared_error", "half_squared_error"),
    ],
)
def test_a_cross_entropy_merges_with_the_activation_that_it_is_matched_with(
    activation: str, loss: str, matched: str
) -> None:
    plan = compiled([Dense(3, activation)], loss).plan
    assert [op.function for op in plan.spans["loss"] if op.kind == "loss"] == [matched]
    gradient = {"softmax": "softmax_grad", "sigmoid": "activation_grad"}[activation]
    assert (gradient in kinds(plan, "backward")) == (matched == loss)


def test_from_logits_is_the_matched_loss_and_leaves_the_output_alone() -> None:
    plan = compiled([Dense(3)], dp.losses.CategoricalCrossentropy(from_logits=True)).plan
    assert kinds(plan, "forward") == ["dense"]
    assert kinds(plan, "loss") == ["softmax", "loss", "reduce"]
    assert plan.spans["loss"][1].function == "softmax_categorical_crossentropy"
    assert plan.outputs == list(plan.spans["forward"][0].outputs)


def test_the_input_gradient_merges_with_the_derivative_below() -> None:
    plan = compiled([Dense(4, "tanh"), Dense(3, "relu"), Dense(1)]).plan
    assert [(op.kind, op.function) for op in plan.spans["backward"]] == [
        ("dense_grad_x", "relu"), ("dense_grad_x", "tanh"),
    ]  # fmt: skip


def test_dropout_between_keeps_the_derivative_apart() -> None:
    plan = compiled([Dense(4, "tanh"), Dropout(0.5), Dense(1)]).plan
    assert kinds(plan, "backward") == ["dense_grad_x", "dropout_grad", "activation_grad"]


@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_a_gradient_that_is_clipped_is_not_merged_with_its_update(clip: str) -> None:
    plan = compiled([Dense(4, "tanh"), Dense(1)], optimizer=dp.optimizers.SGD(0.1, **{clip: 1.0})).plan
    assert kinds(plan, "backward") == ["dense_grad_w", "dense_grad_x", "dense_grad_w"]
    assert all(len(op.outputs) == 2 for op in plan.spans["backward"] if op.kind == "dense_grad_w")
    assert kinds(plan, "update").count("update") == 4
    assert not {"dense_update", "bias_update"} & set(kinds(plan, "update"))


def test_a_gradient_with_a_penalty_is_not_merged_with_its_update() -> None:
    plan = compiled([Dense(4, "tanh", kernel_regularizer="l2"), Dense(1)]).plan
    assert Counter(kinds(plan, "update")) == {"update": 1, "bias_update": 2, "dense_update": 1}
    assert kinds(plan, "backward") == ["dense_grad_x", "dense_grad_w", "penalty_grad"]


def test_no_update_runs_before_the_backward_pass_has_ended() -> None:
    """Every delta uses the weights of the forward pass."""
    plan = compiled([Dense(4, "tanh"), Dense(3, "relu"), Dense(1)], optimizer="adam").plan
    parameters = {b for b, buffer in enumerate(plan.buffers) if buffer.role == "parameter"}
    for span in ("forward", "loss", "backward"):
        assert not any(parameters.intersection(op.outputs) for op in plan.spans[span])
    assert not any(op.kind == "dense_grad_x" for op in plan.spans["update"])


def test_fusing_leaves_no_buffer_that_nothing_uses() -> None:
    plan = compiled([Dense(4, "tanh"), Dropout(0.3), Dense(3, "softmax")], "categorical_crossentropy", "adam").plan
    used = {b for op in plan.ops for b in (*op.inputs, *op.outputs)} - {ABSENT}
    used.update(plan.inputs, plan.targets, plan.weights, plan.outputs)
    assert used == set(range(len(plan.buffers)))
    variables = {b for b, buffer in enumerate(plan.buffers) if buffer.role in ("parameter", "slot")}
    assert set(plan.variables) == variables
    assert all(variable.shape == plan.buffers[b].shape for b, variable in plan.variables.items())


@pytest.mark.parametrize("fused", [True, False])
def test_a_plan_is_a_topological_order(fused: bool, plan_of: Any) -> None:
    model = compiled(
        [Dropout(0.1), Dense(4, "relu", kernel_regularizer="l2"), Dropout(0.3), Dense(3, "softmax")],
        "categorical_crossentropy", dp.optimizers.Adam(global_clipnorm=1.0), metrics=["accuracy", "mse"],
    )  # fmt: skip
    plan = plan_of(model, fused)
    given = {"input", "target", "weight", "parameter", "slot"}
    written = {b for b, buffer in enumerate(plan.buffers) if buffer.role in given}
    for op in plan.ops:
        assert {*op.inputs} - {ABSENT} <= written, op
        written.update(op.outputs)


# ---- which gradients there are


def gradients(plan: Plan) -> set[str]:
    """Names of the variables that have a gradient."""
    return {buffer.name[1:] for buffer in plan.buffers if buffer.role == "gradient"}


@pytest.mark.parametrize("fused", [True, False])
def test_the_input_has_no_gradient(fused: bool, plan_of: Any) -> None:
    plan = plan_of(compiled([Dropout(0.5), Dense(4, "tanh"), Dense(1)]), fused)
    (grad_x,) = (op for op in plan.ops if op.kind == "dense_grad_x")
    assert plan.buffers[grad_x.outputs[0]].shape == (4,)
    assert not any(op.kind == "dropout_grad" for op in plan.ops)


@pytest.mark.parametrize("fused", [True, False])
def test_frozen_layers_at_the_bottom_have_no_gradient_operations(fused: bool, plan_of: Any) -> None:
    model = compiled([Dense(4, "tanh"), Dense(3, "tanh"), Dense(1)])
    model.layers[0].trainable = False
    model.layers[1].trainable = False
    plan = plan_of(model, fused)
    assert gradients(plan) == {"W3", "b3"}
    assert not any(op.kind in ("dense_grad_x", "activation_grad") for op in plan.ops)
    assert not any(b.role == "slot" for b in plan.buffers)


@pytest.mark.parametrize("fused", [True, False])
def test_a_frozen_layer_between_passes_the_gradient_on(fused: bool, plan_of: Any) -> None:
    model = compiled([Dense(4, "tanh"), Dense(3, "tanh"), Dense(1)], optimizer="adam")
    model.layers[1].trainable = False
    plan = plan_of(model, fused)
    assert gradients(plan) == {"W1", "b1", "W3", "b3"}
    assert sum(op.kind == "dense_grad_x" for op in plan.ops) == 2
    assert sum(b.role == "slot" for b in plan.buffers) == 8


def test_freezing_one_variable_changes_the_plan_at_once() -> None:
    model = compiled([Dense(4, "tanh"), Dense(1)])
    assert gradients(model.plan) == {"W1", "b1", "W2", "b2"}
    model.layers[0].bias.trainable = False
    assert gradients(model.plan) == {"W1", "W2", "b2"}
    model.layers[0].bias.trainable = True
    assert gradients(model.plan) == {"W1", "b1", "W2", "b2"}


def test_a_penalty_on_a_frozen_variable_counts_but_has_no_gradient() -> None:
    model = compiled([Dense(4, kernel_regularizer="l2"), Dense(1)])
    model.layers[0].trainable = False
    assert "penalty" in kinds(model.plan, "loss")
    assert "penalty_grad" not in kinds(model.plan, "backward")


def test_without_a_loss_there_is_only_a_forward_span() -> None:
    model = dp.Sequential([dp.Input((5,)), Dense(4, "tanh"), Dropout(0.5)])
    assert [len(model.plan.spans[span]) > 0 for span in SPANS] == [True, False, False, False]


def test_weight_decay_leaves_biases_alone() -> None:
    plan = compiled([Dense(4)], optimizer=dp.optimizers.SGD(0.1, weight_decay=0.25)).plan
    assert {op.kind: op.attributes[0] for op in plan.spans["update"]} == {"dense_update": 0.25, "bias_update": 0.0}


# ---- validate


@pytest.fixture
def sound(plan_of: Any) -> Plan:
    """A plan with most kinds of operations, whose operations and buffers a test may spoil."""
    model = compiled(
        [Dense(4, "relu", kernel_regularizer="l2"), Dropout(0.5), Dense(4, "tanh"), Dense(3, "softmax")],
        "categorical_crossentropy", "adam", metrics=["accuracy"],
    )  # fmt: skip
    return plan_of(model, True)


def first(plan: Plan, kind: str) -> Op:
    return next(op for op in plan.ops if op.kind == kind)


def set_input(kind: str, position: int, role: str | None, shape: tuple[int, ...] = ()) -> Callable[[Plan], None]:
    """Put another buffer, or none, in the place of an input."""

    def change(plan: Plan) -> None:
        op, inputs = first(plan, kind), list(first(plan, kind).inputs)
        inputs[position] = ABSENT if role is None else plan.buffer(role, shape, "wrong")
        op.inputs = tuple(inputs)

    return change


def set_output(kind: str, position: int, role: str, shape: tuple[int, ...]) -> Callable[[Plan], None]:
    """Put another buffer in the place of an output."""

    def change(plan: Plan) -> None:
        op, outputs = first(plan, kind), list(first(plan, kind).outputs)
        outputs[position] = plan.buffer(role, shape, "wrong")
        op.outputs = tuple(outputs)

    return change


def set_field(kind: str, /, **fields: Any) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        for name, value in fields.items():
            setattr(first(plan, kind), name, value)

    return change


def set_plan(**fields: Any) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        for name, value in fields.items():
            setattr(plan, name, value)

    return change


def extra_buffer(role: str, shape: tuple[int, ...]) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        plan.buffer(role, shape, "extra")

    return change


REJECTED: dict[str, tuple[Callable[[Plan], None], str]] = {
    "an unknown operation": (set_field("dense", kind="convolution"), "unknown operation 'convolution'"),
    "an unknown activation": (set_field("dense", function="mse"), "unknown activation 'mse'"),
    "an unknown loss": (set_field("loss", function="relu"), "unknown loss 'relu'"),
    "an unknown optimizer": (set_field("update", function="newton"), "unknown optimizer 'newton'"),
    "an unknown role": (extra_buffer("tensor", (3,)), "unknown role 'tensor'"),
    "a buffer that is not there": (set_field("dense", inputs=(999, 1, 2)), "no buffer of the plan"),
    "a negative buffer": (set_field("dense", inputs=(0, 1, -2)), "no buffer of the plan"),
    "a required operand left out": (set_field("dense", inputs=(0, ABSENT, 2)), "no buffer of the plan"),
    "too few operands": (set_field("dense", inputs=(0,)), "wrong number of operands"),
    "too many operands": (set_field("softmax", inputs=(0, 0)), "wrong number of operands"),
    "too many outputs": (set_field("softmax", outputs=(0, 0)), "wrong number of operands"),
    "weights of another depth": (set_input("dense", 1, "parameter", (6, 4)), "does not fit the rows"),
    "weights of another width": (set_input("dense", 1, "parameter", (5, 7)), "does not fit the rows"),
    "weights that are no matrix": (set_input("dense", 1, "parameter", (20,)), "no matrix"),
    "rows of different widths": (set_output("softmax", 0, "activation", (7,)), "different widths"),
    "a delta of another width": (set_output("loss", 1, "delta", (9,)), "different widths"),
    "a sum that goes to no counter": (set_output("reduce", 0, "scalar", (1,)), "wrong role"),
    "an empty buffer": (extra_buffer("activation", (0,)), "empty"),
    "too few attributes": (set_field("dropout", attributes=(0.5,)), "too few attributes"),
    "a target without its weight": (set_plan(weights=[]), "one weight per target"),
}

# Without these checks the executor would read or write what is not there.
RELIED_ON: dict[str, Callable[[Plan], None]] = {
    "a bias of another width": set_input("dense", 2, "parameter", (100,)),
    "weights that are no variable": set_input("dense", 1, "activation", (5, 4)),
    "rows that are a variable": set_input("dense", 0, "parameter", (5,)),
    "a target of another width": set_input("loss", 1, "target", (1,)),
    "a delta without a weight": set_input("loss", 2, None),
    "a matched loss without logits": set_input("loss", 3, None),
    "a matched loss with logits of another width": set_input("loss", 3, "activation", (1,)),
    "a loss that writes no row values": set_output("loss", 0, "scalar", (1,)),
    "adam without slots": lambda plan: setattr(first(plan, "update"), "outputs", first(plan, "update").outputs[:1]),
    "a slot of another shape": set_output("update", 1, "slot", (1, 1)),
    "adam without its constants": set_field("update", attributes=(0.0,)),
    "a gradient of another shape": set_input("update", 1, "gradient", (2, 10)),
    "a derivative without what it reads": set_input("dense_grad_x", 2, None),
    "a derivative that reads another width": set_input("dense_grad_x", 2, "activation", (1,)),
    "a bias gradient of another width": set_output("bias_update", 1, "gradient", (100,)),
    "a mask that is no mask": set_output("dropout", 1, "activation", (1,)),
    "an input that is not there": set_plan(inputs=[999]),
    "an output that is not there": set_plan(outputs=[999]),
    "an objective that is no counter": set_plan(penalties=[0]),
    "a buffer read before it is written": lambda plan: plan.spans["forward"].reverse(),
}


def test_a_sound_plan_is_accepted(sound: Plan) -> None:
    sound.native()


@pytest.mark.parametrize("damage", REJECTED)
def test_validate_rejects(damage: str, sound: Plan) -> None:
    change, message = REJECTED[damage]
    change(sound)
    with pytest.raises(ValueError, match=message):
        sound.native()


@pytest.mark.parametrize("damage", RELIED_ON)
def test_validate_rejects_what_the_executor_relies_on(damage: str, sound: Plan) -> None:
    RELIED_ON[damage](sound)
    with pytest.raises(ValueError):
        sound.native()


@pytest.mark.parametrize(
    ("spans", "message"),
    [([0, 1, 1, 1, 1], "do not cover"), ([0, 3, 2, 2, None], "out of order"), ([0, 1, 1, 1, 999], "do not cover")],
)
def test_validate_rejects_spans_that_do_not_fit(
    spans: list[int], message: str, sound: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "bounds", lambda self: [len(self.ops) if n is None else n for n in spans])
    with pytest.raises(ValueError, match=message):
        sound.native()

"""Merging neighbouring operations of a plan where the buffer between them has one reader."""

from __future__ import annotations

from collections import Counter

from .plan import ABSENT, SPANS, Op, Plan

__all__ = ["fuse"]

# A loss on probabilities, the operation that made them, its gradient, and the loss on what went in.
_MATCHED = {
    "binary_crossentropy": ("activation", "sigmoid", "activation_grad", "sigmoid_binary_crossentropy"),
    "binary_focal_crossentropy": (
        "activation", "sigmoid", "activation_grad", "sigmoid_binary_focal_crossentropy",
    ),
    "categorical_crossentropy": ("softmax", "", "softmax_grad", "softmax_categorical_crossentropy"),
    "categorical_focal_crossentropy": (
        "softmax", "", "softmax_grad", "softmax_categorical_focal_crossentropy",
    ),
    "sparse_categorical_crossentropy": (
        "softmax", "", "softmax_grad", "softmax_sparse_categorical_crossentropy",
    ),
}  # fmt: skip


# A gradient, and the same in one with the update that uses it.
_UPDATED = {"bias_grad": "bias_update", "dense_grad_w": "dense_update", "embedding_grad": "embedding_update"}


class _Rewriter:
    """The operations of a plan by what they write, and the reads of each buffer."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count()

    def count(self) -> None:
        ops = self.plan.ops
        self.reads = Counter(b for op in ops for b in op.inputs if b != ABSENT)
        self.reads.update(op.outputs[0] for op in ops if op.accumulate)
        self.reads.update(self.plan.outputs)
        self.writer = {op.outputs[0]: op for op in ops}

    def only_reader(self, buffer: int, span: str, kind: str) -> Op | None:
        """Return the operation of that kind which alone reads the buffer."""
        if self.reads[buffer] != 1:
            return None
        return next((op for op in self.plan.spans[span] if op.kind == kind and op.inputs[0] == buffer), None)

    def drop(self, op: Op) -> None:
        for ops in self.plan.spans.values():
            if op in ops:
                ops.remove(op)
        self.count()


def fuse(plan: Plan) -> Plan:
    """Merge what can be merged, in place, and return the plan.

    Softmax or sigmoid with its cross-entropy; dense with its bias and activation; a gradient with the
    update that alone uses it, which moves behind the whole backward pass, or else the weight gradient
    with the bias gradient; the input gradient with the derivative of the activation below.
    """
    rewriter = _Rewriter(plan)
    for op in list(plan.spans["loss"]):
        if op.kind == "loss" and op.function in _MATCHED:
            _match_loss(rewriter, op)
    for op in list(plan.spans["forward"]):
        if op.kind in ("dense", "dense_transposed"):
            _merge_dense(rewriter, op)
    for op in list(plan.spans["update"]):
        if op.kind == "update":
            _merge_update(rewriter, op)
    for op in list(plan.spans["backward"]):
        if op.kind == "dense_grad_w":
            _merge_bias_grad(rewriter, op)
        elif op.kind == "dense_grad_x":
            _merge_activation_grad(rewriter, op)
    _drop_unused_buffers(plan)
    return plan


def _match_loss(rewriter: _Rewriter, loss: Op) -> None:
    kind, function, gradient_kind, matched = _MATCHED[loss.function]
    prediction, target, weight, _ = loss.inputs
    made_by = rewriter.writer.get(prediction)
    if made_by is None or made_by.kind != kind or (function and made_by.function != function):
        return
    if len(loss.outputs) > 1:
        gradient = rewriter.only_reader(loss.outputs[1], "backward", gradient_kind)
        if gradient is None:
            return
        loss.outputs = (loss.outputs[0], gradient.outputs[0])
        rewriter.drop(gradient)
    loss.inputs = (prediction, target, weight, made_by.inputs[0])
    loss.function = matched
    rewriter.count()


def _merge_dense(rewriter: _Rewriter, dense: Op) -> None:
    bias = rewriter.only_reader(dense.outputs[0], "forward", "add_bias")
    if bias is not None:
        dense.inputs = (*dense.inputs[:2], bias.inputs[1])
        dense.outputs = bias.outputs
        rewriter.drop(bias)
    z = dense.outputs[0]
    readers = [op for op in rewriter.plan.ops if z in op.inputs]
    activation = next((op for op in readers if op.kind == "activation"), None)
    if activation is None or z in rewriter.plan.outputs:
        return
    # What a derivative or a matched loss reads beside the activation is kept.
    dense.outputs = (*activation.outputs, z) if len(readers) > 1 else activation.outputs
    dense.function, dense.attributes = activation.function, activation.attributes
    rewriter.drop(activation)


def _merge_update(rewriter: _Rewriter, update: Op) -> None:
    parameter, gradient = update.inputs
    users = [op for op in rewriter.plan.ops if gradient in (*op.inputs, *op.outputs) and op is not update]
    if len(users) != 1 or users[0].kind not in _UPDATED:
        return  # clipped or penalised on the way
    if any(op.kind == "dense_transposed" and op.inputs[1] == parameter for op in rewriter.plan.ops):
        return  # it reads the copy that such an update of a single row leaves behind
    if users[0].kind == "embedding_grad" and (update.function != "sgd" or update.attributes[0]):
        return  # moments and decay change rows without a gradient, too
    update.kind = _UPDATED[users[0].kind]
    update.inputs = (*users[0].inputs, parameter)
    update.outputs = (parameter, gradient, *update.outputs[1:])
    rewriter.drop(users[0])


def _merge_bias_grad(rewriter: _Rewriter, grad: Op) -> None:
    for op in rewriter.plan.spans["backward"]:
        if op.kind == "bias_grad" and op.inputs[0] == grad.inputs[1] and op.accumulate == grad.accumulate:
            grad.outputs = (grad.outputs[0], op.outputs[0])
            rewriter.drop(op)
            return


def _merge_activation_grad(rewriter: _Rewriter, grad: Op) -> None:
    derivative = rewriter.only_reader(grad.outputs[0], "backward", "activation_grad")
    terms = [op for op in rewriter.plan.spans["backward"] if op.outputs == grad.outputs]
    if derivative is None or grad is not terms[-1]:
        return  # the derivative comes after the last reader's share
    grad.function, grad.attributes = derivative.function, derivative.attributes
    grad.inputs = (*grad.inputs[:2], derivative.inputs[1])
    for op in terms:
        op.outputs = derivative.outputs
    rewriter.drop(derivative)


def _drop_unused_buffers(plan: Plan) -> None:
    used = {b for op in plan.ops for b in (*op.inputs, *op.outputs)} - {ABSENT}
    used.update(plan.inputs, plan.targets, plan.weights, plan.outputs, plan.objective)
    number = {old: new for new, old in enumerate(sorted(used))}
    number[ABSENT] = ABSENT
    for span in SPANS:
        for op in plan.spans[span]:
            op.inputs = tuple(number[b] for b in op.inputs)
            op.outputs = tuple(number[b] for b in op.outputs)
    plan.buffers = [plan.buffers[b] for b in sorted(used)]
    for name in ("inputs", "targets", "weights", "outputs", "penalties"):
        setattr(plan, name, [number[b] for b in getattr(plan, name)])
    plan.losses = [(name, number[b], factor) for name, b, factor in plan.losses]
    plan.metrics = [(metric, number[b]) for metric, b in plan.metrics]
    plan.variables = {number[b]: v for b, v in plan.variables.items() if b in used}

"""How a plan prints: one equation a line, the backward span read upwards being the forward span."""

from __future__ import annotations

from collections.abc import Callable

from .plan import ABSENT, SPANS, Op, Plan

__all__ = ["render"]

_UPDATES = {
    "sgd": "{w} - lr {g}",
    "momentum": "{w} + {0},  {0} = momentum {0} - lr {g}",
    "nesterov": "{w} + momentum {0} - lr {g},  {0} = momentum {0} - lr {g}",
    "rmsprop": "{w} - lr {g} / sqrt({0} + eps)",
    "rmsprop_momentum": "{w} - {1},  {1} = momentum {1} + lr {g} / sqrt({0} + eps)",
    "centered_rmsprop": "{w} - {1},  {1} = momentum {1} + lr {g} / sqrt({0} - {2}^2 + eps)",
    "adam": "{w} - lr' {0} / (sqrt({1}) + eps)",
    "amsgrad": "{w} - lr' {0} / (sqrt({2}) + eps)",
    "adagrad": "{w} - lr {g} / sqrt({0} + eps)",
    "adadelta": "{w} - lr sqrt({1} + eps) / sqrt({0} + eps) {g}",
    "adamax": "{w} - lr' {0} / ({1} + eps)",
    "nadam": "{w} - lr' ({0} + share ({g} - {0})) / (sqrt({1}) + eps')",
    "lion": "{w} - lr sign({0} + (1 - beta_1) ({g} - {0}))",
    "rprop": "{w} - {1} {0},  {0} = sign({g}) or 0",
}


def _wrap(function: str, argument: str) -> str:
    return argument if function in ("", "linear") else f"{function}({argument})"


def _sum(coefficients: tuple[float, ...], names: list[str]) -> str:
    """Return a sum such as a + b - 0.5 c."""
    text = ""
    for c, name in zip(coefficients, names):
        sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
        text += f"{sign}{'' if abs(c) == 1 else f'{abs(c):g} '}{name}"
    return text


def _dense(op: Op, i: list[str], o: list[str]) -> str:
    bias = f" + {i[2]}" if i[2] else ""
    transposed = "'" if op.kind == "dense_transposed" else ""
    product = f"{i[0]} {i[1]}{transposed}{bias}"
    if o[1:]:
        return f"{o[0]} = {op.function}({o[1]}),  {o[1]} = {product}"
    return f"{o[0]} = {_wrap(op.function, product)}"


def _loss(op: Op, i: list[str], o: list[str]) -> str:
    delta, factor = "", "" if op.attributes[0] == 1 else f"{op.attributes[0]:g} "
    matched = len(i) > 3 and bool(i[3])
    if len(o) > 1 and matched and not any(op.attributes[1:]):
        delta = f",  {o[1]} = {factor}({i[0]} - {i[1]}) {i[2]} / rows"
    elif len(o) > 1:
        delta = f",  {o[1]} = {factor}{i[2]} / rows  d{o[0]}/d{i[3] if matched else i[0]}"
    return f"{o[0]} = {op.function}({i[1]}, {i[0]}{_constants(op.attributes[1:])}){delta}"


def _constants(constants: tuple[float, ...]) -> str:
    """``; 0.1, 2`` for what a loss or metric has beside its operands, if that is not zero."""
    shown = [f"{c:g}" for c in constants] if any(constants) else []
    return f"; {', '.join(shown[:4] + ['...'] * (len(shown) > 4))}" if shown else ""


def _tally(op: Op, i: list[str], o: list[str]) -> str:
    weight = f", {i[2]}" if i[2] else ""
    return f"{o[0]} += {op.function}({i[1]}, {i[0]}{weight}{_constants(op.attributes)})"


def _dense_grad_w(op: Op, i: list[str], o: list[str]) -> str:
    bias = f",  {o[1]} = sum of the rows of {i[1]}" if len(o) > 1 else ""
    return f"{o[0]} {'+=' if op.accumulate else '='} {i[0]}' {i[1]}{bias}"


def _dense_grad_x(op: Op, i: list[str], o: list[str]) -> str:
    slope = "" if op.function == "linear" else f" * {op.function}'({i[2]})"
    return f"{o[0]} {'+=' if op.accumulate else '='} {i[0]} {i[1]}'{slope}"


def _batch_norm(op: Op, i: list[str], o: list[str]) -> str:
    momentum, epsilon = op.attributes
    return (
        f"{o[0]} = ({i[0]} - mean {i[0]}) * {o[1]},  {o[1]} = 1 / sqrt(var {i[0]} + {epsilon:g}),  "
        f"{i[1]}, {i[2]} = {momentum:g} {i[1]}, {i[2]} + {1 - momentum:g} mean, var {i[0]}"
    )


def _layer_norm(op: Op, i: list[str], o: list[str]) -> str:
    centred, epsilon = op.attributes
    top, square = (f"({i[0]} - mean {i[0]})", f"var {i[0]}") if centred else (i[0], f"mean {i[0]}^2")
    return f"{o[0]} = {top} * {o[1]},  {o[1]} = 1 / sqrt({square} + {epsilon:g}) of each row"


def _deviation(op: Op, variance: str) -> str:
    epsilon, floor = op.attributes[:2]
    return f"sqrt({variance} + {epsilon:g})" if epsilon else f"max(sqrt({variance}), {floor**0.5:g})"


def _standardize(op: Op, i: list[str], o: list[str]) -> str:
    deviation = _deviation(op, i[2])
    return f"{o[0]} = " + (f"{i[0]} * {deviation} + {i[1]}" if op.attributes[2] else f"({i[0]} - {i[1]}) / {deviation}")


def _update(op: Op, i: list[str], o: list[str]) -> str:
    decay, factor = op.attributes[:2]
    after = f",  after {i[0]} -= lr {decay:g} {i[0]}" if decay else ""
    rate = f",  lr = {factor:g} * the optimiser's" if factor != 1 else ""
    return f"{i[0]} = " + _UPDATES[op.function].format(*o[1:], w=i[0], g=i[1]) + after + rate


def _ema(op: Op, i: list[str], o: list[str]) -> str:
    momentum, every = op.attributes
    overwrite = f",  each {every:g} steps {o[1]} = {o[0]}" if every else ""
    return f"{o[0]} = {momentum:g} {i[1]} + {1 - momentum:g} {i[0]}{overwrite}"


def _gradient_update(op: Op, i: list[str], o: list[str]) -> str:
    """Both lines in one: the gradient, and the update that uses it."""
    if op.kind == "embedding_update":
        gradient = f"rows {i[0]} of {o[1]} += {i[1]}"
    else:
        gradient = f"{o[1]} = " + (f"{i[0]}' {i[1]}" if op.kind == "dense_update" else f"sum of the rows of {i[0]}")
    update = _update(op, [o[0], o[1]], [o[0], *o[2:]])
    return f"{gradient},  {update}"


def _penalty(op: Op, i: list[str], o: list[str]) -> str:
    l1, l2 = op.attributes
    terms = [f"{l1:g} sum |{i[0]}|"] * bool(l1) + [f"{l2:g} sum {i[0]}^2"] * bool(l2)
    return f"{o[0]} += {' + '.join(terms)}"


def _penalty_grad(op: Op, i: list[str], o: list[str]) -> str:
    l1, l2 = op.attributes
    terms = [f"{l1:g} sign({i[0]})"] * bool(l1) + [f"{2 * l2:g} {i[0]}"] * bool(l2)
    return f"{o[0]} += {' + '.join(terms)}"


def _min_max_norm(op: Op, i: list[str], o: list[str]) -> str:
    low, high, rate, axis = op.attributes
    pieces = {0.0: "column", 1.0: "row"}.get(axis)
    where = f" of each {pieces}" if pieces else ""
    return f"{o[0]}: norm{where} into [{low:g}, {high:g}]" + (f", {rate:g} of the way" if rate < 1 else "")


def _activity(op: Op, i: list[str], o: list[str]) -> str:
    return _penalty(op, i, o).replace("+=", "=")


def _activity_grad(op: Op, i: list[str], o: list[str]) -> str:
    l1, l2 = op.attributes
    terms = [f"{l1:g} sign({i[0]})"] * bool(l1) + [f"{2 * l2:g} {i[0]}"] * bool(l2)
    return f"{o[0]} {'+=' if op.accumulate else '='} ({' + '.join(terms)}) / rows"


def _sparse_kl(op: Op, i: list[str], o: list[str]) -> str:
    rho, beta = op.attributes
    return f"{o[1]} += {beta:g} sum KL({rho:g}, {i[0]} / rows),  {o[0]} = its slope by {i[0]}"


_EQUATIONS: dict[str, Callable[[Op, list[str], list[str]], str]] = {
    "dense": _dense,
    "dense_transposed": _dense,
    "add_bias": lambda op, i, o: f"{o[0]} = {i[0]} + {i[1]}",
    "activation": lambda op, i, o: f"{o[0]} = {op.function}({i[0]})",
    "softmax": lambda op, i, o: f"{o[0]} = softmax({i[0]})",
    "prelu": lambda op, i, o: f"{o[0]} = max(0, {i[0]}) + {i[1]} min(0, {i[0]})",
    "distance": lambda op, i, o: f"{o[0]} = |{i[0]} - {i[1]}|^2 / 2 from each column",
    "gaussian": lambda op, i, o: f"{o[0]} = exp(-{i[0]} / {i[1]}^2)",
    "log_softmax": lambda op, i, o: f"{o[0]} = {i[0]} - ln sum exp({i[0]})",
    "dropout": lambda op, i, o: f"{o[0]} = {i[0]} * {o[1]} / {1 - op.attributes[0]:g}",
    "alpha_dropout": lambda op, i, o: (
        f"{o[0]} = {op.attributes[2]:.5g} {i[0]} {op.attributes[3]:+.5g} where {o[1]}, else {op.attributes[4]:.5g}"
    ),
    "gaussian_noise": lambda op, i, o: f"{o[0]} = {i[0]} + normal(0, {op.attributes[0]:g})",
    "gaussian_dropout": lambda op, i, o: f"{o[0]} = {i[0]} * {o[1]},  {o[1]} = normal(1, {op.attributes[0]:g})",
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "standardize": _standardize,
    "scale_columns": lambda op, i, o: f"{o[0]} = {i[0]} * {i[1]}",
    "combine": lambda op, i, o: f"{o[0]} = {_sum(op.attributes, i)}",
    "multiply": lambda op, i, o: f"{o[0]} = {' * '.join(i)}",
    "concatenate": lambda op, i, o: f"{o[0]} = [{', '.join(i)}]",
    "embedding": lambda op, i, o: f"{o[0]} = rows {i[0]} of {i[1]}",
    "slice": lambda op, i, o: f"{o[0]} = {i[0]} from column {op.attributes[0]:g} on",
    "host": lambda op, i, o: f"{', '.join(o)} = {op.function}({', '.join(i)}) in Python",
    "loss": _loss,
    "reduce": lambda op, i, o: f"{o[0]} += sum of {i[0]}{f' {i[1]}' if i[1:] and i[1] else ''}",
    "tally": _tally,
    "penalty": _penalty,
    "activity": _activity,
    "column_sum": lambda op, i, o: f"{o[0]} = sum of the rows of {i[0]}",
    "sparse_kl": _sparse_kl,
    "activation_grad": lambda op, i, o: f"{o[0]} = {i[0]} * {op.function}'({i[1]})",
    "softmax_grad": lambda op, i, o: f"{o[0]} = {i[1]} * ({i[0]} - {i[0]}.{i[1]})",
    "prelu_grad": lambda op, i, o: f"{o[0]} = {i[0]} * (1 if {i[1]} > 0 else {i[2]})",
    "prelu_grad_alpha": lambda op, i, o: f"{o[0]} = sum of the rows of {i[0]} * min(0, {i[1]})",
    "distance_grad_x": lambda op, i, o: f"{o[0]} = sum of {i[0]} * ({i[2]} - {i[1]}) over the columns",
    "distance_grad_w": lambda op, i, o: f"{o[0]} = sum of {i[1]} * ({i[2]} - {i[0]}) over the rows",
    "gaussian_grad": lambda op, i, o: f"{o[0]} = -{i[0]} * {i[1]} / {i[2]}^2",
    "gaussian_grad_s": lambda op, i, o: f"{o[0]} = sum of the rows of 2 {i[0]} * {i[1]} * {i[2]} / {i[3]}^3",
    "log_softmax_grad": lambda op, i, o: f"{o[0]} = {i[0]} - exp({i[1]}) sum of {i[0]}",
    "dropout_grad": lambda op, i, o: f"{o[0]} = {i[0]} * {i[1]} / {op.attributes[0]:g}",
    "noise_grad": lambda op, i, o: f"{o[0]} = {i[0]} * {i[1]}",
    "batch_norm_grad": lambda op, i, o: (
        f"{o[0]} = {i[2]} * ({i[0]} - mean {i[0]} - {i[1]} * mean({i[0]} * {i[1]})),  means over the rows"
    ),
    "layer_norm_grad": lambda op, i, o: (
        f"{o[0]} = {i[2]} * ({i[0]}{f' - mean {i[0]}' * bool(op.attributes[0])} - {i[1]} * mean({i[0]} * {i[1]})),  "
        f"means over the units"
    ),
    "standardize_grad": lambda op, i, o: f"{o[0]} = {i[0]} {'*' if op.attributes[2] else '/'} {_deviation(op, i[1])}",
    "scale_grad": lambda op, i, o: f"{o[0]} = sum of the rows of {i[0]} * {i[1]}",
    "embedding_grad": lambda op, i, o: f"rows {i[0]} of {o[0]} += {i[1]}",
    "dense_grad_w": _dense_grad_w,
    "bias_grad": lambda op, i, o: f"{o[0]} = sum of the rows of {i[0]}",
    "dense_grad_x": _dense_grad_x,
    "penalty_grad": _penalty_grad,
    "activity_grad": _activity_grad,
    "activation_curvature": lambda op, i, o: f"{o[0]} += {i[0]} * {i[1]} * {op.function}''({i[2]})",
    "softmax_curvature": lambda op, i, o: f"{o[0]} += slope of {i[0]}.J {i[1]},  J of {i[2]} = softmax",
    "sparse_kl_grad": lambda op, i, o: f"{o[0]} {'+=' if op.accumulate else '='} {i[0]}",
    "square_sum": lambda op, i, o: f"{o[0]} = sum {i[0]}^2",
    "clip_norm": lambda op, i, o: (
        f"{o[0]} *= min(1, {op.attributes[0]:g} / sqrt({' + '.join(i[1:])}))"
    ),
    "clip_value": lambda op, i, o: f"{o[0]} = clip({i[0]}, ±{op.attributes[0]:g})",
    "update": _update,
    "dense_update": _gradient_update,
    "bias_update": _gradient_update,
    "embedding_update": _gradient_update,
    "ema": _ema,
    "min_max_norm": _min_max_norm,
    "non_neg": lambda op, i, o: f"{o[0]} = max(0, {i[0]})",
}


def _shapes(plan: Plan, op: Op) -> str:
    """The sizes of a matrix product, without the rows."""
    if op.kind not in ("dense", "dense_transposed", "dense_grad_w", "dense_grad_x", "dense_update"):
        return ""
    matrix = op.outputs[0] if op.kind in ("dense_grad_w", "dense_update") else op.inputs[1]
    n_in, n_out = plan.buffers[matrix].shape
    return f"({n_in}, {n_out})"


def render(plan: Plan) -> str:
    """Return the plan as text."""

    def names(buffers: tuple[int, ...]) -> list[str]:
        return ["" if b == ABSENT else plan.buffers[b].name for b in buffers]

    lines = []
    for span in SPANS:
        for k, op in enumerate(plan.spans[span]):
            fused = op.function if op.kind.startswith("dense") and op.function not in ("", "linear") else ""
            word = f"{op.kind}.{fused}" if fused else op.function if op.kind == "update" else op.kind
            equation = _EQUATIONS[op.kind](op, names(op.inputs), names(op.outputs))
            shapes = _shapes(plan, op)
            lines.append(
                f"{span if k == 0 else '':<10}{word + ' ':<21}{equation}{f'   {shapes}' if shapes else ''}"
            )
    return "\n".join(lines)

"""Learning-rate schedules against their formulas, one step at a time."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from deltaprop.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    WarmUp,
    deserialize,
    serialize,
)


def warm_cosine(t: int) -> float:
    if t < 10:
        return 0.1 + (1.0 - 0.1) * t / 10
    return 1.0 * (0.8 * 0.5 * (1 + math.cos(math.pi * min(t - 10, 40) / 40)) + 0.2)


def restarts(t: float, length: float, t_mul: float, m_mul: float) -> float:
    height = 1.0
    while t >= length:
        t, length, height = t - length, length * t_mul, height * m_mul
    return 0.1 * (0.8 * height * 0.5 * (1 + math.cos(math.pi * t / length)) + 0.2)


def one_cycle(t: float, linear: bool) -> float:
    """As torch.optim.lr_scheduler.OneCycleLR has it, for 100 steps of which 30 rise from 0.04 to 1."""
    start, end, share = (0.04, 1.0, t / 29) if t <= 29 else (1.0, 0.04 / 1e4, min(1, (t - 29) / 70))
    return end + (start - end) * (1 - share if linear else (1 + math.cos(math.pi * share)) / 2)


FORMULAS = [
    (ExponentialDecay(0.1, 20, 0.9), lambda t: 0.1 * 0.9 ** (t / 20)),
    (ExponentialDecay(0.1, 20, 0.9, staircase=True), lambda t: 0.1 * 0.9 ** (t // 20)),
    (InverseTimeDecay(0.1, 20, 0.5), lambda t: 0.1 / (1 + 0.5 * t / 20)),
    (InverseTimeDecay(0.1, 20, 0.5, staircase=True), lambda t: 0.1 / (1 + 0.5 * (t // 20))),
    (PolynomialDecay(0.1, 50, 0.01, power=0.5),
     lambda t: 0.09 * (1 - min(t, 50) / 50) ** 0.5 + 0.01),
    (PolynomialDecay(0.1, 50, 0.01, power=2, cycle=True),
     lambda t: 0.09 * (1 - t / (50 * max(1, math.ceil(t / 50)))) ** 2 + 0.01),
    (CosineDecay(0.1, 50, alpha=0.2),
     lambda t: 0.1 * (0.8 * 0.5 * (1 + math.cos(math.pi * min(t, 50) / 50)) + 0.2)),
    (CosineDecay(0.1, 40, alpha=0.2, warmup_target=1.0, warmup_steps=10), warm_cosine),
    (CosineDecay(0.1, 40, warmup_target=1.0),
     lambda t: 0.5 * (1 + math.cos(math.pi * min(t, 40) / 40))),
    (CosineDecayRestarts(0.1, 10, alpha=0.2), lambda t: restarts(t, 10, 2, 1)),
    (CosineDecayRestarts(0.1, 1, 3.0, 0.5, alpha=0.2), lambda t: restarts(t, 1, 3, 0.5)),
    (CosineDecayRestarts(0.1, 7, 1.0, 0.9, alpha=0.2), lambda t: restarts(t, 7, 1, 0.9)),
    (OneCycle(1.0, 100), lambda t: one_cycle(t, False)),
    (OneCycle(1.0, 100, anneal_strategy="linear"), lambda t: one_cycle(t, True)),
    (OneCycle(1.0, 100, pct_start=0),
     lambda t: 4e-6 + (1 - 4e-6) / 2 * (1 + math.cos(math.pi * min(1, (t + 1) / 100)))),
    (OneCycle(1.0, 100, 1.0, "linear"), lambda t: 0.04 + 0.96 * t / 99 if t < 100 else 1.0),
    (WarmUp(0.5, 10), lambda t: min(1, t / 10) * 0.5),
    (WarmUp(ExponentialDecay(0.1, 20, 0.9), 10, 0.01),
     lambda t: 0.01 + 0.09 * t / 10 if t < 10 else 0.1 * 0.9 ** ((t - 10) / 20)),
    (PiecewiseConstantDecay([10, 60], [1.0, 0.5, 0.1]),
     lambda t: 1.0 if t <= 10 else 0.5 if t <= 60 else 0.1),
    (PiecewiseConstantDecay([], [0.3]), lambda t: 0.3),
]
SCHEDULES = [schedule for schedule, _ in FORMULAS]


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=repr)
def test_schedule_follows_its_formula(schedule: Any, formula: Any) -> None:
    steps = np.arange(121)
    expected = [formula(int(t)) for t in steps]
    # A few roundings apart: the formula is evaluated in another order.
    np.testing.assert_allclose(schedule(steps), expected, rtol=1e-13)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("length", [1, 3, 17, 121])
def test_one_step_and_many_give_the_same_bits(schedule: Any, length: int) -> None:
    # Else a training that is resumed would differ from one that was not interrupted.
    steps = np.arange(length)
    assert schedule(steps).tolist() == [schedule(int(t)) for t in steps]
    assert schedule.rates(steps).tolist() == schedule(steps).tolist()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("step", [5, np.int64(5), np.float32(5), np.array(5)], ids=type)
def test_a_single_step_gives_a_python_float(schedule: Any, step: Any) -> None:
    assert type(schedule(step)) is float


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_an_array_keeps_its_shape_and_gives_float64(schedule: Any) -> None:
    rates = schedule(np.arange(6, dtype=np.int32).reshape(2, 3))
    assert rates.shape == (2, 3)
    assert rates.dtype == np.float64


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedule_survives_json(schedule: Any) -> None:
    again = deserialize(json.loads(json.dumps(serialize(schedule))))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    assert again.rates(np.arange(99)).tolist() == schedule.rates(np.arange(99)).tolist()


def test_numpy_numbers_in_a_schedule_can_be_written_as_json() -> None:
    boundaries: Any = np.array([10, 20])
    values: Any = np.array([1, 0.5, 0.25], np.float32)
    schedule = PiecewiseConstantDecay(boundaries, values)
    assert json.loads(json.dumps(serialize(schedule)))["config"]["boundaries"] == [10, 20]


class HalfEachStep(LearningRateSchedule):
    def __call__(self, step: int) -> float:
        return 0.5 if step else 1.0  # of one step only: an array has no truth value

    def get_config(self) -> dict[str, Any]:
        return {}


def test_a_schedule_of_the_users_own_needs_no_arrays() -> None:
    assert HalfEachStep().rates(np.arange(3)).tolist() == [1.0, 0.5, 0.5]


def test_a_schedule_of_the_users_own_is_found_only_in_custom_objects() -> None:
    config = serialize(HalfEachStep())
    again = deserialize(config, custom_objects={"HalfEachStep": HalfEachStep})
    assert isinstance(again, HalfEachStep)
    with pytest.raises(ValueError, match="custom_objects, received 'HalfEachStep'"):
        deserialize(config)


@pytest.mark.parametrize(("make", "received"), [
    (lambda: ExponentialDecay(-0.1, 10, 0.9), "-0.1"),
    (lambda: ExponentialDecay("0.1", 10, 0.9), "'0.1'"),  # type: ignore[arg-type]
    (lambda: ExponentialDecay(0.1, 0, 0.9), "0"),
    (lambda: ExponentialDecay(0.1, 10, math.nan), "nan"),
    (lambda: InverseTimeDecay(math.inf, 10, 0.9), "inf"),
    (lambda: InverseTimeDecay(0.1, -1, 0.9), "-1"),
    (lambda: PolynomialDecay(0.1, 10, power=-1), "-1"),
    (lambda: PolynomialDecay(0.1, True), "True"),
    (lambda: CosineDecay(0.1, 10, warmup_target=-1), "-1"),
    (lambda: CosineDecay(0.1, 10, warmup_steps=-5), "-5"),
    (lambda: PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "2 values and 2 boundaries"),
    (lambda: PiecewiseConstantDecay([2, 2], [0.1, 0.2, 0.3]), r"\[2, 2\]"),
    (lambda: PiecewiseConstantDecay([2], [0.1, -0.2]), "-0.2"),
    (lambda: CosineDecayRestarts(0.1, 10, t_mul=0.5), "0.5"),
    (lambda: OneCycle(0.1, 1), "1"),
    (lambda: OneCycle(0.1, 10, pct_start=1.5), "1.5"),
    (lambda: OneCycle(0.1, 10, anneal_strategy="cosine"), "'cosine'"),
    (lambda: OneCycle(0.1, 10, div_factor=0), "0"),
    (lambda: WarmUp("adam", 10), "'adam'"),  # type: ignore[arg-type]
    (lambda: WarmUp(0.1, 0), "0"),
    (lambda: serialize(0.1), "0.1"),  # type: ignore[arg-type]
    (lambda: deserialize({"class_name": "os.system", "config": {}}), "'os.system'"),
    (lambda: deserialize({"class_name": "CosineDecay"}), "CosineDecay"),
    (lambda: deserialize({"class_name": "CosineDecay", "config": {"nonsense": 1}}), "nonsense"),
])
def test_bad_arguments_are_named(make: Any, received: str) -> None:
    with pytest.raises(ValueError, match=f"received .*{received}"):
        make()

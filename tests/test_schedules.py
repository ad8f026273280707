"""Learning-rate schedules against their formulas, one step at a time."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from deltaprop.schedules import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
    deserialize,
    serialize,
)


def warm_cosine(t: int) -> float:
    if t < 10:
        return 0.1 + (1.0 - 0.1) * t / 10
    return 1.0 * (0.8 * 0.5 * (1 + math.cos(math.pi * min(t - 10, 40) / 40)) + 0.2)


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
    with pytest.raises(ValueError, match="custom_objects; received 'HalfEachStep'"):
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
    (lambda: serialize(0.1), "0.1"),  # type: ignore[arg-type]
    (lambda: deserialize({"class_name": "os.system", "config": {}}), "'os.system'"),
    (lambda: deserialize({"class_name": "CosineDecay"}), "CosineDecay"),
    (lambda: deserialize({"class_name": "CosineDecay", "config": {"nonsense": 1}}), "nonsense"),
])
def test_bad_arguments_are_named(make: Any, received: str) -> None:
    with pytest.raises(ValueError, match=f"received .*{received}"):
        make()

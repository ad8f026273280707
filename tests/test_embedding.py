"""Embedding: what it computes, learns and refuses; the operations themselves are swept in test_executor.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltaprop as dp

Dense, Embedding, Flatten = dp.layers.Dense, dp.layers.Embedding, dp.layers.Flatten


def table_model(ids: int = 7, width: int = 3, columns: int = 2, **arguments: Any) -> dp.Sequential:
    return dp.Sequential([dp.Input((columns,)), Embedding(ids, width), Flatten(), Dense(1)], seed=4, **arguments)


@pytest.mark.parametrize("ids, width", [(7, 3), (3, 7), (500, 2), (500, 40), (2, 300), (1, 1)])
@pytest.mark.parametrize("integer", [np.int64, np.uint8, np.float32, np.float64])
def test_rows_of_the_table(ids: int, width: int, integer: Any, dtype: str, rng: np.random.Generator) -> None:
    layer = Embedding(ids, width)
    model = dp.Sequential([dp.Input((5,)), layer], dtype=dtype)
    x = rng.integers(0, min(ids, 256), (30, 5))
    y = model.predict(x.astype(integer), verbose=0)
    assert y.shape == (30, 5, width)
    assert np.array_equal(y, layer.embeddings.numpy()[x])


def test_learns_categories_beside_numbers(rng: np.random.Generator) -> None:
    """A value for each category and a slope for the number, found exactly: the model is linear in both."""
    value = rng.normal(size=10)
    group, x = rng.integers(0, 10, 400), rng.normal(size=(400, 1))
    y = value[group] + 2 * x[:, 0]
    numbers, category = dp.Input((1,), name="numbers"), dp.Input((1,), name="category")
    table = Embedding(10, 1)
    output = Dense(1)(dp.layers.Concatenate()([numbers, Flatten()(table(category))]))
    model = dp.Model([numbers, category], output, seed=2)
    model.compile(dp.optimizers.Adam(0.03), "mse")
    model.fit({"numbers": x, "category": group}, y, epochs=150, verbose=0)
    assert model.evaluate({"numbers": x, "category": group}, y, verbose=0) < 1e-4
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(table.embeddings.numpy()[:, 0] * kernel[1, 0] + bias, value, atol=0.02)


@pytest.mark.parametrize("width", [3, 40])
def test_descent_leaves_rows_that_do_not_occur_alone(width: int) -> None:
    model = table_model(100, width)
    model.compile(dp.optimizers.SGD(0.1), "mse")
    assert "embedding_update" in str(model.plan)
    before = model.layers[0].embeddings.numpy()
    model.fit([[5, 99], [5, 5], [17, 0]], [1, 2, 3], epochs=3, verbose=0)
    changed = np.any(model.layers[0].embeddings.numpy() != before, axis=1)
    assert np.flatnonzero(changed).tolist() == [0, 5, 17, 99]


@pytest.mark.parametrize("ids, width", [(100, 3), (100, 40), (5, 17)])
@pytest.mark.parametrize("rows", [20, 3000])
def test_sparse_and_dense_updates_agree(ids: int, width: int, rows: int, rng: np.random.Generator) -> None:
    """A limit that never bites keeps the gradient, and with it the update of all rows."""
    x, y = rng.integers(0, ids, (rows, 2)), rng.normal(size=rows)
    tables = []
    for clip in ({}, {"clipnorm": 1e9}):
        model = table_model(ids, width, dtype="float64")
        model.compile(dp.optimizers.SGD(0.1, **clip), "mse")
        assert ("embedding_update" in str(model.plan)) == (not clip)
        model.fit(x, y, batch_size=rows, epochs=5, verbose=0)
        tables.append(model.layers[0].embeddings.numpy())
    np.testing.assert_allclose(*tables, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("optimizer", ["adam", dp.optimizers.SGD(momentum=0.9), dp.optimizers.SGD(weight_decay=0.1)])
def test_other_optimisers_update_all_rows(optimizer: Any) -> None:
    model = table_model()
    model.compile(optimizer, "mse")
    assert "embedding_update" not in str(model.plan)


@pytest.mark.parametrize("wrong", [-1, 7, 0.5, 1e30, -1e30, np.nan, np.inf])
def test_what_is_no_id(wrong: float) -> None:
    """fit, evaluate and predict refuse it; the model's call gives NaN, in that row only."""
    model = table_model()
    model.compile("sgd", "mse")
    x = np.array([[0, 6], [wrong, 1]])
    y = model(x)
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()
    before = model.get_weights()
    for refused in (lambda: model.fit(x, [0, 0], verbose=0), lambda: model.evaluate(x, [0, 0], verbose=0)):
        with pytest.raises(ValueError, match=r"integers from 0 to 6|NaN or infinity"):
            refused()
    with pytest.raises(ValueError, match=r"x goes to layer 'embedding' .*, which takes integers from 0 to 6"):
        model.predict(x, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_ids_are_checked_through_flatten_and_by_name() -> None:
    a, b = dp.Input((2, 2), name="a"), dp.Input((1,), name="b")
    model = dp.Model([a, b], [Embedding(3, 2)(Flatten()(a)), Dense(1)(b)])
    with pytest.raises(ValueError, match=r"x\['a'\] goes to"):
        model.predict({"a": np.full((1, 2, 2), 3), "b": [9.5]}, verbose=0)


def test_nothing_before_it_trains() -> None:
    model = dp.Sequential([dp.Input((2,)), Dense(2), Embedding(3, 2), Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="ids have no derivative"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0)


def test_saving(tmp_path: Path) -> None:
    model = dp.Sequential([
        dp.Input((2,)),
        Embedding(5, 3, "he_normal", embeddings_regularizer="l2", embeddings_constraint="unit_norm"),
    ])  # fmt: skip
    model.save(tmp_path / "m.safetensors")
    again = dp.load_model(tmp_path / "m.safetensors")
    assert again.get_config() == model.get_config()
    assert np.array_equal(again.predict([[1, 4]], verbose=0), model.predict([[1, 4]], verbose=0))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_dim": 0}, "input_dim must be an integer of at least 1, received 0"),
        ({"output_dim": 2.0}, "output_dim"),
        ({"mask_zero": True}, "mask_zero"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Embedding(**{"input_dim": 3, "output_dim": 2, **arguments})


def test_ids_that_float32_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2\*\*24"):
        dp.Sequential([dp.Input((1,)), Embedding(2**24 + 1, 1)])

"""Data of every type and layout give the same results; weights; the validation split."""

import numpy as np
import pytest

import deltaprop as dp

RNG = np.random.default_rng(2)
N = 37
PIXELS = RNG.integers(0, 100, size=(N, 6), dtype=np.uint8)
IDS = RNG.integers(0, 3, N)


def network(loss="sparse_categorical_crossentropy", dtype="float32", shape=(6,), units=3):
    layers = [dp.Input(shape=shape)]
    if len(shape) > 1:
        layers.append(dp.layers.Flatten())
    layers += [dp.layers.Dense(5, activation="relu"), dp.layers.Dense(units, "softmax" if units > 1 else None)]
    model = dp.Sequential(layers, seed=4, dtype=dtype)
    rng = np.random.default_rng(3)  # the same weights whether there is a Flatten layer or not
    model.set_weights([0.5 * rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile(dp.optimizers.SGD(1e-3), loss)
    return model


def trained(x, y, **arguments):
    model = network(**arguments)
    losses = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history["loss"]
    return losses, model.evaluate(x, y, verbose=0), model.predict(x, verbose=0), model.get_weights()


def assert_same(result, expected):
    for a, b in zip(result[:3], expected[:3]):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(result[3], expected[3]):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module", params=["float32", "float64"])
def baseline(request):
    """Results of plain contiguous data of the model's own type."""
    return request.param, trained(PIXELS.astype(request.param), IDS, dtype=request.param)


TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "g", ">i4", ">f4", ">f8"]


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_x_gives_the_same_result(kind, baseline):
    dtype, expected = baseline
    assert_same(trained(PIXELS.astype(kind), IDS, dtype=dtype), expected)


@pytest.mark.parametrize("kind", [*TYPES])
def test_every_type_of_class_id_gives_the_same_result(kind, baseline):
    dtype, expected = baseline
    for y in (IDS.astype(kind), IDS.astype(kind)[:, np.newaxis]):
        assert_same(trained(PIXELS, y, dtype=dtype), expected)


def test_bool_data():
    bits = PIXELS > 50
    assert_same(trained(bits, IDS), trained(bits.astype("f4"), IDS))


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


LAYOUTS = {
    "fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every second column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed rows": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "reversed columns": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "part of a wider array": lambda a: np.pad(a, ((3, 2), (1, 4)))[3:-2, 1:-4],
    "read only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": unaligned,
    "list of lists": lambda a: a.tolist(),
    "list of arrays": list,
    "list of tuples": lambda a: [tuple(row) for row in a.tolist()],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["u1", "f4", "f8"])
def test_every_layout_gives_the_same_result(layout, kind, baseline):
    dtype, expected = baseline
    assert_same(trained(LAYOUTS[layout](PIXELS.astype(kind)), IDS, dtype=dtype), expected)


def test_a_row_that_is_broadcast():
    x = np.broadcast_to(PIXELS[0], (N, 6))
    assert_same(trained(x, IDS), trained(x.copy(), IDS))


@pytest.mark.parametrize("kind", ["u1", "f4"])
def test_memory_mapped_data_are_read_in_place(kind, tmp_path, baseline):
    dtype, expected = baseline
    np.save(tmp_path / "x.npy", PIXELS.astype(kind))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(x, np.memmap)
    assert_same(trained(x, IDS, dtype=dtype), expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_images_through_flatten(order, baseline):
    dtype, expected = baseline
    images = np.asarray(PIXELS.reshape(N, 2, 3), order=order)
    assert_same(trained(images, IDS, dtype=dtype, shape=(2, 3)), expected)


def test_images_that_are_not_contiguous(baseline):
    dtype, expected = baseline
    images = np.ascontiguousarray(PIXELS.reshape(N, 2, 3).transpose(2, 0, 1)).transpose(1, 2, 0)
    assert_same(trained(images, IDS, dtype=dtype, shape=(2, 3)), expected)
    padded = np.pad(PIXELS.reshape(N, 2, 3), ((1, 1), (2, 1), (1, 2)))[1:-1, 2:-1, 1:-2]
    assert_same(trained(padded, IDS, dtype=dtype, shape=(2, 3)), expected)


def test_a_vector_is_rows_of_one_feature():
    x = np.linspace(-1, 1, N)
    results = []
    for rows, y in ((x, x**2), (x[:, np.newaxis], (x**2)[:, np.newaxis])):
        results.append(trained(rows, y, loss="mse", shape=(1,), units=1))
    assert_same(*results)


def test_integers_as_targets_of_a_regression():
    y = PIXELS[:, 0]
    assert_same(
        trained(PIXELS, y, loss="mse", units=1), trained(PIXELS, y.astype("f8"), loss="mse", units=1)
    )


@pytest.mark.parametrize("layout", ["fortran", "every second row", "every second column"])
def test_layout_of_one_hot_targets(layout):
    y = np.eye(3)[IDS]
    expected = trained(PIXELS, y, loss="categorical_crossentropy")
    assert_same(trained(PIXELS, LAYOUTS[layout](y), loss="categorical_crossentropy"), expected)


def test_one_hot_targets_equal_class_ids():
    ids = trained(PIXELS, IDS, dtype="float64")
    one_hot = trained(PIXELS, np.eye(3)[IDS], loss="categorical_crossentropy", dtype="float64")
    for a, b in zip(ids[3], one_hot[3]):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_data_are_left_as_they_were():
    x, y = PIXELS.astype("f4"), IDS.copy()
    trained(x, y)
    np.testing.assert_array_equal(x, PIXELS)
    np.testing.assert_array_equal(y, IDS)


# ---- weights


def weighted(**arguments):
    model = network(dtype="float64")
    model.fit(PIXELS, IDS, batch_size=8, epochs=2, verbose=0, **arguments)
    return model.get_weights()


def assert_weights_equal(a, b, rtol=0.0):
    for x, y in zip(a, b):
        np.testing.assert_allclose(x, y, rtol=rtol)


def test_weights_of_one_change_nothing():
    plain = weighted()
    assert_weights_equal(weighted(sample_weight=np.ones(N)), plain)
    assert_weights_equal(weighted(class_weight={0: 1.0, 2: 1}), plain)


def test_class_weight_equals_the_sample_weight_of_each_row():
    table = np.array([0.5, 1.0, 3.0])
    expected = weighted(sample_weight=table[IDS])
    assert_weights_equal(weighted(class_weight={0: 0.5, 2: 3.0}), expected)
    model = network("categorical_crossentropy", "float64")
    model.fit(PIXELS, np.eye(3)[IDS], batch_size=8, epochs=2, verbose=0, class_weight={0: 0.5, 2: 3.0})
    assert_weights_equal(model.get_weights(), expected, rtol=1e-12)


def test_class_and_sample_weights_multiply():
    s = RNG.uniform(0, 2, N)
    table = np.array([0.5, 1.0, 3.0])
    assert_weights_equal(
        weighted(class_weight={0: 0.5, 2: 3.0}, sample_weight=s), weighted(sample_weight=s * table[IDS])
    )


def test_balanced_class_weights():
    table = N / (3 * np.bincount(IDS))
    assert_weights_equal(
        weighted(class_weight="balanced"), weighted(class_weight=dict(enumerate(table))), rtol=1e-12
    )


def test_class_weights_of_a_binary_column():
    y = (IDS > 0).astype(int)
    results = []
    for arguments in ({"class_weight": {1: 4.0}}, {"sample_weight": np.where(y, 4.0, 1.0)}):
        model = dp.Sequential([dp.Input(shape=(6,)), dp.layers.Dense(1, "sigmoid")], seed=1)
        model.compile("sgd", "binary_crossentropy")
        model.fit(PIXELS / 100, y, verbose=0, **arguments)
        results.append(model.get_weights())
    assert_weights_equal(*results)


def test_rows_of_weight_zero_do_not_train():
    x = PIXELS.astype(float)
    x[::2] += 1e3
    weight = np.arange(N) % 2
    rows = {"batch_size": N, "shuffle": False, "verbose": 0}
    all_rows, some = network(dtype="float64"), network(dtype="float64")
    all_rows.fit(x, IDS, sample_weight=weight, **rows)
    some.optimizer.learning_rate = 1e-3 * weight.sum() / N  # the mean is over all rows, zero or not
    some.fit(x[1::2], IDS[1::2], **{**rows, "batch_size": N})
    assert_weights_equal(all_rows.get_weights(), some.get_weights(), rtol=1e-12)


# ---- the split


def test_validation_split_takes_the_last_rows():
    y = np.arange(N) % 3
    split, data = network(), network()
    kept = int(N * 0.75)
    a = split.fit(PIXELS, y, epochs=2, validation_split=0.25, verbose=0)
    b = data.fit(PIXELS[:kept], y[:kept], epochs=2, validation_data=(PIXELS[kept:], y[kept:]), verbose=0)
    assert a.history == b.history


def test_a_split_of_sorted_classes_warns():
    y = np.arange(N) % 2
    y[-5:] = 2
    with pytest.warns(UserWarning, match=r"class \[2\] out of the training rows.*Shuffle"):
        network().fit(PIXELS, y, validation_split=0.4, verbose=0)


def test_sample_weights_are_split_too():
    y, s = np.arange(N) % 3, RNG.uniform(0, 2, N)
    kept = int(N * 0.75)
    a = network().fit(PIXELS, y, validation_split=0.25, sample_weight=s, verbose=0)
    held = (PIXELS[kept:], y[kept:], s[kept:])
    b = network().fit(PIXELS[:kept], y[:kept], sample_weight=s[:kept], validation_data=held, verbose=0)
    assert a.history == b.history


def test_class_weights_are_for_training_only():
    y = np.arange(N) % 3
    model = network()
    history = model.fit(PIXELS, y, validation_data=(PIXELS, y), class_weight={0: 9.0}, verbose=0).history
    assert history["val_loss"][0] == model.evaluate(PIXELS, y, verbose=0)

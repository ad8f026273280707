"""Metrics: values against NumPy, names, weights, and what 'accuracy' stands for."""

import numpy as np
import pytest
from sklearn import metrics as sk

import deltaprop as dp

RNG = np.random.default_rng(1)
N = 23
X = RNG.normal(size=(N, 4))
IDS = RNG.integers(0, 3, N)
ONE_HOT = np.eye(3)[IDS]
BITS = (X[:, 0] > 0).astype(float)
WEIGHT = RNG.uniform(0, 3, N)


def network(units, activation, loss, metrics=None, weighted_metrics=None):
    layers = [dp.Input(shape=(4,)), dp.layers.Dense(6, activation="tanh"), dp.layers.Dense(units, activation)]
    model = dp.Sequential(layers, seed=2, dtype="float64")
    model.compile("sgd", loss, metrics=metrics, weighted_metrics=weighted_metrics)
    return model


def evaluate(model, y, **arguments):
    return model.evaluate(X, y, verbose=0, return_dict=True, **arguments)


@pytest.mark.parametrize("name", ["accuracy", "acc"])
@pytest.mark.parametrize(
    "units, activation, loss, y, expected",
    [
        (1, "sigmoid", "binary_crossentropy", BITS, lambda p: (p[:, 0] > 0.5) == BITS),
        (3, "softmax", "sparse_categorical_crossentropy", IDS, lambda p: p.argmax(1) == IDS),
        (3, "softmax", "categorical_crossentropy", ONE_HOT, lambda p: p.argmax(1) == IDS),
        (3, "sigmoid", "mse", ONE_HOT, lambda p: p.argmax(1) == IDS),
    ],
)
def test_accuracy_follows_targets_and_outputs(name, units, activation, loss, y, expected):
    model = network(units, activation, loss, [name])
    p = model.predict(X, verbose=0)
    assert evaluate(model, y)[name] == pytest.approx(np.mean(expected(p)))


def test_mse_and_mae():
    model = network(3, "linear", "mse", ["mae", "mse"])
    error = model.predict(X, verbose=0) - ONE_HOT
    logs = evaluate(model, ONE_HOT)
    assert logs["mae"] == pytest.approx(np.abs(error).mean())
    assert logs["mse"] == pytest.approx((error**2).mean()) == logs["loss"]


def test_a_loss_is_a_metric_too():
    model = network(3, "softmax", "mse", ["categorical_crossentropy"])
    p = model.predict(X, verbose=0)
    expected = -np.log(p[np.arange(N), IDS]).mean()
    assert evaluate(model, ONE_HOT)["categorical_crossentropy"] == pytest.approx(expected)


def test_metrics_ignore_weights_and_weighted_metrics_use_them():
    model = network(1, "linear", "mse", metrics=["mae"], weighted_metrics=["mae"])
    error = np.abs(model.predict(X, verbose=0)[:, 0] - BITS)
    logs = evaluate(model, BITS, sample_weight=WEIGHT)
    assert list(logs) == ["loss", "mae", "weighted_mae"] == model.metrics_names
    assert logs["mae"] == pytest.approx(error.mean())
    assert logs["weighted_mae"] == pytest.approx((WEIGHT * error).sum() / WEIGHT.sum())


def test_a_weighted_loss_is_divided_by_the_rows():
    model = network(1, "linear", "mse")
    error = model.predict(X, verbose=0)[:, 0] - BITS
    assert evaluate(model, BITS, sample_weight=WEIGHT)["loss"] == pytest.approx((WEIGHT * error**2).mean())


def test_names_of_metrics_are_those_that_were_given():
    metrics = ["acc", "mean_absolute_error", dp.metrics.MeanSquaredError(), dp.metrics.MeanSquaredError("m")]
    model = network(1, "sigmoid", "binary_crossentropy", metrics)
    assert model.metrics_names == ["loss", "acc", "mean_absolute_error", "mean_squared_error", "m"]


def test_the_same_metric_twice_gets_a_number():
    model = network(1, "linear", "mse", ["mae", "mae"])
    assert model.metrics_names == ["loss", "mae", "mae_1"]


def test_a_binary_output_of_exactly_one_half_counts_as_zero():
    model = dp.Sequential([dp.Input(shape=(1,)), dp.layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    assert model.evaluate([0.0, 1.0], [0, 0], verbose=0)[1] == 1


def test_penalties_are_part_of_the_loss():
    layer = dp.layers.Dense(1, kernel_regularizer=dp.regularizers.L1L2(0.1, 0.2))
    model = dp.Sequential([dp.Input(shape=(4,)), layer], seed=1, dtype="float64")
    model.compile("sgd", "mse", metrics=["mse"])
    w = layer.kernel.numpy()
    logs = evaluate(model, BITS)
    assert logs["loss"] - logs["mse"] == pytest.approx(0.1 * np.abs(w).sum() + 0.2 * (w**2).sum())


@pytest.mark.parametrize(
    ("loss", "units"), [(dp.losses.SparseCategoricalCrossentropy, 3), (dp.losses.BinaryCrossentropy, 1)]
)
@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_on_logits_measures_what_it_minimises(loss, units, eager):
    model = dp.Sequential([dp.Input(shape=(4,)), dp.layers.Dense(units)], seed=2)
    model.compile("sgd", loss(from_logits=True), metrics=[loss(from_logits=True)], run_eagerly=eager)
    x, y = np.random.default_rng(0).normal(size=(30, 4)) * 5, np.arange(30) % max(units, 2)
    minimised, measured = model.evaluate(x, y, verbose=0)
    assert measured == pytest.approx(minimised, rel=1e-6)


# ---- counts of right and wrong answers, and moments, against scikit-learn

WEIGHTED = {"sample_weight": WEIGHT}
M = dp.metrics


def scores(units, activation, loss, y, metric, weighted):
    """The model's outputs, and the metric on them."""
    chosen = {"weighted_metrics" if weighted else "metrics": [metric]}
    model = network(units, activation, loss, **chosen)
    values = model.evaluate(X, y, verbose=0, return_dict=True, **(WEIGHTED if weighted else {}))
    return model.predict(X, verbose=0), list(values.values())[1]


def binary_scores(metric, weighted=False):
    return scores(1, "sigmoid", "binary_crossentropy", BITS, metric, weighted)


def class_scores(metric, weighted=False):
    return scores(3, "softmax", "sparse_categorical_crossentropy", IDS, metric, weighted)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.45])
def test_precision_recall_and_f1_of_one_output(threshold, weighted):
    more = WEIGHTED if weighted else {}
    pairs = [
        (M.Precision(threshold), sk.precision_score), (M.Recall(threshold), sk.recall_score),
        (M.F1Score(threshold=threshold), sk.f1_score),
    ]  # fmt: skip
    for metric, expected in pairs:
        p, score = binary_scores(metric, weighted)
        assert score == pytest.approx(expected(BITS, p[:, 0] > threshold, zero_division=0, **more))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("y", [IDS, ONE_HOT], ids=["ids", "one-hot"])
def test_f1_of_classes(average, weighted, y):
    loss = "categorical_crossentropy" if y is ONE_HOT else "sparse_categorical_crossentropy"
    p, score = scores(3, "softmax", loss, y, M.F1Score(average), weighted)
    expected = sk.f1_score(IDS, p.argmax(1), average=average, zero_division=0, **(WEIGHTED if weighted else {}))
    assert score == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_confusion_matrix_of_classes(weighted):
    p, matrix = class_scores("ConfusionMatrix", weighted)
    expected = sk.confusion_matrix(IDS, p.argmax(1), labels=range(3), **(WEIGHTED if weighted else {}))
    assert matrix == pytest.approx(expected)


def test_confusion_matrix_of_one_output():
    p, matrix = binary_scores(M.ConfusionMatrix(0.55))
    assert matrix == pytest.approx(sk.confusion_matrix(BITS, p[:, 0] > 0.55))


def test_precision_at_several_thresholds_and_of_one_class():
    p, several = class_scores(M.Precision((0.4, 0.2)))
    _, second = class_scores(M.Precision(0.3, class_id=1))
    for threshold, score in zip((0.4, 0.2), several):
        assert score == pytest.approx(sk.precision_score(ONE_HOT.ravel(), p.ravel() > threshold))
    assert second == pytest.approx(sk.precision_score(ONE_HOT[:, 1], p[:, 1] > 0.3))


@pytest.mark.parametrize("weighted", [False, True])
def test_auc_is_near_the_exact_area(weighted):
    more = WEIGHTED if weighted else {}
    for curve, exact in (("ROC", sk.roc_auc_score), ("PR", sk.average_precision_score)):
        p, area = binary_scores(M.AUC(20000, curve), weighted)
        assert area == pytest.approx(exact(BITS, p[:, 0], **more), abs=0.005 if curve == "ROC" else 0.05)


def test_auc_of_kerass_documentation():
    """Its examples: 0.75 with 3 thresholds; weights 1, 0, 0, 1 give 1."""
    model = dp.Sequential([dp.Input((1,)), dp.layers.Dense(1, use_bias=False)])
    model.set_weights([np.ones((1, 1))])
    model.compile("sgd", "mse", metrics=[M.AUC(num_thresholds=3)], weighted_metrics=[M.AUC(num_thresholds=3)])
    values = model.evaluate([0, 0.5, 0.3, 0.9], [0, 0, 1, 1], sample_weight=[1, 0, 0, 1], verbose=0)
    assert values[1:] == pytest.approx([0.75, 1.0])


def test_auc_on_logits_and_its_methods_are_ordered():
    lower, middle, upper = (
        binary_scores(M.AUC(5, summation_method=m))[1] for m in ("minoring", "interpolation", "majoring")
    )
    assert lower < middle < upper
    _, probable = scores(1, "sigmoid", "mse", BITS, M.AUC(), False)
    _, logits = scores(1, "linear", "mse", BITS, M.AUC(from_logits=True), False)
    assert probable == pytest.approx(logits)


def test_auc_of_each_output():
    p, area = scores(3, "sigmoid", "mse", ONE_HOT, M.AUC(5000, multi_label=True), False)
    assert area == pytest.approx(sk.roc_auc_score(ONE_HOT, p, average="macro"), abs=0.01)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("how", ["uniform_average", "variance_weighted_average", None])
def test_r2_score(how, weighted):
    p, score = scores(3, "linear", "mse", ONE_HOT, M.R2Score(how), weighted)
    name = {"variance_weighted_average": "variance_weighted", None: "raw_values"}.get(how, how)
    assert score == pytest.approx(sk.r2_score(ONE_HOT, p, multioutput=name, **(WEIGHTED if weighted else {})))


def test_adjusted_r2_score():
    p, score = scores(1, "linear", "mse", BITS, M.R2Score(num_regressors=4), False)
    assert score == pytest.approx(1 - (1 - sk.r2_score(BITS, p[:, 0])) * (N - 1) / (N - 5))


@pytest.mark.parametrize("k", [1, 2])
def test_top_k(k):
    p, share = class_scores(M.SparseTopKCategoricalAccuracy(k))
    assert share == pytest.approx(sk.top_k_accuracy_score(IDS, p, k=k))
    _, one_hot = scores(3, "softmax", "categorical_crossentropy", ONE_HOT, M.TopKCategoricalAccuracy(k), False)
    assert one_hot == pytest.approx(share)


def test_root_mean_square_and_cosine():
    p, root = scores(3, "linear", "mse", ONE_HOT, "rmse", True)
    assert root == pytest.approx(np.sqrt(np.average(np.mean((p - ONE_HOT) ** 2, axis=1), weights=WEIGHT)))
    p, cosine = scores(3, "linear", "mse", ONE_HOT, "cosine_similarity", False)
    assert cosine == pytest.approx(np.mean(p[np.arange(N), IDS] / np.linalg.norm(p, axis=1)))


def test_a_threshold_of_binary_accuracy():
    p, share = binary_scores(M.BinaryAccuracy(threshold=0.4))
    assert share == pytest.approx(np.mean((p[:, 0] > 0.4) == BITS))


@pytest.mark.parametrize("name", sorted(M.METRICS))
def test_every_metric_is_saved_and_the_same_in_both_executors(name, tmp_path):
    units, activation, loss, y = 1, "sigmoid", "binary_crossentropy", BITS
    if M.get(name).sparse:
        units, activation, loss, y = 3, "softmax", "sparse_categorical_crossentropy", IDS
    elif M.get(name).one_hot:
        units, activation, loss, y = 3, "softmax", "categorical_crossentropy", ONE_HOT
    model = network(units, activation, loss, [name], [name])
    values = model.evaluate(X, y, verbose=0, **WEIGHTED)
    model.save(tmp_path / "m")
    again = dp.load_model(tmp_path / "m")
    assert [repr(m) for m, _ in again.terms[0].metrics] == [repr(m) for m, _ in model.terms[0].metrics]
    for mine, loaded in zip(values, again.evaluate(X, y, verbose=0, **WEIGHTED)):
        assert np.array_equal(mine, loaded, equal_nan=True)
    model.compile("sgd", loss, metrics=[name], weighted_metrics=[name], run_eagerly=True)
    for mine, reference in zip(values, model.evaluate(X, y, verbose=0, **WEIGHTED)):
        assert mine == pytest.approx(reference, nan_ok=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [False, True], ids=["rows", "ids"])
@pytest.mark.parametrize("name", M.METRICS)
def test_a_metric_alone_is_what_a_model_reports(name, classes, weighted):
    metric = M.get(name)
    if metric.sparse is not None and metric.sparse != classes:
        return
    y, p = (IDS if classes else ONE_HOT), np.random.default_rng(5).dirichlet(np.ones(3), N)
    chosen = {"weighted_metrics" if weighted else "metrics": [name]}
    model = dp.Sequential([dp.Input((3,)), dp.layers.Activation("linear")], dtype="float64")
    model.compile("sgd", "sparse_categorical_crossentropy" if classes else "mse", **chosen)
    expected = model.evaluate(p, y, verbose=0, **(WEIGHTED if weighted else {}))[1]
    weight = WEIGHT if weighted else np.ones(N)
    assert metric(y, p, weight if weighted else None) == pytest.approx(expected, rel=1e-12)
    metric.reset_state()
    for rows in (slice(0, 9), slice(9, None)):
        metric.update_state(y[rows], p[rows], weight[rows])
    assert metric.result() == pytest.approx(expected, rel=1e-12)


def test_a_metric_without_rows_is_nan_and_one_output_follows_another_only_after_a_reset():
    auc = M.AUC()
    assert np.isnan(auc.result())
    assert auc([0, 1, 1], [0.2, 0.6, 0.3]) == pytest.approx(1.0)
    before = auc.result()
    for y, p, message in (
        (ONE_HOT, ONE_HOT, "reset_state"), ([0, 1], [0.5], "y_true must have one entry per row"),
        ([0, 1], [0.5, np.nan], "y_pred contains NaN"), ([[0], [1]], [[0.5]] * 3, "there are 3 rows"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            auc(y, p)
        assert auc.result() == before
    auc.reset_state()
    assert auc(ONE_HOT, ONE_HOT) == pytest.approx(1.0)


def test_what_a_metric_did_alone_stays_out_of_models():
    metric = M.MeanAbsoluteError("m")
    metric([0.0], [9.0])
    model = network(1, "linear", "mse", [metric])
    error = np.abs(model.predict(X, verbose=0)[:, 0] - BITS).mean()
    assert evaluate(model, BITS)["m"] == pytest.approx(error)
    assert metric.result() == 9.0


def test_arguments_of_metrics_survive_a_file(tmp_path):
    metrics = [
        M.AUC(50, "PR", "minoring", multi_label=True), M.AUC(thresholds=[0.2, 0.4]), M.Precision([0.2, 0.8], 0, "p"),
        M.F1Score("micro", 0.3), M.R2Score(None, 2), M.BinaryAccuracy(threshold=0.3), M.ConfusionMatrix(0.2, "c"),
        dp.losses.Huber(0.5), M.BinaryCrossentropy(label_smoothing=0.1),
    ]  # fmt: skip
    model = network(1, "sigmoid", "binary_crossentropy", metrics)
    model.save(tmp_path / "m")
    again = dp.load_model(tmp_path / "m")
    assert [repr(m) for m, _ in again.terms[0].metrics] == [repr(m) for m, _ in model.terms[0].metrics]


def test_results_that_are_arrays_reach_history_progress_and_files(tmp_path, capsys):
    model = network(3, "softmax", "sparse_categorical_crossentropy", ["f1_score", "ConfusionMatrix"])
    log = dp.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(X, IDS, epochs=2, verbose=2, validation_data=(X, IDS), callbacks=[log])
    assert [m.shape for m in history.history["val_ConfusionMatrix"]] == [(3, 3)] * 2
    assert history.history["ConfusionMatrix"][0].sum() == N
    out = capsys.readouterr().out
    assert "f1_score: [0." in out and "ConfusionMatrix: (3 x 3)" in out
    assert "f1_score" in repr(history)
    assert '"[[' in (tmp_path / "log.csv").read_text()
    with pytest.raises(ValueError, match=r"'f1_score' is an array of shape \(3,\)"):
        model.fit(X, IDS, verbose=0, callbacks=[dp.callbacks.EarlyStopping("f1_score", mode="max")])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: M.AUC(1), "num_thresholds.*at least 2.*received 1"),
        (lambda: M.AUC(curve="roc"), "curve.*ROC, PR.*received 'roc'"),
        (lambda: M.F1Score("mean"), "average.*received 'mean'"),
        (lambda: M.TopKCategoricalAccuracy(0), "k.*at least 1.*received 0"),
        (lambda: M.R2Score("sum"), "class_aggregation.*received 'sum'"),
        (lambda: M.get("presicion"), "unknown metric 'presicion'.*'precision'"),
        (lambda: class_scores(M.Recall(class_id=3)), "class_id.*number of outputs, 3.*received 3"),
    ],
)
def test_bad_arguments_of_metrics_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("kind", ["constants", "sums", "target"])
def test_a_plan_with_a_tally_that_does_not_fit_is_refused(kind):
    plan = network(3, "softmax", "sparse_categorical_crossentropy", ["auc"]).plan
    (op,) = [op for op in plan.ops if op.kind == "tally"]
    if kind == "constants":
        op.attributes = ()
    elif kind == "sums":
        plan.buffers[op.outputs[0]].shape = (7,)
    else:
        op.function = "moments"
    with pytest.raises(ValueError, match=r"operation \d+ \(tally\) of the plan"):
        plan.native()

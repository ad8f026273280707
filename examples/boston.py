"""House prices around Boston: regression with few rows, so judged by four-fold cross-validation.

    python examples/boston.py [FOLDER]    with housing.csv; without a folder it is downloaded once
"""

import sys

import numpy as np

import deltaprop as dp

FOLDS, EPOCHS = 4, 100

(x, y), _ = dp.datasets.boston_housing.load_data(*sys.argv[1:2])
errors = []
for fold in range(FOLDS):
    held = np.arange(len(x)) * FOLDS // len(x) == fold
    mean, deviation = x[~held].mean(axis=0), x[~held].std(axis=0)
    model = dp.Sequential([
        dp.Input(shape=(13,)),
        dp.layers.Dense(64, activation="relu"),
        dp.layers.Dense(64, activation="relu"),
        dp.layers.Dense(1),
    ], seed=fold)  # fmt: skip
    model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
    model.fit((x[~held] - mean) / deviation, y[~held], batch_size=1, epochs=EPOCHS, verbose=0)
    errors.append(model.evaluate((x[held] - mean) / deviation, y[held], verbose=0)[1])
    print(f"fold {fold + 1}: mean absolute error {errors[-1]:.2f} ($1000)")
print(f"mean over folds: {np.mean(errors):.2f} ($1000)")

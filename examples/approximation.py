"""Two layers approximate any continuous function: the error falls as hidden units are added."""

import numpy as np

import deltaprop as dp

x = np.linspace(-1, 1, 400).reshape(-1, 1)
y = np.sin(3 * np.pi * x) * np.exp(-x) + np.abs(x)

spread = dp.initializers.RandomUniform(-5, 5)  # the slopes of the units lie all over the interval
for units in (1, 2, 4, 8, 16, 32):
    model = dp.Sequential([
        dp.Input(shape=(1,)),
        dp.layers.Dense(units, activation="tanh", kernel_initializer=spread, bias_initializer=spread),
        dp.layers.Dense(1),
    ], dtype="float64", seed=1)  # fmt: skip
    rate = dp.optimizers.schedules.CosineDecay(0.02, 10000)
    model.compile(optimizer=dp.optimizers.Adam(rate), loss="mse")
    model.fit(x, y, batch_size=40, epochs=1000, restarts=3, verbose=0)
    error = np.sqrt(model.evaluate(x, y, verbose=0))
    print(f"{units:>3} hidden units: root mean squared error {error:.4f}")

"""The smallest problem that needs a hidden layer, and the equations that solve it."""

import numpy as np

import deltaprop as dp

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([0, 1, 1, 0])

model = dp.Sequential([
    dp.Input(shape=(2,)),
    dp.layers.Dense(4, activation="tanh"),
    dp.layers.Dense(1, activation="sigmoid"),
], seed=1)  # fmt: skip
model.compile(optimizer=dp.optimizers.Adam(0.1), loss="binary_crossentropy", metrics=["accuracy"])
print(model.plan)

model.fit(x, y, batch_size=4, epochs=200, verbose=0)
for row, p in zip(x, model(x).ravel()):
    print(f"{row[0]} xor {row[1]} = {p:.3f}")

"""On a quadratic error, stopping after tau steps of size eta acts like weight decay 1 / (tau eta).

Along a direction of curvature c, gradient descent from zero has gone the share 1 - (1 - eta c)^tau of the way to the
minimum, and weight decay lambda stops at c / (c + lambda). Where c is much larger than 1 / (tau eta) both are near one,
where it is much smaller both are near c tau eta.
"""

import numpy as np

import deltaprop as dp

rng = np.random.default_rng(0)
n, curvatures = 200, np.array([10.0, 1.0, 0.1, 0.01])
q, _ = np.linalg.qr(rng.normal(size=(n, 4)))
x = q * np.sqrt(n * curvatures)  # x'x / n has these curvatures, along the axes
best = np.array([1.0, -1.0, 2.0, -2.0])
y = x @ best
eta, tau = 0.05, 100


def train(steps: int, decay: float = 0.0) -> np.ndarray:
    layer = dp.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros", kernel_regularizer=dp.regularizers.L2(decay / 2)
    )
    model = dp.Sequential([dp.Input(shape=(4,)), layer], dtype="float64")
    model.compile(dp.optimizers.SGD(eta), "half_squared_error")
    model.fit(x, y, batch_size=n, epochs=steps, shuffle=False, verbose=0)
    return layer.kernel.numpy()[:, 0]


stopped, decayed = train(tau) / best, train(20000, decay=1 / (tau * eta)) / best
print(f"share of the way to the minimum, eta = {eta}, tau = {tau}, lambda = 1 / (tau eta) = {1 / (tau * eta):g}")
print("curvature   stopped early   weight decay   1 - (1 - eta c)^tau   c / (c + lambda)")
for c, s, d in zip(curvatures, stopped, decayed):
    predicted = 1 - (1 - eta * c) ** tau, c / (c + 1 / (tau * eta))
    print(f"{c:9g}   {s:13.4f}   {d:12.4f}   {predicted[0]:19.4f}   {predicted[1]:16.4f}")

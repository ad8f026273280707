"""Noise on the inputs acts as a penalty on the slope of the network's output (Bishop 1995).

With noise of deviation s the mean squared error has its minimum, to first order in s^2, where the error plus s^2 omega
has it: omega = 1/2 mean (dy/dx)^2 is the Tikhonov term. Both are trained here from the same start, and so is a network
without either.
"""

import numpy as np

import deltaprop as dp

rng = np.random.default_rng(0)
x = np.linspace(-1, 1, 100).reshape(-1, 1)
y = np.sin(3 * x) + rng.normal(scale=0.2, size=x.shape)
noise = 0.1


def train(noise: float = 0.0, penalty: float = 0.0) -> dp.Model:
    model = dp.Sequential([
        dp.Input(shape=(1,)),
        dp.layers.GaussianNoise(noise),
        dp.layers.Dense(30, activation="tanh", kernel_initializer=dp.initializers.RandomNormal(stddev=3.0)),
        dp.layers.Dense(1),
    ], dtype="float64", seed=1)  # fmt: skip
    # Along the tangent 1 of the only input the output moves by dy/dx: half its square is what the regulariser adds.
    tikhonov = [dp.regularizers.TangentPropagation(lambda x: np.ones_like(x), penalty)] if penalty else []
    model.compile(dp.optimizers.Adam(dp.optimizers.schedules.CosineDecay(0.01, 6000)), "mse", regularizers=tikhonov)
    model.fit(x, y, batch_size=100, epochs=6000, verbose=0)
    return model


def slope(model: dp.Model) -> float:
    step = 1e-5
    return float(np.mean(((model(x + step) - model(x - step)) / (2 * step)) ** 2))


models = {
    "neither": train(),
    f"noise {noise:g} on the inputs": train(noise=noise),
    f"penalty {noise**2:g} omega": train(penalty=noise**2),
}
for name, model in models.items():
    print(f"{name:<26} error {model.evaluate(x, y, verbose=0):.4f}   mean (dy/dx)^2 {slope(model):7.3f}")
free, noisy, penalised = (model(x) for model in models.values())
print(f"distance of the outputs    noise - penalty {np.sqrt(np.mean((noisy - penalised) ** 2)):.3f}"
      f"   noise - neither {np.sqrt(np.mean((noisy - free) ** 2)):.3f}")  # fmt: skip

"""Learn the strokes that digits are made of: a sparse autoencoder, most of whose units are silent at a time.

    python examples/sparse_autoencoder.py                   8x8 digits that come with scikit-learn
    python examples/sparse_autoencoder.py --mnist FOLDER    28x28 digits, from MNIST's four IDX files
    python examples/sparse_autoencoder.py --plot PNG        also draw all features (needs matplotlib)
"""

import argparse

import numpy as np

import deltaprop as dp


def main() -> None:
    options = parse()
    x = mnist(options.mnist) if options.mnist else digits_8x8()
    n = x.shape[1]
    auto = dp.Autoencoder(
        options.units, input_dim=n, kernel_regularizer=dp.regularizers.L2(options.decay),
        sparsity=(options.rho, options.beta or n / 16), seed=options.seed,
    )  # fmt: skip
    auto.compile(dp.optimizers.Adam(0.01))
    kernel = auto.encoder.get_layer("encoder_1").kernel
    untrained = concentration(kernel.numpy())
    auto.fit(x, batch_size=256, epochs=options.epochs or (20 if options.mnist else 300), verbose=0)

    features = kernel.numpy().T  # a row of pixels for each unit
    means = auto.encode(x).mean(axis=0)
    error = np.mean((auto.reconstruct(x) - x) ** 2)
    print(f"{len(x)} digits of {n} pixels, {options.units} units, wanted mean activation {options.rho}")
    print(f"mean activations     {means.mean():.3f}, from {means.min():.3f} to {means.max():.3f}")
    print(f"reconstruction error {error:.4f} per pixel, {np.mean((x.mean(axis=0) - x) ** 2):.4f} for the mean digit")
    print(f"a tenth of the pixels hold {concentration(features.T):.0%} of a feature, {untrained:.0%} before training")
    print("three features, # where the pixel must be on, - where it must be off:")
    show(features[np.argsort(np.linalg.norm(features, axis=1))[-3:]], int(n**0.5))
    if options.plot:
        draw(features, int(n**0.5), options.plot)


def concentration(kernel: np.ndarray) -> float:
    """Return how much of a feature's squared weights its largest tenth holds: much for a stroke, little for noise."""
    squares = np.sort(kernel**2, axis=0)[::-1]
    return float(np.median(squares[: len(kernel) // 10].sum(axis=0) / squares.sum(axis=0)))


def show(features: np.ndarray, side: int) -> None:
    """Print features side by side as text."""
    marks = np.array(["-", ".", "#"])[np.digitize(features / np.abs(features).max(axis=1, keepdims=True), [-0.3, 0.3])]
    for row in range(side):
        print("   ".join("".join(f[row * side : (row + 1) * side]) for f in marks))


def draw(features: np.ndarray, side: int, path: str) -> None:
    """Write all features as one picture."""
    import matplotlib.pyplot as plt

    across = int(np.ceil(len(features) ** 0.5))
    figure, axes = plt.subplots(across, across, figsize=(8, 8))
    for axis in axes.flat:
        axis.axis("off")
    for axis, feature in zip(axes.flat, features):
        axis.imshow(feature.reshape(side, side), cmap="gray")
    figure.savefig(path)
    print(f"features drawn in {path}")


def digits_8x8() -> np.ndarray:
    from sklearn.datasets import load_digits

    return load_digits().data.astype(np.float32) / 16


def mnist(folder: str) -> np.ndarray:
    (x, _), _ = dp.datasets.mnist.load_data(folder)
    return x[:10000].reshape(-1, 784).astype(np.float32) / 255


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learn the strokes that digits are made of.")
    parser.add_argument("--mnist", metavar="DIR", help="folder with MNIST's IDX files")
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--rho", type=float, default=0.05, help="wanted mean activation")
    parser.add_argument("--beta", type=float, help="weight of the sparsity, by default a sixteenth of the pixels")
    parser.add_argument("--decay", type=float, default=1e-3, help="weight decay")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", metavar="PNG", help="draw all features")
    return parser.parse_args()


if __name__ == "__main__":
    main()

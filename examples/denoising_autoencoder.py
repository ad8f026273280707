"""Clean up digits with missing pixels: an autoencoder that sees corrupted digits and is asked for the clean ones.

    python examples/denoising_autoencoder.py                8x8 digits that come with scikit-learn
    python examples/denoising_autoencoder.py --tied         the decoder with the encoder's weights
    python examples/denoising_autoencoder.py --gaussian     noise on every pixel instead of missing ones
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import deltaprop as dp


def main() -> None:
    options = parse()
    x = load_digits().data.astype(np.float32) / 16
    rng = np.random.default_rng(options.seed)
    x = x[rng.permutation(len(x))]  # they are sorted by writer
    x, x_test = x[:-360], x[-360:]
    if options.gaussian:
        noise, corrupted = 0.3, x_test + rng.normal(0, 0.3, x_test.shape)
    else:
        noise, corrupted = dp.layers.Dropout(0.3), x_test * (rng.random(x_test.shape) > 0.3) / 0.7

    errors = {}
    for name, corruption in (("plain", None), ("denoising", noise)):
        auto = dp.Autoencoder(options.units, input_dim=64, noise=corruption, tied=options.tied, seed=options.seed)
        auto.compile(dp.optimizers.Adam(0.005))
        auto.fit(x, batch_size=64, epochs=options.epochs, verbose=0)
        cleaned = auto.reconstruct(corrupted)
        errors[name] = np.mean((cleaned - x_test) ** 2)
    seen = np.clip(corrupted, 0, 1)
    print("a digit, what is left of it, and what the denoising autoencoder makes of that:")
    show([x_test[0], seen[0], cleaned[0]])
    print(f"error of the corrupted test digits  {np.mean((seen - x_test) ** 2):.4f} per pixel")
    print(f"after a plain autoencoder           {errors['plain']:.4f}")
    print(f"after a denoising autoencoder       {errors['denoising']:.4f}")


def show(images: list[np.ndarray]) -> None:
    """Print images side by side as text."""
    marks = [np.array(list(" .:+#"))[np.minimum(image * 5, 4).astype(int)].reshape(8, 8) for image in images]
    for row in range(8):
        print("   ".join("".join(mark[row]) for mark in marks).rstrip())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Clean up digits with missing pixels.")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--tied", action="store_true", help="one kernel for both ways")
    parser.add_argument("--gaussian", action="store_true", help="noise instead of missing pixels")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()

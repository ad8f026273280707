"""An RBF network in two steps, as it was meant, and in one: 8x8 digits with Gaussian units.

First k-means places the units and only the linear output learns; then everything learns together from there; and for
comparison everything from random centres.

    python examples/rbf.py
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import deltaprop as dp


def main() -> None:
    options = parse()
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target
    )
    print(f"{len(x_train)} digits to learn from, {len(x_test)} to test with, {options.units} Gaussian units")

    units = dp.layers.RBF(options.units, trainable=False, input_dim=64)
    units.adapt(x_train, seed=options.seed)
    model = network(units, options.seed)
    print(f"centres by k-means, output learned   {accuracy(model, x_train, y_train, x_test, y_test, options.epochs)}")
    units.trainable = True
    print(f"then all learned together            {accuracy(model, x_train, y_train, x_test, y_test, options.epochs)}")
    model = network(dp.layers.RBF(options.units, input_dim=64), options.seed)
    print(f"all learned from random centres      {accuracy(model, x_train, y_train, x_test, y_test, options.epochs)}")


def network(units: dp.layers.RBF, seed: int) -> dp.Sequential:
    return dp.Sequential([units, dp.layers.Dense(10, "softmax")], seed=seed)


def accuracy(model, x_train, y_train, x_test, y_test, epochs: int) -> str:  # type: ignore[no-untyped-def]
    """Train, and return the percentage of the test digits that are recognised."""
    model.compile(dp.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs, verbose=0)
    return f"{model.evaluate(x_test, y_test, verbose=0, return_dict=True)['accuracy']:.1%}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Recognise digits with an RBF network.")
    parser.add_argument("--units", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()

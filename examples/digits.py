"""Learn to read handwritten digits: train, validate, stop early, test, save.

    python examples/digits.py                   8x8 digits that come with scikit-learn
    python examples/digits.py --mnist FOLDER    28x28 digits, from MNIST's four IDX files
    python examples/digits.py --notes           the textbook's network: sigmoid, quadratic cost, plain SGD
"""

import argparse
import time

import numpy as np

import deltaprop as dp


def main() -> None:
    options = parse()
    dp.utils.set_random_seed(options.seed)
    x, y, x_test, y_test = mnist(options.mnist) if options.mnist else digits_8x8()
    print(f"{len(x)} digits to learn from, {len(x_test)} to test with, {x.shape[1]} pixels each")

    hidden = options.hidden or (30 if options.notes else 128)
    epochs = options.epochs or (30 if options.notes else 10 if options.mnist else 100)
    if options.notes:
        model = textbook(x.shape[1], hidden)
        target, batch_size = dp.utils.to_categorical(y, 10), 10
    else:
        model = modern(x.shape[1], hidden)
        target, batch_size = y, 128 if options.mnist else 32
    model.summary()

    held = len(x) // 10  # the last tenth chooses the epoch, the test set is for the end
    started = time.perf_counter()
    history = model.fit(
        x[:-held], target[:-held], batch_size=batch_size, epochs=epochs,
        validation_data=(x[-held:], target[-held:]),
        callbacks=[dp.callbacks.EarlyStopping(patience=15, restore_best_weights=True)],
    )  # fmt: skip
    seconds = (time.perf_counter() - started) / len(history.epoch)

    accuracy = np.mean(model.predict(x_test, verbose=0).argmax(axis=1) == y_test)
    model.save(options.save)
    print(f"test accuracy   {accuracy:.2%}")
    print(f"time per epoch  {1000 * seconds:.1f} ms ({len(history.epoch)} epochs, validation included)")
    print(f"model saved to  {options.save}")


def modern(n_pixels: int, hidden: int) -> dp.Sequential:
    model = dp.Sequential([
        dp.Input(shape=(n_pixels,)),
        dp.layers.Dense(hidden, activation="relu"),
        dp.layers.Dropout(0.2),
        dp.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def textbook(n_pixels: int, hidden: int) -> dp.Sequential:
    gaussian = "lecun_normal"  # deviation 1/sqrt(n_in)
    model = dp.Sequential([
        dp.Input(shape=(n_pixels,)),
        dp.layers.Dense(hidden, activation="sigmoid", kernel_initializer=gaussian),
        dp.layers.Dense(10, activation="sigmoid", kernel_initializer=gaussian),
    ])  # fmt: skip
    model.compile(
        optimizer=dp.optimizers.SGD(learning_rate=3.0), loss="half_squared_error", metrics=["accuracy"]
    )
    return model


def digits_8x8():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))  # they are sorted by writer
    x, y = x[order].astype(np.float32) / 16, y[order]
    return x[:-360], y[:-360], x[-360:], y[-360:]


def mnist(folder: str):
    (x, y), (x_test, y_test) = dp.datasets.mnist.load_data(folder)
    x, x_test = (images.reshape(-1, 784).astype(np.float32) / 255 for images in (x, x_test))
    return x, y, x_test, y_test


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learn to read handwritten digits.")
    parser.add_argument("--mnist", metavar="DIR", help="folder with MNIST's IDX files")
    parser.add_argument("--notes", action="store_true", help="sigmoid, quadratic cost, plain SGD")
    parser.add_argument("--epochs", type=int, help="at most so many")
    parser.add_argument("--hidden", type=int, help="hidden units")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", metavar="PATH", default="digits.safetensors")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""What a single neuron can learn, and what takes two layers of them."""

import warnings

import numpy as np

import deltaprop as dp

warnings.simplefilter("ignore")  # the answer is printed below
x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])

for name, y in {"NAND": (1, 1, 1, 0), "AND": (0, 0, 0, 1), "XOR": (0, 1, 1, 0)}.items():
    neuron = dp.Perceptron().fit(x, y)
    words = {True: "learned", False: "not linearly separable", None: "not learned yet"}[neuron.separable]
    weights = ", ".join(f"{w:g}" for w in neuron.weights)
    print(f"{name:<5}{words} after {len(neuron.errors_per_epoch)} epochs: w = ({weights}), b = {neuron.bias:g}")

nand, either, both = dp.Perceptron((-2, -2), 3), dp.Perceptron((2, 2), -1), dp.Perceptron((2, 2), -3)
answer = both.predict(np.column_stack([nand.predict(x), either.predict(x)]))
print(f"XOR  as AND of NAND and OR, two layers: {answer.tolist()}")

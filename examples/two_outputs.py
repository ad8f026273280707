"""One network with a regression and a class side by side: one hidden layer, two outputs, two losses."""

import numpy as np

import deltaprop as dp

# What a house costs, and whether that is more than its district's mean: both from the same features.
rng = np.random.default_rng(0)
features = rng.normal(size=(2000, 6))
price = features @ rng.normal(size=6) + 0.5 * np.sin(3 * features[:, 0]) + 0.1 * rng.normal(size=2000)
dear = price > price.mean()

x = dp.Input(shape=(6,))
hidden = dp.layers.Dense(32, activation="tanh", name="hidden")(x)
outputs = [
    dp.layers.Dense(1, name="price")(hidden),
    dp.layers.Dense(1, activation="sigmoid", name="dear")(hidden),
]
model = dp.Model(x, outputs, seed=1)
model.summary()
model.compile(
    optimizer=dp.optimizers.Adam(0.01),
    loss={"price": "mse", "dear": "binary_crossentropy"},
    metrics={"price": "mae", "dear": "accuracy"},
)
train, test = slice(1500), slice(1500, None)
model.fit(features[train], {"price": price[train], "dear": dear[train]}, epochs=60, verbose=0)

result = model.evaluate(features[test], [price[test], dear[test]], verbose=0, return_dict=True)
print(f"price: mean absolute error {result['price_mae']:.3f}")
print(f"dear:  test accuracy       {result['dear_accuracy']:.1%}")

# A model that ends in the hidden layer shares its weights.
inner = dp.Model(model.input, model.get_layer("hidden").output)
print(f"hidden units of the first test house: {inner(features[1500]).round(2)[:4]} ...")

"""The same work in other libraries, written as an expert of each would; none is timed here.

A peer is built from a `Network`. It has ``epoch()`` (one pass over the shuffled data, returning its
mean loss), ``predict(x)`` (many rows) and ``one(x)`` (a single row), as far as the library can;
``one`` is the library's own function, because one of ours around it would cost a fifth of a call.
``prepare(x)`` and ``inference()``, where they exist, do once what need not be timed. Libraries are
imported when built, so any of them may be missing. Deltaprop is among them: its fixed thread
counts are measured in the same way as everyone's.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from networks import Array, Network

RATE, EPSILON = 1e-3, 1e-7  # the optimisers' defaults in Keras


class Deltaprop:
    """This library as a user calls it; the other classes are measured against it."""

    def __init__(
        self, network: Network, threads: int | None, run_eagerly: bool = False, dtype: str = "float32"
    ) -> None:
        import deltaprop as dp

        if threads is not None:
            dp.set_num_threads(threads)
        last = "softmax" if network.is_classifier else "linear"
        hidden = [dp.layers.Dense(n, activation="relu") for n in network.widths[1:-1]]
        self.model = dp.Sequential(
            [
                dp.Input(shape=(network.widths[0],)),
                *hidden,
                dp.layers.Dense(network.widths[-1], activation=last),
            ],
            dtype=dtype,
        )
        loss = "sparse_categorical_crossentropy" if network.is_classifier else "mse"
        self.model.compile(optimizer=network.optimizer, loss=loss, run_eagerly=run_eagerly)
        self.model.set_weights(network.weights())
        self.one = self.model
        self.batch = network.batch
        self.x, self.y = network.data()

    def epoch(self) -> float:
        history = self.model.fit(self.x, self.y, batch_size=self.batch, epochs=1, verbose=0)
        return float(history.history["loss"][0])

    def predict(self, x: Array) -> Array:
        return self.model.predict(x, verbose=0)


class Torch:
    """PyTorch: tensors from the start, fused Adam, functions instead of modules (12 % faster)."""

    def __init__(self, network: Network, threads: int) -> None:
        import torch
        from torch.nn import functional

        torch.set_num_threads(threads)
        self.torch, self.functional = torch, functional
        self.is_classifier, self.batch = network.is_classifier, network.batch
        self.parameters = [
            torch.from_numpy(np.ascontiguousarray(w.T)).requires_grad_() for w in network.weights()
        ]
        if network.optimizer == "adam":
            self.optimizer: Any = torch.optim.Adam(
                self.parameters, lr=RATE, eps=EPSILON, fused=True
            )
        else:  # torch has no fused one for the CPU
            self.optimizer = torch.optim.RMSprop(
                self.parameters, lr=RATE, eps=EPSILON, alpha=0.9, foreach=True
            )
        self.x, self.y = map(torch.from_numpy, network.data())
        self.module = self.one = self._module()

    def _module(self) -> Any:
        """The same network, sharing its parameters, as a user would serve it."""
        nn, layers = self.torch.nn, []
        for w, b in zip(self.parameters[::2], self.parameters[1::2], strict=True):
            linear = nn.Linear(w.shape[1], w.shape[0])
            linear.weight, linear.bias = nn.Parameter(w.detach()), nn.Parameter(b.detach())
            layers += [linear, nn.ReLU()]
        if self.is_classifier:
            return nn.Sequential(*layers[:-1], nn.Softmax(dim=1))
        return nn.Sequential(*layers[:-1])

    def epoch(self) -> float:
        f, p = self.functional, self.parameters
        loss_of = f.cross_entropy if self.is_classifier else f.mse_loss
        order = self.torch.randperm(len(self.x))  # one gather beats one for each step
        x, y = self.x[order].split(self.batch), self.y[order].split(self.batch)
        total = self.torch.zeros(())
        for a, target in zip(x, y, strict=True):
            self.optimizer.zero_grad(set_to_none=True)
            for layer in range(0, len(p) - 2, 2):
                a = f.relu(f.linear(a, p[layer], p[layer + 1]))
            loss = loss_of(f.linear(a, p[-2], p[-1]), target)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return total.item() / len(x)

    def inference(self) -> AbstractContextManager[Any]:
        return self.torch.inference_mode()

    def prepare(self, x: Array) -> Any:
        return self.torch.from_numpy(x)

    def predict(self, x: Any) -> Any:
        return self.module(x)


class Jax:
    """JAX: a whole epoch is one compiled `lax.scan`, with Adam or RMSprop written by hand."""

    def __init__(self, network: Network, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        self.network, self.threads = network, threads
        self.rng = np.random.default_rng(0)
        self.x, self.y = map(jnp.asarray, network.data())
        self.p = [jnp.asarray(w) for w in network.weights()]
        self.slots = [[jnp.zeros_like(w) for w in self.p] for _ in range(2)]
        self.step = jnp.zeros((), jnp.float32)

        def logits(p: list[Any], x: Any) -> Any:
            for layer in range(0, len(p) - 2, 2):
                x = jax.nn.relu(x @ p[layer] + p[layer + 1])
            return x @ p[-2] + p[-1]

        def loss(p: list[Any], x: Any, y: Any) -> Any:
            out = logits(p, x)
            if network.is_classifier:
                return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1))
            return jnp.mean((out - y) ** 2)

        def adam(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
            rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            m, v = m + (1 - 0.9) * (g - m), v + (1 - 0.999) * (g * g - v)
            return p - rate * m / (jnp.sqrt(v) + EPSILON), m, v

        def rmsprop(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
            v = v + (1 - 0.9) * (g * g - v)
            return p - RATE * g / jnp.sqrt(v + EPSILON), m, v

        rule = adam if network.optimizer == "adam" else rmsprop

        def epoch(state: Any, x: Any, y: Any, order: Any) -> tuple[Any, Any]:
            def update(state: Any, rows: Any) -> tuple[Any, Any]:
                p, m, v, t = state
                value, g = jax.value_and_grad(loss)(p, x[rows], y[rows])
                new = [rule(*each, t + 1) for each in zip(p, g, m, v, strict=True)]
                return (*([n[i] for n in new] for i in range(3)), t + 1), value

            return jax.lax.scan(update, state, order)

        self.run = jax.jit(epoch, donate_argnums=0)
        self.forward = jax.jit(
            lambda p, x: jax.nn.softmax(logits(p, x)) if network.is_classifier else logits(p, x)
        )

    def epoch(self) -> float:
        order = self.rng.permutation(self.network.rows).reshape(-1, self.network.batch)
        state = (self.p, *self.slots, self.step)
        (self.p, *self.slots, self.step), losses = self.run(state, self.x, self.y, order)
        return float(losses.mean())

    def predict(self, x: Array) -> Array:
        return np.asarray(self.forward(self.p, x))


class ScikitLearn:
    """scikit-learn: `partial_fit`, one epoch a call; float32 stays float32."""

    def __init__(self, network: Network, threads: int) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        if network.optimizer != "adam":
            raise NotImplementedError(f"scikit-learn has no {network.optimizer}")
        self.x, y = network.data()
        self.y = y if network.is_classifier else y[:, 0]
        kind = MLPClassifier if network.is_classifier else MLPRegressor
        self.model = kind(
            hidden_layer_sizes=network.widths[1:-1],
            batch_size=network.batch,
            learning_rate_init=RATE,
            epsilon=EPSILON,
            alpha=0.0,
        )
        self.halved = 1 if network.is_classifier else 2  # its squared error is half of ours
        self.model.partial_fit(self.x[: network.batch], self.y[: network.batch], **self._classes())
        for i, w in enumerate(network.weights()):  # from here on: our weights, no step taken
            (self.model.intercepts_ if i % 2 else self.model.coefs_)[i // 2][:] = w
        optimizer = self.model._optimizer
        optimizer.t = 0
        for slot in optimizer.ms + optimizer.vs:
            slot[:] = 0

    def _classes(self) -> dict[str, Any]:
        return {"classes": np.unique(self.y)} if self.halved == 1 else {}

    def epoch(self) -> float:
        self.model.partial_fit(self.x, self.y)
        return self.halved * float(self.model.loss_)

    def predict(self, x: Array) -> Array:
        if self.halved == 1:
            return self.model.predict_proba(x)
        return self.model.predict(x)[:, None]

    one = predict


class OnnxRuntime:
    """ONNX Runtime: a session with the thread count set; inference only."""

    def __init__(self, network: Network, threads: int) -> None:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        nodes, name, weights = [], "x", network.weights()
        for layer in range(0, len(weights), 2):
            last = layer + 2 == len(weights)
            inputs, name = [name, f"w{layer}", f"w{layer + 1}"], f"z{layer}"
            nodes.append(helper.make_node("Gemm", inputs, [name]))
            if not last or network.is_classifier:
                kind = "Softmax" if last else "Relu"
                nodes.append(helper.make_node(kind, [name], [f"a{layer}"]))
                name = f"a{layer}"
        ends = [
            helper.make_tensor_value_info(end, TensorProto.FLOAT, [None, width])
            for end, width in (("x", network.widths[0]), (name, network.widths[-1]))
        ]
        initial = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
        graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], initial)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.outputs = [name]
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.one = partial(self.session.run, self.outputs)

    def prepare(self, x: Array) -> dict[str, Array]:
        return {"x": x}

    def predict(self, feed: dict[str, Array]) -> Array:
        return self.session.run(self.outputs, feed)[0]


class MlpFile:
    """mlpfile: one row at a time, without softmax (it has none), one thread."""

    def __init__(self, network: Network, threads: int) -> None:
        import mlpfile

        linear, relu = 2, 3  # layer codes of its file format
        weights = network.weights()
        codes = [2 * len(network.widths) - 3, network.widths[0]]
        for i, width in enumerate(network.widths[1:]):
            codes += [linear, width] if i == 0 else [relu, linear, width]
        parts = [np.array(codes, "<u4")] + [np.ascontiguousarray(w.T, "<f4") for w in weights]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "net.mlp")
            with open(path, "wb") as file:
                file.write(b"".join(part.tobytes() for part in parts))
            self.one = mlpfile.Model.load(path).forward

    def prepare(self, x: Array) -> Array:
        return x.ravel()


PEERS: dict[str, tuple[Callable[..., Any], str]] = {  # class and distribution, by short name
    "deltaprop": (Deltaprop, "deltaprop"),
    "torch": (Torch, "torch"),
    "jax": (Jax, "jax"),
    "scikit-learn": (ScikitLearn, "scikit-learn"),
    "onnxruntime": (OnnxRuntime, "onnxruntime"),
    "mlpfile": (MlpFile, "mlpfile"),
}


def build(peer: str, network: Network, threads: int | None) -> tuple[Any, str]:
    """Return the peer, ready to run, and its version; ImportError where it is not installed."""
    kind, distribution = PEERS[peer]
    library = kind(network, threads)
    try:
        return library, version(distribution)
    except PackageNotFoundError:  # run from a source tree
        return library, "unknown"

"""`Autoencoder`: models that give back their input, built of layers and trained as any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import activations, checks
from .activations import Activation
from .callbacks import LambdaCallback
from .graph import Graph
from .history import History
from .initializers import Initializer
from .layers import Dense, DenseTranspose, GaussianNoise, Input, Layer
from .model import Model
from .optimizers import Optimizer
from .regularizers import L1L2, SparseKL

__all__ = ["Autoencoder"]

Array = npt.NDArray[Any]


class Autoencoder(Model):
    """``h = φ(x W + b)``, ``y = ψ(h V + c)``, trained so that y is x: basic, tied, denoising, sparse or stacked.

    Several `units` make a stack: the encoder narrows layer by layer, and the decoder goes the same way
    back. The input is corrupted by `noise` in training only, and y compared with the clean one
    (Vincent et al. 2010). It is a `Model` from x to y, whose y, where none is given, is x.

    Parameters
    ----------
    units : int or sequence of int
        Of each layer of the encoder; the last ones are the code.
    input_dim : int
        Length of a row of x.
    activation : str or Activation
        φ, of the encoder's layers, and of the decoder's but for the last.
    output_activation : str or Activation
        ψ, of the last layer: ``"sigmoid"`` for x between 0 and 1, ``"linear"`` for any x.
    tied : bool
        Whether each layer of the decoder has the transposed kernel of its counterpart: V = W'.
    kernel_initializer : str or Initializer
    kernel_regularizer : str or L1L2, optional
        On all kernels.
    noise : float or Layer, optional
        What corrupts the input: the deviation of Gaussian noise, or a layer such as ``Dropout(0.3)``, which
        masks 30 % of it (and scales the rest by 1/0.7).
    sparsity : (float, float) or SparseKL, optional
        The mean activation ρ of each unit of the encoder, and the weight β of the Kullback-Leibler
        penalty that pulls it there; for activations between 0 and 1. A pair is ``SparseKL(rho, beta)``.
    name : str
    dtype : {"float32", "float64"}
    seed : int, optional
        As in `Model`.

    Attributes
    ----------
    encoder, decoder : Model
        From x to the code, without the noise, and from the code to y; they share the weights.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    It is compiled when it is made, with Adam and the sum over the elements of x of the cross-entropy,
    ``-sum [x ln y + (1 - x) ln(1 - y)]``, for sigmoid outputs, or else of half the squared error;
    `compile` chooses others.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaprop as dp
    >>> x = np.random.default_rng(0).normal(size=(200, 2)) @ np.ones((2, 8))  # one dimension, in 8
    >>> auto = dp.Autoencoder(1, input_dim=8, activation="linear", output_activation="linear", tied=True, seed=0)
    >>> auto.compile(dp.optimizers.Adam(0.01))
    >>> history = auto.fit(x, epochs=50, verbose=0)
    >>> auto.encode(x).shape, bool(np.abs(auto.reconstruct(x) - x).max() < 0.05)
    ((200, 1), True)
    """

    gives_back = True

    def __init__(
        self,
        units: int | Sequence[int],
        input_dim: int,
        activation: str | Activation = "sigmoid",
        output_activation: str | Activation = "sigmoid",
        tied: bool = False,
        kernel_initializer: str | Initializer = "glorot_uniform",
        kernel_regularizer: str | L1L2 | None = None,
        noise: float | Layer | None = None,
        sparsity: tuple[float, float] | SparseKL | None = None,
        name: str = "autoencoder",
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        sizes: list[Any] = list(units) if isinstance(units, (list, tuple)) else [units]
        if not sizes:
            raise ValueError("units must be an integer, or a sequence of at least one; received an empty one.")
        penalty = SparseKL(*_pair(sparsity)) if isinstance(sparsity, (tuple, list)) else sparsity
        if penalty is not None and not isinstance(penalty, SparseKL):
            raise ValueError(f"sparsity must be a pair (rho, beta) or a SparseKL, received {sparsity!r}.")
        if noise is not None and not isinstance(noise, Layer):
            noise = GaussianNoise(noise)
        input_dim = checks.whole("input_dim", input_dim, least=1)
        x = Input((input_dim,))
        widths = [input_dim, *sizes]
        kernel: dict[str, Any] = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
        encoding = [
            Dense(n, activation, activity_regularizer=penalty, name=f"encoder_{i + 1}", **kernel)
            for i, n in enumerate(sizes)
        ]
        decoding: list[Layer] = []
        for i, counterpart in reversed(list(enumerate(encoding))):
            phi, called = output_activation if i == 0 else activation, f"decoder_{i + 1}"
            if tied:
                decoding.append(DenseTranspose(counterpart, phi, name=called))
            else:
                decoding.append(Dense(widths[i], phi, name=called, **kernel))
        graph = Graph.chain(x, [*([] if noise is None else [noise]), *encoding, *decoding])
        super().__init__(graph.inputs, graph.outputs, name, dtype, seed)
        self._divide()
        self.compile()

    def _divide(self) -> None:
        """Tell noise, encoder and decoder apart, by their places."""
        _, *layers = self.layers
        n = len(layers) // 2
        self._noise, self._encoding, self._decoding = layers[: -2 * n], layers[-2 * n : -n], layers[-n:]
        if not n or not all(isinstance(layer, (Dense, DenseTranspose)) for layer in layers[-2 * n :]):
            raise ValueError("an autoencoder's layers are as many of an encoder as of a decoder, and noise in front.")
        self.encoder = self._part(self._encoding, "encoder")
        self.decoder = self._part(self._decoding, "decoder")

    def _part(self, layers: Sequence[Layer], name: str, *, noisy: bool = False) -> Model:
        """Return a model of some of the layers, with their weights."""
        graph = Graph.chain(Input(layers[0].input_shape), [*(self._noise if noisy else []), *layers])
        return Model(graph.inputs, graph.outputs, name, self.dtype, self.seed)

    # ---- training

    def compile(
        self, optimizer: str | Optimizer = "adam", loss: Any = None, loss_weights: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or callable, optional
            By default the one of the class's notes, a sum over the elements of x.
        loss_weights, *args, **kwargs
            As in `Model.compile`.
        """
        if loss is None:
            loss, factor = _default_loss(self._decoding[-1])
            loss_weights = factor if loss_weights is None else loss_weights
        super().compile(optimizer, loss, loss_weights, *args, **kwargs)

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1,
        verbose: int | str = "auto", callbacks: Any = None, *args: Any, pretrain: int | None = None, **kwargs: Any,
    ) -> History:  # fmt: skip
        """Train to give back x.

        Parameters
        ----------
        x : array_like of shape (n_samples, input_dim)
        y : array_like of shape (n_samples, input_dim), optional
            By default x.
        pretrain : int, optional
            Train each pair of layers so many epochs before, see `pretrain`; the rest is fine-tuning. Each
            of `restarts` does so.
        batch_size, epochs, verbose, callbacks, *args, **kwargs
            As in `Model.fit`; `validation_data` may be an array of rows to be given back, too.

        Returns
        -------
        History
        """
        if pretrain is not None:
            n = checks.whole("pretrain", pretrain, least=1)
            begin = LambdaCallback(on_train_begin=lambda logs: self.pretrain(x, n, batch_size))  # all is checked then
            callbacks = [begin, [] if callbacks is None else callbacks]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    def pretrain(
        self, x: Any, epochs: int = 10, batch_size: int | None = None, verbose: int | str = 0, **kwargs: Any
    ) -> list[History]:
        """Train layer by layer: each of the encoder's with its counterpart, on the codes of those before.

        The pairs are autoencoders of their own, with the noise, and with weights that are those of the
        stack (Hinton and Salakhutdinov 2006; Vincent et al. 2010). The optimiser is that of `compile`,
        and starts anew for each. So is the loss of the first pair, which gives back x; that of the others,
        which give back codes, suits their outputs, as the class's notes have it.

        Parameters
        ----------
        x : array_like of shape (n_samples, input_dim)
        epochs : int
            For each pair.
        batch_size, verbose, **kwargs
            As in `Model.fit`, but for other data.

        Returns
        -------
        list of History
            One for each pair, from the input inwards.
        """
        if self.optimizer is None:
            raise RuntimeError("call compile(optimizer=...) before pretrain.")
        codes, histories = x, []
        losses = [(self.terms[0].loss, self.terms[0].factor), *map(_default_loss, self._decoding[-2::-1])]
        for layer, back, loss in zip(self._encoding, reversed(self._decoding), losses):
            pair = self._part([layer, back], f"{layer.name}_alone", noisy=True)
            pair.compile(type(self.optimizer).from_config(self.optimizer.get_config()), *loss)
            histories.append(pair.fit(codes, codes, batch_size=batch_size, epochs=epochs, verbose=verbose, **kwargs))
            codes = self._part([layer], f"{layer.name}_codes").predict(codes, verbose=0)
        return histories

    # ---- using

    def encode(self, x: Any) -> Array:
        """Return the codes, of shape (n_samples, units[-1])."""
        return np.asarray(self.encoder.predict(x, verbose=0))

    def decode(self, codes: Any) -> Array:
        """Return what codes stand for, of shape (n_samples, input_dim)."""
        return np.asarray(self.decoder.predict(codes, verbose=0))

    def reconstruct(self, x: Any) -> Array:
        """Return the model's outputs, ``decode(encode(x))``."""
        return np.asarray(self.predict(x, verbose=0))

    # ---- files

    def get_config(self) -> dict[str, Any]:
        """Return the structure, ready for JSON."""
        return {**super().get_config(), "class": "Autoencoder"}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Autoencoder:
        """Return an autoencoder with the structure that `get_config` returned, new weights, and not compiled."""
        auto = super().from_config(config)
        auto._divide()
        return auto

    def __repr__(self) -> str:
        return f"<Autoencoder {self.name}: {', '.join(repr(layer) for layer in self.layers)}>"


def _default_loss(last: Layer) -> tuple[str, float]:
    """Return the loss that suits the last layer, and its weight, as a sum over the elements."""
    assert isinstance(last, (Dense, DenseTranspose)) and last.output_shape is not None
    if last.activation is activations.sigmoid:
        return "binary_crossentropy", float(last.output_shape[0])  # which is a mean over the elements
    return "half_squared_error", 1.0


def _pair(sparsity: Sequence[float]) -> tuple[float, float]:
    if len(sparsity) != 2:
        raise ValueError(f"sparsity must be a pair (rho, beta), received {sparsity!r}.")
    return sparsity[0], sparsity[1]

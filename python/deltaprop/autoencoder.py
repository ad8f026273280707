"""`Autoencoder`: models that give back their input, built of layers and trained as any other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import activations, optimizers
from .activations import Activation
from .history import History
from .initializers import Initializer
from .layers import Dense, DenseTranspose, GaussianNoise, Input, Layer
from .model import Model
from .optimizers import Optimizer
from .regularizers import L1L2, SparseKL

__all__ = ["Autoencoder"]

Array = npt.NDArray[Any]


class Autoencoder:
    """``h = φ(x W + b)``, ``y = ψ(h V + c)``, trained so that y is x: basic, tied, denoising, sparse or stacked.

    Several `units` make a stack: the encoder narrows layer by layer, and the decoder goes the same way
    back. The input is corrupted by `noise` in training only, and y compared with the clean one
    (Vincent et al. 2010).

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
    model : Model
        From x to y: what trains, and may be compiled, inspected and trained as any model.
    encoder, decoder : Model
        From x to the code, without the noise, and from the code to y; they share the model's weights.

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
        self._noise = noise
        x = Input((input_dim,))
        widths = [input_dim, *sizes]
        kernel: dict[str, Any] = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
        self._encoding: list[Layer] = []
        h = x if noise is None else noise(x)
        for i, n in enumerate(sizes):
            layer = Dense(n, activation, activity_regularizer=penalty, name=f"encoder_{i + 1}", **kernel)
            self._encoding.append(layer)
            h = layer(h)
        self._decoding: list[Layer] = []
        for i in reversed(range(len(sizes))):
            phi, called = output_activation if i == 0 else activation, f"decoder_{i + 1}"
            counterpart = self._encoding[i]
            if tied:
                assert isinstance(counterpart, Dense)
                back: Layer = DenseTranspose(counterpart, phi, name=called)
            else:
                back = Dense(widths[i], phi, name=called, **kernel)
            self._decoding.append(back)
            h = back(h)
        self.model = Model(x, h, name=name, dtype=dtype, seed=seed)
        self.encoder = self._part(input_dim, self._encoding, "encoder")
        self.decoder = self._part(sizes[-1], self._decoding, "decoder")
        self.compile()

    def _part(self, n: int, layers: Sequence[Layer], name: str) -> Model:
        """Return a model of some of the layers, with their weights."""
        x = h = Input((n,))
        for layer in layers:
            h = layer(h)
        return Model(x, h, name=name, dtype=self.model.dtype, seed=self.model.seed)

    # ---- training

    def compile(self, optimizer: str | Optimizer = "adam", loss: Any = None, **kwargs: Any) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or callable, optional
            By default the one of the class's notes, a sum over the elements of x.
        **kwargs
            As in `Model.compile`.
        """
        optimizer = optimizers.get(optimizer)
        self._compile(self.model, optimizer, loss, kwargs)
        self._compiled: tuple[Optimizer, Any] = optimizer, loss

    def _compile(self, model: Model, optimizer: Optimizer, loss: Any, kwargs: dict[str, Any]) -> None:
        if loss is None:
            last = model.layers[-1]
            assert isinstance(last, (Dense, DenseTranspose))
            crossed = last.activation is activations.sigmoid
            loss = "binary_crossentropy" if crossed else "half_squared_error"
            n = model.output_shape[-1] if crossed else 1  # that one is a mean over the elements
            kwargs = {"loss_weights": float(n), **kwargs}
        model.compile(optimizer, loss, **kwargs)

    def fit(
        self,
        x: Any,
        batch_size: int | None = None,
        epochs: int = 1,
        validation_data: Any = None,
        pretrain: int | None = None,
        **kwargs: Any,
    ) -> History:
        """Train to give back x.

        Parameters
        ----------
        x : array_like of shape (n_samples, input_dim)
            Input and target.
        batch_size, epochs
            As in `Model.fit`.
        validation_data : array_like of shape (n_samples, input_dim), optional
            Other rows, to be given back, too; or a tuple as in `Model.fit`.
        pretrain : int, optional
            Train each pair of layers so many epochs before, see `pretrain`; the rest is fine-tuning.
        **kwargs
            As in `Model.fit`.

        Returns
        -------
        History
        """
        if pretrain is not None:
            self.pretrain(x, epochs=pretrain, batch_size=batch_size)
        if validation_data is not None and not isinstance(validation_data, tuple):
            validation_data = (validation_data, validation_data)
        return self.model.fit(
            x, x, batch_size=batch_size, epochs=epochs, validation_data=validation_data, **kwargs
        )

    def pretrain(
        self, x: Any, epochs: int = 10, batch_size: int | None = None, verbose: int | str = 0, **kwargs: Any
    ) -> list[History]:
        """Train layer by layer: each of the encoder's with its counterpart, on the codes of those before.

        The pairs are autoencoders of their own, with the noise, and with weights that are those of the
        stack (Hinton and Salakhutdinov 2006; Vincent et al. 2010). Loss and optimiser are those of
        `compile`; the optimiser starts anew for each.

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
        optimizer, loss = self._compiled
        codes, histories = x, []
        for layer, back in zip(self._encoding, reversed(self._decoding)):
            assert layer.input_shape is not None
            (n,) = layer.input_shape
            pair = self._part(n, [*([] if self._noise is None else [self._noise]), layer, back], f"{layer.name}_alone")
            self._compile(pair, type(optimizer).from_config(optimizer.get_config()), loss, {})
            histories.append(pair.fit(codes, codes, batch_size=batch_size, epochs=epochs, verbose=verbose, **kwargs))
            codes = self._part(n, [layer], f"{layer.name}_codes").predict(codes, verbose=0)
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
        return np.asarray(self.model.predict(x, verbose=0))

    def evaluate(self, x: Any, **kwargs: Any) -> Any:
        """Return the loss of giving back x, or [loss, metrics ...], without noise; as `Model.evaluate`."""
        return self.model.evaluate(x, x, **kwargs)

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], object] | None = None) -> None:
        """Print the layers of the model."""
        self.model.summary(line_length, print_fn)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the model to a file; `dp.load_model` returns that `Model`, from x to y."""
        self.model.save(filepath, overwrite)

    def __repr__(self) -> str:
        return f"<Autoencoder {self.model.name}: {', '.join(repr(layer) for layer in self.model.layers)}>"


def _pair(sparsity: Sequence[float]) -> tuple[float, float]:
    if len(sparsity) != 2:
        raise ValueError(f"sparsity must be a pair (rho, beta), received {sparsity!r}.")
    return sparsity[0], sparsity[1]

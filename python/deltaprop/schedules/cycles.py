"""Learning rates along cosines: decay, decay with restarts, and one cycle up and down."""

from __future__ import annotations

import math

import numpy as np

from .. import checks
from .base import Array, Formula, steps

__all__ = ["CosineDecay", "CosineDecayRestarts", "OneCycle"]


class CosineDecay(Formula):
    """``η(t) = w · ((1 − α) · ½(1 + cos(π · min(t − W, T) / T)) + α)``, after a linear warm-up.

    During the warm-up, ``t < W``, it is ``η₀ + (w − η₀) · t / W``. Without ``warmup_target`` there
    is none: W = 0 and w = η₀. Sources: Loshchilov and Hutter, "SGDR" (2016), arXiv:1608.03983;
    warm-up: Goyal et al. (2017), arXiv:1706.02677; as in
    ``keras.optimizers.schedules.CosineDecay`` (Keras 3).

    Parameters
    ----------
    initial_learning_rate : float
        η₀, the rate at step 0.
    decay_steps : int
        T, the steps of the decay; they follow the warm-up.
    alpha : float
        α, the final rate as a fraction of w.
    name : str
    warmup_target : float, optional
        w, the rate at the end of the warm-up.
    warmup_steps : int
        W.

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.schedules import CosineDecay
    >>> schedule = CosineDecay(0.0, decay_steps=2, warmup_target=1.0, warmup_steps=2)
    >>> schedule(np.arange(6)).round(3)
    array([0. , 0.5, 1. , 0.5, 0. , 0. ])
    """

    __slots__ = _arguments = ("initial_learning_rate", "decay_steps", "alpha", "warmup_target",
                              "warmup_steps")

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0,
                 name: str = "CosineDecay", warmup_target: float | None = None,
                 warmup_steps: int = 0) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, least=0)
        self.decay_steps = steps("decay_steps", decay_steps, above=0)
        self.alpha = checks.number("alpha", alpha, least=0)
        self.warmup_target = warmup_target
        if warmup_target is not None:
            self.warmup_target = checks.number("warmup_target", warmup_target, least=0)
        self.warmup_steps = steps("warmup_steps", warmup_steps, least=0)
        self.name = name

    def _rates(self, t: Array) -> Array:
        if self.warmup_target is None:
            return self._decay(self.initial_learning_rate, t)
        if self.warmup_steps == 0:
            return self._decay(self.warmup_target, t)
        slope = self.warmup_target - self.initial_learning_rate
        rising = slope * (t / self.warmup_steps) + self.initial_learning_rate
        falling = self._decay(self.warmup_target, t - self.warmup_steps)
        return np.where(t < self.warmup_steps, rising, falling)

    def _decay(self, start: float, t: Array) -> Array:
        cosine = 0.5 * (1.0 + np.cos(math.pi * (np.minimum(t, self.decay_steps)
                                                / self.decay_steps)))
        return start * ((1.0 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(Formula):
    """``η(t) = η₀ · ((1 − α) · mⁱ · ½(1 + cos(π · p)) + α)``: cosine decays, one after another.

    The i-th decay, counted from 0, takes ``T · kⁱ`` steps, of which the share p has passed. Sources:
    Loshchilov and Hutter, "SGDR" (2016), arXiv:1608.03983; Keras 3,
    ``keras.optimizers.schedules.CosineDecayRestarts``.

    Parameters
    ----------
    initial_learning_rate : float
        η₀, the rate at step 0.
    first_decay_steps : int
        T.
    t_mul : float
        k, at least 1.
    m_mul : float
        m.
    alpha : float
        α, the lowest rate as a fraction of η₀.
    name : str

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.schedules import CosineDecayRestarts
    >>> CosineDecayRestarts(1.0, first_decay_steps=2, m_mul=0.5)(np.arange(6)).round(3)
    array([1.   , 0.5  , 0.5  , 0.427, 0.25 , 0.073])
    """

    __slots__ = _arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha")

    def __init__(self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0,
                 m_mul: float = 1.0, alpha: float = 0.0, name: str = "SGDRDecay") -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate, least=0)
        self.first_decay_steps = steps("first_decay_steps", first_decay_steps, above=0)
        self.t_mul = checks.number("t_mul", t_mul, least=1)
        self.m_mul = checks.number("m_mul", m_mul, least=0)
        self.alpha = checks.number("alpha", alpha, least=0)
        self.name = name

    def _rates(self, t: Array) -> Array:
        passed = t / self.first_decay_steps
        if self.t_mul == 1:
            i = np.floor(passed)
            share = passed - i
        else:
            # The first step of a decay must not round down to the last of the one before.
            i = np.floor(np.log1p(passed * (self.t_mul - 1)) / math.log(self.t_mul) + 1e-12)
            share = (passed - (self.t_mul**i - 1) / (self.t_mul - 1)) / self.t_mul**i
        cosine = 0.5 * self.m_mul**i * (1.0 + np.cos(math.pi * share))
        return np.asarray(self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha))


class OneCycle(Formula):
    """Up from ``η / d`` to η in the first part of the training, then down to ``η / d / f``.

    Along half cosines, or straight lines. Sources: Smith and Topin, "Super-convergence" (2018),
    arXiv:1708.07120; formula, arguments and defaults of ``torch.optim.lr_scheduler.OneCycleLR``,
    without its cycle of the momentum.

    Parameters
    ----------
    max_lr : float
        η.
    total_steps : int
        Steps of the whole training, at least 2: epochs times batches. Later steps have the last rate.
    pct_start : float
        The share of the steps in which the rate rises, from 0 to 1.
    anneal_strategy : {"cos", "linear"}
    div_factor : float
        d.
    final_div_factor : float
        f.
    name : str

    Examples
    --------
    >>> import numpy as np
    >>> from deltaprop.schedules import OneCycle
    >>> OneCycle(1.0, total_steps=11, pct_start=0.5, div_factor=4.0)(np.array([0, 4.5, 10])).round(4)
    array([0.25, 1.  , 0.  ])
    """

    __slots__ = _arguments = ("max_lr", "total_steps", "pct_start", "anneal_strategy", "div_factor",
                              "final_div_factor")

    def __init__(self, max_lr: float, total_steps: int, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", div_factor: float = 25.0,
                 final_div_factor: float = 1e4, name: str = "OneCycle") -> None:
        self.max_lr = checks.number("max_lr", max_lr, least=0)
        self.total_steps = steps("total_steps", total_steps, least=2)
        self.pct_start = checks.number("pct_start", pct_start, least=0, most=1)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', received {anneal_strategy!r}.")
        self.anneal_strategy = anneal_strategy
        self.div_factor = checks.number("div_factor", div_factor, above=0)
        self.final_div_factor = checks.number("final_div_factor", final_div_factor, above=0)
        self.name = name

    def _rates(self, t: Array) -> Array:
        first = self.max_lr / self.div_factor
        last, top = self.total_steps - 1, self.pct_start * self.total_steps - 1
        up = np.clip(t / top, 0, 1) if top > 0 else np.ones_like(t)
        down = np.clip((t - top) / (last - top), 0, 1) if last > top else np.zeros_like(t)
        rising = self._between(first, self.max_lr, up)
        return np.where(t <= top, rising, self._between(self.max_lr, first / self.final_div_factor, down))

    def _between(self, start: float, end: float, share: Array) -> Array:
        left = 0.5 * (1.0 + np.cos(math.pi * share)) if self.anneal_strategy == "cos" else 1.0 - share
        return end + (start - end) * left

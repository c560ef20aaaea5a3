"""The two distributions that decisions are sampled from, with exact gradients for their logits.

A `Categorical` decides a choice or a pick, `Bernoullis` decide links. Both are batched: row k belongs
to the k-th architecture. Entropies are in nats.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from nas.controllers.lstm import Array, sigmoid

Integers = npt.NDArray[np.int64]


class Distribution(Protocol):
    """What a walk needs of a distribution; `value` is what was decided, `(batch, tokens)` integers."""

    def sample(self, random: np.random.Generator) -> Integers:
        """One value for each row."""

    def log_probability(self, value: Integers) -> Array:
        """Logarithm of the probability of each row's value, with shape `(batch,)`."""

    def entropy(self) -> Array:
        """Entropy of each row, with shape `(batch,)`."""

    def d_log_probability(self, value: Integers) -> Array:
        """Derivative of `log_probability` for the logits, shaped like them."""

    def d_entropy(self) -> Array:
        """Derivative of `entropy` for the logits, shaped like them."""


class Categorical:
    """One of several options: softmax of the logits, with shape `(batch, options)`.

    With p the probabilities and H the entropy: ∂ log p_a / ∂l_i = [i = a] − p_i and
    ∂H / ∂l_i = −p_i (log p_i + H).
    """

    def __init__(self, logits: Array) -> None:
        shifted = logits - logits.max(axis=1, keepdims=True)
        self.log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self.p = np.exp(self.log_p)

    def sample(self, random: np.random.Generator) -> Integers:
        """The option with the largest logit after Gumbel noise: exact (Maddison et al., 2014, §2)."""
        noisy = self.log_p + random.gumbel(size=self.p.shape)
        return np.asarray(noisy.argmax(axis=1, keepdims=True))

    def log_probability(self, value: Integers) -> Array:
        return np.asarray(self.log_p[np.arange(len(value)), value[:, 0]])

    def entropy(self) -> Array:
        return np.asarray(-(self.p * self.log_p).sum(axis=1))

    def d_log_probability(self, value: Integers) -> Array:
        out = -self.p
        out[np.arange(len(out)), value[:, 0]] += 1.0
        return np.asarray(out)

    def d_entropy(self) -> Array:
        return np.asarray(-self.p * (self.log_p + self.entropy()[:, None]))


class Bernoullis:
    """Independent bits, one for each logit, with shape `(batch, bits)`; there may be none.

    With p = σ(l): log P(1) = −log(1 + e^−l), log P(0) = −log(1 + e^l), ∂ log P(bit) / ∂l = bit − p,
    H = log(1 + e^l) − p l and ∂H / ∂l = −p (1 − p) l.
    """

    def __init__(self, logits: Array) -> None:
        self.logits = logits
        self.p = sigmoid(logits)

    def sample(self, random: np.random.Generator) -> Integers:
        return (random.random(self.p.shape) < self.p).astype(np.int64)

    def log_probability(self, value: Integers) -> Array:
        return np.asarray(-np.logaddexp(0.0, np.where(value, -self.logits, self.logits)).sum(axis=1))

    def entropy(self) -> Array:
        return np.asarray((np.logaddexp(0.0, self.logits) - self.p * self.logits).sum(axis=1))

    def d_log_probability(self, value: Integers) -> Array:
        return value - self.p

    def d_entropy(self) -> Array:
        return -self.p * (1.0 - self.p) * self.logits

"""Decisions of a policy: scores, logits and distributions, and terms of an objective, with exact gradients.

A step's scores become logits (`Logits`), these a distribution: `Categorical` decides a choice or a pick,
`Bernoullis` decide links. All are batched: row k belongs to the k-th architecture. A `Term` is a piece of an
objective that a step's distribution adds, such as its entropy. Entropies are in nats.

A choice's scores are linear in the hidden state (see `nas.controllers.policy`). Those of links and picks are
attention over the earlier points of their scope, as in Zoph & Le (2017, §3.2): layer i receives layer j with
the probability sigmoid(vᵀ tanh(W_prev h_j + W_curr h_i)), where h_j is the controller's hidden state at the
anchor of layer j. Here that sum before the sigmoid is the *score* of point j; links take the sigmoid of each
score, a pick the softmax over all.

Each kind of links or picks has its own W_prev, W_curr and v. Vectors are rows, so W_prev h_j is written
`anchor @ previous`. It is computed once for each anchor and kind, however many later steps look back.

With a_j = tanh(W_prev h_j + W_curr h_i), s_j = vᵀ a_j and z_j = ds_j v ⊙ (1 − a_j²), the gradient is
dv = Σ ds_j a_j, dW_curr = (Σ z_j) h_iᵀ, dh_i = W_currᵀ Σ z_j, dW_prev = Σ z_j h_jᵀ, dh_j = W_prevᵀ z_j.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nas.controllers.lstm import Array, sigmoid
from nas.spaces import Step

Integers = npt.NDArray[np.int64]

Rows = npt.NDArray[np.intp]
"""Which of a batch's rows take part in a step, ascending."""


# --- distributions ----------------------------------------------------------------------------------


class Distribution(Protocol):
    """Distribution of a step's decision; `value` is what was decided, `(batch, tokens)` integers."""

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
    """Distribution over several options: softmax of the logits, with shape `(batch, options)`.

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


# --- terms of an objective --------------------------------------------------------------------------


class Term(Protocol):
    """Piece of an objective that each step adds to for each architecture, beside the rewards.

    A policy sums its values over the steps that an architecture takes; the backward pass asks for its
    derivative, with the decisions as constants. So an entropy bonus, a prior on links and whatever else
    depends on a step and its distribution is added without a change of the rollout.

    Attributes:
        name: under which an update's statistics report the mean of its sum over an architecture's steps.
    """

    @property
    def name(self) -> str: ...

    def value(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        """What the step adds for each row, with shape `(rows,)`; zeros for steps it doesn't concern."""

    def derivative(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        """Derivative of `value` for the step's logits, shaped like them."""


class Entropy:
    """Term: the entropy of each decision, given those before it (Williams & Peng, 1991)."""

    name = "entropy"

    def value(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        return distribution.entropy()

    def derivative(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        return distribution.d_entropy()


# --- logits -----------------------------------------------------------------------------------------


class Logits(Protocol):
    """Map from a step's scores to its logits, score by score."""

    def of(self, scores: Array) -> Array:
        """The logits, shaped like the scores."""

    def backward(self, logits: Array, d_logits: Array) -> Array:
        """The gradient for the scores, by that for the logits which `of` made of them."""


@dataclass(frozen=True)
class BoundedLogits:
    """Logits c · tanh(u / τ) of scores u; u / τ without a tanh constant.

    Source: Bello et al. (2017, Neural Combinatorial Optimization, appendix A.1 and A.2) and Pham et al.
    (2018, ENAS), which keep a policy from being sure too early: no logit leaves ±c. ENAS has τ = 5 and
    c = 2.5 for recurrent cells.

    Attributes:
        temperature: τ.
        tanh_constant: c; None: no tanh.
    """

    temperature: float = 1.0
    tanh_constant: float | None = None

    def of(self, scores: Array) -> Array:
        if self.temperature == 1.0 and self.tanh_constant is None:
            return scores
        scaled = scores / self.temperature
        return scaled if self.tanh_constant is None else np.asarray(self.tanh_constant * np.tanh(scaled))

    def backward(self, logits: Array, d_logits: Array) -> Array:
        if self.temperature == 1.0 and self.tanh_constant is None:
            return d_logits
        if self.tanh_constant is None:
            return d_logits / self.temperature
        derivative = self.tanh_constant / self.temperature * (1.0 - (logits / self.tanh_constant) ** 2)
        return np.asarray(d_logits * derivative)


# --- attention --------------------------------------------------------------------------------------


def attention_names(kind: str) -> tuple[str, str, str]:
    """The parameters W_prev, W_curr `(units, units)` and v `(units,)` of a kind of links or picks."""
    return f"attention/{kind}/previous", f"attention/{kind}/current", f"attention/{kind}/vector"


@dataclass(frozen=True)
class ScoresTape:
    """Values that the gradient of `Points.scores` needs."""

    kind: str
    rows: Rows
    hidden: Array
    activations: Array


class Points:
    """Points of one scope in one rollout: their anchors, and attention over them.

    Attributes:
        anchors: with shape `(batch, points, units)`; only the first `count` points exist yet.
        count: number of points so far.
    """

    def __init__(self, parameters: Mapping[str, Array], initial: Array, batch: int, total: int) -> None:
        """A scope whose `initial` points `(points, units)` grow to `total` during the rollout."""
        self.parameters = parameters
        self.anchors = np.empty((batch, total, initial.shape[1]))
        self.anchors[:, : len(initial)] = initial
        self.count = len(initial)
        self._projected: dict[str, Array] = {}
        self._projected_count: dict[str, int] = {}

    def add(self, anchor: Array) -> int:
        """Makes `anchor` `(batch, units)` the next point and returns its index."""
        self.anchors[:, self.count] = anchor
        self.count += 1
        return self.count - 1

    def scores(self, kind: str, rows: Rows, hidden: Array) -> tuple[Array, ScoresTape]:
        """The score of each point for each row, with shape `(rows, points)`.

        Args:
            kind: whose attention it is.
            rows: who looks.
            hidden: the looking steps' hidden states, with shape `(rows, units)`.
        """
        _, current, vector = (self.parameters[name] for name in attention_names(kind))
        query = (hidden @ current)[:, None, :]
        activations = np.tanh(self._projections(kind)[rows, : self.count] + query)
        return activations @ vector, ScoresTape(kind, rows, hidden, activations)

    def _projections(self, kind: str) -> Array:
        """W_prev h_j of every point so far, with shape `(batch, points, units)`."""
        projected = self._projected.setdefault(kind, np.empty_like(self.anchors))
        previous = self.parameters[attention_names(kind)[0]]
        for point in range(self._projected_count.get(kind, 0), self.count):
            projected[:, point] = self.anchors[:, point] @ previous
        self._projected_count[kind] = self.count
        return projected


class PointsGradient:
    """Gradient for the anchors of a scope, collected from the last step to the first.

    All steps that look at a point come after the step that made it, so that the gradient of its anchor
    is complete when the backward pass reaches that step.

    Attributes:
        d_anchors: gradient for the anchors as inputs of the LSTM; attention's is kept apart until the end.
        left: number of points whose gradient was not asked for yet.
    """

    def __init__(self, points: Points, gradient: dict[str, Array]) -> None:
        """Parameters' gradients are added to `gradient`."""
        self._points = points
        self._gradient = gradient
        self.d_anchors = np.zeros_like(points.anchors)
        self.left = points.count
        self._d_projected: dict[str, Array] = {}

    def backward_scores(self, tape: ScoresTape, d_scores: Array) -> Array:
        """Takes in the gradient for a step's scores and returns that for its hidden states."""
        _, current, vector = attention_names(tape.kind)
        parameters = self._points.parameters
        self._gradient[vector] += (d_scores[:, :, None] * tape.activations).sum(axis=(0, 1))
        d_sums = d_scores[:, :, None] * parameters[vector] * (1.0 - tape.activations**2)
        d_projected = self._d_projected.setdefault(tape.kind, np.zeros_like(self.d_anchors))
        d_projected[tape.rows, : d_sums.shape[1]] += d_sums
        d_query = d_sums.sum(axis=1)
        self._gradient[current] += tape.hidden.T @ d_query
        return np.asarray(d_query @ parameters[current].T)

    def of_last_anchor(self) -> Array:
        """Drops the last point that is left and returns its anchor's whole gradient, `(batch, units)`."""
        self.left -= 1
        anchor, d_anchor = self._points.anchors[:, self.left], self.d_anchors[:, self.left].copy()
        for kind, d_projected in self._d_projected.items():
            previous = attention_names(kind)[0]
            self._gradient[previous] += anchor.T @ d_projected[:, self.left]
            d_anchor += d_projected[:, self.left] @ self._points.parameters[previous].T
        return d_anchor

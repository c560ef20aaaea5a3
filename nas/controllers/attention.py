"""The points of a scope and the attention with which later steps choose among them.

Source: Zoph & Le (2017, §3.2): layer i receives layer j with the probability
sigmoid(vᵀ tanh(W_prev h_j + W_curr h_i)), where h_j is the controller's hidden state at the anchor of
layer j. Here that sum before the sigmoid is the *score* of point j; links take the sigmoid of each score,
a pick the softmax over all.

Each kind of links or picks has its own W_prev, W_curr and v. Vectors are rows, so W_prev h_j is written
`anchor @ previous`. It is computed once for each anchor and kind, however many later steps look back.

With a_j = tanh(W_prev h_j + W_curr h_i), s_j = vᵀ a_j and z_j = ds_j v ⊙ (1 − a_j²), the gradient is
dv = Σ ds_j a_j, dW_curr = (Σ z_j) h_iᵀ, dh_i = W_currᵀ Σ z_j, dW_prev = Σ z_j h_jᵀ, dh_j = W_prevᵀ z_j.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.controllers.lstm import Array

Rows = npt.NDArray[np.intp]
"""Which of a batch's rows take part in a step, ascending."""


def attention_names(kind: str) -> tuple[str, str, str]:
    """The parameters W_prev, W_curr `(units, units)` and v `(units,)` of a kind of links or picks."""
    return f"attention/{kind}/previous", f"attention/{kind}/current", f"attention/{kind}/vector"


@dataclass(frozen=True)
class ScoresTape:
    """What the gradient of `Points.scores` needs."""

    kind: str
    rows: Rows
    hidden: Array
    activations: Array


class Points:
    """The points of one scope in one walk: their anchors, and attention over them.

    Attributes:
        anchors: with shape `(batch, points, units)`; only the first `count` points exist yet.
        count: number of points so far.
    """

    def __init__(self, parameters: Mapping[str, Array], initial: Array, batch: int, total: int) -> None:
        """A scope whose `initial` points `(points, units)` grow to `total` during the walk."""
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
    """Collects what flows back into the anchors of a scope, from the last step to the first.

    All steps that look at a point come after the step that made it, so that the gradient of its anchor
    is complete when the way back reaches that step.

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

    def through_scores(self, tape: ScoresTape, d_scores: Array) -> Array:
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

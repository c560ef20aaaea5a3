"""One batch's way through the steps of a space: decisions, their log-probabilities, the exact gradient.

At each step the LSTM reads one input vector, and its hidden state h (of the top layer) decides:

* `Choice`: softmax of h W + b over the options; the next input is the embedding of the option taken.
* `Pick`: softmax over the scores of the earlier points; the next input is the anchor picked.
* `Links`: sigmoid of each score; the next input is the mean of the anchors linked, and h becomes the anchor
  of the step's own point.
* `Point`: h becomes the anchor; nothing is decided.

The first input, and the next one where nothing was linked or decided, is a learned *start* vector. Choices
of one kind share softmax and embedding at all positions. An architecture for which a step is off skips it:
its state and its next input wait.

Source: Zoph & Le (2017, §3.1 and §3.2). The paper doesn't say what the LSTM reads after an anchor point;
the mean of the selected anchors is that of Pham et al. (2018, ENAS), whose code divides by 1 + their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from nas.controllers.attention import Points, PointsGradient, Rows, ScoresTape
from nas.controllers.distributions import Bernoullis, Categorical, Distribution, Integers
from nas.controllers.logits import Logits
from nas.controllers.lstm import Array, LayerTape, lstm_gradient, lstm_layers, lstm_step
from nas.spaces import Choice, Links, Pick, Point, Step, StepList, Tokens

START = "start"
"""The parameter that the LSTM reads where there is nothing else to read, with shape `(units,)`."""

Decide = Callable[[int, Rows, Distribution], Integers]
"""Decides a step (its index) for the rows that take it: by chance, or as given token strings say."""


def head_names(kind: str) -> tuple[str, str]:
    """The parameters of a kind's softmax: W `(units, options)` and b `(options,)`."""
    return f"head/{kind}/kernel", f"head/{kind}/bias"


def embedding_name(kind: str) -> str:
    """The parameter that embeds a kind's options as inputs, with shape `(options, units)`."""
    return f"embedding/{kind}"


def anchors_name(scope: str) -> str:
    """The parameter that holds the anchors of a scope's initial points, with shape `(points, units)`."""
    return f"anchors/{scope}"


@dataclass(frozen=True)
class _Move:
    """One step taken: what its gradient needs of the `rows` that took it."""

    step: Step
    rows: Rows
    hidden: Array
    layers: tuple[LayerTape, ...]
    scores: ScoresTape | None
    logits: Array
    distribution: Distribution | None
    value: Integers


@dataclass(frozen=True)
class Walk:
    """A finished walk. Its gradient is right as long as the parameters stay as they were.

    Attributes:
        tokens: what was decided for each architecture.
        log_probabilities: of each token string, with shape `(batch,)`.
        entropies: of each architecture in nats, with shape `(batch,)`: the sum over the steps taken of
            the entropy of the step's distribution, given what was decided before it.
    """

    tokens: tuple[Tokens, ...]
    log_probabilities: Array
    entropies: Array
    _parameters: Mapping[str, Array]
    _logits: Logits
    _scopes: Mapping[str, Points]
    _moves: tuple[_Move, ...]

    def add_gradient(
        self, d_log_probabilities: Array, d_entropies: Array, gradient: dict[str, Array]
    ) -> None:
        """Adds to `gradient` that of Σ_k d_log_probabilities[k] log P_k + d_entropies[k] H_k.

        The tokens are constants in it: the entropy is differentiated along the path as sampled.

        Args:
            d_log_probabilities: derivative of a loss for the log-probabilities, with shape `(batch,)`.
            d_entropies: derivative of that loss for the entropies, with shape `(batch,)`.
            gradient: of all parameters, by name.
        """
        back = _WayBack(self, d_log_probabilities, d_entropies, gradient)
        for move in reversed(self._moves):
            back.take(move)
        back.arrive()


def walk(
    parameters: Mapping[str, Array], steps: StepList, batch: int, decide: Decide, logits: Logits
) -> Walk:
    """Takes a batch through `steps`, with the LSTM's state zero before the first.

    Args:
        parameters: the policy's arrays, each under the name that the module which uses it gives it.
        steps: of one depth.
        batch: how many architectures.
        decide: called for each step at which there is something to decide.
        logits: what becomes of the scores before the softmax or sigmoid.
    """
    inputs = np.tile(parameters[START], (batch, 1))
    state = np.zeros((2, lstm_layers(parameters), *inputs.shape))
    scopes = _open_scopes(parameters, steps, batch)
    values: list[list[Tokens]] = [[] for _ in range(batch)]
    log_probabilities, entropies = np.zeros(batch), np.zeros(batch)
    moves = []
    for index, step in enumerate(steps):
        rows = _rows(steps, index, values)
        value = np.zeros((batch, 0), np.int64)
        if len(rows):
            after, tapes = lstm_step(parameters, inputs[rows], state[:, :, rows])
            hidden = after[0, -1]
            tape, scores = _look(parameters, scopes, step, rows, hidden)
            own_logits = logits.of(scores)
            distribution = _distribution(step, own_logits)
            if distribution is not None:
                value = decide(index, rows, distribution)
                log_probabilities[rows] += distribution.log_probability(value)
                entropies[rows] += distribution.entropy()
            moves.append(_Move(step, rows, hidden, tapes, tape, own_logits, distribution, value))
            following = _next_inputs(parameters, scopes, step, rows, value)
            if len(rows) == batch:
                inputs, state = following, after
            else:
                inputs, state = inputs.copy(), state.copy()
                inputs[rows], state[:, :, rows] = following, after
            if isinstance(step, Links | Point):
                scopes[step.scope].add(hidden)
        decided = dict(zip(rows.tolist(), value.tolist(), strict=False))
        for row, own in enumerate(values):
            own.append(tuple(decided.get(row, ())))
    tokens = tuple(tuple(chain.from_iterable(own)) for own in values)
    return Walk(tokens, log_probabilities, entropies, parameters, logits, scopes, tuple(moves))


def _open_scopes(parameters: Mapping[str, Array], steps: StepList, batch: int) -> dict[str, Points]:
    units = len(parameters[START])
    totals = dict(steps.initial_points)
    for step in steps:
        if isinstance(step, Links | Point):
            totals[step.scope] = totals.get(step.scope, 0) + 1
    return {
        scope: Points(parameters, parameters.get(anchors_name(scope), np.empty((0, units))), batch, total)
        for scope, total in totals.items()
    }


def _rows(steps: StepList, index: int, values: list[list[Tokens]]) -> Rows:
    """The rows for which step `index` is on."""
    if getattr(steps[index], "when", None) is None:
        return np.arange(len(values))
    return np.flatnonzero([steps.is_on(index, own) for own in values])


def _look(
    parameters: Mapping[str, Array], scopes: Mapping[str, Points], step: Step, rows: Rows, hidden: Array
) -> tuple[ScoresTape | None, Array]:
    """The scores with which a step decides, with shape `(rows, scores)`; a point has none."""
    if isinstance(step, Point):
        return None, np.zeros((len(rows), 0))
    if isinstance(step, Choice):
        kernel, bias = (parameters[name] for name in head_names(step.kind))
        return None, hidden @ kernel + bias
    scores, tape = scopes[step.scope].scores(step.kind, rows, hidden)
    return tape, scores


def _distribution(step: Step, logits: Array) -> Distribution | None:
    """The distribution of a step's decision; None for a point, which decides nothing."""
    if isinstance(step, Point):
        return None
    return Bernoullis(logits) if isinstance(step, Links) else Categorical(logits)


def _next_inputs(
    parameters: Mapping[str, Array], scopes: Mapping[str, Points], step: Step, rows: Rows, value: Integers
) -> Array:
    """What the LSTM reads after a step."""
    if isinstance(step, Point):
        return np.tile(parameters[START], (len(rows), 1))
    if isinstance(step, Choice):
        return parameters[embedding_name(step.kind)][value[:, 0]]
    anchors = scopes[step.scope].anchors
    if isinstance(step, Pick):
        return np.asarray(anchors[rows, value[:, 0]])
    means = (_shares(value)[:, None, :] @ anchors[:, : value.shape[1]])[:, 0]
    means[~value.any(axis=1)] = parameters[START]
    return np.asarray(means)


def _shares(bits: Integers) -> Array:
    """The weight of each point in the mean of those that are linked."""
    return np.asarray(bits / np.maximum(1, bits.sum(axis=1, keepdims=True)))


class _WayBack:
    """Backpropagation through a walk, from the last step to the first."""

    def __init__(
        self,
        walk: Walk,
        d_log_probabilities: Array,
        d_entropies: Array,
        gradient: dict[str, Array],
    ) -> None:
        self.parameters, self.logits = walk._parameters, walk._logits
        self.d_log_probabilities = d_log_probabilities[:, None]
        self.d_entropies = d_entropies[:, None]
        self.gradient = gradient
        self.scopes = {scope: PointsGradient(points, gradient) for scope, points in walk._scopes.items()}
        batch, units = len(walk.tokens), len(self.parameters[START])
        self.d_inputs = np.zeros((batch, units))
        self.d_state = np.zeros((2, lstm_layers(self.parameters), batch, units))

    def take(self, move: _Move) -> None:
        """Goes back over one step."""
        rows, step = move.rows, move.step
        self._through_next_inputs(move, self.d_inputs[rows])
        d_after = self.d_state[:, :, rows]  # a copy, since rows are indices
        d_after[0, -1] += self._through_decision(move)
        if isinstance(step, Links | Point):
            d_after[0, -1] += self.scopes[step.scope].of_last_anchor()
        d_inputs, d_before = lstm_gradient(self.parameters, move.layers, d_after, self.gradient)
        self.d_inputs[rows] = d_inputs
        self.d_state[:, :, rows] = d_before

    def _through_next_inputs(self, move: _Move, d_next: Array) -> None:
        step, value = move.step, move.value
        if isinstance(step, Point):
            self.gradient[START] += d_next.sum(axis=0)
        elif isinstance(step, Choice):
            np.add.at(self.gradient[embedding_name(step.kind)], value[:, 0], d_next)
        elif isinstance(step, Pick):
            self.scopes[step.scope].d_anchors[move.rows, value[:, 0]] += d_next
        else:
            d_anchors = self.scopes[step.scope].d_anchors
            d_anchors[:, : value.shape[1]] += _shares(value)[:, :, None] * d_next[:, None, :]
            self.gradient[START] += d_next[~value.any(axis=1)].sum(axis=0)

    def _through_decision(self, move: _Move) -> Array:
        """The gradient for the hidden states with which a step decided."""
        step, distribution = move.step, move.distribution
        if isinstance(step, Point) or distribution is None:
            return np.zeros_like(move.hidden)
        d_logits = self.d_log_probabilities[move.rows] * distribution.d_log_probability(move.value)
        d_logits += self.d_entropies[move.rows] * distribution.d_entropy()
        d_scores = self.logits.through(move.logits, d_logits)
        if not isinstance(step, Choice) and move.scores is not None:
            return self.scopes[step.scope].through_scores(move.scores, d_scores)
        kernel, bias = head_names(step.kind)
        self.gradient[kernel] += move.hidden.T @ d_scores
        self.gradient[bias] += d_scores.sum(axis=0)
        return np.asarray(d_scores @ self.parameters[kernel].T)

    def arrive(self) -> None:
        """Hands what is left to the first input and to the initial points."""
        self.gradient[START] += self.d_inputs.sum(axis=0)
        for scope, points in self.scopes.items():
            while points.left:
                d_anchor = points.of_last_anchor()
                self.gradient[anchors_name(scope)][points.left] += d_anchor.sum(axis=0)

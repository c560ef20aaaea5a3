"""The policy of the papers' controllers: an LSTM that writes an architecture down, decision by decision.

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from nas.controllers.decisions import (
    Bernoullis,
    BoundedLogits,
    Categorical,
    Distribution,
    Integers,
    Logits,
    Points,
    PointsGradient,
    Rows,
    ScoresTape,
    Term,
    attention_names,
)
from nas.controllers.lstm import (
    Array,
    LayerTape,
    bias_name,
    copied,
    fitting,
    kernel_name,
    lstm_gradient,
    lstm_layers,
    lstm_step,
)
from nas.errors import InputError
from nas.spaces import Choice, Links, Pick, Point, Space, Step, StepList, Tokens

GROWTHS = 8
"""How often the depth grows in the depths that a policy is made for; Zoph & Le's search ends after 7."""

Written = Sequence[tuple[int, Tokens]]
"""Architectures as they were written down: depth and tokens of each."""

DTerms = Sequence[tuple[Term, Array]]
"""Terms, each with the derivative of an objective for its value, with shape `(batch,)`."""

Decide = Callable[[int, Rows, Distribution], Integers]
"""Decides a step (its index) for the rows that take it: by chance, or as given token strings say."""

LogitsOf = Callable[[Step], Logits]
"""What becomes of a step's scores before the softmax or sigmoid: chosen for each kind of step."""


def scores_as_logits(step: Step) -> Logits:
    """The logits of a plain policy: the scores themselves."""
    return BoundedLogits()


# --- parameters -------------------------------------------------------------------------------------

START = "start"
"""The parameter that the LSTM reads where there is nothing else to read, with shape `(units,)`."""

Shapes = dict[str, tuple[int, ...]]
"""Shapes of parameters by name."""


def head_names(kind: str) -> tuple[str, str]:
    """The parameters of a kind's softmax: W `(units, options)` and b `(options,)`."""
    return f"head/{kind}/kernel", f"head/{kind}/bias"


def embedding_name(kind: str) -> str:
    """The parameter that embeds a kind's options as inputs, with shape `(options, units)`."""
    return f"embedding/{kind}"


def anchors_name(scope: str) -> str:
    """The parameter that holds the anchors of a scope's initial points, with shape `(points, units)`."""
    return f"anchors/{scope}"


def lstm_shapes(layers: int, units: int) -> Shapes:
    """Shapes of the LSTM's parameters and of its first input, which is as wide as all its inputs."""
    shapes: Shapes = {START: (units,)}
    for layer in range(layers):
        shapes |= {kernel_name(layer): (2 * units, 4 * units), bias_name(layer): (4 * units,)}
    return shapes


def with_steps(shapes: Shapes, steps: StepList) -> Shapes:
    """Shapes of `shapes` and of what else `steps` need.

    Raises:
        InputError: a choice has another number of options than others of its kind, or a scope begins
            with another number of points than at other depths.
    """
    shapes = dict(shapes)
    (units,) = shapes[START]
    for scope, count in steps.initial_points.items():
        known = shapes.setdefault(anchors_name(scope), (count, units))[0]
        if known != count:
            raise InputError(
                f"the initial points of a scope have learned anchors, so that their number can't depend on "
                f"the depth; '{scope}' has {count} and {known}"
            )
    for step in steps:
        if isinstance(step, Choice):
            count = len(step.options)
            kernel, bias = head_names(step.kind)
            known = shapes.setdefault(bias, (count,))[0]
            if known != count:
                raise InputError(
                    f"choices of one kind share a softmax, so that all need as many options; '{step.name}' "
                    f"of kind '{step.kind}' has {count}, others have {known}"
                )
            shapes |= {kernel: (units, count), embedding_name(step.kind): (count, units)}
        elif not isinstance(step, Point):
            previous, current, vector = attention_names(step.kind)
            shapes |= {previous: (units, units), current: (units, units), vector: (units,)}
    return shapes


# --- the policy -------------------------------------------------------------------------------------


class LstmPolicy:
    """Probabilities of token strings, of any list of steps, with trainable parameters.

    An LSTM of `layers` × `units`, all inputs being as wide as the units; for each kind of choice a
    softmax and an embedding, for each kind of links or picks an attention, learned anchors for the initial
    points of a scope, and a learned first input. This module's docstring says how they work together.

    All is computed in float64 by NumPy, in the calling process: on a machine, equal parameters and random
    numbers give equal results to the bit, since the matrices are too small for BLAS to use threads.

    Attributes:
        parameters: all trainable arrays by name. Whoever trains changes them in place.

    Args:
        space: its steps say which parameters there are.
        layers, units: of the LSTM (Zoph & Le, 2017, §4.1: 2 layers of 35).
        init_scale: parameters begin uniformly in ±`init_scale` (§4.1: 0.08). The paper says "weights"; here
            biases, embeddings, anchors and the first input begin so too, and forget gates get no head start.
        random: for the first values.
        logits: what becomes of each step's scores before the softmax or sigmoid.

    Raises:
        InputError: choices of one kind have different numbers of options, or the scopes' initial points
            depend on the depth.
    """

    def __init__(
        self,
        space: Space,
        *,
        layers: int,
        units: int,
        init_scale: float,
        random: np.random.Generator,
        logits: LogitsOf = scores_as_logits,
    ) -> None:
        self.space = space
        self._logits = logits
        self._depths = {space.depth.at(growth * space.depth.every) for growth in range(GROWTHS)}
        shapes = lstm_shapes(layers, units)
        for depth in sorted(self._depths):
            shapes = with_steps(shapes, space.steps(depth))
        self.parameters: dict[str, Array] = {
            name: random.uniform(-init_scale, init_scale, shape) for name, shape in shapes.items()
        }

    def sample(self, depth: int, count: int, random: np.random.Generator) -> Rollout:
        """Writes `count` architectures of `depth` by chance."""

        def decide(index: int, rows: Rows, distribution: Distribution) -> Integers:
            return distribution.sample(random)

        return self._rollout(depth, count, decide)

    def follow(self, written: Written) -> Rollouts:
        """The probabilities of given token strings under the present parameters.

        Raises:
            InputError: tokens don't fit the space's steps of their depth.
        """
        log_probabilities = np.zeros(len(written))
        parts = []
        for depth in dict.fromkeys(depth for depth, _ in written):
            rows = np.array([row for row, (own, _) in enumerate(written) if own == depth])
            part = self._follow(depth, [written[row][1] for row in rows])
            log_probabilities[rows] = part.log_probabilities
            parts.append((rows, part))
        return Rollouts(log_probabilities, tuple(parts))

    def gradient(
        self, rollouts: Rollouts, d_log_probabilities: Array, d_terms: DTerms = ()
    ) -> dict[str, Array]:
        """Gradient of an objective for the parameters, exact, by its derivatives for what `follow` gave.

        That is the gradient of Σ_k d_log_probabilities[k] log P_k + Σ_t Σ_k d_t[k] T_t,k. Terms are
        differentiated along the paths as sampled: that other parameters would sample other paths, whose
        conditional entropies differ, is left out, as in the papers' code.

        Args:
            rollouts: from `follow`; the parameters must not have changed since.
            d_log_probabilities: derivative of the objective for each log-probability, with shape `(batch,)`.
            d_terms: terms, with the derivatives of the objective for their values.
        """
        gradient = {name: np.zeros_like(array) for name, array in self.parameters.items()}
        for rows, part in rollouts.parts:
            of_part = [(term, derivative[rows]) for term, derivative in d_terms]
            part.backward(d_log_probabilities[rows], of_part, gradient)
        return gradient

    def state(self) -> dict[str, Array]:
        """Copies of all parameters."""
        return copied(self.parameters)

    def restore(self, state: Any) -> None:
        """Takes up a `state()`.

        Raises:
            InputError: it doesn't fit this policy; the message names the first array that doesn't.
        """
        for name, array in fitting(state, self.parameters, "the state's parameters").items():
            self.parameters[name][...] = array

    def _follow(self, depth: int, strings: Sequence[Tokens]) -> Rollout:
        steps = self.space.steps(depth)
        values = [steps.split(tokens) for tokens in strings]

        def decide(index: int, rows: Rows, distribution: Distribution) -> Integers:
            width = steps.widths[index]
            return np.array([values[row][index] for row in rows], dtype=np.int64).reshape(len(rows), width)

        return self._rollout(depth, len(strings), decide)

    def _rollout(self, depth: int, batch: int, decide: Decide) -> Rollout:
        steps = self.space.steps(depth)
        if depth not in self._depths:
            known = {name: array.shape for name, array in self.parameters.items()}
            new = sorted(with_steps(known, steps).keys() - known.keys())
            if new:
                raise InputError(
                    f"the space needs '{new[0]}' at depth {depth} but at none of {sorted(self._depths)}: all "
                    f"kinds of steps must occur in the first {GROWTHS} depths of its schedule"
                )
            self._depths.add(depth)
        return rollout(self.parameters, steps, batch, decide, self._logits)


# --- rollout and backward pass ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Taken:
    """One step as taken by `rows`: all that its gradient needs."""

    step: Step
    rows: Rows
    hidden: Array
    layers: tuple[LayerTape, ...]
    scores: ScoresTape | None
    logits: Array
    distribution: Distribution | None
    value: Integers


@dataclass(frozen=True)
class Rollout:
    """One batch's way through the steps of a depth; its gradient is right until the parameters change.

    Attributes:
        tokens: what was decided for each architecture.
        log_probabilities: of each token string, with shape `(batch,)`.
    """

    tokens: tuple[Tokens, ...]
    log_probabilities: Array
    _parameters: Mapping[str, Array]
    _logits: LogitsOf
    _scopes: Mapping[str, Points]
    _taken: tuple[_Taken, ...]

    def value(self, term: Term) -> Array:
        """Sum of a term over the steps that each architecture took, with shape `(batch,)`."""
        out = np.zeros(len(self.tokens))
        for taken in self._taken:
            if taken.distribution is not None:
                out[taken.rows] += term.value(taken.step, taken.distribution, taken.value)
        return out

    def backward(self, d_log_probabilities: Array, d_terms: DTerms, gradient: dict[str, Array]) -> None:
        """Adds to `gradient` that of Σ_k d_log_probabilities[k] log P_k + Σ_t Σ_k d_t[k] T_t,k.

        The tokens are constants in it: terms are differentiated along the path as sampled.

        Args:
            d_log_probabilities: derivative of an objective for the log-probabilities, with shape `(batch,)`.
            d_terms: terms, with the objective's derivatives for their values.
            gradient: of all parameters, by name.
        """
        backward = _Backward(self, d_log_probabilities, d_terms, gradient)
        for taken in reversed(self._taken):
            backward.through(taken)
        backward.into_beginning()


@dataclass(frozen=True)
class Rollouts:
    """Rollouts of a batch whose architectures may differ in depth: one for each depth.

    Attributes:
        log_probabilities: in the order in which the architectures were given, with shape `(batch,)`.
        parts: for each depth the positions in that order, and their rollout.
    """

    log_probabilities: Array
    parts: tuple[tuple[Rows, Rollout], ...]

    def value(self, term: Term) -> Array:
        """Sum of a term over each architecture's steps, in the order given, with shape `(batch,)`."""
        out = np.zeros(len(self.log_probabilities))
        for rows, part in self.parts:
            out[rows] = part.value(term)
        return out


def rollout(
    parameters: Mapping[str, Array], steps: StepList, batch: int, decide: Decide, logits: LogitsOf
) -> Rollout:
    """Rollout of a batch through `steps`, with the LSTM's state zero before the first.

    Args:
        parameters: the policy's arrays, each under the name that the module which uses it gives it.
        steps: of one depth.
        batch: how many architectures.
        decide: called for each step at which there is something to decide.
        logits: of each step.
    """
    inputs = np.tile(parameters[START], (batch, 1))
    state = np.zeros((2, lstm_layers(parameters), *inputs.shape))
    scopes = _open_scopes(parameters, steps, batch)
    values: list[list[Tokens]] = [[] for _ in range(batch)]
    log_probabilities = np.zeros(batch)
    all_taken = []
    for index, step in enumerate(steps):
        rows = _rows(steps, index, values)
        value = np.zeros((batch, 0), np.int64)
        if len(rows):
            after, tapes = lstm_step(parameters, inputs[rows], state[:, :, rows])
            hidden = after[0, -1]
            tape, scores = _look(parameters, scopes, step, rows, hidden)
            own_logits = logits(step).of(scores)
            distribution = _distribution(step, own_logits)
            if distribution is not None:
                value = decide(index, rows, distribution)
                log_probabilities[rows] += distribution.log_probability(value)
            all_taken.append(_Taken(step, rows, hidden, tapes, tape, own_logits, distribution, value))
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
    return Rollout(tokens, log_probabilities, parameters, logits, scopes, tuple(all_taken))


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
    """Inputs that the LSTM reads after a step."""
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


class _Backward:
    """Backpropagation through a rollout, from the last step to the first."""

    def __init__(
        self,
        rollout: Rollout,
        d_log_probabilities: Array,
        d_terms: DTerms,
        gradient: dict[str, Array],
    ) -> None:
        self.parameters, self.logits = rollout._parameters, rollout._logits
        self.d_log_probabilities = d_log_probabilities[:, None]
        self.d_terms = [(term, derivative[:, None]) for term, derivative in d_terms]
        self.gradient = gradient
        self.scopes = {scope: PointsGradient(points, gradient) for scope, points in rollout._scopes.items()}
        batch, units = len(rollout.tokens), len(self.parameters[START])
        self.d_inputs = np.zeros((batch, units))
        self.d_state = np.zeros((2, lstm_layers(self.parameters), batch, units))

    def through(self, taken: _Taken) -> None:
        """Goes back through one step."""
        rows, step = taken.rows, taken.step
        self._through_next_inputs(taken, self.d_inputs[rows])
        d_after = self.d_state[:, :, rows]  # a copy, since rows are indices
        d_after[0, -1] += self._through_decision(taken)
        if isinstance(step, Links | Point):
            d_after[0, -1] += self.scopes[step.scope].of_last_anchor()
        d_inputs, d_before = lstm_gradient(self.parameters, taken.layers, d_after, self.gradient)
        self.d_inputs[rows] = d_inputs
        self.d_state[:, :, rows] = d_before

    def _through_next_inputs(self, taken: _Taken, d_next: Array) -> None:
        step, value = taken.step, taken.value
        if isinstance(step, Point):
            self.gradient[START] += d_next.sum(axis=0)
        elif isinstance(step, Choice):
            np.add.at(self.gradient[embedding_name(step.kind)], value[:, 0], d_next)
        elif isinstance(step, Pick):
            self.scopes[step.scope].d_anchors[taken.rows, value[:, 0]] += d_next
        else:
            d_anchors = self.scopes[step.scope].d_anchors
            d_anchors[:, : value.shape[1]] += _shares(value)[:, :, None] * d_next[:, None, :]
            self.gradient[START] += d_next[~value.any(axis=1)].sum(axis=0)

    def _through_decision(self, taken: _Taken) -> Array:
        """The gradient for the hidden states with which a step decided."""
        step, distribution = taken.step, taken.distribution
        if isinstance(step, Point) or distribution is None:
            return np.zeros_like(taken.hidden)
        d_logits = self.d_log_probabilities[taken.rows] * distribution.d_log_probability(taken.value)
        for term, derivative in self.d_terms:
            d_logits += derivative[taken.rows] * term.derivative(step, distribution, taken.value)
        d_scores = self.logits(step).backward(taken.logits, d_logits)
        if not isinstance(step, Choice) and taken.scores is not None:
            return self.scopes[step.scope].backward_scores(taken.scores, d_scores)
        kernel, bias = head_names(step.kind)
        self.gradient[kernel] += taken.hidden.T @ d_scores
        self.gradient[bias] += d_scores.sum(axis=0)
        return np.asarray(d_scores @ self.parameters[kernel].T)

    def into_beginning(self) -> None:
        """Hands what is left to the first input and to the initial points."""
        self.gradient[START] += self.d_inputs.sum(axis=0)
        for scope, points in self.scopes.items():
            while points.left:
                d_anchor = points.of_last_anchor()
                self.gradient[anchors_name(scope)][points.left] += d_anchor.sum(axis=0)

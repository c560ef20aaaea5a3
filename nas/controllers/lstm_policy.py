"""The controller's network: an LSTM that writes a network down step by step, in plain NumPy.

It is small (35 units in the paper) and runs thousands of tiny steps, which a framework's overhead
would dominate; written out, forward and backward, it takes milliseconds, is exact in float64, equal
on every machine, and keeps the framework of the children out of the search's process.

Sources: Zoph & Le (2017), §3.1 (softmax for each decision, sampled token fed back in), §3.2 (anchor
points, equation 5), appendix A (2 layers of 35 units, weights U(-0.08, 0.08)); Bahdanau et al.
(2015) for the attention's form; Hochreiter & Schmidhuber (1997) with forget gates for the LSTM.

Differs from the paper, which leaves open: what follows a `Links` or `Pick` step as input (the mean
of the chosen anchors, as in ENAS; the start vector if none was chosen or after a bare `Point`), and
biases (uniform like all weights).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.errors import InputError
from nas.spaces import Choice, Links, Pick, Point, StepList

Array = np.ndarray
Parameters = dict[str, Array]

Decide = Callable[[int, Array], Array]
"""Gives the tokens of step `index` from its probabilities: `(batch, options)` → `(batch,)` for a
choice or pick, `(batch, earlier points)` → bits of the same shape for links."""


@dataclass
class _Taken:
    """What the backward pass needs of one step."""

    on: Array
    """`(batch, 1)`, 1 where the step was taken."""
    inputs: list[Array] = field(default_factory=list)
    """For each layer `(batch, 2·units)`: its input beside its previous output."""
    gates: list[tuple[Array, ...]] = field(default_factory=list)
    """For each layer: input, forget, cell and output gate, previous and new cell state's tanh."""
    output: Array = field(default_factory=lambda: np.empty(0))
    tokens: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    probabilities: Array = field(default_factory=lambda: np.empty(0))
    entropy: Array = field(default_factory=lambda: np.empty(0))
    """`(batch,)`, or for links `(batch, earlier points)`, in nats."""
    scores: Array = field(default_factory=lambda: np.empty(0))
    hidden: Array = field(default_factory=lambda: np.empty(0))
    """Of the attention, after tanh: `(batch, earlier points, units)`."""


@dataclass
class Rollout:
    """A batch of token strings written by the policy, with what its gradient needs.

    Attributes:
        tokens: for each step an integer array `(batch,)`, or `(batch, earlier points)` for links.
        log_probabilities: `(batch,)`, natural logarithms of the whole strings' probabilities.
        entropies: `(batch,)`, sums over the steps of the entropies of their distributions given
            what was decided before, in nats.
    """

    steps: StepList
    tokens: list[Array]
    log_probabilities: Array
    entropies: Array
    _taken: list[_Taken]
    _anchors: dict[str, list[Array]]

    def strings(self) -> list[tuple[int, ...]]:
        """The flat token strings, steps that are off left out."""
        rows = []
        for row in range(len(self.log_probabilities)):
            flat: list[int] = []
            for taken, tokens in zip(self._taken, self.tokens, strict=True):
                if taken.on[row, 0]:
                    flat.extend(int(token) for token in np.atleast_1d(tokens[row]))
            rows.append(tuple(flat))
        return rows


class LstmPolicy:
    """An LSTM with one softmax head and one embedding for each kind of choice, and attention.

    Args:
        step_lists: lists of steps whose kinds the policy must know (one for each kind of depth).
        units: size of each LSTM layer, of embeddings and of the attention.
        layers: number of LSTM layers.
        init_scale: every weight and bias starts uniform in ±init_scale.
        random: generator of the initial weights.

    Raises:
        InputError: choices of one kind have different numbers of options.
    """

    def __init__(
        self,
        step_lists: Sequence[StepList],
        *,
        units: int,
        layers: int,
        init_scale: float,
        random: np.random.Generator,
    ) -> None:
        self.units = units
        self.layers = layers
        self._options: dict[str, int] = {}
        shapes = self._shapes(step_lists)
        self.parameters: Parameters = {
            name: random.uniform(-init_scale, init_scale, shape) for name, shape in shapes.items()
        }

    def _shapes(self, step_lists: Sequence[StepList]) -> dict[str, tuple[int, ...]]:
        units = self.units
        shapes: dict[str, tuple[int, ...]] = {"start": (units,)}
        for layer in range(self.layers):
            shapes[f"lstm{layer}/kernel"] = (2 * units, 4 * units)
            shapes[f"lstm{layer}/bias"] = (4 * units,)
        for steps in step_lists:
            for scope, count in steps.initial_points.items():
                shapes[f"initial/{scope}"] = (count, units)
            for step in steps:
                if isinstance(step, Choice):
                    options = len(step.options)
                    if self._options.setdefault(step.kind, options) != options:
                        raise InputError(
                            f"choices of kind '{step.kind}' share a head, so they need equally many options; "
                            f"'{step.name}' has {options}, another {self._options[step.kind]}"
                        )
                    shapes[f"embedding/{step.kind}"] = (options, units)
                    shapes[f"head/{step.kind}/kernel"] = (units, options)
                    shapes[f"head/{step.kind}/bias"] = (options,)
                elif isinstance(step, Pick | Links):
                    shapes[f"attention/{step.kind}/previous"] = (units, units)
                    shapes[f"attention/{step.kind}/current"] = (units, units)
                    shapes[f"attention/{step.kind}/vector"] = (units,)
        return shapes

    # --- forward -----------------------------------------------------------------------------------

    def sample(self, steps: StepList, count: int, random: np.random.Generator) -> Rollout:
        """Writes `count` token strings for `steps`."""

        def draw(index: int, probabilities: Array) -> Array:
            if isinstance(steps[index], Links):
                return (random.random(probabilities.shape) < probabilities).astype(np.int64)
            below = probabilities.cumsum(axis=1)[:, :-1]  # without the last: rounding can't pass it
            return np.asarray((random.random((count, 1)) >= below).sum(axis=1), dtype=np.int64)

        return self._run(steps, count, draw)

    def read(self, steps: StepList, strings: Sequence[Sequence[int]]) -> Rollout:
        """Goes through given token strings of `steps` under the present weights.

        Raises:
            InputError: a string doesn't fit the steps.
        """
        split = [steps.split(string) for string in strings]

        def given(index: int, probabilities: Array) -> Array:
            width = steps.widths[index]
            rows = [values[index] or (0,) * width for values in split]  # steps off: ignored zeros
            tokens = np.array(rows, dtype=np.int64).reshape(len(rows), width)
            return tokens if isinstance(steps[index], Links) else tokens[:, 0]

        return self._run(steps, len(strings), given)

    def _run(self, steps: StepList, batch: int, decide: Decide) -> Rollout:
        weights, units = self.parameters, self.units
        self._check_kinds(steps)
        outputs = [np.zeros((batch, units)) for _ in range(self.layers)]
        cells = [np.zeros((batch, units)) for _ in range(self.layers)]
        start = np.broadcast_to(weights["start"], (batch, units))
        fed: Array = start
        anchors = {
            scope: [np.broadcast_to(row, (batch, units)) for row in weights[f"initial/{scope}"]]
            for scope in steps.initial_points
        }
        projected: dict[tuple[str, str], list[Array]] = {}
        log_probabilities, entropies = np.zeros(batch), np.zeros(batch)
        rollout = Rollout(steps, [], log_probabilities, entropies, [], anchors)
        for index, step in enumerate(steps):
            taken = _Taken(on=self._on(steps, index, rollout.tokens, batch))
            on, everywhere = taken.on, bool(taken.on.all())
            x = fed
            for layer in range(self.layers):
                joined = np.concatenate((x, outputs[layer]), axis=1)
                z = joined @ weights[f"lstm{layer}/kernel"] + weights[f"lstm{layer}/bias"]
                squashed = _sigmoid(z)
                i, f, o = (squashed[:, g * units : (g + 1) * units] for g in (0, 1, 3))
                g = np.tanh(z[:, 2 * units : 3 * units])
                cell = f * cells[layer] + i * g
                cell_tanh = np.tanh(cell)
                x = o * cell_tanh
                taken.inputs.append(joined)
                taken.gates.append((i, f, g, o, cells[layer], cell_tanh))
                cells[layer] = cell if everywhere else np.where(on, cell, cells[layer])
                outputs[layer] = x if everywhere else np.where(on, x, outputs[layer])
            taken.output = x
            match step:
                case Choice(kind=kind):
                    logits = x @ weights[f"head/{kind}/kernel"] + weights[f"head/{kind}/bias"]
                    self._choose(index, taken, logits, decide)
                    following = weights[f"embedding/{kind}"][taken.tokens]
                case Pick(kind=kind, scope=scope):
                    self._attend(taken, kind, scope, anchors, projected)
                    self._choose(index, taken, taken.scores, decide)
                    following = np.stack(anchors[scope], axis=1)[np.arange(batch), taken.tokens]
                case Links(kind=kind, scope=scope) if anchors.get(scope):
                    self._attend(taken, kind, scope, anchors, projected)
                    self._link(index, taken, decide)
                    following = _mean(np.stack(anchors[scope], axis=1), taken.tokens, start)
                case _:
                    taken.tokens = np.zeros((batch, 0), dtype=np.int64)
                    following = start
            if taken.probabilities.size:
                logs = _log_probability(taken)
                log_probabilities += logs if everywhere else on[:, 0] * logs
                entropy = taken.entropy.sum(axis=1) if taken.entropy.ndim == 2 else taken.entropy
                entropies += entropy if everywhere else on[:, 0] * entropy
            if isinstance(step, Links | Point):
                anchors.setdefault(step.scope, []).append(x)
            fed = following if everywhere else np.where(on, following, fed)
            rollout.tokens.append(taken.tokens)
            rollout._taken.append(taken)
        return rollout

    def _check_kinds(self, steps: StepList) -> None:
        for step in steps:
            if isinstance(step, Choice) and self._options.get(step.kind) != len(step.options):
                raise InputError(
                    f"this policy was built without the choice '{step.name}' of kind '{step.kind}'"
                )

    @staticmethod
    def _on(steps: StepList, index: int, tokens: Sequence[Array], batch: int) -> Array:
        condition = steps.condition(index)
        if condition is None:
            return np.ones((batch, 1))
        parent, allowed = condition
        parent_on = LstmPolicy._on(steps, parent, tokens, batch)
        return parent_on * np.isin(tokens[parent], sorted(allowed)).astype(np.float64)[:, None]

    def _attend(
        self,
        taken: _Taken,
        kind: str,
        scope: str,
        anchors: Mapping[str, list[Array]],
        projected: dict[tuple[str, str], list[Array]],
    ) -> None:
        """Scores `vᵀ tanh(W_prev h_j + W_curr h_i)` of every earlier point j (Zoph & Le, equation 5)."""
        weights = self.parameters
        known = projected.setdefault((kind, scope), [])
        known.extend(
            anchor @ weights[f"attention/{kind}/previous"] for anchor in anchors[scope][len(known) :]
        )
        current = taken.output @ weights[f"attention/{kind}/current"]
        taken.hidden = np.tanh(np.stack(known, axis=1) + current[:, None, :])
        taken.scores = taken.hidden @ weights[f"attention/{kind}/vector"]

    @staticmethod
    def _choose(index: int, taken: _Taken, logits: Array, decide: Decide) -> None:
        shifted = logits - logits.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        taken.probabilities = np.exp(logs)
        taken.scores = logs
        taken.tokens = decide(index, taken.probabilities)
        taken.entropy = -(taken.probabilities * logs).sum(axis=1)

    @staticmethod
    def _link(index: int, taken: _Taken, decide: Decide) -> None:
        taken.probabilities = _sigmoid(taken.scores)
        taken.tokens = decide(index, taken.probabilities)
        p, s = taken.probabilities, taken.scores
        taken.entropy = np.logaddexp(0.0, s) - p * s  # -p log p - (1-p) log(1-p)

    # --- backward ----------------------------------------------------------------------------------

    def backward(self, rollout: Rollout, of_log: Array, of_entropy: Array) -> Parameters:
        """The gradient of a loss by the parameters.

        Args:
            rollout: of this policy under its present weights.
            of_log: `(batch,)`, derivative of the loss by each string's log-probability.
            of_entropy: `(batch,)`, derivative of the loss by each string's entropy.

        Returns:
            Arrays named and shaped like the parameters.
        """
        weights, units = self.parameters, self.units
        batch = len(rollout.log_probabilities)
        gradient = {name: np.zeros_like(value) for name, value in weights.items()}
        d_outputs = [np.zeros((batch, units)) for _ in range(self.layers)]
        d_cells = [np.zeros((batch, units)) for _ in range(self.layers)]
        d_anchors = {
            scope: [np.zeros((batch, units)) for _ in anchors] for scope, anchors in rollout._anchors.items()
        }
        later = {scope: len(anchors) for scope, anchors in rollout._anchors.items()}
        d_fed = np.zeros((batch, units))
        for index in range(len(rollout.steps) - 1, -1, -1):
            step, taken = rollout.steps[index], rollout._taken[index]
            on = taken.on
            d_following, d_fed = d_fed * on, d_fed * (1.0 - on)
            d_top = np.zeros((batch, units))
            if isinstance(step, Links | Point):
                later[step.scope] -= 1
                d_top += d_anchors[step.scope][later[step.scope]]
            log_on, entropy_on = of_log[:, None] * on, of_entropy[:, None] * on
            if isinstance(step, Choice):
                np.add.at(gradient[f"embedding/{step.kind}"], taken.tokens, d_following)
                d_logits = _softmax_gradient(taken, log_on, entropy_on)
                gradient[f"head/{step.kind}/kernel"] += taken.output.T @ d_logits
                gradient[f"head/{step.kind}/bias"] += d_logits.sum(axis=0)
                d_top += d_logits @ weights[f"head/{step.kind}/kernel"].T
            elif taken.hidden.size:
                chosen = self._chosen(step, taken)  # (batch, points): share of each anchor in the input
                for point in range(chosen.shape[1]):
                    d_anchors[step.scope][point] += chosen[:, point, None] * d_following
                none = 1.0 - chosen.sum(axis=1, keepdims=True)
                gradient["start"] += (none * d_following).sum(axis=0)
                if isinstance(step, Pick):
                    d_scores = _softmax_gradient(taken, log_on, entropy_on)
                else:
                    p = taken.probabilities
                    d_scores = log_on * (taken.tokens - p) - entropy_on * taken.scores * p * (1.0 - p)
                d_top += self._attention_gradient(step, taken, d_scores, rollout, d_anchors, gradient)
            else:
                gradient["start"] += d_following.sum(axis=0)
            for layer in range(self.layers - 1, -1, -1):
                d_below = self._lstm_gradient(layer, taken, d_top, d_outputs, d_cells, gradient)
                d_top = d_below
            d_fed += d_top
        gradient["start"] += d_fed.sum(axis=0)
        for scope, count in rollout.steps.initial_points.items():
            for point in range(count):
                gradient[f"initial/{scope}"][point] += d_anchors[scope][point].sum(axis=0)
        return gradient

    @staticmethod
    def _chosen(step: Pick | Links, taken: _Taken) -> Array:
        if isinstance(step, Pick):
            return np.asarray(np.arange(taken.hidden.shape[1]) == taken.tokens[:, None], dtype=np.float64)
        return taken.tokens / np.maximum(1, taken.tokens.sum(axis=1, keepdims=True))

    def _attention_gradient(
        self,
        step: Pick | Links,
        taken: _Taken,
        d_scores: Array,
        rollout: Rollout,
        d_anchors: Mapping[str, list[Array]],
        gradient: Parameters,
    ) -> Array:
        name = f"attention/{step.kind}"
        weights, units = self.parameters, self.units
        gradient[f"{name}/vector"] += np.einsum("bk,bku->u", d_scores, taken.hidden)
        d_hidden = d_scores[:, :, None] * weights[f"{name}/vector"] * (1.0 - taken.hidden**2)
        points = d_hidden.shape[1]
        earlier = np.stack(rollout._anchors[step.scope][:points], axis=1)
        flat = d_hidden.reshape(-1, units)
        gradient[f"{name}/previous"] += earlier.reshape(-1, units).T @ flat
        d_earlier = (flat @ weights[f"{name}/previous"].T).reshape(d_hidden.shape)
        for point in range(points):
            d_anchors[step.scope][point] += d_earlier[:, point]
        d_current = d_hidden.sum(axis=1)
        gradient[f"{name}/current"] += taken.output.T @ d_current
        return np.asarray(d_current @ weights[f"{name}/current"].T)

    def _lstm_gradient(
        self,
        layer: int,
        taken: _Taken,
        d_top: Array,
        d_outputs: list[Array],
        d_cells: list[Array],
        gradient: Parameters,
    ) -> Array:
        """Goes back through one layer at one step; returns the derivative by the layer's input."""
        units, on = self.units, taken.on
        i, f, g, o, before, cell_tanh = taken.gates[layer]
        d_output = d_top + d_outputs[layer] * on
        d_cell = d_cells[layer] * on + d_output * o * (1.0 - cell_tanh**2)
        d_z = np.concatenate(
            (
                d_cell * g * i * (1.0 - i),
                d_cell * before * f * (1.0 - f),
                d_cell * i * (1.0 - g**2),
                d_output * cell_tanh * o * (1.0 - o),
            ),
            axis=1,
        )
        gradient[f"lstm{layer}/kernel"] += taken.inputs[layer].T @ d_z
        gradient[f"lstm{layer}/bias"] += d_z.sum(axis=0)
        d_joined = d_z @ self.parameters[f"lstm{layer}/kernel"].T
        d_outputs[layer] = d_outputs[layer] * (1.0 - on) + d_joined[:, units:]
        d_cells[layer] = d_cells[layer] * (1.0 - on) + d_cell * f
        return np.asarray(d_joined[:, :units])


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))  # no overflow, and one call


def _mean(anchors: Array, bits: Array, otherwise: Array) -> Array:
    """Mean of the chosen anchors `(batch, points, units)`, `otherwise` where none was chosen."""
    count = bits.sum(axis=1, keepdims=True)
    mean = np.einsum("bk,bku->bu", bits.astype(np.float64), anchors) / np.maximum(1, count)
    return np.where(count > 0, mean, otherwise)


def _log_probability(taken: _Taken) -> Array:
    if taken.tokens.ndim == 1:
        return np.asarray(taken.scores[np.arange(len(taken.tokens)), taken.tokens])
    signed = np.where(taken.tokens == 1, taken.scores, -taken.scores)
    return np.asarray(-np.logaddexp(0.0, -signed).sum(axis=1))


def _softmax_gradient(taken: _Taken, of_log: Array, of_entropy: Array) -> Array:
    """Derivative by the logits: of log p(token) it is onehot - p, of the entropy -p (log p + H)."""
    p, logs = taken.probabilities, taken.scores
    onehot = np.arange(p.shape[1]) == taken.tokens[:, None]
    return np.asarray(of_log * (onehot - p) - of_entropy * p * (logs + taken.entropy[:, None]))

"""The policy of the papers' controllers: an LSTM that writes an architecture down, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.controllers.attention import Rows
from nas.controllers.distributions import Distribution, Integers
from nas.controllers.logits import Logits
from nas.controllers.lstm import Array
from nas.controllers.parameters import copied, fitting
from nas.controllers.shapes import lstm_shapes, with_steps
from nas.controllers.walk import Decide, Walk, walk
from nas.errors import InputError
from nas.spaces import Space, Tokens

GROWTHS = 8
"""How often the depth grows in the depths that a policy is made for; Zoph & Le's search ends after 7."""

Written = Sequence[tuple[int, Tokens]]
"""Architectures as they were written down: depth and tokens of each."""


@dataclass(frozen=True)
class Walks:
    """Walks of a batch whose architectures may differ in depth: one for each depth.

    Attributes:
        log_probabilities: in the order in which the architectures were given, with shape `(batch,)`.
        entropies: in the same order, in nats (see `Walk`).
        parts: for each depth the positions in that order, and their walk.
    """

    log_probabilities: Array
    entropies: Array
    parts: tuple[tuple[Rows, Walk], ...]


class LstmPolicy:
    """Probabilities of token strings, of any list of steps, with trainable parameters.

    An LSTM of `layers` × `units`, all inputs being as wide as the units; for each kind of choice a
    softmax and an embedding, for each kind of links or picks an attention, learned anchors for the initial
    points of a scope, and a learned first input. `nas.controllers.walk` says how they work together.

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
        logits: what becomes of the scores before the softmax or sigmoid.

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
        logits: Logits = Logits(),  # noqa: B008 - a value that never changes
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

    def sample(self, depth: int, count: int, random: np.random.Generator) -> Walk:
        """Writes `count` architectures of `depth` by chance."""

        def decide(index: int, rows: Rows, distribution: Distribution) -> Integers:
            return distribution.sample(random)

        return self._walk(depth, count, decide)

    def follow(self, written: Written) -> Walks:
        """The probabilities of given token strings under the present parameters.

        Raises:
            InputError: tokens don't fit the space's steps of their depth.
        """
        log_probabilities, entropies = np.zeros(len(written)), np.zeros(len(written))
        parts = []
        for depth in dict.fromkeys(depth for depth, _ in written):
            rows = np.array([row for row, (own, _) in enumerate(written) if own == depth])
            part = self._follow(depth, [written[row][1] for row in rows])
            log_probabilities[rows], entropies[rows] = part.log_probabilities, part.entropies
            parts.append((rows, part))
        return Walks(log_probabilities, entropies, tuple(parts))

    def gradient(self, walks: Walks, d_log_probabilities: Array, d_entropies: Array) -> dict[str, Array]:
        """Gradient of an objective for the parameters, exact, by its derivatives for what `follow` gave.

        That is the gradient of Σ_k d_log_probabilities[k] log P_k + d_entropies[k] H_k. The entropies are
        differentiated along the paths as sampled: that other parameters would sample other paths, whose
        conditional entropies differ, is left out, as in the papers' code.

        Args:
            walks: from `follow`; the parameters must not have changed since.
            d_log_probabilities: derivative of the objective for each log-probability, with shape `(batch,)`.
            d_entropies: derivative of the objective for each entropy, with shape `(batch,)`.
        """
        gradient = {name: np.zeros_like(array) for name, array in self.parameters.items()}
        for rows, part in walks.parts:
            part.add_gradient(d_log_probabilities[rows], d_entropies[rows], gradient)
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

    def _follow(self, depth: int, strings: Sequence[Tokens]) -> Walk:
        steps = self.space.steps(depth)
        values = [steps.split(tokens) for tokens in strings]

        def decide(index: int, rows: Rows, distribution: Distribution) -> Integers:
            width = steps.widths[index]
            return np.array([values[row][index] for row in rows], dtype=np.int64).reshape(len(rows), width)

        return self._walk(depth, len(strings), decide)

    def _walk(self, depth: int, batch: int, decide: Decide) -> Walk:
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
        return walk(self.parameters, steps, batch, decide, self._logits)

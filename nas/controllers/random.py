"""Uniform random search, the baseline that a controller must beat at equal budget; random token strings."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain

import numpy as np

from nas.controllers.controller import Controller, Told, in_order, reward_statistics
from nas.evaluation import Proposal
from nas.spaces import StepList, Tokens

Drawn = tuple[Tokens, float]
"""A token string and the logarithm of the probability with which it was drawn."""

Kept = Callable[[int], Tokens | None]
"""The value that a step (its index) keeps; None: it is drawn afresh."""


class RandomController(Controller):
    """Uniform random search: every option of a choice, every point of a pick, each link by ½.

    Source: the control experiment of Zoph & Le (2017, §4.2). Uniform over decisions, not over
    architectures: where a decision switches others off, or several token strings write the same
    network, architectures have different probabilities.
    """

    def propose(self, count: int, begun: int) -> list[Proposal]:
        depth = self.space.depth.at(begun)
        steps = self.space.steps(depth)
        return [self._proposal(depth, *drawn(steps, self.random)) for _ in range(count)]

    def learn(self, told: Told) -> dict[str, float]:
        """Counts the update and returns its `reward/mean` and `reward/best`; nothing else changes."""
        _, rewards = in_order(told)
        self.updates += 1
        return reward_statistics(rewards)


def drawn(steps: StepList, random: np.random.Generator) -> Drawn:
    """Token string with each decision uniform: every option of a choice, every point, each link by ½."""
    return written(steps, lambda index: None, random)


def written(steps: StepList, kept: Kept, random: np.random.Generator) -> Drawn:
    """Token string of kept values where there are some, drawn ones elsewhere; their log-probability."""
    values: list[Tokens] = []
    log_probability = 0.0
    for index in range(len(steps)):
        width = steps.widths[index] if steps.is_on(index, values) else 0
        value = kept(index) if width else ()
        if value is None:
            limit = steps.limit(index)
            value = tuple(random.integers(limit, size=width).tolist())
            log_probability -= width * math.log(limit)
        values.append(value)
    return tuple(chain.from_iterable(values)), log_probability

"""Uniform random search, the baseline that a controller must beat at equal budget."""

from __future__ import annotations

import math
from itertools import chain

from nas.controllers.controller import Controller, Told
from nas.controllers.told import in_order, reward_statistics
from nas.evaluation import Proposal
from nas.spaces import StepList, Tokens


class RandomController(Controller):
    """Takes each decision uniformly: every option of a choice, every point of a pick, each link by ½.

    Source: the control experiment of Zoph & Le (2017, §4.2). Uniform over decisions, not over
    architectures: where a decision switches others off, or several token strings write the same
    network, architectures have different probabilities.
    """

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        proposals = []
        for _ in range(count):
            tokens, log_probability = self._sample(self.space.steps(depth))
            proposals.append(self._proposal(depth, tokens, log_probability))
        return proposals

    def learn(self, told: Told) -> dict[str, float]:
        """Counts the update and returns its `reward/mean` and `reward/best`; nothing else changes."""
        _, rewards = in_order(told)
        self.updates += 1
        return reward_statistics(rewards)

    def _sample(self, steps: StepList) -> tuple[Tokens, float]:
        values: list[Tokens] = []
        log_probability = 0.0
        for index in range(len(steps)):
            width = steps.widths[index] if steps.is_on(index, values) else 0
            if width:
                options = steps.limit(index)
                values.append(tuple(self.random.integers(options, size=width).tolist()))
                log_probability -= width * math.log(options)
            else:
                values.append(())
        return tuple(chain.from_iterable(values)), log_probability

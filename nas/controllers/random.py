"""Uniform random search, the baseline that a controller must beat at equal budget."""

from __future__ import annotations

from nas.controllers.controller import Controller, Told
from nas.controllers.mutation import drawn
from nas.controllers.told import in_order, reward_statistics
from nas.evaluation import Proposal


class RandomController(Controller):
    """Takes each decision uniformly: every option of a choice, every point of a pick, each link by ½.

    Source: the control experiment of Zoph & Le (2017, §4.2). Uniform over decisions, not over
    architectures: where a decision switches others off, or several token strings write the same
    network, architectures have different probabilities.
    """

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        steps = self.space.steps(depth)
        return [self._proposal(depth, *drawn(steps, self.random)) for _ in range(count)]

    def learn(self, told: Told) -> dict[str, float]:
        """Counts the update and returns its `reward/mean` and `reward/best`; nothing else changes."""
        _, rewards = in_order(told)
        self.updates += 1
        return reward_statistics(rewards)

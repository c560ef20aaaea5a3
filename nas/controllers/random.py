"""Random search: the baseline that every controller must beat at equal budget."""

from __future__ import annotations

import math

from nas.controllers.controller import Controller, Told, rewards_of
from nas.evaluation import Proposal
from nas.spaces import Links


class RandomController(Controller):
    """Every option and every earlier point with equal probability, every link with one half.

    It learns nothing, so its proposals depend on the seed alone.
    """

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        return [self._proposal(depth, *self._string(depth)) for _ in range(count)]

    def _string(self, depth: int) -> tuple[tuple[int, ...], float]:
        steps = self.space.steps(depth)
        values: list[tuple[int, ...]] = []
        log_probability = 0.0
        for index, step in enumerate(steps):
            width = steps.widths[index] if steps.is_on(index, values) else 0
            limit = 2 if isinstance(step, Links) else steps.limit(index)
            values.append(tuple(int(token) for token in self.random.integers(limit, size=width)))
            log_probability -= width * math.log(limit)
        return tuple(token for value in values for token in value), log_probability

    def learn(self, told: Told) -> dict[str, float]:
        rewards = rewards_of(told)
        self.updates += 1
        return {"reward/mean": float(rewards.mean()), "reward/best": float(rewards.max())}

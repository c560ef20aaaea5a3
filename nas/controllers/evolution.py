"""Regularized evolution, the controller of AmoebaNet (Real et al., 2019)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from nas.controllers.controller import Controller, State, Told
from nas.controllers.mutation import Drawn, drawn, mutated
from nas.controllers.options import whole
from nas.controllers.told import in_order, reward_statistics
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space, Tokens


class Evolution(Controller):
    """Aging evolution: the best of a few random members of the population has a child, the oldest dies.

    The first `population` proposals are uniformly random. From then on each proposal is a mutation (see
    `nas.controllers.mutation`) of the best among `sample` members that are drawn with replacement from
    the population: the last `population` architectures that were told. So it works on any list of steps,
    and with proposals made and told in any number and order: until something was told, proposals are random.

    Source: Real et al. (2019, Regularized Evolution for Image Classifier Architecture Search), algorithm 1;
    population 100 and sample 25 as in §3. Dong & Yang (2020, NAS-Bench-201) use 10 and 3 for about 100
    architectures.

    Differs from the paper: a mutation re-draws any one decision of the space, each with equal probability,
    where theirs first choose between hidden states, operations and no change at all (5 %).

    A proposal's log-probability is that of its mutation, given its parent; of a random one, that of its
    tokens.

    Args:
        space: what is searched.
        seed: for all its randomness.
        population: how many architectures live.
        sample: how many are drawn for a tournament.

    Raises:
        InputError: an option is not allowed.
    """

    def __init__(self, space: Space, *, seed: int = 0, population: int = 100, sample: int = 25) -> None:
        super().__init__(space, seed=seed)
        self._size, self._sample = whole("population", population), whole("sample", sample)
        if self._sample > self._size:
            raise InputError(
                "a tournament's sample must not be larger than the population. Received: "
                f"sample={sample}, population={population}"
            )
        self._members: deque[tuple[int, Tokens, float]] = deque(maxlen=self._size)

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        return [self._proposal(depth, *self._child(depth)) for _ in range(count)]

    def _child(self, depth: int) -> Drawn:
        if self.proposed < self._size or not self._members:
            return drawn(self.space.steps(depth), self.random)
        candidates = self.random.integers(len(self._members), size=self._sample).tolist()
        parent_depth, tokens, _ = max((self._members[index] for index in candidates), key=lambda one: one[2])
        return mutated(self.space.steps(parent_depth), tokens, self.space.steps(depth), self.random)

    def learn(self, told: Told) -> dict[str, float]:
        """Lets all that were told join the population, in the order of their numbers; the oldest leave it."""
        proposals, rewards = in_order(told)
        for proposal in proposals:  # before anything joins: what doesn't fit must change nothing
            self.space.steps(proposal.depth).split(proposal.tokens)
        self._members.extend(
            (proposal.depth, proposal.tokens, reward)
            for proposal, reward in zip(proposals, rewards.tolist(), strict=True)
        )
        self.updates += 1
        return reward_statistics(rewards)

    def state(self) -> State:
        members = [[depth, list(tokens), reward] for depth, tokens, reward in self._members]
        return super().state() | {"members": members}

    def restore(self, state: Mapping[str, Any]) -> None:
        try:
            members = [
                (int(depth), tuple(tokens), float(reward)) for depth, tokens, reward in state["members"]
            ]
            finite = all(math.isfinite(reward) for _, _, reward in members)
            for depth, tokens, _ in members:
                self.space.check_tokens(tokens, depth)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"this is no state of an Evolution: {error!r}") from error
        if not finite or len(members) > self._size:
            raise InputError(f"this is no state of an Evolution with a population of {self._size}")
        super().restore(state)
        self._members = deque(members, maxlen=self._size)

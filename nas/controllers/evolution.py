"""Regularized evolution, the controller of AmoebaNet (Real et al., 2019), and its mutations."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.controller import Controller, State, Told, in_order, reward_statistics, whole
from nas.controllers.random import Drawn, drawn, written
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space, StepList, Tokens


class Evolution(Controller):
    """Aging evolution: the best of a few random members of the population has a child, the oldest dies.

    The first `population` proposals are uniformly random. From then on each proposal is a mutation (see
    `mutated`) of the best among `sample` members that are drawn with replacement from
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

    def propose(self, count: int, begun: int) -> list[Proposal]:
        depth = self.space.depth.at(begun)
        return [self._proposal(depth, *self._child(depth, number)) for number in range(begun, begun + count)]

    def _child(self, depth: int, number: int) -> Drawn:
        if number < self._size or not self._members:
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

    def policy_state(self) -> State:
        members = [[depth, list(tokens), reward] for depth, tokens, reward in self._members]
        return super().policy_state() | {"members": members}

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        try:
            members = [
                (int(depth), tuple(tokens), float(reward)) for depth, tokens, reward in state["members"]
            ]
            for depth, tokens, _ in members:
                self.space.check_tokens(tokens, depth)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(error) from error
        if not all(math.isfinite(reward) for _, _, reward in members):
            raise self._unfit("a member's reward must be a finite number")
        if len(members) > self._size:
            raise self._unfit(f"it has {len(members)} members, more than a population of {self._size}")
        super().restore_policy(state)
        self._members = deque(members, maxlen=self._size)


def mutated(old: StepList, tokens: Tokens, new: StepList, random: np.random.Generator) -> Drawn:
    """`tokens` with one decision re-drawn uniformly among its other values.

    A decision is one token: a choice, a pick, or the bit of one link; each that has more than one value is
    as likely. Then the string is repaired: what is on only now is drawn uniformly, what is off now leaves.

    Args:
        old: the steps that `tokens` belong to.
        tokens: of the parent.
        new: the steps to write for; the same, or those of another depth: steps of one name and width keep
            their values.
        random: for all that is drawn.

    Returns:
        The child's tokens and the logarithm of their probability given the parent. A string in which
        nothing can change is returned as it is.
    """
    values = {step.name: value for step, value in zip(old, old.split(tokens), strict=True) if value}

    def kept(index: int) -> Tokens | None:
        value = values.get(new[index].name, ())
        fits = len(value) == new.widths[index] and all(token < new.limit(index) for token in value)
        return value if fits else None

    places = [
        (index, position)
        for index in range(len(new))
        if new[index].name in values and kept(index) is not None and new.limit(index) > 1
        for position in range(new.widths[index])
    ]
    if not places:
        return written(new, kept, random)
    index, position = places[int(random.integers(len(places)))]
    name, limit = new[index].name, new.limit(index)
    value = list(values[name])
    value[position] = (value[position] + 1 + int(random.integers(limit - 1))) % limit
    values[name] = tuple(value)
    child, log_probability = written(new, kept, random)
    return child, log_probability - math.log(len(places)) - math.log(limit - 1)

"""A controller with a learned predictor: it tries what a Gaussian process takes for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.controller import Controller, State, Told
from nas.controllers.gaussian_process import Decisions, GaussianProcess, Kernel
from nas.controllers.mutation import Drawn, drawn, mutated
from nas.controllers.options import natural, whole
from nas.controllers.told import in_order, reward_statistics
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space, Tokens

_REFIT = 1.1
"""The kernel is chosen anew when there are this many times as many results as at the last time."""


class Predictor(Controller):
    """Bayesian optimisation: proposes the candidate of which one draw from the predictor promises most.

    The first `random` proposals are uniformly random. From then on, a Gaussian process over decisions
    (`nas.controllers.gaussian_process`) is fitted to the results so far. Candidates are random
    architectures and mutations of the `parents` best (see `nas.controllers.mutation`). For each, a reward
    is drawn from its predicted distribution, independently (Thompson sampling); the highest draw is
    proposed. What was proposed before is no candidate, as long as there are others.

    Source: White et al. (2021, BANANAS), §5: independent Thompson sampling over mutations of the best, there
    with an ensemble of neural networks as predictor. A Gaussian process is exact, needs no training, and
    knows steps alone, so that it works on any space.

    A proposal that was predicted has no probability; its log-probability is given as 0.

    Args:
        space: what is searched.
        seed: for all its randomness.
        random: how many random architectures come first.
        candidates: random ones for each proposal.
        mutations: mutated ones for each proposal.
        parents: how many of the best are mutated.
        memory: only so many of the last results are fitted (the time for a proposal grows with its cube).

    Raises:
        InputError: an option is not allowed.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        random: int = 10,
        candidates: int = 50,
        mutations: int = 50,
        parents: int = 5,
        memory: int = 500,
    ) -> None:
        super().__init__(space, seed=seed)
        self._first, self._parents = whole("random", random), whole("parents", parents)
        self._candidates = natural("candidates", candidates)
        self._mutations = natural("mutations", mutations)
        if not self._candidates + self._mutations:
            raise InputError("candidates and mutations must not both be 0")
        self._memory = whole("memory", memory)
        self._told: list[tuple[int, Tokens, float]] = []
        self._waiting: dict[int, tuple[int, Tokens]] = {}
        self._kernel: tuple[float, float, int] | None = None
        self._process: GaussianProcess | None = None

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        proposals = []
        for _ in range(count):
            proposal = self._proposal(depth, *self._next(depth))
            self._waiting[proposal.number] = (depth, proposal.tokens)
            proposals.append(proposal)
        return proposals

    def learn(self, told: Told) -> dict[str, float]:
        proposals, rewards = in_order(told)
        for proposal in proposals:  # before anything is kept: what doesn't fit must change nothing
            self.space.steps(proposal.depth).split(proposal.tokens)
        for proposal, reward in zip(proposals, rewards.tolist(), strict=True):
            self._waiting.pop(proposal.number, None)
            self._told.append((proposal.depth, proposal.tokens, reward))
        del self._told[: -self._memory]
        self._process = None
        self.updates += 1
        return reward_statistics(rewards)

    def _next(self, depth: int) -> Drawn:
        steps = self.space.steps(depth)
        if self.proposed < self._first or len(self._told) < 2:
            return drawn(steps, self.random)
        known = {tokens for own, tokens, _ in self._told if own == depth}
        known |= {tokens for own, tokens in self._waiting.values() if own == depth}
        best = sorted(self._told, key=lambda one: -one[2])[: self._parents]
        candidates = [drawn(steps, self.random)[0] for _ in range(self._candidates)]
        for number in range(self._mutations):
            own, tokens, _ = best[number % len(best)]
            candidates.append(mutated(self.space.steps(own), tokens, steps, self.random)[0])
        fresh = list(dict.fromkeys(tokens for tokens in candidates if tokens not in known))
        if not fresh:
            return candidates[0], 0.0
        mean, deviation = self._fitted().predict([self._decisions(depth, tokens) for tokens in fresh])
        draws = mean + deviation * self.random.standard_normal(len(fresh))
        return fresh[int(np.argmax(draws))], 0.0

    def _fitted(self) -> GaussianProcess:
        """The predictor of all that was told, with a kernel that is chosen anew from time to time."""
        if self._process is None:
            observed = [self._decisions(depth, tokens) for depth, tokens, _ in self._told]
            values = np.array([reward for _, _, reward in self._told])
            chosen = None
            if self._kernel is not None and len(self._told) < _REFIT * self._kernel[2]:
                chosen = Kernel(*self._kernel[:2])
            self._process = GaussianProcess(observed, values, chosen)
            if chosen is None:
                kernel = self._process.kernel
                self._kernel = (kernel.decay, kernel.noise, len(self._told))
        return self._process

    def _decisions(self, depth: int, tokens: Tokens) -> Decisions:
        """What was decided: the place in each step's name, and the value there."""
        steps = self.space.steps(depth)
        return [
            (step.name, place, token)
            for step, value in zip(steps, steps.split(tokens), strict=True)
            for place, token in enumerate(value)
        ]

    def state(self) -> State:
        return super().state() | {
            "told": [[depth, list(tokens), reward] for depth, tokens, reward in self._told],
            "waiting": [[number, depth, list(t)] for number, (depth, t) in self._waiting.items()],
            "kernel": None if self._kernel is None else list(self._kernel),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        try:
            told = [(int(depth), tuple(tokens), float(reward)) for depth, tokens, reward in state["told"]]
            waiting = {int(number): (int(d), tuple(tokens)) for number, d, tokens in state["waiting"]}
            kernel = state["kernel"] and (
                float(state["kernel"][0]),
                float(state["kernel"][1]),
                int(state["kernel"][2]),
            )
            for depth, tokens in [(d, t) for d, t, _ in told] + list(waiting.values()):
                self.space.check_tokens(tokens, depth)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"this is no state of a Predictor: {error!r}") from error
        super().restore(state)
        self._told, self._waiting, self._kernel, self._process = told, waiting, kernel, None

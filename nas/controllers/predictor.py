"""A controller with a learned predictor: it tries what a Gaussian process over decisions takes for good."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import Any

import numpy as np

from nas.controllers.controller import (
    Controller,
    State,
    Told,
    in_order,
    natural,
    reward_statistics,
    whole,
)
from nas.controllers.evolution import mutated
from nas.controllers.lstm import Array
from nas.controllers.random import Drawn, drawn
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space, Tokens

_REFIT = 1.1
"""The kernel is chosen anew when there are this many times as many results as at the last time."""

Decisions = Sequence[Hashable]
"""What an architecture decided, e.g. (step, value) pairs, each once."""

DECAYS = (0.5, 1.0, 2.0, 4.0)
"""How far the kernel falls off over architectures without a common decision, as exponents of e."""

NOISES = (0.03, 0.1, 0.3)
"""Variance of what the decisions don't explain, for a variance of 1 that they do."""

_NORMAL = NormalDist()


class Predictor(Controller):
    """Bayesian optimisation: proposes the candidate of which one draw from the predictor promises most.

    The first `random` proposals are uniformly random. From then on, a Gaussian process over decisions
    (`GaussianProcess`) is fitted to the results so far. Candidates are random architectures and mutations of
    the `parents` best (see `nas.controllers.evolution.mutated`). For each, a reward is drawn from its
    predicted distribution, independently (Thompson sampling); the highest draw is proposed. What was proposed
    before is not a candidate, as long as there are others.

    Source: White et al. (2021, BANANAS), §5: independent Thompson sampling over mutations of the best, there
    with an ensemble of neural networks as predictor. A Gaussian process is exact, needs no training, and
    knows steps alone, so that it works on any space.

    What was told is the policy half of its state; what this replica waits for, and the kernel that it chose,
    belong to the sampler.

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
        self._waiting: list[tuple[int, Tokens]] = []
        self._kernel: tuple[float, float, int] | None = None
        self._process: GaussianProcess | None = None

    def propose(self, count: int, begun: int) -> list[Proposal]:
        depth = self.space.depth.at(begun)
        told = {(own, tokens) for own, tokens, _ in self._told}  # of all replicas
        self._waiting = [written for written in self._waiting if written not in told]
        proposals = []
        for number in range(begun, begun + count):
            proposal = self._proposal(depth, *self._next(depth, number))
            self._waiting.append((depth, proposal.tokens))
            proposals.append(proposal)
        return proposals

    def learn(self, told: Told) -> dict[str, float]:
        proposals, rewards = in_order(told)
        for proposal in proposals:  # before anything is kept: what doesn't fit must change nothing
            self.space.steps(proposal.depth).split(proposal.tokens)
        for proposal, reward in zip(proposals, rewards.tolist(), strict=True):
            if (written := (proposal.depth, proposal.tokens)) in self._waiting:
                self._waiting.remove(written)
            self._told.append((proposal.depth, proposal.tokens, reward))
        del self._told[: -self._memory]
        self._process = None
        self.updates += 1
        return reward_statistics(rewards)

    def _next(self, depth: int, number: int) -> Drawn:
        steps = self.space.steps(depth)
        if number < self._first or len(self._told) < 2:
            return drawn(steps, self.random)
        known = {tokens for own, tokens, _ in self._told if own == depth}
        known |= {tokens for own, tokens in self._waiting if own == depth}
        best = sorted(self._told, key=lambda one: -one[2])[: self._parents]
        candidates = [drawn(steps, self.random)[0] for _ in range(self._candidates)]
        for place in range(self._mutations):
            own, tokens, _ = best[place % len(best)]
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

    def policy_state(self) -> State:
        return super().policy_state() | {
            "told": [[depth, list(tokens), reward] for depth, tokens, reward in self._told]
        }

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        try:
            told = [(int(depth), tuple(tokens), float(reward)) for depth, tokens, reward in state["told"]]
            for depth, tokens, _ in told:
                self.space.check_tokens(tokens, depth)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(error) from error
        if not all(math.isfinite(reward) for _, _, reward in told):
            raise self._unfit("rewards must be finite numbers")
        super().restore_policy(state)
        self._told, self._process = told, None

    def sampler_state(self) -> State:
        return super().sampler_state() | {
            "waiting": [[depth, list(tokens)] for depth, tokens in self._waiting],
            "kernel": None if self._kernel is None else list(self._kernel),
        }

    def restore_sampler(self, state: Mapping[str, Any]) -> None:
        try:  # earlier versions wrote the proposal's number before its depth
            waiting = [(int(depth), tuple(tokens)) for *_, depth, tokens in state["waiting"]]
            kernel = state["kernel"] and (
                float(state["kernel"][0]),
                float(state["kernel"][1]),
                int(state["kernel"][2]),
            )
            for depth, tokens in waiting:
                self.space.check_tokens(tokens, depth)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(error) from error
        super().restore_sampler(state)
        self._waiting, self._kernel, self._process = waiting, kernel, None


# --- the Gaussian process ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Kernel:
    """k(a, b) = exp(−decay · |a Δ b| / scale), with the decisions in which two architectures differ.

    Source: the Hamming kernel of Hutter (2009, Automated Configuration of Algorithms, §10.4) for
    categorical parameters. It is the product of a kernel for each decision, hence covers how they work
    together, and an exponential of the squared distance of one-hot codes, hence positive definite for sets
    of any size.

    Attributes:
        decay: how quickly architectures become unlike.
        noise: added to k(a, a) of what was observed.
    """

    decay: float
    noise: float


class GaussianProcess:
    """Posterior over rewards: what was observed says what else is worth a try.

    Observed values are replaced by normal scores of their ranks: Φ⁻¹((rank − ½) / n). So neither the scale
    of rewards nor a few failures far below the rest matter (van der Waerden scores; used for this by
    Salinas et al., 2020).

    Args:
        observed: the architectures' decisions, at least two.
        values: of each; the higher the better.
        kernel: None: the likeliest of `DECAYS` × `NOISES` (Rasmussen & Williams, 2006, eq. 5.8, with the
            scale of the values integrated out by its maximum).

    Attributes:
        kernel: the one that is used.
    """

    def __init__(self, observed: Sequence[Decisions], values: Array, kernel: Kernel | None = None) -> None:
        self._columns: dict[Hashable, int] = {}
        for decisions in observed:
            for decision in decisions:
                self._columns.setdefault(decision, len(self._columns))
        self._known, sizes = self._coded(observed)
        self._scale = max(1.0, 2.0 * float(sizes.mean()))
        scores = normal_scores(values)
        differences = self._differences(self._known, sizes)
        kernels = [kernel] if kernel else [Kernel(*pair) for pair in product(DECAYS, NOISES)]
        fits = [_fit(differences, scores, each) for each in kernels]
        best = max(range(len(fits)), key=lambda index: fits[index][0])
        self.kernel = kernels[best]
        _, self._factor, self._weights, self._variance = fits[best]
        self._sizes = sizes

    def predict(self, asked: Sequence[Decisions]) -> tuple[Array, Array]:
        """Mean and standard deviation of the normal scores of architectures, each with shape `(asked,)`."""
        codes, sizes = self._coded(asked)
        matches = codes @ self._known.T
        differences = (sizes[:, None] + self._sizes[None] - 2.0 * matches) / self._scale
        covariance = np.exp(-self.kernel.decay * differences)
        explained = np.linalg.solve(self._factor, covariance.T)
        left = np.maximum(0.0, 1.0 - (explained**2).sum(axis=0))
        return explained.T @ self._weights, np.sqrt(self._variance * left)

    def _coded(self, architectures: Sequence[Decisions]) -> tuple[Array, Array]:
        """One-hot codes over the decisions that were observed, and the number of all decisions."""
        codes = np.zeros((len(architectures), len(self._columns)))
        for row, decisions in enumerate(architectures):
            codes[row, [self._columns[one] for one in decisions if one in self._columns]] = 1.0
        return codes, np.array([float(len(decisions)) for decisions in architectures])

    def _differences(self, codes: Array, sizes: Array) -> Array:
        return np.asarray((sizes[:, None] + sizes[None] - 2.0 * codes @ codes.T) / self._scale)


def normal_scores(values: Array) -> Array:
    """Φ⁻¹ of the ranks' middles; equal values share one score.

    Example:
        >>> normal_scores(np.array([0.1, 0.9, 0.5])).round(2).tolist()
        [-0.97, 0.97, 0.0]
    """
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.array([_NORMAL.inv_cdf(middle) for middle in ((below + up_to) / (2.0 * len(values))).tolist()])


def _fit(differences: Array, scores: Array, kernel: Kernel) -> tuple[float, Array, Array, float]:
    """Log-likelihood, Cholesky factor, whitened scores, and the variance of the process."""
    count = len(scores)
    covariance = np.exp(-kernel.decay * differences) + kernel.noise * np.eye(count)
    factor = np.linalg.cholesky(covariance)
    weights = np.linalg.solve(factor, scores)
    variance = max(1e-12, float(weights @ weights) / count)
    likelihood = -0.5 * count * math.log(variance) - float(np.log(np.diag(factor)).sum())
    return likelihood, np.asarray(factor), np.asarray(weights), variance

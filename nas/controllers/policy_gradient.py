"""Learning by policy gradients, as REINFORCE and PPO share it: options, advantages and the controller."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from nas.controllers.controller import (
    Gradient,
    PolicyGradientController,
    State,
    Told,
    flag,
    fraction,
    in_order,
    natural,
    positive,
    reward_statistics,
    whole,
)
from nas.controllers.decisions import BoundedLogits, Entropy, Logits, Term
from nas.controllers.lstm import Adam, Array, fitting
from nas.controllers.policy import LstmPolicy
from nas.errors import InputError, nearest
from nas.evaluation import Proposal
from nas.spaces import Space, Step

_TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class PolicyGradientOptions:
    """Options of a policy gradient on an LSTM's decisions, checked; a method's own class gives the defaults.

    Attributes:
        units, layers: of the LSTM.
        init_scale: parameters begin uniformly in ± this.
        learning_rate: of Adam.
        baseline_decay: of the moving average of rewards, from 0 (the last reward alone) to below 1.
        entropy_weight: how much a nat of entropy is worth in rewards.
        temperature, tanh_constant: limits of the logits, as in ENAS (see `BoundedLogits`); off by default.
        normalize_advantages, rank_rewards: see `Advantages`; off by default.

    Raises:
        InputError: a value is not allowed.
    """

    units: int
    layers: int
    init_scale: float
    learning_rate: float
    baseline_decay: float = 0.95
    entropy_weight: float
    temperature: float = 1.0
    tanh_constant: float | None = None
    normalize_advantages: bool = False
    rank_rewards: int = 0

    def __post_init__(self) -> None:
        whole("units", self.units)
        whole("layers", self.layers)
        positive("init_scale", self.init_scale)
        positive("learning_rate", self.learning_rate)
        fraction("baseline_decay", self.baseline_decay)
        positive("entropy_weight", self.entropy_weight, zero=True)
        positive("temperature", self.temperature)
        if self.tanh_constant is not None:
            positive("tanh_constant", self.tanh_constant)
        flag("normalize_advantages", self.normalize_advantages)
        natural("rank_rewards", self.rank_rewards)


class Advantages:
    """R − b, with b the exponential moving average of all rewards before the update.

    Each reward, in the order of the proposals' numbers, moves the baseline by
    b ← decay · b + (1 − decay) · R. The first update has no rewards before it: its b is the mean of its
    own, and that is where the average begins (a zero would praise whatever came first). So the first update
    of a round of one architecture has the advantage 0: it teaches nothing but where the average begins.

    Differs from the paper: Zoph & Le (2017, §3.2) average the *accuracies* of the architectures before, also
    where the reward is another function of them (the cube, §4.1); here it is the rewards that are averaged,
    so that b and R are on one scale whatever the reward is.

    Attributes:
        baseline: the average of all rewards so far (of their ranks, where rewards are ranked); None before
            the first update.

    Args:
        decay: from 0 (the last reward alone) to below 1.
        normalize: advantages of an update get the mean 0 and the standard deviation 1, as in the code of
            PPO's authors (Dhariwal et al., 2017, OpenAI Baselines). Of a single architecture nothing is
            left then, so updates should have several.
        rank: rewards are replaced by their rank in 0…1 among the last `rank` rewards, this update's
            included (equal ones share the middle of their ranks). So neither a few failures nor the
            reward's scale decide how large a step is. Ranks in a buffer of recent rewards: Laterre et al.
            (2018, Ranked Reward); ranks in place of rewards: Wierstra et al. (2014, Natural Evolution
            Strategies, §3.1). 0: rewards as they are.
    """

    def __init__(self, decay: float, *, normalize: bool = False, rank: int = 0) -> None:
        self._decay, self._normalize, self._rank = decay, normalize, rank
        self.baseline: float | None = None
        self._recent: list[float] = []

    def of(self, rewards: Array) -> tuple[Array, dict[str, float]]:
        """The advantages of an update's rewards, in the order of its proposals, and statistics of them.

        Moves the baseline.
        """
        rewards = self._ranked(rewards) if self._rank else rewards
        baseline = float(rewards.mean()) if self.baseline is None else self.baseline
        advantages = rewards - baseline
        self._move(rewards)
        if self._normalize:
            advantages = (advantages - advantages.mean()) / (advantages.std() + _TINY)
        statistics = {
            "baseline": baseline,
            "advantage/mean": float(advantages.mean()),
            "advantage/std": float(advantages.std()),
        }
        return advantages, statistics

    def _ranked(self, rewards: Array) -> Array:
        self._recent = [*self._recent, *rewards.tolist()][-max(self._rank, len(rewards)) :]
        recent = np.sort(self._recent)
        below, up_to = np.searchsorted(recent, rewards, "left"), np.searchsorted(recent, rewards, "right")
        return np.asarray((below + up_to) / (2.0 * len(recent)))

    def _move(self, rewards: Array) -> None:
        if self.baseline is None:
            self.baseline = float(rewards.mean())
            return
        for reward in rewards.tolist():
            self.baseline = self._decay * self.baseline + (1.0 - self._decay) * reward

    def state(self) -> dict[str, Any]:
        """Baseline and recent rewards."""
        return {"baseline": self.baseline, "recent_rewards": list(self._recent)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state()`.

        Raises:
            InputError: it is not one; nothing was changed.
        """
        try:
            baseline = None if state["baseline"] is None else float(state["baseline"])
            recent = [float(reward) for reward in state["recent_rewards"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"not a valid state for a baseline: {error!r}") from error
        if not all(math.isfinite(reward) for reward in (baseline or 0.0, *recent)):
            raise InputError("not a valid state for a baseline: its rewards must be finite numbers")
        self.baseline, self._recent = baseline, recent


class LstmController(PolicyGradientController):
    """A policy gradient on an LSTM's decisions: all but the derivative of its objective.

    Minimises an objective of the log-probabilities and advantages, plus Σ_t w_t · (1/m) Σ_k T_t,k over its
    `terms`, by Adam, from the tokens as sampled (not as repaired). The one term here is the entropy bonus of
    Williams & Peng (1991), with the weight −entropy_weight.

    Statistics of an update: `reward/mean`, `reward/best`; `baseline`, the b that was used;
    `advantage/mean` and `advantage/std` (of the population); of each term, by its name, the mean of T_t,k, so
    `entropy` in nats for an architecture, which grows with the depth; `log_probability/mean` and
    `gradient_norm` (Euclidean over all parameters) under the parameters before the first step.

    The policy half of its state is parameters and optimiser, the sampler half random generator, baseline and
    recent rewards.

    A subclass names its options by `Options`, gives the derivative of its objective, and may add terms, or
    logits for some kinds of steps (`logits_of`).

    Args:
        space: what is searched.
        seed: for the first parameters and all samples.
        **options: those of `Options`, by name.

    Raises:
        InputError: an option is unknown or not allowed, or the space's steps can't share parameters.
    """

    Options: ClassVar[type[PolicyGradientOptions]]
    """The class of its options; `nas.plugins` reads their names and defaults there."""

    def __init__(self, space: Space, *, seed: int = 0, **options: Any) -> None:
        super().__init__(space, seed=seed)
        known = [field.name for field in fields(self.Options)]
        for name in options:
            if name not in known:
                raise InputError(f"unknown option '{name}' of {type(self).__name__}: {nearest(name, known)}")
        own = self.options = self.Options(**options)
        self._logits = BoundedLogits(own.temperature, own.tanh_constant)
        self.terms: tuple[tuple[Term, float], ...] = ((Entropy(), -float(own.entropy_weight)),)
        """Terms of the objective beside the rewards, each with its weight."""
        self.policy = LstmPolicy(
            space,
            layers=own.layers,
            units=own.units,
            init_scale=own.init_scale,
            random=self.random,
            logits=self.logits_of,
        )
        self._optimizer = Adam(self.policy.parameters, own.learning_rate)
        self._advantages = Advantages(
            own.baseline_decay, normalize=own.normalize_advantages, rank=own.rank_rewards
        )

    @property
    def baseline(self) -> float | None:
        """The moving average of all rewards so far; None before the first update."""
        return self._advantages.baseline

    @property
    def epochs(self) -> int:
        """Steps made over the results of one update."""
        return 1

    def logits_of(self, step: Step) -> Logits:
        """What becomes of a step's scores before the softmax or sigmoid."""
        return self._logits

    def propose(self, count: int, begun: int) -> list[Proposal]:
        depth = self.space.depth.at(begun)
        sampled = self.policy.sample(depth, count, self.random)
        return [
            self._proposal(depth, tokens, float(log_probability))
            for tokens, log_probability in zip(sampled.tokens, sampled.log_probabilities, strict=True)
        ]

    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        gradient, statistics, _, _ = self._first_gradient(told)
        return gradient, statistics

    def learn(self, told: Told) -> dict[str, float]:
        gradient, statistics, proposals, advantages = self._first_gradient(told)
        self.apply(gradient)
        for _ in range(1, self.epochs):
            self._optimizer.apply(self._gradient(proposals, advantages)[0])
        return statistics

    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        self._optimizer.apply(gradient)
        self.updates += 1

    @abstractmethod
    def _derivatives(self, log_probabilities: Array, sampled: Array, advantages: Array) -> Array:
        """Derivative of the objective to minimise (not yet averaged) for each log-probability.

        Args:
            log_probabilities: under the present parameters, with shape `(batch,)`.
            sampled: when the proposals were made.
            advantages: of the proposals.
        """

    def _first_gradient(self, told: Told) -> tuple[Gradient, dict[str, float], list[Proposal], Array]:
        """The gradient of the first step, statistics, proposals in order, advantages; moves the baseline."""
        proposals, rewards = in_order(told)
        for proposal in proposals:  # before the baseline moves: what doesn't fit must change nothing
            self.space.steps(proposal.depth).split(proposal.tokens)
        advantages, of_advantages = self._advantages.of(rewards)
        gradient, of_policy = self._gradient(proposals, advantages)
        return gradient, reward_statistics(rewards) | of_advantages | of_policy, proposals, advantages

    def _gradient(
        self, proposals: Sequence[Proposal], advantages: Array
    ) -> tuple[Gradient, dict[str, float]]:
        count = len(proposals)
        followed = self.policy.follow([(proposal.depth, proposal.tokens) for proposal in proposals])
        sampled = np.array([proposal.log_probability for proposal in proposals])
        gradient = self.policy.gradient(
            followed,
            self._derivatives(followed.log_probabilities, sampled, advantages) / count,
            [(term, np.full(count, weight / count)) for term, weight in self.terms],
        )
        return gradient, {
            **{term.name: float(followed.value(term).mean()) for term, _ in self.terms},
            "log_probability/mean": float(followed.log_probabilities.mean()),
            "gradient_norm": math.sqrt(sum(float((array**2).sum()) for array in gradient.values())),
        }

    def policy_state(self) -> State:
        return super().policy_state() | {
            "parameters": self.policy.state(),
            "optimizer": self._optimizer.state(),
        }

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        try:
            parameters, optimizer, _ = state["parameters"], state["optimizer"], int(state["updates"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._unfit(error) from error
        parameters = fitting(parameters, self.policy.parameters, "the state's parameters")
        self._optimizer.restore(optimizer)
        self.policy.restore(parameters)
        super().restore_policy(state)

    def sampler_state(self) -> State:
        return super().sampler_state() | self._advantages.state()

    def restore_sampler(self, state: Mapping[str, Any]) -> None:
        before = self._advantages.state()
        self._advantages.restore(state)
        try:
            super().restore_sampler(state)
        except InputError:
            self._advantages.restore(before)
            raise

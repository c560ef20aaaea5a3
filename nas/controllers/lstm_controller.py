"""What REINFORCE and PPO share: the LSTM, its optimiser, the baseline, and the way from results to a step."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.adam import Adam
from nas.controllers.advantages import Advantages
from nas.controllers.controller import Gradient, PolicyGradientController, State, Told
from nas.controllers.logits import Logits
from nas.controllers.lstm import Array
from nas.controllers.lstm_policy import LstmPolicy
from nas.controllers.options import flag, fraction, natural, positive, whole
from nas.controllers.told import in_order, reward_statistics
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space


class LstmController(PolicyGradientController):
    """A policy gradient on an LSTM's decisions: all but the derivative of its objective.

    Minimises an objective of the log-probabilities and advantages, less entropy_weight · (1/m) Σ_k H_k
    (the entropy bonus of Williams & Peng, 1991), by Adam, from the tokens as sampled (not as repaired).

    Statistics of an update: `reward/mean`, `reward/best`; `baseline`, the b that was used;
    `advantage/mean` and `advantage/std` (of the population); `entropy`, mean of H_k in nats for an
    architecture, which grows with the depth; `log_probability/mean` and `gradient_norm` (Euclidean over
    all parameters) under the parameters before the first step.

    Args:
        space: what is searched.
        seed: for the first parameters and all samples.
        units, layers: of the LSTM.
        init_scale: parameters begin uniformly in ± this.
        learning_rate: of Adam.
        baseline_decay: see `Advantages`.
        entropy_weight: how much a nat of entropy is worth in rewards.
        temperature, tanh_constant: see `Logits`.
        normalize_advantages, rank_rewards: see `Advantages`.
        epochs: steps made over the results of one update.

    Raises:
        InputError: an option is not allowed, or the space's steps can't share parameters.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        units: int,
        layers: int,
        init_scale: float,
        learning_rate: float,
        baseline_decay: float,
        entropy_weight: float,
        temperature: float,
        tanh_constant: float | None,
        normalize_advantages: bool,
        rank_rewards: int,
        epochs: int = 1,
    ) -> None:
        super().__init__(space, seed=seed)
        self.policy = LstmPolicy(
            space,
            layers=whole("layers", layers),
            units=whole("units", units),
            init_scale=positive("init_scale", init_scale),
            random=self.random,
            logits=Logits(
                positive("temperature", temperature),
                None if tanh_constant is None else positive("tanh_constant", tanh_constant),
            ),
        )
        self._optimizer = Adam(self.policy.parameters, positive("learning_rate", learning_rate))
        self._advantages = Advantages(
            fraction("baseline_decay", baseline_decay),
            normalize=flag("normalize_advantages", normalize_advantages),
            rank=natural("rank_rewards", rank_rewards),
        )
        self._entropy_weight = positive("entropy_weight", entropy_weight, zero=True)
        self._epochs = whole("epochs", epochs)

    @property
    def baseline(self) -> float | None:
        """The moving average of all rewards so far; None before the first update."""
        return self._advantages.baseline

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        walk = self.policy.sample(depth, count, self.random)
        return [
            self._proposal(depth, tokens, float(log_probability))
            for tokens, log_probability in zip(walk.tokens, walk.log_probabilities, strict=True)
        ]

    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        gradient, statistics, _ = self._first_gradient(told)
        return gradient, statistics

    def learn(self, told: Told) -> dict[str, float]:
        gradient, statistics, advantages = self._first_gradient(told)
        self.apply(gradient)
        proposals, _ = in_order(told)
        for _ in range(1, self._epochs):
            self._optimizer.apply(self._gradient(proposals, advantages)[0])
        return statistics

    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        self._optimizer.apply(gradient)
        self.updates += 1

    @abstractmethod
    def _slopes(self, log_probabilities: Array, sampled: Array, advantages: Array) -> Array:
        """Derivative of the objective to minimise (not yet averaged) for each log-probability.

        Args:
            log_probabilities: under the present parameters, with shape `(batch,)`.
            sampled: when the proposals were made.
            advantages: of the proposals.
        """

    def _first_gradient(self, told: Told) -> tuple[Gradient, dict[str, float], Array]:
        """The gradient of the first step on `told`, statistics and advantages; moves the baseline."""
        proposals, rewards = in_order(told)
        for proposal in proposals:  # before the baseline moves: what doesn't fit must change nothing
            self.space.steps(proposal.depth).split(proposal.tokens)
        advantages, of_advantages = self._advantages.of(rewards)
        gradient, of_policy = self._gradient(proposals, advantages)
        return gradient, reward_statistics(rewards) | of_advantages | of_policy, advantages

    def _gradient(self, proposals: list[Proposal], advantages: Array) -> tuple[Gradient, dict[str, float]]:
        count = len(proposals)
        walks = self.policy.follow([(proposal.depth, proposal.tokens) for proposal in proposals])
        sampled = np.array([proposal.log_probability for proposal in proposals])
        gradient = self.policy.gradient(
            walks,
            d_log_probabilities=self._slopes(walks.log_probabilities, sampled, advantages) / count,
            d_entropies=np.full(count, -self._entropy_weight / count),
        )
        return gradient, {
            "entropy": float(walks.entropies.mean()),
            "log_probability/mean": float(walks.log_probabilities.mean()),
            "gradient_norm": math.sqrt(sum(float((array**2).sum()) for array in gradient.values())),
        }

    def state(self) -> State:
        return (
            super().state()
            | self._advantages.state()
            | {"parameters": self.policy.state(), "optimizer": self._optimizer.state()}
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        missing = {"baseline", "recent_rewards", "parameters", "optimizer"} - state.keys()
        if missing:
            raise InputError(f"this is no state of a {type(self).__name__}: '{min(missing)}' is missing")
        super().restore(state)
        self.policy.restore(state["parameters"])
        self._optimizer.restore(state["optimizer"])
        self._advantages.restore(state)

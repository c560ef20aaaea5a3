"""REINFORCE, the controller of Zoph & Le (2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.adam import Adam
from nas.controllers.controller import Gradient, PolicyGradientController, State, Told
from nas.controllers.lstm import Array
from nas.controllers.lstm_policy import LstmPolicy
from nas.controllers.options import fraction, positive, whole
from nas.controllers.told import in_order, reward_statistics
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space


class Reinforce(PolicyGradientController):
    """Learns a policy by REINFORCE (Williams, 1992; Zoph & Le, 2017, §3.2).

    Minimises, over the m architectures of an update with rewards R_k and entropies H_k,

        −(1/m) Σ_k (R_k − b) log P(tokens_k) − entropy_weight · (1/m) Σ_k H_k

    by Adam, one step for each update, from the tokens as sampled (not as repaired). b is the exponential
    moving average of all rewards before this update: each, in the order of the proposals' numbers, moves
    it by b ← decay · b + (1 − decay) · R. The first update has no rewards before it: its b is the mean of
    its own, and that is where the average begins (a zero would praise whatever came first).

    A parameter server's replica calls `gradient` and sends the result away; `learn` applies it here.

    Statistics of an update: `reward/mean`, `reward/best`; `baseline`, the b that was used;
    `advantage/mean` and `advantage/std` (of the population) of R − b; `entropy`, mean of H_k in nats for
    an architecture, which grows with the depth; `log_probability/mean` under the parameters before the
    step; `gradient_norm`, Euclidean over all parameters.

    Differs from the paper: nothing known. It doesn't state the decay, nor an entropy term (0 here).

    Args:
        space: what is searched.
        seed: for the first parameters and all samples.
        units, layers: of the LSTM (§4.1).
        init_scale: parameters begin uniformly in ± this (§4.1).
        learning_rate: of Adam (§4.1: 6e-4 on CIFAR-10; §4.2: 5e-4 on Penn Treebank).
        baseline_decay: from 0 (the last reward alone) to below 1.
        entropy_weight: how much a nat of entropy is worth in rewards.

    Raises:
        InputError: an option is not allowed, or the space's steps can't share parameters.

    Example:
        >>> from nas.spaces.conv import ConvSpace
        >>> controller = Reinforce(ConvSpace(depth=2), seed=1)
        >>> [proposal.number for proposal in controller.propose(2)]
        [0, 1]
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        units: int = 35,
        layers: int = 2,
        init_scale: float = 0.08,
        learning_rate: float = 6e-4,
        baseline_decay: float = 0.95,
        entropy_weight: float = 0.0,
    ) -> None:
        super().__init__(space, seed=seed)
        self.policy = LstmPolicy(
            space,
            layers=whole("layers", layers),
            units=whole("units", units),
            init_scale=positive("init_scale", init_scale),
            random=self.random,
        )
        self._optimizer = Adam(self.policy.parameters, positive("learning_rate", learning_rate))
        self._decay = fraction("baseline_decay", baseline_decay)
        self._entropy_weight = positive("entropy_weight", entropy_weight, zero=True)
        self.baseline: float | None = None
        """The moving average of all rewards so far; None before the first update."""

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        walk = self.policy.sample(depth, count, self.random)
        return [
            self._proposal(depth, tokens, float(log_probability))
            for tokens, log_probability in zip(walk.tokens, walk.log_probabilities, strict=True)
        ]

    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        proposals, rewards = in_order(told)
        walks = self.policy.follow([(proposal.depth, proposal.tokens) for proposal in proposals])
        baseline = float(rewards.mean()) if self.baseline is None else self.baseline
        advantages = rewards - baseline
        gradient = self.policy.gradient(
            walks,
            d_log_probabilities=-advantages / len(rewards),
            d_entropies=np.full(len(rewards), -self._entropy_weight / len(rewards)),
        )
        self._move_baseline(rewards)
        statistics = reward_statistics(rewards) | {
            "baseline": baseline,
            "advantage/mean": float(advantages.mean()),
            "advantage/std": float(advantages.std()),
            "entropy": float(walks.entropies.mean()),
            "log_probability/mean": float(walks.log_probabilities.mean()),
            "gradient_norm": math.sqrt(sum(float((array**2).sum()) for array in gradient.values())),
        }
        return gradient, statistics

    def _move_baseline(self, rewards: Array) -> None:
        if self.baseline is None:
            self.baseline = float(rewards.mean())
            return
        for reward in rewards.tolist():
            self.baseline = self._decay * self.baseline + (1.0 - self._decay) * reward

    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        self._optimizer.apply(gradient)
        self.updates += 1

    def state(self) -> State:
        return super().state() | {
            "baseline": self.baseline,
            "parameters": self.policy.state(),
            "optimizer": self._optimizer.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        missing = {"baseline", "parameters", "optimizer"} - state.keys()
        if missing:
            raise InputError(f"this is no state of a Reinforce: '{min(missing)}' is missing")
        super().restore(state)
        self.policy.restore(state["parameters"])
        self._optimizer.restore(state["optimizer"])
        self.baseline = state["baseline"]

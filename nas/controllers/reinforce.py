"""REINFORCE: the policy gradient of Zoph & Le (2017), with a moving average of rewards as baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from nas.controllers.adam import Adam
from nas.controllers.controller import Gradient, PolicyGradientController, State, Told, rewards_of
from nas.controllers.lstm_policy import LstmPolicy, Rollout
from nas.errors import InputError
from nas.evaluation import Proposal
from nas.spaces import Space


class Reinforce(PolicyGradientController):
    """An LSTM policy that learns by `1/m Σ_k ∇ log P(a_k) (R_k - b)` (Zoph & Le 2017, §3.2).

    The baseline b is an exponential moving average of earlier rewards: an advantage is formed with
    the average *before* its own batch enters it, so that the gradient stays unbiased. What the
    policy learns from are the tokens as sampled, not the repaired architecture.

    Differs from the paper, which leaves open: the decay of the baseline, and its start (the mean of
    the first batch's rewards, so that the first update already compares).

    Args:
        space: the search space.
        seed: for the initial weights and all sampling.
        units: size of each LSTM layer (35; appendix A).
        layers: number of LSTM layers (2; appendix A).
        init_scale: weights start uniform in ±this (0.08; appendix A).
        learning_rate: of Adam (6e-4; appendix A).
        baseline_decay: weight of the old average when a batch's mean reward enters it.
        entropy_weight: times the entropy of the whole token string (nats) is added to the objective
            (none in the paper).
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
        if units < 1 or layers < 1 or not init_scale > 0:
            raise InputError(
                "an LSTM needs units ≥ 1, layers ≥ 1 and init_scale > 0. "
                f"Received: units={units}, layers={layers}, init_scale={init_scale}"
            )
        if not 0.0 <= baseline_decay < 1.0:
            raise InputError(f"baseline_decay must lie in 0…1 (not 1). Received: {baseline_decay}")
        if not 0.0 <= entropy_weight < np.inf:
            raise InputError(f"entropy_weight must be at least 0. Received: {entropy_weight}")
        depth = space.depth
        depths = sorted({depth.start, depth.start + depth.grow, depth.stop or depth.start})
        self.policy = LstmPolicy(
            [space.steps(each) for each in depths],
            units=units,
            layers=layers,
            init_scale=init_scale,
            random=self.random,
        )
        self.optimizer = Adam(self.policy.parameters, learning_rate)
        self.baseline_decay = baseline_decay
        self.entropy_weight = entropy_weight
        self.baseline: float | None = None

    def propose(self, count: int) -> list[Proposal]:
        depth = self.space.depth.at(self.proposed)
        rollout = self.policy.sample(self.space.steps(depth), count, self.random)
        return [
            self._proposal(depth, tokens, float(log))
            for tokens, log in zip(rollout.strings(), rollout.log_probabilities, strict=True)
        ]

    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        ordered = sorted(told, key=lambda pair: pair[0].number)
        rewards = rewards_of(ordered)
        rollouts = self._rollouts([proposal for proposal, _ in ordered])  # may refuse: nothing changed yet
        baseline = float(rewards.mean()) if self.baseline is None else self.baseline
        advantages = rewards - baseline
        gradient = {name: np.zeros_like(value) for name, value in self.policy.parameters.items()}
        entropies, logs = np.zeros(len(rewards)), np.zeros(len(rewards))
        for rows, rollout in rollouts:
            part = self.policy.backward(
                rollout,
                of_log=-advantages[rows] / len(rewards),
                of_entropy=np.full(len(rows), -self.entropy_weight / len(rewards)),
            )
            for name, value in part.items():
                gradient[name] += value
            entropies[rows], logs[rows] = rollout.entropies, rollout.log_probabilities
        decay = self.baseline_decay
        self.baseline = decay * baseline + (1.0 - decay) * float(rewards.mean())
        return gradient, {
            "reward/mean": float(rewards.mean()),
            "reward/best": float(rewards.max()),
            "baseline": baseline,
            "advantage/mean": float(advantages.mean()),
            "advantage/std": float(advantages.std()),
            "entropy": float(entropies.mean()),
            "log_probability/mean": float(logs.mean()),
            "gradient_norm": float(np.sqrt(sum(float((g**2).sum()) for g in gradient.values()))),
        }

    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        self.optimizer.apply(gradient)
        self.updates += 1

    def _rollouts(self, proposals: Sequence[Proposal]) -> list[tuple[list[int], Rollout]]:
        """The proposals' rows and rollouts under the present policy, one group for each depth."""
        rows = sorted(range(len(proposals)), key=lambda row: proposals[row].depth)
        groups = []
        for depth, members in groupby(rows, key=lambda row: proposals[row].depth):
            chosen = list(members)
            steps = self.space.steps(depth)
            groups.append((chosen, self.policy.read(steps, [proposals[row].tokens for row in chosen])))
        return groups

    def state(self) -> State:
        return {**super().state(), "optimizer": self.optimizer.state(), "baseline": self.baseline}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.optimizer.restore(state["optimizer"])
        self.baseline = None if state["baseline"] is None else float(state["baseline"])
        super().restore(state)

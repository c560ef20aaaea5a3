"""What policy gradients make of rewards: how much better each architecture was than expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.lstm import Array
from nas.errors import InputError

_TINY = 1e-8


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
            InputError: it is none; nothing was changed.
        """
        try:
            baseline = None if state["baseline"] is None else float(state["baseline"])
            recent = [float(reward) for reward in state["recent_rewards"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the state has no whole state of a baseline: {error!r}") from error
        self.baseline, self._recent = baseline, recent

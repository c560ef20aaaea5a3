"""What controllers are told, checked and put in order: learning mustn't depend on who finished first."""

from __future__ import annotations

import math

import numpy as np

from nas.controllers.controller import Told
from nas.controllers.lstm import Array
from nas.errors import InputError
from nas.evaluation import Proposal


def in_order(told: Told) -> tuple[list[Proposal], Array]:
    """The proposals by their number, and their rewards in the same order.

    Raises:
        InputError: nothing was told, or a reward is not a finite number.
    """
    if not told:
        raise InputError("a controller learns from at least one result; it was told none")
    pairs = sorted(told, key=lambda pair: pair[0].number)
    for proposal, result in pairs:
        if result.reward is None or not math.isfinite(result.reward):
            raise InputError(
                f"the reward of proposal {proposal.number} must be a finite number, of failed children too. "
                f"Received: {result.reward!r}"
            )
    rewards = np.array([result.reward for _, result in pairs], dtype=np.float64)
    return [proposal for proposal, _ in pairs], rewards


def reward_statistics(rewards: Array) -> dict[str, float]:
    """Mean and best of one update's rewards, by the names under which all controllers report them."""
    return {"reward/mean": float(rewards.mean()), "reward/best": float(rewards.max())}

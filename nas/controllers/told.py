"""What controllers are told, checked and put in order: learning mustn't depend on who finished first."""

from __future__ import annotations

from nas.controllers.controller import Told, rewards_of
from nas.controllers.lstm import Array
from nas.evaluation import Proposal


def in_order(told: Told) -> tuple[list[Proposal], Array]:
    """The proposals by their number, and their rewards in the same order.

    Raises:
        InputError: nothing was told, or a reward is not a finite number.
    """
    pairs = sorted(told, key=lambda pair: pair[0].number)
    return [proposal for proposal, _ in pairs], rewards_of(pairs)


def reward_statistics(rewards: Array) -> dict[str, float]:
    """Mean and best of one update's rewards, by the names under which all controllers report them."""
    return {"reward/mean": float(rewards.mean()), "reward/best": float(rewards.max())}

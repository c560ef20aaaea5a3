"""A reward for networks that must be good and cheap."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nas.errors import InputError, nearest
from nas.evaluation import ChildResult
from nas.search.rewards import AccuracyReward

OBJECTIVES = {
    "parameters": "parameters",
    "multiply_adds": "multiply_adds",
    "latency": "latency_seconds",
}
"""What may be traded for accuracy, and which field of a result measures it."""


@dataclass(frozen=True, kw_only=True)
class TradeoffReward(AccuracyReward):
    """accuracy × (cost / target)^w, with w = `below` where the cost is at most the target, else `above`.

    Source: Tan et al. (2019, MnasNet), §3.1, equations 2 and 3, whose α and β are `below` and `above`. Both
    are −0.07 there (a soft constraint: doubling the cost is worth 5 % of the accuracy); with `below: 0` and
    `above: -1` the target is a hard one.

    The score stays the accuracy. The leaderboard marks the networks that no other beats in both.

    Attributes:
        objective: `parameters`, `multiply_adds`, or `latency` (see `latency_examples` of the recipe).
        target: T, in numbers or in seconds for one example.
        below, above: the exponent w.
        power: of the accuracy; 1 as in the paper.
    """

    objective: str = field()  # required: the rule's usual one is not its default
    target: float
    below: float = -0.07
    above: float = -0.07
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"no objective is named '{self.objective}': {nearest(str(self.objective), OBJECTIVES)}"
            )
        numbers = {"target": self.target, "below": self.below, "above": self.above}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"{name} must be a number. Received: {value!r}")
        if self.target <= 0:
            raise InputError(f"target must be above 0. Received: {self.target!r}")

    @property
    def dominance_pays(self) -> bool:
        return super().dominance_pays and self.below <= 0 and self.above <= 0

    def __call__(self, result: ChildResult) -> float:
        """The reward; finite whatever the result.

        Raises:
            InputError: the child's latency was not measured.
        """
        score = self.score(result)
        if score is None or not math.isfinite(score):
            return self.failed
        cost = cost_of(result, self.objective)
        if cost is None:
            raise InputError(
                "the reward asks for the latency of children, which was not measured: set the recipe's "
                "latency_examples, or name the table's column of latencies"
            )
        ratio = max(cost, _LEAST * self.target) / self.target
        return float(score**self.power * ratio ** (self.below if cost <= self.target else self.above))


_LEAST = 1e-6
"""A network that costs nothing counts as one of this part of the target, so that its reward is finite."""


def cost_of(result: ChildResult, objective: str) -> float | None:
    """What a child costs; None if that was not measured."""
    value = getattr(result, OBJECTIVES[objective])
    return None if value is None else float(value)

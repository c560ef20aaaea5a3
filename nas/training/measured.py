"""What a model is worth on data that it was not trained on, in one form for every task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Z95 = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


@dataclass(frozen=True)
class Measured:
    """One measurement of a model on one split.

    Attributes:
        metric: what was measured, e.g. `accuracy`, `perplexity`.
        value: the measured value.
        low, high: its 95 % interval.
        examples: how many examples it rests on.
        unit: what the examples are, in the plural: `images`, `tokens`.
        lower_is_better: whether less of the metric is better.
        details: more of the task's own, as JSON, e.g. `classes` and `confusion`.
    """

    metric: str
    value: float
    low: float
    high: float
    examples: int
    unit: str
    lower_is_better: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"details": dict(self.details)}


def wilson(correct: int, examples: int) -> tuple[float, float]:
    """The 95 % interval of a fraction (Wilson 1927, score interval), right for fractions near 0 and 1 too.

    Example:
        >>> [round(bound, 4) for bound in wilson(90, 100)]
        [0.8256, 0.9448]
    """
    fraction, square = correct / examples, Z95**2
    middle = fraction + square / (2 * examples)
    half = Z95 * math.sqrt(fraction * (1 - fraction) / examples + square / (4 * examples**2))
    scale = 1 + square / examples
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

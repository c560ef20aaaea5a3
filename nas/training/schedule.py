"""Learning rates over a training: each schedule's formula, for Python's numbers and for tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nas.training.image_recipe import ImageRecipe

SCHEDULES = ("step", "cosine", "constant", "exponential")
DECAY = 0.1
"""Factor of the learning rate at each point of `decay_at` (DenseNet, Huang et al. 2016, §4.2)."""

_ROUNDING = 1e-4
"""Part of a period by which the exponential decay may come early, so that rounding never makes it late."""


class Arithmetic(Protocol):
    """What the formulas need beside operators."""

    def cos(self, value: Any) -> Any: ...

    def floor(self, value: Any) -> Any: ...

    def reached(self, value: Any, point: float) -> Any:
        """1 where `value` is at least `point`, 0 elsewhere."""


@dataclass(frozen=True)
class _Numbers:
    """The arithmetic of Python's numbers."""

    def cos(self, value: float) -> float:
        return math.cos(value)

    def floor(self, value: float) -> float:
        return float(math.floor(value))  # a power of a huge whole number would be an error

    def reached(self, value: float, point: float) -> int:
        return int(value >= point)


NUMBERS: Arithmetic = _Numbers()


def learning_rate(recipe: ImageRecipe, epoch: Any, arithmetic: Arithmetic = NUMBERS) -> Any:
    """The learning rate when `epoch` epochs are over, which may be a fraction.

    Args:
        recipe: its `schedule`, `learning_rate` and what goes with them.
        epoch: a number, or a float32 tensor.
        arithmetic: that of `epoch`.
    """
    if recipe.schedule == "cosine":
        return recipe.learning_rate * 0.5 * (1 + arithmetic.cos(math.pi * epoch / recipe.epochs))
    if recipe.schedule == "step":
        # The small number keeps e.g. 0.7 · 10 from counting as more than 7.
        points = (fraction * recipe.epochs - 1e-9 for fraction in recipe.decay_at)
        return recipe.learning_rate * DECAY ** sum(arithmetic.reached(epoch, point) for point in points)
    if recipe.schedule == "exponential":
        periods = arithmetic.floor(epoch / recipe.decay_epochs + _ROUNDING)
        return recipe.learning_rate * recipe.decay_factor**periods
    return recipe.learning_rate

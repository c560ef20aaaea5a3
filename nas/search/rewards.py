"""Rewards by name: what a controller learns from, made of a child's result."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from nas.errors import InputError
from nas.evaluation import ChildResult, RewardRule
from nas.experiment import FINAL_SUFFIX, Experiment


def shown(value: float) -> str:
    """A reward or a score for people: four decimals, or four digits where these say more.

    Example:
        >>> shown(0.9), shown(281.19932), shown(0.00100512), shown(0.0)
        ('0.9000', '281.1993', '0.001005', '0.0000')
    """
    return f"{value:.4f}" if value == 0 or 0.1 <= abs(value) < 1e6 else f"{value:#.4g}"


@dataclass(frozen=True)
class AccuracyReward(RewardRule):
    """(best validation accuracy of the last `window` epochs) to the power of `power`.

    Source: Zoph & Le (2017), §4.1: the maximum of the last 5 epochs, cubed.

    Attributes:
        window: number of last epochs whose best counts.
        power: exponent.
        failed: reward of a child that didn't end well, whatever it measured before.
        metric: name in the child's history, a fraction in 0…1.
    """

    lower_is_better: ClassVar[bool] = False

    window: int = 5
    power: float = 3.0
    failed: float = 0.0
    metric: str = "val_accuracy"

    def __post_init__(self) -> None:
        if self.window < 1 or not math.isfinite(self.power) or not math.isfinite(self.failed):
            raise InputError(
                "an accuracy reward needs window ≥ 1 and finite power and failed. Received: "
                f"window={self.window}, power={self.power}, failed={self.failed}"
            )

    @property
    def dominance_pays(self) -> bool:
        """Whether no network is rewarded less than one that it beats in cost and score."""
        return self.power >= 0

    def score(self, result: ChildResult) -> float | None:
        """The measured quality that people compare, before the power; None for a failed child."""
        if not result.ok or not result.history:
            return None
        return max(result.curve(self.metric)[-self.window :])

    def __call__(self, result: ChildResult) -> float:
        """The reward; finite whatever the result."""
        score = self.score(result)
        return self.failed if score is None or not math.isfinite(score) else float(score**self.power)


@dataclass(frozen=True)
class PerplexityReward(RewardRule):
    """c / (lowest validation perplexity of the last `window` epochs)².

    Source: Zoph & Le (2017), §4.2: c / (validation perplexity)², c usually 80. Which epoch's perplexity
    counts isn't stated: here it is the last one's, unless `window` is larger.

    Attributes:
        c: reward of a perplexity of 1.
        window: number of last epochs whose lowest counts.
        failed: reward of a child that didn't end well, whatever it measured before.
        metric: name in the child's history, a perplexity.
    """

    lower_is_better: ClassVar[bool] = True
    dominance_pays: ClassVar[bool] = True
    """No network is rewarded less than one that it beats in cost and score."""

    c: float = 80.0
    window: int = 1
    failed: float = 0.0
    metric: str = "val_perplexity"

    def __post_init__(self) -> None:
        if self.window < 1 or not (math.isfinite(self.c) and self.c > 0) or not math.isfinite(self.failed):
            raise InputError(
                "a perplexity reward needs c > 0, window ≥ 1 and a finite failed. Received: "
                f"c={self.c}, window={self.window}, failed={self.failed}"
            )

    def score(self, result: ChildResult) -> float | None:
        """The perplexity that people compare; None for a failed child."""
        if not result.ok or not result.history:
            return None
        return min(result.curve(self.metric)[-self.window :])

    def __call__(self, result: ChildResult) -> float:
        """The reward; finite whatever the result."""
        score = self.score(result)
        return self.failed if score is None or not math.isfinite(score) else self.c / score / score


class BySavedWeights(RewardRule):
    """A reward rule that judges a child by the weights that it leaves, whatever came before them.

    Trainers save the weights of the last epoch (see `nas.training.run.Run`). So the rule sees a history in
    which every epoch measured what the last one did: a best of several epochs, or a mean of them, is then
    that of the saved weights. Finals are judged so, because one of them is exported; in a search, whose
    weights are thrown away, the best of several epochs says more of an architecture.

    Args:
        rule: the experiment's reward rule, a user's own too.
    """

    def __init__(self, rule: RewardRule) -> None:
        self._rule = rule
        self.objective = rule.objective

    def __call__(self, result: ChildResult) -> float:
        return self._rule(as_saved(result))

    def score(self, result: ChildResult) -> float | None:
        return self._rule.score(as_saved(result))

    @property
    def metric(self) -> str:
        return self._rule.metric

    @property
    def lower_is_better(self) -> bool:
        return self._rule.lower_is_better

    @property
    def dominance_pays(self) -> bool:
        return self._rule.dominance_pays


def as_saved(result: ChildResult) -> ChildResult:
    """The result with what the last epoch measured in place of every epoch.

    Example:
        >>> from nas.evaluation import Status
        >>> ended = ChildResult(Status.OK, ({"val_accuracy": 0.9}, {"val_accuracy": 0.8}))
        >>> as_saved(ended).curve("val_accuracy")
        [0.8, 0.8]
    """
    return replace(result, history=result.history[-1:] * len(result.history))


def rule_of(experiment: Experiment) -> RewardRule:
    """What rewards and scores the children of `experiment`: finals by the weights that they leave."""
    rule = experiment.built_reward
    return BySavedWeights(rule) if _is_final(experiment) else rule


def rejudging(experiment: Experiment) -> RewardRule | None:
    """The rule that replaces the rewards in the record of `experiment`; None: those stand.

    Those of finals may come from a version that judged them as a search judges its children.
    """
    return rule_of(experiment) if _is_final(experiment) else None


def _is_final(experiment: Experiment) -> bool:
    """Whether it retrains the best of another one (see `nas.final.finalists.final_experiment`)."""
    return experiment.name.endswith(FINAL_SUFFIX)

"""The reward is the paper's, and always finite."""

from __future__ import annotations

import math

import pytest

from nas import plugins
from nas.errors import InputError
from nas.evaluation import ChildResult, RewardRule, Status, reward_rule
from nas.search.rewards import AccuracyReward, BySavedWeights, PerplexityReward


def result(*accuracies: float, status: Status = Status.OK) -> ChildResult:
    return ChildResult(status, tuple({"val_accuracy": value} for value in accuracies))


def test_reward_is_the_best_of_the_last_five_epochs_cubed() -> None:
    """Zoph & Le (2017), §4.1."""
    assert AccuracyReward()(result(0.9, 0.1, 0.5, 0.2, 0.3, 0.4)) == pytest.approx(0.5**3)


def test_score_is_what_people_compare_before_the_power() -> None:
    assert AccuracyReward(window=2).score(result(0.9, 0.5, 0.6)) == 0.6


def test_fewer_epochs_than_the_window_all_count() -> None:
    assert AccuracyReward(power=1)(result(0.25)) == 0.25


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_failed_children_get_the_named_reward_whatever_they_measured(status: Status) -> None:
    assert AccuracyReward(failed=-0.25)(result(0.9, status=status)) == -0.25
    assert AccuracyReward().score(result(0.9, status=status)) is None


def test_a_value_that_is_no_number_is_rewarded_as_a_failure() -> None:
    assert AccuracyReward(failed=0.125)(result(math.nan)) == 0.125


@pytest.mark.parametrize("options", [{"window": 0}, {"power": math.inf}, {"failed": math.nan}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="accuracy reward"):
        AccuracyReward(**options)  # type: ignore[arg-type]


def test_an_unknown_metric_names_those_that_are_recorded() -> None:
    with pytest.raises(InputError, match="val_accuracy"):
        AccuracyReward(metric="val_f1")(result(0.5))


def perplexities(*values: float, status: Status = Status.OK) -> ChildResult:
    return ChildResult(status, tuple({"val_perplexity": value} for value in values))


def test_the_reward_of_a_perplexity_is_80_over_its_square() -> None:
    """Zoph & Le (2017), §4.2."""
    assert PerplexityReward()(perplexities(50.0, 200.0, 100.0)) == pytest.approx(80 / 100**2)


def test_the_lowest_perplexity_of_the_window_counts() -> None:
    rule = PerplexityReward(window=2)
    assert rule.score(perplexities(50.0, 90.0, 100.0)) == 90.0
    assert rule.lower_is_better
    assert not AccuracyReward().lower_is_better


def test_a_perplexity_whose_square_is_too_large_for_a_number_has_a_reward() -> None:
    assert PerplexityReward()(perplexities(1e200)) == 0.0


@pytest.mark.parametrize("values", [(), (math.inf,), (math.nan,)])
def test_a_perplexity_that_is_no_number_is_rewarded_as_a_failure(values: tuple[float, ...]) -> None:
    assert PerplexityReward(failed=-1.0)(perplexities(*values)) == -1.0
    assert PerplexityReward()(perplexities(10.0, status=Status.DIVERGED)) == 0.0


@pytest.mark.parametrize("options", [{"c": 0.0}, {"c": math.inf}, {"window": 0}, {"failed": math.nan}])
def test_options_of_a_perplexity_reward_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="perplexity reward"):
        PerplexityReward(**options)  # type: ignore[arg-type]


class Own:
    """A user's own rule: it can be called and has a score, no more."""

    def __call__(self, result: ChildResult) -> float:
        return 2.0

    def score(self, result: ChildResult) -> float | None:
        return 1.0


class OwnWithWords(Own):
    metric = "val_loss"
    lower_is_better = True
    objective = "latency"
    dominance_pays = True


def test_a_rule_of_ones_own_has_the_usual_values_for_what_it_does_not_say() -> None:
    rule = reward_rule(Own())
    assert (rule(result(0.5)), rule.score(result(0.5))) == (2.0, 1.0)
    assert (rule.metric, rule.lower_is_better) == (RewardRule.UNNAMED, False)
    assert (rule.objective, rule.dominance_pays) == ("parameters", False)
    own = reward_rule(OwnWithWords())
    assert (own.metric, own.lower_is_better, own.objective, own.dominance_pays) == (
        "val_loss",
        True,
        "latency",
        True,
    )
    assert reward_rule(own) is own


def test_the_rule_of_finals_says_what_the_experiments_rule_says() -> None:
    for inner in (reward_rule(OwnWithWords()), PerplexityReward(), AccuracyReward(power=-1.0)):
        saved = BySavedWeights(inner)
        for name in ("metric", "lower_is_better", "objective", "dominance_pays"):
            assert getattr(saved, name) == getattr(inner, name), name


def test_the_objective_of_a_trade_off_must_be_named() -> None:
    with pytest.raises(InputError, match="needs the option 'objective'"):
        plugins.make("reward", {"name": "tradeoff", "target": 1000})
    rule = plugins.make("reward", {"name": "tradeoff", "target": 0.1, "objective": "latency"})
    assert rule.objective == "latency"

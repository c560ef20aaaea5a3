"""The reward of MnasNet: accuracy against cost, soft or hard."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nas.errors import InputError
from nas.evaluation import ChildResult, Status
from nas.plugins import make
from nas.search.tradeoff import TradeoffReward


def result(accuracy: float, status: Status = Status.OK, **sizes: Any) -> ChildResult:
    return ChildResult(status, ({"val_accuracy": accuracy},), **sizes)


def rule(**options: Any) -> TradeoffReward:
    return make("reward", {"name": "tradeoff", "objective": "parameters", "target": 1000, **options})


def test_on_target_the_reward_is_the_accuracy():
    assert rule()(result(0.75, parameters=1000)) == pytest.approx(0.75)


def test_doubling_the_cost_is_worth_five_per_cent_of_accuracy():
    """Tan et al. (2019), §3.1: Reward(a · 1.05, 2 T) ≈ Reward(a, T), hence β = −0.07."""
    twice, once = rule()(result(0.75 * 1.05, parameters=2000)), rule()(result(0.75, parameters=1000))
    assert twice == pytest.approx(once, rel=0.001)
    assert rule()(result(0.75, parameters=500)) == pytest.approx(0.75 * 0.5**-0.07)


def test_a_hard_target_lets_only_what_is_above_it_pay():
    hard = rule(below=0, above=-1)
    assert hard(result(0.75, parameters=10)) == pytest.approx(0.75)
    assert hard(result(0.75, parameters=4000)) == pytest.approx(0.75 / 4)


@pytest.mark.parametrize(
    ("objective", "sizes"),
    [
        ("parameters", {"parameters": 2000}),
        ("multiply_adds", {"multiply_adds": 2000}),
        ("latency", {"latency_seconds": 2000.0}),
    ],
)
def test_every_objective_is_what_its_name_says(objective, sizes):
    assert rule(objective=objective, power=2)(result(0.5, **sizes)) == pytest.approx(0.25 * 2**-0.07)


def test_the_score_stays_the_accuracy():
    assert rule().score(result(0.75, parameters=2000)) == 0.75
    assert rule().lower_is_better is False


def test_a_failed_child_gets_what_failures_get():
    assert rule()(result(0.9, Status.CRASHED, parameters=1)) == 0.0
    assert rule(failed=-1.0)(ChildResult(Status.TIMEOUT)) == -1.0


def test_a_network_that_costs_nothing_has_a_finite_reward():
    assert math.isfinite(rule(below=-1)(result(0.9, parameters=0)))


def test_a_latency_that_was_not_measured_is_asked_for():
    with pytest.raises(InputError, match="latency_examples"):
        rule(objective="latency")(result(0.9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "latencies"}, "did you mean 'latency'"),
        ({"target": 0}, "target must be above 0"),
        ({"target": "1e6"}, "target must be a number"),
        ({"below": math.inf}, "below must be a number"),
        ({"window": 0}, "window"),
    ],
)
def test_options_that_are_not_allowed_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        rule(**options)

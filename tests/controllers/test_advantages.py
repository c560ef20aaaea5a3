"""Advantages: against the baseline, normalised, or by rank."""

from __future__ import annotations

import numpy as np
import pytest

from nas.controllers.advantages import Advantages
from nas.controllers.reinforce import Reinforce
from nas.errors import InputError
from nas.testing.step_space import StepSpace, every_step


def test_the_baseline_is_the_moving_average_before_the_update():
    advantages = Advantages(0.5)
    first, _ = advantages.of(np.array([0.0, 1.0]))
    np.testing.assert_allclose(first, [-0.5, 0.5])
    second, statistics = advantages.of(np.array([1.0, 0.0]))
    np.testing.assert_allclose(second, [0.5, -0.5])
    assert statistics["baseline"] == 0.5
    assert advantages.baseline == pytest.approx(0.5 * (0.5 * 0.5 + 0.5 * 1.0))


def test_normalised_advantages_have_mean_zero_and_deviation_one():
    advantages, statistics = Advantages(0.9, normalize=True).of(np.array([0.90, 0.91, 0.93]))
    assert advantages.mean() == pytest.approx(0.0, abs=1e-9)
    assert advantages.std() == pytest.approx(1.0, rel=1e-5)
    assert statistics["advantage/std"] == pytest.approx(1.0, rel=1e-5)


def test_equal_rewards_have_no_normalised_advantage():
    advantages, _ = Advantages(0.9, normalize=True).of(np.array([0.3, 0.3]))
    np.testing.assert_array_equal(advantages, [0.0, 0.0])


def test_ranks_stand_in_for_rewards():
    """Of 0.1, 0.9, 0.9 and 0.5: places in the middle of each share of the order, from 0 to 1."""
    ranked = Advantages(0.0, rank=10)
    ranked.of(np.array([0.1, 0.9]))
    baseline = ranked.baseline
    advantages, _ = ranked.of(np.array([0.9, 0.5]))
    np.testing.assert_allclose(advantages + baseline, [0.75, 0.375])


def test_ranks_do_not_depend_on_the_scale_of_rewards():
    rewards = np.random.default_rng(0).random((4, 5))
    plain, other = Advantages(0.9, rank=12), Advantages(0.9, rank=12)
    for row in rewards:
        np.testing.assert_array_equal(plain.of(row)[0], other.of(100 * row**3 - 5)[0])


def test_old_rewards_leave_the_order_of_ranks():
    ranked = Advantages(0.0, rank=2)
    for reward in (0.9, 0.8, 0.1, 0.2):
        advantages, statistics = ranked.of(np.array([reward]))
    assert advantages[0] + statistics["baseline"] == pytest.approx(0.75), "better than 0.1, and 0.9 is gone"
    assert ranked.state()["recent_rewards"] == [0.1, 0.2]


def test_options_that_are_not_allowed_are_refused():
    for options in ({"rank_rewards": -1}, {"rank_rewards": True}, {"normalize_advantages": 1}):
        with pytest.raises(InputError, match=next(iter(options))):
            Reinforce(StepSpace(every_step, 1), **options)

"""Temperature and tanh constant bound the logits, with exact gradients through the whole policy."""

from __future__ import annotations

import numpy as np
import pytest

from nas.controllers.logits import Logits
from nas.controllers.lstm_policy import LstmPolicy
from nas.controllers.reinforce import Reinforce
from nas.errors import InputError
from nas.testing.spaces import all_tokens
from nas.testing.step_space import StepSpace, every_step


def test_logits_are_those_of_the_equation():
    scores = np.array([-30.0, 0.0, 1.0, 5.0])
    np.testing.assert_array_equal(Logits().of(scores), scores)
    np.testing.assert_allclose(Logits(5.0).of(scores), scores / 5)
    np.testing.assert_allclose(Logits(5.0, 2.5).of(scores), 2.5 * np.tanh(scores / 5))


@pytest.mark.parametrize("logits", [Logits(), Logits(3.0), Logits(1.0, 1.5), Logits(5.0, 2.5)])
def test_the_gradient_is_that_of_the_objective_for_every_kind_of_step(logits):
    """Central differences of Σ a_k log P_k + b_k H_k along a random direction."""
    random = np.random.default_rng(3)
    space = StepSpace(every_step, 2)
    policy = LstmPolicy(space, layers=1, units=5, init_scale=1.0, random=random, logits=logits)
    strings = list(all_tokens(space.steps(2)))
    written = [(2, strings[index]) for index in random.integers(len(strings), size=8)]
    a, b = random.normal(size=8), random.normal(size=8)

    def objective() -> float:
        walks = policy.follow(written)
        return float(a @ walks.log_probabilities + b @ walks.entropies)

    gradient = policy.gradient(policy.follow(written), a, b)
    direction = {name: random.normal(size=array.shape) for name, array in gradient.items()}
    values = []
    for step in (1e-5, -2e-5):
        for name, parameter in policy.parameters.items():
            parameter += step * direction[name]
        values.append(objective())
    expected = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(expected, rel=1e-5)


def test_a_tanh_constant_keeps_every_option_possible():
    """With c = 0.5 no option of 3 can be less likely than 1 / (1 + 2 e)."""
    space = StepSpace(every_step, 1)
    sure = Reinforce(space, init_scale=50.0, units=4)
    unsure = Reinforce(space, init_scale=50.0, units=4, tanh_constant=0.5)
    least = [min(p.log_probability for p in c.propose(200)) for c in (sure, unsure)]
    decisions = 3  # of more than one option, in one block
    assert least[1] >= -decisions * np.log(1 + 2 * np.e)
    entropies = [c.policy.follow([(1, (2, 0))]).entropies[0] for c in (sure, unsure)]
    assert entropies[1] > entropies[0]


def test_limits_that_are_no_numbers_above_zero_are_refused():
    for options in ({"temperature": 0}, {"tanh_constant": -1}, {"tanh_constant": "high"}):
        with pytest.raises(InputError, match=next(iter(options))):
            Reinforce(StepSpace(every_step, 1), **options)

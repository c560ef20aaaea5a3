"""Advantages, options and terms that policy gradients share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.controllers import PolicyGradientOptions
from nas.controllers.decisions import BoundedLogits, Distribution, Entropy, Integers, Logits
from nas.controllers.lstm import Array
from nas.controllers.policy_gradient import Advantages
from nas.controllers.ppo import Ppo, PpoOptions
from nas.controllers.reinforce import Reinforce, ReinforceOptions
from nas.errors import InputError
from nas.plugins import make, with_defaults
from nas.spaces import Step
from nas.testing.controllers import asked, results
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


# --- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("units", 0),
        ("layers", 1.5),
        ("init_scale", 0.0),
        ("learning_rate", "6e-4"),
        ("learning_rate", 10**400),
        ("baseline_decay", 1.0),
        ("entropy_weight", -0.1),
        ("temperature", 0),
        ("tanh_constant", -1),
        ("tanh_constant", "high"),
        ("rank_rewards", -1),
        ("rank_rewards", True),
        ("normalize_advantages", 1),
        ("unit", 3),
    ],
)
@pytest.mark.parametrize("controller", [Reinforce, Ppo])
def test_options_that_are_not_allowed_are_refused(controller, option, value):
    with pytest.raises(InputError, match=option):
        controller(StepSpace(every_step, 1), **{option: value})


def test_options_are_one_frozen_value_with_the_defaults_of_the_method():
    space = StepSpace(every_step, 1)
    assert Reinforce(space, units=4).options == ReinforceOptions(units=4)
    assert Ppo(space).options == PpoOptions()
    for options in (ReinforceOptions(), PpoOptions()):
        assert isinstance(options, PolicyGradientOptions)
        with pytest.raises(AttributeError):
            options.units = 1


@pytest.mark.parametrize("name", ["reinforce", "ppo", "nas.controllers.reinforce:Reinforce"])
def test_an_experiment_names_options_and_leaves_out_defaults(name):
    space = StepSpace(every_step, 1)
    made = make("controller", {"name": name, "units": 4}, space=space, seed=1)
    defaults = with_defaults("controller", {"name": name})
    assert defaults == {"name": name, "seed": 0, **vars(type(made)(space).options)}
    with pytest.raises(InputError, match=r"unknown option 'learning_rat'.*did you mean 'learning_rate'"):
        make("controller", {"name": name, "learning_rat": 0.1}, space=space, seed=1)


# --- terms and logits -------------------------------------------------------------------------------


def test_a_tanh_constant_keeps_every_option_possible():
    """With c = 0.5 no option of 3 can be less likely than 1 / (1 + 2 e)."""
    space = StepSpace(every_step, 1)
    sure = Reinforce(space, init_scale=50.0, units=4)
    unsure = Reinforce(space, init_scale=50.0, units=4, tanh_constant=0.5)
    least = [min(p.log_probability for p in c.propose(200, 0)) for c in (sure, unsure)]
    decisions = 3  # of more than one option, in one block
    assert least[1] >= -decisions * np.log(1 + 2 * np.e)
    entropies = [c.policy.follow([(1, (2, 0))]).value(Entropy())[0] for c in (sure, unsure)]
    assert entropies[1] > entropies[0]


class Squared:
    """A term that depends on what was decided too: its tokens' sum times the squared entropy."""

    name = "squared"

    def value(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        return value.sum(axis=1) * distribution.entropy() ** 2

    def derivative(self, step: Step, distribution: Distribution, value: Integers) -> Array:
        return (2 * value.sum(axis=1) * distribution.entropy())[:, None] * distribution.d_entropy()


class WithAnotherTerm(Reinforce):
    def __init__(self, space: StepSpace, **options: Any) -> None:
        super().__init__(space, **options)
        self.terms = (*self.terms, (Squared(), 0.7))


def test_a_term_joins_the_objective_and_the_statistics():
    """Finite differences of −(1/m) Σ A_k log P_k − w (1/m) Σ H_k + 0.7 (1/m) Σ T_k."""
    controller = WithAnotherTerm(
        StepSpace(every_step, 2), seed=1, units=6, init_scale=0.5, entropy_weight=0.3
    )
    controller.learn(results(asked(controller, 3)))
    pairs = results(asked(controller, 6))
    written = [(proposal.depth, proposal.tokens) for proposal, _ in pairs]
    advantages = np.array([result.reward for _, result in pairs]) - controller.baseline

    def loss() -> float:
        followed = controller.policy.follow(written)
        values = -advantages * followed.log_probabilities - 0.3 * followed.value(Entropy())
        return float((values + 0.7 * followed.value(Squared())).mean())

    expected = float(controller.policy.follow(written).value(Squared()).mean())
    gradient, statistics = controller.gradient(pairs)
    assert statistics["squared"] == pytest.approx(expected)
    random = np.random.default_rng(0)
    direction = {name: random.normal(size=array.shape) for name, array in gradient.items()}
    losses = []
    for step in (1e-5, -2e-5):
        for name, parameter in controller.policy.parameters.items():
            parameter += step * direction[name]
        losses.append(loss())
    along = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(along, rel=1e-6)


class WithUnsureOperations(Reinforce):
    def logits_of(self, step: Step) -> Logits:
        return (
            BoundedLogits(tanh_constant=0.1) if step.name.endswith("operation") else super().logits_of(step)
        )


def test_a_subclass_chooses_logits_for_a_kind_of_step():
    controller = WithUnsureOperations(StepSpace(every_step, 1), units=4, init_scale=50.0)
    operations = [proposal.tokens[0] for proposal in controller.propose(300, 0)]
    assert min(operations.count(operation) for operation in range(3)) > 60

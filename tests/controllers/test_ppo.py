"""PPO takes the clipped objective's steps, corrects for older policies, and has NASNet's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas.controllers.ppo import Ppo
from nas.controllers.reinforce import Reinforce
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.plugins import make, with_defaults
from nas.spaces import Choice, StepList
from nas.testing.controllers import asked, results, same
from nas.testing.step_space import StepSpace, every_step


def two_options() -> StepSpace:
    return StepSpace(lambda _: StepList((Choice("one", "digit", (0, 1)),)))


def told(proposals: list[Proposal], *rewards: float) -> list[tuple[Proposal, ChildResult]]:
    return [(p, ChildResult(Status.OK, reward=r)) for p, r in zip(proposals, rewards, strict=True)]


def test_defaults_are_those_of_nasnet():
    options = with_defaults("controller", {"name": "ppo"})
    assert options["learning_rate"] == 0.00035
    assert options["entropy_weight"] == 0.00001
    assert options["baseline_decay"] == 0.95
    assert (options["layers"], options["units"], options["init_scale"]) == (1, 100, 0.1)


def test_the_first_step_is_that_of_reinforce():
    """While the policy is the one that sampled, every ratio is 1, and so is the gradient's."""
    space = StepSpace(every_step, 2)
    options = {"seed": 1, "units": 6, "layers": 1, "entropy_weight": 0.01, "init_scale": 0.5}
    ppo, reinforce = Ppo(space, **options), Reinforce(space, **options)
    pairs = results(asked(ppo, 6))
    gradient, expected = ppo.gradient(pairs)[0], reinforce.gradient(pairs)[0]
    for name, array in expected.items():
        np.testing.assert_allclose(gradient[name], array, rtol=1e-9, atol=1e-15)
        assert array.any(), f"{name} has no gradient at all"


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_update_makes_as_many_steps_as_it_has_epochs(epochs):
    ppo = Ppo(StepSpace(every_step, 2), units=6, epochs=epochs)
    ppo.learn(results(asked(ppo, 4)))
    assert ppo.policy_state()["optimizer"]["step"] == epochs
    assert ppo.updates == 1


def test_the_gradient_is_that_of_the_clipped_objective():
    """All cases of min and clip: above and below the bounds, with good and bad rewards; by differences."""
    ppo = Ppo(two_options(), seed=2, units=4, clip=0.2, entropy_weight=0.0, init_scale=0.7)
    ppo.learn(told(asked(ppo, 2), 0.4, 0.6))
    proposals = [replace(p, tokens=(n % 2,)) for n, p in enumerate(asked(ppo, 6))]
    now = ppo.policy.follow([(1, p.tokens) for p in proposals]).log_probabilities
    ratios = np.array([1.5, 1.5, 0.5, 0.5, 1.1, 0.9])
    sampled = now - np.log(ratios)
    stale = [replace(p, log_probability=float(s)) for p, s in zip(proposals, sampled, strict=True)]
    rewards = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    advantages = rewards - ppo.baseline

    def loss() -> float:
        r = np.exp(ppo.policy.follow([(1, p.tokens) for p in stale]).log_probabilities - sampled)
        return float(-np.minimum(r * advantages, np.clip(r, 0.8, 1.2) * advantages).mean())

    gradient, _ = ppo.gradient(told(stale, *rewards))
    name = "head/digit/kernel"
    losses = []
    for step in (1e-6, -2e-6):
        ppo.policy.parameters[name][1, 0] += step
        losses.append(loss())
    assert gradient[name][1, 0] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-5)
    assert gradient[name][1, 0] != 0


def test_what_was_pushed_far_enough_is_pushed_no_further():
    ppo = Ppo(two_options(), units=4, clip=0.2, entropy_weight=0.0)
    ppo.learn(told(asked(ppo, 2), 0.5, 0.5))
    (proposal,) = asked(ppo, 1)
    likelier = replace(proposal, log_probability=proposal.log_probability - np.log(1.3))
    rarer = replace(proposal, log_probability=proposal.log_probability + np.log(1.3))
    for one, reward, moves in (
        (likelier, 1.0, False),
        (rarer, 1.0, True),
        (rarer, 0.0, False),
        (likelier, 0.0, True),
    ):
        fresh = Ppo(two_options(), units=4, clip=0.2, entropy_weight=0.0)
        fresh.restore(ppo.state())
        norm = fresh.gradient(told([one], reward))[1]["gradient_norm"]
        assert (norm > 0) is moves, f"{one.log_probability} with reward {reward}"


def test_it_finds_the_better_option():
    ppo = Ppo(two_options(), units=8, learning_rate=0.02)
    for _ in range(30):
        proposals = asked(ppo, 10)
        ppo.learn(told(proposals, *(float(p.tokens == (1,)) for p in proposals)))
    assert sum(p.tokens == (1,) for p in asked(ppo, 100)) > 95


def test_its_state_keeps_the_reward_ranks():
    one, other = (Ppo(StepSpace(every_step, 2), seed=s, units=6, rank_rewards=9) for s in (1, 2))
    one.learn(results(asked(one, 5)))
    other.restore(one.state())
    pairs = results(asked(one, 5))
    asked(other, 5)
    assert one.learn(pairs) == other.learn(pairs)
    assert same(one.state(), other.state())


def test_it_is_named_in_an_experiment_and_checks_its_options():
    assert isinstance(make("controller", {"name": "ppo"}, space=two_options(), seed=0), Ppo)
    for options in ({"clip": 0}, {"epochs": 0}, {"learning_rate": "3.5e-4"}):
        with pytest.raises(InputError, match=next(iter(options))):
            Ppo(two_options(), **options)

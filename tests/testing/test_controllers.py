"""The contract of controllers catches the mistakes that it is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.controllers.controller import Controller, Gradient, State, Told
from nas.controllers.random import RandomController
from nas.controllers.reinforce import Reinforce
from nas.evaluation import Proposal
from nas.spaces import Space
from nas.testing.controllers import ControllerContract, PolicyGradientContract


class SkipsANumber(RandomController):
    def propose(self, count: int) -> list[Proposal]:
        self.proposed += 1
        return super().propose(count)


class ProposesWhatItsTokensDoNotSay(RandomController):
    def propose(self, count: int) -> list[Proposal]:
        proposals = super().propose(count)
        others = [*proposals[1:], proposals[0]]
        return [replace(one, tokens=other.tokens) for one, other in zip(proposals, others, strict=True)]


class StaysShallow(RandomController):
    def propose(self, count: int) -> list[Proposal]:
        numbers, self.proposed = self.proposed, 0
        proposals = super().propose(count)
        self.proposed += numbers
        return [replace(p, number=p.number + numbers) for p in proposals]


class DrawsFromTheGlobalGenerator(RandomController):
    def propose(self, count: int) -> list[Proposal]:
        self.random = np.random.default_rng(np.random.randint(2**31))
        return super().propose(count)


class ForgetsItsSeed(RandomController):
    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__(space, seed=0)


class ForgetsItsGenerator(RandomController):
    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore({**state, "random": self.random.bit_generator.state})


class KeepsNoVersion(RandomController):
    def learn(self, told: Told) -> dict[str, float]:
        statistics = super().learn(told)
        self.updates = 0
        return statistics


class LearnsInTheOrderOfArrival(RandomController):
    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        self.last = 0.0

    def learn(self, told: Told) -> dict[str, float]:
        statistics = super().learn(told)
        self.last = float(told[-1][1].reward or 0.0)
        return statistics

    def state(self) -> State:
        return {**super().state(), "last": self.last}


class ChangesBeforeItRefuses(RandomController):
    def learn(self, told: Told) -> dict[str, float]:
        self.proposed += 1
        statistics = super().learn(told)
        self.proposed -= 1
        return statistics


class KeepsObjectsInItsState(RandomController):
    def state(self) -> State:
        return {**super().state(), "generator": self.random}


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (SkipsANumber, "test_proposals_are_numbered_without_gaps"),
        (ProposesWhatItsTokensDoNotSay, "test_a_proposals_tokens_decode_to_its_architecture"),
        (StaysShallow, "test_proposals_have_the_depth_of_the_schedule"),
        (DrawsFromTheGlobalGenerator, "test_the_same_seed_gives_the_same_search"),
        (DrawsFromTheGlobalGenerator, "test_no_hidden_randomness_is_used"),
        (ForgetsItsSeed, "test_another_seed_gives_other_proposals"),
        (ForgetsItsGenerator, "test_a_restored_controller_goes_on_as_the_old_one"),
        (ForgetsItsGenerator, "test_a_state_that_lacks_something_is_refused"),
        (KeepsNoVersion, "test_proposals_know_the_version_of_their_policy"),
        (LearnsInTheOrderOfArrival, "test_the_order_of_results_does_not_matter"),
        (ChangesBeforeItRefuses, "test_a_reward_that_is_no_number_is_refused_and_changes_nothing"),
        (KeepsObjectsInItsState, "test_a_state_holds_json_values_and_arrays_only"),
    ],
)
def test_a_broken_controller_fails(broken: Callable[..., Controller], test: str):
    class Contract(ControllerContract):
        def make_controller(self, space: Space, seed: int) -> Controller:
            return broken(space, seed=seed)

    with pytest.raises(AssertionError):
        getattr(Contract(), test)()


class SharesItsArrays(Reinforce):
    def state(self) -> State:
        return {**super().state(), "parameters": self.policy.parameters}


class AppliesInTheGradient(Reinforce):
    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        gradient, statistics = super().gradient(told)
        self.apply(gradient)
        return gradient, statistics


class ReportsTheWrongProbability(Reinforce):
    def propose(self, count: int) -> list[Proposal]:
        return [replace(p, log_probability=p.log_probability - 1.0) for p in super().propose(count)]


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (SharesItsArrays, "test_going_on_does_not_change_an_earlier_state"),
        (AppliesInTheGradient, "test_a_gradient_alone_changes_no_proposal"),
        (ReportsTheWrongProbability, "test_what_is_learnt_has_the_probability_with_which_it_was_sampled"),
    ],
)
def test_a_broken_policy_gradient_controller_fails(broken: type[Reinforce], test: str):
    class Contract(PolicyGradientContract):
        def make_controller(self, space: Space, seed: int) -> Reinforce:
            return broken(space, seed=seed, units=8, learning_rate=0.01)

    with pytest.raises(AssertionError):
        getattr(Contract(), test)()

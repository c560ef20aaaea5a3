"""The contract of controllers catches the mistakes that it is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.controllers.controller import Controller, Gradient, State, Told
from nas.controllers.evolution import Evolution
from nas.controllers.random import RandomController
from nas.controllers.reinforce import Reinforce
from nas.evaluation import Proposal
from nas.spaces import Space
from nas.testing.controllers import ControllerContract, PolicyGradientContract


class NumbersItsProposals(RandomController):
    def propose(self, count: int, begun: int) -> list[Proposal]:
        proposals = super().propose(count, begun)
        return [replace(p, number=begun + place) for place, p in enumerate(proposals)]


class ProposesWhatItsTokensDoNotSay(RandomController):
    def propose(self, count: int, begun: int) -> list[Proposal]:
        proposals = super().propose(count, begun)
        others = [*proposals[1:], proposals[0]]
        return [replace(one, tokens=other.tokens) for one, other in zip(proposals, others, strict=True)]


class StaysShallow(RandomController):
    def propose(self, count: int, begun: int) -> list[Proposal]:
        return super().propose(count, 0)


class CountsItsOwnProposals(RandomController):
    own = 0

    def propose(self, count: int, begun: int) -> list[Proposal]:
        self.own += count
        return super().propose(count, self.own - count)


class DrawsFromTheGlobalGenerator(RandomController):
    def propose(self, count: int, begun: int) -> list[Proposal]:
        self.random = np.random.default_rng(np.random.randint(2**31))
        return super().propose(count, begun)


class ForgetsItsSeed(RandomController):
    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__(space, seed=0)


class ForgetsItsGenerator(RandomController):
    def restore_sampler(self, state: Mapping[str, Any]) -> None:
        super().restore_sampler({**state, "random": self.random.bit_generator.state})


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

    def policy_state(self) -> State:
        return {**super().policy_state(), "last": self.last}


class ChangesBeforeItRefuses(RandomController):
    def learn(self, told: Told) -> dict[str, float]:
        self.updates += 1
        statistics = super().learn(told)
        self.updates -= 1
        return statistics


class LearnsFromUnnumbered(RandomController):
    def learn(self, told: Told) -> dict[str, float]:
        return super().learn([(replace(p, number=place), r) for place, (p, r) in enumerate(told)])


class KeepsObjectsInItsState(RandomController):
    def sampler_state(self) -> State:
        return {**super().sampler_state(), "generator": self.random}


class KeepsAThirdPart(RandomController):
    def state(self) -> State:
        return {**super().state(), "more": 1}


class RestoresItsGeneratorWithThePolicy(RandomController):
    def policy_state(self) -> State:
        return {**super().policy_state(), "generator": self.random.bit_generator.state}

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        super().restore_policy(state)
        self.random.bit_generator.state = state["generator"]


class SharesItsGenerator(RandomController):
    shared = np.random.default_rng(0)

    def propose(self, count: int, begun: int) -> list[Proposal]:
        self.random = self.shared
        return super().propose(count, begun)


class NeedsItsOwnMemory(Evolution):
    """Evolves from what this very object was taught."""

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        super().restore_policy(state | {"members": self.policy_state()["members"]})


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (NumbersItsProposals, "test_proposals_are_left_to_the_record_to_number"),
        (ProposesWhatItsTokensDoNotSay, "test_a_proposals_tokens_decode_to_its_architecture"),
        (StaysShallow, "test_proposals_have_the_depth_of_the_schedule"),
        (CountsItsOwnProposals, "test_the_depth_is_that_of_the_whole_searchs_children_not_of_ones_own"),
        (DrawsFromTheGlobalGenerator, "test_the_same_seed_gives_the_same_search"),
        (DrawsFromTheGlobalGenerator, "test_no_hidden_randomness_is_used"),
        (ForgetsItsSeed, "test_another_seed_gives_other_proposals"),
        (ForgetsItsGenerator, "test_a_restored_controller_goes_on_as_the_old_one"),
        (ForgetsItsGenerator, "test_a_state_that_lacks_something_is_refused_and_changes_nothing"),
        (KeepsNoVersion, "test_proposals_know_the_version_of_their_policy"),
        (LearnsInTheOrderOfArrival, "test_the_order_of_results_does_not_matter"),
        (ChangesBeforeItRefuses, "test_a_reward_that_is_no_number_is_refused_and_changes_nothing"),
        (LearnsFromUnnumbered, "test_a_proposal_that_was_not_numbered_is_refused_and_changes_nothing"),
        (KeepsObjectsInItsState, "test_a_state_holds_json_values_and_arrays_only"),
        (KeepsAThirdPart, "test_a_state_is_its_two_halves"),
        (RestoresItsGeneratorWithThePolicy, "test_each_half_is_restored_alone"),
        (RestoresItsGeneratorWithThePolicy, "test_proposing_changes_the_sampler_alone"),
        (SharesItsGenerator, "test_replicas_do_not_disturb_each_other"),
        (NeedsItsOwnMemory, "test_replicas_may_be_built_afresh_at_any_time"),
    ],
)
def test_a_broken_controller_fails(broken: Callable[..., Controller], test: str):
    class Contract(ControllerContract):
        def make_controller(self, space: Space, seed: int) -> Controller:
            return broken(space, seed=seed)

    with pytest.raises(AssertionError):
        getattr(Contract(), test)()


class SharesItsArrays(Reinforce):
    def policy_state(self) -> State:
        return {**super().policy_state(), "parameters": self.policy.parameters}


class KeepsItsOptimiser(Reinforce):
    """Doesn't take up the server's moments."""

    def restore_policy(self, state: Mapping[str, Any]) -> None:
        super().restore_policy({**state, "optimizer": self.policy_state()["optimizer"]})


class AppliesInTheGradient(Reinforce):
    def gradient(self, told: Told) -> tuple[Gradient, dict[str, float]]:
        gradient, statistics = super().gradient(told)
        self.apply(gradient)
        return gradient, statistics


class ReportsTheWrongProbability(Reinforce):
    def propose(self, count: int, begun: int) -> list[Proposal]:
        return [replace(p, log_probability=p.log_probability - 1.0) for p in super().propose(count, begun)]


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (SharesItsArrays, "test_going_on_does_not_change_an_earlier_state"),
        (KeepsItsOptimiser, "test_a_replicas_gradient_applied_by_a_server_is_what_one_controller_learns"),
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

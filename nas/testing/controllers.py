"""The contract of controllers as tests: a controller's author inherits them and runs pytest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from nas.controllers.controller import Controller, PolicyGradientController
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.spaces import DepthSchedule, Space
from nas.spaces.conv import ConvSpace
from nas.testing.step_space import StepSpace, every_step

Pairs = list[tuple[Proposal, ChildResult]]


class ControllerContract:
    """What every controller must keep to. Inherit it in a class whose name pytest collects.

    Example:
        >>> from nas.controllers.random import RandomController
        >>> class TestMyController(ControllerContract):
        ...     def make_controller(self, space, seed):
        ...         return RandomController(space, seed=seed)
        >>> TestMyController().test_proposals_are_numbered_without_gaps()
    """

    rounds: int = 4
    """How many rounds of `count` proposals a test goes on for."""
    count: int = 5

    def make_controller(self, space: Space, seed: int) -> Controller:
        """A new controller, always with the same options."""
        raise NotImplementedError("a class that inherits ControllerContract defines make_controller()")

    def spaces(self) -> list[Space]:
        """The spaces to test on: all kinds of steps, a depth that grows, overrides."""
        return [
            StepSpace(every_step, DepthSchedule(start=1, grow=1, every=7, stop=3)),
            ConvSpace(
                depth=DepthSchedule(start=2, grow=1, every=6),
                image_size=8,
                layer_types=("conv", "max_pool"),
                strides=(1, 2),
                learning_rates=(0.1, 0.01),
            ),
        ]

    def controllers(self, seed: int = 3) -> list[Controller]:
        """A new controller for each space."""
        return [self.make_controller(space, seed) for space in self.spaces()]

    # --- proposals ---------------------------------------------------------------------------------

    def test_proposals_are_numbered_without_gaps(self) -> None:
        for controller in self.controllers():
            numbers = [proposal.number for pairs in self.played(controller) for proposal, _ in pairs]
            assert numbers == list(range(self.rounds * self.count)), f"numbers: {numbers}"

    def test_a_proposals_tokens_decode_to_its_architecture(self) -> None:
        for controller in self.controllers():
            for pairs in self.played(controller):
                for proposal, _ in pairs:
                    space, tokens, depth = controller.space, proposal.tokens, proposal.depth
                    assert space.decode(tokens, depth) == proposal.architecture, f"{proposal}"
                    assert space.overrides(tokens, depth) == proposal.overrides, f"{proposal}"

    def test_proposals_have_the_depth_of_the_schedule(self) -> None:
        for controller in self.controllers():
            for pairs in self.played(controller):
                expected = controller.space.depth.at(pairs[0][0].number)
                depths = [proposal.depth for proposal, _ in pairs]
                assert depths == [expected] * self.count, f"expected all of depth {expected}: {depths}"

    def test_proposals_survive_json(self) -> None:
        for controller in self.controllers():
            for proposal in controller.propose(self.count):
                back = Proposal.from_json(json.loads(json.dumps(proposal.to_json())))
                assert back == proposal, f"{proposal} came back as {back}"

    def test_log_probabilities_are_those_of_something_possible(self) -> None:
        for controller in self.controllers():
            for proposal in controller.propose(self.count):
                assert math.isfinite(proposal.log_probability), f"{proposal}"
                assert proposal.log_probability <= 0, f"{proposal}"

    def test_proposals_know_the_version_of_their_policy(self) -> None:
        for controller in self.controllers():
            for version, pairs in enumerate(self.played(controller)):
                assert {proposal.policy_version for proposal, _ in pairs} == {version}
                assert controller.updates == version + 1, "each update raises `updates` by one"

    # --- randomness --------------------------------------------------------------------------------

    def test_the_same_seed_gives_the_same_search(self) -> None:
        for one, other in zip(self.controllers(), self.controllers(), strict=True):
            assert list(self.played(one)) == list(self.played(other))
            assert same(one.state(), other.state()), "equal searches ended in different states"

    def test_another_seed_gives_other_proposals(self) -> None:
        for one, other in zip(self.controllers(3), self.controllers(4), strict=True):
            assert one.propose(20) != other.propose(20)

    def test_no_hidden_randomness_is_used(self) -> None:
        """Neither another controller nor NumPy's global generator may disturb a search."""
        for one, other, third in zip(
            self.controllers(3), self.controllers(3), self.controllers(4), strict=True
        ):
            alone = list(self.played(one))
            together = []
            for pairs, _ in zip(self.played(other), self.played(third), strict=True):
                np.random.seed(1)
                together.append(pairs)
            assert alone == together

    # --- learning ----------------------------------------------------------------------------------

    def test_the_order_of_results_does_not_matter(self) -> None:
        for one, other in zip(self.controllers(), self.controllers(), strict=True):
            in_order, reversed_order = (
                results(one.propose(self.count)),
                results(other.propose(self.count))[::-1],
            )
            assert one.learn(in_order) == other.learn(reversed_order)
            assert same(one.state(), other.state()), "another order of results gave another state"

    def test_statistics_are_finite_numbers_with_the_mean_reward(self) -> None:
        for controller in self.controllers():
            pairs = results(controller.propose(self.count))
            statistics = controller.learn(pairs)
            assert all(type(value) is float for value in statistics.values()), f"{statistics}"
            assert all(math.isfinite(value) for value in statistics.values()), f"{statistics}"
            mean = sum(result.reward or 0.0 for _, result in pairs) / len(pairs)
            assert math.isclose(statistics["reward/mean"], mean), f"{statistics}, but the mean is {mean}"

    def test_a_round_of_failures_is_learnt_from(self) -> None:
        for controller in self.controllers():
            crashed = ChildResult(Status.CRASHED, reward=0.0)
            for _ in range(2):
                controller.learn([(proposal, crashed) for proposal in controller.propose(self.count)])
            assert len(controller.propose(self.count)) == self.count

    def test_a_reward_that_is_no_number_is_refused_and_changes_nothing(self) -> None:
        for controller in self.controllers():
            list(self.played(controller))
            pairs = results(controller.propose(self.count))
            before = controller.state()
            for reward in (None, math.nan, math.inf, -math.inf):
                wrong = [*pairs[:-1], (pairs[-1][0], ChildResult(Status.OK, reward=reward))]
                assert refused(controller.learn, wrong), f"learn must raise InputError for reward={reward}"
                assert same(controller.state(), before), f"reward={reward} changed the state"

    # --- state -------------------------------------------------------------------------------------

    def test_a_restored_controller_goes_on_as_the_old_one(self) -> None:
        """Restored in the middle of a round, into a controller made with another seed."""
        for old, new in zip(self.controllers(3), self.controllers(4), strict=True):
            list(self.played(old))
            open_round = old.propose(self.count)
            new.restore(old.state())
            assert old.learn(results(open_round)) == new.learn(results(open_round))
            assert list(self.played(old)) == list(self.played(new))
            assert same(old.state(), new.state()), "the restored controller ended in another state"

    def test_a_state_holds_json_values_and_arrays_only(self) -> None:
        for controller in self.controllers():
            list(self.played(controller))
            strange = strangers(controller.state())
            assert not strange, f"the state holds {strange[0]!r}"

    def test_going_on_does_not_change_an_earlier_state(self) -> None:
        for controller in self.controllers():
            list(self.played(controller))
            state = controller.state()
            expected = list(self.played(controller))
            controller.restore(state)
            list(self.played(controller))
            controller.restore(state)
            assert list(self.played(controller)) == expected

    def test_a_state_that_lacks_something_is_refused(self) -> None:
        for controller, other in zip(self.controllers(3), self.controllers(4), strict=True):
            list(self.played(controller))
            state = controller.state()
            for key in state:
                rest = {name: value for name, value in state.items() if name != key}
                assert refused(other.restore, rest), f"restore must raise InputError without '{key}'"

    def played(self, controller: Controller) -> Iterator[Pairs]:
        """Goes on for `rounds` rounds and gives what was told in each, after it was learnt."""
        for _ in range(self.rounds):
            pairs = results(controller.propose(self.count))
            controller.learn(pairs)
            yield pairs


STATISTICS = {
    "reward/mean",
    "reward/best",
    "baseline",
    "advantage/mean",
    "advantage/std",
    "entropy",
    "log_probability/mean",
    "gradient_norm",
}
"""What every update of a policy-gradient controller reports."""


class PolicyGradientContract(ControllerContract):
    """What a `PolicyGradientController` must keep to beyond `ControllerContract`."""

    def make_controller(self, space: Space, seed: int) -> PolicyGradientController:
        raise NotImplementedError("a class that inherits PolicyGradientContract defines make_controller()")

    def policies(self, seed: int = 3) -> list[PolicyGradientController]:
        """A new controller for each space."""
        return [self.make_controller(space, seed) for space in self.spaces()]

    def test_every_update_reports_all_statistics(self) -> None:
        for controller in self.policies():
            statistics = controller.learn(results(controller.propose(self.count)))
            assert statistics.keys() >= STATISTICS, f"missing: {STATISTICS - statistics.keys()}"

    def test_learning_is_the_gradient_and_its_application(self) -> None:
        for one, other in zip(self.policies(), self.policies(), strict=True):
            statistics = one.learn(results(one.propose(self.count)))
            gradient, expected = other.gradient(results(other.propose(self.count)))
            other.apply(gradient)
            assert statistics == expected
            assert same(one.state(), other.state()), "learn is not gradient and apply"

    def test_a_gradient_alone_changes_no_proposal(self) -> None:
        for one, other in zip(self.policies(), self.policies(), strict=True):
            one.gradient(results(one.propose(self.count)))
            other.propose(self.count)
            assert one.updates == 0
            assert one.propose(self.count) == other.propose(self.count)

    def test_a_replicas_gradient_can_be_applied_by_another(self) -> None:
        """Replicas that sample differently but start from one policy, and a server that applies."""
        for server, replica, twin in zip(*(self.policies(seed) for seed in (3, 4, 3)), strict=True):
            replica.restore(server.state())
            gradient, _ = replica.gradient(results(replica.propose(self.count)))
            for controller in (server, twin):
                controller.apply({name: array.copy() for name, array in gradient.items()})
                assert controller.updates == 1
            assert same(server.state(), twin.state())

    def test_a_gradient_that_does_not_fit_is_refused_and_changes_nothing(self) -> None:
        for controller in self.policies():
            gradient, _ = controller.gradient(results(controller.propose(self.count)))
            before = controller.state()
            name = min(gradient)
            for wrong in (
                {key: array for key, array in gradient.items() if key != name},
                {**gradient, "no such parameter": np.zeros(1)},
                {**gradient, name: np.zeros((*gradient[name].shape, 1))},
                {**gradient, name: np.full_like(gradient[name], math.nan)},
            ):
                assert refused(controller.apply, wrong), f"apply must raise InputError: '{name}' is wrong"
                assert same(controller.state(), before), "a gradient that doesn't fit changed the state"

    def test_what_is_learnt_has_the_probability_with_which_it_was_sampled(self) -> None:
        for controller in self.policies():
            for _ in range(self.rounds):
                pairs = results(controller.propose(self.count))
                sampled = sum(proposal.log_probability for proposal, _ in pairs) / len(pairs)
                learnt = controller.learn(pairs)["log_probability/mean"]
                assert math.isclose(learnt, sampled), f"sampled with {sampled}, learnt with {learnt}"

    def test_tokens_that_do_not_fit_are_refused_and_change_nothing(self) -> None:
        for controller in self.policies():
            pairs = results(controller.propose(self.count))
            before = controller.state()
            proposal, result = pairs[-1]
            for tokens in (proposal.tokens[:-1], (*proposal.tokens, 0), (99, *proposal.tokens[1:])):
                wrong = [*pairs[:-1], (replace(proposal, tokens=tokens), result)]
                assert refused(controller.gradient, wrong), f"gradient must raise InputError for {tokens}"
                assert same(controller.state(), before), "tokens that don't fit changed the state"


def results(proposals: Sequence[Proposal]) -> Pairs:
    """Proposals with results whose reward depends on the architecture alone, some of them failures."""
    pairs = []
    for proposal in proposals:
        digest = hashlib.sha256(proposal.architecture.text().encode()).digest()
        failed = digest[0] < 32
        result = ChildResult(
            Status.TIMEOUT if failed else Status.OK, reward=0.0 if failed else digest[1] / 255
        )
        pairs.append((proposal, result))
    return pairs


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal to the bit."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def strangers(value: Any) -> list[Any]:
    """What in a state is neither a JSON value nor an array of numbers."""
    if isinstance(value, Mapping):
        return [*(key for key in value if type(key) is not str), *chain(*map(strangers, value.values()))]
    if isinstance(value, list | tuple):
        return list(chain(*map(strangers, value)))
    if isinstance(value, np.ndarray):
        return [] if value.dtype.kind in "biuf" else [value]
    return [] if value is None or type(value) in (bool, int, float, str) else [value]


def refused(call: Callable[..., Any], *arguments: Any) -> bool:
    """Whether the call raises `InputError`."""
    try:
        call(*arguments)
    except InputError:
        return True
    return False

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
from nas.evaluation import UNNUMBERED, ChildResult, Proposal, Status
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
        >>> TestMyController().test_proposals_survive_json()
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

    def test_proposals_are_left_to_the_record_to_number(self) -> None:
        for controller in self.controllers():
            for begun in (0, self.count):
                numbers = [proposal.number for proposal in controller.propose(self.count, begun)]
                assert numbers == [UNNUMBERED] * self.count, f"numbers: {numbers}"

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

    def test_the_depth_is_that_of_the_whole_searchs_children_not_of_ones_own(self) -> None:
        """Other replicas propose too, and a controller may be built afresh."""
        for controller in self.controllers():
            for begun in (0, 40, 7, 14):
                depths = {proposal.depth for proposal in controller.propose(self.count, begun)}
                assert depths == {controller.space.depth.at(begun)}, f"with {begun} begun: {depths}"

    def test_proposals_survive_json(self) -> None:
        for controller in self.controllers():
            for proposal in controller.propose(self.count, 0):
                back = Proposal.from_json(json.loads(json.dumps(proposal.to_json())))
                assert back == proposal, f"{proposal} came back as {back}"

    def test_log_probabilities_are_those_of_something_possible(self) -> None:
        for controller in self.controllers():
            for proposal in controller.propose(self.count, 0):
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
            assert one.propose(20, 0) != other.propose(20, 0)

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
                results(asked(one, self.count)),
                results(asked(other, self.count))[::-1],
            )
            assert one.learn(in_order) == other.learn(reversed_order)
            assert same(one.state(), other.state()), "another order of results gave another state"

    def test_statistics_are_finite_numbers_with_the_mean_reward(self) -> None:
        for controller in self.controllers():
            pairs = results(asked(controller, self.count))
            statistics = controller.learn(pairs)
            assert all(type(value) is float for value in statistics.values()), f"{statistics}"
            assert all(math.isfinite(value) for value in statistics.values()), f"{statistics}"
            mean = sum(result.reward or 0.0 for _, result in pairs) / len(pairs)
            assert math.isclose(statistics["reward/mean"], mean), f"{statistics}, but the mean is {mean}"

    def test_a_round_of_failures_is_learnt_from(self) -> None:
        for controller in self.controllers():
            crashed = ChildResult(Status.CRASHED, reward=0.0)
            for begun in (0, self.count):
                proposals = asked(controller, self.count, begun)
                controller.learn([(proposal, crashed) for proposal in proposals])
            assert len(controller.propose(self.count, 2 * self.count)) == self.count

    def test_a_reward_that_is_no_number_is_refused_and_changes_nothing(self) -> None:
        for controller in self.controllers():
            list(self.played(controller))
            pairs = results(asked(controller, self.count, self.children))
            before = controller.state()
            for reward in (None, math.nan, math.inf, -math.inf):
                wrong = [*pairs[:-1], (pairs[-1][0], ChildResult(Status.OK, reward=reward))]
                assert refused(controller.learn, wrong), f"learn must raise InputError for reward={reward}"
                assert same(controller.state(), before), f"reward={reward} changed the state"

    def test_a_proposal_that_was_not_numbered_is_refused_and_changes_nothing(self) -> None:
        for controller in self.controllers():
            pairs = results(asked(controller, self.count))
            before = controller.state()
            wrong = [*pairs[:-1], (replace(pairs[-1][0], number=UNNUMBERED), pairs[-1][1])]
            assert refused(controller.learn, wrong), "learn must raise InputError for an unnumbered proposal"
            assert same(controller.state(), before), "an unnumbered proposal changed the state"

    # --- state -------------------------------------------------------------------------------------

    def test_a_restored_controller_goes_on_as_the_old_one(self) -> None:
        """Restored in the middle of a round, into a controller made with another seed."""
        for old, new in zip(self.controllers(3), self.controllers(4), strict=True):
            list(self.played(old))
            open_round = asked(old, self.count, self.children)
            new.restore(old.state())
            assert old.learn(results(open_round)) == new.learn(results(open_round))
            begun = self.children + self.count
            assert list(self.played(old, begun)) == list(self.played(new, begun))
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
            expected = list(self.played(controller, self.children))
            for _ in range(2):
                controller.restore(state)
                assert list(self.played(controller, self.children)) == expected

    def test_a_state_that_lacks_something_is_refused_and_changes_nothing(self) -> None:
        for controller, other in zip(self.controllers(3), self.controllers(4), strict=True):
            list(self.played(controller))
            state, before = controller.state(), other.state()
            wrong = [({k: v for k, v in state.items() if k != half}, half) for half in state]
            for half in ("policy", "sampler"):
                for key in state[half]:
                    rest = {name: value for name, value in state[half].items() if name != key}
                    wrong.append(({**state, half: rest}, f"{half}/{key}"))
            for lacking, what in wrong:
                assert refused(other.restore, lacking), f"restore must raise InputError without '{what}'"
                assert same(other.state(), before), f"a state without '{what}' changed something"

    # --- halves of the state: what replicas share, and what each holds ----------------------------

    def test_a_state_is_its_two_halves(self) -> None:
        for controller in self.controllers():
            list(self.played(controller))
            halves = {"policy": controller.policy_state(), "sampler": controller.sampler_state()}
            assert same(controller.state(), halves)

    def test_each_half_is_restored_alone(self) -> None:
        for old, new in zip(self.controllers(3), self.controllers(4), strict=True):
            list(self.played(old))
            asked(old, self.count, self.children)
            before = new.sampler_state()
            new.restore_policy(old.policy_state())
            assert same(new.policy_state(), old.policy_state()), "the policy is another"
            assert same(new.sampler_state(), before), "restoring the policy changed the sampler"
            new.restore_sampler(old.sampler_state())
            assert same(new.state(), old.state()), "restoring the sampler changed the policy"

    def test_proposing_changes_the_sampler_alone(self) -> None:
        for controller in self.controllers():
            list(self.played(controller))
            before = controller.policy_state()
            controller.propose(self.count, self.children)
            assert same(controller.policy_state(), before), "proposing changed what replicas share"

    def test_replicas_do_not_disturb_each_other(self) -> None:
        """What one proposes and is taught is the same, however often the other one proposes between."""
        for trio in zip(*(self.controllers(seed) for seed in (3, 4, 5)), strict=True):
            server, replica, other = trio
            fresh = [controller.state() for controller in trio]
            alone = [self.replicated(server, replica, number) for number in range(2)]
            ended = server.state()
            for controller, state in zip(trio, fresh, strict=True):
                controller.restore(state)
            beside = []
            for number in range(2):
                other.restore_policy(server.policy_state())
                other.propose(self.count, number * self.count)
                beside.append(self.replicated(server, replica, number))
                other.propose(self.count, number * self.count)
            assert alone == beside, "another replica's proposals changed what this one was asked and told"
            assert same(server.state(), ended), "another replica's proposals changed the policy"

    def test_replicas_may_be_built_afresh_at_any_time(self) -> None:
        """From the server's state and its own sampler's, as after a kill."""
        for server, one, other in zip(*(self.controllers(seed) for seed in (3, 4, 5)), strict=True):
            fresh = [server.state(), one.sampler_state(), other.sampler_state()]
            expected = [
                self.replicated(server, replica, number) for number, replica in enumerate([one, other] * 2)
            ]
            ended = server.state()
            server.restore(fresh[0])
            samplers, found = fresh[1:], []
            for number in range(4):
                server.restore(server.state())
                replica = self.make_controller(server.space, seed=9)
                replica.restore_sampler(samplers[number % 2])
                found.append(self.replicated(server, replica, number))
                samplers[number % 2] = replica.sampler_state()
            assert found == expected, "replicas that were built afresh went another way"
            assert same(server.state(), ended), "replicas that were built afresh taught something else"

    def replicated(self, server: Controller, replica: Controller, batch: int) -> Pairs:
        """One batch of a replica: it takes up the server's policy, proposes, and the server is taught."""
        replica.restore_policy(server.policy_state())
        pairs = results(asked(replica, self.count, batch * self.count))
        self.teach(server, replica, pairs)
        return pairs

    def teach(self, server: Controller, replica: Controller, pairs: Pairs) -> None:
        """How a server learns what a replica was told."""
        server.learn(pairs)

    @property
    def children(self) -> int:
        """How many children are begun when `played` has ended."""
        return self.rounds * self.count

    def played(self, controller: Controller, begun: int = 0) -> Iterator[Pairs]:
        """Goes on for `rounds` rounds and gives what was told in each, after it was learnt."""
        for number in range(self.rounds):
            pairs = results(asked(controller, self.count, begun + number * self.count))
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
            statistics = controller.learn(results(asked(controller, self.count)))
            assert statistics.keys() >= STATISTICS, f"missing: {STATISTICS - statistics.keys()}"

    def test_learning_is_the_gradient_and_its_application(self) -> None:
        for one, other in zip(self.policies(), self.policies(), strict=True):
            statistics = one.learn(results(asked(one, self.count)))
            gradient, expected = other.gradient(results(asked(other, self.count)))
            other.apply(gradient)
            assert statistics == expected
            assert same(one.state(), other.state()), "learn is not gradient and apply"

    def test_a_gradient_alone_changes_no_proposal(self) -> None:
        for one, other in zip(self.policies(), self.policies(), strict=True):
            one.gradient(results(asked(one, self.count)))
            asked(other, self.count)
            assert one.updates == 0
            assert asked(one, self.count) == asked(other, self.count)

    def test_a_replicas_gradient_applied_by_a_server_is_what_one_controller_learns(self) -> None:
        """The server never samples; the policy that it holds is copied back to the replica."""
        for server, replica, one in zip(*(self.policies(seed) for seed in (3, 4, 5)), strict=True):
            replica.restore_policy(server.policy_state())
            one.restore(replica.state())
            before = server.sampler_state()
            for number in range(self.rounds):
                pairs = results(asked(replica, self.count, number * self.count))
                assert pairs == results(asked(one, self.count, number * self.count))
                gradient, statistics = replica.gradient(pairs)
                server.apply(gradient)
                replica.restore_policy(server.policy_state())
                assert one.learn(pairs) == statistics
                assert same(replica.state(), one.state()), "the two went different ways"
            assert same(server.sampler_state(), before), "applying gradients changed the server's sampler"

    def teach(self, server: Controller, replica: Controller, pairs: Pairs) -> None:
        assert isinstance(server, PolicyGradientController)
        assert isinstance(replica, PolicyGradientController)
        server.apply(replica.gradient(pairs)[0])

    def test_a_gradient_that_does_not_fit_is_refused_and_changes_nothing(self) -> None:
        for controller in self.policies():
            gradient, _ = controller.gradient(results(asked(controller, self.count)))
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
            for number in range(self.rounds):
                pairs = results(asked(controller, self.count, number * self.count))
                sampled = sum(proposal.log_probability for proposal, _ in pairs) / len(pairs)
                learnt = controller.learn(pairs)["log_probability/mean"]
                assert math.isclose(learnt, sampled), f"sampled with {sampled}, learnt with {learnt}"

    def test_tokens_that_do_not_fit_are_refused_and_change_nothing(self) -> None:
        for controller in self.policies():
            pairs = results(asked(controller, self.count))
            before = controller.state()
            proposal, result = pairs[-1]
            for tokens in (proposal.tokens[:-1], (*proposal.tokens, 0), (99, *proposal.tokens[1:])):
                wrong = [*pairs[:-1], (replace(proposal, tokens=tokens), result)]
                assert refused(controller.gradient, wrong), f"gradient must raise InputError for {tokens}"
                assert same(controller.state(), before), "tokens that don't fit changed the state"


def asked(controller: Controller, count: int, begun: int = 0) -> list[Proposal]:
    """Proposals of a controller with the numbers that a record gives them, where `begun` were made before."""
    proposals = controller.propose(count, begun)
    return [replace(proposal, number=number) for number, proposal in enumerate(proposals, start=begun)]


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

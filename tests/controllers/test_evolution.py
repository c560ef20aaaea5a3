"""Evolution mutates winners of tournaments, and lets the oldest die."""

from __future__ import annotations

import pytest

from nas.controllers.evolution import Evolution
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.plugins import make, with_defaults
from nas.spaces import Choice, StepList
from nas.testing.controllers import results
from nas.testing.step_space import StepSpace, every_step


def digits() -> StepSpace:
    return StepSpace(lambda _: StepList(tuple(Choice(f"{n}", "digit", (0, 1, 2)) for n in range(8))))


def told(proposals: list[Proposal], reward: float | None = None) -> list[tuple[Proposal, ChildResult]]:
    """The sum of all tokens is the reward, if none is given."""
    return [
        (p, ChildResult(Status.OK, reward=float(sum(p.tokens)) if reward is None else reward))
        for p in proposals
    ]


def distance(one: Proposal, other: Proposal) -> int:
    return sum(a != b for a, b in zip(one.tokens, other.tokens, strict=True))


def test_defaults_are_those_of_real_et_al():
    options = with_defaults("controller", {"name": "evolution"})
    assert (options["population"], options["sample"]) == (100, 25)


def test_after_the_first_population_every_proposal_is_a_mutation_of_a_member():
    evolution = Evolution(digits(), population=10, sample=3)
    first = evolution.propose(10)
    evolution.learn(told(first))
    for child in evolution.propose(50):
        assert min(distance(child, member) for member in first) == 1


def test_a_tournament_of_nearly_all_is_won_by_the_best():
    evolution = Evolution(digits(), population=4, sample=4)
    members = evolution.propose(4)
    for member, reward in zip(members, (0.1, 0.9, 0.3, 0.2), strict=True):
        evolution.learn(told([member], reward))
    children = evolution.propose(200)
    of_best = sum(distance(child, members[1]) == 1 for child in children)
    assert of_best > 100, "with replacement the best misses a tournament with probability (3/4)⁴ = 0.32"
    assert of_best < 200


def test_the_oldest_die_however_good_they_are():
    evolution = Evolution(digits(), population=3, sample=3)
    best, *others = evolution.propose(4)
    evolution.learn(told([best], 1.0))
    for other in others:
        evolution.learn(told([other], 0.1))
    assert [list(other.tokens) for other in others] == [m[1] for m in evolution.state()["members"]]
    assert all(distance(child, best) > 1 or any(distance(child, o) == 1 for o in others)
               for child in evolution.propose(50))  # fmt: skip


def test_proposals_are_random_until_something_was_told():
    evolution = Evolution(digits(), population=5, sample=2)
    assert len({proposal.tokens for proposal in evolution.propose(40)}) > 30


def test_results_may_come_one_by_one_and_late():
    evolution = Evolution(StepSpace(every_step, 2), population=6, sample=2)
    waiting: list[Proposal] = []
    for turn in range(30):
        waiting += evolution.propose(3)
        late = waiting.pop(turn % len(waiting))
        evolution.learn(results([late]))
    assert evolution.proposed == 90
    assert len(evolution.state()["members"]) == 6


def test_it_climbs_where_random_search_does_not():
    evolution = Evolution(digits(), seed=1, population=10, sample=3)
    for _ in range(150):
        evolution.learn(told(evolution.propose(1)))
    assert max(reward for _, _, reward in evolution.state()["members"]) >= 15, "of at most 16"


def test_options_and_states_that_do_not_fit_are_refused():
    for options in ({"population": 0}, {"sample": 0}, {"population": 3, "sample": 4}):
        with pytest.raises(InputError, match=r"population|sample"):
            make("controller", {"name": "evolution", **options}, space=digits(), seed=0)
    large = Evolution(digits(), population=20, sample=2)
    large.learn(told(large.propose(20)))
    small = Evolution(digits(), population=10, sample=2)
    before = small.state()
    with pytest.raises(InputError, match="population of 10"):
        small.restore(large.state())
    foreign = Evolution(StepSpace(every_step, 1), population=20, sample=2)
    with pytest.raises(InputError):
        foreign.restore(large.state())
    assert small.state() == before


@pytest.mark.parametrize("depth", [10**30, -1, 0, float("inf")])
@pytest.mark.parametrize("name", ["evolution", "predictor"])
def test_a_damaged_state_with_an_absurd_depth_is_refused_at_once(name: str, depth: float):
    controller = make("controller", {"name": name}, space=make("space", {"name": "conv", "depth": 2}))
    state = controller.state()
    key = "members" if name == "evolution" else "told"
    with pytest.raises(InputError):
        controller.restore({**state, key: [[depth, [0, 0, 0], 1.0]]})

"""Evolution mutates winners of tournaments, one decision at a time, and lets the oldest die."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nas.controllers.evolution import Evolution, mutated
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.plugins import make, with_defaults
from nas.spaces import Choice, Links, Point, StepList
from nas.testing.controllers import asked, results
from nas.testing.spaces import all_tokens
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
    first = asked(evolution, 10)
    evolution.learn(told(first))
    for child in asked(evolution, 50, begun=10):
        assert min(distance(child, member) for member in first) == 1


def test_a_tournament_of_nearly_all_is_won_by_the_best():
    evolution = Evolution(digits(), population=4, sample=4)
    members = asked(evolution, 4)
    for member, reward in zip(members, (0.1, 0.9, 0.3, 0.2), strict=True):
        evolution.learn(told([member], reward))
    children = asked(evolution, 200, begun=4)
    of_best = sum(distance(child, members[1]) == 1 for child in children)
    assert of_best > 100, "with replacement the best misses a tournament with probability (3/4)⁴ = 0.32"
    assert of_best < 200


def test_the_oldest_die_however_good_they_are():
    evolution = Evolution(digits(), population=3, sample=3)
    best, *others = asked(evolution, 4)
    evolution.learn(told([best], 1.0))
    for other in others:
        evolution.learn(told([other], 0.1))
    assert [list(other.tokens) for other in others] == [m[1] for m in evolution.policy_state()["members"]]
    assert all(distance(child, best) > 1 or any(distance(child, o) == 1 for o in others)
               for child in asked(evolution, 50, begun=4))  # fmt: skip


def test_proposals_are_random_until_something_was_told():
    evolution = Evolution(digits(), population=5, sample=2)
    assert len({proposal.tokens for proposal in asked(evolution, 40)}) > 30


def test_the_first_population_is_that_of_the_whole_search():
    """Of two replicas each proposes half of it at random; a third one begins with mutations."""
    server, late = (Evolution(digits(), seed=seed, population=6, sample=6) for seed in (0, 1))
    members = asked(server, 3) + asked(server, 3, begun=3)
    server.learn(told(members))
    late.restore_policy(server.policy_state())
    for child in asked(late, 20, begun=6):
        assert min(distance(child, member) for member in members) == 1
    early = asked(late, 20, begun=0)[:6]
    assert any(min(distance(child, member) for member in members) > 1 for child in early)


def test_results_may_come_one_by_one_and_late():
    evolution = Evolution(StepSpace(every_step, 2), population=6, sample=2)
    waiting: list[Proposal] = []
    for turn in range(30):
        waiting += asked(evolution, 3, begun=3 * turn)
        late = waiting.pop(turn % len(waiting))
        evolution.learn(results([late]))
    assert len(evolution.policy_state()["members"]) == 6


def test_it_climbs_where_random_search_does_not():
    evolution = Evolution(digits(), seed=1, population=10, sample=3)
    for begun in range(150):
        evolution.learn(told(asked(evolution, 1, begun)))
    assert max(reward for _, _, reward in evolution.policy_state()["members"]) >= 15, "of at most 16"


def test_options_and_states_that_do_not_fit_are_refused():
    for options in ({"population": 0}, {"sample": 0}, {"population": 3, "sample": 4}):
        with pytest.raises(InputError, match=r"population|sample"):
            make("controller", {"name": "evolution", **options}, space=digits(), seed=0)
    large = Evolution(digits(), population=20, sample=2)
    large.learn(told(asked(large, 20)))
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
        controller.restore({**state, "policy": {**state["policy"], key: [[depth, [0, 0, 0], 1.0]]}})


# --- mutations --------------------------------------------------------------------------------------

CELL = StepList(tuple(Choice(f"edge{edge}", "operation", (0, 1, 2, 3, 4)) for edge in range(6)))


def test_a_mutation_changes_exactly_one_decision_to_another_value():
    random = np.random.default_rng(0)
    parent = (0, 1, 2, 3, 4, 0)
    children = Counter(mutated(CELL, parent, CELL, random)[0] for _ in range(6000))
    assert all(sum(a != b for a, b in zip(child, parent, strict=True)) == 1 for child in children)
    assert len(children) == 6 * 4, "each edge to each other operation"
    expected = 6000 / 24
    chi_square = sum((count - expected) ** 2 / expected for count in children.values())
    assert abs(chi_square - 23) < 4 * np.sqrt(2 * 23), "beyond 4 standard deviations"


def test_each_bit_of_links_is_a_decision():
    steps = StepList((Point("a", "net"), Point("b", "net"), Links("c", "links", "net")))
    random = np.random.default_rng(0)
    assert {mutated(steps, (0, 1), steps, random)[0] for _ in range(50)} == {(1, 1), (0, 0)}


@pytest.mark.parametrize("parent_at", [0, 40, 70])
def test_children_come_as_often_as_their_probabilities_say(parent_at):
    """Over steps that are off at times: what is switched on is drawn, what is switched off leaves."""
    steps, count = every_step(2), 20_000
    parent = list(all_tokens(steps))[parent_at]
    random = np.random.default_rng(1)
    children = [mutated(steps, parent, steps, random) for _ in range(count)]
    counts = Counter(tokens for tokens, _ in children)
    probability = {tokens: np.exp(log_probability) for tokens, log_probability in children}
    assert all(steps.split(tokens) for tokens in counts)
    assert parent not in counts
    assert sum(probability.values()) == pytest.approx(1.0)
    chi_square = sum((counts[t] - count * p) ** 2 / (count * p) for t, p in probability.items())
    degrees = len(counts) - 1
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees), "beyond 4 standard deviations"


def test_a_parent_of_less_depth_keeps_its_decisions_in_a_deeper_child():
    random = np.random.default_rng(2)
    shallow, deep = every_step(1), every_step(2)
    parent = (0, 1, 1, 0)  # a convolution of input 1 with 16 filters
    values = dict(zip((step.name for step in shallow), shallow.split(parent), strict=True))
    operations = Counter()
    for _ in range(200):
        child = dict(
            zip(
                (step.name for step in deep),
                deep.split(mutated(shallow, parent, deep, random)[0]),
                strict=True,
            )
        )
        operations[child["1.operation"] == values["1.operation"]] += 1
    assert operations[True] > operations[False] > 0


def test_a_string_in_which_nothing_can_change_stays():
    steps = StepList((Choice("only", "only", (7,)), Point("a", "net")))
    assert mutated(steps, (0,), steps, np.random.default_rng(0)) == ((0,), 0.0)

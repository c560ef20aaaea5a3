"""The predictor finds what is good from few results, repeats nothing, and works on any space."""

from __future__ import annotations

import pytest

from nas.controllers.evolution import Evolution
from nas.controllers.predictor import Predictor
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.plugins import make
from nas.spaces import Choice, StepList
from nas.testing.controllers import results
from nas.testing.step_space import StepSpace, every_step


def digits(places: int = 8) -> StepSpace:
    return StepSpace(lambda _: StepList(tuple(Choice(f"{n}", "digit", (0, 1, 2)) for n in range(places))))


def told(proposals: list[Proposal]) -> list[tuple[Proposal, ChildResult]]:
    return [(p, ChildResult(Status.OK, reward=float(sum(p.tokens)))) for p in proposals]


def searched(controller: Predictor | Evolution, queries: int) -> list[Proposal]:
    asked: list[Proposal] = []
    while len(asked) < queries:
        proposals = controller.propose(1)
        controller.learn(told(proposals))
        asked += proposals
    return asked


def test_it_needs_fewer_queries_than_evolution():
    predicted = [max(sum(p.tokens) for p in searched(Predictor(digits(), seed=s), 40)) for s in range(5)]
    evolved = [
        max(sum(p.tokens) for p in searched(Evolution(digits(), seed=s, population=10, sample=3), 40))
        for s in range(5)
    ]
    assert sum(predicted) > sum(evolved)
    assert max(predicted) == 16, "the best of 6,561"


def test_nothing_is_proposed_twice_while_there_is_something_else():
    controller = Predictor(digits(3), seed=1, random=2, candidates=200)
    tokens = [p.tokens for p in searched(controller, 27)]
    assert len(set(tokens[2:])) == 25
    assert controller.propose(1), "even when all was seen"


def test_proposals_of_one_batch_differ():
    controller = Predictor(digits(), random=5)
    controller.learn(told(controller.propose(5)))
    batch = controller.propose(20)
    assert len({p.tokens for p in batch}) == 20
    assert {p.log_probability for p in batch} == {0.0}


def test_results_may_come_late_and_in_any_order():
    controller = Predictor(StepSpace(every_step, 2), random=3, candidates=5, mutations=5)
    waiting: list[Proposal] = []
    for turn in range(20):
        waiting += controller.propose(2)
        controller.learn(results([waiting.pop((3 * turn) % len(waiting))]))
    assert len(controller.state()["waiting"]) == len(waiting) == 20


def test_only_the_last_results_are_remembered():
    controller = Predictor(digits(), memory=6)
    asked = searched(controller, 9)
    assert [tuple(t) for _, t, _ in controller.state()["told"]] == [p.tokens for p in asked[-6:]]


def test_failures_do_not_drown_what_is_learnt():
    controller = Predictor(digits(), seed=2)
    crashed = ChildResult(Status.CRASHED, reward=0.0)
    for turn in range(40):
        (proposal,) = controller.propose(1)
        controller.learn([(proposal, crashed)] if turn % 4 == 0 else told([proposal]))
    assert max(reward for _, _, reward in controller.state()["told"]) >= 14


def test_options_and_states_that_do_not_fit_are_refused():
    for options in ({"random": 0}, {"candidates": 0, "mutations": 0}, {"parents": 0}, {"memory": 0}):
        with pytest.raises(InputError, match=min(options)):
            make("controller", {"name": "predictor", **options}, space=digits(), seed=0)
    controller = Predictor(digits())
    searched(controller, 12)
    with pytest.raises(InputError):
        Predictor(digits(3)).restore(controller.state())
    state = controller.state()
    with pytest.raises(InputError, match="no state of a Predictor"):
        controller.restore({**state, "kernel": [1.0]})

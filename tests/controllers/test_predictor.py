"""The predictor finds what is good from few results, repeats nothing, and works on any space."""

from __future__ import annotations

import numpy as np
import pytest

from nas.controllers.evolution import Evolution
from nas.controllers.predictor import DECAYS, NOISES, GaussianProcess, Kernel, Predictor, normal_scores
from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.plugins import make
from nas.spaces import Choice, StepList
from nas.testing.controllers import asked, results
from nas.testing.step_space import StepSpace, every_step


def digits(places: int = 8) -> StepSpace:
    return StepSpace(lambda _: StepList(tuple(Choice(f"{n}", "digit", (0, 1, 2)) for n in range(places))))


def told(proposals: list[Proposal]) -> list[tuple[Proposal, ChildResult]]:
    return [(p, ChildResult(Status.OK, reward=float(sum(p.tokens)))) for p in proposals]


def searched(controller: Predictor | Evolution, queries: int) -> list[Proposal]:
    asked_for: list[Proposal] = []
    while len(asked_for) < queries:
        proposals = asked(controller, 1, len(asked_for))
        controller.learn(told(proposals))
        asked_for += proposals
    return asked_for


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
    assert asked(controller, 1, begun=27), "even when all was seen"


def test_proposals_of_one_batch_differ():
    controller = Predictor(digits(), random=5)
    controller.learn(told(asked(controller, 5)))
    batch = asked(controller, 20, begun=5)
    assert len({p.tokens for p in batch}) == 20
    assert {p.log_probability for p in batch} == {0.0}


def test_results_may_come_late_and_in_any_order():
    controller = Predictor(StepSpace(every_step, 2), random=3, candidates=5, mutations=5)
    waiting: list[Proposal] = []
    for turn in range(20):
        waiting += asked(controller, 2, begun=2 * turn)
        controller.learn(results([waiting.pop((3 * turn) % len(waiting))]))
    assert len(controller.sampler_state()["waiting"]) == len(waiting) == 20


def test_a_replica_repeats_neither_what_it_waits_for_nor_what_others_were_told():
    server, one, other = (Predictor(digits(3), seed=seed, random=2, candidates=200) for seed in (1, 2, 3))
    begun, found = 2, asked(server, 2)
    server.learn(told(found))
    for _ in range(4):
        batches = []
        for replica in (one, other):
            replica.restore_policy(server.policy_state())
            batches.append(asked(replica, 2, begun))
            begun += 2
        known = {p.tokens for p in found}
        assert not known & {p.tokens for batch in batches for p in batch}
        for batch in batches:
            assert len({p.tokens for p in batch}) == 2
            server.learn(told(batch))
            found += batch
    one.restore_policy(server.policy_state())
    one.propose(1, begun)
    assert len(one.sampler_state()["waiting"]) == 1, "what was told is no longer waited for"


def test_only_the_last_results_are_remembered():
    controller = Predictor(digits(), memory=6)
    proposals = searched(controller, 9)
    assert [tuple(t) for _, t, _ in controller.policy_state()["told"]] == [p.tokens for p in proposals[-6:]]


def test_failures_do_not_drown_what_is_learnt():
    controller = Predictor(digits(), seed=2)
    crashed = ChildResult(Status.CRASHED, reward=0.0)
    for turn in range(40):
        (proposal,) = asked(controller, 1, begun=turn)
        controller.learn([(proposal, crashed)] if turn % 4 == 0 else told([proposal]))
    assert max(reward for _, _, reward in controller.policy_state()["told"]) >= 14


def test_options_and_states_that_do_not_fit_are_refused():
    for options in ({"random": 0}, {"candidates": 0, "mutations": 0}, {"parents": 0}, {"memory": 0}):
        with pytest.raises(InputError, match=min(options)):
            make("controller", {"name": "predictor", **options}, space=digits(), seed=0)
    controller = Predictor(digits())
    searched(controller, 12)
    with pytest.raises(InputError):
        Predictor(digits(3)).restore(controller.state())
    state = controller.state()
    with pytest.raises(InputError, match="not a valid state for Predictor"):
        controller.restore({**state, "sampler": {**state["sampler"], "kernel": [1.0]}})


# --- the Gaussian process: that of the textbook, for sets of decisions of any size -----------------


def pairs(*values: int) -> list[tuple[int, int]]:
    return list(enumerate(values))


OBSERVED = [pairs(0, 0), pairs(0, 1), pairs(1, 1), pairs(2)]
VALUES = np.array([0.1, 0.3, 0.9, 0.5])


def test_the_prediction_is_the_posterior_of_the_kernel():
    """Rasmussen & Williams (2006), eq. 2.23 and 2.24, written out with inverses."""
    kernel = Kernel(1.0, 0.1)
    process = GaussianProcess(OBSERVED, VALUES, kernel)
    asked = [pairs(1, 0), pairs(2)]
    scale = 2 * np.mean([len(one) for one in OBSERVED])

    def k(one: list, other: list) -> float:
        return float(np.exp(-len(set(one) ^ set(other)) / scale))

    covariance = np.array([[k(a, b) for b in OBSERVED] for a in OBSERVED]) + 0.1 * np.eye(4)
    cross = np.array([[k(a, b) for b in OBSERVED] for a in asked])
    scores = normal_scores(VALUES)
    inverse = np.linalg.inv(covariance)
    variance = scores @ inverse @ scores / 4
    mean, deviation = process.predict(asked)
    np.testing.assert_allclose(mean, cross @ inverse @ scores)
    np.testing.assert_allclose(deviation**2, variance * (1 - np.einsum("ai,ij,aj->a", cross, inverse, cross)))


def test_what_was_observed_is_predicted_with_less_doubt_than_what_was_not():
    process = GaussianProcess(OBSERVED, VALUES, Kernel(2.0, 0.03))
    mean, deviation = process.predict([pairs(1, 1), pairs(7, 7)])
    assert deviation[0] < 0.5 * deviation[1]
    assert mean[0] > mean[1] == pytest.approx(0.0, abs=0.2)


def test_the_kernel_is_the_likeliest():
    """Values that depend on the sum of many decisions ask for a slow kernel; noise alone for much noise."""
    random = np.random.default_rng(0)
    architectures = [pairs(*row) for row in random.integers(3, size=(60, 6)).tolist()]
    sums = np.array([float(sum(value for _, value in one)) for one in architectures])
    smooth = GaussianProcess(architectures, sums).kernel
    noise = GaussianProcess(architectures, random.normal(size=60)).kernel
    assert smooth.noise == min(NOISES)
    assert smooth.decay in DECAYS[:2]
    assert noise.decay > smooth.decay or noise.noise > smooth.noise


def test_scores_are_those_of_ranks_whatever_the_scale():
    values = np.array([0.2, 0.9, 0.9, -5.0])
    scores = normal_scores(values)
    assert scores[1] == scores[2] > scores[0] > scores[3]
    np.testing.assert_array_equal(normal_scores(100 * values + 3), scores)


def test_equal_rewards_can_be_fitted():
    mean, deviation = GaussianProcess(OBSERVED, np.zeros(4)).predict(OBSERVED)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()

"""Random search is uniform over decisions and knows its probabilities."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from nas.controllers.random import RandomController, drawn
from nas.testing.controllers import asked, results
from nas.testing.spaces import all_tokens
from nas.testing.step_space import StepSpace, every_step


def test_every_token_string_comes_as_often_as_its_log_probability_says():
    space, count = StepSpace(every_step, 2), 20_000
    proposals = asked(RandomController(space, seed=1), count)
    counts = Counter(proposal.tokens for proposal in proposals)
    probability = {proposal.tokens: np.exp(proposal.log_probability) for proposal in proposals}
    assert set(counts) == set(all_tokens(space.steps(2)))
    assert sum(probability.values()) == pytest.approx(1.0)
    chi_square = sum((counts[t] - count * p) ** 2 / (count * p) for t, p in probability.items())
    degrees = len(counts) - 1
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees), "beyond 4 standard deviations"


def test_the_log_probability_is_that_of_uniform_decisions():
    """Block 1: one of 3 operations, one of 2 points, one of 2 filters, no links, one of 1 point."""
    space = StepSpace(every_step, 1)
    by_tokens = {p.tokens: p.log_probability for p in asked(RandomController(space), 100)}
    assert by_tokens[0, 1, 1, 0] == pytest.approx(-np.log(3 * 2 * 2))
    assert by_tokens[1, 0, 0] == pytest.approx(-np.log(3 * 2))
    assert by_tokens[2, 0] == pytest.approx(-np.log(3))


def test_each_link_halves_the_probability():
    """At depth 3 the blocks link to 0, 1 and 2 points, and skip to one of 1, 2 and 3."""
    space = StepSpace(every_step, 3)
    for proposal in asked(RandomController(space), 100):
        chosen = space.steps(3).chosen(proposal.tokens)
        expected = -3 * np.log(3) - 3 * np.log(2) - np.log(1 * 2 * 3)
        for block, points in ((1, 2), (2, 3), (3, 4)):
            expected -= np.log(points) * (f"{block}.input" in chosen)
            expected -= np.log(2) * (f"{block}.filters" in chosen)
        assert proposal.log_probability == pytest.approx(expected)


def test_learning_changes_nothing_that_it_proposes():
    learner, other = (RandomController(StepSpace(every_step, 2), seed=1) for _ in range(2))
    learner.learn(results(asked(learner, 10)))
    asked(other, 10)
    assert [p.tokens for p in asked(learner, 10)] == [p.tokens for p in asked(other, 10)]


def test_drawn_strings_are_whole():
    steps = every_step(3)
    random = np.random.default_rng(0)
    for _ in range(100):
        tokens, _ = drawn(steps, random)
        assert tuple(chain.from_iterable(steps.split(tokens))) == tokens

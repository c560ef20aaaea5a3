"""Mutations change one decision, uniformly, and repair what depends on it."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from nas.controllers.mutation import drawn, mutated
from nas.spaces import Choice, Links, Point, StepList
from nas.testing.spaces import all_tokens
from nas.testing.step_space import every_step

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


def test_drawn_strings_are_whole():
    steps = every_step(3)
    random = np.random.default_rng(0)
    for _ in range(100):
        tokens, _ = drawn(steps, random)
        assert tuple(chain.from_iterable(steps.split(tokens))) == tokens

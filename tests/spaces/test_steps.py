"""Step lists: what they check, how token strings are cut, and how many there are."""

import itertools
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.spaces import Choice, Links, Pick, Point, Step, StepList, When
from nas.testing.spaces import all_tokens, sample_tokens

COLOUR = Choice("colour", "colour", ("red", "green", "blue"))
SHADE = Choice("shade", "shade", (1, 2), When("colour", ("green", "blue")))
TONE = Choice("tone", "tone", (1, 2, 3, 4, 5), When("shade", (2,)))

NESTED = StepList((COLOUR, SHADE, TONE))
MIXED = StepList(
    (
        Point("input", "cell"),
        Choice("operation", "operation", ("add", "none")),
        Pick("left", "pick", "cell", When("operation", ("add",))),
        Point("block", "cell"),
        Links("layer1", "links", "network"),
        Links("layer2", "links", "network"),
    ),
    {"network": 1, "cell": 2},
)


def test_points_are_counted_by_scope_from_its_initial_points() -> None:
    assert MIXED.points == (2, 0, 3, 3, 1, 2)


def test_only_points_and_links_can_be_referred_to_later() -> None:
    steps = StepList(
        (COLOUR, Point("a", "s"), Pick("p", "pick", "s"), Links("b", "l", "s"), Links("c", "l", "s"))
    )
    assert steps.points == (0, 0, 1, 1, 2)


def test_a_token_string_has_one_token_for_choices_and_picks_and_one_bit_for_each_link() -> None:
    assert MIXED.widths == (0, 1, 1, 0, 1, 2)
    assert MIXED.split((0, 2, 1, 0, 1)) == ((), (0,), (2,), (), (1,), (0, 1))


def test_a_step_that_is_off_has_no_token() -> None:
    assert MIXED.split((1, 1, 0, 1)) == ((), (1,), (), (), (1,), (0, 1))


def test_a_step_is_off_when_the_choice_that_it_depends_on_is_off() -> None:
    assert NESTED.split((0,)) == ((0,), (), ())
    assert NESTED.split((1, 0)) == ((1,), (0,), ())
    assert NESTED.split((1, 1, 4)) == ((1,), (1,), (4,))


def test_what_was_chosen_is_named_by_option_by_point_and_by_bits() -> None:
    assert MIXED.chosen((0, 2, 1, 0, 1)) == {"operation": "add", "left": 2, "layer1": (1,), "layer2": (0, 1)}
    assert MIXED.chosen((1, 1, 0, 1)) == {"operation": "none", "layer1": (1,), "layer2": (0, 1)}


def test_the_first_links_of_a_scope_decide_nothing() -> None:
    steps = StepList((Links("first", "links", "network"), Links("second", "links", "network")))
    assert steps.split((1,)) == ((), (1,))
    assert steps.size() == 2


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((), "ends at 0 tokens, before 'operation'"),
        ((0,), "ends at 1 tokens, before 'left'"),
        ((0, 2, 1, 0), "ends at 4 tokens, before 'layer2'"),
        ((0, 2, 1, 0, 1, 0), "expected 5 tokens for these steps. Received: 6"),
        ((1, 1, 0, 1, 0), "expected 4 tokens for these steps. Received: 5"),
        ((2, 2, 1, 0, 1), "tokens of 'operation' must lie in 0…1. Received: (2,)"),
        ((0, 3, 1, 0, 1), "tokens of 'left' must lie in 0…2. Received: (3,)"),
        ((0, -1, 1, 0, 1), "tokens of 'left' must lie in 0…2. Received: (-1,)"),
        ((0, 2, 1, 0, 2), "tokens of 'layer2' must lie in 0…1. Received: (0, 2)"),
    ],
)
def test_tokens_that_do_not_fit_name_the_step(tokens: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        MIXED.split(tokens)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((COLOUR, COLOUR), "two steps are named 'colour'"),
        ((Point("a", "s"), Links("a", "links", "s")), "two steps are named 'a'"),
        ((SHADE, COLOUR), "step 'shade' depends on"),
        ((Choice("colour", "colour", ("red",)), SHADE), "step 'shade' depends on"),
        ((Point("colour", "s"), SHADE), "step 'shade' depends on"),
        ((Pick("p", "pick", "s"),), "step 'p' has no earlier point to pick in 's'"),
        ((Point("a", "other"), Pick("p", "pick", "s")), "no earlier point to pick in 's'"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        StepList(steps)


@pytest.mark.parametrize("options", [(), (1, 1), (1, 1.0)])
def test_a_choice_needs_different_options(options: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match="choice 'x' needs at least one option and no option twice"):
        Choice("x", "x", options)


def test_the_size_adds_over_options_with_different_consequences() -> None:
    assert NESTED.size() == 1 + 2 * (1 + 5)
    assert MIXED.size() == (3 + 1) * 2 * 4


def test_the_size_is_exact_where_no_float_is() -> None:
    steps = StepList(tuple(Links(f"layer{number}", "links", "network") for number in range(1, 41)))
    assert steps.size() == 2 ** (40 * 39 // 2)


@st.composite
def step_lists(draw: st.DrawFn) -> StepList:
    steps: list[Step] = []
    choices: list[Choice] = []
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([Choice, Choice, Pick, Links, Point]))
        when = None
        if choices and draw(st.booleans()):
            parent = draw(st.sampled_from(choices))
            when = When(parent.name, tuple(draw(st.sets(st.sampled_from(parent.options), min_size=1))))
        name = f"step{number}"
        if kind is Choice:
            choices.append(Choice(name, "choice", tuple(range(draw(st.integers(1, 3)))), when))
            steps.append(choices[-1])
        elif kind is Pick:
            steps.append(Pick(name, "pick", "s", when))
        else:
            steps.append(Links(name, "links", "s") if kind is Links else Point(name, "s"))
    return StepList(tuple(steps), {"s": 1})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(step_lists())
def test_the_size_is_the_number_of_strings_that_fit(steps: StepList) -> None:
    strings = list(itertools.islice(all_tokens(steps), 3000))
    assert len(set(strings)) == len(strings)
    if len(strings) < 3000:
        assert steps.size() == len(strings)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(step_lists(), st.integers(0, 2**32))
def test_every_string_that_is_drawn_is_cut_into_its_steps_and_no_other_fits(
    steps: StepList, seed: int
) -> None:
    tokens = sample_tokens(steps, random.Random(seed))
    values = steps.split(tokens)
    assert tuple(itertools.chain(*values)) == tokens
    assert [bool(value) for value in values] == [
        steps.widths[index] > 0 and steps.is_on(index, values) for index in range(len(steps))
    ]
    with pytest.raises(InputError):
        steps.split((*tokens, 0))


def test_a_list_of_steps_is_a_sequence() -> None:
    assert len(NESTED) == 3
    assert list(NESTED) == [COLOUR, SHADE, TONE]
    assert NESTED[1] is SHADE
    assert SHADE in NESTED

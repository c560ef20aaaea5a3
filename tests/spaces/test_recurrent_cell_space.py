"""The space of recurrent cells: its decisions, its size, whatever is drawn from it, its errors."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import plugins
from nas.errors import InputError
from nas.spaces import Choice, Space, architecture_from_json, parse_architecture
from nas.spaces.recurrent_cell import ACTIVATIONS, COMBINATIONS, NAMED_RECURRENT_CELLS, RecurrentCell
from nas.spaces.recurrent_cell_space import RecurrentCellSpace
from nas.spaces.resnet import ResNet
from nas.testing.spaces import SpaceContract, sample_tokens

CONTROL: dict[str, Any] = {
    "combinations": ["add", "elem_mult", "max"],
    "activations": ["identity", "tanh", "sigmoid", "relu", "sin"],
}


class _CellContract(SpaceContract):
    input_shape = (20,)
    outputs = 7


class TestBase8(_CellContract):
    def make_space(self) -> Space:
        return RecurrentCellSpace()


class TestControlSpace(_CellContract):
    def make_space(self) -> Space:
        return RecurrentCellSpace(**CONTROL)


class TestBase32(_CellContract):
    samples = 60

    def make_space(self) -> Space:
        return RecurrentCellSpace(base=32)


class TestSmallestSpace(_CellContract):
    """All 2^4 · 3^2 strings of a space are counted by the contract."""

    def make_space(self) -> Space:
        return RecurrentCellSpace(base=2, combinations=["elem_mult", "add"], activations=["tanh"])


def test_the_worked_example_decision_by_decision() -> None:
    space = RecurrentCellSpace(base=2)
    decisions = [
        ("node0.combination", "add"),
        ("node0.activation", "tanh"),
        ("node1.combination", "elem_mult"),
        ("node1.activation", "relu"),
        ("node2.combination", "elem_mult"),
        ("node2.activation", "sigmoid"),
        ("inject.combination", "add"),
        ("inject.activation", "relu"),
        ("index.c_out", 1),
        ("index.c_in", 0),
    ]
    tokens = space.encode(parse_architecture("cell:worked-example"))
    assert list(space.steps(1).chosen(tokens).items()) == decisions
    assert space.decode(tokens, 1) == parse_architecture("cell:worked-example")


def test_base_8_takes_34_decisions() -> None:
    steps = RecurrentCellSpace().steps(1)
    assert len(steps) == sum(steps.widths) == 34
    assert [step.name for step in steps][-6:] == [
        "node14.combination",
        "node14.activation",
        "inject.combination",
        "inject.activation",
        "index.c_out",
        "index.c_in",
    ]
    assert all(isinstance(step, Choice) for step in steps)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 8**16 * 15**2),
        ({"base": 2}, 8**4 * 3**2),
        ({"base": 4}, 8**8 * 7**2),
        (CONTROL, 15**16 * 15**2),
        ({"base": 16}, 8**32 * 31**2),
    ],
)
def test_the_number_of_token_strings_is_exact(options: dict[str, Any], size: int) -> None:
    assert RecurrentCellSpace(**options).size(1) == size


def test_the_papers_space_has_about_6e16_cells() -> None:
    assert RecurrentCellSpace().size(1) == 63_331_869_759_897_600


def test_every_proposal_has_depth_1() -> None:
    assert {RecurrentCellSpace().depth.at(number) for number in (0, 1, 1_600, 15_000)} == {1}


@pytest.mark.parametrize("depth", [0, 2, -1, 1.0, True])
def test_another_depth_is_refused(depth: Any) -> None:
    with pytest.raises(InputError, match="the depth of a recurrent cell is 1"):
        RecurrentCellSpace().steps(depth)


@pytest.mark.parametrize("name", NAMED_RECURRENT_CELLS)
def test_the_papers_space_has_every_named_cell_of_base_8(name: str) -> None:
    cell = parse_architecture(f"cell:{name}")
    assert isinstance(cell, RecurrentCell)
    space = RecurrentCellSpace(base=cell.base)
    assert space.decode(space.encode(cell), 1) == cell


def test_the_order_of_the_options_is_the_experiments() -> None:
    space = RecurrentCellSpace(base=2, combinations=["max", "add"], activations=["sin", "tanh"])
    assert str(space.decode((0, 0, 1, 1, 0, 1, 1, 0, 2, 1), 1)) == (
        "cell:max-sin,add-tanh/max-tanh/c=2,inject=add-sin@1"
    )


def test_the_space_is_found_by_its_name() -> None:
    space = plugins.make("space", {"name": "cell", "base": 4, **CONTROL})
    assert space.size(1) == 15**8 * 7**2


@st.composite
def drawn_spaces(draw: st.DrawFn) -> RecurrentCellSpace:
    return RecurrentCellSpace(
        base=2 ** draw(st.integers(1, 5)),
        combinations=draw(st.lists(st.sampled_from(COMBINATIONS), min_size=1, unique=True)),
        activations=draw(st.lists(st.sampled_from(ACTIVATIONS), min_size=1, unique=True)),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(drawn_spaces(), st.integers(0, 2**32))
def test_token_strings_and_cells_are_each_others_inverse(space: RecurrentCellSpace, seed: int) -> None:
    tokens = sample_tokens(space.steps(1), random.Random(seed))
    cell = space.decode(tokens, 1)
    assert space.encode(cell) == tokens
    assert parse_architecture(str(cell)) == cell
    assert architecture_from_json(cell.to_json()) == cell
    assert cell.base == space.base
    below = [child for node in range(len(cell.nodes)) for child in cell.children(node) or ()]
    assert below == list(range(len(cell.nodes) - 1)), "every node but the root is merged once, in order"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "cell:max-tanh,add-tanh/add-tanh/c=0,inject=add-tanh@0",
            "node 0 ('max-tanh') is not in this space: combination must be one of add, elem_mult. "
            "Received: max",
        ),
        (
            "cell:add-tanh,add-tanh/add-sin/c=0,inject=add-tanh@0",
            "node 2 ('add-sin') is not in this space: activation must be one of identity, tanh, sigmoid, "
            "relu. Received: sin",
        ),
        ("cell:add-tanh,add-tanh/add-tanh/c=0,inject=max-tanh@0", "inject ('max-tanh') is not in this space"),
        ("cell:lstm", "cells have base 2 in this space. Received: 8"),
    ],
)
def test_encoding_a_cell_of_another_space_names_what_is_foreign(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        RecurrentCellSpace(base=2).encode(parse_architecture(text))


def test_encoding_an_architecture_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="recurrent cells only"):
        RecurrentCellSpace().encode(ResNet())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": 1}, "base must be a whole number of at least 2. Received: 1"),
        ({"base": 6}, "base must be a power of two: 2, 4, 8, …. Received: 6"),
        ({"base": 8.0}, "base must be a whole number"),
        ({"base": True}, "base must be a whole number"),
        ({"combinations": []}, "combinations needs at least one value"),
        ({"combinations": ["mul"]}, "combinations can't have 'mul'"),
        ({"activations": "tanh"}, "activations must be a list"),
        ({"activations": ["tanh", "tanh"]}, "activations must not have a value twice"),
        ({"activations": ["tahn"]}, "activations can't have 'tahn': did you mean 'tanh'?"),
    ],
)
def test_an_option_that_is_not_allowed_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        RecurrentCellSpace(**options)

"""The space of convolutional cells: its decisions, its size, its rules for the outputs, its errors."""

from __future__ import annotations

import random
import re
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import plugins
from nas.errors import InputError
from nas.spaces import Architecture, Choice, Pick, Point, Space, parse_architecture
from nas.spaces.nasnet import COMBINATIONS, OPERATIONS, NasNetCells
from nas.spaces.nasnet_space import RULES, NasNetSpace
from nas.testing.spaces import SpaceContract, sample_tokens

NASNET_B: dict[str, Any] = {"blocks": 4, "outputs": "each", "combinations": list(COMBINATIONS)}
NASNET_C: dict[str, Any] = {"combinations": list(COMBINATIONS)}
SMALL: dict[str, Any] = {"blocks": 2, "operations": ["sep3x3", "identity"], "combinations": ["add"]}


class _CellsContract(SpaceContract):
    input_shape = (16, 16, 12)
    outputs = 4
    samples = 100
    options: ClassVar[dict[str, Any]] = {}

    def make_space(self) -> Space:
        return NasNetSpace(**self.options)


class TestNasNetA(_CellsContract):
    pass


class TestOutputsOfTheAuthorsCode(_CellsContract):
    options: ClassVar[dict[str, Any]] = {"outputs": "slim"}


class TestNasNetB(_CellsContract):
    options = NASNET_B


class TestNasNetC(_CellsContract):
    options = NASNET_C


class TestTwoBlocks(_CellsContract):
    options = SMALL


class TestTwoBlocksOfTheAuthorsCode(_CellsContract):
    options: ClassVar[dict[str, Any]] = {**SMALL, "outputs": "slim"}


class TestTwoBlocksWhoseStatesGoOnOneByOne(_CellsContract):
    options: ClassVar[dict[str, Any]] = {**SMALL, "outputs": "each"}


class TestSmallestSpace(_CellsContract):
    """All 2⁴·2⁴ strings of a space are counted by the contract."""

    options: ClassVar[dict[str, Any]] = {**SMALL, "blocks": 1}


# Decisions and size


def test_the_papers_space_has_exactly_its_size() -> None:
    assert NasNetSpace().size(1) == (720**2 * 13**10 * 2**5) ** 2
    assert NasNetSpace(outputs="slim").size(1) == NasNetSpace().size(1)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (NASNET_B, ((4 * 5 * 6 * 7) ** 2 * 13**8 * 4**4) ** 2),
        (NASNET_C, (720**2 * 13**10 * 4**5) ** 2),
        (SMALL, ((2 * 3) ** 2 * 2**4) ** 2),
        ({**SMALL, "outputs": "each"}, ((2 * 3) ** 2 * 2**4) ** 2),
    ],
)
def test_the_number_of_token_strings_is_exact(options: dict[str, Any], size: int) -> None:
    assert NasNetSpace(**options).size(1) == size


def test_the_decisions_are_the_papers_50_in_its_order() -> None:
    steps = NasNetSpace().steps(1)
    decisions = [step for step in steps if not isinstance(step, Point)]
    assert len(decisions) == sum(steps.widths) == 50
    assert [step.name for step in decisions[:6]] == [
        "normal.block0.first",
        "normal.block0.second",
        "normal.block0.first_operation",
        "normal.block0.second_operation",
        "normal.block0.combination",
        "normal.block1.first",
    ]
    assert [step.name.partition(".")[0] for step in decisions] == ["normal"] * 25 + ["reduction"] * 25
    picks = [steps.points[index] for index, step in enumerate(steps) if isinstance(step, Pick)]
    assert picks == [2, 2, 3, 3, 4, 4, 5, 5, 6, 6] * 2, "two states of h_i, h_{i−1} and earlier blocks"
    assert {step.options for step in steps if isinstance(step, Choice)} == {OPERATIONS, ("add", "concat")}


def test_the_first_cells_of_nasnet_b_begin_with_as_many_states_as_blocks() -> None:
    steps = NasNetSpace(**NASNET_B).steps(1)
    picks = [steps.points[index] for index, step in enumerate(steps) if isinstance(step, Pick)]
    assert picks == [4, 4, 5, 5, 6, 6, 7, 7] * 2


def test_tokens_are_states_operations_and_combinations_by_number() -> None:
    space = NasNetSpace(blocks=2, operations=["sep3x3", "identity", "max3x3"])
    cells = space.decode((1, 0, 0, 1, 0, 2, 2, 2, 0, 1, *[0, 1, 0, 0, 0, 1, 1, 1, 1, 1]), 1)
    assert str(cells) == (
        "nasnet:identity@0+sep3x3@1,max3x3@2+sep3x3@2%concat=3/sep3x3@0+sep3x3@1,identity@1+identity@1%concat=2.3"
    )
    assert space.encode(cells) == (0, 1, 1, 0, 0, 2, 2, 2, 0, 1, *[0, 1, 0, 0, 0, 1, 1, 1, 1, 1])


def test_every_proposal_has_depth_1() -> None:
    assert {NasNetSpace().depth.at(number) for number in (0, 1, 20_000)} == {1}
    for depth in (0, 2, True, 1.0):
        with pytest.raises(InputError, match="the depth of a pair of cells is 1"):
            NasNetSpace().steps(depth)  # type: ignore[arg-type]


# Rules for the outputs


def named(name: str) -> Architecture:
    return parse_architecture(f"nasnet:{name}")


def test_nasnet_a_is_in_the_space_with_the_outputs_of_its_authors_code() -> None:
    space, cells = NasNetSpace(outputs="slim"), named("nasnet-a")
    tokens = space.encode(cells)
    assert space.decode(tokens, 1) == cells
    assert len(tokens) == 50
    first = dict(list(space.steps(1).chosen(tokens).items())[25:30])
    assert list(first.values()) == [0, 1, "sep5x5", "sep7x7", "add"], "the block that is used and no output"


def test_nasnet_a_is_not_in_the_space_with_the_papers_outputs() -> None:
    with pytest.raises(InputError) as refused:
        NasNetSpace().encode(named("nasnet-a"))
    assert str(refused.value).startswith(
        "the normal cell's outputs are the states 1, 2, 3, 4, 5, 6, but the rule 'paper' of this space gives "
        "2, 3, 4, 5, 6. Received: nasnet:"
    )


def test_amoebanet_a_is_in_the_space_with_the_papers_outputs_only() -> None:
    space, cells = NasNetSpace(), named("amoebanet-a")
    assert space.decode(space.encode(cells), 1) == cells
    with pytest.raises(
        InputError, match="the normal cell's outputs are the states 2, 3, 6, but the rule 'slim'"
    ):
        NasNetSpace(outputs="slim").encode(cells)


@pytest.mark.parametrize("outputs", RULES)
def test_pnasnet_5_is_in_no_space_since_a_used_state_goes_out(outputs: str) -> None:
    with pytest.raises(InputError):
        NasNetSpace(outputs=outputs).encode(named("pnasnet-5"))


def outputs(space: NasNetSpace, *blocks: tuple[int, int]) -> list[tuple[int, ...]]:
    """The outputs of both cells, each of these blocks, whose states don't change their order."""
    tokens = [token for block in blocks for token in (*block, 0, 0, 0)]
    cells = space.decode(tokens * 2, 1)
    return [cells.normal.outputs, cells.reduction.outputs]


def test_the_rules_give_what_they_say() -> None:
    small: dict[str, Any] = {"operations": ["sep3x3"], "combinations": ["add"]}
    used, unused = [(0, 1), (1, 2)], [(0, 1), (1, 1)]
    assert outputs(NasNetSpace(2, **small), *used) == [(3,), (3,)]
    assert outputs(NasNetSpace(2, **small), *unused) == [(2, 3), (2, 3)]
    assert outputs(NasNetSpace(2, **small, outputs="slim"), *used) == [(1, 2, 3), (3,)]
    assert outputs(NasNetSpace(2, **small, outputs="slim"), *unused) == [(1, 2, 3), (2, 3)]
    assert outputs(NasNetSpace(2, **small, outputs="each"), *used) == [(2, 3), (2, 3)]


def test_which_block_comes_first_decides_an_output_of_the_authors_reduction_cell() -> None:
    """Either of two blocks may be left out; both as tokens and as values these are two architectures."""
    space = NasNetSpace(blocks=3, operations=["sep3x3", "conv3x3"], combinations=["add"], outputs="slim")
    normal = "sep3x3@0+sep3x3@0,sep3x3@0+sep3x3@0,sep3x3@2+sep3x3@3=1.2.3.4"
    texts = [
        f"nasnet:{normal}/sep3x3@0+sep3x3@1,conv3x3@0+conv3x3@1,sep3x3@2+sep3x3@3={outputs}"
        for outputs in ("2.4", "3.4")
    ]
    pairs = [parse_architecture(text) for text in texts]
    assert pairs[0] != pairs[1]
    for cells in pairs:
        assert space.decode(space.encode(cells), 1) == cells
    both = parse_architecture(texts[0].replace("2.4", "2.3.4"))
    with pytest.raises(InputError, match="gives 3, 4, and never these if another block comes first"):
        space.encode(both)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(1, 5),
    st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(COMBINATIONS), min_size=1, unique=True),
    st.sampled_from(RULES),
    st.integers(0, 2**32),
)
def test_no_block_of_a_sampled_pair_is_dropped_and_its_tokens_are_canonical(
    blocks: int, operations: list[str], combinations: list[str], rule: str, seed: int
) -> None:
    space = NasNetSpace(blocks, operations, combinations, rule)
    cells = space.decode(sample_tokens(space.steps(1), random.Random(seed)), 1)
    assert [len(cell.blocks) for cell in (cells.normal, cells.reduction)] == [blocks, blocks]
    tokens = space.encode(cells)
    assert space.decode(tokens, 1) == cells
    assert space.encode(parse_architecture(str(cells))) == tokens
    assert cells.joined == (rule != "each")


# What isn't in a space, and options that aren't allowed

PLAIN = "sep3x3@0+sep3x3@1"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            f"nasnet:{PLAIN}=2/{PLAIN}=2",
            {},
            "cells have 5 blocks in this space. Received: the normal cell with 1 that its outputs need",
        ),
        (
            f"nasnet:{PLAIN},{PLAIN}=2.3/{PLAIN},{PLAIN}=3",
            SMALL,
            "cells have 2 blocks in this space. Received: the reduction cell with 1",
        ),
        (
            f"nasnet:{PLAIN},{PLAIN}=2.3/sep3x3@0+sep7x7@1,{PLAIN}=2.3",
            SMALL,
            "block 'sep3x3@0+sep7x7@1' of the reduction cell is not in this space: its operations are "
            "sep3x3, identity. Received: sep7x7",
        ),
        (
            f"nasnet:{PLAIN},sep3x3@0+sep3x3@1%concat=2.3/{PLAIN},{PLAIN}=2.3",
            SMALL,
            "its combinations are add. Received: concat",
        ),
        (
            f"nasnet:{PLAIN},{PLAIN}=1.2.3/{PLAIN},{PLAIN}=2.3",
            SMALL,
            "the normal cell's outputs are the states 1, 2, 3, but the rule 'paper' of this space gives 2, 3",
        ),
        (
            f"nasnet:{PLAIN},{PLAIN}=each/{PLAIN},{PLAIN}=each",
            SMALL,
            "the outputs of cells are joined in this space (outputs: paper). Received: a pair whose outputs "
            "go on one by one",
        ),
        (
            f"nasnet:{PLAIN},{PLAIN}=2.3/{PLAIN},{PLAIN}=2.3",
            {**SMALL, "outputs": "each"},
            "the outputs of cells go on one by one in this space (outputs: each)",
        ),
        ("resnet:4x1x1", SMALL, "pairs of convolutional cells only. Received: resnet:4x1x1"),
    ],
)
def test_encoding_a_pair_of_another_space_names_what_is_foreign(
    text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        NasNetSpace(**options).encode(parse_architecture(text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks must be a whole number of at least 1. Received: 0"),
        ({"blocks": 5.0}, "blocks must be a whole number"),
        ({"blocks": True}, "blocks must be a whole number"),
        ({"blocks": 33}, "blocks must be at most 32. Received: 33"),
        ({"operations": []}, "operations needs at least one value"),
        ({"operations": "sep3x3"}, "operations must be a list"),
        ({"operations": ["sep3x3", "sep3x3"]}, "operations must not have a value twice"),
        ({"operations": ["sep3x5"]}, "operations can't have 'sep3x5': did you mean 'sep5x5'?"),
        ({"combinations": []}, "combinations needs at least one value"),
        ({"combinations": ["concatenate"]}, "combinations can't have 'concatenate': did you mean 'concat'?"),
        (
            {"outputs": "unused"},
            "outputs can't be 'unused': allowed: each, paper, slim",
        ),
        ({"outputs": ["paper"]}, "outputs can't be ['paper']: did you mean 'paper'?"),
        ({"block": 3}, "unknown option 'block' of space 'nasnet': did you mean 'blocks'?"),
    ],
)
def test_an_option_that_is_not_allowed_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        plugins.make("space", {"name": "nasnet", **options})


def test_the_order_of_options_is_part_of_the_space() -> None:
    one, other = (
        NasNetSpace(1, operations) for operations in (["sep3x3", "identity"], ["identity", "sep3x3"])
    )
    tokens = (0, 1, 0, 1, 0) * 2
    assert isinstance(one.decode(tokens, 1), NasNetCells)
    assert one.decode(tokens, 1) != other.decode(tokens, 1)

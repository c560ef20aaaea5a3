"""Pairs of convolutional cells as values: their text, their equality, the named ones."""

from __future__ import annotations

import random
import re
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.spaces import architecture_from_json, parse_architecture
from nas.spaces.nasnet import COMBINATIONS, MOST_BLOCKS, NAMED_CELLS, OPERATIONS, Block, Cell, NasNetCells

PLAIN = "sep3x3@0+sep3x3@1=2"


def pair(normal: str, reduction: str = PLAIN) -> NasNetCells:
    cells = parse_architecture(f"nasnet:{normal}/{reduction}")
    assert isinstance(cells, NasNetCells)
    return cells


# Text


def test_a_pair_is_written_in_one_line_and_read_again() -> None:
    cells = pair(
        "sep3x3@1+identity@0,avg3x3@2+dil3x3@0%concat=3",
        "max3x3@0+max5x5@0%layer,conv1x1@2+conv3x3@2%instance=2.3",
    )
    assert str(cells) == (
        "nasnet:identity@0+sep3x3@1,dil3x3@0+avg3x3@2%concat=3"
        "/max3x3@0+max5x5@0%layer,conv1x1@2+conv3x3@2%instance=2.3"
    )
    assert parse_architecture(str(cells)) == architecture_from_json(cells.to_json()) == cells


def test_a_pair_whose_states_go_on_one_by_one_says_so() -> None:
    cells = pair("sep3x3@1+identity@0,avg3x3@2+dil3x3@0=each", "max3x3@0+max5x5@1,conv1x1@2+conv3x3@1=each")
    assert not cells.joined
    assert cells.normal.inputs == cells.reduction.inputs == 2
    assert cells.normal.outputs == (2, 3)
    assert str(cells).count("=each") == 2
    assert parse_architecture(str(cells)) == cells


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "a pair of cells is written NORMAL/REDUCTION"),
        (PLAIN, "a pair of cells is written NORMAL/REDUCTION"),
        ("NASNet-A", "or has a name: nasnet-a, amoebanet-a, pnasnet-5. Received: 'NASNet-A'"),
        (f"{PLAIN}/{PLAIN}/{PLAIN}", "a pair of cells is written NORMAL/REDUCTION"),
        ("nasnet-b", "no pair of cells is named 'nasnet-b': did you mean 'nasnet-a'?"),
        (f"{PLAIN}/sep3x3@0+sep3x3@1", "the reduction cell: a cell ends with its outputs"),
        (f"sep3x3@0+sep3x3@1=/{PLAIN}", "the normal cell: a cell ends with its outputs"),
        (f"=2/{PLAIN}", "the normal cell: a block is written"),
        (f"sep3x3@0=2/{PLAIN}", "a block is written"),
        (f"sep3x3@0+sep3x3@1%concat%layer=2/{PLAIN}", "a block is written"),
        (f"sep3x3@0+sep3x3@1%batch=2/{PLAIN}", "a block is written"),
        (f"sep3x3@-1+sep3x3@1=2/{PLAIN}", "a block is written"),
        (
            f"sep3@0+sep3x3@1=2/{PLAIN}",
            "the normal cell: no operation is named 'sep3': did you mean 'sep3x3'",
        ),
        (f"sep3x3@0+sep3x3@2=2/{PLAIN}", "block 0 of a cell makes state 2 and may use the states 0…1"),
        (f"sep3x3@0+sep3x3@1=3/{PLAIN}", "a cell's outputs are among its states 0…2. Received: '3'"),
        (
            f"sep3x3@0+sep3x3@1=0.1/{PLAIN}",
            "at least one block that its outputs need. Received: outputs '0.1'",
        ),
        (f"{PLAIN}/sep3x3@0+sep3x3@0=each", "either both cells of a pair end with =each, or none"),
        (
            "sep3x3@0+sep3x3@0=each/sep3x3@0+sep3x3@1,sep3x3@0+sep3x3@1=each",
            "have equally many blocks, get as many states",
        ),
        (",".join(["sep3x3@0+sep3x3@0"] * 33) + f"=2/{PLAIN}", "a cell has 1 to 32 blocks. Received: 33"),
    ],
)
def test_a_text_that_is_no_pair_is_refused_with_what_is_wrong(body: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_architecture(f"nasnet:{body}")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"normal": PLAIN},
        {"normal": PLAIN, "reduction": 3},
        {"normal": PLAIN, "reduction": PLAIN, "more": 1},
    ],
)
def test_fields_that_are_no_pair_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has the keys normal and reduction, both texts"):
        architecture_from_json({"kind": "nasnet", **fields})


def test_cells_that_do_not_go_together_are_refused() -> None:
    block = Block(0, 1, "sep3x3", "sep3x3")
    with pytest.raises(InputError, match=r"gets two states, h_i and h_\{i−1\}. Received: inputs=\[2, 3\]"):
        NasNetCells(Cell((block,), (2,)), Cell((block,), (3,), inputs=3))
    with pytest.raises(InputError, match="all that they made are outputs"):
        NasNetCells(Cell((block,) * 2, (2, 3)), Cell((block,) * 2, (3,)), joined=False)
    for state in (-1, 1.0, True, "1"):
        with pytest.raises(InputError, match="states have whole numbers from 0"):
            Block(0, state, "sep3x3", "sep3x3")
    with pytest.raises(InputError, match="no combination is named 'sum'"):
        Block(0, 1, "sep3x3", "sep3x3", "sum")


# What is shown


@pytest.mark.parametrize("name", NAMED_CELLS)
def test_the_lines_of_a_pair_are_its_parts_and_cost_together_what_it_costs(name: str) -> None:
    cells = parse_architecture(f"nasnet:{name}")
    lines = cells.lines((16, 16, 24), 8)
    assert [line.layer for line in lines] == [
        f"{cell} {part}" for cell in ("normal", "reduction") for part in ("in", 2, 3, 4, 5, 6, "out")
    ]
    assert [line.output_shape[:2] for line in lines[1:7]] == [(16, 16)] * 6
    assert [line.output_shape[:2] for line in lines[8:]] == [(8, 8)] * 6
    cost = cells.cost((16, 16, 24), 8)
    assert sum(line.parameters for line in lines) == cost.parameters
    assert sum(line.multiply_adds for line in lines) == cost.multiply_adds


def test_blocks_are_shown_in_words() -> None:
    cells = pair(
        "sep3x3@0+identity@0%concat,max3x3@2+max3x3@2%layer=each",
        "conv1x1@1+conv1x1@1,sep3x3@2+sep3x3@1=each",
    )
    what = [(line.layer, line.what, line.inputs) for line in cells.lines((8, 8, 4), 4)]
    assert what[:3] == [
        ("normal in", "fitted to its filters", "all 2 states of the cell before"),
        ("normal 2", "sep3x3, identity concatenated", "0, 0"),
        ("normal 3", "max3x3 + max3x3, layer norm", "2, 2"),
    ]


# Equality

SEP, CONV = "sep3x3@0+sep3x3@0", "conv3x3@0+conv3x3@1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sep3x3@0+identity@1=2", "identity@1+sep3x3@0=2"),
        ("sep3x3@0+identity@1%concat=2", "identity@1+sep3x3@0%concat=2"),
        ("sep3x3@0+identity@1%layer=2", "identity@1+sep3x3@0%layer=2"),
        (f"{SEP},{CONV}=2.3", f"{CONV},{SEP}=2.3"),
        (f"{SEP},{CONV}=2.3", f"{SEP},{CONV}=3.2.3"),
        (f"{SEP},{CONV},max3x3@2+max3x3@3=4", f"{CONV},{SEP},max3x3@3+max3x3@2=4"),
        (f"{SEP},{SEP},max3x3@2+max3x3@2=3.4", f"{SEP},{SEP},max3x3@3+max3x3@3=2.4"),
        (f"{SEP},{SEP},max3x3@2+max3x3@3=2.4", f"{SEP},{SEP},max3x3@2+max3x3@3=3.4"),
        (f"{SEP},{CONV}=2", f"{SEP}=2"),
        (f"{CONV},{SEP},max3x3@2+max3x3@0,conv1x1@3+conv1x1@4=3", f"{SEP}=2"),
        (f"{CONV},{SEP},max3x3@2+max3x3@3=1.4", f"{SEP},{CONV},max3x3@2+max3x3@3=1.4"),
    ],
)
def test_pairs_are_equal_if_they_build_the_same_network(one: str, other: str) -> None:
    assert pair(one) == pair(other)
    assert hash(pair(one)) == hash(pair(other))
    assert str(pair(one)) == str(pair(other))
    assert pair(PLAIN, one) == pair(PLAIN, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sep3x3@0+identity@1=2", "sep3x3@1+identity@0=2"),
        ("sep3x3@0+identity@1=2", "sep3x3@0+identity@1%concat=2"),
        ("sep3x3@0+identity@1=2", "sep3x3@0+identity@1%layer=2"),
        ("sep3x3@0+identity@1=2", "sep3x3@0+identity@1=1.2"),
        # a block that is used twice is not two equal blocks, whether or not it has weights
        (f"{SEP},{SEP},max3x3@2+max3x3@3=4", f"{SEP},max3x3@2+max3x3@2=3"),
        ("avg3x3@0+avg3x3@0,avg3x3@0+avg3x3@0,max3x3@2+max3x3@3=4", "avg3x3@0+avg3x3@0,max3x3@2+max3x3@2=3"),
        (
            f"{SEP},{SEP},max3x3@2+max3x3@2,conv1x1@2+conv1x1@2=3.4.5",
            f"{SEP},{SEP},max3x3@2+max3x3@2,conv1x1@3+conv1x1@3=4.5",
        ),
        (f"{SEP},max3x3@2+max3x3@2=2.3", f"{SEP},max3x3@2+max3x3@2=3"),
    ],
)
def test_pairs_are_different_if_they_build_other_networks(one: str, other: str) -> None:
    assert pair(one) != pair(other)
    assert str(pair(one)) != str(pair(other))


def test_the_two_cells_of_a_pair_are_not_exchanged() -> None:
    assert pair(f"{SEP}=2", f"{CONV}=2") != pair(f"{CONV}=2", f"{SEP}=2")


def test_states_that_go_on_one_by_one_are_renumbered_in_both_cells_and_their_inputs() -> None:
    one = pair("sep3x3@0+sep3x3@0,conv3x3@1+conv3x3@1=each", "max3x3@0+max3x3@0,max5x5@1+max5x5@1=each")
    other = pair("conv3x3@0+conv3x3@0,sep3x3@1+sep3x3@1=each", "max5x5@0+max5x5@0,max3x3@1+max3x3@1=each")
    only_blocks = pair(
        "conv3x3@1+conv3x3@1,sep3x3@0+sep3x3@0=each", "max5x5@1+max5x5@1,max3x3@0+max3x3@0=each"
    )
    one_cell = pair("sep3x3@0+sep3x3@0,conv3x3@1+conv3x3@1=each", "max5x5@0+max5x5@0,max3x3@1+max3x3@1=each")
    assert one == other
    assert len({one, only_blocks, one_cell}) == 3


def test_sides_of_a_concatenation_stay_where_states_go_on_one_by_one() -> None:
    """Into the first reduction cell it may come as it is, to be added to another one channel by channel."""
    one, other = "sep3x3@0+identity@0%concat=each", "identity@0+sep3x3@0%concat=each"
    assert pair(one, "max3x3@0+avg3x3@0=each") != pair(other, "max3x3@0+avg3x3@0=each")
    assert pair(one.replace("%concat", ""), "max3x3@0+avg3x3@0=each") == pair(
        other.replace("%concat", ""), "avg3x3@0+max3x3@0=each"
    )


def test_the_canonical_form_is_that_of_the_documentation() -> None:
    cells = pair("sep7x7@0+sep3x3@1,conv3x3@1+conv3x3@0,max3x3@2+max3x3@3,sep3x3@0+sep3x3@0=5.4")
    assert str(cells) == (
        "nasnet:conv3x3@0+conv3x3@1,sep3x3@0+sep3x3@0,sep7x7@0+sep3x3@1,max3x3@2+max3x3@4=3.5"
        "/sep3x3@0+sep3x3@1=2"
    )


# Against all orders of the blocks, tried one by one


def orders(*cells: Cell) -> list[tuple[int, ...]]:
    """All orders of blocks in which each block of each cell comes after those that it uses."""
    blocks = range(len(cells[0].blocks))
    uses = [
        (number, state - cell.inputs)
        for cell in cells
        for number, block in enumerate(cell.blocks)
        for state in (block.left, block.right)
        if state >= cell.inputs
    ]
    return [order for order in permutations(blocks) if all(order.index(a) > order.index(b) for a, b in uses)]


def written(
    cell: Cell, order: tuple[int, ...], inputs: list[int], *, sides_stay: bool = False
) -> tuple[Any, ...]:
    def number(state: int) -> int:
        return inputs[state] if state < cell.inputs else cell.inputs + order.index(state - cell.inputs)

    blocks = []
    for place in order:
        block = cell.blocks[place]
        sides = [(number(state), operation) for state, operation in block.sides]
        if not (sides_stay and block.combination == "concat"):
            sides.sort()
        blocks.append((*sides, block.combination))
    return tuple(blocks), tuple(sorted(map(number, cell.outputs)))


def smallest(normal: Cell, reduction: Cell, joined: bool = True) -> Any:
    """The smallest of all ways in which a pair may be written."""
    cells = normal, reduction
    if joined:
        return tuple(min(written(cell, order, [0, 1]) for order in orders(cell)) for cell in cells)
    return min(
        tuple(
            written(cell, order, [order.index(number) for number in range(cell.inputs)], sides_stay=True)
            for cell in cells
        )
        for order in orders(*cells)
    )


@st.composite
def drawn_cells(draw: st.DrawFn, blocks: int, inputs: int, operations: tuple[str, ...]) -> Cell:
    """A cell of few operations, so that symmetries and equal cells are frequent, without dead blocks."""
    made = []
    for number in range(blocks):
        states = st.integers(0, inputs + number - 1)
        combination = draw(st.sampled_from(COMBINATIONS[:2]))
        left, right = draw(st.sampled_from(operations)), draw(st.sampled_from(operations))
        made.append(Block(draw(states), draw(states), left, right, combination))
    if inputs != 2:
        return Cell(tuple(made), tuple(range(inputs, inputs + blocks)), inputs)
    unused = Cell(tuple(made), (0,)).unused
    return Cell(tuple(made), (*unused, *draw(st.sets(st.integers(0, blocks + 1)))))


@st.composite
def drawn_pairs(draw: st.DrawFn) -> tuple[Cell, Cell, bool]:
    joined = draw(st.booleans())
    blocks = draw(st.integers(1, 4) if joined else st.sampled_from([1, 3, 4]))
    operations = OPERATIONS[: draw(st.integers(1, 2))]
    cells = drawn_cells(blocks, 2 if joined else blocks, operations)
    return draw(cells), draw(cells), joined


def shuffled(cells: tuple[Cell, Cell], joined: bool, generator: random.Random) -> tuple[Cell, Cell]:
    """The same pair with its blocks in another order, and the sides of each exchanged or not."""

    def swapped(cell: Cell) -> Cell:
        blocks = (
            Block(b.right, b.left, b.right_operation, b.left_operation, b.combination)
            if generator.random() < 0.5 and (joined or b.combination != "concat")
            else b
            for b in cell.blocks
        )
        return Cell(tuple(blocks), cell.outputs, cell.inputs)

    if joined:
        normal, reduction = (cell.reordered(generator.choice(orders(cell))) for cell in cells)
    else:
        order = generator.choice(orders(*cells))
        numbers = [order.index(number) for number in range(cells[0].inputs)]
        normal, reduction = (cell.reordered(order, numbers) for cell in cells)
    return swapped(normal), swapped(reduction)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn_pairs(), st.integers(0, 2**32))
def test_every_way_to_write_a_pair_gives_the_same_value(drawn: tuple[Cell, Cell, bool], seed: int) -> None:
    normal, reduction, joined = drawn
    value = NasNetCells(normal, reduction, joined)
    other = NasNetCells(*shuffled((normal, reduction), joined, random.Random(seed)), joined)
    assert value == other
    assert smallest(value.normal, value.reduction, joined) == smallest(*drawn), "it is still the same pair"
    assert parse_architecture(str(value)) == value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn_pairs(), st.data())
def test_pairs_are_equal_exactly_if_some_order_makes_them_so(
    drawn: tuple[Cell, Cell, bool], data: Any
) -> None:
    normal, reduction, joined = drawn
    again = drawn_cells(len(normal.blocks), normal.inputs, OPERATIONS[:1])
    other = (data.draw(again), reduction)
    equal = smallest(*drawn) == smallest(*other, joined)
    assert (NasNetCells(normal, reduction, joined) == NasNetCells(*other, joined)) is equal


def test_equality_counts_the_cells_of_three_equal_operations_as_all_orders_do() -> None:
    """Each block picks two states; all that is made goes out, or what isn't used."""
    plain = Cell((Block(0, 0, "identity", "identity"),), (2,))
    for every in (True, False):
        values, least = set(), set()
        for states in product(range(2), range(2), range(3), range(3), range(4), range(4)):
            pairs = zip(states[::2], states[1::2], strict=True)
            blocks = tuple(Block(left, right, "sep3x3", "sep3x3") for left, right in pairs)
            cell = Cell(blocks, (2, 3, 4) if every else Cell(blocks, (2,)).unused)
            values.add(NasNetCells(cell, plain))
            least.add(smallest(cell, plain))
        assert len(values) == len(least) > 50


def test_equality_counts_the_pairs_whose_concatenated_states_go_on_one_by_one_as_all_orders_do() -> None:
    values, least = set(), set()
    cells = [
        Cell(
            (
                Block(first, second, "sep3x3", "sep3x3", "concat"),
                Block(third, fourth, "sep3x3", "sep3x3", "concat"),
            ),
            (2, 3),
        )
        for first, second in product(range(2), repeat=2)
        for third, fourth in product(range(3), repeat=2)
    ]
    for normal, reduction in product(cells, repeat=2):
        values.add(NasNetCells(normal, reduction, joined=False))
        least.add(smallest(normal, reduction, joined=False))
    assert len(values) == len(least) > 100


def rings(*lengths: int, seed: int = 0) -> NasNetCells:
    """Equal blocks, each of which two others use, so that all of them lie on rings of these lengths."""
    total, begun = sum(lengths), 0
    above = []
    for length in lengths:
        above += [(begun + place, begun + (place + 1) % length) for place in range(length)]
        begun += length
    names = random.Random(seed).sample(range(total), total)
    below = [Block(0, 1, "sep3x3", "sep3x3")] * total
    users = [Block(2 + names[one], 2 + names[other], "sep3x3", "sep3x3") for one, other in above]
    random.Random(seed).shuffle(users)
    cell = Cell((*below, *users), tuple(range(2 + total, 2 + 2 * total)))
    return NasNetCells(cell, Cell(tuple(below[:1]), (2,)))


def test_cells_that_look_alike_from_every_block_are_told_apart() -> None:
    """No block of one ring of 6 sees what a block of two rings of 3 doesn't see."""
    assert len({rings(6, seed=seed) for seed in range(4)}) == 1
    assert rings(6) != rings(3, 3)
    assert len({rings(3, 4, 5, seed=seed) for seed in range(4)}) == 1, "whichever ring comes first"


@pytest.mark.parametrize("blocks", [10, MOST_BLOCKS])
def test_cells_full_of_equal_blocks_are_made_at_once(blocks: int) -> None:
    """All 32! orders could never be tried: a test that hangs fails."""
    half = blocks // 2
    outputs = ".".join(str(2 + number) for number in range(blocks))
    same = ",".join(["sep3x3@0+sep3x3@0"] * blocks)
    rings = ",".join(
        ["sep3x3@0+sep3x3@0"] * half
        + [f"sep3x3@{2 + number}+sep5x5@{2 + (number + 1) % half}" for number in range(half)]
    )
    turned = ",".join(
        ["sep3x3@0+sep3x3@0"] * half
        + [f"sep3x3@{2 + (number + 1) % half}+sep5x5@{2 + number}" for number in range(half)]
    )
    assert pair(f"{same}={outputs}") == pair(f"{same}={outputs}")
    assert pair(f"{rings}={outputs}") == pair(f"{turned}={outputs}")


# Named pairs


@pytest.mark.parametrize("name", NAMED_CELLS)
def test_named_pairs_are_read_as_text_and_written_out(name: str) -> None:
    named = parse_architecture(f"nasnet:{name}")
    assert name not in str(named)
    assert parse_architecture(str(named)) == named == parse_architecture(f"nasnet:{NAMED_CELLS[name]}")
    assert isinstance(named, NasNetCells)
    assert [len(cell.blocks) for cell in (named.normal, named.reduction)] == [5, 5], "no block is dead"


DARTS_NAMES = {
    "avg_pool_3x3": "avg3x3",
    "max_pool_3x3": "max3x3",
    "sep_conv_3x3": "sep3x3",
    "sep_conv_5x5": "sep5x5",
    "sep_conv_7x7": "sep7x7",
    "skip_connect": "identity",
    "conv_7x1_1x7": "conv1x7_7x1",
}


def from_genotype(inputs: str, outputs: list[int]) -> Cell:
    """A cell of `cnn/genotypes.py` of DARTS, whose states 0 and 1 are h_{i−1} and h_i."""
    sides = [(DARTS_NAMES[name], int(state)) for name, state in (one.split() for one in inputs.split(", "))]
    turned = [(name, 1 - state if state < 2 else state) for name, state in sides]
    return Cell(
        tuple(Block(a[1], b[1], a[0], b[0]) for a, b in zip(turned[::2], turned[1::2], strict=True)),
        tuple(outputs),
    )


def test_amoebanet_a_is_that_of_its_public_genotype() -> None:
    assert parse_architecture("nasnet:amoebanet-a") == NasNetCells(
        from_genotype(
            "avg_pool_3x3 0, max_pool_3x3 1, sep_conv_3x3 0, sep_conv_5x5 2, sep_conv_3x3 0, avg_pool_3x3 3, "
            "sep_conv_3x3 1, skip_connect 1, skip_connect 0, avg_pool_3x3 1",
            [4, 5, 6],
        ),
        from_genotype(
            "avg_pool_3x3 0, sep_conv_3x3 1, max_pool_3x3 0, sep_conv_7x7 2, sep_conv_7x7 0, avg_pool_3x3 1, "
            "max_pool_3x3 0, max_pool_3x3 1, conv_7x1_1x7 0, sep_conv_3x3 5",
            [3, 4, 6],
        ),
    )


def from_slim(operations: list[str], flags: list[int], indices: list[int]) -> Cell:
    """A cell of the authors' code: states 0 and 1 are h_i and h_{i−1}; flags mark what isn't output."""
    names = {"none": "identity", "max_pool_3x3": "max3x3", "avg_pool_3x3": "avg3x3"}
    names |= {f"separable_{k}x{k}_2": f"sep{k}x{k}" for k in (3, 5, 7)}
    sides = [(indices[at], names[operation]) for at, operation in enumerate(operations)]
    blocks = [Block(a[0], b[0], a[1], b[1]) for a, b in zip(sides[::2], sides[1::2], strict=True)]
    return Cell(tuple(blocks), tuple(state for state, flag in enumerate(flags) if not flag))


def test_pnasnet_5_is_that_of_its_authors_code() -> None:
    sep3, sep5, sep7, max3 = "separable_3x3_2", "separable_5x5_2", "separable_7x7_2", "max_pool_3x3"
    cell = from_slim(
        [sep5, max3, sep7, max3, sep5, sep3, sep3, max3, sep3, "none"],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 4, 0, 1, 0],
    )
    assert parse_architecture("nasnet:pnasnet-5") == NasNetCells(cell, cell)


def test_nasnet_a_is_that_of_its_authors_code() -> None:
    sep3, sep5, sep7 = "separable_3x3_2", "separable_5x5_2", "separable_7x7_2"
    normal = from_slim(
        [sep5, sep3, sep5, sep3, "avg_pool_3x3", "none", "avg_pool_3x3", "avg_pool_3x3", sep3, "none"],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 1, 1, 1, 0, 0],
    )
    reduction = from_slim(
        [
            sep5,
            sep7,
            "max_pool_3x3",
            sep7,
            "avg_pool_3x3",
            sep5,
            "none",
            "avg_pool_3x3",
            sep3,
            "max_pool_3x3",
        ],
        [1, 1, 1, 0, 0, 0, 0],
        [0, 1, 0, 1, 0, 1, 3, 2, 2, 0],
    )
    assert parse_architecture("nasnet:nasnet-a") == NasNetCells(normal, reduction)

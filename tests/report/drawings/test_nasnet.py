"""A pair of cells shows each block with what it does and uses, what goes out, and the network around it."""

from __future__ import annotations

import random
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from nas.report.drawings import draw, svg
from nas.report.drawings.nasnet import COMBINATIONS, NAMES, WIDTH
from nas.report.drawings.parts import Box, Drawing, Group, Label
from nas.spaces import StackPart, parse_architecture
from nas.spaces.nasnet import COMBINATIONS as JOINS
from nas.spaces.nasnet import OPERATIONS, Block, Cell, NasNetCells
from nas.spaces.nasnet_stack import CifarStack, ImageNetStack
from tests.report.drawings.reading import boxes, is_inside, lines, overlapping, places, texts

NASNET_A = (
    "nasnet:sep5x5@0+sep3x3@1,sep5x5@1+sep3x3@1,avg3x3@0+identity@1,avg3x3@1+avg3x3@1,sep3x3@0+identity@0"
    "=1.2.3.4.5.6/sep5x5@0+sep7x7@1,max3x3@0+sep7x7@1,avg3x3@0+sep5x5@1,identity@3+avg3x3@2,"
    "sep3x3@2+max3x3@0=3.4.5.6"
)
COLOURS = tuple(f"link{number}" for number in range(8))
KINDS = ("activate", "convolve", "gather", "combine", "chip", "normalize", "image", "band")
TOLD = (
    StackPart("stem", filters=24),
    StackPart("normal", 2, 8),
    StackPart("reduction", filters=16),
    StackPart("classifier"),
)


def pair(blocks: int, seed: int, *, joined: bool = True) -> NasNetCells:
    chooses = random.Random(seed)

    def cell() -> Cell:
        inputs = 2 if joined else blocks
        made = tuple(
            Block(
                chooses.randrange(inputs + number),
                chooses.randrange(inputs + number),
                chooses.choice(OPERATIONS),
                chooses.choice(OPERATIONS),
                chooses.choice(JOINS),
            )
            for number in range(blocks)
        )
        states = range(inputs + blocks)
        some = [state for state in states if chooses.random() < 0.6] or [states[-1]]
        return Cell(made, tuple(some if joined else states[inputs:]), inputs)

    return NasNetCells(cell(), cell(), joined)


ALL = {
    "NASNet-A": parse_architecture(NASNET_A),
    **{f"{blocks} blocks": pair(blocks, blocks) for blocks in range(1, 9)},
    **{f"{blocks} blocks, not joined": pair(blocks, blocks, joined=False) for blocks in (1, 4, 6)},
}
SINGLE = pytest.mark.parametrize("cells", ALL.values(), ids=ALL.keys())


def labels(drawing: Drawing) -> dict[Box, str]:
    """The text that stands with a box."""
    groups = [part.parts for part in drawing.parts if isinstance(part, Group)]
    return {
        one: label.text
        for parts in groups
        for one in parts
        if isinstance(one, Box)
        for label in parts
        if isinstance(label, Label)
    }


Read = tuple[list[str], dict[str, int], set[int]]


def traced(drawing: Drawing, cells: NasNetCells) -> list[Read]:
    """Of each cell what its blocks do, the state that leads into each operation, and the states that go out.

    Lines are followed from an operation back to the box that they leave.
    """
    named = labels(drawing)
    rows = sorted(named, key=lambda box: (-box.y, box.x))
    joins = [box for box in rows if box.width == WIDTH]
    found = []
    both = cells.normal, cells.reduction
    for cell, left in zip(both, sorted({box.x for box in joins}), strict=True):
        blocks = [box for box in joins if box.x == left][: len(cell.blocks)]
        column = [box for box in rows if left <= box.x < left + WIDTH]
        chips = [box for box in column if box.y > blocks[0].y + 2 * blocks[0].height]
        assert len(chips) == cell.inputs
        if named[chips[0]] == "h_{i−1}":
            chips.reverse()
        states = [*chips, *blocks]
        does, uses = [], {}
        for number, block in enumerate(blocks):
            operations = [box for box in column if box.y == block.y + block.height]
            does.append(",".join(named[box] for box in (*operations, block)))
            for side, operation in zip("lr", operations, strict=True):
                uses[f"{number}{side}"] = source(drawing, operation, states)
        starts = {places(line)[0] for line in lines(drawing, "bus", *COLOURS)}
        outs = {n for n, box in enumerate(states) if (box.x + box.width, box.y + box.height / 2) in starts}
        found.append((does, uses, outs))
    return found


def source(drawing: Drawing, op: Box, states: list[Box]) -> int:
    """The state whose line ends below an operation."""
    end = (op.x + op.width / 2, op.y + op.height + 4)
    coloured = lines(drawing, *COLOURS)
    (entry,) = [line for line in coloured if places(line)[-1] == end]
    x, y = places(entry)[0]
    (lane,) = {
        line
        for line in coloured
        if len(places(line)) == 2 and line.kind == entry.kind and places(line)[0][0] == x
        if places(line)[1][1] <= y <= places(line)[0][1]
    }
    (out,) = {line for line in coloured if places(line)[-1] == places(lane)[0]}
    assert out.kind == entry.kind
    edge = places(out)[0]
    (state,) = [n for n, box in enumerate(states) if edge == (box.x, box.y + box.height / 2)]
    return state


@SINGLE
def test_blocks_do_and_use_what_the_architecture_says(cells: NasNetCells) -> None:
    drawing = draw(cells)
    both = cells.normal, cells.reduction
    for cell, (does, uses, outs) in zip(both, traced(drawing, cells), strict=True):
        assert does == [
            f"{NAMES[b.left_operation][0]},{NAMES[b.right_operation][0]},{COMBINATIONS[b.combination][0]}"
            for b in cell.blocks
        ]
        sides = {f"{n}l": block.left for n, block in enumerate(cell.blocks)}
        assert uses == sides | {f"{n}r": block.right for n, block in enumerate(cell.blocks)}
        assert outs == set(cell.outputs)


@SINGLE
def test_nothing_overlaps_and_no_line_runs_through_a_box(cells: NasNetCells) -> None:
    drawing = draw(cells)
    assert is_inside(drawing)
    solid = boxes(drawing, *KINDS)
    assert overlapping(solid) == []
    for line in lines(drawing, "bus", *COLOURS):
        for (x, y), (to_x, to_y) in pairwise(places(line)):
            for box in solid:
                inside = (
                    max(x, to_x) > box.x + 1
                    and min(x, to_x) < box.x + box.width - 1
                    and max(y, to_y) > box.y + 1
                    and min(y, to_y) < box.y + box.height - 1
                )
                assert not inside, (line, box)


@SINGLE
def test_two_lanes_of_a_cell_never_meet(cells: NasNetCells) -> None:
    spans: dict[float, list[tuple[float, float]]] = {}
    for line in lines(draw(cells), *COLOURS):
        if len(places(line)) == 2:
            (x, low), (_, high) = places(line)
            spans.setdefault(x, []).append((high, low))
    for found in spans.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(found)))


def test_all_operations_and_combinations_have_texts_of_their_own() -> None:
    assert set(NAMES) == set(OPERATIONS)
    assert set(COMBINATIONS) == set(JOINS)
    assert len({text for text, _ in NAMES.values()}) == len(OPERATIONS)
    assert len(set(COMBINATIONS.values())) == len(JOINS)
    assert len({kind for _, kind in NAMES.values()} & set(texts(draw(ALL["NASNet-A"])))) == 4


def test_states_that_go_out_stand_in_the_concatenation() -> None:
    pair = ALL["NASNet-A"]
    told = texts(draw(pair))
    assert "‖ concat 1 2 3 4 5 6" in told
    assert f"‖ concat {' '.join(map(str, pair.reduction.outputs))}" in told
    assert told.count("h_{i+1}") == told.count("h_{i−1}") == 2
    many = "nasnet:" + "/".join(
        [",".join(["identity@0+identity@1"] * 30) + "=" + ".".join(map(str, range(32)))] * 2
    )
    drawing = draw(parse_architecture(many))
    assert "‖ concat" in texts(drawing), "too many to be listed"
    assert is_inside(drawing)


def test_states_that_go_on_one_by_one_are_the_inputs_of_the_next_cell() -> None:
    told = texts(draw(pair(4, 0, joined=False)))
    for state in range(4):
        assert told.count(f"s_{{{state}}}") == 4, "in and out of both cells"
    assert not any("h_" in text for text in told)


def test_the_network_stands_beside_the_cells_with_the_numbers_of_its_stack() -> None:
    letters = texts(draw(ALL["NASNet-A"]))
    assert letters.count("reduction") == 2
    assert {"N × normal", "F filters", "4F filters", "auxiliary head", "image", "stem", "classifier"} <= set(
        letters
    )
    told = texts(draw(ALL["NASNet-A"], (32, 32, 24), 8, TOLD))
    assert {"2 × normal", "24 filters", "8 filters", "16 filters"} <= set(told)
    assert "auxiliary head" not in told
    assert told.count("reduction") == 1
    assert not any("F filters" in text or "N ×" in text for text in told)


def test_a_stack_of_the_users_own_may_tell_any_parts() -> None:
    parts = (StackPart("auxiliary"), StackPart("<b>&" * 9, 10**4, 1024), StackPart("squeeze", "M", "F/4"))
    drawing = draw(ALL["NASNet-A"], None, None, parts)
    told = texts(drawing)
    assert is_inside(drawing)
    assert {"1024 filters", "M × squeeze", "F/4 filters", "auxiliary head"} <= set(told)
    assert [text for text in told if text.startswith("10000 × ") and text.endswith("…")]
    assert ElementTree.fromstring(svg(drawing)) is not None


def test_the_networks_of_the_paper_tell_their_parts() -> None:
    assert [(part.what, part.count, part.filters) for part in CifarStack(6, 32, auxiliary=0.4).outline()] == [
        ("stem", 1, 96),
        ("normal", 6, 32),
        ("reduction", 1, 64),
        ("normal", 6, 64),
        ("auxiliary", 1, ""),
        ("reduction", 1, 128),
        ("normal", 6, 128),
        ("classifier", 1, ""),
    ]
    large = ImageNetStack(4, 44).outline()
    assert [part.filters for part in large if part.what in ("stem", "reduction")] == [32, 11, 22, 88, 176]
    assert "auxiliary" not in {part.what for part in large}


def test_a_pair_is_told_in_words() -> None:
    assert draw(ALL["NASNet-A"]).about == (
        "Normal cell: 5 blocks (5 separable, 3 pooling, 2 identity), 6 states out. "
        "Reduction cell: 5 blocks (5 separable, 4 pooling, 1 identity), 4 states out."
    )


def test_five_blocks_fit_on_a_page() -> None:
    for seed in range(20):
        drawing = draw(pair(5, seed))
        assert drawing.width <= 850
        assert drawing.height <= 700

"""A space shows its decisions in order, with what may be chosen."""

from __future__ import annotations

from nas.report.drawings import draw_decisions
from nas.spaces.conv_space import ConvSpace
from nas.spaces.recurrent_cell_space import RecurrentCellSpace
from nas.spaces.steps import Choice, Links, Pick, Point, StepList, When
from nas.testing.step_space import StepSpace
from tests.report.drawings.reading import boxes, is_inside, overlapping, texts


def test_a_convolutional_space_shows_options_links_and_its_size() -> None:
    drawing = draw_decisions(
        ConvSpace(depth=3, layer_types=("conv", "max_pool"), strides=(1, 2), learning_rates=(0.1, 0.01))
    )
    told = texts(drawing)
    assert told.count("1 · 3 · 5 · 7") == 6
    assert told.count("filters (if any)") == 3
    assert {"layer1", "layer3", "conv · max_pool", "1 or not", "any of 2", "0.1 · 0.01"} <= set(told)
    assert told[-1].startswith("22 decisions, ")
    assert is_inside(drawing)
    assert overlapping(boxes(drawing, "outline")) == []


def test_the_depth_can_be_another() -> None:
    assert "layer5" in texts(draw_decisions(ConvSpace(depth=3), depth=5))


def test_a_space_of_cells_shows_nodes_injection_and_indices() -> None:
    told = texts(draw_decisions(RecurrentCellSpace(8)))
    assert {"node0", "node14", "inject", "index", "add · elem_mult", "0 · 1 · 2 · … · 14"} <= set(told)
    assert told[-1] == "34 decisions, 6.3·10^16 token strings at depth 1"


def picking(depth: int) -> StepList:
    return StepList(
        (
            Choice("cell.kind", "kind", ("a", "b")),
            Pick("cell.input", "input", "cell", When("cell.kind", ("a",))),
            Links("cell.links", "links", "cell"),
        ),
        {"cell": 2},
    )


def test_picks_and_conditions_are_shown() -> None:
    told = texts(draw_decisions(StepSpace(picking, 1)))
    assert {"cell", "a · b", "input (if any)", "one of 2", "any of 2"} <= set(told)


def blocks(depth: int) -> StepList:
    names = [f"{cell}.block{number}" for cell in ("normal", "reduction") for number in range(5)]
    operations = tuple(f"operation{number}" for number in range(13))
    return StepList(
        tuple(
            step
            for name in names
            for scope in [name.partition(".")[0]]
            for step in (
                Pick(f"{name}.left", "state", scope),
                Pick(f"{name}.right", "state", scope),
                Choice(f"{name}.left_operation", "operation", operations),
                Choice(f"{name}.right_operation", "operation", operations),
                Choice(f"{name}.combination", "combination", ("add", "concat")),
                Point(name, scope),
            )
        ),
        {"normal": 2, "reduction": 2},
    )


def test_fifty_decisions_of_two_cells_stand_in_a_row_for_each_block() -> None:
    drawing = draw_decisions(StepSpace(blocks, 1))
    told = texts(drawing)
    assert {"normal block0", "reduction block4", "one of 6", "left operation"} <= set(told)
    assert not {"normal", "reduction"} & set(told), "states that decide nothing have no row"
    assert told[-1].startswith("50 decisions, ")
    assert len({box.y for box in boxes(drawing, "outline")}) == 10
    assert (drawing.width, drawing.height) <= (1000, 640)
    assert is_inside(drawing)
    names = [part for part in drawing.single() if getattr(part, "kind", "") == "title"]
    assert all(one.x + 8 * len(one.text) < min(box.x for box in boxes(drawing, "outline")) for one in names)


def test_words_that_a_box_leaves_out_are_told_below_once() -> None:
    told = texts(draw_decisions(StepSpace(blocks, 1)))
    assert told.count("operation0 · … · operation12") == 20
    below = " ".join(told[-4:-1])
    assert all(f"operation{number}" in below for number in range(13))
    assert below.count("operation: ") == 1

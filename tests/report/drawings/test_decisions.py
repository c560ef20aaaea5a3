"""A space shows its decisions in order, with what may be chosen."""

from __future__ import annotations

from nas.report.drawings import draw_decisions
from nas.spaces.conv_space import ConvSpace
from nas.spaces.recurrent_cell_space import RecurrentCellSpace
from nas.spaces.steps import Choice, Links, Pick, StepList, When
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

"""A cell shows its tree from the leaves to h_t, each node's two things, and the way of its memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas.report.drawings import draw
from nas.report.drawings.layered import layered
from nas.spaces import parse_architecture
from nas.spaces.recurrent_cell import RecurrentCell
from tests.report.drawings.reading import boxes, is_inside, lines, overlapping, places, texts

CELL = parse_architecture("cell:zoph-le-2017")
assert isinstance(CELL, RecurrentCell)
NODES = ("combine", "activate", "inject", "chip", "memory-chip")


def test_the_papers_example_shows_nodes_injection_and_memory() -> None:
    told = texts(draw(parse_architecture("cell:worked-example")))
    assert told.count("x_{t}") == 2
    assert told.count("h_{t−1}") == 2
    assert told.count("c_{t−1}") == told.count("c_{t}") == told.count("h_{t}") == 1
    assert told.count("+ add") == 2  # node 0, and the injection
    assert told.count("⊙ multiply") == 2
    assert told.count("relu") == 2
    assert {"tanh", "sigmoid", "0", "1", "2"} <= set(told)


@pytest.mark.parametrize("c_in", [0, 3, 9, 12, 14])
@pytest.mark.parametrize("c_out", [0, 5, 8, 12, 13, 14])
def test_a_cell_of_base_8_is_readable_wherever_its_memory_runs(c_in: int, c_out: int) -> None:
    drawing = draw(replace(CELL, c_in=c_in, c_out=c_out))
    assert is_inside(drawing)
    assert overlapping(boxes(drawing, *NODES)) == []
    assert drawing.width <= 1100
    leaves = [part for part in drawing.single() if part.kind == "small" and part.text.isdecimal()]
    across = {int(part.text): part.x for part in leaves}
    assert [across[leaf] for leaf in range(8)] == sorted(across[leaf] for leaf in range(8))


def test_c_t_leaves_its_node_between_combination_and_activation() -> None:
    drawing = draw(CELL)
    (way,) = [line for line in lines(drawing, "memory") if "C" in line.way or "Q" in line.way]
    x, y = places(way)[0]
    node = [box for box in boxes(drawing, "activate") if box.y + box.height == y and box.x <= x]
    assert any(x in (box.x, box.x + box.width) for box in node)
    end = places(way)[-1]
    c_t = next(part for part in drawing.single() if getattr(part, "text", "") == "c_{t}")
    assert end[0] == c_t.x
    assert end[1] > c_t.y


def test_the_injection_stands_above_its_node_where_the_memory_comes_in() -> None:
    drawing = draw(CELL)
    combine, activate = sorted(boxes(drawing, "inject"), key=lambda box: -box.y)
    (enters,) = [line for line in lines(drawing, "memory") if "C" not in line.way and "Q" not in line.way]
    assert places(enters)[-1][1] == combine.y + combine.height / 2
    assert activate.y + activate.height == combine.y


def test_gates_of_hand_made_cells_are_named() -> None:
    assert {"f", "i", "g", "o", "c_{t−1}", "c_{t}"} <= set(texts(draw(parse_architecture("rnn:lstm"))))
    gru = texts(draw(parse_architecture("rnn:gru")))
    assert {"z", "r", "g", "1 − z", "U h + b"} <= set(gru)
    assert "c_{t}" not in gru


def test_a_layered_graph_runs_upwards_and_long_edges_go_around_nodes() -> None:
    sizes = dict.fromkeys("abcd", (40.0, 20.0))
    found = layered(sizes, [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])
    heights = [found.middles[name][1] for name in "abcd"]
    assert heights == sorted(heights, reverse=True)
    assert len(found.ways["a", "d"]) == 2
    for x, y in found.ways["a", "d"]:
        assert not any(abs(x - at) < 20 and abs(y - height) < 10 for at, height in found.middles.values())


def test_a_graph_in_pieces_is_refused() -> None:
    with pytest.raises(ValueError, match="2 parts"):
        layered({"a": (1, 1), "b": (1, 1)}, [])

"""A convolutional network shows each layer with its size, and each link as a line that can be followed."""

from __future__ import annotations

import random
import re
from itertools import combinations

import pytest

from nas.report.drawings import draw
from nas.report.drawings.lanes import Row, in_lanes
from nas.spaces import parse_architecture
from nas.spaces.conv import ConvNet
from nas.spaces.conv_space import ConvSpace
from tests.report.drawings.reading import boxes, is_inside, lines, overlapping, places, texts


def dense(depth: int, seed: int, chance: float = 0.5) -> ConvNet:
    """A network with about `chance` of all possible links."""
    space, chooses = ConvSpace(depth=depth), random.Random(seed)
    steps = space.steps(depth)
    tokens = [
        int(chooses.random() < chance) if "links" in step.name else chooses.randrange(steps.limit(index))
        for index, step in enumerate(steps)
        for _ in range(steps.widths[index])
    ]
    return space.decode(tokens, depth)


def test_layers_tell_window_filters_stride_and_size() -> None:
    net = parse_architecture("conv:pool1,3x5x24@0,5x5x36s2@1,max3x3s1x2@1,avg3x3@2+3")
    told = texts(draw(net, (32, 32, 3), 10))
    for text in (
        "image",
        "32×32×3",
        "3×5 · 24 filters",
        "5×5 · 36 filters / 2",
        "3×3 max-pooling / 1×2",
        "3×3 average-pooling",
        "2×2 max-pooling of all that passes",
        "8×8×36",
        "16×8×60 → 10",
    ):
        assert text in told, text
    assert "3 × (3×3 · 6 filters, dense)" in texts(draw(parse_architecture("conv:block3,3x3x6@0")))


def test_sizes_are_those_of_the_network() -> None:
    for text in (
        "conv:3x3x24@0,5x5x36@0+1",
        "conv:block2,3x3x6@0,3x3x8@1",
        "conv:3x3x4@0,avg3x3@1",
        "conv:3x3x4s2@0",
    ):
        net = parse_architecture(text)
        assert isinstance(net, ConvNet)
        shapes = net.shapes((9, 7, 2))
        sizes = ["×".join(map(str, shape)) for shape in (*shapes.outputs, shapes.head.shape)]
        told = [part for part in texts(draw(net, (9, 7, 2))) if re.fullmatch(r"\d+×\d+×\d+", part)]
        assert told == ["9×7×2", *sizes], text


def test_bars_are_as_wide_as_outputs_are_deep() -> None:
    drawing = draw(parse_architecture("conv:3x3x24@0,3x3x48@1,3x3x12@2"), (32, 32, 6))
    image, first, second, third = boxes(drawing, "conv", "image")
    assert first.width == pytest.approx(second.width / 2, abs=0.1)
    assert third.width == pytest.approx(second.width / 4, abs=0.1)
    assert image.width == pytest.approx(second.width / 8, abs=0.1)


def test_the_shape_of_a_window_is_seen() -> None:
    one, other = boxes(draw(parse_architecture("conv:1x7x24@0,7x1x24@1")), "window")
    assert one.width == 7 * one.height
    assert (other.width, other.height) == (one.height, one.width)


def sources_and_goals(net: ConvNet) -> set[tuple[int, int]]:
    rows = [(), *(layer.inputs for layer in net.layers), net.outputs]
    return {(source, goal) for goal, inputs in enumerate(rows) for source in inputs}


@pytest.mark.parametrize("seed", range(8))
def test_every_link_can_be_followed_and_no_other(seed: int) -> None:
    net = dense(20, seed, chance=0.1 + 0.1 * seed)
    drawing = draw(net, (32, 32, 3), 10)
    frames = boxes(drawing, "outline")
    middles = [frame.y + frame.height / 2 for frame in frames]
    direct = [line for line in lines(drawing, "wire") if line.way.count("L") == 1]
    found = {
        (index, index + 1)
        for index in range(len(frames) - 1)
        for line in direct
        if places(line)[0] == (places(line)[0][0], frames[index].y + frames[index].height)
    }
    trunks = [part for part in drawing.single() if part.kind.startswith("link") and part.way.count("Q") == 2]
    for trunk in trunks:
        source = middles.index(places(trunk)[0][1] - 6)
        lane = max(x for x, _ in places(trunk))
        assert trunk.kind == f"link{source % 8}"
        last = middles.index(places(trunk)[-1][1] + 6)
        off = [
            middles.index(places(part)[-1][1] + 6)
            for part in drawing.single()
            if part.kind == trunk.kind and part.way.count("Q") == 1 and places(part)[0][0] == lane
        ]
        found |= {(source, goal) for goal in [*off, last] if source < goal <= last}
    assert found == sources_and_goals(net)


@pytest.mark.parametrize("seed", range(4))
def test_no_two_lines_run_in_one_lane_at_the_same_height(seed: int) -> None:
    drawing = draw(dense(20, seed))
    spans: dict[float, list[tuple[float, float]]] = {}
    for part in drawing.single():
        if part.kind.startswith("link") and part.way.count("Q") == 2:
            heights = [y for _, y in places(part)]
            spans.setdefault(max(x for x, _ in places(part)), []).append((min(heights), max(heights)))
    assert sum(map(len, spans.values())) > 10
    for found in spans.values():
        assert all(a[1] <= b[0] or b[1] <= a[0] for a, b in combinations(found, 2))


def test_twenty_layers_with_many_links_fit_without_overlap() -> None:
    drawing = draw(dense(20, 0))
    assert len(sources_and_goals(dense(20, 0))) > 80
    assert is_inside(drawing)
    assert overlapping(boxes(drawing, "outline")) == []
    assert (drawing.width, drawing.height) <= (700, 1200)


def test_shortcuts_of_a_residual_network_are_links() -> None:
    drawing = draw(parse_architecture("resnet:16x2x2"), (32, 32, 3), 10)
    told = texts(drawing)
    assert told.count("3×3 · 16 + shortcut") == 2
    assert "3×3 · 32 + 1×1 shortcut" in told
    assert "3×3 · 32 / 2" in told
    trunks = [p for p in drawing.single() if p.kind.startswith("link") and p.way.count("Q") == 2]
    assert len(trunks) == 4


def test_rows_of_any_other_kind_can_stand_in_lanes() -> None:
    rows = [Row("a", "1", "image"), Row("b", "2", "conv", (0,)), Row("c", "3", "head", (0, 1))]
    assert {"a", "b", "c"} <= set(texts(in_lanes(rows, "three rows")))

"""Layers one below the other, and their links in lanes beside them, as on a map of railway lines.

Each layer that is linked to others than the next has one line of its own colour, which runs down in a
lane until the last layer that it leads to and turns off into each of them. So a network of L layers
needs at most L lines, however many of its L(L+1)/2 links there are, and each can be followed with the
eye; a layered layout of general graphs, tried first, draws one long curve for each link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.report.drawings.parts import Box, Drawing, Label, Line, Part, arrow
from nas.report.drawings.styles import LINKS

LEFT, TOP = 12, 12
NUMBERS = 30
"""Width of the column of layers' numbers."""

WIDTH, HEIGHT = 324, 34
"""Of a layer's frame."""

WINDOW = 21
"""From a frame's left edge to the middle of its filters' shape."""

GAP = 16
"""Between two frames; with a band in it, a pooling, it is wider."""

BAND = 22
FIRST_LANE, LANE = 26, 13
BEND = 8
"""Radius of a link's bends."""

_X = LEFT + NUMBERS
_RIGHT = _X + WIDTH


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        title: what it does.
        size: what comes out of it, e.g. `32×32×24`.
        kind: `conv`, `pool`, `head` or `image`, its colour.
        inputs: indices of the rows that it receives.
        share: its filters as a part of the most in the network, which its bar is as wide as.
        window: height and width of its filters; None: it has none.
        band: what happens to all links that pass the place above it; empty: nothing.
    """

    title: str
    size: str
    kind: str
    inputs: tuple[int, ...] = ()
    share: float = 1.0
    window: tuple[int, int] | None = None
    band: str = ""


def in_lanes(rows: Sequence[Row], about: str) -> Drawing:
    """The drawing of rows from the image at the top to the classifier at the bottom.

    Args:
        rows: each receives rows before it only.
        about: what is seen, in words.
    """
    middles = _middles(rows)
    lanes = _lanes(_reaches(rows))
    lane_x = {source: float(_RIGHT + FIRST_LANE + LANE * lane) for source, lane in lanes.items()}
    parts: list[Part] = []
    for index, row in enumerate(rows):
        parts += _band(row, middles[index])
    for index, row in enumerate(rows):
        parts += _entries(row, middles[index], [s for s in row.inputs if s != index - 1], lane_x)
    for source in sorted(lanes, key=lambda source: -lanes[source]):
        targets = [i for i, row in enumerate(rows) if source in row.inputs and i > source + 1]
        parts += _trunk(source, lane_x[source], middles, targets)
    for index, row in enumerate(rows):
        if index - 1 in row.inputs:
            top, bottom = middles[index - 1] + HEIGHT / 2, middles[index] - HEIGHT / 2
            x = _X + WINDOW
            parts.append(Line(f"M{x:g} {top:g}L{x:g} {bottom - 3:g}", "wire"))
            parts.append(arrow(x, bottom, "down", "tip"))
        parts += _frame(index, row, middles[index], last=index == len(rows) - 1)
    width = max([_RIGHT, *lane_x.values()]) + LEFT
    return Drawing(int(width), int(middles[-1] + HEIGHT / 2 + TOP), tuple(parts), about)


def _middles(rows: Sequence[Row]) -> list[float]:
    found, y = [], float(TOP)
    for row in rows:
        y += BAND if row.band else 0
        found.append(y + HEIGHT / 2)
        y += HEIGHT + GAP
    return found


def _reaches(rows: Sequence[Row]) -> dict[int, int]:
    """For each row that is linked to others than the next one, the last that it leads to."""
    return {source: index for index, row in enumerate(rows) for source in row.inputs if source != index - 1}


def _lanes(reaches: Mapping[int, int]) -> dict[int, int]:
    """A lane for each line, so that no two meet in one: short ones inside, long ones around them."""
    taken: list[list[tuple[int, int]]] = []
    found = {}
    for source, last in sorted(reaches.items(), key=lambda item: (item[1] - item[0], item[0])):
        lane = next(
            (n for n, spans in enumerate(taken) if all(b <= source or last <= a for a, b in spans)),
            len(taken),
        )
        if lane == len(taken):
            taken.append([])
        taken[lane].append((source, last))
        found[source] = lane
    return found


def _entries(row: Row, middle: float, sources: Sequence[int], lane_x: Mapping[int, float]) -> list[Part]:
    """The line on which links enter a frame; in a link's own colour as long as it is the only one."""
    if not sources:
        return []
    y = middle - 6
    outer = max(sources, key=lambda source: lane_x[source])
    own = f"link{outer % LINKS}"
    if len(sources) == 1:
        return [
            Line(f"M{lane_x[outer] - BEND:g} {y:g}L{_RIGHT + 4} {y:g}", own),
            arrow(_RIGHT, y, "left", f"tip{outer % LINKS}"),
        ]
    inner = max(lane_x[source] for source in sources if source != outer) - BEND
    return [
        Line(f"M{inner:g} {y:g}L{_RIGHT + 4} {y:g}", "wire"),
        Line(f"M{lane_x[outer] - BEND:g} {y:g}L{inner:g} {y:g}", own),
        arrow(_RIGHT, y, "left", "tip"),
    ]


def _trunk(source: int, x: float, middles: Sequence[float], targets: Sequence[int]) -> list[Part]:
    """The line of one layer: out of its frame, down its lane, and off into each of `targets`."""
    kind = f"link{source % LINKS}"
    out, end = middles[source] + 6, middles[targets[-1]] - 6
    way = (
        f"M{_RIGHT} {out:g}L{x - BEND:g} {out:g}Q{x:g} {out:g} {x:g} {out + BEND:g}"
        f"L{x:g} {end - BEND:g}Q{x:g} {end:g} {x - BEND:g} {end:g}"
    )
    bridge = f"M{x:g} {out + BEND + 2:g}L{x:g} {end - BEND - 2:g}"
    parts: list[Part] = [Line(bridge, "halo"), Line(way, kind)]
    for target in targets[:-1]:
        y = middles[target] - 6
        parts.append(Line(f"M{x:g} {y - BEND:g}Q{x:g} {y:g} {x - BEND:g} {y:g}", kind))
    return parts


def _band(row: Row, middle: float) -> list[Part]:
    if not row.band:
        return []
    y = middle - HEIGHT / 2 - GAP / 2 - BAND / 2
    return [
        Line(f"M{_X} {y:g}L{_X + 62} {y:g}", "band"),
        Line(f"M{_X + 262} {y:g}L{_RIGHT} {y:g}", "band"),
        Label(_X + WIDTH / 2, y + 4, row.band, "small", "middle"),
    ]


def _frame(index: int, row: Row, middle: float, *, last: bool) -> list[Part]:
    top = middle - HEIGHT / 2
    parts: list[Part] = [
        Box(_X, top, WIDTH, HEIGHT, "frame"),
        Box(_X, top, max(8.0, round(WIDTH * row.share, 1)), HEIGHT, row.kind),
        Box(_X, top, WIDTH, HEIGHT, "outline"),
        Label(_X + 2 * WINDOW, middle + 4.5, row.title, "title"),
        Label(_RIGHT - 10, middle + 4, row.size, "small", "end"),
    ]
    if row.window:
        unit = min(3.0, 24 / max(row.window))
        height, width = unit * row.window[0], unit * row.window[1]
        parts.append(Box(_X + WINDOW - width / 2, middle - height / 2, width, height, "window", 1))
    if index > 0 and not last:
        parts.append(Label(_X - 9, middle + 4.5, str(index), f"number{index % LINKS}", "end"))
    return parts

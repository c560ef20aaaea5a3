"""Layers one below the other, and their links in lanes beside them, as on a map of railway lines.

Each layer that is linked to others than the next has one line of its own colour, which runs down in a
lane until the last layer that it leads to and turns off into each of them. So a network of L layers
needs at most L lines, however many of its L(L+1)/2 links there are, and each can be followed with the
eye; a layered layout of general graphs, tried first, draws one long curve for each link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nas.report.drawings.parts import Box, Drawing, Group, Label, Line, Part, arrow
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

KEPT = 2**15
"""Pieces of each sort that are kept, since they come again in other networks of a search."""

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
    lanes = nested(_reaches(rows))
    lane_x = {source: float(_RIGHT + FIRST_LANE + LANE * lane) for source, lane in lanes.items()}
    goals: dict[int, list[int]] = {source: [] for source in lanes}
    parts: list[Part] = [
        _band(row.band, middle) for row, middle in zip(rows, middles, strict=True) if row.band
    ]
    for index, row in enumerate(rows):
        sources = [source for source in row.inputs if source != index - 1]
        for source in sources:
            goals[source].append(index)
        if sources:
            parts.append(_entry(sources, middles[index], lane_x))
    for source in sorted(lanes, key=lambda source: -lanes[source]):
        colour, x, (*others, last) = source % LINKS, lane_x[source], goals[source]
        parts.append(_trunk(colour, x, middles[source], middles[last]))
        parts += [_turn(colour, x, middles[goal]) for goal in others]
    for index, row in enumerate(rows):
        if index - 1 in row.inputs:
            parts.append(_next(middles[index - 1], middles[index]))
        number = index if index < len(rows) - 1 else 0
        parts.append(_frame(number, row.title, row.size, row.kind, row.share, row.window, middles[index]))
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


def nested(reaches: Mapping[int, int]) -> dict[int, int]:
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


@lru_cache(KEPT)
def _next(middle: float, below: float) -> Group:
    """The arrow from one frame to the next."""
    x, top, bottom = _X + WINDOW, middle + HEIGHT / 2, below - HEIGHT / 2
    return Group((Line(f"M{x:g} {top:g}L{x:g} {bottom - 3:g}", "wire"), arrow(x, bottom, "down", "tip")))


def _entry(sources: Sequence[int], middle: float, lane_x: Mapping[int, float]) -> Group:
    """The line on which links enter a frame; in a link's own colour as long as it is the only one."""
    outer = max(sources, key=lane_x.__getitem__)
    others = [lane_x[source] for source in sources if source != outer]
    return _entry_from(outer % LINKS, lane_x[outer], max(others, default=0.0), middle - 6)


@lru_cache(KEPT)
def _entry_from(colour: int, outer: float, inner: float, y: float) -> Group:
    if not inner:
        line = Line(f"M{outer - BEND:g} {y:g}L{_RIGHT + 4} {y:g}", f"link{colour}")
        return Group((line, arrow(_RIGHT, y, "left", f"tip{colour}")))
    return Group(
        (
            Line(f"M{inner - BEND:g} {y:g}L{_RIGHT + 4} {y:g}", "wire"),
            Line(f"M{outer - BEND:g} {y:g}L{inner - BEND:g} {y:g}", f"link{colour}"),
            arrow(_RIGHT, y, "left", "tip"),
        )
    )


@lru_cache(KEPT)
def _trunk(colour: int, x: float, middle: float, goal: float) -> Group:
    """The line of one layer: out of its frame, down its lane, and into the last frame that it leads to."""
    out, end = middle + 6, goal - 6
    way = (
        f"M{_RIGHT} {out:g}L{x - BEND:g} {out:g}Q{x:g} {out:g} {x:g} {out + BEND:g}"
        f"L{x:g} {end - BEND:g}Q{x:g} {end:g} {x - BEND:g} {end:g}"
    )
    bridge = f"M{x:g} {out + BEND + 2:g}L{x:g} {end - BEND - 2:g}"
    return Group((Line(bridge, "halo"), Line(way, f"link{colour}")))


@lru_cache(KEPT)
def _turn(colour: int, x: float, goal: float) -> Line:
    """Where a line turns off into a frame on its way."""
    y = goal - 6
    return Line(f"M{x:g} {y - BEND:g}Q{x:g} {y:g} {x - BEND:g} {y:g}", f"link{colour}")


@lru_cache(KEPT)
def _band(text: str, middle: float) -> Group:
    y = middle - HEIGHT / 2 - GAP / 2 - BAND / 2
    return Group(
        (
            Line(f"M{_X} {y:g}L{_X + 62} {y:g}", "band"),
            Line(f"M{_X + 262} {y:g}L{_RIGHT} {y:g}", "band"),
            Label(_X + WIDTH / 2, y + 4, text, "small", "middle"),
        )
    )


@lru_cache(KEPT)
def _frame(
    number: int,
    title: str,
    size: str,
    kind: str,
    share: float,
    window: tuple[int, int] | None,
    middle: float,
) -> Group:
    """A layer's frame with its bar and texts; the number 0 isn't shown."""
    top = middle - HEIGHT / 2
    parts: list[Box | Line | Label] = [
        Box(_X, top, WIDTH, HEIGHT, "frame"),
        Box(_X, top, max(8.0, round(WIDTH * share, 1)), HEIGHT, kind),
        Box(_X, top, WIDTH, HEIGHT, "outline"),
        Label(_X + 2 * WINDOW, middle + 4.5, title, "title"),
        Label(_RIGHT - 10, middle + 4, size, "small", "end"),
    ]
    if window:
        unit = min(3.0, 24 / max(window))
        height, width = unit * window[0], unit * window[1]
        parts.append(Box(_X + WINDOW - width / 2, middle - height / 2, width, height, "window", 1))
    if number:
        parts.append(Label(_X - 9, middle + 4.5, str(number), f"number{number % LINKS}", "end"))
    return Group(tuple(parts))

"""What values flow through on their way: boxes from bottom to top with wires between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from nas.report.drawings.layered import Place, layered
from nas.report.drawings.parts import Anchor, Box, Drawing, Group, Label, Line, Part, arrow

MARGIN = 14
WIDTH = 88
"""Of a box."""

HEIGHT = 23
"""Of each thing that a box does, one above the other."""

CHIP = (40.0, 26.0)
"""Width and height of a value that comes in or goes out."""

INPUTS = 44
"""Room below a box for the chips of the inputs that are its own."""

BESIDE = 58
"""Room beside a box for a chip whose value comes in from the side."""

BEGIN: Anchor = "start"
END: Anchor = "end"
KEPT = 2**14
"""Boxes and chips that are kept, since they come again in other cells of a search."""

TURN = 12
"""How far a wire that leaves a box sideways goes before it turns up."""


@dataclass(frozen=True)
class Does:
    """One thing that a box does; the first is at the bottom.

    Attributes:
        text: such as `tanh`.
        kind: `combine`, `activate` or `inject`, its colours.
    """

    text: str
    kind: str


@dataclass(frozen=True)
class Node:
    """A box, or a chip if it does nothing.

    Attributes:
        does: from bottom to top.
        inputs: values that come in from below and are not shown elsewhere.
        beside: a value of the memory that comes in from the right; empty: none.
        into: what the box does with it (from 0).
        label: of a chip, or a box's number.
        memory: a chip that belongs to the cell's memory.
    """

    does: tuple[Does, ...] = ()
    inputs: tuple[str, ...] = ()
    beside: str = ""
    into: int = 0
    label: str = ""
    memory: bool = False

    @property
    def size(self) -> tuple[float, float]:
        if not self.does:
            return CHIP
        width = WIDTH + 2 * BESIDE if self.beside else WIDTH
        return float(width), float(HEIGHT * len(self.does) + (INPUTS if self.inputs else 0))


@dataclass(frozen=True)
class Wire:
    """A way between two nodes.

    Attributes:
        begin, end: names of the nodes.
        after: it leaves sideways after so many of what the first node does; None: from its top.
        memory: it belongs to the way of the cell's memory.
        order: numbers for its places in the layers that it passes (see `nas.report.drawings.layered`).
        shown: a way that isn't shown only holds its second node above the first.
    """

    begin: str
    end: str
    after: int | None = None
    memory: bool = False
    order: tuple[float, ...] = ()
    shown: bool = True


def flow(
    nodes: Mapping[str, Node],
    wires: Sequence[Wire],
    about: str,
    order: Mapping[str, float] | None = None,
) -> Drawing:
    """The drawing of a connected graph without cycles, from its inputs at the bottom upwards.

    Args:
        nodes: by name.
        wires: between them.
        about: what is seen, in words.
        order: where nodes stand from left to right; None: so that few wires cross.
    """
    layout = layered(
        {name: node.size for name, node in nodes.items()},
        [(wire.begin, wire.end) for wire in wires],
        way=WIDTH,
        order=order,
        way_order={(wire.begin, wire.end): wire.order for wire in wires if wire.order},
    )

    places = dict(layout.middles)
    ways = {pair: list(way) for pair, way in layout.ways.items()}
    for wire in wires:
        if wire.after is not None:
            _straighten(wire, nodes, places, ways)
    edges = [(x - nodes[name].size[0] / 2, x + nodes[name].size[0] / 2) for name, (x, _) in places.items()]
    left, right = min(edge for edge, _ in edges), max(edge for _, edge in edges)
    places = {name: (x - left + MARGIN, y + MARGIN) for name, (x, y) in places.items()}
    ways = {pair: [(x - left + MARGIN, y + MARGIN) for x, y in way] for pair, way in ways.items()}
    parts: list[Part] = []
    for wire in sorted(wires, key=lambda wire: wire.memory):
        if wire.shown:
            parts += _wire(wire, nodes, places, ways[wire.begin, wire.end])
    goals = {wire.begin: places[wire.end][0] for wire in wires if not wire.memory and wire.shown}
    for name, node in nodes.items():
        x, y = places[name]
        if node.does:
            parts.append(_box(node, x, y, goals.get(name, x) < x))
        else:
            parts.append(_chip(node.label, x, y, node.memory))
    width, height = right - left + 2 * MARGIN, layout.height + 2 * MARGIN
    return Drawing(int(width) + 1, int(height) + 1, tuple(parts), about)


def _bottom(node: Node, middle: float) -> float:
    """The lower edge of a node's box, without its own inputs."""
    return middle + node.size[1] / 2 - (INPUTS if node.inputs else 0)


def _side(wire: Wire, node: Node, x: float, to_x: float) -> int:
    """Where a wire leaves its box sideways: 1 to the right, −1 to the left."""
    return -1 if node.beside or to_x < x else 1


def _straighten(
    wire: Wire, nodes: Mapping[str, Node], places: dict[str, Place], ways: dict[tuple[str, str], list[Place]]
) -> None:
    """Moves the way of a wire that leaves sideways beside its box, as far as it runs above the box."""
    x = places[wire.begin][0]
    way = ways[wire.begin, wire.end]
    to_x, to_y = places[wire.end]
    turn = _side(wire, nodes[wire.begin], x, (way[0][0] if way else to_x)) * (WIDTH / 2 + TURN)
    for index, (at, y) in enumerate(way):
        if abs(at - x) > abs(turn):
            return
        way[index] = (x + turn, y)
    if abs(to_x - x) <= abs(turn):
        places[wire.end] = (x + turn, to_y)


def _wire(
    wire: Wire, nodes: Mapping[str, Node], places: Mapping[str, Place], between: Sequence[Place]
) -> list[Part]:
    begin, end = nodes[wire.begin], nodes[wire.end]
    (x, y), (to_x, to_y) = places[wire.begin], places[wire.end]
    kind, tip = ("memory", "memory-tip") if wire.memory else ("wire", "tip")
    goal = (to_x, _bottom(end, to_y))
    if wire.after is None:
        way = _curve([(x, y - begin.size[1] / 2), *between, goal])
    else:
        side = _side(wire, begin, x, between[0][0] if between else to_x)
        edge, turn = x + side * WIDTH / 2, x + side * (WIDTH / 2 + TURN)
        begin_y, top = _bottom(begin, y) - HEIGHT * wire.after, y - begin.size[1] / 2
        out = f"M{edge:g} {begin_y:g}Q{turn:g} {begin_y:g} {turn:g} {begin_y - TURN:g}L{turn:g} {top:g}"
        way = out + _curve([(turn, top), *between, goal], joined=True)
    return [Line(way, kind), arrow(*goal, "up", tip)]


def _curve(places: Sequence[Place], *, joined: bool = False) -> str:
    """A smooth way upwards through `places`; one that is joined goes on from where another ends."""
    way = "" if joined else f"M{places[0][0]:g} {places[0][1]:g}"
    for (x, y), (to_x, to_y) in pairwise(places):
        bend = (y - to_y) * 0.5
        way += f"C{x:g} {y - bend:g} {to_x:g} {to_y + bend:g} {to_x:g} {to_y:g}"
    return way


@lru_cache(KEPT)
def _box(node: Node, x: float, y: float, on_right: bool) -> Group:
    """A box with its own inputs; its label stands on the right if the wire out of it turns to the left."""
    bottom, left = _bottom(node, y), x - WIDTH / 2
    parts: list[Box | Line | Label] = []
    spread = WIDTH / (len(node.inputs) or 1)
    for index, text in enumerate(node.inputs):
        at = left + spread * (index + 0.5)
        parts.append(Line(f"M{at:g} {bottom + INPUTS - CHIP[1]:g}L{at:g} {bottom + 4:g}", "wire"))
        parts.append(arrow(at, bottom, "up", "tip"))
        parts += _chip(text, at, bottom + INPUTS - CHIP[1] / 2, False).parts
    for index, does in enumerate(node.does):
        top = bottom - HEIGHT * (index + 1)
        parts.append(Box(left, top, WIDTH, HEIGHT, does.kind, 4))
        parts.append(Label(x, top + HEIGHT / 2 + 4.5, does.text, "text", "middle"))
    if node.beside:
        at, right = bottom - HEIGHT * (node.into + 0.5), left + WIDTH
        parts.append(Line(f"M{right + BESIDE - CHIP[0]:g} {at:g}L{right + 4:g} {at:g}", "memory"))
        parts.append(arrow(right, at, "left", "memory-tip"))
        parts += _chip(node.beside, right + BESIDE - CHIP[0] / 2, at, True).parts
    if node.label:
        place, anchor = (left + WIDTH - 1, END) if on_right else (left + 1, BEGIN)
        parts.append(Label(place, bottom - HEIGHT * len(node.does) - 5, node.label, "small", anchor))
    return Group(tuple(parts))


@lru_cache(KEPT)
def _chip(text: str, x: float, y: float, memory: bool) -> Group:
    width, height = CHIP
    kind, look = ("memory-chip", "memory-text") if memory else ("chip", "text")
    return Group(
        (
            Box(x - width / 2, y - height / 2, width, height, kind, 13),
            Label(x, y + 4, text, look, "middle"),
        )
    )

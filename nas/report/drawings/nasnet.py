"""Pairs of convolutional cells beside the network that a stack makes of them.

A cell's blocks stand one above the other, each with its two operations below and what joins them above, as
in figure 4 of Zoph et al. (2018). What blocks use comes in lanes on their left, a colour for each state;
what goes out joins one line on their right. So no line passes through a box, and both cells of five
blocks fit on a page: ten operations in a row, as in the paper, take more than twice the width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from nas.report.drawings import draw
from nas.report.drawings.lanes import nested
from nas.report.drawings.parts import Box, Drawing, Group, Label, Line, Part, arrow
from nas.report.drawings.styles import LINKS
from nas.spaces import StackPart
from nas.spaces.nasnet import Cell, NasNetCells

MARGIN = 14
TITLES = 44
"""Height of a cell's title and of the line below it."""

OPERATION, COMBINE = 88, 22
"""Width of an operation; height of what joins two of them, and of an operation too."""

WIDTH = 2 * OPERATION
"""Of a block."""

LETTERS = 26
"""Fewer fit into a box of this width."""

GAP = 30
"""Below a block, for the lines that lead into it."""

LEVELS = (12, 21)
"""How far below a block the lines to its left and to its right operation run."""

INPUT = (46, 24)
"""Width and height of a state that comes in or goes out."""

PITCH = INPUT[1] + 8
FIRST_LANE, LANE = 16, 12
BEND = 6
OUT = 26
"""From a block's right edge to the line of what goes out."""

EACH_OUT = 34
"""Between two such lines where states go out one by one."""

BETWEEN = 34
"""Between the cells, and between them and the network."""

NETWORK, WIRE = 184, 22
"""Width of the network's boxes, and from their left edge to the line between them."""

PART, STEP = 30, 48
"""Height of a part of the network, and from one to the next."""

LEGEND, LETTER = 34, 6.2
"""Height of the legend; width of a small letter, roughly."""

KEPT = 2**14
"""Pieces of each sort that are kept, since they come again in other cells of a search."""

NAMES = {
    "identity": ("identity", "identity"),
    "conv1x3_3x1": ("1×3 · 3×1", "convolution"),
    "conv1x7_7x1": ("1×7 · 7×1", "convolution"),
    "dil3x3": ("dilated 3×3", "convolution"),
    "avg3x3": ("avg 3×3", "pooling"),
    "max3x3": ("max 3×3", "pooling"),
    "max5x5": ("max 5×5", "pooling"),
    "max7x7": ("max 7×7", "pooling"),
    "conv1x1": ("conv 1×1", "convolution"),
    "conv3x3": ("conv 3×3", "convolution"),
    "sep3x3": ("sep 3×3", "separable"),
    "sep5x5": ("sep 5×5", "separable"),
    "sep7x7": ("sep 7×7", "separable"),
}
"""What is written for an operation, and its kind."""

KINDS = {"separable": "activate", "convolution": "convolve", "pooling": "gather", "identity": "combine"}
"""The look of each kind of operation."""

COMBINATIONS = {
    "add": ("+ add", "combine"),
    "concat": ("‖ concat", "chip"),
    "add_layer_norm": ("+ add, layer norm", "normalize"),
    "add_instance_norm": ("+ add, instance norm", "normalize"),
}

ANY_STACK = (
    StackPart("stem"),
    StackPart("normal", "N", "F"),
    StackPart("reduction", filters="2F"),
    StackPart("normal", "N", "2F"),
    StackPart("auxiliary"),
    StackPart("reduction", filters="4F"),
    StackPart("normal", "N", "4F"),
    StackPart("classifier"),
)
"""The network where no experiment says which (figure 2 of the paper, for small images)."""


@draw.register
def draw_pair(
    cells: NasNetCells,
    shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    outline: Sequence[StackPart] = (),
) -> Drawing:
    """Both cells, and the network as its stack tells it; without a stack its sizes are letters."""
    pair = [_Wiring(cell, cells.joined) for cell in (cells.normal, cells.reduction)]
    network = outline or ANY_STACK
    left = FIRST_LANE + LANE * max(len(set(one.lanes.values())) for one in pair)
    right = (
        OUT
        if cells.joined
        else OUT + EACH_OUT * (max(len(one.cell.outputs) for one in pair) - 1) + INPUT[0] / 2
    )
    base = MARGIN + TITLES + max(*(one.height for one in pair), _network_height(network))
    notes = ("keeps height and width", "halves them: stride 2 on what comes in")
    parts: list[Part] = []
    x = float(MARGIN)
    for one, title, note in zip(pair, ("Normal cell", "Reduction cell"), notes, strict=True):
        parts += [Label(x, MARGIN + 13, title, "title"), Label(x, MARGIN + 31, note, "small")]
        parts += one.parts(x + left, base)
        x += left + WIDTH + right + BETWEEN
    parts += [Label(x, MARGIN + 13, "Network", "title"), *_network(network, x, base)]
    parts += _legend(MARGIN, base + LEGEND - 14)
    return Drawing(
        int(x + NETWORK + MARGIN) + 1, int(base + LEGEND + MARGIN) + 1, tuple(parts), _about(cells)
    )


class _Wiring:
    """The rows of a cell from the bottom upwards, its states, and the lanes of those that blocks use.

    Attributes:
        rows: the states in the order of their rows; where states are joined h_{i−1} is below h_i.
        lanes: of each state that a block uses, counted from the blocks to the left.
        height: of all, in pixels.
    """

    def __init__(self, cell: Cell, joined: bool) -> None:
        self.cell, self.joined = cell, joined
        states = range(cell.inputs + len(cell.blocks))
        self.rows = [1, 0, *states[2:]] if joined else list(states)
        last = {
            self.rows.index(state): cell.inputs + number
            for number, block in enumerate(cell.blocks)
            for state in (block.left, block.right)
        }
        self.lanes = {self.rows[row]: lane for row, lane in nested(last).items()}
        top = 2 * GAP + COMBINE if joined else GAP
        self.height = PITCH * cell.inputs + (2 * COMBINE + GAP) * len(cell.blocks) + top + INPUT[1]

    def parts(self, x: float, base: float) -> Iterator[Part]:
        """The drawing, its blocks' left edge at `x` and its lower edge at `base`."""
        cell = self.cell
        first = base - PITCH * cell.inputs
        bottoms = [first - GAP - (2 * COMBINE + GAP) * number for number in range(len(cell.blocks))]
        exits = {
            state: base - PITCH * row - INPUT[1] / 2 for row, state in enumerate(self.rows[: cell.inputs])
        }
        exits |= {cell.inputs + number: y - 1.5 * COMBINE for number, y in enumerate(bottoms)}
        yield from self._lines(x, bottoms, exits)
        top = bottoms[-1] - 2 * COMBINE
        yield from self._joined(x, top, exits) if self.joined else self._each(x, top, exits)
        for state in range(cell.inputs):
            name = ("h_{i}", "h_{i−1}")[state] if self.joined else f"s_{{{state}}}"
            yield _state(name, x + WIDTH / 2, exits[state])
        for block, bottom in zip(cell.blocks, bottoms, strict=True):
            yield _combination(block.combination, x, bottom - 2 * COMBINE)
            yield _operation(block.left_operation, x, bottom - COMBINE)
            yield _operation(block.right_operation, x + OPERATION, bottom - COMBINE)
        for state, y in exits.items():
            right = x + (WIDTH if state >= cell.inputs else (WIDTH + INPUT[0]) / 2)
            yield _number(state, right + 5, y - 5)

    def _lines(self, x: float, bottoms: Sequence[float], exits: dict[int, float]) -> Iterator[Part]:
        """What blocks use: from each state to its lane, up, and off into the operations."""
        goals: dict[int, list[tuple[float, float, float]]] = {state: [] for state in self.lanes}
        for block, bottom in zip(self.cell.blocks, bottoms, strict=True):
            near, far = (bottom + level for level in LEVELS)
            if block.left == block.right:
                near = far
            goals[block.right].append((x + 1.5 * OPERATION, bottom, far))
            goals[block.left].append((x + OPERATION / 2, bottom, near))
        at = {state: x - FIRST_LANE - LANE * lane for state, lane in self.lanes.items()}
        for state, found in goals.items():
            yield _lane(state, at[state], exits[state], found[-1][2])
        for state, found in goals.items():
            edge = x if state >= self.cell.inputs else x + (WIDTH - INPUT[0]) / 2
            yield _out_to_lane(state, edge, at[state], exits[state])
            for goal, bottom, level in found:
                yield _entry(state, at[state], goal, bottom, level)

    def _joined(self, x: float, top: float, exits: dict[int, float]) -> Iterator[Part]:
        """What goes out, on one line into the concatenation."""
        right, bus, joined = x + WIDTH, x + WIDTH + OUT, top - GAP - COMBINE / 2
        lowest = max(exits[state] for state in self.cell.outputs)
        yield Line(
            f"M{bus:g} {lowest - BEND:g}L{bus:g} {joined + BEND:g}"
            f"Q{bus:g} {joined:g} {bus - BEND:g} {joined:g}L{right + 4:g} {joined:g}",
            "bus",
        )
        for state in self.cell.outputs:
            edge = right if state >= self.cell.inputs else x + (WIDTH + INPUT[0]) / 2
            yield _out(state, edge, bus, exits[state])
        middle, out = x + WIDTH / 2, joined - COMBINE / 2 - GAP
        yield arrow(right, joined, "left", "tip")
        yield Line(f"M{middle:g} {joined - COMBINE / 2:g}L{middle:g} {out + 4:g}", "bus")
        yield arrow(middle, out, "up", "tip")
        told = " ".join(["‖ concat", *map(str, self.cell.outputs)])
        yield Box(x, joined - COMBINE / 2, WIDTH, COMBINE, "chip", 4)
        yield Label(middle, joined + 4.5, told if len(told) < LETTERS else "‖ concat", "text", "middle")
        yield _state("h_{i+1}", middle, out - INPUT[1] / 2)

    def _each(self, x: float, top: float, exits: dict[int, float]) -> Iterator[Part]:
        """What goes out, each on a line of its own."""
        out = top - GAP
        for place, state in enumerate(self.cell.outputs):
            at = x + WIDTH + OUT + EACH_OUT * (len(self.cell.outputs) - 1 - place)
            yield Line(
                f"M{x + WIDTH:g} {exits[state]:g}L{at - BEND:g} {exits[state]:g}"
                f"Q{at:g} {exits[state]:g} {at:g} {exits[state] - BEND:g}L{at:g} {out + 4:g}",
                f"link{state % LINKS}",
            )
            yield arrow(at, out, "up", f"tip{state % LINKS}")
            yield _state(f"s_{{{place}}}", at, out - INPUT[1] / 2, EACH_OUT - 4)


@lru_cache(KEPT)
def _lane(state: int, x: float, y: float, last: float) -> Line:
    """The way of a state upwards, from its own height to where it turns off for the last time."""
    return Line(f"M{x:g} {y - BEND:g}L{x:g} {last + BEND:g}", f"link{state % LINKS}")


@lru_cache(KEPT)
def _out_to_lane(state: int, edge: float, x: float, y: float) -> Group:
    way = f"M{edge:g} {y:g}L{x + BEND:g} {y:g}Q{x:g} {y:g} {x:g} {y - BEND:g}"
    return Group((_bridge(x, edge, y), Line(way, f"link{state % LINKS}")))


@lru_cache(KEPT)
def _entry(state: int, x: float, goal: float, bottom: float, level: float) -> Group:
    """From a lane into an operation, over the lanes between."""
    way = (
        f"M{x:g} {level + BEND:g}Q{x:g} {level:g} {x + BEND:g} {level:g}L{goal - BEND:g} {level:g}"
        f"Q{goal:g} {level:g} {goal:g} {level - BEND:g}L{goal:g} {bottom + 4:g}"
    )
    return Group(
        (
            _bridge(x, goal - BEND, level),
            Line(way, f"link{state % LINKS}"),
            arrow(goal, bottom, "up", f"tip{state % LINKS}"),
        )
    )


def _bridge(x: float, end: float, y: float) -> Line:
    """What keeps a line across lanes apart from them."""
    return Line(f"M{x + BEND:g} {y:g}L{end:g} {y:g}", "halo")


@lru_cache(KEPT)
def _out(state: int, edge: float, bus: float, y: float) -> Line:
    return Line(f"M{edge:g} {y:g}L{bus - BEND:g} {y:g}Q{bus:g} {y:g} {bus:g} {y - BEND:g}", "bus")


@lru_cache(KEPT)
def _number(state: int, x: float, y: float) -> Label:
    return Label(x, y, str(state), f"number{state % LINKS}")


@lru_cache(KEPT)
def _state(name: str, x: float, y: float, width: float = INPUT[0]) -> Group:
    box = Box(x - width / 2, y - INPUT[1] / 2, width, INPUT[1], "chip", INPUT[1] / 2)
    return Group((box, Label(x, y + 4, name, "text", "middle")))


@lru_cache(KEPT)
def _operation(name: str, x: float, y: float) -> Group:
    text, kind = NAMES[name]
    return _box(text, KINDS[kind], x, y, OPERATION)


@lru_cache(KEPT)
def _combination(name: str, x: float, y: float) -> Group:
    return _box(*COMBINATIONS[name], x, y, WIDTH)


def _box(text: str, look: str, x: float, y: float, width: float) -> Group:
    label = Label(x + width / 2, y + COMBINE / 2 + 4.5, text, "text", "middle")
    return Group((Box(x, y, width, COMBINE, look, 4), label))


def _network_height(network: Sequence[StackPart]) -> float:
    return PART + STEP * len(network)


def _network(network: Sequence[StackPart], x: float, base: float) -> Iterator[Part]:
    """The network from the image at the bottom to the classifier, what only training has beside its wire."""
    wire, y = x + WIRE, base - PART
    begin = y
    yield _part(StackPart("image"), x, y)
    for part in network:
        y -= STEP
        if part.what == "auxiliary":
            side, into = y + PART / 2, wire + 20
            bend = f"M{wire:g} {begin:g}L{wire:g} {side + BEND:g}Q{wire:g} {side:g} {wire + BEND:g} {side:g}"
            yield Line(f"{bend}L{into - 4:g} {side:g}", "bus")
            yield arrow(into, side, "right", "tip")
            yield Box(into, y, NETWORK - into + x, PART, "band")
            yield Label(into + 10, side + 4.5, "auxiliary head", "text")
            continue
        yield Line(f"M{wire:g} {begin:g}L{wire:g} {y + PART + 4:g}", "bus")
        yield arrow(wire, y + PART, "up", "tip")
        yield _part(part, x, y)
        begin = y


@lru_cache(KEPT)
def _part(part: StackPart, x: float, y: float) -> Group:
    """A part of the network: several in a row have the edge of another behind them, what halves is narrower
    on top."""
    look = "chip" if part.what == "image" else "combine"
    found: list[Box | Line | Label] = [Box(x, y, NETWORK, PART, look)]
    if part.count != 1:
        found.insert(0, Box(x + 4, y - 4, NETWORK, PART, "outline"))
    if part.what == "reduction":
        right, low = x + NETWORK, y + PART
        found = [Line(f"M{x:g} {low:g}L{x + 9:g} {y:g}L{right - 9:g} {y:g}L{right:g} {low:g}Z", look)]
    title = part.what if part.count == 1 else f"{part.count} × {part.what}"
    filters = f"{part.filters} filters" if part.filters else ""
    room = int((NETWORK - 24 - 6 * len(filters)) / 7.2)  # letters of the title beside those of the filters
    if len(title) > room:
        title = title[: max(0, room - 1)] + "…"
    middle = y + PART / 2 + 4.5
    found.append(Label(x + 12, middle, title, "title"))
    return Group((*found, Label(x + NETWORK - 12, middle, filters, "small", "end")))


def _legend(x: float, y: float) -> Iterator[Part]:
    """The kinds of operations by their colours."""
    for kind, look in KINDS.items():
        yield Box(x, y, 22, 14, look, 4)
        yield Label(x + 28, y + 11, kind, "small")
        x += 52 + LETTER * len(kind)


def _about(cells: NasNetCells) -> str:
    """Both cells in words."""
    return f"Normal cell: {_told(cells.normal)}. Reduction cell: {_told(cells.reduction)}."


def _told(cell: Cell) -> str:
    used = [name for block in cell.blocks for name in (block.left_operation, block.right_operation)]
    kinds = Counter(NAMES[name][1] for name in used)
    counted = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    blocks, out = len(cell.blocks), len(cell.outputs)
    return f"{blocks} block{'s' * (blocks > 1)} ({counted}), {out} state{'s' * (out > 1)} out"

"""A search space as its decisions in order, one line for each part of an architecture."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from nas.report.drawings.parts import Box, Drawing, Label, Part, arrow
from nas.spaces import Choice, Links, Pick, Point, Space, Step, StepList

LEFT, TOP = 14, 14
NAMES = 92
"""Width of the column of parts' names; longer ones make it wider."""

HEIGHT, GAP, LINE = 44, 10, 17
LETTER = 6.9
"""Width of a letter of 12 pixels on screens, roughly."""

SMALL = 6.2
"""Width of a letter of 11.5 pixels, roughly."""

WIDEST = 6
"""Options that are named one by one; of more, the first ones and the last."""

LETTERS = 20
"""More than that of the first three options, and only one stands before the last."""


def draw_decisions(space: Space, depth: int | None = None) -> Drawing:
    """The decisions in the order in which a controller takes them.

    Args:
        space: what may be built.
        depth: of the architectures; None: that of the first proposals.
    """
    depth = space.depth.start if depth is None else depth
    steps = space.steps(depth)
    decided = [index for index, step in enumerate(steps) if not isinstance(step, Point)]
    longest = max((len(_part(steps[index])) for index in decided), default=0)
    left = LEFT + max(NAMES, LETTER * 1.1 * longest + 12)
    parts: list[Part] = []
    y, width = float(TOP), 0.0
    previous = ""
    for name, group in groupby(decided, key=lambda index: _part(steps[index])):
        parts.append(Label(LEFT, y + HEIGHT / 2 + 4, name if name != previous else "", "title"))
        previous = name
        x = left
        for index in group:
            if x > left:
                parts.append(arrow(x - 4, y + HEIGHT / 2, "right", "tip"))
            boxes, x = _step(steps[index], steps, index, x, y)
            parts += boxes
            width = max(width, x)
        y += HEIGHT + GAP
    for line in _named(steps, max(width, LEFT + 60 * SMALL)):
        parts.append(Label(LEFT, y + 12, line, "small"))
        y += LINE
    title = f"{sum(steps.widths)} decisions, {_large(space.size(depth))} token strings at depth {depth}"
    parts.append(Label(LEFT, y + 12, title, "small"))
    wide = max(width, LEFT + LETTER * len(title)) + LEFT
    return Drawing(int(wide), int(y + 12 + TOP), tuple(parts), f"Search space: {title}")


def _part(step: Step) -> str:
    """The part of an architecture that a step belongs to: `layer3` of `layer3.filters`, `normal block1` of
    `normal.block1.left`."""
    return (step.name.rpartition(".")[0] or step.name).replace(".", " ").replace("_", " ")


def _step(step: Step, steps: StepList, index: int, x: float, y: float) -> tuple[list[Part], float]:
    what = step.name.rpartition(".")[2]
    if getattr(step, "when", None) is not None:
        what += " (if any)"
    lines = (what.replace("_", " "), _options(step, steps, index))
    width = max(64.0, max(len(line) for line in lines) * LETTER + 18)
    kind = {Choice: "conv", Pick: "head", Links: "pool"}[type(step)]
    found: list[Part] = [
        Box(x, y, width, HEIGHT, kind),
        Box(x, y, width, HEIGHT, "outline"),
        Label(x + width / 2, y + 18, lines[0], "small", "middle"),
        Label(x + width / 2, y + 35, lines[1], "text", "middle"),
    ]
    return found, x + width + 14


def _options(step: Step, steps: StepList, index: int) -> str:
    if isinstance(step, Choice):
        return " · ".join(_few([str(option) for option in step.options]))
    points = steps.points[index]
    if isinstance(step, Pick):
        return f"one of {points}"
    return f"any of {points}" if points > 1 else "1 or not"


def _few(names: Sequence[str]) -> Iterator[str]:
    """The names, or the first three or the first one, an ellipsis and the last."""
    if len(names) <= WIDEST:
        yield from names
    else:
        first = names[:3] if sum(map(len, names[:3])) <= LETTERS else names[:1]
        yield from (*first, "…", names[-1])


def _named(steps: StepList, width: float) -> Iterator[str]:
    """The words among the options that the boxes leave out, in lines, once for each kind."""
    choices = [step for step in steps if isinstance(step, Choice) and len(step.options) > WIDEST]
    words = [step for step in choices if any(isinstance(option, str) for option in step.options)]
    for kind, options in dict.fromkeys((step.kind, step.options) for step in words):
        told = f"{kind.replace('_', ' ')}: {', '.join(map(str, options))}"
        yield from textwrap.wrap(told, int((width - LEFT) / SMALL), subsequent_indent="    ")


def _large(number: int) -> str:
    """A count for people: in full up to a million.

    Example:
        >>> _large(8192), _large(63_331_869_759_897_600)
        ('8,192', '6.3·10^16')
    """
    if number < 10**6:
        return f"{number:,}"
    digits = len(str(number)) - 1
    return f"{number / 10**digits:.1f}·10^{digits}" if digits < 300 else f"about 10^{digits}"

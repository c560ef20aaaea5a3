"""A search space as its decisions in order, one line for each part of an architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from nas.report.drawings.parts import Box, Drawing, Label, Part, arrow
from nas.spaces import Choice, Links, Pick, Point, Space, Step, StepList

LEFT, TOP = 14, 14
NAMES = 92
"""Width of the column of parts' names."""

HEIGHT, GAP = 44, 10
LETTER = 6.9
"""Width of a letter of 12 pixels on screens, roughly."""

WIDEST = 6
"""Options that are named one by one; of more, the first and the last."""


def draw_decisions(space: Space, depth: int | None = None) -> Drawing:
    """The decisions in the order in which a controller takes them.

    Args:
        space: what may be built.
        depth: of the architectures; None: that of the first proposals.
    """
    depth = space.depth.start if depth is None else depth
    steps = space.steps(depth)
    parts: list[Part] = []
    y, width, decisions = float(TOP), 0.0, 0
    previous = ""
    for name, group in groupby(range(len(steps)), key=lambda index: _part(steps[index])):
        parts.append(Label(LEFT, y + HEIGHT / 2 + 4, name if name != previous else "", "title"))
        previous = name
        x = float(LEFT + NAMES)
        for index in group:
            step = steps[index]
            if isinstance(step, Point):
                continue
            decisions += steps.widths[index]
            if x > LEFT + NAMES:
                parts.append(arrow(x - 4, y + HEIGHT / 2, "right", "tip"))
            boxes, x = _step(step, steps, index, x, y)
            parts += boxes
            width = max(width, x)
        y += HEIGHT + GAP
    title = f"{decisions} decisions, {_large(space.size(depth))} token strings at depth {depth}"
    parts.append(Label(LEFT, y + 12, title, "small"))
    wide = max(width, LEFT + LETTER * len(title)) + LEFT
    return Drawing(int(wide), int(y + 12 + TOP), tuple(parts), f"Search space: {title}")


def _part(step: Step) -> str:
    """The part of an architecture that a step belongs to: `layer3` of `layer3.filters`."""
    return step.name.partition(".")[0].replace("_", " ")


def _step(step: Step, steps: StepList, index: int, x: float, y: float) -> tuple[list[Part], float]:
    what = step.name.partition(".")[2] or step.name
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
    """The names, or the first three, an ellipsis and the last."""
    if len(names) <= WIDEST:
        yield from names
    else:
        yield from (*names[:3], "…", names[-1])


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

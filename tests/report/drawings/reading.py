"""What stands in a drawing, read back from its parts and from its SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from nas.report.drawings.parts import Box, Drawing, Label, Line

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def texts(drawing: Drawing) -> list[str]:
    return [part.text for part in drawing.single() if isinstance(part, Label)]


def svg_texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


def boxes(drawing: Drawing, *kinds: str) -> list[Box]:
    return [part for part in drawing.single() if isinstance(part, Box) and part.kind in kinds]


def lines(drawing: Drawing, *kinds: str) -> list[Line]:
    return [part for part in drawing.single() if isinstance(part, Line) and part.kind in kinds]


def places(line: Line) -> list[tuple[float, float]]:
    """All points that a line's way names, the control points of curves too."""
    numbers = [float(number) for number in _NUMBER.findall(line.way)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def overlapping(some: list[Box]) -> list[tuple[Box, Box]]:
    """Pairs of boxes that cover each other."""
    return [
        (a, b)
        for index, a in enumerate(some)
        for b in some[index + 1 :]
        if a.x < b.x + b.width - 0.01
        and b.x < a.x + a.width - 0.01
        and a.y < b.y + b.height - 0.01
        and b.y < a.y + a.height - 0.01
    ]


def is_inside(drawing: Drawing) -> bool:
    """Whether nothing of a drawing lies outside it."""
    corners = [(b.x, b.y) for b in drawing.single() if isinstance(b, Box)]
    corners += [(b.x + b.width, b.y + b.height) for b in drawing.single() if isinstance(b, Box)]
    corners += [place for part in drawing.single() if isinstance(part, Line) for place in places(part)]
    corners += [(part.x, part.y) for part in drawing.single() if isinstance(part, Label)]
    return all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in corners)

"""A drawing as a value: boxes, lines and labels at places, which SVG and PNG are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Anchor = Literal["start", "middle", "end"]


class Box(NamedTuple):
    """A rectangle with round corners.

    Attributes:
        x, y: its upper left corner, in pixels.
        width, height: in pixels.
        kind: a key of `nas.report.drawings.styles.STYLES`.
        radius: of the corners.
    """

    x: float
    y: float
    width: float
    height: float
    kind: str
    radius: float = 5


class Line(NamedTuple):
    """A way of straight pieces and curves.

    Attributes:
        way: as SVG writes it, with the commands M, L, Q, C and Z in absolute numbers.
        kind: a key of `nas.report.drawings.styles.STYLES`.
    """

    way: str
    kind: str


class Label(NamedTuple):
    """One line of text; in `h_{t−1}` what stands in braces is a subscript.

    Attributes:
        x, y: where the text begins, has its middle or ends, and its base line.
        text: any text.
        kind: a key of `nas.report.drawings.styles.STYLES`.
        anchor: which end of the text `x` is.
    """

    x: float
    y: float
    text: str
    kind: str
    anchor: Anchor = "start"


class Group(NamedTuple):
    """Parts that always stand together, such as a layer's frame with what is in it: a drawing of few
    pieces that come again in many drawings is quick to make and small to keep.

    Attributes:
        parts: from back to front.
    """

    parts: tuple[Box | Line | Label, ...]


Part = Box | Line | Label | Group


@dataclass(frozen=True)
class Drawing:
    """What `nas.report.drawings.draw` makes of an architecture; a part covers those before it.

    Attributes:
        width, height: in pixels.
        parts: from back to front.
        about: what is seen, in words, for those who can't see it.
    """

    width: int
    height: int
    parts: tuple[Part, ...]
    about: str

    def single(self) -> Iterator[Box | Line | Label]:
        """All parts, those of groups one by one."""
        for part in self.parts:
            if isinstance(part, Group):
                yield from part.parts
            else:
                yield part


_SUBSCRIPT = re.compile(r"(.*)_\{(.*)\}")


def subscript(text: str) -> tuple[str, str]:
    """A label's text and its subscript.

    Example:
        >>> subscript("h_{t−1}"), subscript("3×3")
        (('h', 't−1'), ('3×3', ''))
    """
    match = _SUBSCRIPT.fullmatch(text)
    return (match[1], match[2]) if match else (text, "")


def arrow(x: float, y: float, direction: Literal["up", "down", "left", "right"], kind: str) -> Line:
    """The head of an arrow whose tip is at (x, y)."""
    along = {"up": (0, 1), "down": (0, -1), "left": (1, 0), "right": (-1, 0)}[direction]
    across = (along[1], along[0])
    back = (x + 6 * along[0], y + 6 * along[1])
    one = (back[0] + 3.5 * across[0], back[1] + 3.5 * across[1])
    other = (back[0] - 3.5 * across[0], back[1] - 3.5 * across[1])
    return Line(f"M{x:g} {y:g}L{one[0]:g} {one[1]:g}L{other[0]:g} {other[1]:g}Z", kind)

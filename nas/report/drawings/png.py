"""A drawing as PNG, by matplotlib, which brings its own fonts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Way

from nas.report.drawings.parts import Box, Drawing, Label, Line, subscript
from nas.report.drawings.styles import PALETTE, STYLES, Style, Theme

SCALE = 2
"""Pixels of the picture for each pixel of the drawing: sharp on screens of today and in print."""

_POINTS = 72 / 100
"""A figure has 100 pixels of a drawing to the inch; fonts and lines are measured in points."""

_STEP = re.compile(r"([MLQCZ])([^MLQCZ]*)")
_CODES = {"M": Way.MOVETO, "L": Way.LINETO, "Q": Way.CURVE3, "C": Way.CURVE4}
_ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def write_png(drawing: Drawing, path: Path, theme: Theme = "light") -> None:
    """Writes the drawing as a picture of twice its size in pixels."""
    colours = PALETTE[theme]
    figure = Figure(figsize=(drawing.width / 100, drawing.height / 100), facecolor=colours["paper"])
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.axis("off")
    for order, part in enumerate(drawing.single()):
        _add(axes, part, STYLES[part.kind], theme, order)
    figure.savefig(path, dpi=100 * SCALE, facecolor=colours["paper"], metadata={"Software": None})


def _add(axes: Axes, part: Box | Line | Label, style: Style, theme: Theme, order: int) -> None:
    colours = PALETTE[theme]
    if isinstance(part, Label):
        axes.text(
            part.x,
            part.y,
            _plain(part.text),
            color=colours[style.fill],
            fontsize=style.size * _POINTS * 0.94,  # DejaVu is wider than what screens show
            fontweight="bold" if style.bold else "normal",
            ha=_ALIGNED[part.anchor],
            va="baseline",
            parse_math=bool(subscript(part.text)[1]),
            zorder=order,
        )
        return
    look: dict[str, Any] = {
        "facecolor": colours[style.fill] if style.fill else "none",
        "edgecolor": colours[style.stroke] if style.stroke else "none",
        "linewidth": style.width * _POINTS if style.stroke else 0,
        "linestyle": (0, tuple(length * _POINTS for length in style.dash)) if style.dash else "solid",
        "zorder": order,
    }
    if isinstance(part, Box):
        radius = min(part.radius, part.width / 2, part.height / 2)
        rounded = f"round,pad=0,rounding_size={radius}"
        patch = FancyBboxPatch((part.x, part.y), part.width, part.height, boxstyle=rounded, **look)
        axes.add_patch(patch)
    else:
        axes.add_patch(PathPatch(_way(part.way), capstyle="round", joinstyle="round", **look))


def _way(text: str) -> Way:
    """A way as matplotlib has it; a closed one ends where it began."""
    places: list[tuple[float, float]] = []
    codes: list[int] = []
    for command, numbers in _STEP.findall(text):
        if command == "Z":
            places.append(places[0])
            codes.append(int(Way.CLOSEPOLY))
            continue
        values = [float(number) for number in numbers.split()]
        found = list(zip(values[::2], values[1::2], strict=True))
        places += found
        codes += [int(_CODES[command])] * len(found)
    return Way(places, codes)


def _plain(text: str) -> str:
    """The text; one with a subscript as matplotlib's mathtext."""
    above, below = subscript(text)
    if not below:
        return text
    return rf"$\mathrm{{{above}}}_{{\mathrm{{{below.replace('−', '{-}')}}}}}$"

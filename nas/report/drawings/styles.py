"""Colours and strokes of drawings, once for SVG and PNG, in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nas.errors import InputError, nearest

Theme = Literal["light", "dark"]

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1b2330",
    "soft": "#4d5868",
    "edge": "#b9c2cf",
    "surface": "#f5f7fa",
    "conv": "#cfe2fb",
    "pool": "#fbe0c4",
    "head": "#dcd7f3",
    "image": "#d5ecd8",
    "memory": "#b3266e",
    "memory-surface": "#fbdcec",
    "link0": "#0b62c4",
    "link1": "#b85400",
    "link2": "#1f7f45",
    "link3": "#ad3591",
    "link4": "#0b7f86",
    "link5": "#c42f34",
    "link6": "#6747c2",
    "link7": "#7a6a00",
}
"""Each role's colour on paper; text has a contrast of at least 4.5 to 1 on what it stands on."""

DARK: Mapping[str, str] = {
    "paper": "#12161d",
    "ink": "#e8ecf2",
    "soft": "#a3aebd",
    "edge": "#475263",
    "surface": "#1a2029",
    "conv": "#1d3a61",
    "pool": "#5a3a16",
    "head": "#3b3364",
    "image": "#1f4529",
    "memory": "#ff8ac4",
    "memory-surface": "#55203d",
    "link0": "#6cb2ff",
    "link1": "#ffa657",
    "link2": "#67d28a",
    "link3": "#f08bd6",
    "link4": "#4fd2d0",
    "link5": "#ff8d86",
    "link6": "#b7a0ff",
    "link7": "#dcc94d",
}

PALETTE: Mapping[Theme, Mapping[str, str]] = {"light": LIGHT, "dark": DARK}
LINKS = sum(role.startswith("link") for role in LIGHT)
"""Colours that tell links apart; of so many sources in a row each has its own."""

FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Style:
    """How parts of one kind look; roles name colours, an empty one is nothing.

    Attributes:
        fill: role of the area's or the text's colour.
        stroke: role of the line's colour.
        width: of the line, in pixels.
        dash: lengths of dashes and gaps; empty: a whole line.
        size: of text, in pixels.
        bold: of text.
    """

    fill: str = ""
    stroke: str = ""
    width: float = 1.0
    dash: tuple[float, ...] = ()
    size: float = 0.0
    bold: bool = False


STYLES: Mapping[str, Style] = {
    "frame": Style("surface", "edge"),
    "outline": Style("", "edge"),
    "conv": Style("conv"),
    "pool": Style("pool"),
    "head": Style("head"),
    "image": Style("image"),
    "combine": Style("surface", "edge"),
    "activate": Style("conv", "edge"),
    "convolve": Style("head", "edge"),
    "gather": Style("pool", "edge"),
    "normalize": Style("memory-surface", "edge"),
    "inject": Style("memory-surface", "memory"),
    "chip": Style("image", "edge"),
    "memory-chip": Style("memory-surface", "memory"),
    "window": Style("", "soft", 0.8),
    "band": Style("", "soft", 1.0, (4, 3)),
    "wire": Style("", "soft", 1.4),
    "bus": Style("", "soft", 2.0),
    "tip": Style("soft"),
    "memory": Style("", "memory", 2.0),
    "memory-tip": Style("memory"),
    "halo": Style("", "paper", 5.0),
    "title": Style("ink", size=13, bold=True),
    "text": Style("ink", size=13),
    "small": Style("soft", size=11.5),
    "memory-text": Style("memory", size=13, bold=True),
    **{f"link{number}": Style("", f"link{number}", 2.0) for number in range(LINKS)},
    **{f"tip{number}": Style(f"link{number}") for number in range(LINKS)},
    **{f"number{number}": Style(f"link{number}", size=13, bold=True) for number in range(LINKS)},
}


def rules(selector: str = "") -> str:
    """The CSS of all kinds, with colours as variables (`--ink`); `selector` stands before each rule."""
    found = [f"{selector}text{{font-family:{FONT}}}"]
    for kind, style in STYLES.items():
        colour = f"var(--{style.fill})" if style.fill else "none"
        rule = f"fill:{colour}"
        if style.stroke:
            rule += f";stroke:var(--{style.stroke});stroke-width:{style.width:g}"
        if style.dash:
            rule += f";stroke-dasharray:{' '.join(f'{length:g}' for length in style.dash)}"
        if style.size:
            rule += f";font-size:{style.size:g}px" + (";font-weight:600" if style.bold else "")
        found.append(f"{selector}.{kind}{{{rule}}}")
    return "".join(found)


def variables(theme: Theme) -> str:
    """The colours of a theme as CSS variables."""
    return "".join(f"--{role}:{colour};" for role, colour in PALETTE[theme].items())


def known_theme(name: str) -> Theme:
    """`name` as a theme.

    Raises:
        InputError: there is no such theme.
    """
    for theme in PALETTE:
        if theme == name:
            return theme
    raise InputError(f"a theme is light or dark: {nearest(name, PALETTE)}. Received: {name!r}")

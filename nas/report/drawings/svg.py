"""A drawing as SVG text; the same drawing is always the same text."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from nas.report.drawings.parts import Box, Drawing, Label, Line, Part, subscript
from nas.report.drawings.styles import Theme, rules, variables


def svg(drawing: Drawing, theme: Theme | None = None) -> str:
    """A whole SVG file.

    Args:
        drawing: what to write.
        theme: its colours; None: those that the viewer prefers.
    """
    dark = f"@media(prefers-color-scheme:dark){{:root{{{variables('dark')}}}}}" if theme is None else ""
    style = f":root{{{variables(theme or 'light')}}}{dark}svg{{background:var(--paper)}}{rules()}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width}" height="{drawing.height}" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" role="img">'
        f"<title>{escape(drawing.about)}</title><style>{style}</style>"
        f'<rect width="100%" height="100%" style="fill:var(--paper)"/>{"".join(fragments(drawing))}</svg>\n'
    )


def inline(drawing: Drawing) -> str:
    """The drawing as an element of a page, which has the rules of its kinds and the colours."""
    return (
        f'<svg class="drawing" style="--wide:{drawing.width}px" width="{drawing.width}" '
        f'height="{drawing.height}" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" role="img" aria-label="{escape(drawing.about)}">'
        f"{''.join(fragments(drawing))}</svg>"
    )


def fragments(drawing: Drawing) -> Iterator[str]:
    """The elements of a drawing, one text for each part."""
    return map(fragment, drawing.parts)


def fragment(part: Part) -> str:
    """The element of one part; any of its texts is escaped."""
    if isinstance(part, Box):
        return (
            f'<rect x="{part.x:g}" y="{part.y:g}" width="{part.width:g}" height="{part.height:g}" '
            f'rx="{part.radius:g}" class="{part.kind}"/>'
        )
    if isinstance(part, Line):
        return f'<path d="{part.way}" class="{part.kind}"/>'
    return _text(part) if isinstance(part, Label) else "".join(map(fragment, part.parts))


def _text(label: Label) -> str:
    anchor = "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'
    text, below = subscript(label.text)
    lower = f'<tspan dy="4" font-size="75%">{escape(below)}</tspan>' if below else ""
    return (
        f'<text x="{label.x:g}" y="{label.y:g}" class="{label.kind}"{anchor}>'
        f"{escape(text, quote=False)}{lower}</text>"
    )

"""What has no drawing of its own, as a plain card of its kind and its fields."""

from __future__ import annotations

import json
import textwrap

from nas.report.drawings.parts import Box, Drawing, Label, Part
from nas.spaces import Architecture

WIDTH, LINE, MARGIN = 520, 18, 16
LETTERS = 68
"""That fit into a line."""

LINES = 30


def draw_listing(architecture: Architecture, why: str) -> Drawing:
    """A card with the fields of an architecture, and a line that says why it is no more than that."""
    lines: list[tuple[str, str]] = [(architecture.kind, "title"), (why, "small")]
    for name, value in architecture.fields().items():
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        wrapped = textwrap.wrap(f"{name}: {written}", LETTERS, subsequent_indent="    ") or [f"{name}:"]
        lines += [(line, "text") for line in wrapped]
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], (f"… and {len(lines) - LINES + 1} more lines", "small")]
    height = 2 * MARGIN + LINE * len(lines)
    parts: list[Part] = [Box(6, 6, WIDTH - 12, height - 12, "frame")]
    for place, (text, kind) in enumerate(lines):
        parts.append(Label(MARGIN + 4, MARGIN + LINE * (place + 0.75), text, kind))
    return Drawing(WIDTH, height, tuple(parts), f"{architecture.kind}: {why}")

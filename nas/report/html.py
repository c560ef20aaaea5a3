"""Pieces of an HTML page. Everything that is handed in as text is shown as text, never as markup."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from nas.search import rewards

SCRIPTS = ("unpack.js", "chart.js", "curves.js", "child.js", "table.js", "main.js")
"""In the order in which they follow each other in the page's one script."""

LONG = 100
"""A word of more letters, such as an architecture's text, is written small."""


def page(title: str, body: Iterable[str], *, style: str, packed: str, refresh: int = 0) -> str:
    """A whole page: one file that loads nothing from elsewhere, and whose policy forbids it to.

    Args:
        title: of the window.
        body: markup.
        style: CSS beside the page's own.
        packed: data for the script (see `nas.report.columns.packed`).
        refresh: seconds after which the page looks for a newer one; 0: never.
    """
    script = "\n".join(_file(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title><style>{style}{_file('page.css')}</style></head>",
            f'<body data-refresh="{refresh}">',
            *body,
            f'<script type="application/octet-stream" id="data">{packed}</script>',
            f"<script>{script}</script></body></html>",
            "",
        ]
    )


def _file(name: str) -> str:
    return (files("nas.report") / "web" / name).read_text(encoding="utf-8")


def element(tag: str, text: str, kind: str = "") -> str:
    """One element with `text` in it, e.g. a paragraph; `kind` is its class."""
    return around(tag, [escape(text)], kind)


def around(tag: str, markup: Iterable[str], kind: str = "", **attributes: str) -> str:
    """One element around markup; of an attribute's name `_` stands for `-`."""
    named = {"class": kind, **{name.replace("_", "-"): value for name, value in attributes.items()}}
    written = "".join(f' {name}="{escape(value)}"' for name, value in named.items() if value)
    return f"<{tag}{written}>{''.join(markup)}</{tag}>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "", kind: str = "") -> str:
    """A table that can be scrolled sideways; numbers stand to the right, None is a dash.

    Without column names the first cell of each row is its name. `caption` says in words what is listed.
    """
    rows = list(rows)
    numbers = [bool(rows) and isinstance(value, int | float) for value in (rows[0] if rows else columns)]
    head = "".join(
        f'<th scope="col"{" class=number" if right else ""}>{escape(column)}</th>'
        for column, right in zip(columns, numbers, strict=True)
    )
    begin = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    body = "".join(f"<tr>{_row(row, named=not begin)}</tr>" for row in rows)
    above = element("caption", caption) if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption or "table")}">'
        f"{around('table', [above, begin, '<tbody>', body, '</tbody>'], kind)}</div>"
    )


def picture(svg: str, what: str) -> str:
    """An SVG text as a picture within the page; `what` says in words what it shows."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<p><img src="data:image/svg+xml;base64,{data}" alt="{escape(what)}"></p>'


def folded(title: str, markup: Iterable[str]) -> str:
    """What is shown only when it is asked for."""
    return around("details", [element("summary", title), *markup])


def _row(row: Sequence[object], *, named: bool) -> str:
    cells = [_cell(value) for value in row]
    if named and row:
        cells[0] = f'<th scope="row">{escape(str(row[0]))}</th>'
    return "".join(cells)


def _cell(value: object) -> str:
    if value is None:
        return element("td", "–")
    if isinstance(value, bool):
        return element("td", "yes" if value else "")
    if isinstance(value, float):
        return element("td", rewards.shown(value), "number")
    if isinstance(value, int):
        return element("td", f"{value:,}", "number")
    text = str(value)
    return element("td", text, "long" if max(map(len, text.split()), default=0) > LONG else "")

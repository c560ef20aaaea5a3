"""Pieces of a plain HTML page. Everything that is handed in is shown as text, never as markup."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24;
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.2rem; border-bottom: 1px solid #d5dae1 }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e5e9ee; text-align: left; white-space: nowrap }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code, pre { font: 13px/1.5 ui-monospace, monospace; background: #f4f6f8; overflow-wrap: anywhere }
pre { padding: .7rem; overflow-x: auto } img { max-width: 100% } .note { color: #57606a }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page: one file that loads nothing from elsewhere."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>",
            "",
        ]
    )


def element(tag: str, text: str, kind: str = "") -> str:
    """One element with `text` in it, e.g. a paragraph; `kind` is its class."""
    attribute = f' class="{escape(kind)}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right, None is a dash."""
    head = "".join(element("th", column) for column in columns)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def picture(svg: str, what: str) -> str:
    """An SVG text as a picture within the page; `what` says in words what it shows."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<p><img src="data:image/svg+xml;base64,{data}" alt="{escape(what)}"></p>'


def _cell(value: object) -> str:
    if value is None:
        return element("td", "–")
    if isinstance(value, float):
        return element("td", f"{value:.4f}", "number")
    if isinstance(value, int):
        return element("td", f"{value:,}", "number")
    return element("td", str(value))

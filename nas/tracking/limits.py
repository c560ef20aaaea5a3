"""Names and texts as MLflow takes them: its letters, its lengths, and no two names that become one.

Everything that is logged passes here once, in `nas.tracking.connection`; what MLflow takes is unchanged.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping

PARAMETER = 6000
TAG = 8000
DIGEST = 36
INPUT_TAG = 500
NAME = 250
"""MLflow's limits for a value, and for the name of a parameter, a metric, a tag, a run or a model."""


def name(text: str) -> str:
    """A parameter's, metric's or tag's name in MLflow's letters; `%` is spelt out.

    Example:
        >>> name("evaluator.report.test %"), name("loss (µ)"), name("")
        ('evaluator.report.test percent', 'loss _µ_', '_')
    """
    letters = re.sub(r"[^\w/.\- :]", "_", text.replace("%", "percent"))
    parts = [part for part in posixpath.normpath(letters).split("/") if part not in ("", ".", "..")]
    return clipped_name("/".join(parts) or "_")


def names(texts: Iterable[str]) -> dict[str, str]:
    """The names of all `texts`; one that would be taken for another gets a mark of its own.

    Example:
        >>> names(["loss", "a%", "apercent"])
        {'loss': 'loss', 'a%': 'apercent-2213d4', 'apercent': 'apercent'}
    """
    made: dict[str, str] = {}
    ordered = list(texts)
    taken = {text for text in ordered if name(text) == text}
    for text in ordered:
        legal = name(text)
        if legal != text and legal in taken:
            legal = _marked(legal, text)
        taken.add(legal)
        made[text] = legal
    return made


def tags(values: Mapping[str, str]) -> dict[str, str]:
    """Tags within MLflow's limits; those without a value are left out."""
    legal = names(values)
    return {legal[key]: clipped(value, TAG) for key, value in values.items() if value}


def clipped(text: str, longest: int) -> str:
    """`text` in what a database can hold (no lone surrogates, no NUL), with an ellipsis where it is cut."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def clipped_name(text: str, longest: int = NAME) -> str:
    """A name that is cut stays another than one with the same beginning."""
    return text if len(text) <= longest else _marked(text, text, longest)


def _marked(legal: str, text: str, longest: int = NAME) -> str:
    mark = "-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]
    return legal[: longest - len(mark)].rstrip("/ .") + mark

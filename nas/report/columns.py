"""All children as columns of plain values, small enough for a page that shows each of 12,800.

A drawing is a list of numbers of pieces of SVG, each of which is kept once for all children: networks of
one space are made of few different pieces, and the page needs no code for any kind of architecture.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from nas.evaluation import Proposal
from nas.report.curves import cost
from nas.report.drawings.parts import Part
from nas.report.drawings.svg import fragment
from nas.report.results import ExperimentResults
from nas.search.rows import Child

MANY = 2000
"""With more children than that, their curves have fewer points and digits."""

LEVEL = 7
"""Of compression: the highest makes it 2 % smaller and takes three times as long."""

DIGITS = 5
"""Of rewards and scores in columns: more can't be seen."""

CURVES, CURVES_OF_MANY = (60, 4), (20, 3)
"""Points of a child's curve, and digits of each."""


def columns_of(results: ExperimentResults) -> dict[str, Any]:
    """The children of all searches in the order of seed and number, one list for each property.

    Where something is one of few texts, the column holds places in a list of them. Times are in tenths of
    a second since the first child of its search was sampled. `curve` holds what the rule reads, by epoch,
    at equally spaced epochs; `epochs` how many there were.
    """
    texts, slots, messages = _Places(), _Places(), _Places()
    statuses = _Places()
    drawings = _Drawings(results)
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    many = sum(len(searched.children) for searched in results.searches) > MANY
    points, digits = CURVES_OF_MANY if many else CURVES
    begun = [searched.batches[0].sampled_at if searched.batches else 0.0 for searched in results.searches]
    sampled = [{done.number: done.sampled_at for done in searched.batches} for searched in results.searches]
    for place, child in results.children():
        result = child.result
        curve = _curve(results, child)
        row = {
            "search": place,
            "number": child.number,
            "round": child.batch,
            "status": statuses.of(child.status),
            "reward": _short(child.reward),
            "score": _short(results.score(child)),
            "cost": None if result is None else _short(cost(results, result)),
            "parameters": (result.parameters or None) if result else None,
            "multiply_adds": (result.multiply_adds or None) if result else None,
            "seconds": None if result is None else round(result.train_seconds, 1),
            "architecture": texts.of(child.proposal.text),
            "slot": None if child.slot is None else slots.of(child.slot),
            "sampled": _tenths(sampled[place].get(child.batch), begun[place]),
            "started": _tenths(child.started_at, begun[place]),
            "finished": _tenths(child.finished_at, begun[place]),
            "attempts": child.attempts,
            "same_as": child.same_as,
            "message": messages.of(result.message) if result and result.message else None,
            "epochs": len(curve),
            "curve": [_short(value, digits) for value in _spaced(curve, points)],
        }
        for name, value in row.items():
            columns[name].append(value)
        if row["architecture"] == len(drawings.drawn):
            drawings.add(child.proposal)
    return {
        "columns": columns,
        "architectures": texts.values,
        "slots": slots.values,
        "statuses": statuses.values,
        "messages": messages.values,
        "pieces": drawings.pieces,
        "drawings": drawings.drawn,
    }


def packed(value: Mapping[str, Any]) -> str:
    """JSON, compressed, as letters; the same for the same value. Browsers unpack it by themselves."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), LEVEL, mtime=0)).decode()


_COLUMNS = (
    *("search", "number", "round", "status", "reward", "score", "cost", "parameters", "multiply_adds"),
    *("seconds", "architecture", "slot", "sampled", "started", "finished", "attempts", "same_as", "message"),
    *("epochs", "curve"),
)


class _Places:
    """Texts by the order in which they first come."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def of(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    @property
    def values(self) -> list[str]:
        return list(self._places)


class _Drawings:
    """The drawings of architectures in the order in which they first come: [width, height, pieces …]."""

    def __init__(self, results: ExperimentResults) -> None:
        self._results = results
        self._places: dict[Part, int] = {}
        self.drawn: list[list[int]] = []

    def add(self, proposal: Proposal) -> None:
        drawing = self._results.drawn(proposal)
        places = self._places
        numbers = [places.setdefault(part, len(places)) for part in drawing.parts]
        self.drawn.append([drawing.width, drawing.height, *numbers])

    @property
    def pieces(self) -> list[str]:
        return [fragment(part) for part in self._places]


def _curve(results: ExperimentResults, child: Child) -> list[float]:
    """What the rule reads of a child, by epoch, as far as it is there."""
    metric = results.rule.metric
    history = child.result.history if child.result else ()
    return [epoch[metric] for epoch in history if metric in epoch]


def _spaced(values: list[float], points: int) -> list[float]:
    """At most so many of the values, equally spaced, the first and the last among them."""
    if len(values) <= points:
        return values
    return [values[place] for place in _spread(len(values), points)]


@lru_cache
def _spread(length: int, points: int) -> tuple[int, ...]:
    return tuple(round(place) for place in np.linspace(0, length - 1, points))


def _short(value: float | None, digits: int = DIGITS) -> float | None:
    """The number with few digits; None for NaN."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _tenths(moment: float | None, begun: float) -> int | None:
    return None if moment is None else round(10 * (moment - begun))

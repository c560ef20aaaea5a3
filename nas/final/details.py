"""The details of a measurement as tables that DVC plots."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def write_details(folder: Path, details: Mapping[str, Any]) -> None:
    """Writes the tables that `details` of a `nas.training.measured.Measured` are good for.

    Of `confusion`, `confusion.csv`: one row (`actual`, `predicted`) for each example, as DVC's template
    counts them. Of `frequency`, `frequency.csv`: its rows as they are (see
    `nas.training.language_serving.measure`).
    """
    if "confusion" in details:
        rows = _each_example(details["classes"], details["confusion"])
        _write(folder / "confusion.csv", ("actual", "predicted"), rows)
    if "frequency" in details:
        names = tuple(details["frequency"][0])
        _write(folder / "frequency.csv", names, (row.values() for row in details["frequency"]))


def _each_example(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Iterator[tuple[str, str]]:
    for actual, row in zip(classes, confusion, strict=True):
        for predicted, count in zip(classes, row, strict=True):
            yield from [(actual, predicted)] * count


def _write(path: Path, names: Sequence[str], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)

"""The details of a measurement as tables that DVC plots."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
"""What a table may be called."""


def write_details(folder: Path, details: Mapping[str, Any]) -> None:
    """Writes the tables that `details` of a `nas.training.measured.Measured` are good for.

    Of `confusion`, `confusion.csv`: one row (`actual`, `predicted`) for each example, as DVC's template
    counts them. Of each list of rows, such as `frequency` (see `nas.training.language_serving.measure`), a
    table of its name with these rows as they are: so a task's own tester brings its own tables.
    """
    if "confusion" in details:
        rows = _each_example(details["classes"], details["confusion"])
        _write(folder / "confusion.csv", ("actual", "predicted"), rows)
    for name, rows in details.items():
        if _NAME.fullmatch(name) and isinstance(rows, list) and rows and isinstance(rows[0], Mapping):
            columns = tuple(rows[0])
            _write(
                folder / f"{name}.csv", columns, ([row.get(column, "") for column in columns] for row in rows)
            )


def _each_example(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Iterator[tuple[str, str]]:
    for actual, row in zip(classes, confusion, strict=True):
        for predicted, count in zip(classes, row, strict=True):
            yield from [(actual, predicted)] * count


def _write(path: Path, names: Sequence[str], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)

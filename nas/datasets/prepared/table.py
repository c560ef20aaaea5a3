"""A prepared table: which network each row is, and all its numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nas.datasets.prepared.arrays import digest_of, opened
from nas.datasets.prepared.base import Prepared, shared_fields
from nas.errors import InputError, nearest

DTYPES = {"decisions": "<i4", "numbers": "<f8"}
"""Type of the arrays on the disk."""


@dataclass(frozen=True, kw_only=True)
class PreparedTable(Prepared):
    """A table of trained networks, one in each row.

    The digest is that of all decisions, their options, all numbers and their columns. `sizes` counts rows.

    Attributes:
        decisions: for each column that decides, its options as text; what a row decided is an index
            into them.
        columns: of the numbers.
    """

    KIND: ClassVar[str] = "table"

    decisions: Mapping[str, tuple[str, ...]]
    columns: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        prepared = cls(
            **shared_fields(folder, description),
            decisions={str(column): tuple(map(str, o)) for column, o in description["decisions"]},
            columns=tuple(str(column) for column in description["columns"]),
        )
        prepared.arrays()
        return prepared

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.sizes["rows"]

    def arrays(self) -> dict[str, np.ndarray]:
        """`decisions` `(rows, decisions)` and `numbers` `(rows, columns)`, as read-only memory maps.

        Raises:
            DataError: a file changed since it was prepared.
        """
        widths = {"decisions": len(self.decisions), "numbers": len(self.columns)}
        return {
            name: opened(array_file(self.folder, name), DTYPES[name], (self.rows, width))
            for name, width in widths.items()
        }

    def column(self, name: str) -> np.ndarray:
        """The numbers of one column, with shape `(rows,)`.

        Raises:
            InputError: there is no such column of numbers.
        """
        if name not in self.columns:
            raise InputError(
                f"the table '{self.name}' has no column of numbers '{name}': {nearest(name, self.columns)}"
            )
        return np.array(self.arrays()["numbers"][:, self.columns.index(name)])

    def row(self, chosen: Mapping[str, object]) -> int | None:
        """The row (from 0) of the network that decided so; None if the table lacks it.

        Args:
            chosen: an option for each column that decides; others are left aside.

        Raises:
            InputError: a decision is missing.
        """
        missing = [column for column in self.decisions if column not in chosen]
        if missing:
            raise InputError(
                f"a row of the table '{self.name}' is found by {', '.join(self.decisions)}, but the space "
                f"doesn't decide '{missing[0]}': its choices must have these names"
            )
        texts = tuple(str(chosen[column]) for column in self.decisions)
        if texts in self._row_by_options:
            return self._row_by_options[texts]
        found = [own.find(text) for own, text in zip(self._finders, texts, strict=True)]
        if None in found:
            return None
        own = zip(self.decisions.values(), found, strict=True)
        return self._row_by_options.get(tuple(options[index or 0] for options, index in own))

    @cached_property
    def _finders(self) -> list[Options]:
        return [Options(options) for options in self.decisions.values()]

    @cached_property
    def _row_by_options(self) -> dict[tuple[str, ...], int]:
        options = list(self.decisions.values())
        return {
            tuple(own[index] for own, index in zip(options, decided, strict=True)): row
            for row, decided in enumerate(self.arrays()["decisions"].tolist())
        }

    def contents_digest(self) -> str:
        return digest_of_table(self.arrays(), self.decisions, self.columns)

    @property
    def summary(self) -> str:
        return f"{self.rows:,} rows, {len(self.decisions)} decisions, {len(self.columns)} columns of numbers"

    @property
    def facts(self) -> dict[str, str]:
        return {
            "decisions": "; ".join(f"{c}: {', '.join(options)}" for c, options in self.decisions.items()),
            "numbers": ", ".join(self.columns),
        }


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_EMPTY = ("", "None", "null", "Null", "NULL", "~", "nan", "NaN", "NA", "<NA>")
_YAML_TRUTHS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}


class Options:
    """Finds the option that a text stands for, as it stands in a table's file or in another's YAML.

    An option stands for its own text first of all. Where that is nobody's, numbers are compared as numbers
    (`16.0` is 16, `0.0001` is `1e-4`, `007` is 7) unless two options are one number; true and false stand for
    all that YAML reads so, and null for an empty cell.

    Args:
        values: as YAML has them.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._texts = {str(value): index for index, value in enumerate(values)}
        self._numbers: dict[int | float, int | None] = {}
        for index, value in enumerate(values):
            for text in _spellings(value):
                self._texts.setdefault(text, index)
            number = None if isinstance(value, bool) else _number(str(value))
            if number is not None:
                self._numbers[number] = None if number in self._numbers else index

    def find(self, text: str) -> int | None:
        """The index of the option that `text` stands for; None if there is none."""
        for one in (text, text.strip()):
            if one in self._texts:
                return self._texts[one]
        number = _number(text.strip())
        return None if number is None else self._numbers.get(number)


def _spellings(value: Any) -> tuple[str, ...]:
    if value is None:
        return _EMPTY
    if isinstance(value, bool):
        return tuple(form for text in _YAML_TRUTHS[value] for form in (text, text.capitalize(), text.upper()))
    return ()


def _number(text: str) -> int | float | None:
    """The number that a text writes; whole ones exactly, of whatever size."""
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)


def array_file(folder: Path, name: str) -> Path:
    """The file of the `decisions` or the `numbers`."""
    return folder / f"{name}.npy"


def digest_of_table(
    arrays: Mapping[str, np.ndarray], decisions: Mapping[str, tuple[str, ...]], columns: tuple[str, ...]
) -> str:
    """The digest of a prepared table."""
    return digest_of(
        arrays, decisions=[[c, list(options)] for c, options in decisions.items()], columns=list(columns)
    )

"""Published or home-made tables of trained networks: from a CSV or parquet file to a prepared table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.datasets.prepared.arrays import create
from nas.datasets.prepared.table import DTYPES, array_file, digest_of_table
from nas.datasets.source import Places, Progress, Raw, Source, check_text
from nas.errors import DataError, InputError, nearest

FOLDER_VARIABLE = "NAS_TABLES"
"""Names the folder where tables lie that several workspaces use."""

_ENDINGS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class RawTable(Raw):
    """A table as it was read.

    Attributes:
        decisions: the options of each column that decides.
        decided: index of each row's option, with shape `(rows, decisions)`.
        columns: names of the columns of numbers.
        numbers: float64 with shape `(rows, columns)`; not a number where the file has none.
    """

    KIND: ClassVar[str] = "table"

    decisions: Mapping[str, tuple[str, ...]]
    decided: np.ndarray
    columns: tuple[str, ...]
    numbers: np.ndarray

    def write(self, folder: Path, source: Source, progress: Progress) -> dict[str, Any]:
        arrays = {"decisions": self.decided.astype("<i4"), "numbers": self.numbers.astype("<f8")}
        for name, array in arrays.items():
            with create(array_file(folder, name), DTYPES[name], array.shape) as file:
                file.write(np.ascontiguousarray(array).data)
        progress(len(self.decided), len(self.decided), "write rows")
        return {
            "sizes": {"rows": len(self.decided)},
            "decisions": [[column, list(options)] for column, options in self.decisions.items()],
            "columns": list(self.columns),
            "digest": digest_of_table(arrays, self.decisions, self.columns),
        }


@dataclass(frozen=True, kw_only=True)
class TableSource(Source):
    """A CSV file (`.csv`, `.csv.gz`) or a parquet file with one trained network in each row.

    All columns of numbers are kept; which of them is the reward and which the cost, the evaluator says.

    Attributes:
        file: a path from the workspace on, or the name of a file in the folder that the variable
            `NAS_TABLES` names.
        decisions: the columns that say which network a row is, with the options of each: a list of the
            values that stand in the file, `[16, 32]`, or names for them, `{0: none, 1: conv}`.
    """

    LOCATORS: ClassVar[frozenset[str]] = frozenset({"file"})

    file: str
    decisions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text("file", self.file)
        if not self.file.endswith(_ENDINGS):
            raise InputError(f"file must end with {', '.join(_ENDINGS)}. Received: {self.file!r}")
        if not isinstance(self.decisions, Mapping) or not self.decisions:
            raise InputError(
                "decisions must name the columns that say which network a row is, with their options, as in "
                f"{{filters: [16, 32]}}. Received: {self.decisions!r}"
            )
        for column, options in self.decisions.items():
            names = list(_names(options).values()) if isinstance(options, list | Mapping) else []
            if not names or len(set(names)) < len(names):
                raise InputError(
                    f"decisions.{column} must be a list of different values, or different names for values. "
                    f"Received: {options!r}"
                )

    def inputs(self, places: Places) -> Iterable[Path]:
        file = self.path(places)
        return (file,) if file.is_file() else ()

    def path(self, places: Places) -> Path:
        """Where the file lies, or would lie."""
        folder = os.environ.get(FOLDER_VARIABLE)
        shared = Path(folder).expanduser() / Path(self.file).name if folder else None
        return shared if shared is not None and shared.is_file() else places.resolve(self.file)

    def read(self, places: Places, progress: Progress) -> RawTable:
        """The whole table.

        Raises:
            DataError: the file is missing or can't be read, a column is missing, a value is none of its
                column's options, or two rows are one network.
        """
        file = self.path(places)
        table = _read(file)
        progress(len(table), len(table), "read rows")
        for column in self.decisions:
            if column not in table:
                raise DataError(
                    f"{file} has no column '{column}': {nearest(str(column), map(str, table.columns))}"
                )
        decided = np.stack(
            [_indices(file, column, table[column], options) for column, options in self.decisions.items()], 1
        )
        _check_once(file, decided)
        numbers = table.drop(columns=list(self.decisions)).select_dtypes("number")
        return RawTable(
            decisions={str(column): tuple(_names(o).values()) for column, o in self.decisions.items()},
            decided=decided,
            columns=tuple(str(column) for column in numbers.columns),
            numbers=numbers.to_numpy(dtype=np.float64),
        )


def _read(file: Path) -> Any:
    import pandas as pd  # half a second, and only to prepare

    if not file.is_file():
        raise DataError(
            f"there is no table at {file}. No table comes with nasflow: the README says where to get it. Put "
            f"it there, or name the folder that holds it by the variable {FOLDER_VARIABLE}"
        )
    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} can't be read as a table: {error}") from error
    if table.empty:
        raise DataError(f"{file} has no rows")
    return table


def _names(options: Any) -> dict[str, str]:
    """The option's name by the value that stands in the file, both as text."""
    pairs = options.items() if isinstance(options, Mapping) else ((value, value) for value in options)
    return {str(value): str(name) for value, name in pairs}


def _indices(file: Path, column: str, values: Any, options: Any) -> np.ndarray:
    index = {value: number for number, value in enumerate(_names(options))}
    found = values.astype(str).map(index)
    if found.isna().any():
        row = int(found.isna().to_numpy().argmax())
        raise DataError(
            f"'{column}' of row {row} of {file} (counted from 0) is '{values.iloc[row]}', which is none of "
            f"its options: {', '.join(index)}"
        )
    return np.asarray(found.to_numpy(dtype=np.int64))


def _check_once(file: Path, decided: np.ndarray) -> None:
    seen: dict[bytes, int] = {}
    for row, own in enumerate(decided):
        first = seen.setdefault(own.tobytes(), row)
        if first != row:
            raise DataError(f"rows {first} and {row} of {file} (counted from 0) are one network")

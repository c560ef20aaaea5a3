"""Published or home-made tables of trained networks: from a CSV or parquet file to a prepared table."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.datasets.limits import check_expansion, limit_of
from nas.datasets.prepared.arrays import create
from nas.datasets.prepared.table import DTYPES, Options, array_file, digest_of_table
from nas.datasets.source import Places, Progress, Raw, Source, check_text
from nas.errors import DataError, InputError, nearest

FOLDER_VARIABLE = "NAS_TABLES"
"""Names the folder where tables lie that several workspaces use."""

_ENDINGS = (".csv", ".csv.gz", ".parquet")

_CHUNK = 2**20
_CELL = 8
"""Bytes of a number in memory: the least that a row takes, however well its file repeats it."""


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
            values that stand in the file, `[16, 32]`, or names for them, `{0: none, 1: conv}`. Cells are
            read as text; see `nas.datasets.prepared.table.Options` for which option one stands for.
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
            if not names or len(set(names)) < len(options):
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
        columns = [str(column) for column in self.decisions]
        table, cells = _read(file, columns)
        progress(len(table), len(table), "read rows")
        decided = np.stack(
            [
                _indices(file, column, cells[column], options)
                for column, options in zip(columns, self.decisions.values(), strict=True)
            ],
            1,
        )
        _check_once(file, decided)
        numbers = table.loc[:, [str(name) not in columns for name in table.columns]].select_dtypes("number")
        return RawTable(
            decisions={str(column): tuple(_names(o).values()) for column, o in self.decisions.items()},
            decided=decided,
            columns=tuple(str(column) for column in numbers.columns),
            numbers=numbers.to_numpy(dtype=np.float64),
        )


def _read(file: Path, decisions: Sequence[str]) -> tuple[Any, dict[str, list[str]]]:
    """The table, and the text of each cell in the columns that decide: pandas would change it.

    A column of numbers and empty cells becomes one of floats there, `None` and an empty cell no value at all,
    and `007` the number 7.
    """
    import pandas as pd  # half a second, and only to prepare

    if not file.is_file():
        raise DataError(
            f"there is no table at {file}. No table comes with nasflow: the README says where to get it. Put "
            f"it there, or name the folder that holds it by the variable {FOLDER_VARIABLE}"
        )
    try:
        _check_size(file)
        if file.suffix == ".parquet":
            table, texts = pd.read_parquet(file), _parquet_texts
        else:
            table, texts = pd.read_csv(file), _csv_texts
        if table.empty:
            raise DataError(f"{file} has no rows")
        known = [str(name) for name in table.columns]
        for column in decisions:
            if column not in known:
                raise DataError(f"{file} has no column '{column}': {nearest(column, known)}")
        return table, texts(file, decisions)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{file} can't be read as a table: {error}") from error


def _check_size(file: Path) -> None:
    """Raises DataError if the file expands beyond its limit; nothing of it is kept for that."""
    if file.suffix == ".gz":
        limit, size = limit_of(file), 0
        with gzip.open(file) as expanded:
            while size <= limit and (some := expanded.read(_CHUNK)):
                size += len(some)
        check_expansion(file, size)
    elif file.suffix == ".parquet":
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(file)
        groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
        check_expansion(file, max(sum(group.total_byte_size for group in groups), _CELL * metadata.num_rows))


def _csv_texts(file: Path, columns: Sequence[str]) -> dict[str, list[str]]:
    import pandas as pd

    cells = pd.read_csv(file, usecols=list(columns), dtype=str, na_filter=False)
    return {column: cells[column].tolist() for column in columns}


def _parquet_texts(file: Path, columns: Sequence[str]) -> dict[str, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    found = {}
    for column in columns:
        kind, values = table[column].type, table[column].to_pylist()
        if pa.types.is_floating(kind):  # the shortest text of a number of this width: 0.1, no 0.10000000149
            width = kind.to_pandas_dtype()
            values = [None if value is None or math.isnan(value) else width(value) for value in values]
        found[column] = ["" if value is None else str(value) for value in values]
    return found


def _names(options: Any) -> dict[str, str]:
    """The option's name by the value that stands in the file, both as text."""
    pairs = options.items() if isinstance(options, Mapping) else ((value, value) for value in options)
    return {str(value): str(name) for value, name in pairs}


def _indices(file: Path, column: str, cells: Sequence[str], options: Any) -> np.ndarray:
    finder = Options(list(options))
    index = {cell: finder.find(cell) for cell in dict.fromkeys(cells)}
    for row, cell in enumerate(cells):
        if index[cell] is None:
            raise DataError(
                f"'{column}' of row {row} of {file} (counted from 0) is '{cell}', which is none of its "
                f"options: {', '.join(_names(options))}. YAML reads 010 as 8, 12:30 as 750 and 1:1 as 61: "
                "quote an option that must be taken as it is written"
            )
    return np.array([index[cell] for cell in cells], np.int64)


def _check_once(file: Path, decided: np.ndarray) -> None:
    seen: dict[bytes, int] = {}
    for row, own in enumerate(decided):
        first = seen.setdefault(own.tobytes(), row)
        if first != row:
            raise DataError(f"rows {first} and {row} of {file} (counted from 0) are one network")

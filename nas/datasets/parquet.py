"""Reads encoded images and labels out of parquet files, a few rows at a time."""

from __future__ import annotations

import glob
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.datasets.decoding import Item
from nas.datasets.files import below
from nas.datasets.labels import Values
from nas.datasets.limits import check_expansion
from nas.errors import DataError

_ROWS = 256
_LABEL_BYTES = 64
"""Memory of a label while it is read, about."""

_NUMBERED = re.compile(r"-\d+-of-(\d+)(?=\W|$)")
_OF_A_PART = re.compile(r"(?<![a-z])(train|validation|valid|val|dev|test)(?![a-z])", re.IGNORECASE)


def shards(path: Path) -> list[Path]:
    """The files that `path` names, by name: one, those of a folder, or those that a pattern (`*`) matches."""
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in below(path).files if file.suffix == ".parquet"]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
    return sorted(found, key=lambda file: unicodedata.normalize("NFC", file.as_posix()))


class ParquetImages:
    """The parquet files of one part; iterating gives each row's encoded image with the words that name it.

    Args:
        path: a parquet file, a folder of them, or a pattern with `*`.
        image: the column of images: binary, or a struct with a binary field `bytes`.
        label: the column of labels: whole numbers, truth values or texts.

    Raises:
        DataError: there is no file or one can't be read, shards are missing or of several parts, or a
            column is missing or of another type.
    """

    def __init__(self, path: Path, image: str, label: str) -> None:
        files = shards(path)
        if not files:
            what = "no parquet file is in" if path.is_dir() else "no file is at"
            raise DataError(f"{what} {path}")
        if len(files) > 1:
            _check_shards(path, files)
        self._files = [_ParquetFile(file, image, label) for file in files]
        for one in self._files[1:]:
            if one.numbers != self._files[0].numbers:
                raise DataError(
                    f"{one.file}: labels must be of one kind, all numbers or all texts, as in {files[0]}"
                )
        named = [one for one in self._files if one.names is not None]
        self.names = named[0].names if named else None
        """The class names in the order of their numbers, where the files' metadata hold them."""
        for one in named:
            if one.names != self.names:
                raise DataError(f"{one.file} names the classes {one.names}, but {named[0].file} {self.names}")

    @property
    def files(self) -> list[Path]:
        """The files, in the order in which they are read."""
        return [one.file for one in self._files]

    def labels(self) -> Values:
        """All labels, in the order of the rows."""
        values = [one.labels() for one in self._files]
        if not any(map(len, values)):
            raise DataError(f"{', '.join(map(str, self.files[:3]))} has no rows")
        if self._files[0].numbers:
            return np.array([value for some in values for value in some], dtype=np.int64)
        return [str(value) for some in values for value in some]

    def row(self, number: int) -> str:
        """The words that name row `number` of all files."""
        for one in self._files:
            if number < one.rows or one is self._files[-1]:
                break
            number -= one.rows
        return f"{one.file}, row {number}"

    def __iter__(self) -> Iterator[Item]:
        for one in self._files:
            yield from one.images()


class _ParquetFile:
    """One of the files."""

    def __init__(self, file: Path, image: str, label: str) -> None:
        self.file = file
        self._image = image
        self._label = label
        with self._opened() as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            self.rows: int = metadata.num_rows
            chunks = [
                metadata.row_group(group).column(column)
                for group in range(metadata.num_row_groups)
                for column in range(metadata.num_columns)
            ]
        for column in (image, label):
            if schema.get_field_index(column) < 0:
                raise DataError(
                    f"{file} has no column '{column}': it has {', '.join(schema.names)}; name yours with the "
                    "options image_column and label_column"
                )
        read = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in (image, label)]
        unpacked = sum(chunk.total_uncompressed_size for chunk in read)
        check_expansion(file, max(unpacked, self.rows * _LABEL_BYTES))
        kind = schema.field(image).type
        self._in_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if self._in_struct:
            kind = kind.field("bytes").type
        if not _is_any(kind, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view):
            raise DataError(f"{file}: column '{image}' must hold encoded images as bytes, but holds {kind}")
        kind = schema.field(label).type
        self.numbers = _is_any(kind, pa.types.is_integer, pa.types.is_boolean)
        if not self.numbers and not _is_any(
            kind, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
        ):
            raise DataError(f"{file}: column '{label}' must hold whole numbers or texts, but holds {kind}")
        self.names = _names_of(schema.metadata, label) if self.numbers else None

    def labels(self) -> list[Any]:
        values: list[Any] = []
        for column in self._batches(self._label):
            values += column.to_pylist()
        for row, value in enumerate(values):
            if value is None or value == "":
                raise DataError(f"{self.file}, row {row}: the label is missing")
            if isinstance(value, int) and abs(value) >= 2**31:
                raise DataError(f"{self.file}, row {row}: label {value} is out of range")
        return values

    def images(self) -> Iterator[Item]:
        row = 0
        for column in self._batches(self._image):
            for value in column.to_pylist():
                encoded = value["bytes"] if self._in_struct and value is not None else value
                yield f"{self.file}, row {row}", encoded
                row += 1

    def _batches(self, column: str) -> Iterator[pa.Array]:
        with self._opened() as opened:
            batches = opened.iter_batches(batch_size=_ROWS, columns=[column])
            for batch in batches:
                yield batch.column(0)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.file, pre_buffer=False) as opened:
                yield opened
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.file} can't be read as a parquet file: {error}") from error


def _is_any(kind: pa.DataType, *checks: Callable[[pa.DataType], bool]) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(check(kind) for check in checks)


def _check_shards(path: Path, files: Iterable[Path]) -> None:
    """Raises DataError if the files belong to several parts, or some of a numbered series are missing."""
    series: dict[tuple[Path, str], tuple[int, int]] = {}
    parts: dict[str, Path] = {}
    for file in files:
        named = _OF_A_PART.search(file.relative_to(path).as_posix() if path.is_dir() else file.name)
        if named:
            parts.setdefault(named[1].lower(), file)
        if numbered := _NUMBERED.search(file.name):
            key = (file.parent, file.name[: numbered.start()] + file.name[numbered.end() :])
            series[key] = (series.get(key, (0, 0))[0] + 1, int(numbered[1]))
    if len(parts) > 1:
        raise DataError(
            f"{path} holds files of several parts ({', '.join(str(file) for file in parts.values())}): name "
            "those of each by a pattern, as in train: folder/train-*.parquet and test: folder/test-*.parquet"
        )
    for (folder, name), (found, expected) in series.items():
        if found != expected:
            raise DataError(f"{folder} has {found} of the {expected} files of '{name}': some are missing")


def _names_of(metadata: dict[bytes, bytes] | None, column: str) -> list[str] | None:
    """The class names that Hugging Face's `datasets` writes beside a column of numbers; None: there are none.

    Source: the key `huggingface` of the schema, whose `info.features` describe the columns; a `ClassLabel`
    has `names`, by older versions as an object from numbers to names.
    """
    try:
        told: Any = json.loads((metadata or {})[b"huggingface"])
        names = told["info"]["features"][column]["names"]
        if isinstance(names, dict):
            names = [names[str(number)] for number in range(len(names))]
    except (KeyError, TypeError, ValueError):
        return None
    fits = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    return names if fits and len(set(names)) == len(names) else None

"""Reads encoded images and labels out of a parquet file, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.datasets.decoding import Item
from nas.datasets.labels import Values
from nas.errors import DataError

_ROWS = 256


class ParquetImages:
    """One parquet file; iterating gives each row's encoded image with the words that name it.

    Args:
        file: the parquet file.
        image: the column of images: binary, or a struct with a binary field `bytes`.
        label: the column of labels: whole numbers or texts.

    Raises:
        DataError: the file can't be read, or a column is missing or of another type.
    """

    def __init__(self, file: Path, image: str, label: str) -> None:
        self.file = file
        self._image = image
        self._label = label
        if not file.is_file():
            raise DataError(f"no file is at {file}")
        with self._opened() as opened:
            schema = opened.schema_arrow
            self._rows = opened.metadata.num_rows
        for column in (image, label):
            if schema.get_field_index(column) < 0:
                raise DataError(
                    f"{file} has no column '{column}': it has {', '.join(schema.names)}; name yours with the "
                    "options image_column and label_column"
                )
        kind = schema.field(image).type
        self._in_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if self._in_struct:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise DataError(f"{file}: column '{image}' must hold encoded images as bytes, but holds {kind}")
        kind = schema.field(label).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        self._numbers = pa.types.is_integer(kind)
        if not (self._numbers or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise DataError(f"{file}: column '{label}' must hold whole numbers or texts, but holds {kind}")

    def labels(self) -> Values:
        """All labels, in the order of the rows."""
        values: list[int | str] = []
        for column in self._batches(self._label):
            values += column.to_pylist()
        for row, value in enumerate(values):
            if value is None or value == "":
                raise DataError(f"{self.file}, row {row}: the label is missing")
            if isinstance(value, int) and abs(value) >= 2**31:
                raise DataError(f"{self.file}, row {row}: label {value} is out of range")
        if not values:
            raise DataError(f"{self.file} has no rows")
        return np.array(values, dtype=np.int64) if self._numbers else [str(value) for value in values]

    def __iter__(self) -> Iterator[Item]:
        row = 0
        for column in self._batches(self._image):
            for value in column.to_pylist():
                encoded = value["bytes"] if self._in_struct and value is not None else value
                if encoded is None:
                    raise DataError(f"{self.file}, row {row}: the image is missing")
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

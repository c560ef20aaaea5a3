"""A prepared data set: memory-mapped arrays in one folder, with a digest of their contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import DataError, nearest

SCHEMA = 1
"""Raised when the files of a prepared data set change their form."""

SPLITS = ("train", "validation", "test")
DESCRIPTION = "prepared.json"
_DTYPES = {"images": np.dtype("u1"), "labels": np.dtype("<i4")}
_BLOCK = 2**24


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready for training; its pixels stay on disk until they are used.

    Attributes:
        folder: where its arrays lie.
        digest: SHA-256 of all images, labels and class names as hexadecimal text; equal data have
            equal digests, wherever and whenever they were prepared.
        classes: the class names; a label is an index into them.
        image_shape: `(height, width, channels)`.
        mean: of each channel over the training split, in units of 0–255.
        std: standard deviation (population) like `mean`; 0.0 for a channel that never varies.
        sizes: the number of images in each split.
        source: the name of its source.
        options: the source's options, defaults included.
    """

    folder: Path
    digest: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sizes: Mapping[str, int]
    source: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels of the split `name`: train, validation or test.

        Returns:
            A read-only memory map of uint8 with shape `(n, height, width, channels)`, and int32
            labels with shape `(n,)`.

        Raises:
            DataError: there is no such split, or its files changed since they were prepared.
        """
        if name not in SPLITS:
            raise DataError(f"no split is named '{name}': {nearest(name, SPLITS)}")
        images = _opened(array_file(self.folder, name, "images"), (self.sizes[name], *self.image_shape))
        labels = _opened(array_file(self.folder, name, "labels"), (self.sizes[name],))
        return images, np.array(labels, dtype=np.int32)


def load(folder: Path) -> Prepared:
    """Opens the prepared data set in `folder`, checking that its arrays are what it says.

    Reads no pixels; `verify` does.

    Raises:
        DataError: nothing was prepared there, or a file is missing, cut short or of another form.
    """
    description = read_description(folder)
    try:
        prepared = Prepared(
            folder=folder,
            digest=str(description["digest"]),
            classes=tuple(str(name) for name in description["classes"]),
            image_shape=_triple(description["image_shape"]),
            mean=tuple(float(value) for value in description["mean"]),
            std=tuple(float(value) for value in description["std"]),
            sizes={name: int(description["sizes"][name]) for name in SPLITS},
            source=str(description["source"]),
            options=dict(description["options"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / DESCRIPTION} is damaged ({type(error).__name__}: {error}); prepare it again"
        ) from error
    for name in SPLITS:
        prepared.split(name)
    return prepared


def verify(prepared: Prepared) -> None:
    """Reads every byte and compares the digest.

    Raises:
        DataError: the contents are not those that were prepared.
    """
    arrays = {}
    for name in SPLITS:
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = prepared.split(name)
    digest = digest_of(arrays, prepared.classes)
    if digest != prepared.digest:
        raise DataError(
            f"the arrays in {prepared.folder} were changed: their digest is {digest}, "
            f"{prepared.digest} was prepared; prepare it again"
        )


def digest_of(arrays: Mapping[str, np.ndarray], classes: tuple[str, ...]) -> str:
    """SHA-256 over class names, then name, type, shape and bytes of each array by name order."""
    digest = hashlib.sha256(_line({"classes": list(classes)}))
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(
            _line({"array": name, "dtype": array.dtype.newbyteorder("<").str, "shape": array.shape})
        )
        rows = max(1, _BLOCK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            block = array[start : start + rows]
            digest.update(np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def array_file(folder: Path, split: str, what: str) -> Path:
    """The file of the `images` or `labels` of a split."""
    return folder / f"{split}_{what}.npy"


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of `prepared.json`.

    Raises:
        DataError: it is missing, isn't JSON, or was written by a version of another schema.
    """
    file = folder / DESCRIPTION
    try:
        description: Any = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{folder} holds no prepared data set: {DESCRIPTION} is missing") from error
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}); prepare it again") from error
    if not isinstance(description, dict):
        raise DataError(f"{file} is damaged (it holds no keys and values); prepare it again")
    schema = description.get("schema")
    if schema != SCHEMA:
        raise DataError(f"{file} has the schema {schema!r}, this version reads {SCHEMA}; prepare it again")
    return description


def _opened(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A memory map of an array file that must have `shape` and its kind's type."""
    dtype = _DTYPES[file.stem.rpartition("_")[2]]
    try:
        array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} can't be read as an array ({error}); prepare it again") from error
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{file} should hold {dtype} {shape}, but holds {array.dtype} {array.shape}; prepare it again"
        )
    return array


def _triple(values: Any) -> tuple[int, int, int]:
    height, width, channels = (int(value) for value in values)
    return height, width, channels


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True).encode() + b"\n"

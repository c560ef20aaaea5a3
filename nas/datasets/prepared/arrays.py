"""Arrays of a prepared data set on the disk: written by pieces, opened checked, summed up in a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nas.errors import DataError

_BLOCK = 2**24


def create(file: Path, dtype: str, shape: tuple[int, ...]) -> BinaryIO:
    """An open file that begins as an npy array; its contents are still to be written.

    Not a memory map: on a full disk, writing into one ends the process (SIGBUS) instead of raising.
    """
    handle = file.open("wb")
    np.lib.format.write_array_header_1_0(handle, {"descr": dtype, "fortran_order": False, "shape": shape})
    return handle


def opened(file: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A read-only memory map of the npy array in `file`.

    Raises:
        DataError: it can't be read, or has another type or shape.
    """
    try:
        array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} can't be read as an array ({error}); prepare it again") from error
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise DataError(
            f"{file} should hold {np.dtype(dtype)} {shape}, but holds {array.dtype} {array.shape}; "
            "prepare it again"
        )
    return array


def digest_of(arrays: Mapping[str, np.ndarray], **about: object) -> str:
    """SHA-256 over `about` (JSON), then name, type, shape and bytes of each array by name order."""
    digest = hashlib.sha256(_line(about))
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


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True).encode() + b"\n"

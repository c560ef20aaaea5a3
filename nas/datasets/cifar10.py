"""CIFAR-10: 60,000 colour images of 32×32 pixels in ten classes, downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nas.datasets.archive import read_members
from nas.datasets.download import download
from nas.datasets.images import ImageSource, Labelled, RawImages
from nas.datasets.source import Places, Progress, check_text, is_int
from nas.errors import DataError, InputError

_FOLDER = "cifar-10-batches-bin"
_NAMES = f"{_FOLDER}/batches.meta.txt"
_TRAIN = [f"{_FOLDER}/data_batch_{number}.bin" for number in range(1, 6)]
_TEST = f"{_FOLDER}/test_batch.bin"
_IMAGE_BYTES = 3 * 32 * 32
_RECORD_BYTES = 1 + _IMAGE_BYTES


@dataclass(frozen=True, kw_only=True)
class Cifar10(ImageSource):
    """The binary archive of CIFAR-10; the Python one would have to be unpickled.

    Source: A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images. The validation
    split of 5,000 training images is that of Zoph & Le (2017, §4.1).

    Attributes:
        validation: 5,000 images by default.
        url: where the archive is; a mirror or a `file://` address can be named.
        md5: its MD5.
        size: its number of bytes.
    """

    LOCATORS: ClassVar[frozenset[str]] = frozenset({"url", "size"})

    validation: int | float = 5000
    url: str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5: str = "c32a1d4ab5d03f1284b67883e8d87530"
    size: int = 170_052_171

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("url", self.url)
        if not isinstance(self.md5, str) or len(self.md5) != 32:
            raise InputError(f"md5 must be 32 hexadecimal digits in quotes. Received: {self.md5!r}")
        if not is_int(self.size) or self.size < 1:
            raise InputError(f"size must be a number of bytes. Received: {self.size!r}")

    def read(self, places: Places, progress: Progress) -> RawImages:
        """Downloads the archive, unless it is there, and reads it; shape `(n, 32, 32, 3)`."""
        archive = places.raw / "cifar-10-binary.tar.gz"
        download(self.url, archive, size=self.size, md5=self.md5, progress=progress)
        progress(0, None, "read the archive")
        members = read_members(archive, [_NAMES, *_TRAIN, _TEST])
        classes = tuple(members[_NAMES].decode("utf-8", "replace").split())
        return RawImages(
            classes=classes,
            train=_join([_records(f"{archive}: {name}", members[name], len(classes)) for name in _TRAIN]),
            test=_records(f"{archive}: {_TEST}", members[_TEST], len(classes)),
        )


def _records(where: str, data: bytes, classes: int) -> Labelled:
    """The records of one file: a label byte, then the red, green and blue plane row by row."""
    if not data or len(data) % _RECORD_BYTES:
        raise DataError(
            f"{where} has {len(data):,} bytes, expected a multiple of {_RECORD_BYTES:,} (a label byte and "
            f"{_IMAGE_BYTES:,} pixel bytes for each image)"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, _RECORD_BYTES)
    labels = records[:, 0].astype(np.int32)
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        raise DataError(
            f"{where}, record {wrong[0]} (counted from 0): label {labels[wrong[0]]} is out of range, "
            f"expected 0 to {classes - 1}"
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return Labelled(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _join(parts: list[Labelled]) -> Labelled:
    return Labelled(
        np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])
    )

"""Images as a source gives them: checked, split by class, and written as arrays of raw pixels."""

from __future__ import annotations

import hashlib
import logging
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.datasets.files import check_space
from nas.datasets.prepared.arrays import create, digest_of
from nas.datasets.prepared.base import SPLITS
from nas.datasets.prepared.images import DTYPES, PreparedImages, array_file
from nas.datasets.source import Places, Progress, Raw, Source, check_amount, is_int
from nas.datasets.splitting import stratified
from nas.errors import DataError, InputError

_DEFAULT_FRACTION = 0.1
_BLOCK_BYTES = 2**24
_SHOWN_CLASSES = 10

_logger = logging.getLogger("nas")

Part = tuple["Labelled", np.ndarray]
"""Images with the sorted indices of those that belong to a split."""


@dataclass(frozen=True)
class Labelled:
    """Images with their labels.

    Attributes:
        images: uint8 array with shape `(n, height, width, channels)`, values 0–255; it may be a
            memory map, so that a source can be larger than memory.
        labels: integer array with shape `(n,)`; each is an index into the class names.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class RawImages(Raw):
    """All images that a source has. Parts that it doesn't have are split off its training images.

    Raises:
        DataError: when built from parts that don't fit together.
    """

    KIND: ClassVar[str] = PreparedImages.KIND

    classes: tuple[str, ...]
    train: Labelled
    validation: Labelled | None = None
    test: Labelled | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise DataError(f"at least two different class names are needed. Received: {list(self.classes)}")
        shape = self.train.images.shape[1:]
        for name, part in self.parts.items():
            images, labels = part.images, part.labels
            if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
                raise DataError(
                    f"the {name} images must be a uint8 array (n, height, width, channels) with at least "
                    f"one image. Received: {images.dtype} {images.shape}"
                )
            if images.shape[1:] != shape:
                raise DataError(
                    f"the {name} images have the shape {images.shape[1:]} (height, width, channels), the "
                    f"train images {shape}: all must be equal"
                )
            if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
                raise DataError(
                    f"the {name} labels must be {len(images)} integers, one for each image. "
                    f"Received: {labels.dtype} {labels.shape}"
                )
            wrong = np.flatnonzero((labels < 0) | (labels >= len(self.classes)))
            if len(wrong):
                raise DataError(
                    f"label {labels[wrong[0]]} of {name} image {wrong[0]} (counted from 0) is out of range: "
                    f"there are {len(self.classes)} classes, 0 to {len(self.classes) - 1}"
                )

    @property
    def parts(self) -> dict[str, Labelled]:
        """The parts that are there, by name."""
        every = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in every.items() if part is not None}

    def write(self, folder: Path, source: Source, progress: Progress) -> dict[str, Any]:
        if not isinstance(source, ImageSource):
            raise InputError(
                f"{type(source).__name__} reads images, so it must be a nas.datasets.ImageSource, which has "
                "the options of their splits"
            )
        parts = _split(self, source)
        needed = sum(len(indices) * part.images[:1].nbytes for part, indices in parts.values())
        check_space(folder, needed, "write the images")
        return _write(folder, self.classes, parts, progress)


@dataclass(frozen=True, kw_only=True)
class ImageSource(Source):
    """A source of labelled images. It need not split them.

    Attributes:
        validation: how many training images become the validation split, as a count or as a fraction
            below 1 of them; None: the source's own validation part or, without one, 0.1.
        test: the same for the test split, which is taken first.
        seed: of both splits.
    """

    validation: Any = None
    test: Any = None
    seed: int = 0

    def __post_init__(self) -> None:
        for option in ("validation", "test"):
            self.check_amount(option, getattr(self, option))
        if not is_int(self.seed) or self.seed < 0:
            raise InputError(f"seed must be an integer ≥ 0. Received: {self.seed!r}")

    @abstractmethod
    def read(self, places: Places, progress: Progress) -> RawImages:
        """Reads all images, downloading them first if need be."""

    def check_amount(self, option: str, value: object) -> None:
        """Raises InputError unless `value` can say how many images to split off."""
        check_amount(option, value, "images")


def _split(raw: RawImages, source: ImageSource) -> dict[str, Part]:
    """The three splits; those that the source doesn't have are taken from its training images."""
    indices = np.arange(len(raw.train.labels))
    parts: dict[str, Part] = {}
    for name in ("test", "validation"):
        amount, own = getattr(source, name), raw.parts.get(name)
        if own is not None:
            if isinstance(amount, (int, float)):
                raise InputError(
                    f"the source has {name} images of its own: leave out the option {name}={amount}"
                )
            parts[name] = (own, np.arange(len(own.labels)))
        else:
            amount = _DEFAULT_FRACTION if amount is None else amount
            kept, off = stratified(raw.train.labels[indices], amount, raw.classes, source.seed, name)
            parts[name] = (raw.train, indices[off])
            indices = indices[kept]
    counts = np.bincount(raw.train.labels[indices], minlength=len(raw.classes))
    if not counts.all():
        raise DataError(f"class '{raw.classes[int(np.argmin(counts))]}' has no training image")
    parts["train"] = (raw.train, indices)
    return {name: parts[name] for name in SPLITS}


def _write(
    folder: Path, classes: tuple[str, ...], parts: Mapping[str, Part], progress: Progress
) -> dict[str, Any]:
    """Writes the arrays and returns what `prepared.json` says of them."""
    total = sum(len(indices) for _, indices in parts.values())
    done = 0
    equal = _EqualImages(classes)
    for name, (part, indices) in parts.items():
        shape = (len(indices), *part.images.shape[1:])
        with create(array_file(folder, name, "images"), DTYPES["images"], shape) as file:
            for block in _blocks(part.images, indices):
                block = np.ascontiguousarray(block)
                file.write(block.data)
                equal.count(block)
                done += len(block)
                progress(done, total, "write images")
        with create(array_file(folder, name, "labels"), DTYPES["labels"], shape[:1]) as file:
            file.write(part.labels[indices].astype(DTYPES["labels"]).data)
        equal.check(name, part.labels[indices])
    # What counts is what lies on the disk now, so the digest is taken from there.
    arrays = {
        f"{name}_{what}": np.load(array_file(folder, name, what), mmap_mode="r", allow_pickle=False)
        for name in SPLITS
        for what in ("images", "labels")
    }
    mean, std = channel_statistics(arrays["train_images"])
    return {
        "classes": list(classes),
        "sizes": {name: len(indices) for name, (_, indices) in parts.items()},
        "image_shape": list(arrays["train_images"].shape[1:]),
        "mean": mean,
        "std": std,
        "digest": digest_of(arrays, classes=list(classes)),
    }


class _EqualImages:
    """Says where pictures are equal that should differ: their reading, or their labels, went wrong."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._hashes: list[int] = []

    def count(self, images: np.ndarray) -> None:
        """Takes in a block of images."""
        self._hashes += (
            int.from_bytes(hashlib.blake2b(image.data, digest_size=8).digest(), "little") for image in images
        )

    def check(self, name: str, labels: np.ndarray) -> None:
        """Warns of what was taken in since the last call, the split `name`."""
        hashes, self._hashes = np.array(self._hashes, dtype=np.uint64), []
        most = int(np.unique(hashes, return_counts=True)[1].max())
        alike = [
            self._classes[label]
            for label, count in enumerate(np.bincount(labels))
            if count > 1 and np.ptp(hashes[labels == label]) == 0
        ]
        advice = "look at the files, and prepare them again if that is wrong"
        if most > 1 and 2 * most > len(hashes):
            _logger.warning(
                "%d of the %d %s images are one and the same: %s", most, len(hashes), name, advice
            )
        elif alike:
            more = ", …" if len(alike) > _SHOWN_CLASSES else ""
            _logger.warning(
                "all %s images of a class are one and the same in %s%s: %s",
                name,
                ", ".join(alike[:_SHOWN_CLASSES]),
                more,
                advice,
            )


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel, in units of 0–255.

    The sums are whole numbers, so that the result is the same on every machine.

    Args:
        images: uint8 array with shape `(n, height, width, channels)`.
    """
    channels = images.shape[3]
    first, second = [0] * channels, [0] * channels
    for block in _blocks(images, np.arange(len(images))):
        for channel in range(channels):
            values = block[..., channel].astype(np.uint32)
            first[channel] += int(values.sum(dtype=np.uint64))
            second[channel] += int((values * values).sum(dtype=np.uint64))
    count = images.size // channels
    mean = [total / count for total in first]
    std = [
        math.sqrt(count * square - total * total) / count for total, square in zip(first, second, strict=True)
    ]
    return mean, std


def _blocks(images: np.ndarray, indices: np.ndarray) -> Iterator[np.ndarray]:
    """The images at `indices`, some megabytes at a time."""
    rows = max(1, _BLOCK_BYTES // images[:1].nbytes)
    for start in range(0, len(indices), rows):
        yield images[indices[start : start + rows]]

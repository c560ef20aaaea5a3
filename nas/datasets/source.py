"""What a source of images offers: the interface of the built-in ones and of a user's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.errors import DataError, InputError

Progress = Callable[[int, int | None, str], None]
"""Called as `progress(done, total, what)`; `total` is None where it isn't known."""


def silent(done: int, total: int | None, what: str) -> None:
    """The progress callback that shows nothing."""


@dataclass(frozen=True)
class Places:
    """The folders that a source may use.

    Attributes:
        root: the workspace; relative paths in options start here (`resolve`).
        raw: downloads are kept here, as they came.
        scratch: an empty folder for large intermediate files, removed after preparing.
    """

    root: Path
    raw: Path
    scratch: Path

    def resolve(self, path: str) -> Path:
        """The file or folder that an option names."""
        return self.root / Path(path).expanduser()


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
class RawImages:
    """All that a source has. Parts that it doesn't have are split off its training images.

    Raises:
        DataError: when built from parts that don't fit together.
    """

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


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Where a data set's images come from; its fields are the options beside `source` in the YAML.

    A subclass adds its own options (plain YAML values), checks them when built, and reads. What it
    must guarantee: the same options give the same images, labels and class names in the same order
    on every machine; a problem in the data is a DataError that names the file, the row and what was
    expected; nothing is unpickled or evaluated. It need not split, cache or scale anything.
    `nas.testing.datasets.SourceContract` checks a source.

    Attributes:
        validation: how many training images become the validation split, as a count or as a fraction
            below 1 of them; None: the source's own validation part or, without one, 0.1.
        test: the same for the test split, which is taken first.
        seed: of both splits.
    """

    LOCATORS: ClassVar[frozenset[str]] = frozenset()
    """Options that say only where the same bytes come from: no part of what is prepared."""

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
        """Reads all images, downloading them first if need be.

        Raises:
            DataError: something is wrong in the data.
            TemporaryError: a server can't be reached, or the disk is full.
        """

    def inputs(self, places: Places) -> Iterable[Path]:
        """The user's files that are read, so that a later change of them is noticed by their sizes."""
        return ()

    def check_amount(self, option: str, value: object) -> None:
        """Raises InputError unless `value` can say how many images to split off."""
        count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        fraction = isinstance(value, float) and 0 < value < 1
        if not (value is None or count or fraction):
            raise InputError(
                f"{option} must be a number of images ≥ 1, or a fraction between 0 and 1. Received: {value!r}"
            )


def is_int(value: object) -> bool:
    """Whether `value` is an integer; booleans are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_text(option: str, value: object) -> None:
    """Raises InputError unless `value` is a text that isn't empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{option} must be a text. Received: {value!r}")

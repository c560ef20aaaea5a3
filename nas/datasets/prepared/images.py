"""Prepared images with labels: raw pixels and class names, split three ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nas.datasets.prepared.arrays import digest_of, opened
from nas.datasets.prepared.base import SPLITS, Prepared, check_split, shared_fields

DTYPES = {"images": "|u1", "labels": "<i4"}
"""Type of the arrays on the disk."""

_SHOWN_CLASSES = 12


@dataclass(frozen=True, kw_only=True)
class PreparedImages(Prepared):
    """Labelled images, whose pixels stay on disk until they are used.

    The digest is that of all images, labels and class names. `sizes` counts images.

    Attributes:
        classes: the class names; a label is an index into them.
        image_shape: `(height, width, channels)`.
        mean: of each channel over the training split, in units of 0–255.
        std: standard deviation (population) like `mean`; 0.0 for a channel that never varies.
    """

    KIND: ClassVar[str] = "images"

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        height, width, channels = (int(value) for value in description["image_shape"])
        prepared = cls(
            **shared_fields(folder, description),
            classes=tuple(str(name) for name in description["classes"]),
            image_shape=(height, width, channels),
            mean=tuple(float(value) for value in description["mean"]),
            std=tuple(float(value) for value in description["std"]),
        )
        for name in SPLITS:
            prepared.split(name)
        return prepared

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels of the split `name`: train, validation or test.

        Returns:
            A read-only memory map of uint8 with shape `(n, height, width, channels)`, and int32
            labels with shape `(n,)`.

        Raises:
            DataError: there is no such split, or its files changed since they were prepared.
        """
        check_split(name, self.sizes)
        shape = (self.sizes[name], *self.image_shape)
        images = opened(array_file(self.folder, name, "images"), DTYPES["images"], shape)
        labels = opened(array_file(self.folder, name, "labels"), DTYPES["labels"], shape[:1])
        return images, np.array(labels, dtype=np.int32)

    def contents_digest(self) -> str:
        arrays = {}
        for name in SPLITS:
            arrays[f"{name}_images"], arrays[f"{name}_labels"] = self.split(name)
        return digest_of(arrays, classes=list(self.classes))

    @property
    def summary(self) -> str:
        height, width, channels = self.image_shape
        sizes = ", ".join(f"{size:,} {split}" for split, size in self.sizes.items())
        return f"{sizes} images of {height}×{width}×{channels}"

    @property
    def facts(self) -> dict[str, str]:
        more = ", …" if len(self.classes) > _SHOWN_CLASSES else ""
        return {"classes": f"{len(self.classes)}: {', '.join(self.classes[:_SHOWN_CLASSES])}{more}"}


def array_file(folder: Path, split: str, what: str) -> Path:
    """The file of the `images` or `labels` of a split."""
    return folder / f"{split}_{what}.npy"

"""Decodes image files of any size and kind into raw pixels, a few at a time."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from nas.datasets.files import check_space
from nas.datasets.source import Progress, is_int
from nas.errors import DataError, InputError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Image formats that are read: only those that hold pixels (EPS, for one, is a program)."""

_GREY_MODES = ("1", "L", "LA")
_DEEP_MODES = ("I", "F")
_BATCH_BYTES = 2**25
_BATCH_IMAGES = 256

Item = tuple[str, bytes | Path]
"""An encoded image, or its file, with the words that name it in errors."""


class Decoder:
    """Decodes the parts of a data set (train, test) one after the other into files of raw pixels.

    All images must have one size, unless `size` says to which they are resized. They become grey, with
    one channel, only if every image of every part is grey; otherwise all are RGB. Transparency is
    dropped, the camera's orientation mark is followed, and of an animation the first picture counts.
    JPEG leaves its decoder some freedom: another build of Pillow may give pixels that differ by one
    and so another digest.

    Args:
        size: `(height, width)` to which images are resized (bilinear, antialiased); None: none is.
        scratch: the folder for the files of pixels.
        total: how many images there are in all parts, for progress.
        progress: called with the images done so far.
    """

    def __init__(self, size: tuple[int, int] | None, scratch: Path, total: int, progress: Progress) -> None:
        self._size = size
        self._scratch = scratch
        self._total = total
        self._progress = progress
        self._first: tuple[str, tuple[int, int]] | None = None
        self._grey = True
        self._counts: dict[str, int] = {}
        Image.init()  # here, so that no two threads load the formats at once

    def decode(self, part: str, items: Iterable[Item]) -> None:
        """Decodes all images of a part.

        Raises:
            DataError: an image can't be read, or its size differs; the message names it.
        """
        items = iter(items)
        threads = min(8, os.cpu_count() or 1)
        count = 0
        with (
            self._file(part).open("wb") as out,
            ThreadPoolExecutor(threads) as pool,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            batch = 1  # until the size of an image is known
            while block := list(islice(items, batch)):
                decoded = list(pool.map(self._pixels, block))
                for (name, _), (pixels, grey) in zip(block, decoded, strict=True):
                    self._check_size(name, pixels)
                    self._grey &= grey
                    out.write(pixels.data)
                count += len(block)
                self._progress(sum(self._counts.values()) + count, self._total, "decode images")
                batch = max(threads, min(_BATCH_IMAGES, _BATCH_BYTES // decoded[0][0].nbytes))
        self._counts[part] = count

    def images(self, part: str) -> np.ndarray:
        """The images of a part that was decoded; call it when all parts are.

        Returns:
            A read-only memory map of uint8 with shape `(n, height, width, 1 or 3)`.
        """
        if self._first is None or not self._counts[part]:
            raise DataError(f"there are no {part} images")
        height, width = self._first[1]
        shape = (self._counts[part], height, width, 3)
        pixels = np.memmap(self._file(part), dtype=np.uint8, mode="r", shape=shape)
        return pixels[..., :1] if self._grey else pixels

    def _check_size(self, name: str, pixels: np.ndarray) -> None:
        height, width, _ = pixels.shape
        if self._first is None:
            self._first = (name, (height, width))
            check_space(self._scratch, self._total * pixels.nbytes, f"decode {self._total:,} images")
        first, (first_height, first_width) = self._first
        if (height, width) != (first_height, first_width):
            raise DataError(
                f"images have different sizes: {first} is {first_height}×{first_width} (height × width), "
                f"{name} is {height}×{width}; set the option size, as in size: [{first_height}, "
                f"{first_width}], to resize all"
            )

    def _pixels(self, item: Item) -> tuple[np.ndarray, bool]:
        """One image as RGB, uint8 with shape `(height, width, 3)`, and whether it is grey."""
        name, encoded = item
        try:
            with Image.open(
                io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded, formats=FORMATS
            ) as opened:
                if opened.mode.startswith(_DEEP_MODES):
                    raise ValueError(f"it has more than 8 bits per channel (mode {opened.mode})")
                grey = opened.mode in _GREY_MODES
                image = ImageOps.exif_transpose(opened)
                if "transparency" in image.info:
                    image = image.convert("RGBA")
                image = image.convert("RGB")
                if self._size is not None:
                    image = image.resize(self._size[::-1], Image.Resampling.BILINEAR)
                return np.asarray(image), grey
        # A damaged file makes Pillow raise nearly anything: OSError, SyntaxError, struct.error, …
        except Exception as error:
            raise DataError(
                f"{name} can't be read as an image ({type(error).__name__}: {error}); expected one of "
                f"{', '.join(FORMATS)} with 8 bits per channel"
            ) from error

    def _file(self, part: str) -> Path:
        return self._scratch / f"{part}.rgb"


def checked_size(size: object) -> tuple[int, int] | None:
    """`(height, width)` from the option `size`: None, a number for both, or a list of two."""
    values: Sequence[object] = (
        size if isinstance(size, Sequence) and not isinstance(size, str) else (size,) * 2
    )
    if size is None:
        return None
    if len(values) != 2 or not all(is_int(value) and value >= 1 for value in values):  # type: ignore[operator]
        raise InputError(f"size must be a number ≥ 1 or [height, width]. Received: {size!r}")
    height, width = values
    return int(height), int(width)  # type: ignore[call-overload]

"""Decodes image files of any size and kind into raw pixels, a few at a time."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageFile, ImageOps, UnidentifiedImageError

from nas.datasets.files import check_space
from nas.datasets.limits import VARIABLE, chosen_limit
from nas.datasets.source import Progress, is_int
from nas.errors import DataError, InputError, nearest

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Image formats that are read: only those that hold pixels (EPS, for one, is a program)."""

FITS = ("stretch", "crop")
"""How images of another shape than `size` come to it: both sides are brought to it on their own; or the
largest central part of that shape is cut out and resized, as if one resized the shorter side and cut the
longer one."""

_GREY_MODES = ("1", "L", "LA")
_DEEP_MODES = ("I", "F")
_DEEP_COLOUR = re.compile(r";16[A-Z]")
"""In Pillow's name for colours that lie in a file with 16 bits, of which it would drop the lower 8."""

_NAMED = 10
_BYTES_PER_PIXEL = 4
_BATCH_BYTES = 2**25
_BATCH_IMAGES = 256

Item = tuple[str, bytes | Path | None]
"""An encoded image, or its file, with the words that name it in errors; None: it is missing."""


class Decoder:
    """Decodes the parts of a data set (train, test) one after the other into files of raw pixels.

    All images must have one size, unless `size` says to which they are resized. They become grey, with
    one channel, only if every image of every part is grey; otherwise all are RGB. What is transparent
    shows the background, the camera's orientation mark is followed, and of an animation the first
    picture counts. Images of more than 8 bits per channel are refused, grey or not: which of their values
    are black and white only their owner knows.
    JPEG leaves its decoder some freedom: another build of Pillow may give pixels that differ by one
    and so another digest.

    Args:
        size: `(height, width)` to which images are resized (bilinear, antialiased); None: none is.
        fit: `stretch` or `crop`, see `FITS`.
        scratch: the folder for the files of pixels.
        total: how many images there are in all parts, for progress.
        progress: called with the images done so far.
        background: red, green and blue behind transparent images.
    """

    def __init__(
        self,
        size: tuple[int, int] | None,
        scratch: Path,
        total: int,
        progress: Progress,
        background: tuple[int, int, int],
        fit: str = "stretch",
    ) -> None:
        self._size, self._fit = size, fit
        self._background = background
        self._scratch = scratch
        self._total = total
        self._progress = progress
        self._first: tuple[str, tuple[int, int]] | None = None
        self._grey = True
        self._counts: dict[str, int] = {}
        self._unreadable: list[str] = []
        Image.init()  # here, so that no two threads load the formats at once

    def decode(self, part: str, items: Iterable[Item]) -> None:
        """Decodes all images of a part. Those that can't be read are told when the images are asked for.

        Raises:
            DataError: the size of an image differs; the message names it.
        """
        items = iter(items)
        threads = min(8, os.cpu_count() or 1)
        count = 0
        with (
            self._file(part).open("wb") as out,
            ThreadPoolExecutor(threads) as pool,
            _bombs_refused(),
        ):
            batch = 1  # until the size of an image is known
            while block := list(islice(items, batch)):
                for (name, _), decoded in zip(block, pool.map(self._decoded, block), strict=True):
                    if isinstance(decoded, str):
                        self._unreadable.append(decoded)
                        continue
                    pixels, grey = decoded
                    self._check_size(name, pixels)
                    self._grey &= grey
                    out.write(pixels.data)
                    batch = max(threads, min(_BATCH_IMAGES, _BATCH_BYTES // pixels.nbytes))
                count += len(block)
                self._progress(sum(self._counts.values()) + count, self._total, "decode images")
        self._counts[part] = count

    def images(self, part: str) -> np.ndarray:
        """The images of a part that was decoded; call it when all parts are.

        Returns:
            A read-only memory map of uint8 with shape `(n, height, width, 1 or 3)`.

        Raises:
            DataError: images of any part can't be read; the message names the first ten and their number.
        """
        if self._unreadable:
            count = len(self._unreadable)
            number = f"{count:,} of {self._total:,} images can't be read: " if count > 1 else ""
            more = f"; and {count - _NAMED:,} more" if count > _NAMED else ""
            raise DataError(
                f"{number}{'; '.join(self._unreadable[:_NAMED])}{more}; expected one of {', '.join(FORMATS)} "
                "with 8 bits per channel"
            )
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

    def _decoded(self, item: Item) -> tuple[np.ndarray, bool] | str:
        """One image as RGB, uint8 `(height, width, 3)`, and whether it is grey; or what is wrong."""
        name, encoded = item
        if encoded is None:
            return f"{name}: the image is missing"
        try:
            with Image.open(
                io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded, formats=FORMATS
            ) as opened:
                _check_depth(opened)
                grey = opened.mode in _GREY_MODES
                image = ImageOps.exif_transpose(opened)
                if image.has_transparency_data:
                    # Grey on a coloured ground is no longer grey.
                    image, opaque = self._on_background(image)
                    grey = grey and (opaque or len(set(self._background)) == 1)
                image = image.convert("RGB")
                if self._size is not None and self._fit == "crop":
                    image = ImageOps.fit(image, self._size[::-1], Image.Resampling.BILINEAR)
                elif self._size is not None:
                    image = image.resize(self._size[::-1], Image.Resampling.BILINEAR)
                return np.asarray(image), grey
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            return (
                f"{name} can't be read as an image ({type(error).__name__}: {error} If it truly is so large, "
                f"allow {_BYTES_PER_PIXEL} bytes a pixel by the variable {VARIABLE})"
            )
        except UnidentifiedImageError as error:
            return f"{name} can't be read as an image ({type(error).__name__}: its format is unknown)"
        # A damaged file makes Pillow raise nearly anything: OSError, SyntaxError, struct.error, …
        except Exception as error:
            return f"{name} can't be read as an image ({type(error).__name__}: {error})"

    def _on_background(self, image: Image.Image) -> tuple[Image.Image, bool]:
        """A transparent image before the background, and whether all of it is opaque."""
        if image.mode == "La":  # grey that was multiplied with its opacity; it has one way only
            image = image.convert("LA")
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() == (255, 255):
            return image, True
        ground = Image.new("RGBA", image.size, (*self._background, 255))
        return Image.alpha_composite(ground, image), False

    def _file(self, part: str) -> Path:
        return self._scratch / f"{part}.rgb"


def _check_depth(opened: ImageFile.ImageFile) -> None:
    """Raises ValueError if an image has more than 8 bits per channel."""
    # Of colours Pillow keeps the upper 8 bits, and only the decoder's arguments tell.
    for tile in opened.tile:
        arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        deep = any(isinstance(word, str) and _DEEP_COLOUR.search(word) for word in arguments)
        if tile.codec_name.startswith("ppm") and arguments[-1] is not None:
            deep |= int(arguments[-1]) > 255
        if deep or opened.mode.startswith(_DEEP_MODES):
            form = opened.mode if opened.mode.startswith(_DEEP_MODES) else arguments[0]
            raise ValueError(
                f"it has more than 8 bits per channel (mode {form}): bring its values to 0–255, by the range "
                "that they truly use, and save it with 8 bits"
            )


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Makes Pillow refuse images of more pixels than its limit, or than the user's own."""
    chosen, before = chosen_limit(), Image.MAX_IMAGE_PIXELS
    if chosen is not None:
        Image.MAX_IMAGE_PIXELS = max(1, chosen // _BYTES_PER_PIXEL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def checked_background(value: object) -> tuple[int, int, int]:
    """Red, green and blue from the option `background`: the name of a colour, `#rrggbb`, or three numbers."""
    colour: Any = value
    if isinstance(value, str):
        try:
            colour = ImageColor.getrgb(value)
        except ValueError:
            colour = ()
    fits = isinstance(colour, list | tuple) and len(colour) == 3
    if not fits or not all(is_int(part) and 0 <= part <= 255 for part in colour):
        raise InputError(
            "background must be the name of a colour as in CSS (white), '#rrggbb', or [red, green, blue] of "
            f"0–255. Received: {value!r}"
        )
    red, green, blue = colour
    return red, green, blue


def checked_fit(fit: object, size: object) -> str:
    """The option `fit`, which needs the option `size` unless it is the default."""
    if not isinstance(fit, str) or fit not in FITS:
        raise InputError(f"fit can't be {fit!r} ({nearest(str(fit), FITS)})")
    if fit == "crop" and size is None:
        raise InputError("fit: crop needs the size to which images are brought, as in size: 224")
    return fit


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

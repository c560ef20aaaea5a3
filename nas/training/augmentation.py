"""Random changes of images inside the compiled step: regions of any shape, colours, squares cut out.

Each image of a batch gets its own. Images are 4D tensors with shape `(batch, height, width, channels)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

GREY = (0.299, 0.587, 0.114)
"""Red, green and blue in a colour's brightness (ITU-R BT.601)."""

_YIQ = np.array([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
"""Rows: brightness, and two axes of colour in whose plane a rotation changes the hue (NTSC)."""


def random_regions(
    batch: Any,
    shape: tuple[int, int],
    area: Sequence[float],
    aspect: Sequence[float],
    seed: keras.random.SeedGenerator,
) -> tuple[Any, Any, Any, Any]:
    """Top, left, height and width of a random region for each image, int32 with shape `(batch, 1)`.

    The area is drawn evenly, the aspect (width / height) evenly on a logarithmic scale, then the place.

    Source: Szegedy et al. (2014, §6); the aspect's scale is that of torchvision's `RandomResizedCrop`.

    Differs from TensorFlow's `sample_distorted_bounding_box`, which slim uses: there the aspect is drawn
    evenly, and a region that the image can't hold is drawn anew; here it is cut down to the image.

    Args:
        batch: number of images.
        shape: (height, width) of the images.
        area: smallest and largest, as fractions of the image's.
        aspect: smallest and largest width / height.
        seed: of what is drawn.
    """
    height, width = shape
    pixels = keras.random.uniform((batch, 1), area[0], area[1], seed=seed) * (height * width)
    ratio = ops.exp(keras.random.uniform((batch, 1), math.log(aspect[0]), math.log(aspect[1]), seed=seed))
    tall = ops.clip(ops.round(ops.sqrt(pixels / ratio)), 1, height)
    wide = ops.clip(ops.round(ops.sqrt(pixels * ratio)), 1, width)
    top = ops.floor(keras.random.uniform((batch, 1), seed=seed) * (height - tall + 1))
    left = ops.floor(keras.random.uniform((batch, 1), seed=seed) * (width - wide + 1))
    # Rounding of a number just under 1 may give the next place, which is outside.
    top, left = ops.minimum(top, height - tall), ops.minimum(left, width - wide)
    top, left, tall, wide = (ops.cast(value, "int32") for value in (top, left, tall, wide))
    return top, left, tall, wide


def resized_regions(
    images: Any, regions: tuple[Any, Any, Any, Any], size: tuple[int, int], mirrored: Any
) -> Any:
    """Each image's region, resized bilinearly to `size`, and mirrored left to right where `mirrored` is true.

    The result is that of cutting the region out and `keras.ops.image.resize` (half-pixel centres, no
    antialiasing), which needs equal sizes.

    Args:
        images: of any number type.
        regions: top, left, height and width, each with shape `(batch, 1)`; see `random_regions`.
        size: (height, width) of the result.
        mirrored: truth values with shape `(batch, 1)`, or None: none is.

    Returns:
        float32 tensor `(batch, *size, channels)`.
    """
    batch, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    top, left, tall, wide = regions
    above, below, low = _neighbours(top, tall, size[0])
    before, after, right = _neighbours(left, wide, size[1])
    if mirrored is not None:
        before, after, right = (ops.where(mirrored, ops.flip(v, axis=1), v) for v in (before, after, right))
    flat = ops.reshape(images, (-1, channels))
    first = ops.arange(batch, dtype="int32")[:, None, None] * height

    def pixels(rows: Any, columns: Any) -> Any:
        places = (first + rows[:, :, None]) * width + columns[:, None, :]
        return ops.cast(ops.take(flat, places, axis=0), "float32")

    low, right = low[:, :, None, None], right[:, None, :, None]
    upper = pixels(above, before) * (1 - right) + pixels(above, after) * right
    lower = pixels(below, before) * (1 - right) + pixels(below, after) * right
    return upper * (1 - low) + lower * low


def _neighbours(start: Any, length: Any, count: int) -> tuple[Any, Any, Any]:
    """Along one axis: the two pixels around each of `count` points, and the second one's share."""
    share = ops.cast(length, "float32") / count
    point = (ops.arange(count, dtype="float32") + 0.5) * share - 0.5
    point = ops.maximum(point, 0.0)
    lower = ops.floor(point)  # less than `length`; behind the last pixel both neighbours are that one
    first = start + ops.cast(lower, "int32")
    second = ops.minimum(first + 1, start + length - 1)
    return first, second, point - lower


def recoloured(
    images: Any,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    seed: keras.random.SeedGenerator,
) -> Any:
    """Images with other colours, in this order: brightness, saturation, hue, contrast; cut to 0–255.

    Source: slim's `inception_preprocessing` (Howard 2013 in its first form): 32/255, 0.5, 0.5 and 0.2.

    Differs from slim: saturation mixes an image with its own grey, and hue rotates in the colour plane of
    YIQ, both a product with a matrix; slim changes S and H of HSV. The order is its first one.

    Args:
        images: float32, values 0–255; 3 channels if `saturation` or `hue` is on.
        brightness: at most this is added, of the range 0–1.
        contrast, saturation: factors are drawn from 1 ± this, of each channel's distance from its mean over
            the image, and of a pixel's from its grey.
        hue: at most this part of the colour circle.
        seed: of what is drawn.
    """

    def drawn(middle: float, most: float) -> Any:
        shape = (ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, middle - most, middle + most, seed=seed)

    if brightness:
        images = images + 255 * drawn(0.0, brightness)
    if saturation:
        grey = ops.sum(images * np.array(GREY, "float32"), axis=-1, keepdims=True)
        images = grey + (images - grey) * drawn(1.0, saturation)
    if hue:
        angle = 2 * math.pi * drawn(0.0, hue)
        yiq = ops.matmul(images, _YIQ.T.astype("float32"))
        light, one, other = yiq[..., :1], yiq[..., 1:2], yiq[..., 2:]
        cos, sin = ops.cos(angle), ops.sin(angle)
        turned = ops.concatenate([light, cos * one - sin * other, sin * one + cos * other], axis=-1)
        images = ops.matmul(turned, np.linalg.inv(_YIQ).T.astype("float32"))
    if contrast:
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        images = mean + (images - mean) * drawn(1.0, contrast)
    return ops.clip(images, 0.0, 255.0)


def cut_out(images: Any, side: int, seed: keras.random.SeedGenerator) -> Any:
    """Images with zeros in a square of `side`, whose centre is any pixel, so that a part may lie outside.

    Source: DeVries & Taylor (2017), §3.2, and their code: an even side begins at centre − side/2.

    Differs from their code: an odd side has the centre in its middle; theirs ends one pixel earlier, so that
    the square is one pixel smaller.

    Args:
        images: whitened, so that 0 is the mean colour.
        side: in pixels.
        seed: of the places.
    """
    batch, (height, width) = ops.shape(images)[0], images.shape[1:3]

    def inside(length: int) -> Any:
        first = keras.random.randint((batch, 1), 0, length, seed=seed) - side // 2
        place = ops.arange(length, dtype="int32")
        return ops.logical_and(place >= first, place < first + side)

    rows, columns = inside(height), inside(width)
    square = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
    return ops.where(square, ops.zeros_like(images), images)

"""Random changes of images, by numbers: regions against cutting and resizing, colours, squares."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from nas.training.augmentation import cut_out, random_regions, recoloured, resized_regions
from nas.training.image_input import ImageInput
from nas.training.image_recipe import ImageRecipe

LARGE: dict[str, Any] = {"upsample": None, "crop": 8, "flip": False, "random_area": [0.1, 1.0]}


def numpy_of(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def seed(number: int = 0) -> keras.random.SeedGenerator:
    return keras.random.SeedGenerator(number)


def pictures(count: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def column(*values: int) -> Any:
    return keras.ops.convert_to_tensor(np.array(values, "int32")[:, None])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_region_is_what_cutting_it_out_and_resizing_it_gives(dtype: str) -> None:
    images = pictures(4, 12, 9).astype(dtype)
    regions = [(0, 0, 12, 9), (3, 2, 5, 6), (11, 8, 1, 1), (1, 0, 10, 3)]
    mirrored = np.array([[False], [True], [False], [True]])
    got = numpy_of(resized_regions(images, tuple(map(column, *regions)), (7, 8), mirrored))  # type: ignore[arg-type]
    for image, (top, left, tall, wide), turned, one in zip(images, regions, mirrored, got, strict=True):
        part = image[top : top + tall, left : left + wide].astype("float32")
        expected = numpy_of(keras.ops.image.resize(part, (7, 8), data_format="channels_last"))
        np.testing.assert_allclose(one, expected[:, ::-1] if turned[0] else expected, atol=1e-3)


def test_a_whole_image_of_the_right_size_stays_as_it_is() -> None:
    images = pictures(2, 6, 5)
    whole = (column(0, 0), column(0, 0), column(6, 6), column(5, 5))
    np.testing.assert_array_equal(numpy_of(resized_regions(images, whole, (6, 5), None)), images)


def test_regions_lie_inside_and_have_the_areas_and_shapes_that_are_allowed() -> None:
    drawn = random_regions(4000, (100, 160), (0.2, 0.5), (0.5, 2.0), seed())
    top, left, tall, wide = (numpy_of(value)[:, 0] for value in drawn)
    assert min(top.min(), left.min()) == 0
    assert (top + tall).max() == 100
    assert (left + wide).max() == 160
    inside = tall < 100  # the others were cut down to the image
    area, aspect = (tall * wide / 16000)[inside], (wide / tall)[inside]
    assert 0.19 < area.min() < 0.21
    assert 0.49 < area.max() < 0.51
    assert 0.49 < aspect.min() < 0.52
    assert 1.9 < aspect.max() < 2.03
    assert 0.45 < (wide > tall).mean() < 0.65


def test_regions_may_be_as_small_as_a_pixel() -> None:
    top, _, tall, wide = random_regions(50, (3, 3), (0.001, 0.001), (1.0, 1.0), seed())
    assert set(numpy_of(tall).ravel()) == set(numpy_of(wide).ravel()) == {1}
    assert set(numpy_of(top).ravel()) == {0, 1, 2}


def changed(images: Any, **colours: float) -> np.ndarray:
    values = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, **colours}
    return numpy_of(recoloured(images, **values, seed=seed()))


def test_brightness_adds_one_number_to_an_image_and_is_cut_at_the_ends() -> None:
    images = np.full((500, 2, 2, 3), 100.0, "float32")
    added = changed(images, brightness=0.2) - 100
    assert np.ptp(added, axis=(1, 2, 3)).max() == 0
    assert -51 <= added.min() < -49
    assert 49 < added.max() <= 51
    assert changed(images + 155, brightness=1.0).max() == 255


def test_contrast_is_of_the_distance_from_each_channels_mean() -> None:
    images = np.zeros((500, 1, 2, 3), "float32")
    images[:, 0, :, 0], images[:, 0, :, 1], images[:, 0, :, 2] = (100, 140), 50, (80, 60)
    found = changed(images, contrast=0.5)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), [[120, 50, 70]] * 500, rtol=1e-5)
    factors = (found[:, 0, 1, 0] - 120) / 20
    np.testing.assert_allclose((found[:, 0, 0, 2] - 70) / 10, factors, rtol=1e-4)
    assert 0.5 <= factors.min() < 0.51
    assert 1.49 < factors.max() <= 1.5


def test_saturation_and_hue_leave_grey_as_it_is_and_keep_the_brightness_of_colours() -> None:
    grey = np.full((50, 1, 1, 3), 77.0, "float32")
    np.testing.assert_allclose(changed(grey, saturation=0.5, hue=0.5), grey, atol=0.1)
    orange = np.broadcast_to(np.array([150.0, 120, 100], "float32"), (200, 1, 1, 3))
    for options in ({"saturation": 0.5}, {"hue": 0.5}):
        found = changed(orange, **options)[:, 0, 0, :]
        weights = np.array([0.299, 0.587, 0.114])
        np.testing.assert_allclose(found @ weights, [orange[0, 0, 0] @ weights] * 200, atol=0.1)
        assert np.ptp(found[:, 0]) > 10, options


def test_a_full_turn_of_the_hue_reaches_all_colours_and_half_a_turn_is_its_opposite() -> None:
    red = np.broadcast_to(np.array([160.0, 110, 110], "float32"), (400, 1, 1, 3))
    found = changed(red, hue=0.5)[:, 0, 0, :]
    assert set(found.argmax(axis=1)) == {0, 1, 2}


def test_squares_are_cut_out_around_every_pixel_and_end_at_the_border() -> None:
    images = np.ones((3000, 6, 5, 2), "float32")
    holes = numpy_of(cut_out(images, 4, seed())) == 0
    assert (holes.all(axis=-1) == holes.any(axis=-1)).all()
    seen = set()
    for hole in holes[..., 0]:
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert hole[np.ix_(rows, columns)].all()
        assert hole.sum() == len(rows) * len(columns)
        seen.add((rows[0], rows[-1], columns[0], columns[-1]))
    spans = [
        {(max(0, c - 2), min(length, c + 2) - 1) for c in range(length)} for length in (6, 5)
    ]  # DeVries & Taylor's code: clip(centre − side // 2), clip(centre + side // 2)
    assert seen == {(*rows, *columns) for rows in spans[0] for columns in spans[1]}


def layer(shape: tuple[int, int, int], number: int = 0, **options: Any) -> ImageInput:
    mean, deviation = np.full(shape[2], 100.0), np.full(shape[2], 50.0)
    return ImageInput(ImageRecipe(**{**LARGE, **options}), shape, mean, deviation, number)


def test_training_sees_resized_regions_of_its_own_image_and_evaluation_the_centre() -> None:
    images = np.zeros((40, 20, 16, 3), np.uint8) + np.arange(40, dtype=np.uint8)[:, None, None, None]
    trained = numpy_of(layer((20, 16, 3), flip=True)(images, training=True))
    assert trained.shape == (40, 8, 8, 3)
    expected = np.broadcast_to((images[:, :1, :1] - 100.0) / 50, trained.shape)
    np.testing.assert_allclose(trained, expected, atol=1e-5)
    picture = pictures(3, 20, 16)
    judged = numpy_of(layer((20, 16, 3), central_fraction=0.75)(picture, training=False))
    centre = (picture[:, 2:18, 2:14].astype("float32") - 100) / 50
    np.testing.assert_allclose(
        judged, numpy_of(keras.ops.image.resize(centre, (8, 8), data_format="channels_last")), atol=1e-5
    )


def test_what_is_random_follows_from_the_seed_and_evaluations_have_none_of_it() -> None:
    options: dict[str, Any] = {"flip": True, "brightness": 0.1, "hue": 0.1, "contrast": 0.5, "cutout": 3}
    images = pictures(6, 10, 12)
    first, again, other = (
        numpy_of(layer((10, 12, 3), number, **options)(images, training=True)) for number in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    plain = numpy_of(layer((10, 12, 3))(images, training=False))
    np.testing.assert_array_equal(numpy_of(layer((10, 12, 3), 1, **options)(images, training=False)), plain)


def test_squares_are_the_mean_colour_in_the_window_that_the_network_sees() -> None:
    images = np.full((50, 8, 8, 1), 200, np.uint8)
    recipe = ImageRecipe(upsample=None, crop=6, flip=True, cutout=4)
    prepare = ImageInput(recipe, (8, 8, 1), np.array([100.0]), np.array([50.0]), 0)
    found = numpy_of(prepare(images, training=True))
    assert found.shape == (50, 6, 6, 1)
    assert set(np.unique(found)) == {0.0, 2.0}
    assert (found == 0).sum(axis=(1, 2, 3)).max() == 16
    assert set(np.unique(numpy_of(prepare(images, training=False)))) == {2.0}

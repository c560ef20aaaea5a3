"""What a network sees: whitened, enlarged, cut and mirrored images, drawn anew for each image."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from nas import networks
from nas.spaces import parse_architecture
from nas.training.image_input import ImageInput, Trainee
from nas.training.image_recipe import ImageRecipe

OFF: dict[str, Any] = {"upsample": None, "crop": None, "flip": False}


def layer(shape: tuple[int, int, int], seed: int = 0, **options: Any) -> ImageInput:
    channels = shape[2]
    return ImageInput(ImageRecipe(**{**OFF, **options}), shape, np.zeros(channels), np.ones(channels), seed)


def numpy_of(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_each_channel_is_whitened_with_its_own_mean_and_deviation() -> None:
    images = np.array([[[[10, 200]]]], np.uint8)
    prepare = ImageInput(ImageRecipe(**OFF), (1, 1, 2), np.array([4.0, 100.0]), np.array([2.0, 50.0]), 0)
    np.testing.assert_allclose(numpy_of(prepare(images, training=False)), [[[[3.0, 2.0]]]])


def test_an_evaluation_takes_the_central_window_with_the_odd_pixel_at_the_bottom_and_the_right() -> None:
    images = np.arange(20, dtype=np.uint8).reshape(1, 5, 4, 1)
    window = numpy_of(layer((5, 4, 1), crop=[2, 3])(images, training=False))
    np.testing.assert_array_equal(window, images[:, 1:3, 0:3])


def test_images_are_enlarged_bilinearly() -> None:
    images = np.array([[0, 100], [0, 100]], np.uint8).reshape(1, 2, 2, 1)
    enlarged = numpy_of(layer((2, 2, 1), upsample=4)(images, training=False))
    np.testing.assert_allclose(enlarged[0, :, :, 0], [[0, 25, 75, 100]] * 4)


def test_training_windows_are_windows_of_their_own_image_and_all_of_them_occur() -> None:
    images = np.arange(3 * 4 * 4 * 2, dtype=np.uint8).reshape(3, 4, 4, 2)
    prepare = layer((4, 4, 2), crop=3)
    seen: set[tuple[int, int]] = set()
    for _ in range(30):
        for image, window in zip(images, numpy_of(prepare(images, training=True)), strict=True):
            places = [
                (top, left)
                for top in range(2)
                for left in range(2)
                if np.array_equal(image[top : top + 3, left : left + 3], window)
            ]
            assert len(places) == 1
            seen.update(places)
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_about_half_of_the_training_images_are_mirrored_left_to_right() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    images = np.broadcast_to(image, (1000, 3, 4, 1))
    prepared = numpy_of(layer((3, 4, 1), flip=True)(images, training=True))
    mirrored = [np.array_equal(one, image[:, ::-1]) for one in prepared]
    same = [np.array_equal(one, image) for one in prepared]
    assert sum(mirrored) + sum(same) == 1000
    assert 430 < sum(mirrored) < 570


def test_evaluations_and_recipes_without_augmentation_are_left_as_they_are() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    for _ in range(10):
        np.testing.assert_array_equal(numpy_of(layer((3, 4, 1), flip=True)(images, training=False)), images)
    np.testing.assert_array_equal(numpy_of(layer((3, 4, 1))(images, training=True)), images)


def test_windows_follow_from_the_seed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 1), dtype=np.uint8)
    first, again, other = (
        numpy_of(layer((6, 6, 1), seed, crop=3, flip=True)(images, training=True)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("training", [False, True])
def test_indices_of_images_on_the_device_give_what_the_images_give(training: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 1), dtype=np.uint8)
    rows = np.array([7, 0, 3], np.int32)
    outputs = []
    for resident in (images, None):
        network = networks.build(parse_architecture("conv:3x3x4@0"), (5, 5, 1), 3, seed=0)
        trainee = Trainee(network, layer((6, 6, 1), crop=5), resident)
        outputs.append(numpy_of(trainee(rows if resident is not None else images[rows], training=training)))
    assert outputs[0].shape == (3, 3)
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-5)


def test_only_the_networks_weights_are_trained() -> None:
    network = networks.build(parse_architecture("conv:3x3x4@0"), (6, 6, 1), 3, seed=0)
    trainee = Trainee(network, layer((6, 6, 1)), np.zeros((10, 6, 6, 1), np.uint8))
    assert len(trainee.trainable_variables) == len(network.trainable_variables)

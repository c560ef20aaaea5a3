"""Served models: raw images in, the same predictions as in training out, without our code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nas import datasets
from nas.errors import InputError
from nas.networks import build
from nas.spaces import parse_architecture
from nas.training import child, image
from nas.training.image_input import ImageInput
from nas.training.image_recipe import ImageRecipe
from nas.training.image_serving import measure, serving_model, whitening
from nas.training.run import Run
from nas.training.saving import save_model
from tests.training.conftest import CPU, begin_python, end_python

WITHOUT_US = """
import json, sys
sys.modules["nas"] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
print(json.dumps(model.predict(np.load(sys.argv[2]), verbose=0).tolist()))
"""


@pytest.fixture
def recipe() -> ImageRecipe:
    return ImageRecipe(upsample=[12, 11], crop=[9, 8])


def test_a_new_process_without_our_code_predicts_the_same_from_raw_images(
    digits: datasets.Prepared, recipe: ImageRecipe, tmp_path: Path
) -> None:
    network = build(parse_architecture("conv:3x3x4@0,5x1x4s2@0+1"), (9, 8, 1), 10, seed=0)
    served = serving_model(network, digits, recipe)
    path = save_model(served, tmp_path / "new" / "model.keras")
    assert [file.name for file in path.parent.iterdir()] == ["model.keras"]
    raw = np.array(digits.split("test")[0][:20])
    np.save(tmp_path / "raw.npy", raw)
    there = end_python(begin_python(WITHOUT_US, str(path), str(tmp_path / "raw.npy")))
    np.testing.assert_allclose(there, served.predict(raw, verbose=0), rtol=1e-5, atol=1e-7)

    mean, deviation = whitening(digits)
    prepare = ImageInput(recipe, digits.image_shape, mean, deviation, 0)
    as_in_training = network(prepare(raw, training=False), training=False)
    np.testing.assert_allclose(there, as_in_training, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(served.predict(raw.astype("float32"), verbose=0), there, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", [{"central_fraction": 0.8, "crop": [9, 5]}, {"crop": 6}, {"crop": 8}])
def test_the_central_region_is_served_as_evaluations_see_it(
    digits: datasets.Prepared, options: dict[str, Any]
) -> None:
    augmented = {"contrast": 0.5, "brightness": 0.1, "cutout": 3, "weight_average": 0.9}
    recipe = ImageRecipe(upsample=None, random_area=[0.1, 1], **augmented, **options)
    network = build(parse_architecture("conv:3x3x4@0"), recipe.input_shape((8, 8, 1)), 10, seed=0)
    prepare = ImageInput(recipe, digits.image_shape, *whitening(digits), 0)
    raw = np.array(digits.split("test")[0][:20])
    served = serving_model(network, digits, recipe).predict(raw, verbose=0)
    np.testing.assert_allclose(served, network(prepare(raw), training=False), rtol=1e-4, atol=1e-6)
    assert np.abs(served - np.roll(served, 1, axis=0)).max() > 1e-3


def test_a_channel_that_never_varies_is_served_without_dividing_by_zero(digits: datasets.Prepared) -> None:
    import dataclasses

    still = dataclasses.replace(digits, std=(0.0,))
    network = build(parse_architecture("conv:3x3x4@0"), (8, 8, 1), 10, seed=0)
    served = serving_model(network, still, ImageRecipe(upsample=None, crop=None))
    assert np.isfinite(served.predict(np.array(digits.split("test")[0][:2]), verbose=0)).all()


def test_an_evaluation_gives_the_accuracy_of_the_training_and_counts_every_image(
    run: Callable[..., Run], digits: datasets.Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = run(folder=tmp_path, upsample=10, crop=8)
    image.train(training)
    monkeypatch.setattr("nas.training.device.prepare", lambda _: None)
    arguments = {"model": training.files["model"], "data": str(digits.folder), "split": "validation"}
    measured = child.carry_out({"function": ImageRecipe.tester, "arguments": arguments, "device": CPU})
    assert measured["value"] == pytest.approx(training.history[-1]["val_accuracy"])
    confusion = np.array(measured["details"]["confusion"])
    _, labels = digits.split("validation")
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(labels, minlength=10))
    assert np.trace(confusion) / measured["examples"] == pytest.approx(measured["value"])


def test_rows_of_the_confusion_are_true_classes(digits: datasets.Prepared, tmp_path: Path) -> None:
    image_input = keras.Input(digits.image_shape)
    always_three = keras.layers.Dense(10, activation="softmax", kernel_initializer="zeros")
    model = keras.Model(image_input, always_three(keras.layers.Flatten()(image_input)))
    always_three.bias.assign(np.eye(10)[3])
    measured = measure(str(save_model(model, tmp_path / "model.keras")), str(digits.folder), "test")
    _, labels = digits.split("test")
    np.testing.assert_array_equal(
        np.array(measured["details"]["confusion"])[:, 3], np.bincount(labels, minlength=10)
    )


def test_a_model_of_other_images_is_refused(digits: datasets.Prepared, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(InputError, match=r"maps images \(4, 4, 1\) to 10 classes, but the data set digits"):
        measure(str(save_model(model, tmp_path / "model.keras")), str(digits.folder), "test")


def test_calling_the_model_is_inference_whatever_its_preprocessing(digits: datasets.Prepared) -> None:
    """Keras' resizing layers put what follows them into training mode unless they are told not to."""
    network = build(parse_architecture("conv:3x3x8@0,3x3x8@1"), (6, 6, 1), 10, seed=1)
    recipe = ImageRecipe(upsample=10, crop=6, flip=False)
    model = serving_model(network, digits, recipe)
    images = np.asarray(digits.split("validation")[0][:16], "float32")
    called = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(called, model.predict(images, verbose=0), atol=1e-5)

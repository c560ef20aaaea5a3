"""Trained image networks as others use them: raw images in, class probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from nas import datasets
from nas.datasets import PreparedImages
from nas.errors import InputError
from nas.training.image_recipe import ImageRecipe
from nas.training.measured import Measured, wilson

CHUNK = 4096
CHUNK_BYTES = 2**27
"""Images read from disk at a time, at most this many and no more than these bytes of pixels, but one."""


def whitening(prepared: PreparedImages) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by which each channel is whitened; one that never varies is only shifted."""
    deviation = np.asarray(prepared.std, "float32")
    return np.asarray(prepared.mean, "float32"), np.where(deviation > 0, deviation, np.float32(1))


def serving_model(network: keras.Model, prepared: PreparedImages, recipe: ImageRecipe) -> keras.Model:
    """The network with its preprocessing inside, of stock Keras layers only.

    Input: raw images of values 0–255 (whole numbers or not), `(batch, *prepared.image_shape)`. Output:
    float32 class probabilities `(batch, classes)`. Images are whitened, enlarged and cut to the central
    window, or cut to the central region and resized, exactly as in the evaluations of the training. It
    computes in float32; a network that computes in float32 too shares its weights, another is copied.
    """
    mean, deviation = whitening(prepared)
    size = recipe.scaled_size(prepared.image_shape)
    window = recipe.input_shape(prepared.image_shape)[:2]
    image = keras.Input(prepared.image_shape, dtype="float32", name="image")
    tensor = layers.Normalization(
        mean=[float(value) for value in mean],
        variance=[float(value) ** 2 for value in deviation],
        dtype="float32",
        name="whiten",
    )(image)
    # training=False: else these layers (Keras 3.15) put the network after them into training mode
    # whenever the model is called or exported, and batch normalisation then uses the batch
    if recipe.random_area is not None:
        centre, size = recipe.central_region(prepared.image_shape), window
        if centre != prepared.image_shape[:2]:
            tensor = layers.CenterCrop(*centre, data_format="channels_last", dtype="float32", name="centre")(
                tensor, training=False
            )
    if tensor.shape[1:3] != size:
        tensor = layers.Resizing(
            *size,
            interpolation="bilinear",
            data_format="channels_last",
            dtype="float32",
            name="resize" if recipe.random_area else "enlarge",
        )(tensor, training=False)
    if window != size:
        tensor = layers.CenterCrop(*window, data_format="channels_last", dtype="float32", name="crop")(
            tensor, training=False
        )
    return keras.Model(image, _in_float32(network)(tensor), name=network.name + "_served")


def _in_float32(network: keras.Model) -> keras.Model:
    if all(layer.compute_dtype == "float32" for layer in network.layers):
        return network

    def copy(layer: keras.Layer) -> keras.Layer:
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    copied = keras.models.clone_model(network, clone_function=copy)
    copied.set_weights(network.get_weights())
    return copied


def measure(model: str, data: str, split: str, batch_size: int = 256) -> dict[str, Any]:
    """Measures the accuracy of a saved serving model on one split of a prepared data set.

    Args:
        model: path of a `.keras` file that `save_model` wrote.
        data: folder of the prepared data.
        split: `train`, `validation` or `test`.
        batch_size: images at a time.

    Returns:
        `Measured` as JSON. Its details: `classes`; `correct`; `confusion`, a list of lists: row = true
        class, column = predicted class, entry = number of images.

    Raises:
        InputError: the model doesn't fit the data.
    """
    prepared = datasets.load(Path(data), PreparedImages)
    images, labels = prepared.split(split)
    network = keras.models.load_model(model, compile=False)
    classes = len(prepared.classes)
    if network.input_shape[1:] != prepared.image_shape or network.output_shape[1:] != (classes,):
        raise InputError(
            f"{model} maps images {network.input_shape[1:]} to {network.output_shape[-1]} classes, but the "
            f"data set {prepared.name} has images {prepared.image_shape} and {classes} classes"
        )
    confusion = np.zeros((classes, classes), int)
    size = max(1, min(CHUNK, CHUNK_BYTES // images[:1].nbytes))
    for start in range(0, len(images), size):
        chunk = slice(start, start + size)
        predicted = network.predict(images[chunk], batch_size=batch_size, verbose=0).argmax(axis=1)
        np.add.at(confusion, (labels[chunk], predicted), 1)
    correct = int(np.trace(confusion))
    low, high = wilson(correct, len(images))
    details = {"classes": list(prepared.classes), "correct": correct, "confusion": confusion.tolist()}
    return Measured(
        "accuracy", correct / len(images), low, high, len(images), "images", details=details
    ).to_json()

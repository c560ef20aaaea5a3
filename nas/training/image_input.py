"""From raw images to what a network sees, inside the compiled step; and the network in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nas.networks import Network
from nas.training.augmentation import cut_out, random_regions, recoloured, resized_regions
from nas.training.image_recipe import ImageRecipe
from nas.training.optimizing import WeightAverage


class ImageInput(keras.layers.Layer):  # type: ignore[misc]
    """Prepares a batch of raw images; with augmentation in training, without it otherwise.

    Input: 4D tensor of values 0–255, with shape `(batch, height, width, channels)`.
    Output: 4D float32 tensor with shape `(batch, *recipe.input_shape(image_shape))`.

    Whitening is x ↦ (x − mean) / deviation for each channel. In training each image gets its own
    random window and is mirrored half of the time; otherwise the window is the central one. With
    `random_area`, it is a random region that is resized to the window's size, otherwise the central one.
    Colours change before the whitening, squares are cut out last.

    Args:
        recipe: which of these steps are on.
        image_shape: (height, width, channels) of the raw images.
        mean, deviation: for each channel, in units of 0–255.
        seed: of the random windows and mirrorings.
    """

    def __init__(
        self,
        recipe: ImageRecipe,
        image_shape: tuple[int, int, int],
        mean: np.ndarray,
        deviation: np.ndarray,
        seed: int,
    ) -> None:
        super().__init__(name="image_input", dtype="float32")
        self._raw = (image_shape[0], image_shape[1])
        self._scaled = recipe.scaled_size(image_shape)
        self._window = recipe.input_shape(image_shape)[:2]
        self._area, self._aspect = recipe.random_area, recipe.random_aspect
        self._centre = recipe.central_region(image_shape)
        self._flip = recipe.flip
        self._colour = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
        self._cutout = recipe.cutout
        self._mean = np.asarray(mean, "float32")
        self._deviation = np.asarray(deviation, "float32")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        if training and self._area is not None:
            images = self._random_region(images, self._area)
        images = ops.cast(images, "float32")
        if training and any(self._colour):
            images = recoloured(images, *self._colour, self.seed_generator)
        images = (images - self._mean) / self._deviation
        if self._area is None:
            if self._scaled != self._raw:
                images = _resized(images, self._scaled)
            if training and (self._flip or self._window != self._scaled):
                images = self._random_window(images)
            else:
                images = _central(images, self._scaled, self._window)
        elif not training:
            images = _resized(_central(images, self._raw, self._centre), self._window)
        return cut_out(images, self._cutout, self.seed_generator) if training and self._cutout else images

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], *self._window, input_shape[-1])

    def _random_region(self, images: Any, area: Sequence[float]) -> Any:
        """A region of random area, shape and place, resized to the window's size and perhaps mirrored."""
        batch = ops.shape(images)[0]
        regions = random_regions(batch, self._raw, area, self._aspect, self.seed_generator)
        mirrored = None
        if self._flip:
            mirrored = keras.random.uniform((batch, 1), seed=self.seed_generator) < 0.5
        return resized_regions(images, regions, self._window, mirrored)

    def _random_window(self, images: Any) -> Any:
        """Window and mirroring as a single gather of pixels, which costs less than two slicings."""
        batch, channels = ops.shape(images)[0], images.shape[-1]
        (scaled_height, scaled_width), (height, width) = self._scaled, self._window
        top = keras.random.randint((batch, 1), 0, scaled_height - height + 1, seed=self.seed_generator)
        left = keras.random.randint((batch, 1), 0, scaled_width - width + 1, seed=self.seed_generator)
        rows = top + ops.arange(height, dtype="int32")
        columns = left + ops.arange(width, dtype="int32")
        if self._flip:
            mirrored = keras.random.uniform((batch, 1), seed=self.seed_generator) < 0.5
            columns = ops.where(mirrored, ops.flip(columns, axis=1), columns)
        first = ops.arange(batch, dtype="int32")[:, None, None] * scaled_height
        pixels = (first + rows[:, :, None]) * scaled_width + columns[:, None, :]
        return ops.take(ops.reshape(images, (-1, channels)), pixels, axis=0)


def _resized(images: Any, size: tuple[int, int]) -> Any:
    return ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")


def _central(images: Any, whole: tuple[int, int], size: tuple[int, int]) -> Any:
    """The window of `size` in the middle of `whole`; an odd pixel is left out at the bottom and the right."""
    top, left = (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
    return images[:, top : top + size[0], left : left + size[1], :]


def logits(network: keras.Model) -> keras.Model:
    """The network up to the input of its softmax and to its auxiliary heads, sharing its layers.

    The loss is computed from logits: probabilities have already lost digits.
    """
    main, others = network.get_layer("logits").output, network.outputs[1:]
    return keras.Model(network.input, [main, *others] if others else main, name="to_logits")


class Trainee(keras.Model):  # type: ignore[misc]
    """A network in training: takes indices of images held on the device, or raw images.

    Input: with `images`, a 1D int32 tensor of indices into them, with shape `(batch,)`; without,
    raw images of shape `(batch, height, width, channels)`. Output: logits `(batch, classes)`; in training
    those of the network's auxiliary heads follow in a list. Metrics are of the main logits, and the losses of
    auxiliary heads are added to the loss of a training step only.

    Args:
        network: built by `nas.networks.build_network`, or its model if that is all.
        preparation: turns raw images into the network's input.
        images: uint8 array of all images, to be held on the device; None: images are streamed.
        steps: of the whole training, for the network's `progress`.
        label_smoothing: see `ImageRecipe`; of the loss of a training step only.
        weight_average: decay of an average of the weights, see `ImageRecipe`; 0: there is none.

    Attributes:
        average: of the weights, or None.
    """

    def __init__(
        self,
        network: Network | keras.Model,
        preparation: ImageInput,
        images: np.ndarray | None = None,
        steps: int = 1,
        label_smoothing: float = 0.0,
        weight_average: float = 0.0,
    ) -> None:
        super().__init__(name="trainee")
        network = network if isinstance(network, Network) else Network(network)
        self.to_logits = logits(network.model)
        self.auxiliary = network.auxiliary
        self.progress: Any = network.progress
        self._label_smoothing = label_smoothing
        self.average: WeightAverage | None = None
        if weight_average:
            self.average = WeightAverage(network.model, weight_average, without=[self.progress])
        self._steps, self._done = steps, None
        if self.progress is not None or self.average is not None:
            self._done = keras.Variable(0, dtype="int32", trainable=False, name="steps_done")
        self.preparation = preparation
        # A variable and no constant: a backend would copy a constant into the compiled program.
        self.images = (
            None if images is None else keras.Variable(images, dtype="uint8", trainable=False, name="images")
        )

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, batch: Any, training: bool = False) -> Any:
        images = batch if self.images is None else ops.take(self.images, batch, axis=0)
        if training and self._done is not None:
            if self.average is not None:
                self.average(self._done)
            self._done.assign(self._done + 1)
            if self.progress is not None:
                self.progress.assign(ops.minimum(ops.cast(self._done, "float32") / self._steps, 1.0))
        outputs = self.to_logits(self.preparation(images, training=training), training=training)
        return outputs[0] if self.auxiliary and not training else outputs

    def go_on_after(self, steps: int) -> None:
        """Says how many steps of the training are over."""
        if self._done is not None:
            self._done.assign(steps)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        main, *others = y_pred if isinstance(y_pred, list) else [y_pred]
        loss = super().compute_loss(x, y, main, sample_weight, training)
        for weight, predicted in zip(self.auxiliary, others, strict=False):  # none in an evaluation
            loss = loss + weight * self.loss(y, predicted)
        if training and self._label_smoothing:
            for weight, predicted in zip((1.0, *self.auxiliary), (main, *others), strict=True):
                loss = loss + weight * self._label_smoothing * _smoothing(y, predicted)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().compute_metrics(x, y, y_pred[0] if isinstance(y_pred, list) else y_pred, sample_weight)


def _smoothing(labels: Any, predicted: Any) -> Any:
    """What label smoothing of 1 would add to the cross-entropy: it becomes the mean over all classes.

    The cross-entropy of class k is log Σ exp(z) − z_k, so that the difference is z_label − mean(z).

    Args:
        labels: integers `(batch,)`.
        predicted: logits z, `(batch, classes)`.
    """
    labels = ops.one_hot(
        ops.cast(ops.reshape(labels, (-1,)), "int32"), predicted.shape[-1], dtype=predicted.dtype
    )
    return ops.mean(ops.sum(labels * predicted, axis=-1) - ops.mean(predicted, axis=-1))

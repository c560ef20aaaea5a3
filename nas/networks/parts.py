"""Convolution with normalisation, and classifier: what the builders of image networks have in common."""

from __future__ import annotations

import random
from typing import Any

import keras
from keras import layers

from nas.networks.build import Settings

DATA_FORMAT = "channels_last"
"""How images lie in all networks, whatever the user's Keras is set to: `(batch, height, width, channels)`."""


class Parts:
    """Makes the weighted layers of one network, all with the same settings and own initial weights.

    Args:
        settings: of the network; each layer gets a seed derived from its seed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seeds = random.Random(settings.seed)

    def convolution(
        self,
        inputs: Any,
        filters: int,
        size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        *,
        relu: bool = True,
        name: str,
    ) -> Any:
        """Convolution without bias, SAME padding → batch normalisation → ReLU (if `relu`).

        Kernels begin as He-normal, for the ReLU that follows (He et al. 2015).
        """
        outputs = layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            data_format=DATA_FORMAT,
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=self._seed()),
            kernel_regularizer=self._penalty(),
            name=name,
        )(inputs)
        outputs = layers.BatchNormalization(
            momentum=self._settings.batch_norm_momentum,
            epsilon=self._settings.batch_norm_epsilon,
            name=f"{name}_norm",
        )(outputs)
        return layers.ReLU(name=f"{name}_relu")(outputs) if relu else outputs

    def classifier(self, inputs: Any) -> Any:
        """Average over height and width → dense layer with bias → softmax, all in float32."""
        means = layers.GlobalAveragePooling2D(data_format=DATA_FORMAT, dtype="float32", name="mean")(inputs)
        logits = layers.Dense(
            self._settings.classes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self._seed()),
            kernel_regularizer=self._penalty(),
            dtype="float32",
            name="logits",
        )(means)
        return layers.Softmax(dtype="float32", name="probabilities")(logits)

    def _seed(self) -> int:
        return self._seeds.getrandbits(31)

    def _penalty(self) -> keras.Regularizer | None:
        decay = self._settings.weight_decay
        return keras.regularizers.L2(decay / 2) if decay else None

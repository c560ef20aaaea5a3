"""What the builders of image networks have in common: convolution with normalisation, classifier."""

from __future__ import annotations

import random
from typing import Any

import keras
from keras import layers

DATA_FORMAT = "channels_last"
"""How images lie in all networks, whatever the user's Keras is set to: `(batch, height, width, channels)`."""


class Parts:
    """Makes the weighted layers of one network, all with the same settings and own initial weights.

    Args:
        seed: of the initial weights; each layer gets a seed derived from it.
        batch_norm_momentum, batch_norm_epsilon, weight_decay: see `nas.networks.build`.
    """

    def __init__(
        self, *, seed: int, batch_norm_momentum: float, batch_norm_epsilon: float, weight_decay: float
    ) -> None:
        self._seeds = random.Random(seed)
        self._momentum = batch_norm_momentum
        self._epsilon = batch_norm_epsilon
        self._weight_decay = weight_decay

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
            momentum=self._momentum, epsilon=self._epsilon, name=f"{name}_norm"
        )(outputs)
        return layers.ReLU(name=f"{name}_relu")(outputs) if relu else outputs

    def classifier(self, inputs: Any, classes: int) -> Any:
        """Average over height and width → dense layer with bias → softmax, all in float32."""
        means = layers.GlobalAveragePooling2D(data_format=DATA_FORMAT, dtype="float32", name="mean")(inputs)
        logits = layers.Dense(
            classes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self._seed()),
            kernel_regularizer=self._penalty(),
            dtype="float32",
            name="logits",
        )(means)
        return layers.Softmax(dtype="float32", name="probabilities")(logits)

    def _seed(self) -> int:
        return self._seeds.getrandbits(31)

    def _penalty(self) -> keras.Regularizer | None:
        return keras.regularizers.L2(self._weight_decay / 2) if self._weight_decay else None

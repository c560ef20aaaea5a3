"""Convolution with normalisation, and classifier: what the builders of image networks have in common."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from nas.networks.build import Settings

DATA_FORMAT = "channels_last"
"""How images lie in all networks, whatever the user's Keras is set to: `(batch, height, width, channels)`."""


def he_normal(seed: int) -> keras.Initializer:
    """For the ReLU that follows a convolution (He et al. 2015)."""
    return keras.initializers.HeNormal(seed=seed)


class Parts:
    """Makes the weighted layers of one network, all with the same settings and own initial weights.

    Args:
        settings: of the network; each layer gets a seed derived from its seed.
        kernels: how the kernels of convolutions begin, for a seed.
    """

    def __init__(self, settings: Settings, kernels: Callable[[int], keras.Initializer] = he_normal) -> None:
        self._settings, self._kernels = settings, kernels
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
        """Convolution without bias, SAME padding → batch normalisation → ReLU (if `relu`)."""
        outputs = self.conv2d(inputs, filters, size, stride=strides, name=name)
        outputs = self.batch_norm(outputs, name=f"{name}_norm")
        return layers.ReLU(name=f"{name}_relu")(outputs) if relu else outputs

    def conv2d(
        self,
        inputs: Any,
        filters: int,
        size: tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        dilation: int = 1,
        padding: str = "same",
        name: str,
    ) -> Any:
        """Convolution without bias."""
        return layers.Conv2D(
            filters,
            size,
            strides=stride,
            dilation_rate=dilation,
            padding=padding,
            data_format=DATA_FORMAT,
            use_bias=False,
            kernel_initializer=self._kernels(self._seed()),
            kernel_regularizer=self._penalty(),
            name=name,
        )(inputs)

    def separable_conv2d(self, inputs: Any, filters: int, size: int, *, stride: int = 1, name: str) -> Any:
        """Depthwise convolution with the stride, then a 1×1 convolution; without bias, SAME padding."""
        return layers.SeparableConv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            data_format=DATA_FORMAT,
            use_bias=False,
            depthwise_initializer=self._kernels(self._seed()),
            pointwise_initializer=self._kernels(self._seed()),
            depthwise_regularizer=self._penalty(),
            pointwise_regularizer=self._penalty(),
            name=name,
        )(inputs)

    def batch_norm(self, inputs: Any, *, name: str) -> Any:
        """Batch normalisation with scale and offset."""
        return layers.BatchNormalization(
            momentum=self._settings.batch_norm_momentum,
            epsilon=self._settings.batch_norm_epsilon,
            name=name,
        )(inputs)

    def classifier(self, inputs: Any) -> Any:
        """Average over height and width → dense layer with bias → softmax, all in float32."""
        return self.probabilities(self.dense(self.mean(inputs), self._settings.classes, name="logits"))

    def mean(self, inputs: Any) -> Any:
        """Average over height and width, in float32."""
        return layers.GlobalAveragePooling2D(data_format=DATA_FORMAT, dtype="float32", name="mean")(inputs)

    def dense(self, inputs: Any, outputs: int, *, name: str) -> Any:
        """Dense layer with bias, in float32."""
        return layers.Dense(
            outputs,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self._seed()),
            kernel_regularizer=self._penalty(),
            dtype="float32",
            name=name,
        )(inputs)

    def probabilities(self, logits: Any) -> Any:
        """Softmax, in float32."""
        return layers.Softmax(dtype="float32", name="probabilities")(logits)

    def _seed(self) -> int:
        return self._seeds.getrandbits(31)

    def _penalty(self) -> keras.Regularizer | None:
        decay = self._settings.weight_decay
        return keras.regularizers.L2(decay / 2) if decay else None

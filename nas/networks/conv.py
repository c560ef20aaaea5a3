"""Builds the convolutional networks of Zoph & Le (2017, §3)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from nas.networks.build import Settings, register
from nas.networks.parts import DATA_FORMAT, Parts
from nas.spaces.conv import ConvNet, Join, Layer


@register
def build_conv(architecture: ConvNet, settings: Settings) -> keras.Model:
    """Builds a `ConvNet`, which says what is concatenated, padded and pooled where; see `build_network`."""
    height, width, channels = settings.input_shape
    shapes = architecture.shapes((height, width, channels))
    parts = Parts(settings)
    image = keras.Input(settings.input_shape, name="image")
    joints = _Joints(image)
    for number, (layer, join) in enumerate(zip(architecture.layers, shapes.inputs, strict=True), 1):
        joined = joints.join(join, f"layer{number}")
        if layer.op == "conv":
            joints.outputs.append(_block(parts, joined, layer, architecture.block, f"layer{number}"))
        else:
            joints.outputs.append(_pooling(joined, layer, f"layer{number}"))
    head = joints.join(shapes.head, "head")
    return keras.Model(image, parts.classifier(head), name="conv")


class _Joints:
    """The outputs of the layers so far (the image first) and the ways from them to later layers."""

    def __init__(self, image: Any) -> None:
        self.outputs = [image]
        self._pooled: dict[tuple[int, int], Any] = {}

    def join(self, join: Join, name: str) -> Any:
        tensors = []
        for link in join.links:
            tensor = self._after_poolings(link.source, link.poolings)
            if link.pad != ((0, 0), (0, 0)):
                tensor = layers.ZeroPadding2D(
                    link.pad, data_format=DATA_FORMAT, name=f"{name}_pad{link.source}"
                )(tensor)
            tensors.append(tensor)
        return tensors[0] if len(tensors) == 1 else layers.Concatenate(name=f"{name}_join")(tensors)

    def _after_poolings(self, source: int, count: int) -> Any:
        """The output of `source` after `count` 2×2 poolings; links share what is pooled equally often."""
        if count == 0:
            return self.outputs[source]
        if (source, count) not in self._pooled:
            self._pooled[source, count] = layers.MaxPooling2D(
                2, strides=2, padding="same", data_format=DATA_FORMAT, name=f"pool{source}_{count}"
            )(self._after_poolings(source, count - 1))
        return self._pooled[source, count]


def _block(parts: Parts, joined: Any, layer: Layer, block: int, name: str) -> Any:
    """`block` convolutions, each of which sees the input and all earlier ones."""
    size = (layer.height, layer.width)
    if block == 1:
        return parts.convolution(joined, layer.filters, size, layer.strides, name=name)
    made: list[Any] = []
    for index in range(1, block + 1):
        seen = layers.Concatenate(name=f"{name}_{index}_join")([joined, *made]) if made else joined
        made.append(parts.convolution(seen, layer.filters, size, name=f"{name}_{index}"))
    return layers.Concatenate(name=f"{name}_out")(made)


def _pooling(joined: Any, layer: Layer, name: str) -> Any:
    cls = layers.MaxPooling2D if layer.op == "max_pool" else layers.AveragePooling2D
    size = (layer.height, layer.width)
    return cls(size, strides=layer.strides, padding="same", data_format=DATA_FORMAT, name=name)(joined)

"""Builds the hand-made baseline, a small residual network (He et al. 2016, §4.2)."""

from __future__ import annotations

import keras
from keras import layers

from nas.networks.build import Settings, register
from nas.networks.parts import Parts
from nas.spaces.resnet import ResNet


@register
def build_resnet(architecture: ResNet, settings: Settings) -> keras.Model:
    """Builds a `ResNet`, which says what its blocks are; see `build_network`."""
    parts = Parts(settings)
    image = keras.Input(settings.input_shape, name="image")
    tensor = parts.convolution(image, architecture.filters, (3, 3), name="stem")
    for number, block in enumerate(architecture.residual_blocks, 1):
        name, strides = f"block{number}", (block.stride, block.stride)
        inner = parts.convolution(tensor, block.filters, (3, 3), strides, name=f"{name}_first")
        inner = parts.convolution(inner, block.filters, (3, 3), relu=False, name=f"{name}_second")
        shortcut = tensor
        if block.projection:
            shortcut = parts.convolution(
                tensor, block.filters, (1, 1), strides, relu=False, name=f"{name}_shortcut"
            )
        tensor = layers.Add(name=f"{name}_sum")([inner, shortcut])
        tensor = layers.ReLU(name=f"{name}_relu")(tensor)
    return keras.Model(image, parts.classifier(tensor), name="resnet")

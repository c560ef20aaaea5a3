"""The builder of a user's own architecture, imported when it is needed."""

from __future__ import annotations

from typing import Any

import keras

from nas.networks import register
from tests.networks.test_build import Linear


@register
def build_linear(
    architecture: Linear, input_shape: tuple[int, int, int], classes: int, **settings: Any
) -> keras.Model:
    image = keras.Input(input_shape)
    logits = keras.layers.Dense(classes, name="logits")(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))

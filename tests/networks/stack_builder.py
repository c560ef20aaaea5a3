"""The builder of the stack `Plain`, with what only training uses: dropped cells and an auxiliary head."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from nas.networks import Network, Settings, TrainingOnly, register, training_progress
from nas.networks.parts import Parts
from tests.networks.stacks import HEAD, Plain, Twist


class Dropped(TrainingOnly):
    """Drops whole examples, the more the further the training is; see `Plain.drop`."""

    def __init__(self, rate: float, progress: keras.Variable, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.rate, self.progress = rate, progress
        self.masks = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        keep = 1 - self.rate * ops.convert_to_tensor(self.progress)
        drawn = keras.random.uniform((ops.shape(inputs)[0], 1, 1, 1), seed=self.masks)
        return inputs * ops.cast(drawn < keep, inputs.dtype) / ops.cast(keep, inputs.dtype)


@register(Plain)
def build_plain(architecture: Twist, settings: Settings) -> Network:
    stack, parts = settings.stack, Parts(settings)
    assert isinstance(stack, Plain)
    progress = training_progress()
    image = keras.Input(settings.input_shape, name="image")
    tensor = parts.convolution(image, stack.filters, (1, 1), relu=False, name="stem")
    window = (architecture.window, architecture.window)
    heads = []
    for number in range(stack.cells):
        inner = parts.convolution(tensor, stack.filters, window, name=f"cell{number}")
        if stack.drop:
            inner = Dropped(stack.drop, progress, settings.seed, name=f"drop{number}")(inner)
        tensor = layers.Add(name=f"sum{number}")([tensor, inner])
        if stack.auxiliary and not number:
            means = layers.GlobalAveragePooling2D(name="auxiliary_mean")(tensor)
            heads.append(layers.Dense(settings.classes, dtype="float32", name=HEAD)(means))
    model = keras.Model(image, [parts.classifier(tensor), *heads])
    return Network(model, (stack.auxiliary,) * len(heads), progress if stack.drop else None)

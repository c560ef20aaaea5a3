"""Builds networks of NASNet's cells (Zoph, Vasudevan, Shlens & Le, 2018); see `nas.spaces.nasnet_network`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from nas.networks.build import Network, Settings, TrainingOnly, register, training_progress
from nas.networks.parts import DATA_FORMAT, Parts
from nas.spaces.nasnet import NasNetCells
from nas.spaces.nasnet_network import Padding, Shape, Window, wire
from nas.spaces.nasnet_stack import NasNetStack


@register(NasNetStack)
def build_nasnet(architecture: NasNetCells, settings: Settings) -> Network:
    """Builds the network of a `NasNetStack`, with its auxiliary head if it has one; see `build_network`."""
    stack: Any = settings.stack
    stack.cost(architecture, settings.input_shape, settings.classes)  # says what is wrong
    parts = _KerasParts(settings, stack)
    image = keras.Input(settings.input_shape, name="image")
    logits, head = wire(parts, architecture, stack, image, settings.classes, head=stack.auxiliary > 0)
    outputs = [parts.probabilities(logits)]
    if head is not None:
        outputs.append(head)
    model = keras.Model(image, outputs if head is not None else outputs[0], name="nasnet")
    return Network(model, (stack.auxiliary,) * (len(outputs) - 1), parts.progress)


class DropPath(TrainingOnly):
    """Drops whole examples in training: ScheduledDropPath, or DropPath (Zoph et al. 2018, §3.1).

    Input and output: 4D tensor, with shape `(batch, height, width, channels)`. An example that is kept is
    divided by the probability of that. Source: `_apply_drop_path` and `drop_path` of the authors' code.

    Args:
        keep: probability that an example is kept, at the end of the training.
        seed: of the masks.
        progress: how much of the training is over, from 0 to 1: 1 − the probability rises with it from 0;
            None: `keep` is the probability from the beginning.
    """

    def __init__(
        self, keep: float, seed: int, progress: keras.Variable | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.keep, self.progress = keep, progress
        self.masks = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        keep: Any = self.keep
        if self.progress is not None:
            keep = 1 - ops.convert_to_tensor(self.progress) * (1 - self.keep)
        drawn = keras.random.uniform((ops.shape(inputs)[0], 1, 1, 1), dtype="float32", seed=self.masks)
        scale = ops.where(drawn < keep, 1 / keep, 0.0)
        return inputs * ops.cast(scale, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class Dropout(TrainingOnly):
    """Drops single values in training.

    Args:
        rate: share of the values.
        seed: of the masks.
    """

    def __init__(self, rate: float, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.rate = rate
        self.masks = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        return keras.random.dropout(inputs, self.rate, seed=self.masks) if training else inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def _fan_out(seed: int) -> keras.Initializer:
    """Initializer of kernels in the authors' code."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal", seed=seed)


class _KerasParts(Parts):
    """`nas.spaces.nasnet_network.NetworkParts` of Keras layers.

    What has no weights is made once: operations on the same state share its ReLU and its poolings.

    Differs from the authors' code: the classifier's weights begin as Glorot's, as in our other networks;
    theirs begin so large that the first loss is a multiple of that of guessing.

    Attributes:
        progress: of the training, where layers depend on it.
    """

    def __init__(self, settings: Settings, stack: NasNetStack) -> None:
        super().__init__(settings, _fan_out)
        scheduled = stack.drop_path_keep < 1 and stack.drop_path == "scheduled"
        self.progress = training_progress() if scheduled else None
        self._made: dict[tuple[Any, ...], Any] = {}

    def shape(self, tensor: Any) -> Shape:
        _, height, width, channels = tensor.shape
        return height, width, channels

    def rectified(self, tensor: Any) -> Any:
        return self._once(tensor, "relu", lambda name: layers.ReLU(name=name))

    def pooled(
        self,
        tensor: Any,
        kind: str,
        size: Window,
        *,
        stride: int,
        padding: Padding = "same",
        zeros: bool = False,
    ) -> Any:
        cls = layers.AveragePooling2D if kind == "avg" else layers.MaxPooling2D
        what = f"{kind}{size[0]}x{size[1]}s{stride}"
        if zeros:
            height, width, _ = self.shape(tensor)
            pad = tuple(_same_padding(*each, stride) for each in ((height, size[0]), (width, size[1])))
            tensor = self._once(
                tensor,
                f"pad{size[0]}",
                lambda name: layers.ZeroPadding2D(pad, data_format=DATA_FORMAT, name=name),
            )
            padding = "valid"
        return self._once(
            tensor,
            what,
            lambda name: cls(size, strides=stride, padding=padding, data_format=DATA_FORMAT, name=name),
        )

    def shifted(self, tensor: Any) -> Any:
        height, width, _ = self.shape(tensor)
        if height % 2 or width % 2:
            pad = ((0, height % 2), (0, width % 2))
            tensor = self._once(
                tensor, "pad", lambda name: layers.ZeroPadding2D(pad, data_format=DATA_FORMAT, name=name)
            )
        return self._once(
            tensor,
            "crop",
            lambda name: layers.Cropping2D(((1, 0), (1, 0)), data_format=DATA_FORMAT, name=name),
        )

    def added(self, tensors: Sequence[Any], *, name: str) -> Any:
        return layers.Add(name=name)(list(tensors))

    def concatenated(self, tensors: Sequence[Any], *, name: str) -> Any:
        return tensors[0] if len(tensors) == 1 else layers.Concatenate(name=name)(list(tensors))

    def example_norm(self, tensor: Any, *, each_channel: bool, name: str) -> Any:
        return layers.GroupNormalization(
            groups=-1 if each_channel else 1, epsilon=self._settings.batch_norm_epsilon, name=name
        )(tensor)

    def path(self, tensor: Any, keep: float, *, name: str) -> Any:
        return DropPath(keep, self._seed(), self.progress, name=name)(tensor)

    def dense(self, tensor: Any, outputs: int, *, name: str) -> Any:
        flat = layers.Flatten(name=f"{name}_inputs")(tensor) if len(tensor.shape) > 2 else tensor
        return super().dense(flat, outputs, name=name)

    def average(self, tensor: Any, *, dropout: float) -> Any:
        means = self.mean(tensor)
        return Dropout(dropout, self._seed(), dtype="float32", name="dropout")(means) if dropout else means

    def _once(self, tensor: Any, what: str, layer: Callable[[str], keras.Layer]) -> Any:
        """Output of a weightless layer on `tensor`, shared by all that ask for the same one."""
        source = tensor._keras_history.operation.name
        key = (source, what)
        if key not in self._made:
            self._made[key] = layer(f"{source}_{what}")(tensor)
        return self._made[key]


def _same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros before and behind an axis, with which a VALID window lies where a SAME one does."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2

"""Training of a child that classifies images, as a plain value (imports no Keras)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from nas import plugins
from nas.errors import InputError
from nas.spaces import Architecture, Cost, Stack
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.datasets import Prepared, PreparedImages

SCHEDULES = ("step", "cosine", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
DECAY = 0.1
"""Factor of the learning rate at each point of `decay_at` (DenseNet, Huang et al. 2016, §4.2)."""

Size = int | Sequence[int] | None


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """Training of one image classifier; the defaults are those of Zoph & Le for CIFAR-10.

    Images are whitened for each channel with mean and standard deviation of the training split,
    enlarged to `upsample`, then a random window of size `crop` is taken and mirrored left to right
    half of the time. For evaluation the window is the central one, at the same scale.

    Source: Zoph & Le (2017), §4.1 (Nesterov momentum 0.9, learning rate 0.1, weight decay 1e-4,
    50 epochs, random crops of 32×32 from enlarged images, flips). What they leave open follows
    DenseNet (Huang et al. 2016, §4.2): batches of 64, step decay at 50 % and 75 % of the epochs;
    the enlarged size, 40×40, is that of NASNet (Zoph et al. 2018, appendix A.1).

    Differs from the paper: an epoch leaves out its last, incomplete batch (another one each time,
    because the order is drawn anew), so that every step has one shape.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step; never more than there are.
        learning_rate: of the first epoch.
        momentum, nesterov: of stochastic gradient descent.
        weight_decay: adds `weight_decay · w` to the gradient of each kernel (convolutions and
            dense layers, neither biases nor batch normalisation). It is an L2 penalty of half this
            strength, so `loss` and `val_loss` of the history contain the penalty.
        schedule: `step` multiplies the learning rate by 0.1 at each fraction of `decay_at`;
            `cosine` falls from `learning_rate` towards 0 by half a cosine; `constant` stays. It
            changes between epochs.
        decay_at: fractions of `epochs`, rising, each between 0 and 1.
        upsample: size to which images are enlarged, a number or [height, width]; 0 or None: off. Larger
            images are shrunk to it, which is said when a search begins.
        crop: size of the random window, a number or [height, width]; None: off.
        flip: mirror left to right, half of the images at random.
        batch_norm_momentum: of the moving averages that evaluation uses. Keras' own 0.99 is too
            slow for short trainings: accuracy would read as chance.
        batch_norm_epsilon: added to the variance.
        precision: `bfloat16` computes in it and keeps weights and the softmax in float32; `auto`
            does so on a GPU and computes in float32 on a CPU.
        steps_per_execution: training steps for each call from Python; `auto` chooses by the epoch.
        train_examples: train on this many images only, the same ones for every child, with the
            classes in proportion; None: all.
        median_stopping: stop a child whose best validation accuracy so far is under the median of what the
            children of earlier rounds had at the same epoch (see `Recipe.stops_at_median`, which also tells
            how this differs from the rule of Vizier).
        grace_epochs: no child is stopped by this rule before it has finished this many epochs.
        latency_examples: measure the trained network's latency with so many examples at a time (see
            `nas.training.latency`), for a reward that trades it; 0: not at all.
        stack: what is built from a cell, by its name and options, as in
            `{name: my.stacks:Plain, cells: 6, filters: 32}` (see `nas.spaces.Stack`); None: the
            architecture is a whole network.
    """

    trainer: ClassVar[str] = "nas.training.image:train"
    tester: ClassVar[str] = "nas.training.image_serving:measure"
    exporter: ClassVar[str] = "nas.training.image_export:export"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "val_loss", "val_accuracy")
    watched: ClassVar[str] = "val_accuracy"

    epochs: int = 50
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    schedule: str = "step"
    decay_at: Sequence[float] = (0.5, 0.75)
    upsample: Size = 40
    crop: Size = 32
    flip: bool = True
    batch_norm_momentum: float = 0.9
    batch_norm_epsilon: float = 1e-5
    precision: str = "auto"
    steps_per_execution: int | str = "auto"
    train_examples: int | None = None
    median_stopping: bool = field(default=False, metadata={plugins.WAS: "stop_hopeless"})
    grace_epochs: int = 5
    latency_examples: int = 0
    stack: Stack | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self._whole("epochs", "batch_size")
        self._whole("grace_epochs", "latency_examples", least=0)
        if self.train_examples is not None:
            self._whole("train_examples")
        if self.steps_per_execution != "auto":
            self._whole("steps_per_execution", otherwise=" or 'auto'")
        self._number("learning_rate", above=0.0)
        self._number("weight_decay", least=0.0)
        self._number("batch_norm_epsilon", above=0.0)
        self._number("momentum", least=0.0, below=1.0)
        self._number("batch_norm_momentum", least=0.0, below=1.0)
        self._truth("nesterov", "flip", "median_stopping")
        self._one_of("schedule", SCHEDULES)
        self._one_of("precision", PRECISIONS)
        self._fractions()
        for name in ("upsample", "crop"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        object.__setattr__(self, "stack", _stack(self.stack))

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON; a whole network has no `stack`, as before there were any."""
        values = super().to_json()
        return values if self.stack is not None else {k: v for k, v in values.items() if k != "stack"}

    def _fractions(self) -> None:
        value: Any = self.decay_at
        if (
            isinstance(value, str)
            or not isinstance(value, Sequence)
            or any(isinstance(f, bool) or not isinstance(f, int | float) for f in value)
            or any(not 0 < fraction < 1 for fraction in value)
            or list(value) != sorted(set(value))
        ):
            raise InputError(
                "decay_at must list rising fractions of the epochs between 0 and 1, as in [0.5, 0.75]. "
                f"Received: {value!r}"
            )
        object.__setattr__(self, "decay_at", tuple(float(fraction) for fraction in value))

    def learning_rate_at(self, epoch: int) -> float:
        """The learning rate of epoch `epoch` (from 0).

        Example:
            >>> recipe = ImageRecipe(epochs=4, learning_rate=0.1)
            >>> [round(recipe.learning_rate_at(epoch), 6) for epoch in range(4)]
            [0.1, 0.1, 0.01, 0.001]
        """
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        if self.schedule == "step":
            # The small number keeps e.g. 0.7 · 10 from counting as more than 7.
            decays = sum(epoch >= fraction * self.epochs - 1e-9 for fraction in self.decay_at)
            return self.learning_rate * DECAY**decays
        return self.learning_rate

    def input_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """What the network sees of images of shape (height, width, channels).

        Raises:
            InputError: the window is larger than the (enlarged) image.
        """
        height, width, channels = image_shape
        scaled = self.scaled_size(image_shape)
        window = scaled if self.crop is None else _pair(self.crop)
        if window[0] > scaled[0] or window[1] > scaled[1]:
            raise InputError(
                f"crop {window[0]}×{window[1]} is larger than the images, {scaled[0]}×{scaled[1]}"
                f"{' after upsample' if self.upsample else ''}: make it smaller, or null for none "
                f"(the data's images are {height}×{width})"
            )
        return (*window, channels)

    def scaled_size(self, image_shape: Sequence[int]) -> tuple[int, int]:
        """Height and width of the images after `upsample`."""
        return _pair(self.upsample) if self.upsample else (image_shape[0], image_shape[1])

    def warning(self, data: Prepared) -> str:
        height, width, _ = _images(data).image_shape
        scaled = self.scaled_size((height, width))
        if scaled[0] >= height and scaled[1] >= width:
            return ""
        return (
            f"the images of '{data.name}' are {height}×{width} (height × width) and are shrunk to "
            f"{scaled[0]}×{scaled[1]}, as recipe.upsample says: give at least the images' own size, or "
            "null to leave them as they are"
        )

    def shapes(self, architecture: Architecture, data: Prepared) -> tuple[tuple[int, ...], int]:
        """What the network gets and gives, see `network_shapes`; for a cell that of the stack's first one."""
        shape, classes = self.network_shapes(data)
        stack = self.stack_of(architecture)
        return (shape, classes) if stack is None else stack.shapes(architecture, shape)

    def cost(self, architecture: Architecture, data: Prepared) -> Cost:
        stack = self.stack_of(architecture)
        if stack is None:
            return architecture.cost(*self.network_shapes(data))
        return stack.cost(architecture, *self.network_shapes(data))

    def network_shapes(self, data: Prepared) -> tuple[tuple[int, int, int], int]:
        """`(height, width, channels)` of the images that the network gets, and the number of classes."""
        return self.input_shape(_images(data).image_shape), len(_images(data).classes)

    def stack_of(self, architecture: Architecture) -> Stack | None:
        """The stack that makes a network out of `architecture`; None: it is a whole network.

        Raises:
            InputError: a cell has no stack, or a whole network has one.
        """
        stack: Any = self.stack
        if architecture.stacked and stack is None:
            raise InputError(
                f"'{architecture.kind}' is a cell: the recipe needs a stack of it, as in "
                "stack: {name: …, cells: 6, filters: 32}"
            )
        if stack is not None and not architecture.stacked:
            raise InputError(
                f"'{architecture.kind}' is not a convolutional cell, so that it can't be stacked by "
                f"'{stack.name}': leave the recipe's stack out, or search a space of cells"
            )
        return stack  # type: ignore[no-any-return]

    def required_by(self, architecture: Architecture) -> dict[str, Any]:
        return {} if architecture.stacked or self.stack is None else {"stack": None}


def _stack(value: Any) -> Stack | None:
    """The stack that the options of the YAML describe."""
    if value is None or isinstance(value, Stack):
        return value
    if not isinstance(value, Mapping) or "name" not in value:
        raise InputError(
            "stack must be its name and its options, as in {name: …, cells: 6, filters: 32}, or null: the "
            f"architecture is a whole network. Received: {value!r}"
        )
    cls = plugins.find("stack", str(value["name"]))
    if not (isinstance(cls, type) and issubclass(cls, Stack)):  # asked before anything of it is called
        raise InputError(f"stack '{value['name']}' is not a nas.spaces.Stack")
    made: Stack = plugins.make("stack", value)
    return made


def _images(data: Prepared) -> PreparedImages:
    from nas.datasets import PreparedImages

    if not isinstance(data, PreparedImages):
        raise InputError(f"the recipe 'image' needs a data set of images; {data.name} holds {data.kind}")
    return data


def _size(name: str, value: Any) -> Size:
    """None, a number, or a pair (height, width) of two that differ, checked."""
    if value is None or (value == 0 and not isinstance(value, bool) and name == "upsample"):
        return None
    numbers = [value] if isinstance(value, int) else value
    if (
        not isinstance(numbers, Sequence)
        or isinstance(value, str | bool)
        or len(numbers) not in (1, 2)
        or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers)
    ):
        raise InputError(
            f"{name} must be a whole number ≥ 1, [height, width] or null (off). Received: {value!r}"
        )
    return numbers[0] if len(set(numbers)) == 1 else (numbers[0], numbers[1])


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])

"""Training of a child that classifies images, as a plain value (imports no Keras)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from nas import plugins
from nas.errors import InputError
from nas.spaces import Architecture, Cost, Stack
from nas.training.recipe import Recipe
from nas.training.schedule import SCHEDULES, learning_rate

if TYPE_CHECKING:
    from nas.datasets import Prepared, PreparedImages

PRECISIONS = ("auto", "float32", "bfloat16")
OPTIMIZERS = ("sgd", "rmsprop")
INTERVALS = ("epoch", "step")

NEEDS = {
    "rmsprop_decay": ("optimizer", "rmsprop"),
    "rmsprop_epsilon": ("optimizer", "rmsprop"),
    "decay_factor": ("schedule", "exponential"),
    "decay_epochs": ("schedule", "exponential"),
    "random_aspect": ("random_area", "[0.08, 1.0]"),
    "central_fraction": ("random_area", "[0.08, 1.0]"),
}
"""Fields that mean something only beside another one: that, and a value that it needs."""

IS_ON: Mapping[str, Callable[[Any], bool]] = {"random_area": lambda value: value is not None}
"""When a field of `NEEDS` has what others need, if that isn't one value alone, which is then an example."""

EXAMPLES = {"random_area": (0.08, 1.0), "random_aspect": (0.75, 1.33)}
"""Of fields that are a smallest and a largest number; those of Inception, and of the authors' slim."""

Size = int | Sequence[int] | None


def _later(default: Any) -> Any:
    """A field that came later, and changes nothing at its default."""
    return field(default=default, metadata={plugins.LATER: True})


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """Training of one image classifier; the defaults are those of Zoph & Le for CIFAR-10.

    Images are whitened for each channel with mean and standard deviation of the training split,
    enlarged to `upsample`, then a random window of size `crop` is taken and mirrored left to right
    half of the time. For evaluation the window is the central one, at the same scale.

    Photographs are better trained with `random_area`: a region of random area and shape is resized to
    `crop`. For evaluation it is the central `central_fraction` of height and width that is resized.

    Source: Zoph & Le (2017), §4.1 (Nesterov momentum 0.9, learning rate 0.1, weight decay 1e-4,
    50 epochs, random crops of 32×32 from enlarged images, flips). What they leave open follows
    DenseNet (Huang et al. 2016, §4.2): batches of 64, step decay at 50 % and 75 % of the epochs;
    the enlarged size, 40×40, is that of NASNet (Zoph et al. 2018, appendix A.1).

    Differs from the paper: an epoch leaves out its last, incomplete batch (another one each time,
    because the order is drawn anew), so that every step has one shape.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step; never more than there are.
        optimizer: `sgd` with momentum, or `rmsprop` as NASNet's authors used it on ImageNet: each gradient is
            divided by √(mean square + epsilon), the mean square begins at 1, and momentum adds up the steps.
        learning_rate: of the first epoch.
        momentum: of either optimizer; `nesterov` is of `sgd` alone.
        rmsprop_decay: of the mean square of each gradient. 0.9 and ε 1.0 are those of NASNet (Zoph et al.
            2018, appendix A.7; Szegedy et al. 2016, §8).
        rmsprop_epsilon: added to the mean square under the root.
        gradient_clipping: the gradient's norm over all weights, the penalty's part included, is at most
            this; 0: off. NASNet's released code: 5 on CIFAR-10, 10 on ImageNet.
        label_smoothing: this much of the target is spread evenly over all classes (Szegedy et al. 2016, §7;
            0.1). It is of the training loss, auxiliary heads included; `val_loss` is of the true labels, so
            that it compares with that of any other recipe.
        weight_average: decay of an exponential moving average of all weights, the statistics of batch
            normalisation included; 0: off. Training goes on with the weights themselves, but validation,
            median stopping, and the saved model use the average. After t steps the decay is at most
            (1 + t) / (10 + t), so that a short training is no average over its first weights (TensorFlow's
            `ExponentialMovingAverage` with `num_updates`, as in the authors' slim; 0.9999).
        weight_decay: adds `weight_decay · w` to the gradient of each kernel (convolutions and
            dense layers, neither biases nor batch normalisation). It is an L2 penalty of half this
            strength, so `loss` and `val_loss` of the history contain the penalty.
        schedule: `step` multiplies the learning rate by 0.1 at each fraction of `decay_at`;
            `cosine` falls from `learning_rate` towards 0 by half a cosine; `exponential` multiplies it by
            `decay_factor` every `decay_epochs` epochs; `constant` stays.
        schedule_every: the learning rate changes between epochs (`epoch`), or with each `step` as in the
            code of NASNet's authors. The history has that of the first step of each epoch.
        decay_factor, decay_epochs: of `exponential`, in stairs, as in slim; 0.97 every 2.4 epochs is the
            recipe of NASNet on ImageNet.
        decay_at: fractions of `epochs`, rising, each between 0 and 1.
        upsample: size to which images are enlarged, a number or [height, width]; 0 or None: off. Larger
            images are shrunk to it, which is said when a search begins.
        crop: size of the random window, a number or [height, width]; None: off.
        flip: mirror left to right, half of the images at random.
        random_area: smallest and largest area of a random region, as fractions of the image's, as in
            `[0.08, 1.0]` (Szegedy et al. 2014, §6); None: off. It takes the place of `upsample`.
        random_aspect: smallest and largest width / height of that region, drawn evenly on a logarithmic
            scale.
        central_fraction: with `random_area`, the part of height and width that evaluations see; slim: 0.875.
        brightness, contrast, saturation, hue: random changes of colour, for each image: by ± `brightness`
            (of the range 0–1), by factors 1 ± `contrast` and 1 ± `saturation`, and by ± `hue` of the colour
            circle; 0: off. Slim's: 0.125, 0.5, 0.5, 0.2.
        cutout: side of a square of zeros (the mean colour) at a random place in the whitened window, of which
            a part may lie outside (DeVries & Taylor 2017, §3.2; 16 on CIFAR-10); 0: off.
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
    optimizer: str = _later("sgd")
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    rmsprop_decay: float = _later(0.9)
    rmsprop_epsilon: float = _later(1.0)
    gradient_clipping: float = _later(0.0)
    label_smoothing: float = _later(0.0)
    weight_average: float = _later(0.0)
    weight_decay: float = 1e-4
    schedule: str = "step"
    schedule_every: str = _later("epoch")
    decay_factor: float = _later(0.97)
    decay_epochs: float = _later(2.4)
    decay_at: Sequence[float] = (0.5, 0.75)
    upsample: Size = 40
    crop: Size = 32
    flip: bool = True
    random_area: Sequence[float] | None = _later(None)
    random_aspect: Sequence[float] = _later((3 / 4, 4 / 3))
    central_fraction: float = _later(1.0)
    brightness: float = _later(0.0)
    contrast: float = _later(0.0)
    saturation: float = _later(0.0)
    hue: float = _later(0.0)
    cutout: int = _later(0)
    batch_norm_momentum: float = 0.9
    batch_norm_epsilon: float = 1e-5
    precision: str = "auto"
    steps_per_execution: int | str = "auto"
    train_examples: int | None = None
    median_stopping: bool = field(default=False, metadata={plugins.WAS: "stop_hopeless"})
    grace_epochs: int = 5
    latency_examples: int = 0
    stack: Stack | Mapping[str, Any] | None = field(default=None, metadata={plugins.LATER: True})

    def __post_init__(self) -> None:
        self._whole("epochs", "batch_size")
        self._whole("grace_epochs", "latency_examples", "cutout", least=0)
        if self.train_examples is not None:
            self._whole("train_examples")
        if self.steps_per_execution != "auto":
            self._whole("steps_per_execution", otherwise=" or 'auto'")
        for name in ("learning_rate", "batch_norm_epsilon", "rmsprop_epsilon", "decay_epochs"):
            self._number(name, above=0.0)
        for name in ("weight_decay", "gradient_clipping"):
            self._number(name, least=0.0)
        for name in ("momentum", "batch_norm_momentum", "rmsprop_decay", "label_smoothing", "weight_average"):
            self._number(name, least=0.0, below=1.0)
        for name in ("decay_factor", "central_fraction"):
            self._number(name, above=0.0, most=1.0)
        for name in ("brightness", "contrast", "saturation"):
            self._number(name, least=0.0, most=1.0)
        self._number("hue", least=0.0, most=0.5)
        self._truth("nesterov", "flip", "median_stopping")
        self._one_of("schedule", SCHEDULES)
        self._one_of("schedule_every", INTERVALS)
        self._one_of("optimizer", OPTIMIZERS)
        self._one_of("precision", PRECISIONS)
        self._fractions()
        for name in ("upsample", "crop"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        if self.random_area is not None:
            self._range("random_area", most=1.0)
        self._range("random_aspect")
        self._check_needs()
        object.__setattr__(self, "stack", _stack(self.stack))

    def _range(self, name: str, most: float = math.inf) -> None:
        """Checks a smallest and a largest number."""
        value: Any = getattr(self, name)
        if (
            isinstance(value, str)
            or not isinstance(value, Sequence)
            or len(value) != 2
            or any(isinstance(one, bool) or not isinstance(one, int | float) for one in value)
            or not 0 < value[0] <= value[1] <= most
            or math.isinf(value[1])
        ):
            limit = f" and ≤ {most:g}" if most < math.inf else ""
            text = isinstance(value, Sequence) and any(
                "e" in str(one) for one in value if isinstance(one, str)
            )
            hint = " (YAML reads 1e-4 as text: write 1.0e-4)" if text else ""
            raise InputError(
                f"{name} must be the smallest and the largest number, both > 0{limit}, as in "
                f"[{', '.join(f'{one:.3g}' for one in EXAMPLES[name])}]. Received: {value!r}{hint}"
            )
        object.__setattr__(self, name, (float(value[0]), float(value[1])))

    def _check_needs(self) -> None:
        """Refuses fields that would do nothing, and those that contradict each other."""
        for one in fields(self):
            if one.name not in NEEDS or getattr(self, one.name) == one.default:
                continue
            other, value = NEEDS[one.name]
            has = getattr(self, other)
            if not IS_ON.get(other, value.__eq__)(has):
                raise InputError(
                    f"{one.name} belongs to {other}: {value}, and would do nothing with {other}: "
                    f"{'null' if has is None else has}: leave it out, or set {other}. "
                    f"Received: {getattr(self, one.name)!r}"
                )
        if self.random_area is not None and self.upsample is not None:
            raise InputError(
                "random_area and upsample are two ways to make random windows: with random_area, regions are "
                f"resized to crop, so set upsample: null. Received: upsample={self.upsample!r}"
            )
        if self.schedule_every == "step" and self.schedule == "constant":
            raise InputError(
                "schedule_every: step would do nothing with schedule: constant: leave it out, or choose "
                + ", ".join(one for one in SCHEDULES if one != "constant")
            )

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

    def learning_rate_at(self, epoch: float) -> float:
        """The learning rate of epoch `epoch` (from 0); with a fraction, within it.

        Example:
            >>> recipe = ImageRecipe(epochs=4, learning_rate=0.1)
            >>> [round(recipe.learning_rate_at(epoch), 6) for epoch in range(4)]
            [0.1, 0.1, 0.01, 0.001]
        """
        return float(learning_rate(self, epoch))

    def input_shape(self, image_shape: Sequence[int]) -> tuple[int, int, int]:
        """What the network sees of images of shape (height, width, channels).

        Raises:
            InputError: the window is larger than the (enlarged) image, `cutout` larger than the window, or
                colours are to change that grey images don't have.
        """
        height, width, channels = image_shape
        if channels != 3 and (self.saturation or self.hue):
            raise InputError(
                "saturation and hue are changes of red, green and blue, but the data's images have "
                f"{channels} channel{'' if channels == 1 else 's'}: set them to 0"
            )
        scaled = self.scaled_size(image_shape)
        window = scaled if self.crop is None else _pair(self.crop)
        if self.cutout > min(window):
            raise InputError(
                f"cutout {self.cutout} is larger than what the network sees, {window[0]}×{window[1]}: make "
                "it smaller, or 0 for none"
            )
        if self.random_area is not None:
            return (*window, channels)
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

    def central_region(self, image_shape: Sequence[int]) -> tuple[int, int]:
        """Height and width of the central region that evaluations see, before it is resized.

        Equal margins are left out on both sides, as TensorFlow's `central_crop` does.
        """
        height, width = (
            side - 2 * int((side - side * self.central_fraction) / 2) for side in image_shape[:2]
        )
        return height, width

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

"""Stacks of NASNet's cells, for small and for large images (Zoph, Vasudevan, Shlens & Le, 2018, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.costs import check_image_task
from nas.spaces.nasnet import NasNetCells
from nas.spaces.nasnet_network import Shape, first_normal_cell, network_cost
from nas.spaces.options import whole_number
from nas.spaces.stack import Stack, StackPart

MOST_CELLS, MOST_FILTERS = 100, 10_000
"""Beyond which a stack is refused: the largest of the paper has 7 cells in each part, or 168 filters."""

DROP_PATHS = ("scheduled", "constant")
"""How dropping paths depends on time."""


@dataclass(frozen=True)
class NasNetStack(Stack):
    """Three parts of normal cells, with a reduction cell between them, behind a stem.

    A reduction cell halves height and width, and the filters double. Behind the last cell stand a ReLU, the
    average over height and width, and a dense layer with bias and softmax. See `nas.spaces.nasnet_network`.

    A network is called N @ P: `cells` @ the filters of the last cell, which for NASNet-A are 24 · `filters`.

    Attributes:
        cells: N, the normal cells in each part.
        filters: F, of the operations in the first part.
        stem_multiplier: the stem's convolution has this many times the filters (of large images: times 32).
        skip_reduction: the first normal cell behind a reduction cell sees as the cell before that not the one
            before the reduction cell, but the one still before. NASNet-A (6 @ 4032) does.
        auxiliary: weight of the loss of a second classifier at two thirds of the depth, which only training
            has; 0: there is none. The paper's networks are trained with 0.4.
        drop_path_keep: at the end of the training, the probability that an operation's result is kept for an
            example, in the last cell; kept ones are divided by it. In cell c of n it is 1 − (c/n)·(1 − this).
            Identities are always kept. 1: nothing is ever dropped. The authors' code has 0.6 on CIFAR-10 and
            0.7 for the large network on ImageNet.
        drop_path: `scheduled`: 1 − the probability rises in proportion to the steps of the training, from 0
            (ScheduledDropPath); `constant`: it does not change.
        dropout: share of the classifier's inputs that training drops; on ImageNet the paper has 0.5.
        zero_padding: whether a pooling of stride 2 counts what lies outside the map as zeros, as Keras
            applications do, so that networks equal theirs; else nothing outside counts, as in the authors'
            code.

    Raises:
        InputError: an option is out of its range.
    """

    builder: ClassVar[str] = "nas.networks.nasnet"
    stem_scales: ClassVar[tuple[float, ...]] = ()
    """Filters of the stem's reduction cells, as shares of `filters`."""
    stem_stride: ClassVar[int] = 1
    least_filters: ClassVar[int] = 1
    """With which every cell can be built."""

    cells: int = 6
    filters: int = 32
    stem_multiplier: float = 3.0
    skip_reduction: bool = False
    auxiliary: float = 0.0
    drop_path_keep: float = 1.0
    drop_path: str = "scheduled"
    dropout: float = 0.0
    zero_padding: bool = False

    def __post_init__(self) -> None:
        whole_number("cells", self.cells, 1, MOST_CELLS)
        whole_number("filters", self.filters, self.least_filters, MOST_FILTERS)
        for name, low, high in (
            ("stem_multiplier", "above 0", None),
            ("auxiliary", "at least 0", None),
            ("drop_path_keep", "above 0", "at most 1"),
            ("dropout", "at least 0", "below 1"),
        ):
            object.__setattr__(self, name, _number(name, getattr(self, name), low, high))
        if self.stem_filters < 1:
            raise InputError(f"the stem needs a filter. Received: stem_multiplier={self.stem_multiplier}")
        for name in ("skip_reduction", "zero_padding"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"{name} must be true or false. Received: {getattr(self, name)!r}")
        if self.drop_path not in DROP_PATHS:
            raise InputError(
                f"drop_path can't be {self.drop_path!r}: {nearest(str(self.drop_path), DROP_PATHS)}"
            )

    @property
    def stem_filters(self) -> int:
        """Of the stem's convolution."""
        return int(self.filters * self.stem_multiplier)

    def shapes(self, architecture: Architecture, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Of the first normal cell."""
        cells, image = self._task(architecture, input_shape)
        return first_normal_cell(cells, self, image), self.filters

    def cost(self, architecture: Architecture, input_shape: tuple[int, ...], outputs: int) -> Cost:
        cells, image = self._task(architecture, input_shape, outputs)
        return network_cost(cells, self, image, outputs)

    def outline(self) -> Sequence[StackPart]:
        stem = [StackPart("reduction", 1, int(self.filters * scale)) for scale in self.stem_scales]
        parts = [StackPart("stem", 1, self.stem_filters), *stem]
        for scale in (1, 2, 4):
            if scale > 1:
                parts.append(StackPart("reduction", 1, scale * self.filters))
            parts.append(StackPart("normal", self.cells, scale * self.filters))
            if scale == 2 and self.auxiliary:
                parts.append(StackPart("auxiliary"))
        return (*parts, StackPart("classifier"))

    def _task(
        self, architecture: Architecture, input_shape: tuple[int, ...], outputs: int = 1
    ) -> tuple[NasNetCells, Shape]:
        if not isinstance(architecture, NasNetCells):
            raise InputError(
                f"the stack '{self.name}' is made of a normal and a reduction cell, as in nasnet:nasnet-a. "
                f"Received: {architecture.text()}"
            )
        image = check_image_task(input_shape, outputs)
        if self.stem_stride > 1 and min(image[:2]) < 3:
            raise InputError(
                f"the stem of the stack '{self.name}' needs images of at least 3×3. Received: "
                f"{image[0]}×{image[1]}"
            )
        return architecture, image


@dataclass(frozen=True)
class CifarStack(NasNetStack):
    """For images of about 32×32: the stem is a 3×3 convolution of `stem_multiplier` · `filters` filters.

    NASNet-A (6 @ 768) of the paper has `cells` 6 and `filters` 32; in the search 2 and 32.
    """

    name: ClassVar[str] = "cifar"


@dataclass(frozen=True)
class ImageNetStack(NasNetStack):
    """For images of 224×224 and more: the stem halves height and width three times.

    It is a 3×3 convolution of stride 2 with 32 · `stem_multiplier` filters, and two reduction cells with a
    quarter and half of `filters`.

    NASNet-A (4 @ 1056), for mobile devices, is the default; NASNet-A (6 @ 4032) has `cells` 6, `filters` 168,
    `stem_multiplier` 3 and `skip_reduction`.
    """

    name: ClassVar[str] = "imagenet"
    stem_scales: ClassVar[tuple[float, ...]] = (0.25, 0.5)
    stem_stride: ClassVar[int] = 2
    least_filters: ClassVar[int] = 8

    cells: int = 4
    filters: int = 44
    stem_multiplier: float = 1.0
    zero_padding: bool = True

    @property
    def stem_filters(self) -> int:
        return int(32 * self.stem_multiplier)


def _number(name: str, value: Any, low: str, high: str | None) -> float:
    """`value` as a float, checked."""
    wanted = low if high is None else f"{low} and {high}"
    if type(value) in (int, float):
        above = value > 0 if low == "above 0" else value >= 0
        below = {None: value < float("inf"), "at most 1": value <= 1, "below 1": value < 1}[high]
        if above and below:
            return float(value)
    raise InputError(f"{name} must be a number {wanted}. Received: {value!r}")

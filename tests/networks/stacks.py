"""A convolutional cell and a stack of it, as a user's own module brings them (imports no Keras)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nas.errors import InputError
from nas.spaces import Architecture, Choice, Cost, DepthSchedule, Space, Stack, StepList, Tokens
from nas.spaces.costs import convolution_cost, dense_cost, total

HEAD = "auxiliary_logits"


@dataclass(frozen=True)
class Twist(Architecture):
    """A cell of one convolution with a square window, added to the cell's input."""

    kind: ClassVar[str] = "tests.networks.stacks:Twist"
    stacked: ClassVar[bool] = True

    window: int

    def body(self) -> str:
        return str(self.window)

    @classmethod
    def from_body(cls, body: str) -> Self:
        return cls(int(body))

    def fields(self) -> dict[str, Any]:
        return {"window": self.window}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(fields["window"])

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        height, width, channels = input_shape
        return convolution_cost((self.window, self.window), channels, outputs, (height, width))


class TwistSpace(Space):
    """Cells with a window of 1×1 or 3×3."""

    depth = DepthSchedule(1)

    def steps(self, depth: int) -> StepList:
        return StepList((Choice("window", "window", (1, 3)),))

    def decode(self, tokens: Sequence[int], depth: int) -> Twist:
        return Twist((1, 3)[tokens[0]])

    def encode(self, architecture: Architecture) -> Tokens:
        assert isinstance(architecture, Twist)
        return ((1, 3).index(architecture.window),)


@dataclass(frozen=True)
class Plain(Stack):
    """A 1×1 convolution as a stem, cells of equal filters, and the classifier.

    Attributes:
        cells, filters: how many.
        drop: share of the examples whose cell is dropped at the end of the training.
        auxiliary: weight of the loss of a head after the first cell; 0: there is none.
    """

    name: ClassVar[str] = "tests.networks.stacks:Plain"
    builder: ClassVar[str] = "tests.networks.stack_builder"

    cells: int = 2
    filters: int = 8
    drop: float = 0.0
    auxiliary: float = 0.0

    def __post_init__(self) -> None:
        if self.cells < 1:
            raise InputError(f"a stack needs at least one cell. Received: cells={self.cells!r}")

    def shapes(self, architecture: Architecture, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        return (*input_shape[:2], self.filters), self.filters

    def cost(self, architecture: Architecture, input_shape: tuple[int, ...], outputs: int) -> Cost:
        height, width, channels = input_shape
        stem = convolution_cost((1, 1), channels, self.filters, (height, width))
        cell = architecture.cost(*self.shapes(architecture, input_shape))
        return total([stem, *[cell] * self.cells, dense_cost(self.filters, outputs)])

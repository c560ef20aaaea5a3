"""A hand-made baseline: a small residual network, trained and judged like the networks found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nas.errors import InputError
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.costs import check_image_task, convolution_cost, dense_cost, same_size, total

_BODY = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?")


@dataclass(frozen=True)
class ResidualBlock:
    """Two 3×3 convolutions beside a shortcut.

    Attributes:
        filters: of both convolutions.
        stride: of the first convolution and of the shortcut.
        projection: whether the shortcut is a 1×1 convolution (else the identity).
    """

    filters: int
    stride: int
    projection: bool


@dataclass(frozen=True)
class ResNet(Architecture):
    """A residual network for small images (He et al., 2016, "Deep residual learning", §4.2).

    A 3×3 convolution, then `stages` stages of `blocks` residual blocks. Each stage after the first
    halves height and width and doubles the filters. A residual block is conv → BN → ReLU → conv → BN,
    added to its shortcut, → ReLU. At the end an average over height and width and a dense layer with
    bias and softmax. Convolutions have SAME padding and no bias.

    Differs from the paper: where the shape changes, the shortcut is a 1×1 convolution with the stride,
    followed by batch normalisation (option B of §3.3) instead of zero-padded channels (option A).

    Text form: `FILTERSxBLOCKSxSTAGES`; without the last number there are the paper's 3 stages.
    ResNet-20 is `resnet:16x3x3`.

    Attributes:
        filters: of the first convolution and the first stage.
        blocks: residual blocks in each stage.
        stages: number of stages.

    Raises:
        InputError: a value is not a whole number of at least 1.
    """

    kind: ClassVar[str] = "resnet"
    drawing: ClassVar[str | None] = "nas.report.drawings.conv"
    builder: ClassVar[str | None] = "nas.networks.resnet"

    filters: int = 16
    blocks: int = 3
    stages: int = 3

    def __post_init__(self) -> None:
        if any(type(n) is not int or n < 1 for n in (self.filters, self.blocks, self.stages)):
            raise InputError(
                "filters, blocks and stages of a residual network must be whole numbers of at least 1. "
                f"Received: filters={self.filters!r}, blocks={self.blocks!r}, stages={self.stages!r}"
            )

    @property
    def residual_blocks(self) -> tuple[ResidualBlock, ...]:
        """All residual blocks in order."""
        found = []
        for stage in range(self.stages):
            for index in range(self.blocks):
                changes = stage > 0 and index == 0
                found.append(ResidualBlock(self.filters * 2**stage, 2 if changes else 1, changes))
        return tuple(found)

    def cost(self, input_shape: Sequence[int], outputs: int) -> Cost:
        height, width, channels = check_image_task(input_shape, outputs)
        costs = [convolution_cost((3, 3), channels, self.filters, (height, width))]
        channels = self.filters
        for block in self.residual_blocks:
            height, width = same_size(height, block.stride), same_size(width, block.stride)
            costs.append(convolution_cost((3, 3), channels, block.filters, (height, width)))
            costs.append(convolution_cost((3, 3), block.filters, block.filters, (height, width)))
            if block.projection:
                costs.append(convolution_cost((1, 1), channels, block.filters, (height, width)))
            channels = block.filters
        return total([*costs, dense_cost(channels, outputs)])

    def body(self) -> str:
        return f"{self.filters}x{self.blocks}x{self.stages}"

    @classmethod
    def from_body(cls, body: str) -> Self:
        match = _BODY.fullmatch(body)
        if match is None:
            raise InputError(
                "a residual network is written resnet:FILTERSxBLOCKSxSTAGES, as in resnet:16x3x3. "
                f"Received: '{body}'"
            )
        return cls(int(match[1]), int(match[2]), int(match[3] or 3))

    def fields(self) -> dict[str, Any]:
        return {"filters": self.filters, "blocks": self.blocks, "stages": self.stages}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if set(fields) != {"filters", "blocks", "stages"}:
            raise InputError(
                "a residual network in JSON has the keys filters, blocks and stages. "
                f"Received: {dict(fields)!r}"
            )
        return cls(**fields)

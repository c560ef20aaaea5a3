"""Pairs of convolutional cells, as NASNet's search finds them (Zoph, Vasudevan, Shlens & Le, 2018)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.costs import check_image_task
from nas.spaces.nasnet_network import pair_cost

OPERATIONS = (
    "identity",
    "conv1x3_3x1",
    "conv1x7_7x1",
    "dil3x3",
    "avg3x3",
    "max3x3",
    "max5x5",
    "max7x7",
    "conv1x1",
    "conv3x3",
    "sep3x3",
    "sep5x5",
    "sep7x7",
)
"""What a block may do to a state, in the order of the paper's table (§3.1)."""

COMBINATIONS = ("add", "concat", "add_layer_norm", "add_instance_norm")
"""How a block joins what its two operations give; NASNet-A has the first two (§3.1), NASNet-B and -C all
(appendix A.4)."""

EACH = "each"
"""Stands in the text form for the outputs of cells whose states go on one by one."""

_SIGNS = {
    "add": ("+", ""),
    "concat": ("^", ""),
    "add_layer_norm": ("+", "%layer"),
    "add_instance_norm": ("+", "%instance"),
}
_BLOCK = re.compile(r"(\w+)@([0-9]{1,3})([+^])(\w+)@([0-9]{1,3})(%\w+)?")


@dataclass(frozen=True)
class Block:
    """Two states, an operation on each, and what joins the results into a new state.

    Attributes:
        left, right: numbers of the states (see `Cell`).
        left_operation, right_operation: of `OPERATIONS`.
        combination: of `COMBINATIONS`.
    """

    left: int
    right: int
    left_operation: str
    right_operation: str
    combination: str = "add"

    def __post_init__(self) -> None:
        for operation in (self.left_operation, self.right_operation):
            if operation not in OPERATIONS:
                raise InputError(f"no operation is named '{operation}': {nearest(operation, OPERATIONS)}")
        if self.combination not in COMBINATIONS:
            hint = nearest(self.combination, COMBINATIONS)
            raise InputError(f"no combination is named '{self.combination}': {hint}")

    def text(self) -> str:
        sign, ending = _SIGNS[self.combination]
        left, right = f"{self.left_operation}@{self.left}", f"{self.right_operation}@{self.right}"
        return f"{left}{sign}{right}{ending}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        match = _BLOCK.fullmatch(text)
        signs = {written: name for name, written in _SIGNS.items()}
        if match is None or (match[3], match[6] or "") not in signs:
            raise InputError(f"a block is written as in sep3x3@0+identity@1. Received: {text!r}")
        return cls(int(match[2]), int(match[5]), match[1], match[4], signs[match[3], match[6] or ""])


@dataclass(frozen=True)
class Cell:
    """The wiring of a normal or of a reduction cell.

    Its states are numbered: first those that come from outside, then one for each block. In a pair whose
    outputs are joined, state 0 is h_i, the output of the cell before, and state 1 is h_{i−1}, the output of
    the cell before that; else the states that come in are those of the cell before.

    Attributes:
        blocks: in an order in which each uses states that are there.
        outputs: the states that go out, rising.
        inputs: how many states come from outside.
    """

    blocks: tuple[Block, ...]
    outputs: tuple[int, ...]
    inputs: int = 2

    def __post_init__(self) -> None:
        if not self.blocks:
            raise InputError("a cell needs at least one block")
        for number, block in enumerate(self.blocks):
            if not all(0 <= state < self.inputs + number for state in (block.left, block.right)):
                raise InputError(
                    f"block {number} of a cell may use the states 0…{self.inputs + number - 1}. "
                    f"Received: {block.text()!r}"
                )
        states = self.inputs + len(self.blocks)
        if not self.outputs or not all(0 <= state < states for state in self.outputs):
            raise InputError(
                f"a cell's outputs are among its states 0…{states - 1}. Received: {self.outputs}"
            )


@dataclass(frozen=True)
class NasNetCells(Architecture):
    """A normal cell, which keeps height and width, and a reduction cell, which halves them.

    Attributes:
        normal, reduction: their wiring.
        joined: whether the outputs of a cell are concatenated into one state (NASNet-A and -C); else each
            goes on by itself (NASNet-B).
    """

    kind: ClassVar[str] = "nasnet"
    stacked: ClassVar[bool] = True
    drawing: ClassVar[str | None] = "nas.report.drawings.nasnet"

    normal: Cell
    reduction: Cell
    joined: bool = True

    def body(self) -> str:
        def written(cell: Cell) -> str:
            outputs = ".".join(map(str, cell.outputs)) if self.joined else EACH
            return ",".join(block.text() for block in cell.blocks) + f"={outputs}"

        return f"{written(self.normal)}/{written(self.reduction)}"

    @classmethod
    def from_body(cls, body: str) -> Self:
        def read(text: str) -> tuple[Cell, bool]:
            blocks, equals, outputs = text.partition("=")
            made = tuple(Block.from_text(block) for block in blocks.split(","))
            if equals and outputs == EACH:
                return Cell(made, tuple(range(len(made), 2 * len(made))), len(made)), False
            if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})*", outputs):
                raise InputError(
                    f"a cell ends with its outputs, as in =2.3.4, or ={EACH}. Received: {text!r}"
                )
            return Cell(made, tuple(int(number) for number in outputs.split("."))), True

        parts = body.strip().split("/")
        if len(parts) != 2:
            raise InputError(
                "a pair of cells is written nasnet:NORMAL/REDUCTION, each as in "
                f"sep3x3@0+identity@1,avg3x3@2+conv1x1@0=2.3. Received: {body!r}"
            )
        (normal, joined), (reduction, other) = map(read, parts)
        if joined != other:
            raise InputError(f"either both cells of a pair end with ={EACH}, or none. Received: {body!r}")
        return cls(normal, reduction, joined)

    def fields(self) -> dict[str, Any]:
        normal, reduction = self.body().split("/")
        return {"normal": normal, "reduction": reduction}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls.from_body(f"{fields['normal']}/{fields['reduction']}")

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Of a normal cell of `outputs` filters and a reduction cell of twice as many.

        Each state that comes in from outside has `input_shape`.
        """
        return pair_cost(self, check_image_task(input_shape, outputs), outputs)

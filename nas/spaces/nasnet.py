"""Pairs of convolutional cells, as NASNet's search finds them (Zoph, Vasudevan, Shlens & Le, 2018)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost, Line
from nas.spaces.costs import check_image_task
from nas.spaces.nasnet_equality import canonical_order
from nas.spaces.nasnet_network import pair_cost, pair_parts

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

MOST_BLOCKS = 32
"""Of a cell; the papers' have 4 or 5. A text that somebody pastes may have any number."""

EACH = "each"
"""Stands in the text form for the outputs of cells whose states go on one by one."""

NAMED_CELLS: Mapping[str, str] = MappingProxyType(
    {
        # Zoph et al. (2018), figure 4, with the outputs of the authors' code: tensorflow/models,
        # research/slim/nets/nasnet/nasnet_utils.py, NasNetANormalCell and NasNetAReductionCell.
        "nasnet-a": (
            "sep5x5@0+sep3x3@1,sep5x5@1+sep3x3@1,avg3x3@0+identity@1,avg3x3@1+avg3x3@1"
            ",sep3x3@0+identity@0=1.2.3.4.5.6"
            "/sep5x5@0+sep7x7@1,max3x3@0+sep7x7@1,avg3x3@0+sep5x5@1,identity@3+avg3x3@2"
            ",sep3x3@2+max3x3@0=3.4.5.6"
        ),
        # Real et al. (2019), figure 2, as AmoebaNet of cnn/genotypes.py in the authors' repository of DARTS
        # (quark0/darts), where 0 is h_{i−1} and 1 is h_i.
        "amoebanet-a": (
            "avg3x3@1+max3x3@0,sep3x3@1+sep5x5@2,sep3x3@1+avg3x3@3,sep3x3@0+identity@0"
            ",identity@1+avg3x3@0=4.5.6"
            "/avg3x3@1+sep3x3@0,max3x3@1+sep7x7@2,sep7x7@1+avg3x3@0,max3x3@1+max3x3@0"
            ",conv1x7_7x1@1+sep3x3@5=3.4.6"
        ),
        # Liu et al. (2018, Progressive Neural Architecture Search), figure 1, as PNasNetNormalCell of
        # tensorflow/models, research/slim/nets/nasnet/pnasnet.py: one cell for both.
        "pnasnet-5": "/".join(
            [
                "sep5x5@1+max3x3@1,sep7x7@0+max3x3@0,sep5x5@0+sep3x3@0,sep3x3@4+max3x3@0"
                ",sep3x3@1+identity@0=2.3.4.5.6"
            ]
            * 2
        ),
    }
)
"""Text forms, without the kind, of pairs that have a name: `nasnet:nasnet-a`."""

_ENDINGS = {"add": "", "concat": "%concat", "add_layer_norm": "%layer", "add_instance_norm": "%instance"}
_WITH_ENDING = {ending: name for name, ending in _ENDINGS.items()}
_BLOCK = re.compile(r"(\w+)@([0-9]{1,3})\+(\w+)@([0-9]{1,3})(%\w+)?")
_OUTPUTS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})*")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_RANKS = {operation: rank for rank, operation in enumerate(OPERATIONS)}

Side = tuple[int, str]
"""A state, and what is done to it."""


@dataclass(frozen=True)
class Block:
    """Two states, an operation on each, and what joins the results into a new state.

    Attributes:
        left, right: numbers of the states (see `Cell`).
        left_operation, right_operation: of `OPERATIONS`.
        combination: of `COMBINATIONS`.

    Raises:
        InputError: an operation or the combination is unknown, or a state has no whole number.
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
        if any(type(state) is not int or state < 0 for state in (self.left, self.right)):
            raise InputError(f"states have whole numbers from 0. Received: {self.left!r}, {self.right!r}")
        if self.combination not in COMBINATIONS:
            hint = nearest(self.combination, COMBINATIONS)
            raise InputError(f"no combination is named '{self.combination}': {hint}")

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both states with their operations."""
        return (self.left, self.left_operation), (self.right, self.right_operation)

    def renumbered(self, numbers: Sequence[int], *, ordered: bool = False) -> Block:
        """The same block after its states got new numbers.

        Args:
            numbers: the new number of each state.
            ordered: its sides stay in their order; else they come by rising number and operation.
        """
        sides = [(numbers[state], operation) for state, operation in self.sides]
        if not ordered:
            sides.sort(key=lambda side: (side[0], _RANKS[side[1]]))
        (left, one), (right, other) = sides
        return Block(left, right, one, other, self.combination)

    def text(self) -> str:
        """The text form, as in `sep3x3@0+identity@1`."""
        left, right = (f"{operation}@{state}" for state, operation in self.sides)
        return f"{left}+{right}{_ENDINGS[self.combination]}"

    def words(self) -> str:
        """What it does, for people, as in `sep3x3 + identity, layer norm`."""
        left, right = self.left_operation, self.right_operation
        if self.combination == "concat":
            return f"{left}, {right} concatenated"
        return f"{left} + {right}" + self.combination.removeprefix("add").replace("_", ", ", 1).replace(
            "_", " "
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The block that a text form writes down.

        Raises:
            InputError: it is none; the message shows it.
        """
        match = _BLOCK.fullmatch(text)
        if match is None or (match[5] or "") not in _WITH_ENDING:
            raise InputError(
                "a block is written OPERATION@STATE+OPERATION@STATE, as in sep3x3@0+identity@1, if it adds; "
                "with %concat at its end if it concatenates, and with %layer or %instance if it normalises "
                f"the sum. Received: {text!r}"
            )
        return cls(int(match[2]), int(match[4]), match[1], match[3], _WITH_ENDING[match[5] or ""])


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

    Raises:
        InputError: a block uses a state that isn't there yet, there is no such output, or there are no blocks
            or too many.
    """

    blocks: tuple[Block, ...]
    outputs: tuple[int, ...]
    inputs: int = 2

    def __post_init__(self) -> None:
        if not 1 <= len(self.blocks) <= MOST_BLOCKS:
            raise InputError(f"a cell has 1 to {MOST_BLOCKS} blocks. Received: {len(self.blocks)}")
        for number, block in enumerate(self.blocks):
            if not all(0 <= state < self.inputs + number for state in (block.left, block.right)):
                raise InputError(
                    f"block {number} of a cell makes state {self.inputs + number} and may use the states "
                    f"0…{self.inputs + number - 1}. Received: '{block.text()}'"
                )
        if not self.outputs or not all(0 <= state < self.states for state in self.outputs):
            written = ".".join(map(str, self.outputs))
            raise InputError(
                f"a cell's outputs are among its states 0…{self.states - 1}. Received: '{written}'"
            )
        object.__setattr__(self, "outputs", tuple(sorted(set(self.outputs))))

    @property
    def states(self) -> int:
        """How many there are, those from outside included."""
        return self.inputs + len(self.blocks)

    @property
    def unused(self) -> tuple[int, ...]:
        """The states that the cell made and no block uses."""
        used = {state for block in self.blocks for state in (block.left, block.right)}
        return tuple(state for state in range(self.inputs, self.states) if state not in used)

    def reordered(self, order: Sequence[int], inputs: Sequence[int] | None = None) -> Cell:
        """The same cell with its blocks in another order.

        Args:
            order: numbers of blocks; those that aren't among them, which must be dead, leave the cell.
            inputs: the new numbers of the states from outside, where states go on one by one; there the sides
                of a concatenation stay in their order (see `NasNetCells`).
        """
        numbers = [*(inputs or range(self.inputs)), *(0 for _ in self.blocks)]
        for place, number in enumerate(order):
            numbers[self.inputs + number] = self.inputs + place
        blocks = (self.blocks[number] for number in order)
        return Cell(
            tuple(b.renumbered(numbers, ordered=bool(inputs) and b.combination == "concat") for b in blocks),
            tuple(numbers[state] for state in self.outputs),
            self.inputs,
        )


@dataclass(frozen=True)
class NasNetCells(Architecture):
    """A normal cell, which keeps height and width, and a reduction cell, which halves them.

    A recipe's stack makes a network of them, that repeats each with weights of its own (Zoph et al. 2018,
    figures 2 and 4).

    **Equality.** Two pairs are equal exactly when their cells are the same graphs of blocks:

    * The two sides of a block may be exchanged. A sum is the same, and a concatenation too: its channels come
      in another order, but whatever reads a concatenation has weights for each of its channels (a
      convolution, or the 1×1 convolution that fits it to the filters of the cell), so that the order of the
      channels only gives the same weights other places; depthwise convolutions, pooling and normalisations
      in between treat channels alike. For the same reason outputs are a set.
    * Blocks may come in any order in which each uses states that are there.
    * A block is no part of the network if neither the outputs nor a block that counts use it. Such *dead*
      blocks are dropped when a pair is made, so that a text may have more blocks than the pair.
    * Two blocks that do the same are two states, and one block that is used twice is one: convolutions have
      weights of their own. So are two equal blocks of pooling and identity: ScheduledDropPath has a mask for
      each, and where channels have to be fitted each has a convolution. For the same reason it isn't asked
      what else might compute the same in some stack (identity@0+identity@1%concat as an output, instead of
      the outputs 0 and 1).

    If states go on one by one (`joined=False`), block k of a cell is input k of the next one, whichever of
    the two cells each is, so that one order holds for the blocks of both cells and for their inputs; the
    inputs of a network's first cell are all the same. No block is dead, since the last cell's all go to the
    classifier. The sides of a concatenation stay in their order: into a cell of as many filters as it has
    channels it comes as it is, and may be added there to another one, channel by channel. In two ways
    equality is conservative: this holds also where all that reads a concatenation has weights, and the
    blocks k of both cells stay together also where no cell uses input k.

    **Canonical form.** A pair is kept and written in one form: blocks by rising *level* (how many blocks lie
    between them and the states from outside, at most); then by their sides from outside, state before
    operation, by all their operations, their combination, and whether they are an output; then by what they
    use and what uses them (see `nas.spaces.nasnet_equality`). The sides of a block come by rising state, then
    in the order of `OPERATIONS`.

    **Text form**, in one line: `nasnet:NORMAL/REDUCTION`. A cell is its blocks, separated by commas, `=`, and
    the numbers of its outputs, separated by dots, or `each` if they go on one by one. A block is
    `OP@STATE+OP@STATE` if it adds, with `%concat` at its end if it concatenates, with `%layer` or
    `%instance` if it normalises the sum. Instead of all this a name of `NAMED_CELLS` may stand: `nasnet-a`,
    `amoebanet-a`, `pnasnet-5`.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> str(parse_architecture("nasnet:sep3x3@1+identity@0=2/max3x3@1+max3x3@0,sep3x3@2+sep3x3@0=2.3"))
        'nasnet:identity@0+sep3x3@1=2/max3x3@0+max3x3@1,sep3x3@0+sep3x3@2=2.3'

    Attributes:
        normal, reduction: their wiring.
        joined: whether the outputs of a cell are concatenated into one state (NASNet-A and -C); else each
            goes on by itself (NASNet-B).

    Raises:
        InputError: the cells don't go together, or none of a cell's blocks is part of its outputs.
    """

    kind: ClassVar[str] = "nasnet"
    stacked: ClassVar[bool] = True
    drawing: ClassVar[str | None] = "nas.report.drawings.nasnet"
    shown_for: ClassVar[tuple[tuple[int, ...], int]] = ((32, 32, 96), 32)

    normal: Cell
    reduction: Cell
    joined: bool = True

    def __post_init__(self) -> None:
        cells = self.normal, self.reduction
        if self.joined:
            if any(cell.inputs != 2 for cell in cells):
                raise InputError(
                    "a cell whose outputs are joined gets two states, h_i and h_{i−1}. Received: "
                    f"inputs={[cell.inputs for cell in cells]}"
                )
            normal, reduction = map(_canonical, cells)
        else:
            blocks = len(self.normal.blocks)
            made = tuple(range(blocks, 2 * blocks))
            for cell in cells:
                if (len(cell.blocks), cell.inputs, cell.outputs) != (blocks, blocks, made):
                    raise InputError(
                        "cells whose states go on one by one have equally many blocks, get as many states, "
                        "and all that they made are outputs. Received: "
                        f"blocks={[len(cell.blocks) for cell in cells]}, "
                        f"inputs={[cell.inputs for cell in cells]}, "
                        f"outputs={[list(cell.outputs) for cell in cells]}"
                    )
            normal, reduction = _canonical_together(self.normal, self.reduction)
        object.__setattr__(self, "normal", normal)
        object.__setattr__(self, "reduction", reduction)

    def body(self) -> str:
        def written(cell: Cell) -> str:
            outputs = ".".join(map(str, cell.outputs)) if self.joined else EACH
            return ",".join(block.text() for block in cell.blocks) + f"={outputs}"

        return f"{written(self.normal)}/{written(self.reduction)}"

    @classmethod
    def from_body(cls, body: str) -> Self:
        body = body.strip()
        if _NAME.fullmatch(body):
            if body not in NAMED_CELLS:
                raise InputError(f"no pair of cells is named '{body}': {nearest(body, NAMED_CELLS)}")
            body = NAMED_CELLS[body]
        parts = body.split("/")
        if len(parts) != 2:
            raise InputError(
                "a pair of cells is written NORMAL/REDUCTION, each as in "
                "sep3x3@0+identity@1,avg3x3@2+conv1x1@0=2.3, or has a name: "
                f"{', '.join(NAMED_CELLS)}. Received: {body!r}"
            )
        cells: list[tuple[Cell, bool]] = []
        for name, text in zip(("normal", "reduction"), parts, strict=True):
            try:
                cells.append(_read(text))
            except InputError as error:
                raise InputError(f"the {name} cell: {error}") from error
        (normal, joined), (reduction, other) = cells
        if joined != other:
            raise InputError(f"either both cells of a pair end with ={EACH}, or none. Received: {body!r}")
        return cls(normal, reduction, joined)

    def fields(self) -> dict[str, Any]:
        normal, reduction = self.body().split("/")
        return {"normal": normal, "reduction": reduction}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if set(fields) != {"normal", "reduction"} or not all(isinstance(one, str) for one in fields.values()):
            raise InputError(
                "a pair of cells in JSON has the keys normal and reduction, both texts. "
                f"Received: {dict(fields)!r}"
            )
        return cls.from_body(f"{fields['normal']}/{fields['reduction']}")

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Of a normal cell of `outputs` filters and a reduction cell of twice as many.

        Each state that comes in from outside has `input_shape`.
        """
        return pair_cost(self, check_image_task(input_shape, outputs), outputs)

    def lines(self, input_shape: tuple[int, ...], outputs: int) -> list[Line]:
        """For each cell what fits the states from outside, its blocks, and what joins its outputs."""
        parts = pair_parts(self, check_image_task(input_shape, outputs), outputs)
        lines = []
        for name, cell in (("normal", self.normal), ("reduction", self.reduction)):
            outside = "h_i, h_{i−1}" if self.joined else f"all {cell.inputs} states of the cell before"
            rows = [(f"{name} in", "fitted to its filters", outside)]
            for number, block in enumerate(cell.blocks, cell.inputs):
                rows.append((f"{name} {number}", block.words(), f"{block.left}, {block.right}"))
            if self.joined:
                rows.append((f"{name} out", "concatenation", ", ".join(map(str, cell.outputs))))
            for row in rows:
                shape, cost = next(parts)
                lines.append(Line(*row, shape, cost.parameters, cost.multiply_adds))
        return lines


def _read(text: str) -> tuple[Cell, bool]:
    """The cell that a text writes down, and whether its outputs are joined."""
    blocks, equals, outputs = text.partition("=")
    if not (equals and (outputs == EACH or _OUTPUTS.fullmatch(outputs))):
        raise InputError(f"a cell ends with its outputs, as in =2.3.4, or ={EACH}. Received: {text!r}")
    made = tuple(Block.from_text(block) for block in blocks.split(","))
    if outputs == EACH:
        return Cell(made, tuple(range(len(made), 2 * len(made))), len(made)), False
    return Cell(made, tuple(int(number) for number in outputs.split("."))), True


def _canonical(cell: Cell) -> Cell:
    """The canonical form of a cell whose outputs are joined, without dead blocks."""
    alive = set(cell.outputs)
    for number in reversed(range(len(cell.blocks))):
        if cell.inputs + number in alive:
            alive |= {cell.blocks[number].left, cell.blocks[number].right}
    blocks = [number for number in range(len(cell.blocks)) if cell.inputs + number in alive]
    if not blocks:
        outputs = ".".join(map(str, cell.outputs))
        raise InputError(
            f"a cell needs at least one block that its outputs need. Received: outputs '{outputs}'"
        )
    places = {cell.inputs + number: place for place, number in enumerate(blocks)}
    levels: list[int] = []
    kinds, uses = [], []
    for number in blocks:
        sides = [(state, _RANKS[operation]) for state, operation in cell.blocks[number].sides]
        uses.append([(operation, places[state]) for state, operation in sides if state in places])
        levels.append(1 + max((levels[other] for _, other in uses[-1]), default=-1))
        outside = tuple(sorted(side for side in sides if side[0] not in places))
        is_output = cell.inputs + number in cell.outputs
        kinds.append((levels[-1], outside, *_does(cell.blocks[number]), is_output))
    return cell.reordered([blocks[place] for place in canonical_order(kinds, uses)])


def _canonical_together(normal: Cell, reduction: Cell) -> tuple[Cell, Cell]:
    """The canonical form of a pair whose states go on one by one: one order for both and their inputs."""
    levels: list[int] = []
    kinds, uses = [], []
    for number, blocks in enumerate(zip(normal.blocks, reduction.blocks, strict=True)):
        within: list[int] = []
        used = []
        for which, block in enumerate(blocks):
            for side, (state, operation) in enumerate(block.sides):
                is_made, other = divmod(state, normal.inputs)
                place = side if block.combination == "concat" else 0
                used.append(((which, place, is_made, _RANKS[operation]), other))
                if is_made:
                    within.append(levels[other])
        levels.append(1 + max(within, default=-1))
        uses.append(used)
        kinds.append((levels[number], *(_does(block) for block in blocks)))
    order = canonical_order(kinds, uses)
    numbers = [order.index(number) for number in range(normal.inputs)]
    return normal.reordered(order, numbers), reduction.reordered(order, numbers)


def _does(block: Block) -> tuple[tuple[int, ...], int]:
    """What a block does, whatever it does it to."""
    ranks = sorted(_RANKS[operation] for _, operation in block.sides)
    return tuple(ranks), COMBINATIONS.index(block.combination)

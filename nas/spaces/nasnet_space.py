"""The search space of convolutional cells (Zoph, Vasudevan, Shlens & Le, 2018, §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import cast

from nas import plugins
from nas.errors import InputError, nearest
from nas.spaces import options as check
from nas.spaces.architecture import Architecture
from nas.spaces.nasnet import COMBINATIONS, MOST_BLOCKS, OPERATIONS, Block, Cell, NasNetCells
from nas.spaces.space import DepthSchedule, Space
from nas.spaces.steps import Choice, Pick, Point, Step, StepList, Tokens

CELLS = ("normal", "reduction")
"""In the order in which they are predicted; each is a scope of points, the states."""

RULES = ("paper", "slim", "each")
"""Which states of a cell are its outputs."""


class NasNetSpace(Space):
    """Pairs of a normal and a reduction cell, predicted block by block.

    In the paper's order, for each block of the normal cell and then of the reduction cell: its first state,
    its second state (of those that come in and those of earlier blocks), the operation on the first, the
    operation on the second, and what joins both. With 5 blocks these are 50 decisions, and
    (720²·13¹⁰·2⁵)² ≈ 5.2·10³⁶ token strings. Cells have no depth, so that the depth of every proposal is 1.

    The paper's three spaces: NASNet-A is the default (`outputs` apart, see there); -B is
    `{blocks: 4, outputs: each, combinations: [add, concat, add_layer_norm, add_instance_norm]}`; -C is
    `{combinations: [add, concat, add_layer_norm, add_instance_norm]}` (its appendix A.4).

    `encode` writes the blocks in the order of the canonical form (see `NasNetCells`). Under `slim` the first
    block of a reduction cell is special: there the first one in this order comes first for which the rule
    gives the cell's outputs.

    Differs from the paper: it doesn't say whether decisions of one sort share their softmax; here all
    states, all operations and all combinations do, over blocks and both cells, as in ENAS's code (Pham et al.
    2018).

    Args:
        blocks: of each cell, B.
        operations: what a block may do to a state, of `nas.spaces.nasnet.OPERATIONS`.
        combinations: how it may join both results, of `nas.spaces.nasnet.COMBINATIONS`.
        outputs: the rule for the outputs of a cell, which are concatenated except under `each`.
            `paper` (§3.1): the states that it made and no block used.
            `slim`: those of the authors' released code, of which NASNet-A is made: in a normal cell all
            states but h_i; in a reduction cell those that it made, but the first only if no block used it.
            `each`: all that it made, and they go on one by one, so that the next cell has B states to begin
            with in place of h_i and h_{i−1} (NASNet-B).

    Raises:
        InputError: an option is not allowed.

    Example:
        >>> space = NasNetSpace(blocks=1, operations=["identity", "sep3x3"], combinations=["add"])
        >>> str(space.decode((0, 1, 1, 0, 0, 0, 0, 1, 1, 0), 1))
        'nasnet:sep3x3@0+identity@1=2/sep3x3@0+sep3x3@0=2'
        >>> NasNetSpace().size(1) == (720**2 * 13**10 * 2**5) ** 2
        True
    """

    depth = DepthSchedule(1)

    canonical_options = classmethod(plugins.held_by)

    def __init__(
        self,
        blocks: int = 5,
        operations: Sequence[str] = OPERATIONS,
        combinations: Sequence[str] = ("add", "concat"),
        outputs: str = "paper",
    ) -> None:
        self.blocks = check.whole_number("blocks", blocks, 1)
        if blocks > MOST_BLOCKS:
            raise InputError(f"blocks must be at most {MOST_BLOCKS}. Received: {blocks}")
        self.operations = check.names("operations", operations, OPERATIONS)
        self.combinations = check.names("combinations", combinations, COMBINATIONS)
        if outputs not in RULES:
            raise InputError(f"outputs can't be {outputs!r}: {nearest(str(outputs), RULES)}")
        self.outputs = outputs
        self._inputs = blocks if outputs == "each" else 2
        self._steps = StepList(
            tuple(chain.from_iterable(self._steps_of(cell) for cell in CELLS)),
            dict.fromkeys(CELLS, self._inputs),
        )

    def steps(self, depth: int) -> StepList:
        if type(depth) is not int or depth != 1:
            raise InputError(f"the depth of a pair of cells is 1, whatever its blocks. Received: {depth!r}")
        return self._steps

    def _steps_of(self, cell: str) -> list[Step]:
        steps: list[Step] = []
        for block in range(self.blocks):
            name = f"{cell}.block{block}"
            steps += [
                Pick(f"{name}.first", "state", cell),
                Pick(f"{name}.second", "state", cell),
                Choice(f"{name}.first_operation", "operation", self.operations),
                Choice(f"{name}.second_operation", "operation", self.operations),
                Choice(f"{name}.combination", "combination", self.combinations),
                Point(name, cell),
            ]
        return steps

    def decode(self, tokens: Sequence[int], depth: int) -> NasNetCells:
        chosen = self.steps(depth).chosen(tokens)
        cells = []
        for cell in CELLS:
            blocks = tuple(
                Block(
                    cast(int, chosen[f"{cell}.block{block}.first"]),
                    cast(int, chosen[f"{cell}.block{block}.second"]),
                    cast(str, chosen[f"{cell}.block{block}.first_operation"]),
                    cast(str, chosen[f"{cell}.block{block}.second_operation"]),
                    cast(str, chosen[f"{cell}.block{block}.combination"]),
                )
                for block in range(self.blocks)
            )
            cells.append(self._with_outputs(cell, blocks))
        normal, reduction = cells
        return NasNetCells(normal, reduction, self.outputs != "each")

    def _with_outputs(self, cell: str, blocks: tuple[Block, ...]) -> Cell:
        """The cell with these blocks, and the outputs that the rule gives it."""
        every = Cell(blocks, tuple(range(self._inputs, self._inputs + self.blocks)), self._inputs)
        if self.outputs == "each":
            return every
        outputs = set(every.unused)
        if self.outputs == "slim":
            outputs |= set(range(1 if cell == "normal" else 3, every.states))
        return Cell(blocks, tuple(outputs), self._inputs)

    def encode(self, architecture: Architecture) -> Tokens:
        if not isinstance(architecture, NasNetCells):
            raise InputError(f"this space has pairs of convolutional cells only. Received: {architecture}")
        if architecture.joined != (self.outputs != "each"):
            here, there = "are joined", "go on one by one"
            if architecture.joined:
                here, there = there, here
            raise InputError(
                f"the outputs of cells {here} in this space (outputs: {self.outputs}). "
                f"Received: a pair whose outputs {there}"
            )
        return tuple(
            token
            for name in CELLS
            for block in self._in_order(name, architecture).blocks
            for token in self._tokens(name, block)
        )

    def _in_order(self, name: str, architecture: NasNetCells) -> Cell:
        """A cell of the pair with its blocks in an order for which the rule gives its outputs."""
        cell: Cell = getattr(architecture, name)
        if len(cell.blocks) != self.blocks:
            raise InputError(
                f"cells have {self.blocks} blocks in this space. Received: the {name} cell with "
                f"{len(cell.blocks)} that its outputs need"
            )
        given, others = self._with_outputs(name, cell.blocks), ""
        if given == cell:
            return cell
        if self.outputs == "slim" and name == "reduction":
            others = ", and never these if another block comes first"
            for first, block in enumerate(cell.blocks):
                if max(block.left, block.right) < cell.inputs:
                    order = [first, *(other for other in range(self.blocks) if other != first)]
                    reordered = cell.reordered(order)
                    if self._with_outputs(name, reordered.blocks) == reordered:
                        return reordered
        raise InputError(
            f"the {name} cell's outputs are the states {_listed(cell.outputs)}, but the rule "
            f"'{self.outputs}' of this space gives {_listed(given.outputs)}{others}. Received: {architecture}"
        )

    def _tokens(self, name: str, block: Block) -> Tokens:
        for what, value, options in (
            ("operation", block.left_operation, self.operations),
            ("operation", block.right_operation, self.operations),
            ("combination", block.combination, self.combinations),
        ):
            if value not in options:
                raise InputError(
                    f"block '{block.text()}' of the {name} cell is not in this space: its {what}s are "
                    f"{', '.join(options)}. Received: {value}"
                )
        return (
            block.left,
            block.right,
            self.operations.index(block.left_operation),
            self.operations.index(block.right_operation),
            self.combinations.index(block.combination),
        )


def _listed(states: Sequence[int]) -> str:
    return ", ".join(map(str, states))

"""Recurrent cells as values: a tree of nodes with a memory (Zoph & Le, 2017, §3.4 and figure 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.cell_names import NAMED_CELLS
from nas.spaces.cell_node import CellNode
from nas.spaces.costs import check_recurrent_task

_NUMBER = r"(0|[1-9][0-9]{0,5})"
_INDICES = re.compile(rf"c={_NUMBER},inject=([^@]*)@{_NUMBER}")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class RecurrentCell(Architecture):
    """A binary tree that computes (h_t, c_t) from (x_t, h_{t−1}, c_{t−1}).

    The tree of base B has the leaves 0…B−1 and above them the nodes B…2B−2, level by level; node n above
    the leaves merges the nodes 2(n−B) and 2(n−B)+1. Each node has a combination ∘ and an activation f:

    * Leaf i has two matrices of its own and computes z_i = (W_i x_t) ∘_i (U_i h_{t−1}), a_i = f_i(z_i).
    * A node n above computes z_n = a_l ∘_n a_r from its children l and r, and a_n = f_n(z_n). It has no
      parameters.
    * At the node `c_in` the memory enters: what stands above it sees f(a ∘ c_{t−1}) with the combination
      and activation of `inject`, applied after the node's own activation.
    * c_t is z of the node `c_out`, before its activation; h_t is the output of the root, the last node.

    If `c_in` is `c_out`, c_t is from before the injection; if `c_in` is the root, h_t is from after it.
    There are no biases. Differs from the paper: it leaves open what happens if `c_in` is `c_out`.

    Two values are equal exactly when they are the same tree, node by node. As the numbers of a network's
    layers do, the numbers of the leaves belong to the cell: no search is made for a renumbering, or for
    an activation that changes nothing, that would make two cells compute the same.

    Text form: the nodes in order, each `COMBINATION-ACTIVATION`, separated by commas and after each level
    of the tree by `/`; then `c=` with `c_out`, and `inject=COMBINATION-ACTIVATION@` with `c_in`. Instead
    of all this a name of `NAMED_CELLS` may stand.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> cell = parse_architecture("cell:worked-example")
        >>> str(cell)
        'cell:add-tanh,elem_mult-relu/elem_mult-sigmoid/c=1,inject=add-relu@0'
        >>> cell.base, cell.children(2)
        (2, (0, 1))

    Attributes:
        nodes: the leaves, then the levels above them up to the root.
        inject: what is done with c_{t−1} and the output of the node `c_in`.
        c_out: index of the node whose z is c_t.
        c_in: index of the node whose output c_{t−1} is merged with.

    Raises:
        InputError: a value is not allowed, or the nodes are no full tree.
    """

    kind: ClassVar[str] = "cell"
    shown_for: ClassVar[tuple[tuple[int, ...], int]] = ((200,), 200)

    nodes: tuple[CellNode, ...]
    inject: CellNode
    c_out: int
    c_in: int

    def __post_init__(self) -> None:
        if not isinstance(self.nodes, tuple) or any(not isinstance(node, CellNode) for node in self.nodes):
            raise InputError(f"a cell's nodes must be a tuple of CellNode. Received: {self.nodes!r}")
        if self.base < 2 or not is_power_of_two(self.base) or len(self.nodes) != 2 * self.base - 1:
            raise InputError(
                "a cell is a full binary tree: 2B−1 nodes for B leaves, where B is a power of two of at "
                f"least 2 (3, 7, 15, 31, … nodes). Received: {len(self.nodes)} nodes"
            )
        if not isinstance(self.inject, CellNode):
            raise InputError(f"a cell's inject must be a CellNode. Received: {self.inject!r}")
        for name in ("c_out", "c_in"):
            index = getattr(self, name)
            if type(index) is not int or not 0 <= index < len(self.nodes):
                raise InputError(
                    f"a cell's {name} must be the index of a node, 0…{len(self.nodes) - 1}. "
                    f"Received: {index!r}"
                )

    @property
    def base(self) -> int:
        """Number of leaves, B."""
        return (len(self.nodes) + 1) // 2

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The nodes' indices level by level: the leaves first, the root alone at the end."""
        found, start, width = [], 0, self.base
        while width:
            found.append(tuple(range(start, start + width)))
            start, width = start + width, width // 2
        return tuple(found)

    def children(self, node: int) -> tuple[int, int] | None:
        """The two nodes that `node` merges; None for a leaf, which merges W x_t and U h_{t−1}."""
        if node < self.base:
            return None
        left = 2 * (node - self.base)
        return left, left + 1

    def cost(self, input_shape: Sequence[int], outputs: int) -> Cost:
        """Size of the cell as one layer of `outputs` units, for one time step of one sequence.

        Args:
            input_shape: (features,) of x_t.
            outputs: units, the length of h_t and of c_t.
        """
        features, units = check_recurrent_task(input_shape, outputs)
        weights = self.base * (features + units) * units
        return Cost(weights, weights)

    def body(self) -> str:
        levels = [",".join(self.nodes[index].text() for index in level) for level in self.levels]
        return "/".join([*levels, f"c={self.c_out},inject={self.inject.text()}@{self.c_in}"])

    @classmethod
    def from_body(cls, body: str) -> Self:
        if _NAME.fullmatch(body):
            if body not in NAMED_CELLS:
                raise InputError(f"no cell is named '{body}': {nearest(body, NAMED_CELLS)}")
            body = NAMED_CELLS[body]
        *levels, last = body.split("/")
        match = _INDICES.fullmatch(last)
        if match is None:
            raise InputError(
                f"a cell ends in /c=NODE,inject=COMBINATION-ACTIVATION@NODE, as in /c=1,inject=add-relu@0. "
                f"Received: '{last}'"
            )
        nodes = [[CellNode.parse(text) for text in level.split(",")] for level in levels]
        sizes = [len(level) for level in nodes]
        if not sizes or sizes[-1] != 1 or any(a != 2 * b for a, b in pairwise(sizes)):
            raise InputError(
                "each level of a cell has half as many nodes as the one before it, and the last has one, as "
                f"in add-tanh,elem_mult-relu/elem_mult-sigmoid. Received: levels of {sizes} nodes"
            )
        inject = CellNode.parse(match[2])
        return cls(tuple(node for level in nodes for node in level), inject, int(match[1]), int(match[3]))

    def fields(self) -> dict[str, Any]:
        return {
            "nodes": [node.fields() for node in self.nodes],
            "inject": self.inject.fields(),
            "c_out": self.c_out,
            "c_in": self.c_in,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if set(fields) != {"nodes", "inject", "c_out", "c_in"} or not isinstance(fields["nodes"], list):
            raise InputError(
                "a recurrent cell in JSON has the keys nodes (a list), inject, c_out and c_in. "
                f"Received: {dict(fields)!r}"
            )
        nodes = tuple(CellNode.from_fields(node) for node in fields["nodes"])
        return cls(nodes, CellNode.from_fields(fields["inject"]), fields["c_out"], fields["c_in"])


def is_power_of_two(number: int) -> bool:
    """Whether `number` is 1, 2, 4, 8, …"""
    return number > 0 and number & (number - 1) == 0

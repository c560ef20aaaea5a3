"""Recurrent cells as values: trees of nodes with a memory (Zoph & Le, 2017, §3.4 and figure 5), LSTM, GRU."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, cast, get_args

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost, Line
from nas.spaces.costs import check_recurrent_task

Combination = Literal["add", "elem_mult", "max"]
Activation = Literal["identity", "tanh", "sigmoid", "relu", "sin"]
COMBINATIONS: tuple[str, ...] = get_args(Combination)
"""Element by element: sum, product, and the larger one (only in the paper's control space)."""
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
"""The last, the sine, stands only in the paper's control space."""

StandardName = Literal["lstm", "gru"]
STANDARD_NAMES: tuple[str, ...] = get_args(StandardName)

NAMED_RECURRENT_CELLS: Mapping[str, str] = MappingProxyType(
    {
        # The cell that the authors released after Zoph & Le (2017): NASCell of TensorFlow's contrib.rnn.
        "zoph-le-2017": (
            "add-sigmoid,add-relu,add-sigmoid,elem_mult-relu,add-tanh,add-sigmoid,add-tanh,add-sigmoid"
            "/elem_mult-tanh,add-tanh,elem_mult-tanh,add-sigmoid"
            "/elem_mult-identity,add-tanh"
            "/elem_mult-tanh"
            "/c=12,inject=add-tanh@8"
        ),
        # The example that the paper computes step by step: figure 5.
        "worked-example": "add-tanh,elem_mult-relu/elem_mult-sigmoid/c=1,inject=add-relu@0",
        # An LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) as a cell of the
        # tree. Leaves 0 and 1 are its input gate i and candidate g; leaves 2 and 3, summed at node 9, its
        # forget gate f; leaves 4–7, summed at node 13, its output gate o; node 8 is i⊙g, the injection makes
        # node 9 f⊙c, node 12 has c = i⊙g + f⊙c before its tanh, and node 14 is o⊙tanh(c).
        # Limits: a cell of the tree has no biases (the forget gate's included), and f and o are sums of two
        # and four redundant pairs of matrices, so that it has 8 pairs where an LSTM needs 4.
        "lstm": (
            "add-sigmoid,add-tanh,add-identity,add-identity"
            ",add-identity,add-identity,add-identity,add-identity"
            "/elem_mult-identity,add-sigmoid,add-identity,add-identity"
            "/add-tanh,add-sigmoid"
            "/elem_mult-identity"
            "/c=12,inject=elem_mult-identity@9"
        ),
    }
)
"""Text forms, without the kind, of recurrent cells that have a name: `cell:zoph-le-2017`."""

_NUMBER = r"(0|[1-9][0-9]{0,5})"
_INDICES = re.compile(rf"c={_NUMBER},inject=([^@]*)@{_NUMBER}")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class RecurrentNode:
    """What a node does with its two inputs: activation(combination(a, b)).

    Attributes:
        combination: `add`, `elem_mult` or `max`.
        activation: `identity`, `tanh`, `sigmoid`, `relu` or `sin`.

    Raises:
        InputError: a name is unknown.
    """

    combination: Combination
    activation: Activation

    def __post_init__(self) -> None:
        for name, allowed in (("combination", COMBINATIONS), ("activation", ACTIVATIONS)):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(
                    f"a node's {name} must be known: {nearest(str(value), allowed)}. Received: {value!r}"
                )

    def text(self) -> str:
        """The text form, `COMBINATION-ACTIVATION`."""
        return f"{self.combination}-{self.activation}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The node that a text form writes down.

        Raises:
            InputError: the text is not a valid node.
        """
        combination, dash, activation = text.partition("-")
        if not dash:
            raise InputError(
                f"'{text}' is not a valid node; one is written COMBINATION-ACTIVATION, as in add-tanh"
            )
        try:
            return cls(cast(Combination, combination), cast(Activation, activation))
        except InputError as error:
            raise InputError(f"'{text}' is not a valid node: {error}") from error

    def fields(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_fields(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `fields`."""
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or set(value) != set(names):
            raise InputError(f"a node in JSON has the keys {', '.join(names)}. Received: {value!r}")
        return cls(**value)


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
    of all this a name of `NAMED_RECURRENT_CELLS` may stand.

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
        InputError: a value is not allowed, or the nodes don't form a full tree.
    """

    kind: ClassVar[str] = "cell"
    drawing: ClassVar[str | None] = "nas.report.drawings.recurrent_cells"
    builder: ClassVar[str | None] = "nas.networks.recurrent_cell"
    shown_for: ClassVar[tuple[tuple[int, ...], int]] = ((200,), 200)

    nodes: tuple[RecurrentNode, ...]
    inject: RecurrentNode
    c_out: int
    c_in: int

    def lines(self, input_shape: tuple[int, ...], outputs: int) -> list[Line]:
        whole = self.cost(input_shape, outputs)
        lines = []
        for index, node in enumerate(self.nodes):
            children = self.children(index)
            share = Cost(0, 0)
            inputs = "x, h"
            if children is None:
                share = Cost(whole.parameters // self.base, whole.multiply_adds // self.base)
            else:
                inputs = " + ".join(
                    f"{child} (with c)" if child == self.c_in else str(child) for child in children
                )
            what = f"{node.combination}, {node.activation}" + " → c" * (index == self.c_out)
            lines.append(Line(str(index), what, inputs, (outputs,), share.parameters, share.multiply_adds))
        inject = f"{self.inject.combination}, {self.inject.activation}"
        return [*lines, Line("inject", inject, f"{self.c_in} + c", (outputs,), 0, 0)]

    def __post_init__(self) -> None:
        if not isinstance(self.nodes, tuple) or any(
            not isinstance(node, RecurrentNode) for node in self.nodes
        ):
            raise InputError(f"a cell's nodes must be a tuple of RecurrentNode. Received: {self.nodes!r}")
        if self.base < 2 or not is_power_of_two(self.base) or len(self.nodes) != 2 * self.base - 1:
            raise InputError(
                "a cell is a full binary tree: 2B−1 nodes for B leaves, where B is a power of two of at "
                f"least 2 (3, 7, 15, 31, … nodes). Received: {len(self.nodes)} nodes"
            )
        if not isinstance(self.inject, RecurrentNode):
            raise InputError(f"a cell's inject must be a RecurrentNode. Received: {self.inject!r}")
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
            if body not in NAMED_RECURRENT_CELLS:
                raise InputError(f"no cell is named '{body}': {nearest(body, NAMED_RECURRENT_CELLS)}")
            body = NAMED_RECURRENT_CELLS[body]
        *levels, last = body.split("/")
        match = _INDICES.fullmatch(last)
        if match is None:
            raise InputError(
                f"a cell ends in /c=NODE,inject=COMBINATION-ACTIVATION@NODE, as in /c=1,inject=add-relu@0. "
                f"Received: '{last}'"
            )
        nodes = [[RecurrentNode.parse(text) for text in level.split(",")] for level in levels]
        sizes = [len(level) for level in nodes]
        if not sizes or sizes[-1] != 1 or any(a != 2 * b for a, b in pairwise(sizes)):
            raise InputError(
                "each level of a cell has half as many nodes as the one before it, and the last has one, as "
                f"in add-tanh,elem_mult-relu/elem_mult-sigmoid. Received: levels of {sizes} nodes"
            )
        inject = RecurrentNode.parse(match[2])
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
        nodes = tuple(RecurrentNode.from_fields(node) for node in fields["nodes"])
        return cls(nodes, RecurrentNode.from_fields(fields["inject"]), fields["c_out"], fields["c_in"])


def is_power_of_two(number: int) -> bool:
    """Whether `number` is 1, 2, 4, 8, …"""
    return number > 0 and number & (number - 1) == 0


@dataclass(frozen=True)
class StandardCell(Architecture):
    """A recurrent cell that everybody knows, with the equations and parameters of Keras' own layers.

    * `lstm` (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000): four gates, each
      W x_t + U h_{t−1} + b; the state is h and c.
    * `gru` (Cho et al. 2014, v3): three gates, each with two biases because the reset gate is applied
      after the matrix product (`reset_after=True`, Keras' default); the state is h.

    Text form: `rnn:lstm` or `rnn:gru`.

    Attributes:
        name: `lstm` or `gru`.

    Raises:
        InputError: the name is unknown.
    """

    kind: ClassVar[str] = "rnn"
    drawing: ClassVar[str | None] = "nas.report.drawings.recurrent_cells"
    builder: ClassVar[str | None] = "nas.networks.recurrent_cell"
    shown_for: ClassVar[tuple[tuple[int, ...], int]] = ((200,), 200)

    name: StandardName

    def __post_init__(self) -> None:
        if self.name not in STANDARD_NAMES:
            raise InputError(
                f"a hand-made cell must be known: {nearest(str(self.name), STANDARD_NAMES)}. "
                f"Received: {self.name!r}"
            )

    def cost(self, input_shape: Sequence[int], outputs: int) -> Cost:
        """Size of the cell as one layer of `outputs` units, for one time step of one sequence.

        Args:
            input_shape: (features,) of x_t.
            outputs: units, the length of h_t.
        """
        features, units = check_recurrent_task(input_shape, outputs)
        gates, biases = (4, 1) if self.name == "lstm" else (3, 2)
        weights = gates * (features + units) * units
        return Cost(weights + gates * biases * units, weights)

    def body(self) -> str:
        return self.name

    @classmethod
    def from_body(cls, body: str) -> Self:
        if body not in STANDARD_NAMES:
            raise InputError(
                f"a hand-made cell is written rnn:{' or rnn:'.join(STANDARD_NAMES)}. Received: '{body}'; "
                f"{nearest(body, STANDARD_NAMES)}"
            )
        return cls(cast(StandardName, body))

    def fields(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if set(fields) != {"name"}:
            raise InputError(f"a hand-made cell in JSON has the key name. Received: {dict(fields)!r}")
        return cls(**fields)

"""The search space of recurrent cells (Zoph & Le, 2017, §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from nas import plugins
from nas.errors import InputError
from nas.spaces import options as check
from nas.spaces.architecture import Architecture
from nas.spaces.recurrent_cell import (
    ACTIVATIONS,
    COMBINATIONS,
    Activation,
    Combination,
    RecurrentCell,
    RecurrentNode,
    is_power_of_two,
)
from nas.spaces.space import DepthSchedule, Space
from nas.spaces.steps import Choice, Option, Step, StepList, Tokens


class RecurrentCellSpace(Space):
    """Recurrent cells of one base, predicted node by node.

    In the paper's order: for each node, leaves first and the root last, its combination and its
    activation; then combination and activation of the injection ("cell inject"); then the index of the
    node that gives c_t and the index of the node where c_{t−1} enters ("cell indices"). These are 34
    decisions for base 8, and 8^16 · 15^2 ≈ 6.3·10^16 token strings. Each is a cell of its own. A cell has
    no depth, so that the depth of every proposal is 1.

    The paper's control space (its §4.2, "Control Experiment 1") has `max` and `sin` too.

    Differs from the paper: it doesn't state whether the injection shares its softmax with the nodes; here
    it has its own.

    Args:
        base: number of leaves, a power of two of at least 2.
        combinations: what nodes and injection may do with their two inputs; of `add`, `elem_mult`, `max`.
        activations: what they may do then; of `identity`, `tanh`, `sigmoid`, `relu`, `sin`.

    Raises:
        InputError: an option is not allowed.

    Example:
        >>> space = RecurrentCellSpace(base=2)
        >>> str(space.decode((0, 1, 1, 3, 1, 2, 0, 3, 1, 0), 1))
        'cell:add-tanh,elem_mult-relu/elem_mult-sigmoid/c=1,inject=add-relu@0'
        >>> RecurrentCellSpace().size(1) == 8**16 * 15**2
        True
    """

    depth = DepthSchedule(1)

    canonical_options = classmethod(plugins.held_by)

    def __init__(
        self,
        base: int = 8,
        combinations: Sequence[str] = ("add", "elem_mult"),
        activations: Sequence[str] = ("identity", "tanh", "sigmoid", "relu"),
    ) -> None:
        self.base = check.whole_number("base", base, 2)
        if not is_power_of_two(base):
            raise InputError(f"base must be a power of two: 2, 4, 8, …. Received: {base}")
        self.combinations = check.names("combinations", combinations, COMBINATIONS)
        self.activations = check.names("activations", activations, ACTIVATIONS)
        self._nodes = 2 * base - 1
        self._steps = self._all_steps()

    def steps(self, depth: int) -> StepList:
        if type(depth) is not int or depth != 1:
            raise InputError(f"the depth of a recurrent cell is 1, whatever its base. Received: {depth!r}")
        return self._steps

    def _all_steps(self) -> StepList:
        steps: list[Step] = []
        for index in range(self._nodes):
            steps.append(Choice(f"node{index}.combination", "combination", self.combinations))
            steps.append(Choice(f"node{index}.activation", "activation", self.activations))
        steps.append(Choice("inject.combination", "inject_combination", self.combinations))
        steps.append(Choice("inject.activation", "inject_activation", self.activations))
        indices: tuple[Option, ...] = tuple(range(self._nodes))
        steps.append(Choice("index.c_out", "index_c_out", indices))
        steps.append(Choice("index.c_in", "index_c_in", indices))
        return StepList(tuple(steps))

    def decode(self, tokens: Sequence[int], depth: int) -> RecurrentCell:
        chosen = self.steps(depth).chosen(tokens)

        def node(name: str) -> RecurrentNode:
            return RecurrentNode(
                cast(Combination, chosen[f"{name}.combination"]),
                cast(Activation, chosen[f"{name}.activation"]),
            )

        return RecurrentCell(
            tuple(node(f"node{index}") for index in range(self._nodes)),
            node("inject"),
            cast(int, chosen["index.c_out"]),
            cast(int, chosen["index.c_in"]),
        )

    def encode(self, architecture: Architecture) -> Tokens:
        if not isinstance(architecture, RecurrentCell):
            raise InputError(f"this space has recurrent cells only. Received: {architecture}")
        if architecture.base != self.base:
            raise InputError(f"cells have base {self.base} in this space. Received: {architecture.base}")
        named = [(f"node {index}", node) for index, node in enumerate(architecture.nodes)]
        tokens: list[int] = []
        for name, node in [*named, ("inject", architecture.inject)]:
            for what, options in (("combination", self.combinations), ("activation", self.activations)):
                value = getattr(node, what)
                if value not in options:
                    raise InputError(
                        f"{name} ('{node.text()}') is not in this space: {what} must be one of "
                        f"{', '.join(options)}. Received: {value}"
                    )
                tokens.append(options.index(value))
        return (*tokens, architecture.c_out, architecture.c_in)

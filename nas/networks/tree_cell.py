"""The Keras cell of a `RecurrentCell`, the tree of Zoph & Le (2017, §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import keras
from keras import ops

from nas.networks.cell import Cell, register_cell
from nas.networks.tape import Tape, Value
from nas.spaces.cell import CellNode, RecurrentCell

Tensor = Any


def leaf_order(architecture: RecurrentCell) -> tuple[int, ...]:
    """The leaves in the order of their columns in the weights.

    Leaves of one combination, and among them those of one activation, stand together, so that a step
    computes them as one slice; else they stand in the order of their indices.
    """
    nodes = architecture.nodes
    return tuple(
        sorted(range(architecture.base), key=lambda leaf: (nodes[leaf].combination, nodes[leaf].activation))
    )


@register_cell(RecurrentCell)
@keras.saving.register_keras_serializable(package="nasflow")
class TreeCell(Cell):
    """One time step of a `RecurrentCell`, which says what is computed; see `Cell` for the arguments.

    Weights:
        kernel: matrix, with shape `(features, base · units)`: W of all leaves, `units` columns for each, in
            the order of `leaf_order`.
        recurrent_kernel: matrix, with shape `(units, base · units)`: U of all leaves in the same order.
        bias: vector, with shape `(base · units,)`, only with `use_bias=True`: it is added to
            U h_{t−1}, before a leaf combines this with W x_t. Begins at 0 without an `init_scale`.

    The states are h and c.
    """

    def __init__(self, architecture: RecurrentCell, units: int, **kwargs: Any) -> None:
        super().__init__(architecture, units, **kwargs)
        self.tree = architecture
        self.state_size = [units, units]
        order = leaf_order(architecture)
        nodes = architecture.nodes
        self._groups = [
            (
                combination,
                [(name, list(same)) for name, same in groupby(leaves, lambda n: nodes[n].activation)],
            )
            for combination, leaves in (
                (name, list(same)) for name, same in groupby(order, lambda n: nodes[n].combination)
            )
        ]

    def build(self, input_shape: Sequence[Any]) -> None:
        columns = self.tree.base * self.units
        self.add_matrices(input_shape[-1], columns, ("bias", (columns,), "zeros"))

    def project(self, inputs: Tensor) -> Tensor:
        return ops.matmul(inputs, self.kernel)

    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent_kernel, self.bias if self.has_bias else None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        cell = self.tree
        h, c = states
        before, after = self._leaves(tape, x, tape.product(tape.scale(h, mask)))
        for index, node in enumerate(cell.nodes):
            children = cell.children(index)
            if children is not None:
                before[index] = tape.combine(node.combination, after[children[0]], after[children[1]])
                after[index] = tape.activate(node.activation, before[index])
            if index == cell.c_in:
                after[index] = _apply(tape, cell.inject, after[index], c)
        return [after[len(cell.nodes) - 1], before[cell.c_out]]

    def _leaves(self, tape: Tape, x: Value, m: Value) -> tuple[dict[int, Value], dict[int, Value]]:
        """The leaves before their activation (only those that are needed so) and after it."""
        before: dict[int, Value] = {}
        after: dict[int, Value] = {}
        sizes = [self.units * sum(len(leaves) for _, leaves in parts) for _, parts in self._groups]
        sides = zip(tape.split(x, sizes), tape.split(m, sizes), strict=True)
        for (combination, parts), (of_x, of_m) in zip(self._groups, sides, strict=True):
            merged = tape.combine(combination, of_x, of_m)
            widths = [self.units * len(leaves) for _, leaves in parts]
            for (activation, leaves), part in zip(parts, tape.split(merged, widths), strict=True):
                each = [self.units] * len(leaves)
                active = tape.split(tape.activate(activation, part), each)
                after.update(zip(leaves, active, strict=True))
                if self.tree.c_out in leaves:
                    before.update(zip(leaves, tape.split(part, each), strict=True))
        return before, after


def _apply(tape: Tape, node: CellNode, a: Value, b: Value) -> Value:
    return tape.activate(node.activation, tape.combine(node.combination, a, b))

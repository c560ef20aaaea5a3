"""The Keras cells of the hand-made baselines, with the weights of Keras' own layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from nas.networks.cell import Cell, register_cell
from nas.networks.tape import Tape, Value
from nas.spaces.standard_cell import StandardCell

Tensor = Any


@register_cell(StandardCell)
def standard_cell(architecture: StandardCell, units: int, **settings: Any) -> Cell:
    """The cell that a `StandardCell` names."""
    return {"lstm": LSTMCell, "gru": GRUCell}[architecture.name](architecture, units, **settings)


@keras.saving.register_keras_serializable(package="nasflow")
class LSTMCell(Cell):
    """One time step of an LSTM, with the equations and weights of `keras.layers.LSTM`; see `Cell`.

    Weights:
        kernel: matrix, with shape `(features, 4 · units)`: input gate, forget gate, candidate, output gate.
        recurrent_kernel: matrix, with shape `(units, 4 · units)`.
        bias: vector, with shape `(4 · units,)`, unless `use_bias=False`. Without an `init_scale` it begins
            at 1 for the forget gate, else at 0.

    The states are h and c.
    """

    own_bias = True

    def __init__(self, architecture: StandardCell, units: int, **kwargs: Any) -> None:
        super().__init__(architecture, units, **kwargs)
        self.state_size = [units, units]

    def build(self, input_shape: Sequence[Any]) -> None:
        columns = 4 * self.units
        self.add_matrices(input_shape[-1], columns, ("bias", (columns,), self._open_forget_gate))

    def _open_forget_gate(self, shape: Any, dtype: Any = None) -> Tensor:
        parts = [
            ops.ones((self.units,), dtype) if gate == 1 else ops.zeros((self.units,), dtype)
            for gate in range(4)
        ]
        return ops.concatenate(parts)

    def project(self, inputs: Tensor) -> Tensor:
        product = ops.matmul(inputs, self.kernel)
        return ops.add(product, self.bias) if self.has_bias else product

    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent_kernel, None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        h, c = states
        gates = tape.combine("add", x, tape.product(tape.scale(h, mask)))
        first, candidate, output = tape.split(gates, [2 * self.units, self.units, self.units])
        write, keep = tape.split(tape.activate("sigmoid", first), [self.units] * 2)
        new = tape.combine(
            "add",
            tape.combine("elem_mult", keep, c),
            tape.combine("elem_mult", write, tape.activate("tanh", candidate)),
        )
        gate = tape.activate("sigmoid", output)
        return [tape.combine("elem_mult", gate, tape.activate("tanh", new)), new]


@keras.saving.register_keras_serializable(package="nasflow")
class GRUCell(Cell):
    """One time step of a GRU, with the equations and weights of `keras.layers.GRU`; see `Cell`.

    Weights:
        kernel: matrix, with shape `(features, 3 · units)`: update gate, reset gate, candidate.
        recurrent_kernel: matrix, with shape `(units, 3 · units)`.
        bias: matrix, with shape `(2, 3 · units)`, unless `use_bias=False`: one row is added to W x_t, one to
            U h_{t−1}. Begins at 0 without an `init_scale`.

    The state is h.
    """

    own_bias = True

    def build(self, input_shape: Sequence[Any]) -> None:
        columns = 3 * self.units
        self.add_matrices(input_shape[-1], columns, ("bias", (2, columns), "zeros"))

    def project(self, inputs: Tensor) -> Tensor:
        product = ops.matmul(inputs, self.kernel)
        return ops.add(product, self.bias[0]) if self.has_bias else product

    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent_kernel, self.bias[1] if self.has_bias else None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        (h,) = states
        widths = [2 * self.units, self.units]
        x_gates, x_candidate = tape.split(x, widths)
        m_gates, m_candidate = tape.split(tape.product(tape.scale(h, mask)), widths)
        gates = tape.activate("sigmoid", tape.combine("add", x_gates, m_gates))
        update, reset = tape.split(gates, [self.units] * 2)
        candidate = tape.activate(
            "tanh", tape.combine("add", x_candidate, tape.combine("elem_mult", reset, m_candidate))
        )
        kept = tape.combine("elem_mult", update, tape.subtract(h, candidate))
        return [tape.combine("add", candidate, kept)]

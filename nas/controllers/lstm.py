"""A stack of LSTM layers, one step at a time, with exact gradients.

Source: Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000), stacked as by
Zaremba et al. (2014, eq. 4–7). For one layer with input x, and h, c before the step:

    (a_i, a_f, a_o, a_g) = [x, h] K + b
    i, f, o = σ(a_i), σ(a_f), σ(a_o);  g = tanh(a_g)
    c' = f ⊙ c + i ⊙ g;  h' = o ⊙ tanh(c')

The layer above receives h' as its x. The gradient, for dh' and dc' that arrive from later on:

    dc' += dh' ⊙ o ⊙ (1 − tanh²(c'));  dc = dc' ⊙ f
    da_i = dc' ⊙ g ⊙ i(1 − i);  da_f = dc' ⊙ c ⊙ f(1 − f)
    da_o = dh' ⊙ tanh(c') ⊙ o(1 − o);  da_g = dc' ⊙ i ⊙ (1 − g²)
    dK += [x, h]ᵀ da;  db += Σ da;  [dx, dh] = da Kᵀ
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), without overflow for any x."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


def kernel_name(layer: int) -> str:
    """The parameter K of `layer`, with shape `(units of x + units, 4 · units)`."""
    return f"lstm/{layer}/kernel"


def bias_name(layer: int) -> str:
    """The parameter b of `layer`, with shape `(4 · units,)`."""
    return f"lstm/{layer}/bias"


def lstm_layers(parameters: Mapping[str, Array]) -> int:
    """How many layers the LSTM among `parameters` has."""
    return sum(kernel_name(layer) in parameters for layer in range(len(parameters)))


@dataclass(frozen=True)
class LayerTape:
    """What the gradient of one layer's step needs; gates are (i, f, o, g) side by side."""

    joined: Array
    gates: Array
    cell: Array
    tanh_cell: Array


def lstm_step(
    parameters: Mapping[str, Array], inputs: Array, state: Array
) -> tuple[Array, tuple[LayerTape, ...]]:
    """One step of all layers.

    Args:
        parameters: with `kernel_name` and `bias_name` of each layer.
        inputs: of the first layer, with shape `(batch, units)`.
        state: h and c of each layer, with shape `(2, layers, batch, units)`; it is not changed.

    Returns:
        The new state and the tape for `lstm_gradient`.
    """
    after = np.empty_like(state)
    tapes = []
    for layer in range(state.shape[1]):
        hidden, cell = state[:, layer]
        joined = np.concatenate((inputs, hidden), axis=1)
        gates = joined @ parameters[kernel_name(layer)]
        gates += parameters[bias_name(layer)]
        _activate(gates)
        i, f, o, g = _quarters(gates)
        inputs, new_cell = after[:, layer]
        np.multiply(f, cell, out=new_cell)
        new_cell += i * g
        tanh_cell = np.tanh(new_cell)
        np.multiply(o, tanh_cell, out=inputs)
        tapes.append(LayerTape(joined, gates, cell, tanh_cell))
    return after, tuple(tapes)


def lstm_gradient(
    parameters: Mapping[str, Array],
    tapes: tuple[LayerTape, ...],
    d_after: Array,
    gradient: dict[str, Array],
) -> tuple[Array, Array]:
    """The gradient through one `lstm_step`.

    Args:
        parameters: as they were in the step.
        tapes: of the step.
        d_after: gradient for the state after the step; it is not changed.
        gradient: that of the parameters is added to it.

    Returns:
        The gradients for the step's inputs and for the state before it.
    """
    d_state = np.empty_like(d_after)
    units = d_after.shape[-1]
    d_inputs = np.zeros_like(d_after[0, 0])
    for layer in reversed(range(len(tapes))):
        tape = tapes[layer]
        i, f, o, g = _quarters(tape.gates)
        d_hidden = d_after[0, layer] + d_inputs  # what the layer above received as input is h' too
        d_cell = d_after[1, layer] + d_hidden * o * (1.0 - tape.tanh_cell**2)
        d_gates = np.empty_like(tape.gates)
        d_i, d_f, d_o, d_g = _quarters(d_gates)
        np.multiply(d_cell, g, out=d_i)
        np.multiply(d_cell, tape.cell, out=d_f)
        np.multiply(d_hidden, tape.tanh_cell, out=d_o)
        np.multiply(d_cell, i, out=d_g)
        d_gates *= _slopes(tape.gates)
        np.multiply(d_cell, f, out=d_state[1, layer])
        gradient[kernel_name(layer)] += tape.joined.T @ d_gates
        gradient[bias_name(layer)] += d_gates.sum(axis=0)
        d_joined = d_gates @ parameters[kernel_name(layer)].T
        d_inputs, d_state[0, layer] = d_joined[:, :-units], d_joined[:, -units:]
    return d_inputs, d_state


def _activate(gates: Array) -> None:
    """σ of the first three quarters and tanh of the last, in place: σ(x) = ½ + ½ tanh(x/2)."""
    sigmoids = gates[:, : 3 * (gates.shape[1] // 4)]
    sigmoids *= 0.5
    np.tanh(gates, out=gates)
    sigmoids *= 0.5
    sigmoids += 0.5


def _slopes(gates: Array) -> Array:
    """Derivatives of `_activate` by its result: σ' = σ − σ², tanh' = 1 − tanh²."""
    slopes = gates * gates
    units = gates.shape[1] // 4
    np.subtract(gates[:, : 3 * units], slopes[:, : 3 * units], out=slopes[:, : 3 * units])
    np.subtract(1.0, slopes[:, 3 * units :], out=slopes[:, 3 * units :])
    return slopes


def _quarters(gates: Array) -> tuple[Array, Array, Array, Array]:
    units = gates.shape[1] // 4
    return (
        gates[:, :units],
        gates[:, units : 2 * units],
        gates[:, 2 * units : 3 * units],
        gates[:, 3 * units :],
    )

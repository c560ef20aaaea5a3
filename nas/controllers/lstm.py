"""Arithmetic of the policy: arrays by name, a stack of LSTM layers with exact gradients, and Adam.

Source of the LSTM: Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000), stacked as by
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
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import InputError

Array = npt.NDArray[np.float64]


# --- arrays by name ---------------------------------------------------------------------------------


def fitting(arrays: Any, like: Mapping[str, Array], what: str) -> dict[str, Array]:
    """Copies of `arrays`, checked: as many as in `like`, shaped like those, and all numbers finite.

    Args:
        arrays: what came from outside, a mapping if it is right.
        like: arrays of the right names and shapes.
        what: what the arrays are, for the message, e.g. `the state's parameters`.

    Raises:
        InputError: they don't fit; the message names the first that doesn't.
    """
    if not isinstance(arrays, Mapping):
        raise InputError(f"{what} must be a mapping from names to arrays. Received: {type(arrays).__name__}")
    for name in sorted(set(arrays) ^ set(like)):
        problem = "is missing" if name in like else "is unknown"
        raise InputError(f"{what} don't fit this controller (same space and options?): '{name}' {problem}")
    copies = {}
    for name, expected in like.items():
        try:
            array = np.array(arrays[name], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{what} must be arrays of numbers; '{name}' is not one: {error}") from error
        if array.shape != expected.shape:
            raise InputError(
                f"{what} don't fit this controller (same space and options?): '{name}' must have shape "
                f"{expected.shape}. Received: {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{what} must be finite; '{name}' holds NaN or infinity")
        copies[name] = array
    return copies


def copied(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Copies that later changes of `arrays` don't reach."""
    return {name: array.copy() for name, array in arrays.items()}


# --- LSTM -------------------------------------------------------------------------------------------


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
    """Values that the gradient of one layer's step needs; gates are (i, f, o, g) side by side."""

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
        d_gates *= _derivatives(tape.gates)
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


def _derivatives(gates: Array) -> Array:
    """Derivatives of `_activate` by its result: σ' = σ − σ², tanh' = 1 − tanh²."""
    derivatives = gates * gates
    units = gates.shape[1] // 4
    np.subtract(gates[:, : 3 * units], derivatives[:, : 3 * units], out=derivatives[:, : 3 * units])
    np.subtract(1.0, derivatives[:, 3 * units :], out=derivatives[:, 3 * units :])
    return derivatives


def _quarters(gates: Array) -> tuple[Array, Array, Array, Array]:
    units = gates.shape[1] // 4
    return (
        gates[:, :units],
        gates[:, units : 2 * units],
        gates[:, 2 * units : 3 * units],
        gates[:, 3 * units :],
    )


# --- Adam -------------------------------------------------------------------------------------------


class Adam:
    """Optimiser of an objective to minimise (Kingma & Ba, 2015, algorithm 1).

    With g the gradient at step t: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²,
    θ ← θ − α · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε).

    Attributes:
        step: t, the number of updates made.

    Args:
        parameters: the arrays to update, in place.
        learning_rate: α. The paper of Adam recommends 1e-3; Zoph & Le (2017, §4.1) use 6e-4.
        beta_1, beta_2, epsilon: as Adam's paper recommends.
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        learning_rate: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.step = 0
        self._parameters = parameters
        self._mean = {name: np.zeros_like(array) for name, array in parameters.items()}
        self._square = {name: np.zeros_like(array) for name, array in parameters.items()}

    def apply(self, gradient: Mapping[str, Array]) -> None:
        """One step down `gradient`.

        Raises:
            InputError: it doesn't fit the parameters or isn't finite; nothing was changed.
        """
        checked = fitting(gradient, self._parameters, "the gradient's arrays")
        self.step += 1
        mean_scale = 1.0 / (1.0 - self.beta_1**self.step)
        square_scale = 1.0 / (1.0 - self.beta_2**self.step)
        for name, parameter in self._parameters.items():
            g, mean, square = checked[name], self._mean[name], self._square[name]
            mean += (1.0 - self.beta_1) * (g - mean)
            square += (1.0 - self.beta_2) * (g * g - square)
            denominator = np.sqrt(square * square_scale) + self.epsilon
            parameter -= self.learning_rate * mean_scale * mean / denominator

    def state(self) -> dict[str, Any]:
        """Step and moments; changing the parameters further doesn't change it."""
        return {"step": self.step, "mean": copied(self._mean), "square": copied(self._square)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state()`.

        Raises:
            InputError: it doesn't fit the parameters; nothing was changed.
        """
        try:
            step, mean, square = int(state["step"]), state["mean"], state["square"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"not a valid state for Adam: {error!r}") from error
        mean = fitting(mean, self._parameters, "the state's means of gradients")
        square = fitting(square, self._parameters, "the state's means of squared gradients")
        self.step, self._mean, self._square = step, mean, square

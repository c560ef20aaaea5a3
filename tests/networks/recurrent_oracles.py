"""Recurrent cells written out by hand in NumPy, and gradients on whatever backend runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

Array = np.ndarray
Matrices = list[Array]

DTYPE = "float64" if keras.backend.backend() == "tensorflow" else "float32"
"""What the tests compute in: double precision where Keras has it throughout (not on JAX)."""


def normal(*shape: int, seed: int = 0, dtype: str = DTYPE) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def assert_close(actual: Any, expected: Any) -> None:
    """Of tensors or nested lists of them."""
    rtol, atol = (1e-7, 1e-10) if DTYPE == "float64" else (1e-3, 1e-5)
    for a, b in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=rtol, atol=atol)


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def relu(a: Array) -> Array:
    return np.maximum(a, 0)


def released_cell(x: Array, m: Array, c: Array, w: Matrices, u: Matrices) -> tuple[Array, Array]:
    """The equations of the released cell (m is h of the step before); w[i], u[i] belong to leaf i."""
    n0 = sigmoid(x @ w[0] + m @ u[0])
    n1 = relu(x @ w[1] + m @ u[1])
    n2 = sigmoid(x @ w[2] + m @ u[2])
    n3 = relu((x @ w[3]) * (m @ u[3]))
    n4 = np.tanh(x @ w[4] + m @ u[4])
    n5 = sigmoid(x @ w[5] + m @ u[5])
    n6 = np.tanh(x @ w[6] + m @ u[6])
    n7 = sigmoid(x @ w[7] + m @ u[7])
    p0 = np.tanh(n0 * n1)
    p1 = np.tanh(n2 + n3)
    p2 = np.tanh(n4 * n5)
    p3 = sigmoid(n6 + n7)
    p0 = np.tanh(p0 + c)
    new_c = q0 = p0 * p1
    q1 = np.tanh(p2 + p3)
    return np.tanh(q0 * q1), new_c


def worked_example(x: Array, m: Array, c: Array, w: Matrices, u: Matrices) -> tuple[Array, Array]:
    """The paper's example of base 2, line by line."""
    a0 = np.tanh(x @ w[0] + m @ u[0])
    a1 = relu((x @ w[1]) * (m @ u[1]))
    a0_new = relu(a0 + c)
    return sigmoid(a0_new * a1), (x @ w[1]) * (m @ u[1])


def lstm_without_biases(x: Array, m: Array, c: Array, w: Matrices, u: Matrices) -> tuple[Array, Array]:
    """An LSTM whose forget gate has two pairs of matrices and whose output gate has four."""
    write = sigmoid(x @ w[0] + m @ u[0])
    candidate = np.tanh(x @ w[1] + m @ u[1])
    forget = sigmoid(x @ (w[2] + w[3]) + m @ (u[2] + u[3]))
    output = sigmoid(x @ sum(w[4:]) + m @ sum(u[4:]))
    new_c = forget * c + write * candidate
    return output * np.tanh(new_c), new_c


def to_numpy(tensors: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_numpy, tensors)


def gradients(
    function: Callable[..., Any], inputs: Sequence[Array], weights: Sequence[keras.Variable]
) -> tuple[list[Array], list[Array]]:
    """Of the number that `function` makes of `inputs`: for the inputs and for `weights`."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(array) for array in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = function(*tensors)
        found = tape.gradient(loss, [*tensors, *[weight.value for weight in weights]])
    else:
        import jax

        def loss_of(tensors: Any, values: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return function(*tensors)

        values = [weight.value for weight in weights]
        of_inputs, of_weights = jax.grad(loss_of, argnums=(0, 1))(list(inputs), values)
        found = [*of_inputs, *of_weights]
    arrays = [keras.ops.convert_to_numpy(tensor) for tensor in found]
    return arrays[: len(inputs)], arrays[len(inputs) :]

"""Computes one time step of a recurrent cell and, on the way back, its exact gradient.

A framework's own differentiation of a loop over time adds an outer product to the gradient of each weight
matrix at every step. A tape keeps what these products are made of instead, so that one matrix product over
all steps can follow the loop (see `nas.networks.recurrent_layer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras import ops

Tensor = Any


@dataclass
class Value:
    """A tensor of a step, with shape `(batch, n)`, and the gradient that has come back to it so far."""

    tensor: Tensor
    gradient: Tensor | None = None

    def receive(self, gradient: Tensor) -> None:
        """Adds to the gradient."""
        self.gradient = gradient if self.gradient is None else self.gradient + gradient


@dataclass(frozen=True)
class Product:
    """A weight matrix that a step multiplies with, and perhaps a bias that it adds.

    Attributes:
        weight: matrix, with shape `(inputs, n)`.
        bias: vector, with shape `(n,)`; None: there is none.
        transposed: `weight` transposed; only the way back needs it.
    """

    weight: Tensor
    bias: Tensor | None = None
    transposed: Tensor | None = None


@dataclass
class Tape:
    """The operations that cells are made of; each gives a new `Value` and remembers its derivative.

    Args:
        products: the matrices of the step, in the order in which the step multiplies with them.
        computed: what these products gave when the step went forward; None: this is that time.

    Attributes:
        given: what the products gave, in order.
        contributions: after `backward`, for each product its input and the gradient of what it gave.
    """

    products: Sequence[Product]
    computed: Sequence[Tensor] | None = None
    given: list[Tensor] = field(default_factory=list)
    contributions: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    _ways_back: list[Callable[[], None]] = field(default_factory=list)

    def product(self, a: Value) -> Value:
        """`a` times the step's next matrix, plus its bias."""
        number = len(self.given)
        matrix = self.products[number]
        if self.computed is not None:
            result = self.computed[number]
        else:
            result = ops.matmul(a.tensor, matrix.weight)
            if matrix.bias is not None:
                result = ops.add(result, matrix.bias)
        self.given.append(result)

        def back(gradient: Tensor) -> None:
            self.contributions[number] = (a.tensor, gradient)
            a.receive(ops.matmul(gradient, matrix.transposed))

        return self._record(result, back)

    def scale(self, a: Value, constant: Tensor | None) -> Value:
        """`a` times a tensor that gets no gradient; None: `a` itself."""
        if constant is None:
            return a
        return self._record(a.tensor * constant, lambda gradient: a.receive(gradient * constant))

    def combine(self, combination: str, a: Value, b: Value) -> Value:
        """The sum (`add`), product (`elem_mult`) or larger one (`max`), element by element.

        Where two are equal, the gradient of the larger one goes to `a`.
        """
        return _COMBINATIONS[combination](self, a, b)

    def activate(self, activation: str, a: Value) -> Value:
        """`identity`, `tanh`, `sigmoid`, `relu` (derivative 0 at 0) or `sin`."""
        if activation == "identity":
            return a
        result = _ACTIVATIONS[activation](a.tensor)
        derivative = _DERIVATIVES[activation]
        return self._record(result, lambda gradient: a.receive(derivative(gradient, a.tensor, result)))

    def subtract(self, a: Value, b: Value) -> Value:
        """`a` minus `b`."""

        def back(gradient: Tensor) -> None:
            a.receive(gradient)
            b.receive(-gradient)

        return self._record(a.tensor - b.tensor, back)

    def split(self, a: Value, widths: Sequence[int]) -> list[Value]:
        """`a` cut along its last axis."""
        if len(widths) == 1:
            return [a]
        bounds = [sum(widths[: index + 1]) for index in range(len(widths) - 1)]
        parts = [Value(tensor) for tensor in ops.split(a.tensor, bounds, axis=-1)]

        def back() -> None:
            if any(part.gradient is not None for part in parts):
                a.receive(ops.concatenate([gradient_of(part) for part in parts], axis=-1))

        self._ways_back.append(back)
        return parts

    def backward(self, outputs: Sequence[tuple[Value, Tensor]]) -> None:
        """Brings the gradients of `outputs` back to all values that they were computed from."""
        self.contributions = [()] * len(self.given)  # type: ignore[list-item]  # each is filled below
        for value, gradient in outputs:
            value.receive(gradient)
        for back in reversed(self._ways_back):
            back()

    def _record(self, result: Tensor, back: Callable[[Tensor], None]) -> Value:
        value = Value(result)
        self._ways_back.append(lambda: None if value.gradient is None else back(value.gradient))
        return value


def gradient_of(value: Value) -> Tensor:
    """The gradient that came back to `value`; zeros if nothing depends on it."""
    return ops.zeros_like(value.tensor) if value.gradient is None else value.gradient


def _add(tape: Tape, a: Value, b: Value) -> Value:
    def back(gradient: Tensor) -> None:
        a.receive(gradient)
        b.receive(gradient)

    return tape._record(a.tensor + b.tensor, back)


def _multiply(tape: Tape, a: Value, b: Value) -> Value:
    def back(gradient: Tensor) -> None:
        a.receive(gradient * b.tensor)
        b.receive(gradient * a.tensor)

    return tape._record(a.tensor * b.tensor, back)


def _maximum(tape: Tape, a: Value, b: Value) -> Value:
    def back(gradient: Tensor) -> None:
        to_a = ops.where(a.tensor >= b.tensor, gradient, ops.zeros_like(gradient))
        a.receive(to_a)
        b.receive(gradient - to_a)

    return tape._record(ops.maximum(a.tensor, b.tensor), back)


_COMBINATIONS = {"add": _add, "elem_mult": _multiply, "max": _maximum}
_ACTIVATIONS = {"tanh": ops.tanh, "sigmoid": ops.sigmoid, "relu": ops.relu, "sin": ops.sin}
_DERIVATIVES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "tanh": lambda gradient, a, result: gradient * (1 - result * result),
    "sigmoid": lambda gradient, a, result: gradient * result * (1 - result),
    "relu": lambda gradient, a, result: ops.where(result > 0, gradient, ops.zeros_like(gradient)),
    "sin": lambda gradient, a, result: gradient * ops.cos(a),
}
"""Of gradient, argument and result: the gradient for the argument."""

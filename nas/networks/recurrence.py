"""Runs a recurrent cell over a sequence, with a gradient that is mostly large matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import keras
from keras import ops

from nas.networks.cell import Cell
from nas.networks.scan import scan
from nas.networks.tape import Product, Tape, Value, gradient_of

Tensor = Any


def recur(
    cell: Cell, projected: Tensor, states: Sequence[Tensor], recurrent_mask: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Runs `cell` over a window.

    Forward, a step is one product for each of the cell's matrices and element-wise operations; what the
    products give is kept. Backward, a step computes the element-wise operations again from that, goes
    back through them, and multiplies with the transposed matrices; the gradients of the matrices
    themselves follow after the loop, each as one product over all steps.

    Args:
        cell: a built cell.
        projected: `cell.project` of the window, with shape `(time, batch, n)`.
        states: what the first step gets, tensors with shape `(batch, units)`.
        recurrent_mask: what h_{t−1} is multiplied by where it enters a matrix product, with shape
            `(batch, units)`; it is taken for a constant, without a gradient. None: nothing.

    Returns:
        The outputs, with shape `(time, batch, units)`, and the states after the last step.
    """
    weights: list[Tensor] = []
    biased: list[bool] = []
    for weight, bias in cell.products():
        weights += [weight] if bias is None else [weight, bias]
        biased.append(bias is not None)
    weights = [ops.copy(weight) for weight in weights]  # reads variables outside of `run`, to differentiate
    count = len(states)

    @keras.ops.custom_gradient  # type: ignore[untyped-decorator]
    def run(projected: Tensor, mask: Tensor, *rest: Tensor) -> Any:
        states, weights = rest[:count], rest[count:]
        products = _products(weights, biased)
        sizes = [product.weight.shape[1] for product in products]
        mask_or_none = mask if recurrent_mask is not None else None

        def forward(carried: Sequence[Tensor], rows: Sequence[Tensor]) -> Any:
            tape = Tape(products)
            new = cell.step(tape, Value(rows[0]), [Value(state) for state in carried], mask_or_none)
            carried = [value.tensor for value in new]
            return carried, [*carried, *tape.given]

        widths = [state.shape[1] for state in states]
        last, kept = scan(forward, states, [projected], [*widths, *sizes])

        def gradient(*upstream: Any) -> Any:
            d_outputs, *d_last = keras.tree.flatten(upstream)
            before = [
                ops.concatenate([state[None], stack[:-1]]) for state, stack in zip(states, kept, strict=False)
            ]
            back = [Product(p.weight, p.bias, ops.transpose(p.weight)) for p in products]

            def backward(d_carried: Sequence[Tensor], rows: Sequence[Tensor]) -> Any:
                d_output, row, rows = rows[0], rows[1], rows[2:]
                tape = Tape(back, rows[count:])
                inputs, old = Value(row), [Value(state) for state in rows[:count]]
                new = cell.step(tape, inputs, old, mask_or_none)
                tape.backward(
                    list(zip(new, [d_carried[0] + d_output, *d_carried[1:]], strict=True)),
                )
                contributions = list(chain(*tape.contributions))
                return [gradient_of(value) for value in old], [gradient_of(inputs), *contributions]

            shapes = [(product.weight.shape[0], product.weight.shape[1]) for product in products]
            d_states, (d_projected, *contributions) = scan(
                backward,
                d_last,
                [d_outputs, projected, *before, *kept[count:]],
                [projected.shape[2], *chain(*shapes)],
                reverse=True,
            )
            d_weights: list[Tensor] = []
            for has_bias, factor, d_product in zip(
                biased, contributions[::2], contributions[1::2], strict=True
            ):
                d_rows = ops.reshape(d_product, (-1, d_product.shape[-1]))
                d_weights.append(
                    ops.matmul(ops.transpose(ops.reshape(factor, (-1, factor.shape[-1]))), d_rows)
                )
                if has_bias:
                    d_weights.append(ops.sum(d_rows, axis=0))
            return (d_projected, ops.zeros_like(mask), *d_states, *d_weights)

        return (kept[0], *last), gradient

    mask = ops.zeros((1,), projected.dtype) if recurrent_mask is None else recurrent_mask
    outputs, *last = run(projected, mask, *states, *weights)
    return outputs, last


def _products(weights: Sequence[Tensor], biased: Sequence[bool]) -> list[Product]:
    """Matrices and biases as they were before they were put into one list."""
    rest = iter(weights)
    return [Product(next(rest), next(rest) if has_bias else None) for has_bias in biased]

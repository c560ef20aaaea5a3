"""Layer that runs a recurrent cell over sequences; its gradient is mostly large matrix products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import keras
from keras import ops

from nas.networks.recurrent_cell import RecurrentCellLayer, recurrent_cell_layer
from nas.networks.tape import Product, Tape, Value, gradient_of
from nas.spaces import Architecture, architecture_from_json

Tensor = Any
Step = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]


@keras.saving.register_keras_serializable(package="nasflow")
class Recurrent(keras.layers.Layer):  # type: ignore[misc]
    """Runs the cell of an architecture over sequences and hands its state on.

    It computes what `keras.layers.RNN(recurrent_cell_layer(architecture, units), return_sequences=True,
    return_state=True)` does, and its weights are that cell's (`layer.cell`), in the same order. It is
    faster: all products of a window's inputs are one matrix product before the loop over time, and the
    gradient of each weight matrix is one after the loop back (see `recur`).

    Args:
        architecture: a recurrent one, such as `RecurrentCell` or `StandardCell`.
        units: length of an output and of each state.
        init_scale, seed, use_bias: see `nas.networks.RecurrentCellLayer`.
        **kwargs: `name`, `dtype` and the like, see `keras.layers.Layer`.

    Raises:
        InputError: the architecture is not recurrent, or an argument is not allowed.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> layer = Recurrent(parse_architecture("cell:zoph-le-2017"), 5, seed=1)
        >>> outputs, state = layer(keras.ops.ones((2, 7, 3)))
        >>> outputs.shape, [tensor.shape for tensor in state]
        (TensorShape([2, 7, 5]), [TensorShape([2, 5]), TensorShape([2, 5])])
        >>> outputs, state = layer(keras.ops.ones((2, 7, 3)), state)
    """

    def __init__(
        self,
        architecture: Architecture,
        units: int,
        *,
        init_scale: float | None = None,
        seed: int | None = None,
        use_bias: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = recurrent_cell_layer(
            architecture,
            units,
            init_scale=init_scale,
            seed=seed,
            use_bias=use_bias,
            dtype=self.dtype_policy,
            name="cell",
        )

    def build(
        self, sequence_shape: Sequence[int | None], state_shape: Any = None, recurrent_mask_shape: Any = None
    ) -> None:
        self.cell.build((sequence_shape[0], sequence_shape[2]))

    def call(
        self, sequence: Tensor, state: Sequence[Tensor] | None = None, recurrent_mask: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Runs over a window.

        Args:
            sequence: 3D tensor, with shape `(batch, time, features)`.
            state: from the window before, 2D tensors with shape `(batch, units)`: h and c, or h alone
                where the cell has no other (`cell.state_size`). None: zeros.
            recurrent_mask: 2D tensor, with shape `(batch, units)`: h_{t−1} is multiplied by it wherever it
                enters a matrix product, at every step by the same (variational dropout, Gal & Ghahramani
                2016). It is taken for a constant, without a gradient. None: nothing is multiplied.

        Returns:
            The outputs, with shape `(batch, time, units)`, and the state after the last step.
        """
        batch, time, features = ops.shape(sequence)
        if state is None:
            state = self.cell.get_initial_state(batch)
        rows = ops.reshape(ops.transpose(sequence, (1, 0, 2)), (-1, features))
        projected = self.cell.project(rows)
        projected = ops.reshape(projected, (time, batch, projected.shape[-1]))
        outputs, state = recur(self.cell, projected, state, recurrent_mask)
        return ops.transpose(outputs, (1, 0, 2)), state

    def compute_output_shape(self, sequence_shape: Sequence[int | None], *_: Any, **__: Any) -> Any:
        """Of the outputs and of the state."""
        batch, time, _features = sequence_shape
        return (batch, time, self.cell.units), [(batch, size) for size in self.cell.state_size]

    def get_config(self) -> dict[str, Any]:
        own = self.cell.get_config()
        kept = ("architecture", "units", "init_scale", "seed", "use_bias")
        return {**super().get_config(), **{name: own[name] for name in kept}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**{**config, "architecture": architecture_from_json(config["architecture"])})


def recur(
    cell: RecurrentCellLayer, projected: Tensor, states: Sequence[Tensor], recurrent_mask: Tensor | None
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


def scan(
    step: Step,
    carry: Sequence[Tensor],
    sequences: Sequence[Tensor],
    widths: Sequence[int],
    *,
    reverse: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Applies `step` to one time step after the other, in one loop of the compiled graph.

    Differs from `keras.ops.scan` (Keras 3.15 on TensorFlow): what a step gives need not be as many and as
    large tensors as what it carries on. It is not meant to be differentiated on TensorFlow.

    Args:
        step: from what is carried and the tensors of a time step to what is carried on and what is given.
        carry: what the first step gets, tensors with shape `(batch, n)`.
        sequences: tensors with shape `(time, batch, n)`.
        widths: n of each tensor that a step gives.
        reverse: from the last time step to the first.

    Returns:
        What the last step carries on, and all that the steps gave, stacked in the order of time into
        tensors with shape `(time, batch, n)`.
    """
    if keras.backend.backend() == "tensorflow":
        return _scan_on_tensorflow(step, carry, sequences, widths, reverse)
    carried, given = keras.ops.scan(step, list(carry), list(sequences), reverse=reverse)
    return list(carried), list(given)


def _scan_on_tensorflow(
    step: Step, carry: Sequence[Tensor], sequences: Sequence[Tensor], widths: Sequence[int], reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    import tensorflow as tf

    steps = sequences[0].shape[0] or tf.shape(sequences[0])[0]
    batch, dtype = carry[0].shape[0], carry[0].dtype
    kept = [tf.TensorArray(dtype, steps, element_shape=(batch, width)) for width in widths]

    def body(number: Tensor, carried: Any, kept: Any) -> Any:
        time = steps - 1 - number if reverse else number
        # A slice along the first axis shares its memory: an eighth faster than to unstack before the loop.
        carried, given = step(carried, [tensor[time] for tensor in sequences])
        return number + 1, list(carried), [k.write(time, g) for k, g in zip(kept, given, strict=True)]

    _, carried, kept = tf.while_loop(
        lambda number, *_: number < steps,
        body,
        (tf.constant(0), list(carry), kept),
        maximum_iterations=steps,
    )
    return list(carried), [array.stack() for array in kept]

"""A loop over time steps that keeps what every step gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

Tensor = Any
Step = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]


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

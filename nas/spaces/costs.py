"""Sizes and costs of the operations that networks are made of."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import InputError
from nas.spaces.architecture import Cost


def same_size(size: int, stride: int) -> int:
    """Positions of a window moved by `stride` over an axis of `size` with SAME padding, ⌈size/stride⌉."""
    return -(-size // stride)


def convolution_cost(window: tuple[int, int], channels: int, filters: int, output: tuple[int, int]) -> Cost:
    """A convolution without bias, followed by batch normalisation with scale and offset.

    Args:
        window: height and width of the filters.
        channels: depth of the input.
        filters: depth of the output.
        output: height and width of the output; places where a filter lies on padding count too.
    """
    weights = window[0] * window[1] * channels * filters
    return Cost(weights + 4 * filters, weights * output[0] * output[1])


def dense_cost(inputs: int, outputs: int) -> Cost:
    """A dense layer with bias."""
    return Cost((inputs + 1) * outputs, inputs * outputs)


def total(costs: Sequence[Cost]) -> Cost:
    """The sum of `costs`."""
    return Cost(sum(cost.parameters for cost in costs), sum(cost.multiply_adds for cost in costs))


def check_image_task(input_shape: Sequence[int], outputs: int) -> tuple[int, int, int]:
    """`input_shape` as (height, width, channels).

    Raises:
        InputError: it isn't three positive whole numbers, or there are no `outputs`.
    """
    if len(input_shape) != 3 or any(type(n) is not int or n < 1 for n in (*input_shape, outputs)):
        raise InputError(
            "a network for images needs an input shape (height, width, channels) and a number of outputs, "
            f"all at least 1. Received: input_shape={tuple(input_shape)!r}, outputs={outputs!r}"
        )
    height, width, channels = input_shape
    return height, width, channels


def check_recurrent_task(input_shape: Sequence[int], outputs: int) -> tuple[int, int]:
    """(features, units) of one recurrent layer.

    Raises:
        InputError: `input_shape` isn't one positive whole number, or there are no `outputs`.
    """
    if len(input_shape) != 1 or any(type(n) is not int or n < 1 for n in (*input_shape, outputs)):
        raise InputError(
            "a recurrent cell needs an input shape (features,) and a number of outputs (its units), all at "
            f"least 1. Received: input_shape={tuple(input_shape)!r}, outputs={outputs!r}"
        )
    return input_shape[0], outputs

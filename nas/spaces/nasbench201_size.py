"""The size of NAS-Bench-201's networks, counted as its authors do.

The skeleton (Dong & Yang, 2020, §2.1 and figure 1): a 3×3 convolution to 16 filters; three stages of five
cells with 16, 32 and 64 filters; between them a residual block of stride 2; batch normalisation, global
average pooling and a dense layer. Every convolution of a cell is ReLU, convolution, batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping

from nas.spaces.architecture import Cost

FILTERS = (16, 32, 64)
"""Of the three stages."""

CELLS = 5
"""In each stage."""

_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


def size_of(operations: Mapping[tuple[int, int], str], input_shape: tuple[int, ...], outputs: int) -> Cost:
    """Parameters without moving averages, and multiply-adds with the dense layer's biases, as in the table.

    Args:
        operations: on the edges of the cell.
        input_shape: `(height, width, channels)`.
        outputs: number of classes.
    """
    height, width, channels = input_shape
    parameters, multiply_adds = _convolution(3, channels, FILTERS[0], height * width)
    for stage, filters in enumerate(FILTERS):
        if stage:
            height, width = (height + 1) // 2, (width + 1) // 2
            before = FILTERS[stage - 1]
            shortcut = before * filters
            block = [
                _convolution(3, before, filters, height * width),
                _convolution(3, filters, filters, height * width),
                (shortcut, shortcut * height * width),
            ]
            parameters += sum(each[0] for each in block)
            multiply_adds += sum(each[1] for each in block)
        for operation in operations.values():
            if operation in _KERNELS:
                each = _convolution(_KERNELS[operation], filters, filters, height * width)
                parameters += CELLS * each[0]
                multiply_adds += CELLS * each[1]
    parameters += 2 * FILTERS[-1] + (FILTERS[-1] + 1) * outputs
    return Cost(parameters, multiply_adds + (FILTERS[-1] + 1) * outputs)


def _convolution(kernel: int, before: int, after: int, pixels: int) -> tuple[int, int]:
    """Parameters (those of the batch normalisation included) and multiply-adds."""
    weights = kernel * kernel * before * after
    return weights + 2 * after, weights * pixels

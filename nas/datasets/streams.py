"""Running text as parallel streams, cut into windows of equal shape for truncated back-propagation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nas.errors import InputError


class Windows(NamedTuple):
    """All windows of a text; the state that a stream ends one window with begins its next.

    Attributes:
        inputs: int32 with shape `(windows, streams, steps)`: the token before each target.
        targets: int32 like `inputs`: the tokens to predict.
        weights: float32 like `inputs`: 1 where there is a target, 0 where a stream has ended; input and
            target are `<eos>` there.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def windows(tokens: np.ndarray, eos: int, streams: int, steps: int) -> Windows:
    """Cuts a text into `streams` contiguous parts of (nearly) equal length, and these into windows.

    Every token of the text is a target exactly once with the weight 1, its input is the token before it
    in the text, and that of the very first one is `<eos>`: so a perplexity counts the whole text,
    whatever the shape of the windows. Streams that are longer by one token come first. All windows
    have one shape, so that a compiled step is compiled once; 12 bytes a token are held in memory.

    Differs from common scripts (as those of W. Zaremba et al., 2014): they cut off the tokens that fill
    no whole window, and never predict the first token of a stream.

    Args:
        tokens: int array with shape `(n,)`, a split of `PreparedText`.
        eos: the number of `<eos>`.
        streams: how many parts are read side by side (the batch size).
        steps: the length of a window, in tokens.

    Raises:
        InputError: `streams` or `steps` is less than 1, or `tokens` isn't a row of numbers.

    Example:
        >>> cut = windows(np.array([5, 6, 7, 8, 9]), eos=0, streams=2, steps=2)
        >>> cut.inputs.tolist(), cut.targets.tolist()
        ([[[0, 5], [7, 8]], [[6, 0], [0, 0]]], [[[5, 6], [8, 9]], [[7, 0], [0, 0]]])
        >>> cut.weights.astype(int).tolist()
        [[[1, 1], [1, 1]], [[1, 0], [0, 0]]]
    """
    for name, value in (("streams", streams), ("steps", steps)):
        if value < 1:
            raise InputError(f"{name} must be at least 1. Received: {value}")
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise InputError(f"tokens must be integers with shape (n,). Received: {tokens.dtype} {tokens.shape}")
    shortest, longer = divmod(len(tokens), streams)
    count = -(-(shortest + (longer > 0)) // steps)
    inputs = np.full((streams, count * steps), eos, dtype=np.int32)
    targets = inputs.copy()
    weights = np.zeros(inputs.shape, dtype=np.float32)
    start = 0
    for stream in range(streams):
        stop = start + shortest + (stream < longer)
        targets[stream, : stop - start] = tokens[start:stop]
        weights[stream, : stop - start] = 1
        first = start == 0  # nothing stands before it, so its input stays <eos>
        inputs[stream, first : stop - start] = tokens[start - 1 + first : stop - 1]
        start = stop
    return Windows(*(_by_window(array, count, steps) for array in (inputs, targets, weights)))


def _by_window(array: np.ndarray, count: int, steps: int) -> np.ndarray:
    """`(streams, count * steps)` as `(count, streams, steps)`, contiguous."""
    return np.ascontiguousarray(array.reshape(len(array), count, steps).transpose(1, 0, 2))

"""How long a trained network takes for an example, measured where it was trained."""

from __future__ import annotations

import statistics
import time

import keras
import numpy as np

WARM_UP = 3
"""Passes that aren't timed: the first one compiles."""

PASSES = 30
"""Passes of which the median counts, so that a moment in which the machine was busy doesn't."""


def seconds_per_example(network: keras.Model, shape: tuple[int, ...], examples: int) -> float:
    """The median time of a forward pass, divided by its examples.

    It is the time of Keras' compiled prediction, data transfer and the call from Python included: a limit
    from above for small networks. It depends on the machine and on what else runs there, so that children
    are comparable only on one kind of slot, and a search whose reward reads it isn't repeated exactly.

    Args:
        network: the trained network.
        shape: of one input, without the batch.
        examples: in each pass.
    """
    batch = np.zeros((examples, *shape), dtype="float32")
    times = []
    for number in range(WARM_UP + PASSES):
        begun = time.perf_counter()
        network.predict_on_batch(batch)
        if number >= WARM_UP:
            times.append(time.perf_counter() - begun)
    return statistics.median(times) / examples

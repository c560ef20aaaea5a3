"""The loop over time steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from nas.networks.recurrent_layer import scan

SEQUENCE = np.arange(12, dtype="float32").reshape(3, 2, 2)
START = np.zeros((2, 2), "float32")


def step(carried: Any, rows: Any) -> Any:
    """Carries a sum on; gives the sum so far and, wider, the row beside its double."""
    total = carried[0] + rows[0]
    return [total], [total, ops.concatenate([rows[0], 2 * rows[0]], axis=1)]


@pytest.mark.parametrize("reverse", [False, True])
def test_what_the_steps_give_is_stacked_in_the_order_of_time(reverse: bool) -> None:
    (last,), (sums, wide) = scan(step, [START], [SEQUENCE], [2, 4], reverse=reverse)
    expected = np.cumsum(SEQUENCE[::-1], axis=0)[::-1] if reverse else np.cumsum(SEQUENCE, axis=0)
    np.testing.assert_array_equal(sums, expected)
    np.testing.assert_array_equal(last, SEQUENCE.sum(axis=0))
    np.testing.assert_array_equal(wide, np.concatenate([SEQUENCE, 2 * SEQUENCE], axis=2))


def test_several_tensors_are_carried_and_read_side_by_side() -> None:
    def swap(carried: Any, rows: Any) -> Any:
        a, b = carried
        return [b, a + rows[0] * rows[1]], [a]

    carried, (given,) = scan(swap, [START, START + 1], [SEQUENCE, SEQUENCE + 1], [2])
    a, b, expected = START, START + 1, []
    for row in SEQUENCE:
        expected.append(a)
        a, b = b, a + row * (row + 1)
    np.testing.assert_array_equal(given, expected)
    np.testing.assert_array_equal(carried[0], a)
    np.testing.assert_array_equal(carried[1], b)

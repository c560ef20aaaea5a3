"""The loop over epochs that trainers share."""

from __future__ import annotations

import pytest

from nas.training.epochs import steps_per_execution


@pytest.mark.parametrize(
    ("wanted", "steps", "expected"),
    [("auto", 1, 1), ("auto", 22, 22), ("auto", 64, 64), ("auto", 65, 33), ("auto", 703, 64), (8, 5, 5)],
)
def test_an_epoch_is_executed_in_equal_parts(wanted: int | str, steps: int, expected: int) -> None:
    assert steps_per_execution(steps, wanted) == expected

"""The interval of a fraction against an independent implementation."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from nas.training.measured import wilson


@pytest.mark.parametrize(("correct", "examples"), [(0, 10), (10, 10), (290, 300), (9412, 10000)])
def test_the_interval_is_wilsons(correct: int, examples: int) -> None:
    oracle = binomtest(correct, examples).proportion_ci(0.95, method="wilson")
    assert wilson(correct, examples) == pytest.approx((oracle.low, oracle.high), abs=1e-12)

"""Latency is measured where the recipe asks for it, by the median, after a warm-up."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.evaluation import ChildResult
from nas.training import latency
from nas.training.latency import PASSES, WARM_UP, seconds_per_example


class Clock:
    """A network whose passes take given times of a clock that stands still between them."""

    def __init__(self, seconds: list[float]) -> None:
        self.now, self._seconds, self.shapes = 0.0, iter(seconds), set()

    def predict_on_batch(self, batch: np.ndarray) -> None:
        self.shapes.add(batch.shape)
        self.now += next(self._seconds)


def test_the_median_of_the_passes_after_the_warm_up_counts(monkeypatch: pytest.MonkeyPatch):
    clock = Clock([100.0] * WARM_UP + [0.5] * (PASSES - 2) + [50.0, 60.0])
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert seconds_per_example(clock, (8, 8, 1), examples=5) == pytest.approx(0.1)
    assert clock.shapes == {(5, 8, 8, 1)}


@pytest.mark.parametrize("examples", [0, 4])
def test_a_child_reports_its_latency_if_the_recipe_asks(
    job: Callable[..., dict[str, Any]], train_here: Callable[..., ChildResult], examples: int
):
    result = train_here(job(epochs=1, train_examples=64, latency_examples=examples))
    assert result.ok, result.message
    assert (result.latency_seconds is None) == (examples == 0)
    if examples:
        assert 0 < result.latency_seconds < 10
        assert ChildResult.from_json(result.to_json()) == result

"""Each stage of the finals is a task of its own, and goes on when Prefect's API is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

import flows.finalize as module
from flows.finalize import advance_stage


class Stage:
    """A search over a list, as far as a stage needs it."""

    def __init__(self) -> None:
        self.advanced: list[Any] = []
        self.experiment = self
        self.record = self
        self.budget = "all"

    def advance(self, budget: Any) -> None:
        self.advanced.append(budget)

    def count(self, status: str) -> int:
        return {"finished": 3, "ok": 2}[status]


def test_a_stage_is_a_task_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, Any]] = []

    def task(*, task_run_name: str, **_: Any) -> Callable[[Any], Any]:
        return lambda function: lambda: made.append((task_run_name, function()))

    monkeypatch.setattr(module, "task", task)
    stage: Any = Stage()
    advance_stage(stage, "ring 1 of 2, 250 trainings of 20 epochs")
    assert made == [("ring 1 of 2, 250 trainings of 20 epochs", {"trained": 3, "well": 2})]
    assert stage.advanced == ["all"]


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [(httpx.ConnectError("refused"), True), (ValueError("a bug"), False), (SystemExit(143), False)],
)
def test_a_stage_goes_on_without_prefect_only_if_its_api_is_away(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, goes_on: bool
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(module, "task", lambda **_: lambda function: fail)
    stage: Any = Stage()
    if goes_on:
        advance_stage(stage, "the finals")
    else:
        with pytest.raises(type(error)):
            advance_stage(stage, "the finals")
    assert stage.advanced == (["all"] if goes_on else [])

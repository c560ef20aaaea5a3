"""The test data is touched again only if the command line, the flow and its task are told so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import flows.evaluate as module
from tests.factories import write_experiment

EVALUATION = {
    "test": {"metric": "accuracy", "winner": {"value": 0.9}, "touches": 1},
    "test_set": {"touches": 3},
}


@pytest.mark.parametrize(("words", "again"), [([], False), (["--again"], True)])
def test_another_touch_must_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], again: bool
) -> None:
    write_experiment(tmp_path)
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    asked: list[bool] = []

    def touch(*_: Any, again: bool) -> dict[str, Any]:
        asked.append(again)
        return EVALUATION

    def run(body: Callable[[], Any], *_: Any) -> int:
        body()
        return 0

    monkeypatch.setattr(module, "test", touch)
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "this_run", lambda *_: nullcontext())
    monkeypatch.setattr(module, "register", lambda *_: "")
    monkeypatch.setattr(module, "test_once", module.test_once.fn)
    monkeypatch.setattr(module, "evaluate", module.evaluate.fn)
    assert module.main(["tiny", *words]) == 0
    assert asked == [again]

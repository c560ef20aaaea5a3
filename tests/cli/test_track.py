"""`nas track` sends what MLflow lacks."""

from __future__ import annotations

import json

import pytest

from nas.search.record import Record
from nas.workspace import Workspace
from tests.cli.conftest import EVALUATION, FakeTracker, Nas, Write


@pytest.mark.usefixtures("finals")
def test_what_mlflow_missed_is_sent_searches_finals_and_winner(
    nas: Nas, write: Write, workspace: Workspace, tracker: FakeTracker
) -> None:
    write(budget={"children": 2}, repeats=[1, 2])
    nas("search", "tiny", "--no-track")
    nas("finalize", "tiny", "--no-track")
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(EVALUATION))
    ended = nas("track", "tiny")
    assert ended.code == 0
    assert [call for call in tracker.calls if call[0] == "sync"] == [
        ("sync", "tiny"),
        ("sync", "tiny"),
        ("sync", "tiny.final"),
    ]
    assert tracker.calls[-1][0] == "register"
    assert "tiny, seed 2: 2 children added, all 2 are in MLflow\n" in ended.out


def test_a_shared_search_is_sent_under_the_name_that_was_asked_for(
    nas: Nas, write: Write, tracker: FakeTracker
) -> None:
    for name in ("tiny", "mine"):
        write(name, budget={"children": 2})
        nas("search", name, "--no-track")
    ended = nas("track", "tiny")
    assert ended.out == "tiny, seed 7: 2 children added, all 2 are in MLflow\n"
    assert tracker.calls == [("sync", "tiny")]


def test_a_search_that_is_running_is_not_tracked_twice(
    nas: Nas, write: Write, workspace: Workspace, tracker: FakeTracker
) -> None:
    write(budget={"children": 1})
    nas("search", "tiny", "--no-track")
    (path,) = workspace.state.glob("*/record.sqlite")
    with Record.read(path) as record:
        definition = record.definition
    with Record.hold(path, definition):
        ended = nas("track", "tiny")
    assert ended.code == 75
    assert tracker.calls == []

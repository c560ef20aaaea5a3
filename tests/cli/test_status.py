"""`nas status` says what the records say, at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nas.search.record import Record
from nas.workspace import Workspace
from tests.cli.conftest import Nas, changed


def test_status_tells_children_best_and_last_update(nas: Nas, searched: Path, workspace: Workspace) -> None:
    told = json.loads(nas("status", "--json").out)
    assert set(told) == {"workspace", "searches", "unreadable"}
    assert told["workspace"] == str(workspace.root)
    (search,) = told["searches"]
    with Record.read(searched) as record:
        best = record.best(1)[0]
        last = record.batches()[-1]
        ok = record.count("ok")
    assert search["experiment"] == "tiny"
    assert (search["seed"], search["record"], search["holder"]) == (7, str(searched), None)
    assert search["budget"]["children"] == 5
    assert search["children"]["proposed"] == 5
    assert (search["children"]["ok"], search["children"]["diverged"]) == (ok, 5 - ok)
    assert (search["children"]["running"], search["children"]["waiting"]) == (0, 0)
    assert search["best"]["child"] == best.number
    assert search["best"]["proxy"] is True
    assert search["last_update"] == {"round": 1, "statistics": last.statistics}
    assert "5/5" in nas("status", "tiny").out


def test_an_interrupted_child_waits_and_one_of_a_living_search_runs(nas: Nas, searched: Path) -> None:
    changed(searched, "UPDATE children SET result = NULL, status = NULL, reward = NULL WHERE number = 4")
    (resting,) = json.loads(nas("status", "--json").out)["searches"]
    assert (resting["children"]["running"], resting["children"]["waiting"]) == (0, 1)
    with Record.read(searched) as record:
        definition = record.definition
    with Record.hold(searched, definition):
        (working,) = json.loads(nas("status", "--json").out)["searches"]
        text = nas("status").out
    assert working["holder"] is not None
    assert (working["children"]["running"], working["children"]["waiting"]) == (1, 0)
    assert working["running"][0]["child"] == 4
    assert working["running"][0]["slot"].startswith("cpu-")
    assert f"process {working['holder']} works on it" in text
    assert "child 4 on cpu-" in text


def test_a_record_of_another_version_is_told_and_hides_no_other(nas: Nas, searched: Path) -> None:
    other = searched.parents[1] / "other" / "record.sqlite"
    other.parent.mkdir()
    shutil.copyfile(searched, other)
    changed(other, "UPDATE meta SET value = '99' WHERE key = 'schema'")
    told = json.loads(nas("status", "--json").out)
    assert len(told["searches"]) == 1
    assert told["unreadable"][0]["record"] == str(other)
    assert "schema 99" in told["unreadable"][0]["reason"]
    ended = nas("status")
    assert ended.code == 0
    assert "can't be read" in ended.err


def test_an_empty_workspace_says_how_to_begin(nas: Nas, workspace: Workspace) -> None:
    assert "`nas search EXPERIMENT` begins one" in nas("status").out
    assert json.loads(nas("status", "--json").out)["searches"] == []


def test_a_record_without_names_has_that_of_its_experiment(nas: Nas, searched: Path) -> None:
    changed(searched, "DELETE FROM meta WHERE key = 'names'")
    (state,) = json.loads(nas("status", "tiny", "--json").out)["searches"]
    assert state["names"] == ["tiny"]
    assert nas("top", "tiny").code == 0

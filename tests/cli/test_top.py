"""`nas top` ranks what the searches of an experiment found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nas.search.opening import snapshot_path
from nas.search.record import Record
from nas.workspace import Workspace
from tests.cli.conftest import NETS, Nas, Write


def test_top_ranks_by_reward_and_labels_it_as_proxy(nas: Nas, searched: Path) -> None:
    board = json.loads(nas("top", "tiny", "--json").out)
    assert (board["experiment"], board["definition"]) == ("tiny", "present")
    rows = board["leaderboard"]
    with Record.read(searched) as record:
        best = [child.number for child in record.best(10)]
    assert [row["child"] for row in rows] == best
    assert [row["place"] for row in rows] == list(range(1, len(best) + 1))
    assert all(row["proxy"] is True and row["architecture"] in NETS for row in rows)
    assert rows[0]["reward"] == pytest.approx(rows[0]["score"] ** 3)
    assert len(json.loads(nas("top", "tiny", "-n", "2", "--json").out)["leaderboard"]) == 2
    text = nas("top", "tiny").out
    assert text.count("(proxy)") == 2
    assert "not retrained networks" in text


def test_repeats_share_one_leaderboard_with_each_architecture_once(nas: Nas, write: Write) -> None:
    write(budget={"children": 5}, repeats=[1, 2], evaluator__trainer="tests.fakes:train_by_seed")
    nas("search", "tiny", "--no-track", "--seed", "2")
    assert {row["seed"] for row in json.loads(nas("top", "tiny", "--json").out)["leaderboard"]} == {2}
    nas("search", "tiny", "--no-track")
    rows = json.loads(nas("top", "tiny", "--json").out)["leaderboard"]
    assert len({row["architecture"] for row in rows}) == len(rows)
    assert [row["reward"] for row in rows] == sorted((row["reward"] for row in rows), reverse=True)
    alone = [json.loads(nas("top", "tiny", "--json", "--seed", s).out)["leaderboard"] for s in ("1", "2")]
    assert rows[0]["reward"] == max(board[0]["reward"] for board in alone)


def test_a_changed_file_shows_the_former_search_and_says_so(nas: Nas, write: Write, searched: Path) -> None:
    write(budget={"children": 5}, recipe__epochs=9, evaluator__trainer="tests.fakes:train_by_seed")
    ended = nas("top", "tiny")
    assert ended.code == 0
    assert "shown is the search of the former definition" in ended.err
    assert json.loads(nas("top", "tiny", "--json").out)["definition"] == "former"


def test_a_snapshot_alone_is_enough(nas: Nas, searched: Path, workspace: Workspace) -> None:
    from nas.experiment import load

    before = json.loads(nas("top", "tiny", "--json").out)
    experiment = load(workspace.experiments / "tiny.yaml")
    with Record.read(searched) as record:
        record.snapshot(snapshot_path(experiment, workspace))
    shutil.rmtree(workspace.state)
    assert json.loads(nas("top", "tiny", "--json").out) == before

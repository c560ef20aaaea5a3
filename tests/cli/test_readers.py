"""The readers tell what the records say, at once, and change nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nas.search.opening import snapshot_path
from nas.search.record import Record
from nas.workspace import Workspace
from tests.cli.conftest import NETS, ROOT, Nas, Write

HEAVY = [
    "tensorflow",
    "keras",
    "jax",
    "mlflow",
    "prefect",
    "pandas",
    "sklearn",
    "scipy",
    "matplotlib",
    "dvc",
    "PIL",
    "pyarrow",
]


@pytest.fixture
def searched(nas: Nas, write: Write, workspace: Workspace) -> Path:
    """A finished search of 5 children, one of them failed; returns its record."""
    write(
        budget={"children": 5}, search__children_per_round=3, evaluator__trainer="tests.fakes:train_by_seed"
    )
    assert nas("search", "tiny", "--no-track").code == 0
    (path,) = workspace.state.glob("*/record.sqlite")
    return path


def changed(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


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


def test_experiments_that_share_a_record_are_found_by_each_of_their_names(
    nas: Nas, write: Write, searched: Path
) -> None:
    write(
        "mine",
        budget={"children": 5},
        search__children_per_round=3,
        evaluator__trainer="tests.fakes:train_by_seed",
    )
    nas("search", "mine", "--no-track")
    boards = [json.loads(nas("top", name, "--json").out) for name in ("tiny", "mine")]
    assert [board["experiment"] for board in boards] == ["tiny", "mine"]
    assert boards[0]["leaderboard"] == boards[1]["leaderboard"] != []
    states = [json.loads(nas("status", *name, "--json").out)["searches"] for name in ([], ["tiny"], ["mine"])]
    assert states[0] == states[1] == states[2]
    (state,) = states[0]
    assert (state["experiment"], state["names"]) == ("mine", ["mine", "tiny"])
    assert " mine, tiny " in nas("status").out
    assert nas("summary", "tiny").code == nas("show", "0", "tiny").code == nas("show", "0").code == 0


def test_a_record_without_names_has_that_of_its_experiment(nas: Nas, searched: Path) -> None:
    changed(searched, "DELETE FROM meta WHERE key = 'names'")
    (state,) = json.loads(nas("status", "tiny", "--json").out)["searches"]
    assert state["names"] == ["tiny"]
    assert nas("top", "tiny").code == 0


def test_a_snapshot_alone_is_enough(nas: Nas, searched: Path, workspace: Workspace) -> None:
    from nas.experiment import load

    before = json.loads(nas("top", "tiny", "--json").out)
    experiment = load(workspace.experiments / "tiny.yaml")
    with Record.read(searched) as record:
        record.snapshot(snapshot_path(experiment, workspace))
    shutil.rmtree(workspace.state)
    assert json.loads(nas("top", "tiny", "--json").out) == before


def test_readers_leave_the_record_as_it_is(nas: Nas, searched: Path) -> None:
    before = searched.read_bytes()
    for command in (["status"], ["top", "tiny"], ["show", "0", "tiny"], ["summary", "tiny"]):
        assert nas(*command).code == 0
    assert searched.read_bytes() == before


def test_summary_sets_the_search_beside_another_and_shows_the_test(
    nas: Nas, write: Write, workspace: Workspace, searched: Path
) -> None:
    write("other", budget={"children": 2}, evaluator__trainer="tests.fakes:train_by_seed", seed=8)
    write(
        budget={"children": 5},
        search__children_per_round=3,
        evaluator__trainer="tests.fakes:train_by_seed",
        beside="other",
    )
    ended = nas("summary", "tiny")
    assert ended.code == 0
    assert "nothing stands beside it" in ended.err
    nas("search", "other", "--no-track")
    assert "Not tested yet: nas finalize tiny" in nas("summary", "tiny").out
    evaluation: dict[str, Any] = {
        "architecture": NETS[0],
        "rank_correlation": {"kendall_tau": 0.5, "n": 3, "reason": ""},
        "test": {
            "metric": "accuracy",
            "unit": "images",
            "examples": 300,
            "lower_is_better": False,
            "touches": 1,
            "winner": {"value": 0.97, "low": 0.95, "high": 0.98},
            "baseline": {"value": 0.96, "low": 0.94, "high": 0.97},
        },
    }
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(evaluation))
    text = nas("summary", "tiny").out
    assert "test      0.9700 (0.9500 – 0.9800 at 95 %) accuracy, 300 images, touched 1 time\n" in text
    assert "baseline  0.9600" in text
    assert "0.50 (over 3 architectures)" in text
    told = json.loads(nas("summary", "tiny", "--json").out)
    assert [(s["experiment"], s["children"]) for s in told["searches"]] == [("tiny", 5), ("other", 2)]
    assert told["evaluation"] == evaluation
    assert "another winner" not in text
    then = {"final": "f/1", "winner": "b", "baseline": None, "data_digest": "d"}
    path.write_text(json.dumps({**evaluation, "tested": then}))
    final = {
        "fingerprint": "f",
        "data_digest": "d",
        "baseline": None,
        "finalists": [],
        "winner": {
            **{"number": 2, "sha256": "a", "model": "model.keras", "role": "candidate", "status": "ok"},
            **{"architecture": NETS[0], "score": 0.9, "reward": 0.9, "search": None},
        },
    }
    models = workspace.models("tiny")
    models.mkdir(parents=True)
    (models / "final.json").write_text(json.dumps(final))
    assert (
        "another winner was chosen since this test; nas evaluate tiny tests it" in nas("summary", "tiny").out
    )
    (models / "final.json").write_text(json.dumps({**final, "winner": []}))
    assert "final.json is not what `nas finalize` writes" in nas("summary", "tiny").err


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status"], ["top", "tiny"], ["show", "0", "tiny"], ["summary", "tiny"], ["doctor"]],
    ids=lambda arguments: arguments[0],
)
def test_readers_import_nothing_heavy(searched: Path, arguments: list[str]) -> None:
    script = (
        "import sys\nfrom nas.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")

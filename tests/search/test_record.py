"""The record keeps everything, whole, for one writer at a time."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError, RecordLockedError, SearchError
from nas.evaluation import UNNUMBERED, ChildResult, Proposal, Status
from nas.search.record import Record
from nas.spaces import parse_architecture

DEFINITION = {"space": {"name": "conv"}, "seed": 1}
STATE = {
    "weights": {"lstm": np.arange(6, dtype=np.float64).reshape(2, 3) / 7, "steps": np.int64(3)},
    "random": {"state": {"state": 2**127 + 1, "inc": 5}},
    "baseline": 0.1 + 0.2,
    "list": [1, 2.5, None, "x"],
}


def proposals(first: int, *texts: str) -> list[Proposal]:
    return [
        Proposal(first + index, 1, (0, 1), parse_architecture(text), {"learning_rate": 0.1}, -1.5, 2)
        for index, text in enumerate(texts)
    ]


def ok(reward: float) -> ChildResult:
    return ChildResult(Status.OK, ({"val_accuracy": reward},), reward=reward, seed=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "abc" / "record.sqlite"


def filled(path: Path) -> Record:
    record = Record.hold(path, DEFINITION)
    record.begin_round(proposals(0, "conv:3x3x4@0", "conv:3x3x8@0", "conv:3x3x4@0"), [10, 11, 12], STATE)
    record.begin_child(0, "cpu-0")
    record.end_child(0, ok(0.5))
    record.end_child(1, ok(0.25))
    record.end_child(2, ok(0.75))
    return record


def test_a_rounds_proposals_seeds_and_state_come_back_equal(path: Path) -> None:
    made = proposals(0, "conv:3x3x4@0", "conv:1x3x8@0")
    with Record.hold(path, DEFINITION) as record:
        record.begin_round(made, [10, 11], STATE)
    with Record.read(path) as record:
        children = record.children()
        state = record.controller_state()
    assert [child.proposal for child in children] == made
    assert [child.seed for child in children] == [10, 11]
    assert [child.status for child in children] == ["waiting", "waiting"]
    assert state is not None
    np.testing.assert_array_equal(state["weights"]["lstm"], STATE["weights"]["lstm"])
    assert state["weights"]["lstm"].dtype == np.float64
    assert {**state, "weights": 0} == {**STATE, "weights": 0}


def test_proposals_are_numbered_by_the_record_without_gaps(path: Path) -> None:
    with filled(path) as record:
        for _ in range(2):
            record.begin_round(proposals(UNNUMBERED, "conv:3x3x4@0", "conv:3x3x4@0"), [1, 2], STATE)
        children = record.children()
    assert [child.number for child in children] == list(range(7))
    assert [child.proposal.number for child in children] == list(range(7)), "in their JSON too"


def test_results_come_back_equal_and_a_second_one_is_ignored(path: Path) -> None:
    with filled(path) as record:
        before = record.child(0)
        record.end_child(0, ok(0.9))
        assert record.child(0) == before
        assert before.result == ok(0.5)
        assert (before.status, before.slot, before.attempts) == ("ok", "cpu-0", 1)
        assert before.started_at is not None
        assert before.finished_at is not None


def test_rounds_are_open_until_their_update_is_committed(path: Path) -> None:
    with filled(path) as record:
        current = record.open_round()
        assert current is not None
        assert (current.number, current.policy_version, current.statistics) == (0, 2, None)
        record.end_round(0, {"reward/mean": 0.5}, {"after": 1})
        assert record.open_round() is None
        assert record.round(0).statistics == {"reward/mean": 0.5}
        assert record.controller_state() == {"after": 1}


def test_the_best_children_are_in_order_with_each_architecture_once(path: Path) -> None:
    with filled(path) as record:
        assert [(c.number, c.result.reward) for c in record.best(10) if c.result] == [(2, 0.75), (1, 0.25)]
        assert [c.number for c in record.best(1)] == [2]


def test_children_are_counted_by_status(path: Path) -> None:
    with filled(path) as record:
        record.begin_round(proposals(3, "conv:3x3x4@0", "conv:3x3x8@0"), [1, 2], STATE)
        record.begin_child(3, "cpu-1")
        record.end_child(4, ChildResult(Status.TIMEOUT))
        assert (record.count(), record.count("ok"), record.count("timeout")) == (5, 3, 1)
        assert record.count("finished") == 4
        assert [child.number for child in record.running()] == [3]
        assert [child.number for child in record.children(round=1)] == [3, 4]
        assert [child.number for child in record.children(finished_only=True)] == [0, 1, 2, 4]


def test_twins_share_architecture_and_overrides(path: Path) -> None:
    with filled(path) as record:
        assert [twin.number for twin in record.twins_before(record.child(2))] == [0]
        assert record.twins_before(record.child(1)) == []


def test_a_transaction_that_fails_changes_nothing(path: Path) -> None:
    with filled(path) as record:
        with pytest.raises(sqlite3.IntegrityError):
            record.begin_round(proposals(3, "conv:3x3x4@0"), [None], {"other": 1})  # type: ignore[list-item]
        assert len(record.rounds()) == 1
        assert record.controller_state() is not None
        assert record.controller_state() != {"other": 1}


def test_a_record_held_by_another_process_is_refused_with_its_id_but_can_be_read(path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nas.search.record import Record\n"
        "record = Record.hold(Path(sys.argv[1]), {'space': {'name': 'conv'}, 'seed': 1})\n"
        "print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(RecordLockedError, match=f"process {other.pid} "):
            Record.hold(path, DEFINITION)
        with Record.read(path) as record:
            assert record.count() == 0
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    Record.hold(path, DEFINITION).close()


def test_another_definition_does_not_touch_a_record(path: Path) -> None:
    filled(path).close()
    with pytest.raises(SearchError, match="another definition"):
        Record.hold(path, {"seed": 2})
    with Record.read(path) as record:
        assert record.count() == 3


def test_a_snapshot_is_one_file_and_another_clone_goes_on_from_it(path: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "out" / "seed-1.sqlite"
    with filled(path) as record:
        record.snapshot(snapshot)
        children = record.children()
    with Record.read(snapshot) as copy:
        assert copy.children() == children
    assert [p.name for p in snapshot.parent.iterdir()] == ["seed-1.sqlite"]
    with Record.hold(tmp_path / "clone" / "record.sqlite", DEFINITION, snapshot) as clone:
        assert clone.children() == children
        clone.end_round(0, {}, {"learnt": True})
    with Record.read(snapshot) as copy:
        assert copy.open_round() is not None


def test_a_snapshot_that_is_further_is_taken_up_and_the_older_record_kept(path: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "out" / "seed-1.sqlite"
    filled(path).close()
    with Record.hold(tmp_path / "other" / "record.sqlite", DEFINITION) as other:
        path_of_other = other.path
    path_of_other.unlink()
    with Record.read(path) as record:
        record.snapshot(path_of_other)
    with Record.hold(path_of_other, DEFINITION) as other:
        other.end_round(0, {}, STATE)
        other.begin_round(proposals(3, "conv:3x3x4@0"), [5], STATE)
        other.end_child(3, ok(0.9))
        other.snapshot(snapshot)
    with Record.hold(path, DEFINITION, snapshot) as record:
        assert record.count("finished") == 4
    with Record.read(path.with_name("record-before-snapshot.sqlite")) as before:
        assert before.count("finished") == 3
    with Record.hold(path, DEFINITION, snapshot) as record:  # no further than the record now
        record.begin_round(proposals(4, "conv:3x3x8@0"), [6], STATE)
    with Record.hold(path, DEFINITION, snapshot) as record:
        assert record.count() == 5


def test_records_that_went_different_ways_are_not_mixed(path: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "seed-1.sqlite"
    with filled(tmp_path / "other" / "record.sqlite") as other:
        other.snapshot(snapshot)
    with Record.hold(path, DEFINITION) as record:
        record.begin_round(proposals(0, "conv:1x1x4@0"), [1], STATE)
    with pytest.raises(SearchError, match="different ways"):
        Record.hold(path, DEFINITION, snapshot)
    with Record.read(path) as record:
        assert record.count() == 1


def test_a_record_of_another_schema_is_refused_in_a_sentence(path: Path) -> None:
    filled(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (json.dumps(99),))
    db.close()
    with pytest.raises(SearchError, match=r"schema 99.*reads schema 1"):
        Record.read(path)


def test_a_file_that_is_no_record_is_refused_in_a_sentence(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("no database")
    with pytest.raises(SearchError, match="no record of a search"):
        Record.read(path)


def test_missing_records_and_children_are_named(path: Path) -> None:
    with pytest.raises(InputError, match="no record at"):
        Record.read(path)
    with filled(path) as record, pytest.raises(InputError, match="no child 12; it has 3"):
        record.child(12)


def test_projections_are_noted_by_target(path: Path) -> None:
    with filled(path) as record:
        record.set_projected("mlflow", {"child 1": "run-a"})
        record.set_projected("mlflow", {"child 2": "run-b"})
        assert record.projected("mlflow") == {"child 1": "run-a", "child 2": "run-b"}
        assert record.projected("other") == {}


def test_a_record_of_an_earlier_version_gets_the_index_that_readers_count_by(path: Path) -> None:
    with Record.hold(path, {"seed": 1}):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP INDEX children_by_status")
    with Record.read(path) as record:
        assert sum(record.counts().values()) == 0, "readers need no index"
    with Record.hold(path, {"seed": 1}) as record:
        plan = record._db.execute("EXPLAIN QUERY PLAN SELECT status, COUNT(*) FROM children GROUP BY status")
        assert "COVERING INDEX children_by_status" in plan.fetchone()["detail"]

"""The record keeps everything, whole, for one writer at a time."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError, RecordLockedError, SearchError
from nas.evaluation import UNNUMBERED, ChildResult, Proposal, Status
from nas.search.record import Record
from nas.search.states import StateFile, files_folder
from nas.spaces import parse_architecture

DEFINITION = {"space": {"name": "conv"}, "seed": 1}
STATE = {
    "weights": {"lstm": np.arange(6, dtype=np.float64).reshape(2, 3) / 7, "steps": np.int64(3)},
    "random": {"state": {"state": 2**127 + 1, "inc": 5}},
    "baseline": 0.1 + 0.2,
    "list": [1, 2.5, None, "x"],
}


STATES = {"policy": STATE}


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
    record.begin_batch(
        proposals(0, "conv:3x3x4@0", "conv:3x3x8@0", "conv:3x3x4@0"), [10, 11, 12], STATES, policy_version=2
    )
    record.begin_child(0, "cpu-0")
    record.end_child(0, ok(0.5))
    record.end_child(1, ok(0.25))
    record.end_child(2, ok(0.75))
    return record


def test_a_batchs_proposals_seeds_and_state_come_back_equal(path: Path) -> None:
    made = proposals(0, "conv:3x3x4@0", "conv:1x3x8@0")
    with Record.hold(path, DEFINITION) as record:
        record.begin_batch(made, [10, 11], STATES, policy_version=2)
    with Record.read(path) as record:
        children = record.children()
        state = record.state("policy")
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
            record.begin_batch(proposals(UNNUMBERED, "conv:3x3x4@0", "conv:3x3x4@0"), [1, 2], STATES)
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


def test_batches_are_open_until_their_update_is_committed(path: Path) -> None:
    with filled(path) as record:
        (current,) = record.open_batches()
        assert (current.number, current.policy_version, current.statistics) == (0, 2, None)
        record.end_batch(0, {"reward/mean": 0.5}, {"policy": {"after": 1}}, policy_version=3)
        assert record.open_batches() == []
        assert record.batch(0).statistics == {"reward/mean": 0.5}
        assert record.state("policy") == {"after": 1}


def test_the_best_children_are_in_order_with_each_architecture_once(path: Path) -> None:
    with filled(path) as record:
        assert [(c.number, c.result.reward) for c in record.best(10) if c.result] == [(2, 0.75), (1, 0.25)]
        assert [c.number for c in record.best(1)] == [2]


def test_children_are_counted_by_status(path: Path) -> None:
    with filled(path) as record:
        record.begin_batch(proposals(3, "conv:3x3x4@0", "conv:3x3x8@0"), [1, 2], STATES, policy_version=2)
        record.begin_child(3, "cpu-1")
        record.end_child(4, ChildResult(Status.TIMEOUT))
        assert (record.count(), record.count("ok"), record.count("timeout")) == (5, 3, 1)
        assert record.count("finished") == 4
        assert [child.number for child in record.running()] == [3]
        assert [child.number for child in record.children(batch=1)] == [3, 4]
        assert [child.number for child in record.children(finished_only=True)] == [0, 1, 2, 4]


def test_twins_share_architecture_and_overrides(path: Path) -> None:
    with filled(path) as record:
        assert [twin.number for twin in record.twins_before(record.child(2))] == [0]
        assert record.twins_before(record.child(1)) == []


def test_a_transaction_that_fails_changes_nothing(path: Path) -> None:
    with filled(path) as record:
        with pytest.raises(ValueError, match="zip"):
            record.begin_batch(proposals(2, "conv:3x3x4@0"), [1, 2], {"policy": {"other": 1}})
        assert len(record.batches()) == 1
        assert record.state("policy") is not None
        assert record.state("policy") != {"other": 1}


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
        clone.end_batch(0, {}, {"policy": {"learnt": True}}, policy_version=3)
    with Record.read(snapshot) as copy:
        assert len(copy.open_batches()) == 1


def test_a_snapshot_that_is_further_is_taken_up_and_the_older_record_kept(path: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "out" / "seed-1.sqlite"
    filled(path).close()
    with Record.hold(tmp_path / "other" / "record.sqlite", DEFINITION) as other:
        path_of_other = other.path
    path_of_other.unlink()
    with Record.read(path) as record:
        record.snapshot(path_of_other)
    with Record.hold(path_of_other, DEFINITION) as other:
        other.end_batch(0, {}, STATES, policy_version=3)
        other.begin_batch(proposals(3, "conv:3x3x4@0"), [5], STATES, policy_version=2)
        other.end_child(3, ok(0.9))
        other.snapshot(snapshot)
    with Record.hold(path, DEFINITION, snapshot) as record:
        assert record.count("finished") == 4
    with Record.read(path.with_name("record-before-snapshot.sqlite")) as before:
        assert before.count("finished") == 3
    with Record.hold(path, DEFINITION, snapshot) as record:  # no further than the record now
        record.begin_batch(proposals(4, "conv:3x3x8@0"), [6], STATES, policy_version=2)
    with Record.hold(path, DEFINITION, snapshot) as record:
        assert record.count() == 5


def test_records_that_went_different_ways_are_not_mixed(path: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "seed-1.sqlite"
    with filled(tmp_path / "other" / "record.sqlite") as other:
        other.snapshot(snapshot)
    with Record.hold(path, DEFINITION) as record:
        record.begin_batch(proposals(0, "conv:1x1x4@0"), [1], STATES, policy_version=2)
    with pytest.raises(SearchError, match="different ways"):
        Record.hold(path, DEFINITION, snapshot)
    with Record.read(path) as record:
        assert record.count() == 1


def test_a_record_of_another_schema_is_refused_in_a_sentence(path: Path) -> None:
    filled(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (json.dumps(99),))
    db.close()
    with pytest.raises(SearchError, match=r"schema 99.*reads schemas up to 2"):
        Record.read(path)


def test_a_file_that_is_no_record_is_refused_in_a_sentence(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("no database")
    with pytest.raises(SearchError, match="not the record of a search"):
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


def test_numbers_are_given_by_the_record(path: Path) -> None:
    unnumbered = proposals(77, "conv:3x3x4@0", "conv:3x3x8@0")
    with filled(path) as record:
        record.begin_batch(unnumbered, [1, 2], STATES)
        assert [child.number for child in record.children(batch=1)] == [3, 4]
        assert [child.proposal.number for child in record.children(batch=1)] == [3, 4]


def test_many_batches_may_be_open_and_may_be_empty(path: Path) -> None:
    with filled(path) as record:
        record.begin_batch(proposals(3, "conv:3x3x4@0"), [1], STATES, policy_version=2, replica=1)
        record.begin_batch([], [], {}, policy_version=2, replica=2)
        told = [(batch.number, batch.replica, batch.policy_version) for batch in record.open_batches()]
        assert told == [(0, 0, 2), (1, 1, 2), (2, 2, 2)]
        assert record.children(batch=2) == []
        record.end_batch(1, {}, STATES, policy_version=3)
        assert [batch.number for batch in record.open_batches()] == [0, 2]
        assert (record.count_batches(), record.count_batches(updated_only=True)) == (3, 1)
        last = record.last_update()
        assert last is not None
        assert last.number == 1


def test_each_owner_has_its_own_state(path: Path) -> None:
    with Record.hold(path, DEFINITION) as record:
        assert record.state("policy") is None
        record.begin_batch([], [], {"policy": {"w": 1}, "replica 0": {"b": 2}, "replica 1": {"b": 3}})
        record.begin_batch([], [], {"replica 1": {"b": 4}})
        assert [record.state(owner) for owner in ("policy", "replica 0", "replica 1")] == [
            {"w": 1},
            {"b": 2},
            {"b": 4},
        ]


def test_of_policies_the_needed_ones_and_every_fiftieth_are_kept(path: Path) -> None:
    with Record.hold(path, DEFINITION) as record:
        for version in range(1, 121):
            batch = record.begin_batch([], [], {})
            states = {"policy": {"version": version}, "replica 0": {"version": version}}
            record.end_batch(batch.number, {}, states, policy_version=version, keep=3)
        assert record.state_versions("policy") == [50, 100, 118, 119, 120]
        assert record.state_versions("replica 0") == [120]
        assert record.state("policy", 119) == {"version": 119}
        assert record.state("policy", 60) is None
        record.snapshot(path.with_name("copy.sqlite"))
    with Record.read(path.with_name("copy.sqlite")) as copy:
        assert copy.state_versions("policy") == [120]


def large(folder: Path, content: str) -> StateFile:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "weights"
    file.write_text(content)
    return StateFile(file)


def test_a_large_state_is_a_file_beside_the_record(path: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "out" / "seed-1.sqlite"
    with Record.hold(path, DEFINITION) as record:
        for content in ("first", "second"):
            weights = large(tmp_path / "made", content)
            batch = record.begin_batch([], [], {"evaluator": {"epoch": 1, "weights": weights}})
            record.end_batch(batch.number, {}, {})
            assert record.state("evaluator")["weights"].path.read_text() == content
            assert len(list(files_folder(path).iterdir())) == 1, "only what the state names stays"
        size = record.snapshot(snapshot)
        assert size == snapshot.stat().st_size + len("second")
    clone = tmp_path / "clone" / "record.sqlite"
    with Record.hold(clone, DEFINITION, snapshot) as record:
        assert record.state("evaluator")["weights"].path.read_text() == "second"
        assert record.state("evaluator")["weights"].path.parent == files_folder(clone)
    (kept,) = files_folder(clone).iterdir()
    kept.write_text("damaged")
    with Record.read(clone) as record, pytest.raises(SearchError, match="damaged"):
        record.state("evaluator")
    kept.unlink()
    with Record.read(clone) as record, pytest.raises(SearchError, match="is missing"):
        record.state("evaluator")


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_whenever_it_is_killed_the_committed_state_finds_its_file(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with Record.hold(path, DEFINITION) as record:
        record.begin_batch([], [], {"evaluator": {"weights": large(tmp_path / "made", "first")}})

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    name = "_put_states" if moment == "before the commit" else "_forget_files"
    with Record.hold(path, DEFINITION) as record, monkeypatch.context() as patch:
        patch.setattr(Record, name, die)
        with pytest.raises(Killed):
            record.end_batch(0, {}, {"evaluator": {"weights": large(tmp_path / "made", "second")}})
    expected = "first" if moment == "before the commit" else "second"
    with Record.hold(path, DEFINITION) as record:
        assert record.state("evaluator")["weights"].path.read_text() == expected
        record.end_batch(0, {}, {"evaluator": {"weights": large(tmp_path / "made", "third")}})
        assert record.state("evaluator")["weights"].path.read_text() == "third"
        assert len(list(files_folder(path).iterdir())) == 1


def test_the_copy_with_more_updates_is_ahead(path: Path, tmp_path: Path) -> None:
    """One copy finished more children, the other learnt more: the latter has what both need."""
    snapshot = tmp_path / "out" / "seed-1.sqlite"
    with filled(path) as record:
        record.end_batch(0, {}, STATES, policy_version=3)
        record.begin_batch(proposals(3, "conv:3x3x4@0"), [5], STATES, policy_version=3)
        record.snapshot(snapshot)
    other = tmp_path / "clone" / "record.sqlite"
    with filled(other) as record:
        record.begin_batch(proposals(3, "conv:3x3x4@0", "conv:3x3x8@0"), [5, 6], STATES, policy_version=2)
        record.end_child(3, ok(0.1))
        record.end_child(4, ok(0.1))
        assert record.count("finished") == 5
    apart = tmp_path / "third" / "record.sqlite"
    with filled(apart) as record:
        record.begin_batch(proposals(3, "conv:1x1x4@0"), [5], STATES)
    with pytest.raises(SearchError, match="different ways"):
        Record.hold(apart, DEFINITION, snapshot)
    with Record.hold(other, DEFINITION, snapshot) as record:
        assert record.count_batches(updated_only=True) == 1

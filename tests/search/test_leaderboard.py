"""Tables of a search and the files that DVC versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.evaluation import ChildResult, Proposal, Status
from nas.search.leaderboard import (
    COLUMNS,
    best_children,
    curve,
    leaderboard,
    mean_curve,
    metrics,
    write_search_outputs,
)
from nas.search.record import Record
from nas.search.rewards import AccuracyReward
from nas.spaces import parse_architecture
from nas.workspace import Workspace
from tests.factories import tiny_experiment

A, B, C = "conv:3x3x4@0", "conv:3x3x8@0", "conv:1x3x8@0"
RULE = AccuracyReward(power=3)


Rounds = Sequence[Sequence[tuple[str, float | None]]]
Searched = Callable[[int, Rounds], Record]


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[Searched]:
    """Makes the record of a seed from rounds of (architecture, accuracy or None for a crash)."""
    made: list[Record] = []

    def make(seed: int, rounds: Rounds) -> Record:
        record = Record.hold(tmp_path / f"seed-{seed}" / "record.sqlite", {"seed": seed})
        made.append(record)
        for accuracies in rounds:
            add_round(record, accuracies)
        return record

    yield make
    for record in made:
        record.close()


def add_round(record: Record, accuracies: Sequence[tuple[str, float | None]]) -> None:
    proposals = [
        Proposal(record.count() + place, 1, (), parse_architecture(text))
        for place, (text, _) in enumerate(accuracies)
    ]
    begun = record.begin_batch(proposals, [0] * len(proposals), {})
    rewards = []
    for proposal, (_, accuracy) in zip(proposals, accuracies, strict=True):
        status = Status.CRASHED if accuracy is None else Status.OK
        history = ({"val_accuracy": accuracy},) if accuracy is not None else ()
        result = ChildResult(status, history, parameters=100, multiply_adds=200, train_seconds=1.25)
        rewards.append(RULE(result))
        record.end_child(proposal.number, replace(result, reward=rewards[-1]))
    statistics = {"reward/mean": sum(rewards) / len(rewards), "entropy": 2.0 - begun.number}
    record.end_batch(begun.number, statistics, {})


def test_the_leaderboard_has_each_architecture_once_over_all_repeats_best_first(searched: Searched) -> None:
    first = searched(1, [[(A, 0.5), (B, 0.8), (A, 0.7), (C, None)]])
    second = searched(2, [[(A, 0.9), (C, 0.6)]])
    table = leaderboard([first, second], RULE)
    assert tuple(table.columns) == COLUMNS
    assert table[["place", "seed", "child", "architecture", "score"]].to_numpy().tolist() == [
        [1, 2, 0, A, 0.9],
        [2, 1, 1, B, 0.8],
        [3, 2, 1, C, 0.6],
    ]
    assert table["reward"].tolist() == pytest.approx([0.9**3, 0.8**3, 0.6**3])
    assert len(leaderboard([first, second], RULE, count=2)) == 2


def test_a_failed_child_stands_on_no_leaderboard(searched: Searched) -> None:
    record = searched(1, [[(A, None), (B, None)]])
    assert best_children([record], 5) == []
    assert len(leaderboard([record], RULE)) == 0


def test_equal_rewards_stand_in_the_order_of_records_and_children(searched: Searched) -> None:
    first = searched(1, [[(B, 0.5), (C, 0.5)]])
    second = searched(2, [[(A, 0.5), (B, 0.5)]])
    found = [(record.definition["seed"], child.number) for record, child in best_children([first, second], 9)]
    assert found == [(1, 0), (1, 1), (2, 0)]


def test_the_curve_has_a_row_for_each_round_with_the_controllers_statistics(searched: Searched) -> None:
    record = searched(1, [[(A, 0.5), (B, None)], [(A, 0.4), (C, 0.2)]])
    record.begin_batch([Proposal(4, 1, (), parse_architecture(A))], [0], {})  # open: it has no row
    table = curve(record)
    assert table["round"].tolist() == [0, 1]
    assert table["children"].tolist() == [2, 4]
    assert table["reward/mean"].tolist() == pytest.approx([0.125 / 2, (0.4**3 + 0.2**3) / 2])
    assert table["reward/best"].tolist() == pytest.approx([0.125, 0.064])
    assert table["reward/best_so_far"].tolist() == pytest.approx([0.125, 0.125])
    assert table["entropy"].tolist() == [2.0, 1.0]


def test_curves_of_repeats_are_averaged_by_round(searched: Searched) -> None:
    first = searched(1, [[(A, 0.5)], [(A, 1.0)]])
    second = searched(2, [[(A, 0.0)]])
    table = mean_curve([first, second])
    assert table["searches"].tolist() == [2, 1]
    assert table["reward/mean"].tolist() == pytest.approx([0.125 / 2, 1.0])


def test_a_search_without_a_finished_round_has_tables_without_rows(searched: Searched) -> None:
    record = searched(1, [])
    assert len(curve(record)) == len(mean_curve([record])) == len(leaderboard([record], RULE)) == 0


def test_metrics_count_failures_and_name_the_best(tmp_path: Path, searched: Searched) -> None:
    experiment = tiny_experiment(tmp_path, reward={"name": "accuracy", "power": 3})
    records = [
        searched(1, [[(A, 0.5), (B, None)]]),
        searched(2, [[(A, 0.9)], [(A, 0.1)]]),
    ]
    found = metrics(experiment, records)
    assert found["children"] == 4
    assert found["failed"] == 1
    assert found["rounds"] == 3
    assert found["best_score"] == 0.9
    assert found["best_reward"] == pytest.approx(0.9**3)
    assert found["last_round_mean_reward"] == pytest.approx((0.125 / 2 + 0.1**3) / 2)


def test_outputs_hold_snapshots_and_tables_and_are_the_same_when_written_again(
    tmp_path: Path, searched: Searched
) -> None:
    experiment = tiny_experiment(tmp_path, repeats=[1, 2])
    workspace = Workspace(tmp_path)
    records = [searched(seed, [[(A, 0.5), (B, 0.6)]]) for seed in (1, 2)]
    folder = workspace.search("tiny")
    folder.mkdir(parents=True)
    (folder / "left-behind.csv").write_text("of an older version")

    def content() -> dict[str, bytes]:
        write_search_outputs(experiment, workspace, records)
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    first = content()
    assert sorted(first) == [
        "curve.csv",
        "leaderboard.csv",
        "metrics.json",
        "records/seed-1.sqlite",
        "records/seed-2.sqlite",
    ]
    assert content() == first
    assert json.loads(first["metrics.json"])["children"] == 4
    with Record.read(folder / "records" / "seed-2.sqlite") as snapshot:
        assert [child.number for child in snapshot.children()] == [0, 1]


def test_a_missing_repeat_is_refused(tmp_path: Path, searched: Searched) -> None:
    experiment = tiny_experiment(tmp_path, repeats=[1, 2])
    with pytest.raises(InputError, match=r"seeds \[1, 2\]"):
        write_search_outputs(experiment, Workspace(tmp_path), [searched(1, [])])


def test_a_new_definition_does_not_go_on_from_a_snapshot_of_the_old_one(
    tmp_path: Path, searched: Searched
) -> None:
    old = searched(1, [[(A, 0.5)]])
    old.snapshot(tmp_path / "snapshot.sqlite")
    for definition, children in (({"seed": 1}, 1), ({"seed": 1, "recipe": "another"}, 0)):
        path = tmp_path / f"clone-{children}" / "record.sqlite"
        with Record.hold(path, definition, tmp_path / "snapshot.sqlite") as record:
            assert record.count() == children

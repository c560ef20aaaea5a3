"""`nas search` runs, goes on, tells what it found, and follows the search."""

from __future__ import annotations

import io
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from rich.console import Console

from nas.cli import live, main
from nas.cli.live import Monitor
from nas.cli.tables import Row, show_leaderboard
from nas.errors import InputError
from nas.experiment import load
from nas.search.opening import open_search
from nas.search.search import Event, Search
from nas.workers.slots import Lease, Slot
from nas.workspace import Workspace
from tests.cli.conftest import NETS, Nas, Write
from tests.factories import job


def children(workspace: Workspace) -> dict[str, list[int]]:
    """The numbers of the finished children in each record."""
    found = {}
    for path in workspace.state.glob("*/record.sqlite"):
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute("SELECT number FROM children WHERE result IS NOT NULL ORDER BY number")
            found[path.parent.name] = [number for (number,) in rows]
    return found


def test_a_search_tells_each_child_each_round_and_ends_with_the_leaderboard(nas: Nas, write: Write) -> None:
    write(budget={"children": 4})
    ended = nas("search", "tiny", "--no-track")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("tiny, seed 7: begins with no children; its record is ")
    assert sorted(line.split()[2] for line in lines if " on cpu-" in line) == ["0", "1", "2", "3"]
    assert {line.split()[0] for line in lines[1:5]} == {"1/4", "2/4", "3/4", "4/4"}
    assert sum(line.startswith("round 0: mean reward ") for line in lines) == 1
    assert "tiny, seed 7: done: 4 children in 1 round (budget: 4 children)" in lines
    assert "reward and score are a proxy: short trainings, not retrained networks" in ended.out
    assert all(net in ended.out for net in NETS[:4])
    assert lines[-1].startswith("Next: nas show ")


def test_what_is_no_terminal_gets_no_folded_lines(nas: Nas, write: Write) -> None:
    long = "conv:" + ",".join(f"3x3x8@{number}" for number in range(30))
    write(controller={"name": "list", "entries": [{"architecture": long}]}, budget={"children": 1})
    nas("search", "tiny", "--no-track")
    assert long in nas("top", "tiny").out


def test_a_larger_budget_goes_on_with_the_same_record(nas: Nas, write: Write, workspace: Workspace) -> None:
    write(budget={"children": 12})
    nas("search", "tiny", "--no-track", "--children", "4")
    ended = nas("search", "tiny", "--no-track", "--rounds", "2")
    assert "tiny, seed 7: goes on: 4 of 12 children are there" in ended.out
    assert "applied: budget.children: 4 → 12" in ended.out
    assert "applied: budget.rounds: not set → 2" in ended.out
    assert list(children(workspace).values()) == [list(range(8))]
    assert "8/8" in ended.out
    assert "9/" not in ended.out


def test_a_search_that_is_complete_says_so_and_trains_nothing(nas: Nas, write: Write) -> None:
    write(budget={"children": 4})
    nas("search", "tiny", "--no-track")
    ended = nas("search", "tiny", "--no-track")
    assert "goes on: 4 of 4 children are there" in ended.out
    assert " on cpu-" not in ended.out
    assert "place" in ended.out


def test_another_definition_is_told_and_keeps_the_old_record_whole(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    write(budget={"children": 4})
    nas("search", "tiny", "--no-track")
    (old,) = children(workspace)
    ended = nas("search", "tiny", "--no-track", "--set", "recipe.epochs=2", "--children", "2")
    assert "differs from the record before, so it is another search:\n    recipe.epochs: 1 → 2\n" in ended.out
    assert f"the old record is kept whole: {workspace.state / old}" in ended.out
    assert sorted(map(len, children(workspace).values())) == [2, 4]
    assert len(children(workspace)[old]) == 4
    back = nas("search", "tiny", "--no-track")
    assert "goes on: 4 of 4 children are there\n  1 of another definition kept beside it" in back.out


def test_repeats_are_one_search_for_each_seed(nas: Nas, write: Write, workspace: Workspace) -> None:
    write(budget={"children": 2}, repeats=[1, 2])
    ended = nas("search", "tiny", "--no-track")
    assert "tiny, seed 1: done" in ended.out
    assert "tiny, seed 2: done" in ended.out
    assert len(children(workspace)) == 2
    alone = nas("search", "tiny", "--no-track", "--seed", "3")
    assert "seed 1" not in alone.out
    assert len(children(workspace)) == 3


def test_failed_children_are_counted_and_explained(nas: Nas, write: Write) -> None:
    write(budget={"children": 2}, evaluator__trainer="tests.fakes:raise_error")
    ended = nas("search", "tiny", "--no-track")
    assert ended.code == 0
    assert ended.out.count("crashed") == 2
    assert "ValueError: the fake training went wrong" in ended.out
    assert "2 children in 1 round, 2 of them failed" in ended.out


def test_a_nearly_full_disk_is_refused_before_anything_begins(
    nas: Nas, write: Write, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    full = type(shutil.disk_usage("/"))(10**12, 10**12, 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    ended = nas("search", "tiny", "--no-track")
    assert ended.code == 75
    assert "only 0.10 GB are free" in ended.err
    assert not children(workspace)


@dataclass
class FakeTracker:
    """Notes which searches were followed."""

    workspace: Workspace
    followed: list[int] = field(default_factory=list)

    @contextmanager
    def follow(self, search: Search) -> Iterator[None]:
        yield
        self.followed.append(search.record.count("finished"))


def test_a_search_is_followed_unless_told_not_to(
    nas: Nas, write: Write, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(budget={"children": 2})
    tracker = FakeTracker(workspace)
    monkeypatch.setattr("nas.tracking.Tracker", lambda _: tracker)
    nas("search", "tiny", "--no-track", "--children", "1")
    assert tracker.followed == []
    nas("search", "tiny")
    assert tracker.followed == [2]


def test_a_terminal_shows_progress_slots_best_and_why_children_wait(
    write: Write, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = "tests.fakes:train_by_seed"
    write(budget={"children": 4}, evaluator__trainer=trainer, workers__slots=1, seed=16)
    experiment = load(workspace.experiments / "tiny.yaml")
    monkeypatch.setattr(live, "REFRESH_PER_SECOND", 20)
    screen = io.StringIO()
    monitor = Monitor(Console(file=screen, force_terminal=True, width=200, legacy_windows=False))
    with open_search(experiment, workspace, listeners=[monitor]) as search:
        monitor.start(search.evaluator)
        with monitor.watch(search):
            search.advance(experiment.budget)
        best = search.record.best(1)[0].number
    shown = screen.getvalue()
    assert best == 2, "the test needs a search whose best child is neither its first nor its last"
    last = [line for line in shown.splitlines() if "best so far" in line][-1]
    assert f"child {best} " in last
    assert "of 4 children" in shown
    assert "cpu-0  child 1" in shown
    assert "best so far" in shown
    assert "(proxy)" in shown
    assert "left" in shown
    assert "queued for 1 slots" in shown


def test_a_search_without_a_terminal_says_why_nothing_runs(
    nas: Nas, write: Write, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(budget={"children": 1}, workers__slots=1)
    monkeypatch.setattr(live, "PATIENCE", 0.05)
    lease = Lease.take(Slot("cpu-0", 1))
    assert lease is not None
    threading.Timer(1.0, lease.release).start()
    ended = nas("search", "tiny", "--no-track")
    assert "waiting: 1 queued for 1 slots (cpu-0 is held by process " in ended.out
    assert "tiny, seed 7: done: 1 children" in ended.out


def test_a_narrow_terminal_shows_architectures_unbroken_below_the_table() -> None:
    net = "conv:" + ",".join(f"3x3x8@{number}" for number in range(12))
    row = Row(1, 0, 7, 0.5, 0.8, 1000, 2000, None, 1.0, True, net)
    narrow, wide = io.StringIO(), io.StringIO()
    show_leaderboard(Console(file=narrow, width=80), "tiny", [row])
    show_leaderboard(Console(file=wide, width=300), "tiny", [row])
    assert narrow.getvalue().splitlines()[-1] == f"     1  {net}"
    assert wide.getvalue().splitlines()[-1].split()[-1] == net
    assert "1.00 k" in wide.getvalue().splitlines()[-1]


def test_events_after_the_end_of_the_display_change_nothing(write: Write, workspace: Workspace) -> None:
    write(budget={"children": 1})
    experiment = load(workspace.experiments / "tiny.yaml")
    monitor = Monitor(Console(file=io.StringIO()))
    with open_search(experiment, workspace, listeners=[monitor]) as search, monitor.watch(search):
        search.advance(experiment.budget)
    monitor(Event("finished", 0, 0))


def test_children_end_before_anything_else_when_a_search_fails(
    write: Write, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows (a tracker that waits for a server) must not keep them running."""
    refused = []

    class SlowTracker:
        @contextmanager
        def follow(self, search: Search) -> Iterator[None]:
            try:
                yield
            finally:
                with pytest.raises(InputError, match="closed"):
                    search.evaluator.submit(job())
                refused.append(True)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    write()
    monkeypatch.setattr("nas.tracking.Tracker", lambda _: SlowTracker())
    monkeypatch.setattr(Search, "advance", fail)
    with pytest.raises(ZeroDivisionError):
        main(["search", "tiny"])
    assert refused


def test_a_reader_that_went_away_does_not_disturb_the_search(
    write: Write, workspace: Workspace, start: Any
) -> None:
    write(budget={"children": 6}, evaluator__trainer="tests.fakes:train_by_seed")
    process = start("search", "tiny", "--no-track")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    assert list(children(workspace).values()) == [list(range(6))]


def test_own_parts_and_trainers_are_found_beside_the_folder_experiments(
    write: Write, workspace: Workspace, start: Any
) -> None:
    (workspace.root / "my_reward.py").write_text(
        "from nas.search.rewards import AccuracyReward\n\n\nclass Mine(AccuracyReward):\n    pass\n"
    )
    (workspace.root / "my_trainer.py").write_text(
        "from nas.evaluation import ChildResult, Status\n\n\n"
        "def train(job):\n"
        "    history = ({'val_accuracy': 0.5},)\n"
        "    return ChildResult(Status.OK, history, seed=job['seed'], device='mine').to_json()\n"
    )
    path = write(budget={"children": 2})
    tree = yaml.safe_load(path.read_text())
    tree["reward"], tree["evaluator"] = {"name": "my_reward:Mine"}, {"trainer": "my_trainer:train"}
    path.write_text(yaml.safe_dump(tree))
    process = start("search", "tiny", "--no-track")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "done: 2 children in 1 round (" in out


def test_an_experiment_with_an_equal_definition_goes_on_with_the_search_that_is_there(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    write(budget={"children": 4})
    write("mine", budget={"children": 4})
    nas("search", "tiny", "--no-track")
    lines = nas("search", "mine", "--no-track").out.splitlines()
    assert lines[:2] == [
        "mine, seed 7: goes on: 4 of 4 children are there",
        "  its definition equals that of tiny, so they share one search",
    ]
    assert len(children(workspace)) == 1

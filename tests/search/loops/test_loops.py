"""Loops give out the stages of a search in an order that other loops than rounds fit into too."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError, SearchError
from nas.evaluation import ChildResult, Job, Status
from nas.experiment import Budget
from nas.search.loops import Limits, Loop, Rounds, Stage, StageKind, drive, drive_by_clock
from nas.search.search import Search
from tests.factories import tiny_experiment
from tests.search.test_search import InstantEvaluator, search_on

CHILDREN = 2


class ThreeReplicas(Loop):
    """Three batches at a time, each of another replica; learnt from in the order of the batches."""

    def next_replica(self) -> int | None:
        return self.search.record.count_batches() % 3 if len(self._open) < 3 else None

    def may_update(self, batch: int) -> bool:
        return batch == min(self._open)


class Epochs(Loop):
    """Batches without children: an epoch trains something in its first stage and a policy in its last."""

    def __init__(self, search: Search, limits: Limits, *, length: int = 1) -> None:
        super().__init__(search, limits)
        self.length = length

    def next_replica(self) -> int | None:
        return None if self._open else 0

    def begin(self, stage: Stage) -> Future[None] | None:
        record = self.search.record
        if stage.kind is StageKind.SAMPLE:
            record.begin_batch([], [], {"evaluator": {"weights": stage.batch * self.length}})
        elif stage.kind is StageKind.UPDATE:
            states = {"policy": {"epochs": stage.batch + 1}}
            record.end_batch(stage.batch, {"shared/loss": 1.0}, states, policy_version=stage.batch + 1)
        return None


def random_search(folder: Path, evaluator: InstantEvaluator | None = None, **changes: Any) -> Search:
    experiment = tiny_experiment(
        folder, controller={"name": "random"}, search__children_per_round=CHILDREN, **changes
    )
    return search_on(folder, experiment, evaluator or InstantEvaluator())


def test_a_batch_is_sampled_evaluated_aggregated_and_learnt_from_in_this_order(tmp_path: Path) -> None:
    with random_search(tmp_path) as search:
        loop = Rounds(search, Limits(Budget(children=2 * CHILDREN)))
        seen = []
        while stages := loop.ready():
            assert loop.ready() == [], "each stage is given out once"
            for stage in stages:
                loop.carry_out(stage)
                loop.done(stage)
            seen.append([(stage.kind.value, stage.batch, stage.child) for stage in stages])
        assert seen == [
            [("sample", 0, None)],
            [("evaluate", 0, 0), ("evaluate", 0, 1)],
            [("aggregate", 0, None)],
            [("update", 0, None)],
            [("sample", 1, None)],
            [("evaluate", 1, 2), ("evaluate", 1, 3)],
            [("aggregate", 1, None)],
            [("update", 1, None)],
        ]
        assert loop.over


def test_three_replicas_have_batches_open_at_once_and_learn_in_order(tmp_path: Path) -> None:
    evaluator = InstantEvaluator(hold_back=True)
    with random_search(tmp_path, evaluator) as search:
        loop = ThreeReplicas(search, Limits(Budget(children=6 * CHILDREN)))
        while stages := loop.ready():  # sampling ends at once, so that three batches are under way
            for stage in stages:
                if loop.begin(stage) is None:
                    loop.done(stage)
        opened = search.record.open_batches()
        assert [(batch.number, batch.replica) for batch in opened] == [(0, 0), (1, 1), (2, 2)]
        assert search.record.count() == 3 * CHILDREN
        evaluator.release()
        order: list[tuple[str, int]] = []
        for child in (4, 5, 2, 3, 0, 1):  # the last batch ends first and waits for its turn
            loop.done(Stage(StageKind.EVALUATE, child // CHILDREN, child))
        while stages := [stage for stage in loop.ready() if stage.batch < 3]:
            for stage in stages:
                order.append((stage.kind.value, stage.batch))
                loop.carry_out(stage)
                loop.done(stage)
        assert [batch for kind, batch in order if kind == "update"] == [0, 1, 2]


@pytest.mark.parametrize("kind", [Rounds, ThreeReplicas])
def test_a_loop_that_is_driven_spends_its_budget_and_ends(tmp_path: Path, kind: type[Loop]) -> None:
    with random_search(tmp_path) as search:
        drive(kind(search, Limits(Budget(children=5 * CHILDREN))))
        assert search.record.count("ok") == 5 * CHILDREN
        assert search.record.open_batches() == []
        assert {batch.replica for batch in search.record.batches()} == ({0} if kind is Rounds else {0, 1, 2})


def test_batches_that_are_open_are_gone_on_with_by_a_loop_built_afresh(tmp_path: Path) -> None:
    evaluator = InstantEvaluator(hold_back=True)
    search = random_search(tmp_path, evaluator)
    loop = ThreeReplicas(search, Limits(Budget(children=6 * CHILDREN)))
    while stages := loop.ready():
        for stage in stages:
            if loop.begin(stage) is None:
                loop.done(stage)
    evaluator.held = evaluator.held[:3]
    evaluator.release()
    proposed = [child.proposal for child in search.record.children()]
    assert len(search.record.open_batches()) == 3
    search.record.close()
    again = InstantEvaluator()
    with random_search(tmp_path, again) as search:
        drive(ThreeReplicas(search, Limits(Budget(children=6 * CHILDREN))))
        assert [child.proposal for child in search.record.children()][: len(proposed)] == proposed
        assert sorted(job.proposal.number for job in again.jobs) == list(range(3, 6 * CHILDREN))
        assert search.record.open_batches() == []


def test_epochs_are_batches_without_children(tmp_path: Path) -> None:
    with random_search(tmp_path) as search:
        drive(Epochs(search, Limits(Budget(rounds=3))))
        assert search.record.count() == 0
        assert [batch.statistics for batch in search.record.batches()] == [{"shared/loss": 1.0}] * 3
        assert search.record.state("evaluator") == {"weights": 2}
        assert search.record.state("policy") == {"epochs": 3}


def test_hours_stop_new_batches_and_let_open_ones_end(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        time.sleep(0.01)
        return ChildResult(Status.OK, ({"val_accuracy": 0.5},))

    with random_search(tmp_path, InstantEvaluator(train=train)) as search:
        drive(ThreeReplicas(search, Limits(Budget(hours=0.01 / 3600))))
        assert search.record.open_batches() == []
        assert 1 <= search.record.count_batches() <= 3
        done = search.record.count_batches()
        drive(Rounds(search, Limits(Budget(hours=1.0), begun_at=time.monotonic() - 7200)))
        assert search.record.count_batches() == done


def test_a_loop_goes_no_further_than_so_many_batches(tmp_path: Path) -> None:
    with random_search(tmp_path) as search:
        drive(Rounds(search, Limits(Budget(children=100), batches=2)))
        assert search.record.count_batches() == 2


def test_an_error_is_raised_when_the_children_that_run_have_ended(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        if job.proposal.number == 0:
            raise SearchError("the disk is full")
        return ChildResult(Status.OK, ({"val_accuracy": 0.5},))

    with random_search(tmp_path, InstantEvaluator(train=train)) as search:
        with pytest.raises(SearchError, match="disk is full"):
            drive(Rounds(search, Limits(Budget(children=2 * CHILDREN))))
        assert search.record.count("ok") == 1
        assert len(search.record.open_batches()) == 1


def test_children_that_are_stopped_end_the_drive(tmp_path: Path) -> None:
    evaluator = InstantEvaluator(hold_back=True)
    with random_search(tmp_path, evaluator) as search:
        stop = threading.Timer(0.2, evaluator.close)
        stop.start()
        with pytest.raises(CancelledError):
            drive(Rounds(search, Limits(Budget(children=CHILDREN))))
        stop.join()
        assert [child.status for child in search.record.children()] == ["waiting"] * CHILDREN


def test_on_a_clock_children_take_the_time_that_they_cost(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        seconds = 1.0 + job.proposal.number % CHILDREN
        return ChildResult(Status.OK, ({"val_accuracy": 0.5},), train_seconds=seconds)

    for slots, kind, seconds in ((1, Rounds, 9.0), (2, Rounds, 6.0), (6, ThreeReplicas, 2.0)):
        folder = tmp_path / f"{slots}-{kind.__name__}"
        with random_search(folder, InstantEvaluator(train=train)) as search:
            loop = kind(search, Limits(Budget(children=3 * CHILDREN)))
            assert drive_by_clock(loop, slots) == seconds
            assert search.record.count("ok") == 3 * CHILDREN
            assert loop.over


def test_a_clock_stops_when_its_time_is_over(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        return ChildResult(Status.OK, ({"val_accuracy": 0.5},), train_seconds=1.0)

    with random_search(tmp_path, InstantEvaluator(train=train)) as search:
        loop = Rounds(search, Limits(Budget(children=100)))
        assert drive_by_clock(loop, until_seconds=5.0) == 5.0
        assert len(search.record.open_batches()) == 1, "what would end later is not learnt from"


def test_the_loop_is_named_in_the_yaml_with_its_options(tmp_path: Path) -> None:
    own = f"{Epochs.__module__}:Epochs"
    search = random_search(tmp_path, search__loop=own, search__length=3)
    with search:
        search.advance(Budget(rounds=2))
        assert search.record.state("evaluator") == {"weights": 3}
    with pytest.raises(InputError, match=r"unknown option 'lenght' of loop .*did you mean 'length'"):
        random_search(tmp_path, search__loop=own, search__lenght=3)
    with pytest.raises(InputError, match=r"unknown option 'children_per_roud' .*: did you mean "):
        random_search(tmp_path, search__children_per_roud=3)
    with pytest.raises(InputError, match="no loop is named 'roundz'"):
        random_search(tmp_path, search__loop="roundz")


def test_naming_the_usual_loop_is_the_same_search(tmp_path: Path) -> None:
    plain = tiny_experiment(tmp_path)
    named = tiny_experiment(tmp_path, search__loop="rounds")
    assert plain.definition("digest", 1) == named.definition("digest", 1)

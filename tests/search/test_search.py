"""A search goes on whatever happened, and what it learns does not depend on interruptions."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.controllers.controller import Controller
from nas.errors import InputError, SearchError
from nas.evaluation import ChildResult, Evaluator, Job, Status
from nas.experiment import Budget, Experiment
from nas.search.loops import room
from nas.search.opening import open_search, read_record
from nas.search.record import Record
from nas.search.rewards import AccuracyReward
from nas.search.search import Event, Search, child_seed
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.fakes import train_by_tokens


@dataclass
class InstantEvaluator(Evaluator):
    """Answers in this process: as jobs come, or when `release` is called."""

    train: Callable[[Job], ChildResult] = lambda job: ChildResult.from_json(
        train_by_tokens({"architecture": job.proposal.architecture.to_json(), "seed": job.seed})
    )
    hold_back: bool = False
    jobs: list[Job] = field(default_factory=list)
    held: list[tuple[Job, Future[ChildResult]]] = field(default_factory=list)

    @property
    def slots(self) -> int:
        return 2

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        self.jobs.append(job)
        future: Future[ChildResult] = Future()
        if started:
            started("instant")
        if self.hold_back:
            self.held.append((job, future))
        else:
            self._answer(job, future)
        return future

    def _answer(self, job: Job, future: Future[ChildResult]) -> None:
        try:
            future.set_result(self.train(job))
        except Exception as error:
            future.set_exception(error)

    def release(self) -> None:
        while self.held:
            self._answer(*self.held.pop())

    def close(self) -> None:
        for _, future in self.held:
            future.cancel()


def search_on(folder: Path, experiment: Experiment, evaluator: Evaluator, **more: Any) -> Search:
    controller = experiment.controller.make("controller", space=experiment.built_space, seed=experiment.seed)
    assert isinstance(controller, Controller)
    record = Record.hold(folder / "record.sqlite", experiment.definition("digest", 1))
    return Search(experiment, record, controller, evaluator, experiment.reward.make("reward"), **more)


def outcome(record: Record) -> Any:
    """All of a record that must not depend on when things happened."""
    states = [record.state(owner) for owner in ("policy", "replica 0", "evaluator")]
    return (
        [(c.proposal, c.seed, c.batch, c.status, c.result and c.result.reward) for c in record.children()],
        [(r.number, r.policy_version, r.statistics) for r in record.batches()],
        repr(states),
    )


def test_a_search_spends_its_budget_in_rounds_and_learns_from_each(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    with search_on(tmp_path, experiment, InstantEvaluator()) as search:
        search.advance(Budget(children=10))
        rounds = search.record.batches()
        assert [len(search.record.children(batch=r.number)) for r in rounds] == [4, 4, 2]
        assert [r.policy_version for r in rounds] == [0, 1, 2]
        assert all(r.statistics and "reward/mean" in r.statistics for r in rounds)
        assert [c.number for c in search.record.children()] == list(range(10))
        rewards = [c.result.reward for c in search.record.children() if c.result]
        assert len(set(rewards)) > 1


def test_a_larger_budget_goes_on_and_an_equal_one_does_nothing(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    with search_on(tmp_path, experiment, InstantEvaluator()) as search:
        search.advance(Budget(rounds=1))
    again = InstantEvaluator()
    with search_on(tmp_path, experiment, again) as search:
        search.advance(Budget(rounds=1))
        assert again.jobs == []
        search.advance(Budget(rounds=2, children=100))
        assert [job.proposal.number for job in again.jobs] == [4, 5, 6, 7]


def test_hours_end_a_search_after_the_round_that_passes_them(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        time.sleep(0.01)
        return ChildResult(Status.OK, ({"val_accuracy": 0.5},))

    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator(train=train)) as search:
        search.advance(Budget(hours=0.01 / 3600))
        assert len(search.record.batches()) == 1


@pytest.mark.parametrize("controller", ["reinforce", "random"])
def test_an_interruption_at_any_moment_changes_nothing(tmp_path: Path, controller: str) -> None:
    """Every commit of the record is a moment at which the process may die: each is tried."""
    experiment = tiny_experiment(tmp_path, controller={"name": controller})
    with search_on(tmp_path / "whole", experiment, InstantEvaluator()) as search:
        search.advance(Budget(children=12))
        expected = outcome(search.record)

    class Killed(BaseException):
        pass

    commits = 0
    original = Record._transaction

    def dying(self: Record) -> Any:
        nonlocal commits
        commits += 1
        if commits == limit:
            raise Killed
        return original(self)

    trained: list[int] = []
    for limit in range(1, 200):  # noqa: B007 - read by dying
        commits = 0
        evaluator = InstantEvaluator()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Record, "_transaction", dying)
            search = search_on(tmp_path / "killed", experiment, evaluator)
            try:
                search.advance(Budget(children=12))
            except Killed:
                pass
            else:
                break
            finally:
                search.record.close()
        # one more commit gets through each time, so the search does advance
    else:
        pytest.fail("the search never got through")
    with Record.read(tmp_path / "killed" / "record.sqlite") as record:
        assert outcome(record) == expected
        trained = [child.number for child in record.children() if child.attempts > 1]
    assert len(trained) < 12


def test_only_unfinished_children_of_an_open_round_are_trained_again(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    evaluator = InstantEvaluator(hold_back=True)
    search = search_on(tmp_path, experiment, evaluator)
    begun = search.sample()
    futures = [search.submit(child.number) for child in search.record.children(batch=begun.number)]
    evaluator.held = evaluator.held[:2]
    kept = [job.proposal.number for job, _ in evaluator.held]
    evaluator.release()
    assert sum(future.done() for future in futures) == 2
    search.record.close()
    again = InstantEvaluator()
    with search_on(tmp_path, experiment, again) as search:
        assert [batch.number for batch in search.record.open_batches()] == [begun.number]
        search.advance(Budget(children=4))
        assert sorted(kept + [job.proposal.number for job in again.jobs]) == [0, 1, 2, 3]
        assert {c.number: c.attempts for c in search.record.children()} == {
            number: 1 if number in kept else 2 for number in range(4)
        }


def test_the_order_in_which_children_end_does_not_matter(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    with search_on(tmp_path / "a", experiment, InstantEvaluator()) as search:
        search.advance(Budget(children=4))
        expected = outcome(search.record)
    held = InstantEvaluator(hold_back=True)
    with search_on(tmp_path / "b", experiment, held) as search:
        begun = search.sample()
        for child in search.record.children(batch=begun.number):
            search.submit(child.number)
        held.release()  # last in, first out
        search.update(begun.number)
        assert outcome(search.record) == expected


def test_a_child_that_is_interrupted_too_often_is_lost_and_the_search_goes_on(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path, workers__attempts=2)
    for attempt in range(2):
        search = search_on(tmp_path, experiment, InstantEvaluator(hold_back=True))
        if not attempt:
            search.sample()
        search.submit(0)
        search.record.close()
    with search_on(tmp_path, experiment, InstantEvaluator()) as search:
        search.advance(Budget(children=4))
        first = search.record.child(0)
        assert first.result is not None
        assert first.result.status is Status.LOST
        assert first.result.reward == 0.0
        assert "2 times" in first.result.message
        assert search.record.count("ok") == 3


def test_a_child_that_is_stopped_on_purpose_keeps_its_attempts(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path, workers__attempts=2)
    for attempt in range(3):
        with search_on(tmp_path, experiment, InstantEvaluator(hold_back=True)) as search:
            if not attempt:
                search.sample()
            futures = [search.submit(c.number) for c in search.record.children(batch=0)]
            assert [c.attempts for c in search.record.children()] == [1] * 4
            assert [c.status for c in search.record.children()] == ["running"] * 4
            search.evaluator.close()
            assert all(future.cancelled() for future in futures)
            assert [(c.attempts, c.status) for c in search.record.children()] == [(0, "waiting")] * 4


def test_twins_of_a_stopped_child_are_stopped_too(tmp_path: Path) -> None:
    one = {
        "space__depth": 1,
        "space__filter_heights": [3],
        "space__filter_widths": [3],
        "space__filters": [4],
    }
    evaluator = InstantEvaluator(hold_back=True)
    experiment = tiny_experiment(tmp_path, search__duplicates="reuse", **one)
    with search_on(tmp_path, experiment, evaluator) as search:
        search.sample()
        futures = [search.submit(number) for number in range(4)]
        evaluator.close()
        assert all(future.cancelled() for future in futures)
        assert len(evaluator.jobs) == 1


def test_repeated_architectures_are_trained_again_unless_results_are_reused(tmp_path: Path) -> None:
    few = {
        "space__depth": 1,
        "space__filter_heights": [1, 3],
        "space__filter_widths": [1],
        "space__filters": [4],
    }
    for rule, trainings in (("train", 12), ("reuse", 2)):
        evaluator = InstantEvaluator()
        experiment = tiny_experiment(tmp_path, search__duplicates=rule, **few)
        with search_on(tmp_path / rule, experiment, evaluator) as search:
            search.advance(Budget(children=12))
            assert len(evaluator.jobs) == trainings
            for child in search.record.children():
                if child.same_as is not None:
                    twin = search.record.child(child.same_as)
                    assert child.result == twin.result
                    assert child.proposal.architecture == twin.proposal.architecture


def test_which_twin_is_trained_does_not_depend_on_who_is_submitted_first(tmp_path: Path) -> None:
    one = {
        "space__depth": 1,
        "space__filter_heights": [3],
        "space__filter_widths": [3],
        "space__filters": [4],
    }
    evaluator = InstantEvaluator(hold_back=True)
    experiment = tiny_experiment(tmp_path, search__duplicates="reuse", **one)
    with search_on(tmp_path, experiment, evaluator) as search:
        search.sample()
        futures = [search.submit(number) for number in (3, 1, 0, 2)]
        evaluator.release()
        assert all(future.done() for future in futures)
        assert [job.proposal.number for job in evaluator.jobs] == [0]
        assert [child.same_as for child in search.record.children()] == [None, 0, 0, 0]


def test_an_error_of_the_evaluator_itself_stops_the_search_and_loses_nothing(tmp_path: Path) -> None:
    def fail(job: Job) -> ChildResult:
        raise OSError("no space left on device")

    experiment = tiny_experiment(tmp_path)
    with (
        search_on(tmp_path, experiment, InstantEvaluator(train=fail)) as search,
        pytest.raises(OSError, match="no space left"),
    ):
        search.advance(Budget(children=4))
    with search_on(tmp_path, experiment, InstantEvaluator()) as search:
        search.advance(Budget(children=4))
        assert search.record.count("ok") == 4


@dataclass
class OddReward:
    """Judges as `judge` says, a failed child with 0."""

    judge: Callable[[ChildResult], Any]
    metric: str = "val_accuracy"
    lower_is_better: bool = False

    def __call__(self, result: ChildResult) -> Any:
        return self.judge(result) if result.ok else 0.0

    def score(self, result: ChildResult) -> float | None:
        return result.curve(self.metric)[-1] if result.ok else None


def strict(record: Record) -> None:
    """All results of the record are JSON as everybody reads it, without NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    for (text,) in record._rows("SELECT result FROM children WHERE result IS NOT NULL"):
        json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (lambda result: math.nan, "finite number. Received: nan"),
        (lambda result: -math.inf, "Received: -inf"),
        (lambda result: None, "Received: None"),
        (lambda result: "0.9", "Received: '0.9'"),
        (lambda result: True, "Received: True"),
        (lambda result: [1.0], "Received: [1.0]"),
        (lambda result: 10**400, "finite number"),
        (lambda result: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda result: sys.exit(3), "SystemExit: 3"),
        (lambda result: result.history[0]["val_f1"], "KeyError: 'val_f1'"),
    ],
)
def test_a_reward_that_is_no_finite_number_ends_the_search_early_and_it_goes_on_when_that_is_repaired(
    tmp_path: Path, judge: Callable[[ChildResult], Any], message: str
) -> None:
    experiment = tiny_experiment(tmp_path)
    with search_on(tmp_path, experiment, InstantEvaluator()) as search:
        search.reward = OddReward(judge)
        with pytest.raises(InputError, match=r"none of the 3 children .* could be judged"):
            search.advance(Budget(children=8))
        failed = search.record.children(finished_only=True)
        assert {child.status for child in failed} == {"crashed"}
        assert message in str(failed[0].result and failed[0].result.message)
        strict(search.record)
    with search_on(tmp_path, experiment, InstantEvaluator()) as search:
        search.reward = OddReward(lambda result: np.float32(0.5))
        search.advance(Budget(children=8))
        assert search.record.count("finished") == 8
        assert search.record.count("ok") == 8 - len(failed)
        strict(search.record)


def test_children_that_cannot_be_judged_crash_and_the_search_goes_on_when_others_can(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        history: Any = {
            1: ({"loss": 0.5},),
            2: (),
            3: ({"val_accuracy": math.nan},),
            4: ({"val_accuracy": "0.5"},),
            5: ({"val_accuracy": 0.5}, {"loss": 0.5}),
        }.get(job.proposal.number, ({"val_accuracy": 0.5},))
        return ChildResult(Status.OK, history)

    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator(train)) as search:
        search.advance(Budget(children=8))
        told = {c.number: (c.status, c.result and c.result.message) for c in search.record.children()}
        strict(search.record)
    assert [told[number][0] for number in range(8)] == [
        "ok",
        "crashed",
        "crashed",
        "diverged",
        "crashed",
        "crashed",
        "ok",
        "ok",
    ]
    assert "children of this search record loss, not 'val_accuracy'" in str(told[1][1])
    assert "records nothing" in str(told[2][1])


def test_a_metric_that_no_child_records_is_noticed_before_the_first_round_is_over(tmp_path: Path) -> None:
    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator()) as search:
        search.reward = AccuracyReward(metric="val_f1")
        with pytest.raises(InputError, match=r"record .*val_accuracy.*, not 'val_f1'.*Correct the reward"):
            search.advance(Budget(children=8))
        assert search.record.count_batches() == 1


def test_an_update_needs_all_results_of_its_round(tmp_path: Path) -> None:
    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator()) as search:
        begun = search.sample()
        with pytest.raises(SearchError, match="child 0 of batch 0 has no result"):
            search.update(begun.number)


def test_an_update_is_made_once(tmp_path: Path) -> None:
    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator()) as search:
        search.advance(Budget(rounds=1))
        before = outcome(search.record)
        search.update(0)
        assert outcome(search.record) == before


def test_the_median_curve_is_of_earlier_rounds_only(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        value = job.proposal.number / 100
        return ChildResult(Status.OK, ({"val_accuracy": value}, {"val_accuracy": 2 * value}))

    evaluator = InstantEvaluator(train=train)
    experiment = tiny_experiment(tmp_path, recipe__median_stopping=True)
    with search_on(tmp_path, experiment, evaluator) as search:
        search.advance(Budget(rounds=3))
    assert {job.median_curve for job in evaluator.jobs[:4]} == {()}
    assert {job.median_curve for job in evaluator.jobs[4:8]} == {(0.015, 0.03)}
    assert {job.median_curve for job in evaluator.jobs[8:]} == {(0.035, 0.07)}


def test_a_child_is_compared_at_its_epoch_not_with_running_averages(
    tmp_path: Path,
) -> None:
    """Where the rule of Vizier, which takes the running averages, would go on: ours differs and says so."""
    curves = ((0.1, 0.5), (0.2, 0.6), (0.3, 0.7), (0.05,))  # the last was stopped after its first epoch

    def train(job: Job) -> ChildResult:
        curve = curves[job.proposal.number % 4]
        return ChildResult(Status.OK, tuple({"val_accuracy": value} for value in curve))

    evaluator = InstantEvaluator(train=train)
    experiment = tiny_experiment(tmp_path, recipe__median_stopping=True, recipe__grace_epochs=2)
    with search_on(tmp_path, experiment, evaluator) as search:
        search.advance(Budget(rounds=2))
    median_curve = evaluator.jobs[-1].median_curve
    assert median_curve == (pytest.approx(0.15), 0.6)
    recipe = experiment.built_recipe()
    averages = sorted(sum(curve) / 2 for curve in curves[:3])  # their median is 0.4
    assert averages[1] < 0.5 < median_curve[1]
    assert recipe.stops_at_median([0.1, 0.5], median_curve)  # Vizier's rule lets it go on
    assert recipe.stops_at_median([0.5, 0.1], median_curve)  # its best so far counts, not its last
    assert not recipe.stops_at_median([0.1, 0.6], median_curve)  # strictly worse
    assert not recipe.stops_at_median([0.01], median_curve)  # grace
    assert not recipe.stops_at_median([0.01, 0.01, 0.01], median_curve)  # none came so far


def test_listeners_hear_of_every_stage(tmp_path: Path) -> None:
    events: list[Event] = []
    with search_on(
        tmp_path, tiny_experiment(tmp_path), InstantEvaluator(), listeners=[events.append]
    ) as search:
        search.advance(Budget(rounds=1))
    assert [event.what for event in events] == ["sampled"] + ["started", "finished"] * 4 + ["updated"]
    assert [event.child for event in events if event.what == "finished"] == [0, 1, 2, 3]


def test_a_listener_that_fails_does_not_stop_the_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("no display")

    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator(), listeners=[fail]) as search:
        search.advance(Budget(rounds=1))
        assert search.record.count("ok") == 4
    assert "no display" in caplog.text


def test_stages_may_be_called_from_many_threads(tmp_path: Path) -> None:
    def train(job: Job) -> ChildResult:
        time.sleep(0.01)
        return ChildResult(Status.OK, ({"val_accuracy": 0.5},))

    experiment = tiny_experiment(tmp_path, search__children_per_round=16)
    with search_on(tmp_path, experiment, InstantEvaluator(train=train)) as search:
        begun = search.sample()
        numbers = [child.number for child in search.record.children(batch=begun.number)]
        threads = [threading.Thread(target=search.train, args=(number,)) for number in numbers * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        search.update(begun.number)
        assert search.record.count("ok") == 16
        assert all(child.attempts == 1 for child in search.record.children())


def test_seeds_differ_by_child_and_search_and_nothing_else(tmp_path: Path) -> None:
    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator()) as search:
        made = search.record.children(batch=search.sample().number)
    assert len({child_seed(1, child.number) for child in made}) == 4
    assert child_seed(1, made[0].number) != child_seed(2, made[0].number)
    assert child_seed(1, made[0].number) == child_seed(1, made[0].number) < 2**31


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (Budget(children=10), 6),
        (Budget(children=4), 0),
        (Budget(rounds=1), 0),
        (Budget(rounds=2, children=5), 1),
        (Budget(hours=1.0), float("inf")),
    ],
)
def test_room_is_what_the_budget_leaves(tmp_path: Path, budget: Budget, left: float) -> None:
    with search_on(tmp_path, tiny_experiment(tmp_path), InstantEvaluator()) as search:
        search.advance(Budget(rounds=1))
        assert room(search.record, budget) == left


def test_a_search_is_found_by_what_defines_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    experiment = tiny_experiment(tmp_path)
    with open_search(experiment, workspace) as search:
        search.advance(Budget(rounds=1))
        path = search.record.path
    changed = tiny_experiment(tmp_path, controller__learning_rate=0.5)
    with open_search(changed, workspace) as search:
        assert search.record.path != path
        assert search.record.count() == 0
    larger = tiny_experiment(tmp_path, budget__children=100)
    with read_record(larger, workspace) as record:
        assert record.path == path
        assert record.count() == 4

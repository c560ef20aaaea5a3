"""Following a search: up to date while it runs, and never in its way."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from nas.controllers.controller import Controller, Told
from nas.errors import RefusedError
from nas.evaluation import ChildResult, Evaluator, Job, Proposal
from nas.experiment import Budget, Experiment
from nas.search.record import Record
from nas.search.search import Search
from nas.tracking import Tracker, tracker
from nas.tracking.connection import Connection
from nas.tracking.projection import Projection
from nas.workspace import Workspace
from tests.tracking.factories import proposals, runs, trained


class Repeating(Controller):
    """Proposes the same architecture for ever."""

    def propose(self, count: int, begun: int) -> list[Proposal]:
        return proposals(begun, count)

    def learn(self, told: Told) -> dict[str, float]:
        self.updates += 1
        return {"reward/mean": sum(result.reward or 0.0 for _, result in told) / len(told)}


class Instant(Evaluator):
    """Gives every job a good result at once, after calling `before`."""

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.before = before

    @property
    def slots(self) -> int:
        return 1

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        if started:
            started("cpu 0")
        self.before(job.proposal.number)
        done: Future[ChildResult] = Future()
        done.set_result(trained(0.5, job.seed))
        return done

    def close(self) -> None:
        pass


def search(record: Record, experiment: Experiment, before: Callable[[int], None] | None = None) -> Search:
    controller = Repeating(experiment.built_space)
    evaluator = Instant(before) if before else Instant()
    return Search(experiment, record, controller, evaluator, experiment.reward.make("reward"))


def until(condition: Callable[[], object]) -> None:
    """Waits for the other thread."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError("waited 30 s in vain")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "PAUSE", 0.01)
    monkeypatch.setattr(tracker, "RETRY", 0.01)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING)
    return lambda: [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_followed_search_is_whole_in_mlflow_at_its_end(
    workspace: Workspace, experiment: Experiment, record: Record, warnings: Callable[[], list[str]]
) -> None:
    heard: list[str] = []
    followed = search(record, experiment)
    followed.listeners = [lambda event: heard.append(event.what)]
    with Tracker(workspace).follow(followed):
        followed.advance(Budget(children=16))
    assert len(runs(workspace, "child")) == 16
    assert runs(workspace, "search")[0].info.status == "FINISHED"
    assert heard.count("finished") == 16, "other listeners hear as before"
    assert len(followed.listeners) == 1
    assert warnings() == []


@pytest.mark.usefixtures("impatient")
def test_children_appear_while_the_search_still_runs(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    target = f"mlflow:sqlite:///{workspace.tracking}/mlflow.db"
    seen = []

    def wait_for_the_one_before(number: int) -> None:
        until(lambda: not number or f"child {number - 1}" in record.projected(target))
        seen.extend(run.info.status for run in runs(workspace, "search"))

    followed = search(record, experiment, wait_for_the_one_before)
    with Tracker(workspace).follow(followed):
        followed.advance(Budget(children=4))
    assert set(seen) == {"RUNNING"}


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [(KeyboardInterrupt(), "KILLED", None), (ValueError("no more"), "FAILED", "ValueError: no more")],
)
def test_the_run_tells_how_the_search_ended(
    workspace: Workspace,
    experiment: Experiment,
    record: Record,
    error: BaseException,
    status: str,
    message: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker, "INTERRUPTED_FAREWELL", 30.0)  # MLflow may be imported only now

    def fail(number: int) -> None:
        if number == 3:
            raise error

    followed = search(record, experiment, fail)
    with pytest.raises(type(error)), Tracker(workspace).follow(followed):
        followed.advance(Budget(children=8))
    (run,) = runs(workspace, "search")
    assert run.info.status == status
    assert run.data.tags.get("nas.message") == message
    assert len(runs(workspace, "child")) == record.count("ok") < 8


def test_without_mlflow_the_search_goes_on_with_one_warning(
    workspace: Workspace,
    experiment: Experiment,
    record: Record,
    warnings: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker, "RETRY", 0.01)
    followed = search(record, experiment)
    for children in (8, 16):
        with Tracker(workspace, "http://127.0.0.1:9").follow(followed):
            followed.advance(Budget(children=children))
    assert record.count("ok") == 16
    assert len(warnings()) == 2, "one for each time it was followed"
    assert "the search goes on" in warnings()[0]
    assert "nas track tiny" in warnings()[0]


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    """A store whose folder can't be made, because a file of this name is in the way."""
    path = tmp_path / "away"
    path.write_text("")
    return path


@pytest.mark.usefixtures("impatient")
def test_what_was_missed_is_sent_when_mlflow_comes_back(
    workspace: Workspace,
    experiment: Experiment,
    record: Record,
    absent: Path,
    warnings: Callable[[], list[str]],
) -> None:
    def come_back(number: int) -> None:
        if number == 9:
            until(warnings)
            absent.unlink()

    followed = search(record, experiment, come_back)
    away = Tracker(workspace, f"sqlite:///{absent}/mlflow.db")
    with away.follow(followed):
        followed.advance(Budget(children=16))
    assert len(warnings()) == 1
    assert (
        sum(item.startswith("child") for item in record.projected(f"mlflow:sqlite:///{absent}/mlflow.db"))
        == 16
    )


@pytest.mark.usefixtures("impatient")
def test_a_request_that_fails_between_a_run_and_its_contents_doubles_nothing(
    workspace: Workspace,
    experiment: Experiment,
    record: Record,
    warnings: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, calls = Connection.log, []

    def fail_once(self: Connection, *arguments: Any, **named: Any) -> None:
        calls.append(arguments)
        if len(calls) == 4:  # the parent's, two children's, and the third child has a run already
            raise MlflowException("not now")
        log(self, *arguments, **named)

    monkeypatch.setattr(Connection, "log", fail_once)
    followed = search(record, experiment)
    with Tracker(workspace).follow(followed):
        followed.advance(Budget(children=8))
        until(warnings)
    children = runs(workspace, "child")
    assert sorted(int(run.data.tags["nas.child"]) for run in children) == list(range(8))
    assert {run.info.status for run in children} == {"FINISHED"}
    assert all(run.data.metrics["proxy_score"] == 0.5 for run in children)


def test_a_refusal_is_told_as_one_and_leaves_no_run_running(
    workspace: Workspace,
    experiment: Experiment,
    record: Record,
    warnings: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("Invalid name", error_code=INVALID_PARAMETER_VALUE)

    search(record, experiment).advance(Budget(children=8))
    for step in ("_add_child", "_describe"):
        with monkeypatch.context() as patched:
            patched.setattr(Projection, step, refuse)
            with pytest.raises(RefusedError, match=r"MLflow refuses .*Invalid name"):
                Tracker(workspace).sync(record, experiment)
            (run,) = runs(workspace, "search")
            assert run.info.status == "FAILED"
            assert "Invalid name" in run.data.tags["nas.message"]
            with Tracker(workspace).follow(search(record, experiment)):
                pass
        assert runs(workspace, "search")[0].info.status == "FAILED"
    assert all("MLflow refuses" in warning for warning in warnings())
    assert Tracker(workspace).sync(record, experiment) == 8
    assert runs(workspace, "search")[0].info.status == "FINISHED"


def test_what_was_missed_is_replayed_by_sync(
    workspace: Workspace, experiment: Experiment, record: Record, absent: Path
) -> None:
    followed = search(record, experiment)
    with Tracker(workspace, f"sqlite:///{absent}/mlflow.db").follow(followed):
        followed.advance(Budget(children=8))
    assert Tracker(workspace).sync(record, experiment) == 8


def test_a_server_that_never_answers_does_not_keep_the_search(
    workspace: Workspace,
    experiment: Experiment,
    record: Record,
    warnings: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker, "FAREWELL", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        followed = search(record, experiment)
        with Tracker(workspace, f"http://127.0.0.1:{deaf.getsockname()[1]}").follow(followed):
            followed.advance(Budget(children=8))
        (warning,) = warnings()
    assert "more than 0.2 s" in warning
    assert record.count("ok") == 8
    for thread in threading.enumerate():
        if thread.name == "nas-tracking":
            thread.join(15)  # the closed socket ends it; a later test must not hear it
    assert len(warnings()) == 1

"""The search's flow: what Prefect sees of it, where it stops and how it goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import Artifact, FlowRun, TaskRun

from flows.search import main, search
from nas.experiment import load
from nas.search.opening import read_record
from nas.search.record import Record
from nas.workspace import Workspace
from tests.factories import write_experiment
from tests.flows.processes import until


def record(home: Path, name: str = "tiny", seed: int | None = None) -> Record:
    experiment = load(home / "experiments" / f"{name}.yaml")
    return read_record(experiment.with_seed(experiment.seed if seed is None else seed), Workspace(home))


def newest(client: SyncPrefectClient, name: str) -> FlowRun:
    """The flow run that began last of those with this name."""
    chosen = FlowRunFilter.model_validate({"name": {"any_": [name]}})
    return client.read_flow_runs(flow_run_filter=chosen, sort="START_TIME_DESC", limit=1)[0]  # type: ignore[arg-type]


def rounds_of(client: SyncPrefectClient, parent: FlowRun) -> list[FlowRun]:
    chosen = FlowRunFilter.model_validate({"parent_flow_run_id": {"any_": [parent.id]}})
    return sorted(client.read_flow_runs(flow_run_filter=chosen), key=lambda run: run.name)


def tasks_of(client: SyncPrefectClient, run: FlowRun, count: int) -> list[TaskRun]:
    """The task runs of a flow run, as soon as the server knows `count` of them, all ended."""
    chosen = TaskRunFilter.model_validate({"flow_run_id": {"any_": [run.id]}})

    def ended() -> list[TaskRun]:
        found = client.read_task_runs(task_run_filter=chosen)
        done = [task for task in found if task.state is not None and task.state.is_final()]
        return found if len(done) >= count else []

    found: list[TaskRun] = until(ended, f"{count} task runs have ended", 30)
    return found


def artifacts_of(client: SyncPrefectClient, run: FlowRun) -> list[Artifact]:
    chosen = ArtifactFilter.model_validate({"flow_run_id": {"any_": [run.id]}})
    return client.read_artifacts(artifact_filter=chosen, limit=100)


def test_every_round_is_a_subflow_with_a_task_for_each_stage_and_child(
    home: Path, client: SyncPrefectClient
) -> None:
    assert search("tiny") is False
    run = newest(client, "search tiny")
    rounds = rounds_of(client, run)
    assert [each.name for each in rounds] == ["round 0", "round 1"]
    assert all(each.state_name == "Completed" for each in [run, *rounds])
    names = sorted(task.name for task in tasks_of(client, rounds[1], 7))
    children, stages = names[1:5], [names[0], *names[5:]]
    assert children == ["child 4", "child 5", "child 6", "child 7"]
    assert [stage[:-4] for stage in stages] == ["aggregate-rewards", "sample", "update-controller"]


def test_runs_carry_the_experiment_and_their_process_as_tags(home: Path, client: SyncPrefectClient) -> None:
    search("tiny", rounds_of_this_run=1)
    run = newest(client, "search tiny")
    tags = [tag.partition(":")[0] for tag in sorted(run.tags)]
    assert tags == ["experiment", "nasflow", "process"]
    assert set(rounds_of(client, run)[0].tags) == set(run.tags)


def test_a_flow_run_stops_after_its_rounds_and_the_next_goes_on(home: Path) -> None:
    assert search("tiny", rounds_of_this_run=1) is True
    assert record(home).count("finished") == 4
    assert search("tiny", rounds_of_this_run=5) is False
    assert record(home).count("finished") == 8
    assert search("tiny") is False
    assert record(home).count("finished") == 8


def test_a_larger_budget_goes_on_with_the_same_record(home: Path) -> None:
    search("tiny", children=4)
    search("tiny", children=10)
    with record(home) as found:
        assert [len(found.children(batch=number)) for number in range(3)] == [4, 4, 2]


def test_no_hours_are_left_when_they_are_over(home: Path) -> None:
    assert search("tiny", hours=1e-9) is False
    assert record(home).count() == 0


def test_repeats_are_searches_one_after_the_other_that_share_the_rounds_of_a_flow_run(home: Path) -> None:
    write_experiment(home, repeats=[1, 2])
    assert search("tiny", rounds_of_this_run=3) is True
    assert [record(home, seed=seed).count("finished") for seed in (1, 2)] == [8, 4]
    assert search("tiny") is False
    assert record(home, seed=2).count("finished") == 8
    assert sorted(path.name for path in (home / "data/searches/tiny/records").iterdir()) == [
        "seed-1.sqlite",
        "seed-2.sqlite",
    ]


def test_the_outputs_of_repeats_stay_when_another_seed_is_searched(home: Path) -> None:
    search("tiny")
    search("tiny", seed=99)
    assert [path.name for path in (home / "data/searches/tiny/records").iterdir()] == ["seed-7.sqlite"]
    assert record(home, seed=99).count("finished") == 8


def test_what_dvc_versions_is_written(home: Path) -> None:
    search("tiny")
    found = {path.name for path in (home / "data/searches/tiny").iterdir()}
    assert found == {"records", "leaderboard.csv", "curve.csv", "metrics.json"}


def test_progress_leaderboard_and_summary_are_shown(home: Path, client: SyncPrefectClient) -> None:
    search("tiny")
    shown = artifacts_of(client, newest(client, "search tiny"))
    by_key: dict[str, list[Any]] = {}
    for artifact in shown:
        by_key.setdefault(str(artifact.key), []).append(artifact.data)
    assert {key: len(data) for key, data in by_key.items()} == {
        "progress-tiny-seed-7": 1,
        "leaderboard-tiny-seed-7": 2,
        "summary-tiny-seed-7": 1,
    }
    assert by_key["progress-tiny-seed-7"] == [100.0]
    best = record(home).best(1)[0]
    assert best.proposal.architecture.text() in by_key["summary-tiny-seed-7"][0]


def test_a_child_that_dies_is_a_result_and_no_failed_task(home: Path, client: SyncPrefectClient) -> None:
    write_experiment(home, evaluator__trainer="tests.fakes:kill_itself", budget__children=4)
    search("tiny")
    assert record(home).count("crashed") == 4
    round_run = rounds_of(client, newest(client, "search tiny"))[0]
    tasks = tasks_of(client, round_run, 7)
    assert {task.state_name for task in tasks} == {"Completed"}
    assert len(tasks) == 7  # nothing was retried


def test_a_failing_update_fails_the_flow_and_is_not_tried_again(
    home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def update(self: object, number: int) -> dict[str, float]:
        tries.append(number)
        raise OSError("disk full")

    monkeypatch.setattr("nas.search.search.Search.update", update)
    with pytest.raises(OSError, match="disk full"):
        search("tiny")
    assert tries == [0]
    assert newest(client, "search tiny").state_name == "Failed"
    assert record(home).count("finished") == 4


def test_the_search_goes_on_when_the_api_goes_away(
    home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr("flows._advance.run_batch", away)
    with caplog.at_level(logging.WARNING), pytest.raises(httpx.ConnectError):
        search("tiny", children=100, rounds_of_this_run=2)
    assert record(home).count("finished") == 8
    assert "the search goes on without it" in caplog.text


def test_an_api_that_refuses_artifacts_stops_nothing(
    home: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> UUID:
        raise httpx.ReadTimeout("too slow")

    monkeypatch.setattr("flows._page.create_progress_artifact", away)
    with caplog.at_level(logging.WARNING):
        search("tiny")
    assert record(home).count("finished") == 8
    assert "showing the progress failed" in caplog.text


def test_wrong_input_is_a_sentence_and_code_2_before_prefect_is_asked(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["tiny", "--childen", "4"])
    assert main(["tinny"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("(did you mean 'tiny'?)")
    assert main(["tiny", "--set", "recipe.epoch=3"]) == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err

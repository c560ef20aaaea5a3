"""What stands in MLflow is what the record says, each thing once, whenever a process was killed."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow.artifacts
import pytest
from mlflow.entities import Run

from nas.errors import InputError
from nas.evaluation import ChildResult, Status
from nas.experiment import Experiment, fingerprint
from nas.search.record import Record
from nas.spaces import parse_architecture
from nas.tracking import Tracker
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.tracking.factories import COMMIT, DIGEST, add_round, crashed, held, proposals, runs, trained


def curve(workspace: Workspace, run: Run, metric: str) -> list[tuple[int, float]]:
    history = connect(workspace).client.get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.value) for point in history)


def artifact(workspace: Workspace, run: Run, name: str) -> dict:
    uri = f"{run.info.artifact_uri}/{name}"
    return dict(mlflow.artifacts.load_dict(uri))


def test_a_childs_run_holds_all_that_the_record_knows_of_it(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    add_round(record, crashed(), trained(0.5))
    assert Tracker(workspace).sync(record, experiment) == 2
    (parent,), (run,) = runs(workspace, "search"), runs(workspace, "child", child=1)
    child = record.child(1)
    assert run.info.run_name == "child 1 · round 0"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == int(child.started_at * 1000)
    assert run.info.end_time == int(child.finished_at * 1000)
    assert run.data.params == {
        "architecture": "conv:3x3x4@0,1x1x8@1",
        "tokens": "1 0 2",
        "depth": "2",
        "round": "0",
        "seed": "3",
        "policy_version": "0",
        "recipe.learning_rate": "0.05",
    }
    assert run.data.metrics == pytest.approx(
        {
            "loss": 1.0,
            "val_accuracy": 0.5,
            "seconds": 0.5,
            "reward": 0.125,
            "proxy_score": 0.5,
            "parameters": 120,
            "multiply_adds": 4500,
            "train_seconds": 1.0,
            "overhead_seconds": 0.25,
            "peak_memory_bytes": 2**28,
            "log_probability": -2.5,
        }
    )
    assert curve(workspace, run, "val_accuracy") == [(1, 0.25), (2, 0.5)]
    tags = run.data.tags
    assert json.loads(tags.pop("nas.architecture")) == child.proposal.architecture.to_json()
    assert {key: value for key, value in tags.items() if key.startswith("nas.")} == {
        "nas.role": "child",
        "nas.fingerprint": fingerprint(record.definition),
        "nas.child": "1",
        "nas.round": "0",
        "nas.status": "ok",
        "nas.depth": "2",
        "nas.attempts": "1",
        "nas.slot": "cpu 0",
        "nas.device": "cpu (1 thread)",
        "nas.git_commit": COMMIT,
        "nas.data": f"digits@{DIGEST}",
    }
    assert tags["mlflow.parentRunId"] == parent.info.run_id


@pytest.mark.parametrize("role", ["search", "child"])
def test_the_data_set_is_an_input_of_search_and_child(
    workspace: Workspace, experiment: Experiment, record: Record, role: str
) -> None:
    add_round(record, trained(0.5))
    Tracker(workspace).sync(record, experiment)
    (run,) = runs(workspace, role)
    (data,) = connect(workspace).client.get_run(run.info.run_id).inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("digits", DIGEST[:36])
    assert {tag.key: tag.value for tag in data.tags}["nas.digest"] == DIGEST


def test_a_failed_child_ends_as_failed_with_its_message(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    diverged = ChildResult(
        Status.DIVERGED, ({"loss": math.nan},), reward=0.0, message="the loss is NaN or infinite"
    )
    add_round(record, diverged)
    Tracker(workspace).sync(record, experiment)
    (run,) = runs(workspace, "child")
    assert run.info.status == "FAILED"
    assert run.data.tags["nas.status"] == "diverged"
    assert run.data.tags["nas.message"] == "the loss is NaN or infinite"
    assert math.isnan(run.data.metrics["loss"])
    assert "proxy_score" not in run.data.metrics
    assert "parameters" not in run.data.metrics


def test_the_searchs_run_holds_definition_rounds_and_leaders(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    add_round(record, trained(0.5), crashed())
    add_round(record, trained(0.25), trained(0.125))
    Tracker(workspace).sync(record, experiment)
    (run,) = runs(workspace, "search")
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe.epochs"] == "2"
    assert run.data.params["controller.name"] == "random"
    assert run.data.params["data.digest"] == DIGEST
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("A test\n\n**Outcome:** ")
    assert f"#/experiments/{run.info.experiment_id}/runs?workflowType=machine_learning" in note
    assert "    nas finalize tiny\n" in note
    assert run.data.tags["nas.seed"] == "7"
    assert curve(workspace, run, "reward/mean") == [(0, 0.25), (1, 0.5)]
    assert curve(workspace, run, "reward/best_so_far") == [(0, 0.125), (1, 0.125)]
    assert curve(workspace, run, "children/finished") == [(0, 2.0), (1, 4.0)]
    assert curve(workspace, run, "children/failed_in_round") == [(0, 1.0), (1, 0.0)]
    whole = artifact(workspace, run, "experiment.json")
    assert whole["definition"] == record.definition
    assert whole["experiment"] == experiment.model_dump(mode="json")
    table = artifact(workspace, run, "leaderboard.json")
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "leaderboard.json", "type": "table"}
    ]
    (leader,) = (dict(zip(table["columns"], row, strict=True)) for row in table["data"])  # one architecture
    assert (leader["place"], leader["child"], leader["proxy_score"]) == (1, 0, 0.5)


def test_a_second_sync_adds_only_what_is_new(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    add_round(record, trained(0.5), trained(0.25))
    tracker = Tracker(workspace)
    assert tracker.sync(record, experiment) == 2
    assert tracker.sync(record, experiment) == 0
    add_round(record, trained(0.75), update=False)
    assert Tracker(workspace).sync(record, experiment) == 1
    assert sorted(run.data.tags["nas.child"] for run in runs(workspace, "child")) == ["0", "1", "2"]
    (run,) = runs(workspace, "search")
    assert curve(workspace, run, "reward/mean") == [(0, 0.25)]
    assert len(artifact(workspace, run, "leaderboard.json")["data"]) == 1
    assert artifact(workspace, run, "leaderboard.json")["data"][0][1] == 2


def test_a_search_with_an_open_round_ends_as_killed_and_goes_on_later(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    add_round(record, trained(0.5), update=False)
    Tracker(workspace).sync(record, experiment)
    assert runs(workspace, "search")[0].info.status == "KILLED"
    record.end_batch(0, {"reward/mean": 0.125}, {})
    Tracker(workspace).sync(record, experiment)
    assert [run.info.status for run in runs(workspace, "search")] == ["FINISHED"]


KILLED = """
import os, signal, sys
from pathlib import Path
from nas.experiment import Experiment
from nas.search.record import Record
from nas.tracking import Tracker
from nas.tracking.projection import Projection
from nas.workspace import Workspace

place, root, experiment = sys.argv[1:]
workspace = Workspace(Path(root))
live = workspace.record("x")
record = Record.hold(live, Record.read(live).definition)
note, create, created = Record.set_projected, Projection._create_child, []

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def note_or_die(self, target, references):
    if any(item.startswith("child") for item in references):
        die()
    note(self, target, references)

def die_after_three(self, *arguments):
    created.append(create(self, *arguments))
    return die() if len(created) == 3 else created[-1]

if place == "before_note":
    Record.set_projected = note_or_die
elif place == "before_parents_note":
    Record.set_projected = die
else:
    Projection._create_child = die_after_three
Tracker(workspace).sync(record, Experiment.model_validate_json(experiment))
"""


@pytest.mark.parametrize("place", ["before_note", "before_logging", "before_parents_note"])
def test_a_kill_between_mlflow_and_the_record_doubles_nothing(
    workspace: Workspace, experiment: Experiment, place: str
) -> None:
    with held(workspace, experiment) as record:
        add_round(record, *[trained(0.1 * number) for number in range(4)])
    command = [sys.executable, "-c", KILLED, place, str(workspace.root), experiment.model_dump_json()]
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    assert done.returncode == -signal.SIGKILL
    before = len(runs(workspace, "child"))
    assert before == {"before_note": 4, "before_logging": 3, "before_parents_note": 0}[place]
    with held(workspace, experiment) as record:
        Tracker(workspace).sync(record, experiment)
    children = runs(workspace, "child")
    assert sorted(run.data.tags["nas.child"] for run in children) == ["0", "1", "2", "3"]
    assert len(runs(workspace, "search")) == 1
    for run in children:
        assert run.info.status == "FINISHED"
        assert len(curve(workspace, run, "val_accuracy")) == 2


def test_a_store_that_was_deleted_is_filled_again(
    workspace: Workspace, experiment: Experiment, record: Record, empty_store: Path
) -> None:
    add_round(record, trained(0.5), trained(0.25))
    Tracker(workspace).sync(record, experiment)
    shutil.copyfile(empty_store, workspace.tracking / "other.db")
    other = Tracker(workspace, f"sqlite:///{workspace.tracking}/other.db")
    assert other.sync(record, experiment) == 2, "another store knows nothing"
    client = connect(workspace).client
    client.delete_run(runs(workspace, "search")[0].info.run_id)
    for run in runs(workspace, "child"):
        client.delete_run(run.info.run_id)
    assert Tracker(workspace).sync(record, experiment) == 2
    assert len(runs(workspace, "child")) == 2


def test_finals_are_runs_of_their_own_with_a_score_and_not_a_proxy(
    workspace: Workspace, experiment: Experiment
) -> None:
    entries = [{"architecture": "conv:3x3x4@0,1x1x8@1"}] * 200
    listed = experiment.controller.model_validate({"name": "list", "entries": entries})
    finals = experiment.model_copy(update={"name": "tiny.final", "controller": listed})
    with held(workspace, finals) as record:
        add_round(record, trained(0.5))
        Tracker(workspace).sync(record, finals)
    (parent,), (final,) = runs(workspace, "finals", "tiny.final"), runs(workspace, "final", "tiny.final")
    assert final.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert final.data.metrics["score"] == 0.5
    assert "proxy_score" not in final.data.metrics
    assert parent.data.params["controller.entries"].endswith("…"), "clipped to what MLflow takes"
    assert artifact(workspace, parent, "experiment.json")["definition"] == record_definition(finals)
    assert runs(workspace, "child", "tiny.final") == []


def test_a_search_over_a_list_is_a_search(workspace: Workspace, experiment: Experiment) -> None:
    """Such as the transfer of a cell to other data: its scores are a proxy until the finals."""
    listed = {"name": "list", "entries": [{"architecture": "conv:3x3x4@0,1x1x8@1"}]}
    search = experiment.model_copy(update={"controller": experiment.controller.model_validate(listed)})
    with held(workspace, search) as record:
        add_round(record, trained(0.5))
        Tracker(workspace).sync(record, search)
    (child,) = runs(workspace, "child")
    assert child.data.metrics["proxy_score"] == 0.5
    assert len(runs(workspace, "search")) == 1


def record_definition(experiment: Experiment) -> dict:
    return json.loads(json.dumps(experiment.definition(DIGEST, threads=1)))


def test_an_architecture_too_long_for_a_tag_is_an_artifact(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    long = parse_architecture("conv:" + ",".join(f"3x3x8@{layer}" for layer in range(80)))
    record.begin_batch(proposals(0, 1, long), [3], {})
    record.end_child(0, trained(0.5))
    Tracker(workspace).sync(record, experiment)
    (run,) = runs(workspace, "child")
    assert "nas.architecture" not in run.data.tags
    assert artifact(workspace, run, "architecture.json") == long.to_json()


def test_searches_of_one_experiment_share_an_mlflow_experiment(
    workspace: Workspace, experiment: Experiment
) -> None:
    for seed in (1, 2):
        single = experiment.with_seed(seed)
        with Record.hold(workspace.record(str(seed)), single.definition(DIGEST, 1)) as record:
            add_round(record, trained(0.5))
            Tracker(workspace).sync(record, single)
    assert len(runs(workspace, "search")) == 2
    assert {run.data.tags["nas.fingerprint"] for run in runs(workspace, "child")} == {
        fingerprint(experiment.with_seed(seed).definition(DIGEST, 1)) for seed in (1, 2)
    }


def test_more_metrics_than_one_request_may_hold_arrive(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    history = tuple({f"metric_{name}": float(epoch) for name in range(10)} for epoch in range(250))
    rewarded = ChildResult(Status.CRASHED, history, reward=0.0)
    add_round(record, rewarded)
    Tracker(workspace).sync(record, experiment)
    (run,) = runs(workspace, "child")
    for name in range(10):
        assert curve(workspace, run, f"metric_{name}") == [(epoch + 1, float(epoch)) for epoch in range(250)]


def test_a_record_for_reading_is_refused(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    with Record.read(record.path) as reading, pytest.raises(InputError, match="open for reading only"):
        Tracker(workspace).sync(reading, experiment)


def test_a_deleted_mlflow_experiment_is_named_with_the_way_back(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    connection = connect(workspace)
    number = connection.experiment("tiny")
    connection.client.delete_experiment(number)
    with pytest.raises(InputError, match=rf"mlflow experiments restore --experiment-id {number}"):
        Tracker(workspace).sync(record, experiment)


def test_a_run_id_in_the_environment_is_ignored(
    workspace: Workspace, experiment: Experiment, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    add_round(record, trained(0.5))
    assert Tracker(workspace).sync(record, experiment) == 1
    assert len(runs(workspace, "child")) == 1


def test_a_ring_is_neither_taken_for_the_search_nor_for_the_finals(
    workspace: Workspace, experiment: Experiment, record: Record
) -> None:
    add_round(record, trained(0.5))
    ring = experiment.model_copy(update={"name": f"{experiment.name}.ring1"})
    record.set_meta("experiment", ring.model_dump(mode="json"))
    Tracker(workspace).sync(record, ring)
    (parent,), (child,) = (runs(workspace, role, ring.name) for role in ("ring", "retrained"))
    assert child.data.metrics["proxy_score"] == 0.5
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("Ring 1 of the retraining of the best.")
    assert f"nas finalize {experiment.name}\n" in note
    assert runs(workspace, "search", ring.name) == runs(workspace, "finals", ring.name) == []

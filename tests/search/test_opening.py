"""A search finds its record, whatever version began it and however its experiment is written now."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nas import datasets
from nas.cli.records import RecordFile, changed_definition
from nas.experiment import Experiment, fingerprint
from nas.search.opening import open_search, read_record, record_path, snapshot_path
from nas.search.record import Record
from nas.search.rewards import AccuracyReward
from nas.workers.slots import platform
from nas.workspace import Workspace
from tests.factories import tiny_experiment


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def begun_in_format_1(workspace: Workspace, **settings: Any) -> Path:
    """A record as earlier versions began it, of the tiny experiment with `settings`."""
    experiment = tiny_experiment(workspace.root, "before", **settings)
    data = datasets.prepare(experiment.data, workspace)
    definition = experiment.definition_1(data.digest, **platform(experiment.workers))
    path = workspace.record(fingerprint(definition))
    with Record.hold(path, definition) as record:
        record.set_meta("experiment", experiment.model_dump(mode="json"))
    return path


def now(workspace: Workspace, **settings: Any) -> Experiment:
    experiment = tiny_experiment(workspace.root, "now", **settings)
    datasets.prepare(experiment.data, workspace)
    return experiment


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"reward__power": 3.0}, {"reward__power": 3}),
        ({"space__depth": {"start": 3}}, {"space__depth": 3}),
        ({}, {"recipe__momentum": 0.9, "controller__units": 35}),
        ({}, {"data__name": "renamed"}),
        ({"evaluator": {"name": "train"}}, {"evaluator": {"name": "nas.workers.pool:ChildPool"}}),
    ],
)
def test_a_record_of_an_earlier_version_is_taken_up(
    workspace: Workspace, before: dict[str, Any], after: dict[str, Any]
) -> None:
    path = begun_in_format_1(workspace, **before)
    with Record.read(path) as record:
        definition = record.definition
    experiment = now(workspace, **after)
    assert record_path(experiment, workspace) == path
    with read_record(experiment, workspace) as record:
        assert record.path == path
    with open_search(experiment, workspace) as search:
        assert search.record.path == path
        assert search.record.definition == definition, "a record keeps the definition that it was begun with"
    assert [one.name for one in workspace.state.iterdir()] == [path.parent.name]
    assert changed_definition(RecordFile.of(path), experiment, workspace) == {}


def test_a_record_whose_part_has_another_meaning_now_is_not_taken_up(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun_in_format_1(workspace)
    monkeypatch.setattr(AccuracyReward, "semantics", 2, raising=False)
    experiment = now(workspace)
    assert record_path(experiment, workspace) != path
    with open_search(experiment, workspace) as search:
        assert search.record.path != path


def test_another_search_is_not_taken_up(workspace: Workspace) -> None:
    path = begun_in_format_1(workspace)
    experiment = now(workspace, reward__power=2)
    assert record_path(experiment, workspace) != path
    changes = changed_definition(RecordFile.of(path), experiment, workspace)
    assert changes == {"reward.power": (3, 2)}, "nothing else is told, whatever the format"


def test_other_data_that_are_not_prepared_are_told_as_a_change(workspace: Workspace) -> None:
    path = begun_in_format_1(workspace)
    experiment = tiny_experiment(workspace.root, "now", data__name="others")
    changes = changed_definition(RecordFile.of(path), experiment, workspace)
    assert list(changes) == ["data.digest"]


def test_a_damaged_record_hides_no_other(workspace: Workspace) -> None:
    for name in ("0000", "ffff"):
        workspace.record(name).parent.mkdir(parents=True)
        workspace.record(name).write_text("no record")
    path = begun_in_format_1(workspace, reward__power=3.0)
    assert record_path(now(workspace, reward__power=3), workspace) == path


def test_a_snapshot_of_an_earlier_version_goes_on_under_its_own_name(workspace: Workspace) -> None:
    path = begun_in_format_1(workspace, reward__power=3.0)
    experiment = now(workspace, reward__power=3)
    snapshot = snapshot_path(experiment, workspace)
    snapshot.parent.mkdir(parents=True)
    with Record.read(path) as record:
        record.snapshot(snapshot)
    shutil.rmtree(workspace.state)
    with read_record(experiment, workspace) as record:
        assert record.path == snapshot
    with open_search(experiment, workspace) as search:
        assert search.record.path == path


def test_a_search_begun_now_is_found_under_every_spelling(workspace: Workspace) -> None:
    first = now(workspace, reward__power=3.0)
    with open_search(first, workspace) as search:
        path = search.record.path
        assert path.parent.name == fingerprint(search.record.definition)
    assert record_path(now(workspace, data__name="again", reward__window=5), workspace) == path

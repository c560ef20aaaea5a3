"""Evaluations on one test set are those that all witnesses of the workspace know of, winner by winner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.experiment import fingerprint
from nas.final.evaluations import (
    KnownTests,
    checked_final,
    keep,
    of_all_experiments,
    read_evaluation,
    summed,
)
from nas.search.record import Record
from nas.workspace import Workspace

DATA = "d" * 64
TESTED = {"data_digest": DATA, "final": "x/1"}


def finals(workspace: Workspace, seed: int, touches: dict[int, KnownTests], digest: str = DATA) -> str:
    """A record of finals whose winners, by number, were touched so often; returns its fingerprint."""
    definition = {"data": {"name": "digits", "digest": digest}, "seed": seed}
    name = fingerprint(definition)
    with Record.hold(workspace.record(name), definition) as record:
        for number, known in touches.items():
            keep(record, {"winner": {"number": number}}, known)
    return name


def evaluation(workspace: Workspace, name: str, content: Any) -> Path:
    path = workspace.reports(name) / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def told(
    final: str, touches: int, by_final: dict[str, int] | None = None, digest: str = DATA
) -> dict[str, Any]:
    """An `evaluation.json`; without `by_final` as a version wrote it that counted each winner alone."""
    found = {"tested": {"final": final, "data_digest": digest}, "test": {"touches": touches}}
    return found if by_final is None else {**found, "test_set": summed(digest, by_final)}


def test_winners_add_up_and_witnesses_of_one_winner_do_not(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    one = finals(workspace, 1, {0: KnownTests(2), 3: KnownTests(1)})
    evaluation(workspace, "one", told(f"{one}/0", 3))
    evaluation(workspace, "two", told("x/1", 1, {"x/1": 1, f"{one}/3": 4, "gone/7": 1}))
    assert of_all_experiments(workspace, DATA) == {"x/1": 1, f"{one}/0": 3, f"{one}/3": 4, "gone/7": 1}


def test_other_data_and_searches_do_not_count(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    finals(workspace, 1, {0: KnownTests(2)}, digest="another")
    finals(workspace, 2, {})
    evaluation(workspace, "other", told("x/0", 1, {"x/0": 1}, digest="another"))
    assert of_all_experiments(workspace, DATA) == {}
    assert of_all_experiments(Workspace(tmp_path / "empty"), DATA) == {}


def test_touches_that_were_carried_over_from_the_same_model_are_counted_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    one = finals(workspace, 1, {0: KnownTests(2)})
    other = finals(workspace, 2, {0: KnownTests(3, carried=2)})
    assert of_all_experiments(workspace, DATA) == {f"{one}/0": 2, f"{other}/0": 1}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        [],
        None,
        {"tested": 3},
        {"tested": {"data_digest": DATA}},
        {"tested": TESTED, "test": {"touches": "many"}},
        {"tested": TESTED, "test_set": {"by_final": [1]}},
        {"tested": TESTED, "test_set": [], "test": {"touches": 1}},
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
)
def test_a_witness_that_can_not_be_read_is_named_and_stops_nothing(
    tmp_path: Path, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path)
    one = finals(workspace, 1, {0: KnownTests(2)})
    path = evaluation(workspace, "other", content)
    foreign = workspace.record("foreign")
    foreign.parent.mkdir()
    foreign.write_text("not a database")
    assert of_all_experiments(workspace, DATA) == {f"{one}/0": 2}
    assert f"{path} can't be read" in caplog.text
    assert f"{foreign} can't be read" in caplog.text


def test_a_reader_is_told_of_touches_that_came_later(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    path = evaluation(workspace, "one", told("x/0", 1, {"x/0": 1}))
    later = finals(workspace, 1, {0: KnownTests(1)})
    found = read_evaluation(path, workspace)
    assert found is not None
    assert found["test_set"] == {
        "data_digest": DATA,
        "touches": 2,
        "by_final": [{"final": name, "touches": 1} for name in sorted([f"{later}/0", "x/0"])],
    }
    assert read_evaluation(path.with_name("missing.json"), workspace) is None
    for content in ("{", "[]", '{"tested": 3}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"evaluation.json (is damaged|can't be read)|must hold"):
            read_evaluation(path, workspace)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"winner": None},
        {"winner": "x", "baseline": None, "finalists": []},
        {"winner": {"number": 0, "sha256": "a"}, "baseline": 3, "finalists": 5},
        {"fingerprint": "f", "data_digest": "d", "winner": {"number": 0}, "baseline": None, "finalists": []},
    ],
)
def test_a_final_json_of_another_shape_is_named(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "final.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"final\.json is not what `nas finalize` writes"):
        checked_final(path)

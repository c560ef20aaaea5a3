"""Commands that take an architecture's text take an experiment's winner; readers can do without it."""

from __future__ import annotations

import json
import shutil

from nas.workspace import Workspace
from tests.cli.conftest import NETS, Nas, Write


def choose(workspace: Workspace, experiment: str) -> None:
    folder = workspace.models(experiment)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "final.json").write_text(json.dumps({"winner": {"architecture": NETS[0]}}))


def test_a_winner_is_shown_for_the_data_of_its_experiment(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    write("small")
    choose(workspace, "small")
    shown = json.loads(nas("show", "winner:small", "--json").out)
    assert (shown["text"], shown["input_shape"]) == (NETS[0], [8, 8, 1])
    shutil.rmtree(workspace.prepared("digits"))
    assert json.loads(nas("show", "winner:small", "--json").out)["input_shape"] == [32, 32, 3]


def test_a_winners_cell_is_shown_in_the_stack_that_won(nas: Nas, write: Write, workspace: Workspace) -> None:
    small = {"name": "cifar", "cells": 1, "filters": 2}
    cell = "nasnet:sep3x3@0+identity@1=2/max3x3@0+identity@1=2"
    recipe = {"name": "image", "upsample": None, "crop": None, "stack": small}
    write("cells", space={"name": "nasnet"}, recipe=recipe, controller={"name": "random"})
    folder = workspace.models("cells")
    folder.mkdir(parents=True)
    larger = {**small, "filters": 4}
    shown = []
    for story in ({"grid_point": {}}, {"grid_point": {"stack": larger}}, {}, {"recipe": {"stack": larger}}):
        (folder / "final.json").write_text(json.dumps({"winner": {"architecture": cell, **story}}))
        shown.append(json.loads(nas("show", "winner:cells", "--json").out)["model"]["parameters"])
    assert shown[0] == shown[2] < shown[1] == shown[3]


def test_a_winner_is_shown_for_another_experiment_as_that_trains_it(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    write("small")
    write("other")
    folder = workspace.models("small")
    folder.mkdir(parents=True)
    winner = {"architecture": NETS[0], "grid_point": {"dropout": 0.5}}  # no field of the other's recipe
    (folder / "final.json").write_text(json.dumps({"winner": winner}))
    ended = nas("show", "winner:small", "other", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["text"] == NETS[0]


def test_a_winner_that_is_not_there_is_wrong_input(nas: Nas, write: Write, workspace: Workspace) -> None:
    write("small")
    ended = nas("show", "winner:small")
    assert ended.code == 2
    assert "`nas finalize small` chooses one" in ended.err


def test_readers_answer_by_the_record_when_the_winner_is_gone(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    path = write("scaled", budget={"children": 2})
    path.write_text(path.read_text() + "final: {baseline: 'winner:small'}\n")
    choose(workspace, "small")
    assert nas("search", "scaled", "--no-track").code == 0
    shutil.rmtree(workspace.models("small"))
    for command in (["status", "scaled"], ["top", "scaled"], ["show", "0", "scaled"], ["summary", "scaled"]):
        ended = nas(*command)
        assert ended.code == 0, ended.err
        if command[0] != "status":
            assert "'small' has no winner yet" in ended.err
            assert "shown is 'scaled' as it was last run" in ended.err
    assert nas("search", "scaled", "--no-track").code == 2

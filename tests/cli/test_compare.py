"""`nas compare` from a file to numbers, tables and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from nas.workspace import Workspace
from tests.cli.conftest import Nas
from tests.tables.factories import COLUMNS, COMPARISON, DECISIONS, small_table, write_comparison

SMALL = ("--runs", "3", "--processes", "1", "--no-track")


@pytest.fixture
def comparison(workspace: Workspace) -> Path:
    return write_comparison(workspace.root, budget_seconds=[200, 400])


def test_controllers_are_compared_in_words_and_files(nas: Nas, workspace: Workspace, comparison: Path):
    ended = nas("compare", "small", "--controllers", "random,evolution:population=4", *SMALL)
    assert (ended.code, ended.err) == (0, "")
    for text in ("200 s", "400 s", "test %", "random − evolution:population=4", "6 of 6 runs were computed"):
        assert text in ended.out
    assert (workspace.reports("compare-small") / "curve.svg").is_file()


def test_json_has_all_and_finished_runs_are_not_repeated(nas: Nas, comparison: Path):
    nas("compare", "small", *SMALL)
    ended = nas("compare", str(comparison), "--budget-seconds", "300", "--json", *SMALL)
    told = json.loads(ended.out)
    assert told["computed"] == 0
    assert (told["table"], told["runs"], told["first_seed"], told["budgets"]) == ("small", 3, 0, [300.0])
    names = ["random", "evolution", "reinforce", "two at a time"]
    assert [one["configuration"] for one in told["summary"]] == names
    assert len(told["differences"]) == 6
    assert set(told["differences"][0]) == {
        "one", "other", "budget_seconds", "column", "mean", "low", "high",
    }  # fmt: skip
    curve = told["curve"]
    assert len(curve["seconds"]) == len(curve["mean"]["random"]["test %"]) == 100
    assert curve["mean"]["random"]["test %"][0] is None, "no query has ended yet"


def test_seeds_count_on_from_the_first(nas: Nas, comparison: Path):
    arguments = ("compare", "small", "--controllers", "random", "--json", "--no-track", "--processes", "1")
    first = json.loads(nas(*arguments, "--runs", "4").out)
    later = json.loads(nas(*arguments, "--runs", "2", "--seed", "2").out)
    assert (first["computed"], later["computed"]) == (4, 0)
    assert later["first_seed"] == 2


def test_a_search_in_a_table_ends_with_what_the_table_reports(nas: Nas, workspace: Workspace):
    small_table(workspace.root)
    evaluator = {"name": "table", **COLUMNS}
    changes = {"data": COMPARISON["data"], "space": {"name": "table", "decisions": DECISIONS}}
    experiment = {
        **changes,
        "controller": {"name": "random"},
        "evaluator": evaluator,
        "budget": {"children": 4},
    }
    path = workspace.experiments / "looked-up.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    ended = nas("search", "looked-up", "--no-track")
    assert ended.code == 0
    assert "The table reports of child " in ended.out
    assert ": test % " in ended.out
    assert "◆" in ended.out
    assert "nas finalize" not in nas("summary", "looked-up").out
    assert nas("search", "looked-up", "--no-track", "--cost-seconds", "0").code == 2
    refused = nas("finalize", "looked-up")
    assert refused.code == 2
    assert "has no recipe: its children are looked up" in refused.err


def test_a_comparison_stands_in_mlflow_too(nas: Nas, workspace: Workspace, comparison: Path):
    ended = nas("compare", "small", "--controllers", "random", "--runs", "2", "--processes", "1")
    assert ended.code == 0
    assert (workspace.tracking / "mlflow.db").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("smal",), "did you mean 'small'"),
        (("small", "--controllers", "randon"), "did you mean 'random'"),
        (("small", "--budget-seconds", "0"), "--budget-seconds must be above 0"),
        (("small", "--budget-seconds", "5"), "use a larger budget"),
    ],
)
def test_wrong_input_ends_with_a_sentence(nas: Nas, comparison: Path, arguments, message):
    ended = nas("compare", *arguments, *SMALL)
    assert ended.code == 2
    assert message in ended.err


def test_a_budget_must_be_named_somewhere(nas: Nas, workspace: Workspace):
    path = write_comparison(workspace.root)
    ended = nas("compare", "small", *SMALL)
    assert ended.code == 2
    assert "say how many by --budget-seconds" in ended.err
    path.write_text(path.read_text() + yaml.safe_dump({"budget_seconds": [300]}))
    assert nas("compare", "small", "--controllers", "random", *SMALL).code == 0

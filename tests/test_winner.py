"""`winner:EXPERIMENT`: the text of another experiment's winner, wherever an architecture's text may stand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.experiment import load
from nas.search.opening import open_search, read_record, record_path
from nas.winner import NoWinnerError, experiment_of
from nas.workspace import Workspace
from tests.factories import TINY, tiny_experiment, write_experiment

NET, OTHER = "conv:3x3x4@0", "conv:1x3x8@0"


def choose(root: Path, experiment: str, text: Any) -> None:
    """Leaves the winner of an experiment as its finals do."""
    folder = Workspace(root).models(experiment)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "final.json").write_text(json.dumps({"winner": {"architecture": text}}))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))


def test_it_stands_for_the_winners_text_in_a_baseline_and_in_a_list(tmp_path: Path) -> None:
    write_experiment(tmp_path, "small.v2")
    choose(tmp_path, "small.v2", NET)
    entries = [{"architecture": " winner:small.v2 ", "overrides": {"epochs": 2}}, {"architecture": OTHER}]
    made = tiny_experiment(
        tmp_path, final__baseline="winner:small.v2", controller={"name": "list", "entries": entries}
    )
    assert made.final.baseline == NET
    assert made.controller.options["entries"] == [
        {"architecture": NET, "overrides": {"epochs": 2}},
        {"architecture": OTHER},
    ]


def test_a_setting_may_name_it_too(tmp_path: Path) -> None:
    choose(tmp_path, "small", NET)
    path = write_experiment(tmp_path)
    assert load(path, {"final.baseline": "winner:small"}).final.baseline == NET


def test_no_definition_or_record_contains_it_and_another_winner_is_another_search(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    listed = {"name": "list", "entries": [{"architecture": "winner:small"}]}
    choose(tmp_path, "small", NET)
    path = write_experiment(tmp_path)
    path.write_text(json.dumps({**TINY, "controller": listed, "budget": {"children": 1}}))
    first = load(path)
    with open_search(first, workspace) as search:
        search.sample()
    written = tiny_experiment(
        tmp_path, "same", controller={"name": "list", "entries": [{"architecture": NET}]}
    )
    assert record_path(written, workspace) == record_path(first, workspace)
    with read_record(first, workspace) as record:
        assert "winner:" not in json.dumps([record.definition, record.meta("experiment")])
    choose(tmp_path, "small", OTHER)
    assert record_path(load(path), workspace) != record_path(first, workspace)


def test_a_winner_that_is_not_there_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    write_experiment(tmp_path, "small")
    path = write_experiment(tmp_path)
    with pytest.raises(NoWinnerError, match="'small' has no winner yet: `nas finalize small` chooses one"):
        load(path, {"final.baseline": "winner:small"})
    with pytest.raises(NoWinnerError, match=r"no .*smal\.yaml that could be searched \(did you mean 'small'"):
        load(path, {"final.baseline": "winner:smal"})


def test_who_needs_the_data_alone_can_do_without_the_winner(tmp_path: Path) -> None:
    made = load(write_experiment(tmp_path), {"final.baseline": "winner:small"}, winners=False)
    assert made.final.baseline == "winner:small"


@pytest.mark.parametrize("text", ["winner:", "winner:../small", "winner:a b", "winner:.hidden", "winner:a/b"])
def test_a_name_that_no_experiment_can_have_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is written winner:EXPERIMENT"):
        experiment_of(text)


@pytest.mark.parametrize("names", [("tiny",), ("a", "tiny"), ("a", "b", "tiny")])
def test_an_experiment_that_needs_its_own_winner_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    baselines = dict(zip(("tiny", *names[:-1]), names, strict=True))
    for name, other in baselines.items():
        choose(tmp_path, name, NET)
        text = json.dumps({**TINY, "final": {"baseline": f"winner:{other}"}})
        (tmp_path / "experiments").mkdir(exist_ok=True)
        (tmp_path / "experiments" / f"{name}.yaml").write_text(text)
    way = " → ".join(("tiny", *names))
    with pytest.raises(InputError, match=rf"'tiny' needs its own winner \({way}\)"):
        load(tmp_path / "experiments" / "tiny.yaml")


def test_others_that_need_each_others_winners_do_not_hang_it(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        choose(tmp_path, name, NET)
        path = write_experiment(tmp_path, name)
        path.write_text(json.dumps({**TINY, "final": {"baseline": f"winner:{other}"}}))
    assert tiny_experiment(tmp_path, final__baseline="winner:a").final.baseline == NET


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"winner": null}', '{"winner": {"architecture": 3}}', "[" * 9999]
)
def test_a_damaged_final_json_is_told(tmp_path: Path, content: str) -> None:
    choose(tmp_path, "small", NET)
    (Workspace(tmp_path).models("small") / "final.json").write_text(content)
    with pytest.raises(InputError, match=r"final\.json is not what `nas finalize` writes"):
        tiny_experiment(tmp_path, final__baseline="winner:small")


@pytest.mark.parametrize("text", ["conv:nonsense", "no kind", "winner:other", "nothing:1"])
def test_a_winner_that_can_not_be_read_is_told(tmp_path: Path, text: str) -> None:
    choose(tmp_path, "small", text)
    with pytest.raises(InputError, match=f"the winner of 'small', {text}, can't be used"):
        tiny_experiment(tmp_path, final__baseline="winner:small")


OWN = """
from tests.networks.stacks import TwistSpace
from dataclasses import dataclass
from typing import ClassVar
from tests.networks import stacks

@dataclass(frozen=True)
class Twist(stacks.Twist):
    kind: ClassVar[str] = "{module}:Twist"

class Space(TwistSpace):
    def decode(self, tokens, depth):
        return Twist((1, 3)[tokens[0]])
"""


def test_a_kind_that_only_final_json_names_is_never_imported_but_one_of_the_experiments_own_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("kind_of_a_stranger", "kind_of_mine"):
        (tmp_path / f"{module}.py").write_text(OWN.format(module=module))
    choose(tmp_path, "small", "kind_of_a_stranger:Twist:3")
    write_experiment(tmp_path, "small", space={"name": "kind_of_mine:Space"})
    sys.modules.pop("kind_of_mine", None)
    with pytest.raises(InputError, match="is not imported, because only data name it"):
        tiny_experiment(tmp_path, final__baseline="winner:small")
    assert "kind_of_a_stranger" not in sys.modules
    choose(tmp_path, "small", "kind_of_mine:Twist:3")
    assert tiny_experiment(tmp_path, final__baseline="winner:small").final.baseline == "kind_of_mine:Twist:3"

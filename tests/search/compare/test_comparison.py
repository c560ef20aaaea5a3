"""A comparison's file: checked whole, with settings by name and by command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nas.controllers.reinforce import Reinforce
from nas.errors import InputError
from nas.search.compare.comparison import load_comparison
from nas.spaces.table import TableSpace
from tests.tables.factories import COLUMNS, small_comparison, write_comparison


def test_settings_are_found_by_name_and_changed_by_options(tmp_path: Path):
    comparison = small_comparison(tmp_path)
    name, reinforce = comparison.configuration("reinforce")
    assert (name, reinforce.children_per_round) == ("reinforce", 2)
    assert reinforce.options == {"name": "reinforce", "learning_rate": 0.05, "units": 4}
    assert isinstance(reinforce.make(comparison.built_space, 1), Reinforce)
    name, changed = comparison.configuration("reinforce:units=6:children_per_round=1")
    assert name == "reinforce:units=6:children_per_round=1"
    assert changed.options["units"] == 6
    assert (changed.options["learning_rate"], changed.children_per_round) == (0.05, 1)
    assert comparison.configuration("two at a time")[1].name == "random"


def test_controllers_without_settings_and_ones_own_are_named_as_ever(tmp_path: Path):
    comparison = small_comparison(tmp_path)
    assert comparison.configuration("predictor:random=3")[1].options == {"name": "predictor", "random": 3}
    own = comparison.configuration("nas.controllers.random:RandomController")[1]
    assert own.name == "nas.controllers.random:RandomController"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("evolutoin", "no controller or setting is named 'evolutoin' .did you mean 'evolution'"),
        ("random:rate=1", "unknown option 'rate' of controller 'random'"),
        ("evolution:sample=0", "sample must be a whole number"),
        ("random:children_per_round=0", "children_per_round: Input should be greater than 0"),
    ],
)
def test_wrong_words_are_explained(tmp_path: Path, word: str, message: str):
    with pytest.raises(InputError, match=message):
        small_comparison(tmp_path).configuration(word)


def test_the_key_is_that_of_what_defines_a_run(tmp_path: Path):
    first = small_comparison(tmp_path)
    key = first.keys(first.configuration("random")[1], "digest")[0]
    assert key == first.keys(first.configuration("random")[1], "digest")[0]
    other = {
        first.keys(first.configuration("random")[1], "other data")[0],
        first.keys(first.configuration("random:children_per_round=2")[1], "digest")[0],
        first.keys(first.configuration("evolution")[1], "digest")[0],
        first.keys(first.configuration("evolution:sample=3")[1], "digest")[0],
    }
    for changes in (
        {"columns": {**COLUMNS, "reward": "test"}},
        {"reward": {"name": "accuracy", "power": 3}},
        {"space": {"name": "table", "decisions": {"filters": [8]}}},
    ):
        changed = small_comparison(tmp_path, **changes)
        other.add(changed.keys(changed.configuration("random")[1], "digest")[0])
    assert len(other | {key}) == 8
    reported = small_comparison(tmp_path, columns={**COLUMNS, "report": {}})
    assert reported.keys(reported.configuration("random")[1], "digest")[0] == key, (
        "what is reported, changes no run"
    )


def test_the_space_is_that_of_the_tables_options_unless_the_file_says(tmp_path: Path):
    assert isinstance(small_comparison(tmp_path).built_space, TableSpace)
    assert small_comparison(tmp_path).built_space.size(1) == 54


def test_a_file_may_be_based_on_another(tmp_path: Path):
    write_comparison(tmp_path, "base")
    path = tmp_path / "tables" / "derived.yaml"
    path.write_text(yaml.safe_dump({"based_on": "base", "controllers": {"random": {}}}))
    derived = load_comparison(path)
    assert derived.name == "derived"
    assert list(derived.controllers) == ["random"]
    assert derived.roles == small_comparison(tmp_path).roles
    path.write_text("based_on: derived")
    with pytest.raises(InputError, match="based on itself"):
        load_comparison(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colums": {}}, "unknown key 'colums': did you mean 'columns'"),
        ({"data": {"source": "digits"}}, "data.source must be 'table'"),
        ({"controllers": {"evolution": {"populaton": 3}}}, "did you mean 'population'"),
        ({"controllers": ["random"]}, "controllers"),
        ({"columns": {"reward": "accuracy", "costs": "seconds"}}, "did you mean 'cost'"),
        ({"budget_seconds": [0]}, "budget_seconds"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, changes, message: str):
    with pytest.raises(InputError, match=message) as caught:
        small_comparison(tmp_path, **changes)
    assert "small.yaml" in str(caught.value)


def test_a_missing_file_names_those_that_are_there(tmp_path: Path):
    write_comparison(tmp_path)
    with pytest.raises(InputError, match="did you mean 'small'"):
        load_comparison(tmp_path / "tables" / "smal.yaml")


KEYS = {
    "random": "52eb68488603d989",
    "evolution": "b26e77d52c5f7cb1",
    "reinforce": "26e9581bdf73647a",
    "ppo": "1c3016a543949047",
    "predictor": "5ec9be77be0626e0",
}
"""Keys that earlier versions gave the shipped comparison's settings for data with the digest `x`: runs, and
what MLflow has of them, are found by them."""


def test_the_keys_of_the_shipped_comparison_stay() -> None:
    comparison = load_comparison(Path(__file__).parents[3] / "tables" / "nasbench201.yaml")
    assert {name: comparison.keys(comparison.configuration(name)[1], "x")[1] for name in KEYS} == KEYS

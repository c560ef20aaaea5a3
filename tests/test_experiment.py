"""Experiments from YAML: every wrong key or value named, fingerprints that cover what defines a search."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nas.definitions import same_search
from nas.errors import InputError
from nas.experiment import Experiment, fingerprint, load, parse_setting
from nas.search.rewards import AccuracyReward
from nas.spaces.conv import ConvSpace
from tests.factories import TINY, tiny_experiment, write_experiment


def loaded(folder: Path, **settings: Any) -> Experiment:
    """TINY with a given list as its controller and `settings` (dotted keys as `recipe__epochs`)."""
    values = {key.replace("__", "."): value for key, value in settings.items()}
    return load(write_experiment(folder), {"controller": {"name": "list"}, **values})


def digest_of(experiment: Experiment, data_digest: str = "d1", threads: int = 1) -> str:
    return fingerprint(experiment.definition(data_digest, threads))


class NoSpace:
    """Something that is no search space."""


# Reading


def test_a_file_is_named_by_its_stem_and_what_it_leaves_out_has_defaults(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, "mine"), {"controller": {"name": "list"}})
    assert experiment.name == "mine"
    assert isinstance(experiment.built_space, ConvSpace)
    assert experiment.search.duplicates == "train", "the papers train a repeated architecture again"
    assert experiment.workers.children_per_gpu == 1
    assert experiment.final.top == 3


@pytest.mark.parametrize(("name", "stage"), [("mine.final", "finals"), ("mine.ring1", "ring 1")])
def test_a_name_that_retrainings_of_another_experiment_have_is_refused(
    tmp_path: Path, name: str, stage: str
) -> None:
    """Its rewards would be judged as those of finals, its snapshot lie beside the other one's winner."""
    with pytest.raises(
        InputError, match=f"no experiment can be named '{name}': .* of the {stage} of another"
    ):
        load(write_experiment(tmp_path, name), {"controller": {"name": "list"}})


def test_settings_replace_what_the_file_says(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, recipe__epochs=4, final__grid__learning_rate=[0.1, 0.2], name="other")
    assert experiment.built_recipe().epochs == 4
    assert experiment.final.grid == {"learning_rate": [0.1, 0.2]}
    assert experiment.name == "other"


def test_overrides_of_a_proposal_go_before_the_recipe_s_own_fields(tmp_path: Path) -> None:
    assert loaded(tmp_path).built_recipe({"learning_rate": 0.3}).learning_rate == 0.3


def test_a_data_set_is_called_like_its_source_unless_it_has_a_name(tmp_path: Path) -> None:
    assert loaded(tmp_path).data.name == "digits"
    assert loaded(tmp_path, data__name="d8").data.name == "d8"
    own = loaded(tmp_path, data={"source": "nas.datasets.digits:Digits", "path": "x"}).data
    assert (own.name, own.options) == ("digits", {"path": "x"})


def test_options_of_a_usual_part_need_no_name(tmp_path: Path) -> None:
    """As `--set reward.power=1` where the file says nothing of rewards."""
    experiment = loaded(tmp_path, reward__power=1, evaluator={"trainer": "tests.fakes:train_by_tokens"})
    assert experiment.reward.make("reward").power == 1
    assert experiment.evaluator.name == "train"


def test_an_experiment_cannot_be_changed(tmp_path: Path) -> None:
    experiment = loaded(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        experiment.seed = 3  # type: ignore[misc]


def test_a_missing_file_names_the_nearest_that_exists(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, "digits-conv")
    with pytest.raises(InputError, match="did you mean 'digits-conv'"):
        load(path.with_stem("digit-conv"))
    with pytest.raises(InputError, match="none is there"):
        load(tmp_path / "empty" / "x.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"data: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"", "must hold keys and values. Received: NoneType"),
        (b"- a\n- b\n", "must hold keys and values. Received: list"),
    ],
)
def test_a_file_that_holds_no_experiment_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        load(path)


@pytest.mark.parametrize("key", ["data", "space", "controller", "recipe", "budget"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in TINY.items() if name != key}))
    with pytest.raises(InputError, match=f"the key '{key}' is missing"):
        load(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bugdet": {}}, "unknown key 'bugdet': did you mean 'budget'?"),
        (
            {"search__children_per_rond": 3},
            "unknown option 'children_per_rond' of loop 'rounds': did you mean 'children_per_round'?",
        ),
        ({"budget__childs": 3}, "unknown key 'budget.childs': did you mean 'children'?"),
        ({"workers__slot": 3}, "unknown key 'workers.slot': did you mean 'slots'?"),
        ({"final__topp": 3}, "unknown key 'final.topp': did you mean 'top'?"),
        ({"space__filter": [8]}, "unknown option 'filter' of space 'conv': did you mean 'filters'?"),
        ({"recipe__epoch": 3}, "unknown option 'epoch' of recipe 'image': did you mean 'epochs'?"),
        ({"reward__powr": 3, "reward__name": "accuracy"}, "unknown option 'powr' of reward 'accuracy'"),
        ({"space__name": "cnov"}, "no space is named 'cnov' (did you mean 'conv'?)"),
        ({"controller__name": "randon"}, "no controller is named 'randon' (did you mean 'random'?)"),
        ({"data__source": "digit"}, "no source is named 'digit' (did you mean 'digits'?)"),
        ({"evaluator__name": "trian"}, "no evaluator is named 'trian' (did you mean 'train'?)"),
        ({"space": {"name": f"{__name__}:NoSpace"}}, f"space '{__name__}:NoSpace' is not a nas.spaces.Space"),
        ({"space": "conv"}, "space must hold keys and values. Received: 'conv'"),
        (
            {"budget": {}},
            "budget: a budget names at least one of children, rounds, hours, cost_seconds. Received: {}",
        ),
        ({"budget__children": 0}, "budget.children: Input should be greater than 0. Received: 0"),
        (
            {"workers__slots": 0},
            "workers.slots: Input should be greater than 0 or Input should be 'auto'. Received: 0",
        ),
        (
            {"search__duplicates": "skip"},
            "search.duplicates: Input should be 'train' or 'reuse'. Received: 'skip'",
        ),
        ({"name": "a b"}, "name: String should match pattern"),
        ({"data__name": "a/b"}, "data.name: String should match pattern"),
        ({"recipe__epochs": 0}, "epochs must be a whole number ≥ 1. Received: 0"),
        ({"final__recipe": {"epoch": 3}}, "unknown option 'epoch' of recipe 'image'"),
        ({"final__grid": {"learning_rat": [0.1]}}, "unknown option 'learning_rat' of recipe 'image'"),
        ({"final__grid": {"learning_rate": [0.1, -1]}}, "learning_rate"),
        (
            {"final__grid": {"learning_rate": []}},
            "final.grid.learning_rate: List should have at least 1 item",
        ),
        ({"final__evaluator": {"name": "trian"}}, "no evaluator is named 'trian' (did you mean 'train'?)"),
        (
            {"final__evaluator": {"name": "train", "trianer": "a:b"}},
            "unknown option 'trianer' of evaluator 'train': did you mean 'trainer'?",
        ),
        (
            {"final__evaluator": {"name": "table", "reward": "accuracy"}},
            "final.evaluator 'table' trains nothing: name one that does, as 'train'",
        ),
        ({"final__baseline": "resnet:x"}, "resnet:FILTERSxBLOCKSxSTAGES"),
        (
            {"final__baseline": "resnext:16x1x1"},
            "no architecture is named 'resnext' (did you mean 'resnet'?)",
        ),
        ({"repeats": [1, "a"]}, "repeats.1: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        loaded(tmp_path, **settings)
    assert "tiny.yaml" in str(caught.value)


def test_keys_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**TINY, 3: 4}))
    with pytest.raises(InputError, match="3"):
        load(path)


def test_a_setting_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'seed' holds 7, not keys and values"):
        loaded(tmp_path, seed__inner=1)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("recipe.epochs=5", ("recipe.epochs", 5)),
        ("space.filters=[8, 16]", ("space.filters", [8, 16])),
        ("about=a=b", ("about", "a=b")),
        ("recipe.crop=", ("recipe.crop", None)),
    ],
)
def test_a_setting_of_the_command_line_is_read_as_yaml(text: str, setting: tuple[str, Any]) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["recipe.epochs", "=5", "", "x=[1"])
def test_a_setting_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"key=value|is not YAML"):
        parse_setting(text)


# Fingerprints


@pytest.mark.parametrize(
    "settings",
    [
        {"budget": {"children": 800}},
        {"budget": {"hours": 1.5}},
        {"final__top": 5},
        {"workers__slots": 1},
        {"workers__time_limit_minutes": 9},
        {"about": "the same, told otherwise"},
        {"name": "renamed"},
        {"beside": "another"},
        {"repeats": [7, 8]},
    ],
)
def test_what_does_not_define_a_search_leaves_its_fingerprint(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert digest_of(loaded(tmp_path, **settings)) == digest_of(loaded(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"space__filters": [4, 16]},
        {"space__depth": 4},
        {"controller": {"name": "list", "entries": []}},
        {"recipe__epochs": 2},
        {"reward": {"name": "accuracy", "power": 1}},
        {"reward": {"name": "accuracy", "power": 3.5}},
        {"evaluator__trainer": "tests.fakes:other"},
        {"search__children_per_round": 5},
        {"search__duplicates": "reuse"},
        {"seed": 8},
    ],
)
def test_what_defines_a_search_changes_its_fingerprint(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert digest_of(loaded(tmp_path, **settings)) != digest_of(loaded(tmp_path))


def test_data_threads_and_the_meaning_of_each_part_are_part_of_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = loaded(tmp_path)
    before = digest_of(experiment)
    assert digest_of(experiment, data_digest="d2") != before
    assert digest_of(experiment, threads=2) != before
    monkeypatch.setattr(AccuracyReward, "semantics", 2, raising=False)
    assert digest_of(experiment) != before


def test_the_order_of_keys_in_the_file_does_not_matter(tmp_path: Path) -> None:
    turned = tmp_path / "tiny.yaml"
    reverse = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(TINY.items())
    }
    turned.write_text(yaml.safe_dump(reverse, sort_keys=False))
    assert digest_of(load(turned, {"controller": {"name": "list"}})) == digest_of(loaded(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"controller": {"name": "reinforce", "baseline_decay": 0.95, "units": 35}},
        {"recipe__momentum": 0.9, "controller": {"name": "reinforce"}},
        {"reward": {"name": "accuracy", "window": 5}, "controller": {"name": "reinforce"}},
        {"space__strides": [], "controller": {"name": "reinforce"}},
    ],
)
def test_a_default_that_is_written_out_is_the_same_search(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert digest_of(loaded(tmp_path, **settings)) == digest_of(
        loaded(tmp_path, controller={"name": "reinforce"})
    )


def test_a_fingerprint_is_the_same_in_every_process_and_release() -> None:
    """Records on users' disks are found by it."""
    assert fingerprint({"space": {"name": "conv", "depth": 4}, "seed": 1}) == "a4f734c19b745c9b"


SHIPPED = {
    "cifar10-hour": "067a4f223e3292a9",
    "cifar10-nas-v1": "3e861175fcacd7b7",
    "cifar10-nas-v2": "e7124b5c026acb2e",
    "cifar10-nas-v3-more-filters": "c9c1a49b5f13a714",
    "cifar10-nas-v3": "97dd2e2896af2466",
    "digits-conv": "8bcbf21ee2cf6da8",
    "digits-random": "7c1fe8894e573c45",
    "my-images": "e072990f6d2a96cd",
    "my-text": "3e22a059c6aab9e5",
    "nasbench201": "b745bc97ff227306",
    "ptb-cells": "8d3dd336d8051029",
    "ptb-char-transfer": "c107a801f0250615",
    "ptb-hour": "3ffdf65415175eff",
    "ptb-nas-control": "14e71cdfc1c4b294",
    "ptb-nas": "f31af528101dd599",
    "ptb-random": "3ee2bd6d6993ee7f",
    "pydoc-cell": "77bf1fc9fdfeffca",
    "pydoc-random": "f510078de0c0e938",
}
"""Fingerprints that earlier versions gave the shipped experiments and named their records by: first seed,
data with the digest `x`, one thread."""


def test_the_fingerprints_of_shipped_experiments_stay() -> None:
    """Whoever searched with one finds his record again. A row never changes unless the experiment itself was
    changed on purpose; an experiment that is newer than this format of definitions needs none."""
    paths = sorted((Path(__file__).parents[1] / "experiments").glob("*.yaml"))
    found = {path.stem: load(path) for path in paths if path.stem in SHIPPED}
    singles = {name: one.with_seed(one.seeds[0]) for name, one in found.items()}
    assert {name: fingerprint(one.definition_1("x", 1)) for name, one in singles.items()} == SHIPPED
    for one in singles.values():
        assert same_search(one.definition_1("x", 1), one.definition("x", 1))


def test_a_repetition_is_the_search_with_that_seed(tmp_path: Path) -> None:
    repeated = loaded(tmp_path, repeats=[7, 8])
    assert repeated.seeds == (7, 8)
    assert loaded(tmp_path).seeds == (7,)
    assert digest_of(repeated.with_seed(8)) == digest_of(loaded(tmp_path, seed=8))
    assert repeated.with_seed(8).seeds == (8,)


def test_a_reward_that_reads_what_the_recipe_does_not_measure_is_refused(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    with pytest.raises(InputError, match="reads val_accuracy, which the recipe 'language' doesn't"):
        load(path, {"recipe": {"name": "language"}, "space": {"name": "cell"}, "data.source": "pydoc"})


def test_the_decisions_of_a_table_need_not_be_repeated_in_its_space() -> None:
    decisions = {"filters": [8, 16], "pool": {0: "none", 1: "max"}}
    tree = {
        "name": "t",
        "data": {"source": "table", "file": "t.csv", "decisions": decisions},
        "space": {"name": "table"},
        "controller": {"name": "random"},
        "evaluator": {"name": "table", "reward": "accuracy"},
        "budget": {"children": 1},
    }
    once = Experiment.model_validate(tree)
    twice = Experiment.model_validate({**tree, "space": {"name": "table", "decisions": decisions}})
    assert fingerprint(once.definition("digest", 1)) == fingerprint(twice.definition("digest", 1))
    assert [option for step in once.built_space.steps(1) for option in step.options] == [
        "8",
        "16",
        "none",
        "max",
    ]
    fewer = {"name": "table", "decisions": {"filters": [8]}}
    assert len(Experiment.model_validate({**tree, "space": fewer}).built_space.steps(1)) == 1


def test_variables_that_change_results_make_another_definition_only_where_they_are_set(
    tmp_path: Path,
) -> None:
    experiment = loaded(tmp_path)
    plain = experiment.definition("digest", 1)
    assert experiment.definition("digest", 1, environment={}) == plain
    changed = experiment.definition("digest", 1, environment={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert fingerprint(changed) != fingerprint(plain)


# What is too much

NINE_LEVELS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {k: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{','.join(['*' + old] * 9)}]}}\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NINE_LEVELS, "more than 1,000,000 characters once its aliases are written out"),
        (MERGED, "more than 1,000,000 characters once its aliases are written out"),
        ("a: &a [*a]", "aliases"),
        ("a: " + "[" * 20_000, "nested too deeply: at most 50 levels"),
        ("a: " + "{b: " * 60 + "1" + "}" * 60, "nested too deeply: at most 50 levels"),
        ("a: " + "x" * 1_000_001, "at most 1,000,000 characters"),
        ("a: " + "9" * 5000, "is not YAML"),
        ("a: 2024-13-01", "is not YAML"),
        ("a: !!int ''", "is not YAML"),
        ("a: !!timestamp x", "is not YAML"),
        ("a: \x00", "is not YAML"),
    ],
)
def test_yaml_that_stands_for_too_much_is_refused_shortly(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    setting = text if "\n" in text else text.removeprefix("a: ")
    for refused in (lambda: load(path), lambda: parse_setting(f"a={setting}")):
        with pytest.raises(InputError, match=message) as caught:
            refused()
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "key", ["about", "data", "space", "space.filters", "recipe.epochs", "reward.power", "budget", "x" * 5000]
)
def test_a_refused_value_is_not_printed_whole(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError) as caught:
        load(write_experiment(tmp_path), {key: [["long " * 20_000]]})
    assert len(str(caught.value)) <= 2100


def test_a_stack_of_cells_makes_another_search_than_none(tmp_path: Path) -> None:
    before, stack = tiny_experiment(tmp_path), {"name": "tests.networks.stacks:Plain"}
    assert "stack" not in before.definition_1("digest", 1)["recipe"], "as before there were any"
    written = tiny_experiment(tmp_path, recipe__stack=None)
    assert written.definition("digest", 1) == before.definition("digest", 1)
    other = tiny_experiment(tmp_path, recipe__stack=stack)
    assert other.definition("digest", 1)["recipe"]["stack"] == stack


def test_the_old_name_of_median_stopping_is_read_with_a_warning_and_is_the_same_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for value in (True, False):
        now = tiny_experiment(tmp_path, recipe__median_stopping=value)
        assert not caplog.records
        then = tiny_experiment(tmp_path, recipe__stop_hopeless=value)
        assert set(caplog.messages) == {
            "recipe.stop_hopeless is called recipe.median_stopping now; the old name is still read"
        }
        caplog.clear()
        assert now.built_recipe() == then.built_recipe()
        assert now.built_recipe().median_stopping is value
        assert now.definition("d", 1) == then.definition("d", 1)
        assert same_search(then.definition_1("d", 1), now.definition("d", 1))
        assert now.definition_1("d", 1)["recipe"]["stop_hopeless"] is value  # as every record holds it


@pytest.mark.parametrize("first", ["stop_hopeless", "median_stopping"])
@pytest.mark.parametrize("second", ["stop_hopeless", "median_stopping"])
def test_of_fields_over_fields_the_last_counts_under_either_name(
    tmp_path: Path, first: str, second: str
) -> None:
    experiment = tiny_experiment(tmp_path, **{f"recipe__{first}": True})
    assert experiment.built_recipe({second: False}).median_stopping is False


def test_both_names_of_one_field_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe\.stop_hopeless is the old name of recipe\.median_stopping"):
        tiny_experiment(tmp_path, recipe__median_stopping=True, recipe__stop_hopeless=True)

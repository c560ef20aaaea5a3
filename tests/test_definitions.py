"""Definitions of searches: equal ones are equal however they were written, and records keep theirs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from nas import definitions, plugins
from nas.controllers.random import RandomController
from nas.definitions import canonical, defaults, part, same_search, written_out
from nas.errors import InputError
from nas.evaluation import ChildResult
from nas.experiment import Experiment, fingerprint, load
from nas.search.rewards import AccuracyReward
from nas.training.image_recipe import ImageRecipe
from tests.factories import TINY, tiny_experiment, write_experiment

DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "space": {
        "conv": {
            "depth": {"start": 6, "grow": 2, "every": 1600},
            "image_size": 32,
            "filter_heights": [1, 3, 5, 7],
            "filter_widths": [1, 3, 5, 7],
            "filters": [24, 36, 48, 64],
            "strides": [],
            "layer_types": ["conv"],
            "pool_after": [],
            "block": 1,
            "more_filters": 0,
            "learning_rates": [],
        },
        "cell": {
            "base": 8,
            "combinations": ["add", "elem_mult"],
            "activations": ["identity", "tanh", "sigmoid", "relu"],
        },
        "nasbench201": {},
        "nasnet": {
            "blocks": 5,
            "operations": [
                "identity",
                "conv1x3_3x1",
                "conv1x7_7x1",
                "dil3x3",
                "avg3x3",
                "max3x3",
                "max5x5",
                "max7x7",
                "conv1x1",
                "conv3x3",
                "sep3x3",
                "sep5x5",
                "sep7x7",
            ],
            "combinations": ["add", "concat"],
            "outputs": "paper",
        },
        "table": {},
    },
    "controller": {
        "reinforce": {
            "units": 35,
            "layers": 2,
            "init_scale": 0.08,
            "learning_rate": 0.0006,
            "baseline_decay": 0.95,
            "entropy_weight": 0,
            "temperature": 1,
            "tanh_constant": None,
            "normalize_advantages": False,
            "rank_rewards": 0,
        },
        "ppo": {
            "units": 100,
            "layers": 1,
            "init_scale": 0.1,
            "learning_rate": 0.00035,
            "baseline_decay": 0.95,
            "entropy_weight": 1e-05,
            "temperature": 1,
            "tanh_constant": None,
            "normalize_advantages": False,
            "rank_rewards": 0,
            "clip": 0.2,
            "epochs": 10,
        },
        "evolution": {"population": 100, "sample": 25},
        "predictor": {"random": 10, "candidates": 50, "mutations": 50, "parents": 5, "memory": 500},
        "random": {},
        "list": {},
    },
    "recipe": {
        "image": {
            "epochs": 50,
            "median_stopping": False,
            "grace_epochs": 5,
            "batch_size": 64,
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "nesterov": True,
            "rmsprop_decay": 0.9,
            "rmsprop_epsilon": 1,
            "gradient_clipping": 0,
            "label_smoothing": 0,
            "weight_average": 0,
            "weight_decay": 0.0001,
            "schedule": "step",
            "schedule_every": "epoch",
            "decay_factor": 0.97,
            "decay_epochs": 2.4,
            "decay_at": [0.5, 0.75],
            "upsample": 40,
            "crop": 32,
            "flip": True,
            "random_area": None,
            "random_aspect": [3 / 4, 4 / 3],
            "central_fraction": 1,
            "brightness": 0,
            "contrast": 0,
            "saturation": 0,
            "hue": 0,
            "cutout": 0,
            "batch_norm_momentum": 0.9,
            "batch_norm_epsilon": 1e-05,
            "precision": "auto",
            "steps_per_execution": "auto",
            "train_examples": None,
            "latency_examples": 0,
            "stack": None,
        },
        "language": {
            "epochs": 35,
            "median_stopping": False,
            "grace_epochs": 5,
            "layers": 2,
            "parameters": 20_000_000,
            "units": None,
            "tied": False,
            "streams": 20,
            "window": 35,
            "validation_streams": 20,
            "optimizer": "sgd",
            "learning_rate": 1,
            "decay_after": 6,
            "decay": 1 / 1.2,
            "clip_norm": 5,
            "weight_decay": 0,
            "init_scale": 0.05,
            "dropout_embedding": 0.2,
            "dropout_input": 0.5,
            "dropout_recurrent": 0.2,
            "dropout_output": 0.5,
            "train_tokens": None,
        },
    },
    "stack": {
        "cifar": {
            "cells": 6,
            "filters": 32,
            "stem_multiplier": 3,
            "skip_reduction": False,
            "auxiliary": 0,
            "drop_path_keep": 1,
            "drop_path": "scheduled",
            "dropout": 0,
            "zero_padding": False,
        },
        "imagenet": {
            "cells": 4,
            "filters": 44,
            "stem_multiplier": 1,
            "skip_reduction": False,
            "auxiliary": 0,
            "drop_path_keep": 1,
            "drop_path": "scheduled",
            "dropout": 0,
            "zero_padding": True,
        },
    },
    "evaluator": {
        "train": {"trainer": "nas.training.child:train"},
        "table": {
            "metric": "val_accuracy",
            "cost": [],
            "parameters": None,
            "multiply_adds": None,
            "latency": None,
            "report": None,
        },
    },
    "loop": {"rounds": {}},
    "reward": {
        "accuracy": {"window": 5, "power": 3, "failed": 0, "metric": "val_accuracy"},
        "perplexity": {"c": 80, "window": 1, "failed": 0, "metric": "val_perplexity"},
        "tradeoff": {
            "window": 5,
            "failed": 0,
            "metric": "val_accuracy",
            "power": 1,
            "below": -0.07,
            "above": -0.07,
        },
    },
}
"""The frozen defaults of all built-in parts, by kind and name."""


def changed_defaults(kind: str) -> dict[str, Any]:
    """The built-in parts of a kind whose frozen defaults are not those of the table."""
    found = {
        name: definitions._plain(defaults(kind, plugins.find(kind, name)), str)
        for name in plugins.BUILT_IN[kind]
    }
    return {name: found[name] for name in found if found[name] != DEFAULTS[kind].get(name)}


@pytest.mark.parametrize("kind", DEFAULTS)
def test_the_frozen_defaults_of_built_in_parts_stay(kind: str) -> None:
    assert not changed_defaults(kind), (
        "A default of these parts is not what it was, so that records of searches that leave the option out "
        "would mean something else. If the part's meaning changed with it, raise its `semantics` and put the "
        "new default into this table; if not, keep the old one in its `frozen_defaults`. A part or an option "
        "that is new gets its row here; the default of a new option of an old part must change nothing."
    )


def test_a_changed_default_is_noticed_unless_the_old_one_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Changed(AccuracyReward):
        window: int = 3

    path = "nas.search.rewards:AccuracyReward"
    monkeypatch.setattr(path.replace(":", "."), Changed)
    assert list(changed_defaults("reward")) == ["accuracy"]
    monkeypatch.setattr(Changed, "frozen_defaults", {"window": 5}, raising=False)
    assert not changed_defaults("reward")
    assert part("reward", {"name": "accuracy"}) == {"name": "accuracy", "window": 3}, "another search now"
    assert part("reward", {"name": "accuracy", "window": 5}) == {"name": "accuracy"}, "the one of before"


# Equal and different definitions


def defined(folder: Path, **settings: Any) -> dict[str, Any]:
    return tiny_experiment(folder, **settings).definition("digest", 1)


SCHEDULE = {"start": 3, "grow": 1, "every": 10, "stop": 5}
CELL = "cell:add-tanh,elem_mult-relu/elem_mult-sigmoid/c=1,inject=add-relu@0"
TABLE = {
    "data": {"source": "table", "file": "t.csv"},
    "space": {"name": "table", "decisions": {"filters": [8, 16], "pool": [0, 1]}},
    "evaluator": {"name": "table", "reward": "accuracy"},
}

EQUAL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"reward__power": 3}, {"reward__power": 3.0}),
    ({"reward__power": 3.0}, {}),
    ({"space__depth": 3}, {"space__depth": {"start": 3}}),
    ({"space__depth": 3}, {"space__depth": {"start": 3, "grow": 0, "every": 7, "stop": 9}}),
    ({"space__image_size": 8}, {"space__image_size": [8, 8]}),
    ({"space__pool_after": [2, 1]}, {"space__pool_after": [1, 2]}),
    ({"space__name": "nas.spaces.conv:ConvSpace"}, {}),
    ({"space__name": "nas.spaces.conv_space:ConvSpace"}, {}),
    ({"recipe__upsample": 0}, {}),
    ({"recipe__crop": 8}, {"recipe__crop": [8, 8]}),
    ({"recipe__crop": 8}, {"recipe__crop": [8]}),
    ({"recipe__learning_rate": 1}, {"recipe__learning_rate": 1.0}),
    ({"recipe__momentum": 0.9, "recipe__batch_size": 64}, {}),
    ({"recipe__stack": None}, {}),
    ({"recipe__optimizer": "sgd", "recipe__rmsprop_decay": 0.9, "recipe__cutout": 0}, {}),
    ({"recipe__random_aspect": [0.75, 4 / 3], "recipe__hue": 0.0}, {}),
    ({"controller": {"name": "reinforce", "learning_rate": 0.01, "units": 35, "tanh_constant": None}}, {}),
    ({"controller": {"name": "evolution", "population": 100}}, {"controller": {"name": "evolution"}}),
    (
        {"evaluator": {"name": "train"}},
        {"evaluator": {"name": "train", "trainer": "nas.training.child:train"}},
    ),
    ({"evaluator": {"name": "nas.workers.pool:ChildPool"}}, {"evaluator": {"name": "train"}}),
    ({"search__loop": "rounds"}, {}),
    ({"search__loop": "nas.search.loops.rounds:Rounds", "search__duplicates": "train"}, {}),
    ({"data__name": "renamed"}, {}),
    ({"data": {"source": "folder", "path": "elsewhere"}}, {}),
    (
        {"controller": {"name": "list", "entries": [{"architecture": CELL, "overrides": {}}]}},
        {"controller": {"name": "list", "entries": [{"architecture": f" {CELL} "}]}},
    ),
    (
        {"controller": {"name": "list", "entries": [{"architecture": CELL, "overrides": {"decay": 1.0}}]}},
        {"controller": {"name": "list", "entries": [{"architecture": CELL, "overrides": {"decay": 1}}]}},
    ),
]

DIFFERENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"reward__power": 3}, {"reward__power": 3.5}),
    ({"reward__window": 1}, {}),
    ({"space__depth": 3}, {"space__depth": SCHEDULE}),
    ({"space__depth": SCHEDULE}, {"space__depth": {**SCHEDULE, "stop": 6}}),
    ({"space__filters": [8, 4]}, {"space__filters": [4, 8]}),
    ({"space__image_size": [8, 9]}, {"space__image_size": [9, 8]}),
    ({"recipe__flip": True}, {"recipe__flip": False}),
    ({"recipe__crop": [8, 7]}, {"recipe__crop": [7, 8]}),
    ({"recipe__train_examples": 5}, {}),
    ({"recipe__optimizer": "rmsprop"}, {}),
    ({"recipe__weight_average": 0.9999}, {}),
    ({"controller": {"name": "reinforce"}}, {"controller": {"name": "ppo"}}),
    ({"controller__tanh_constant": 2}, {}),
    ({"controller": {"name": "evolution", "sample": 5}}, {"controller": {"name": "evolution"}}),
    ({"evaluator": {"name": "train"}}, {}),
    ({"search__children_per_round": 8}, {}),
    ({"search__duplicates": "reuse"}, {}),
    ({"seed": 8}, {}),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_searches_have_equal_definitions(tmp_path: Path, one: Any, other: Any) -> None:
    first, second = tiny_experiment(tmp_path, "a", **one), tiny_experiment(tmp_path, "b", **other)
    assert first.definition("digest", 1) == second.definition("digest", 1)
    assert same_search(first.definition_1("digest", 1), second.definition("digest", 1))
    assert same_search(second.definition_1("digest", 1), first.definition_1("digest", 1))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_searches_have_different_definitions(tmp_path: Path, one: Any, other: Any) -> None:
    first, second = tiny_experiment(tmp_path, "a", **one), tiny_experiment(tmp_path, "b", **other)
    assert first.definition("digest", 1) != second.definition("digest", 1)
    assert not same_search(first.definition_1("digest", 1), second.definition("digest", 1))
    assert not same_search(second.definition_1("digest", 1), first.definition_1("digest", 1))


def on_a_table(**changes: Any) -> dict[str, Any]:
    tree = {**TINY, "name": "t", "controller": {"name": "random"}, **TABLE, **changes}
    tree.pop("recipe")
    return Experiment.model_validate(tree).definition("digest", 1)


def test_a_tables_roles_and_decisions_may_be_written_in_any_way() -> None:
    plain = on_a_table()
    columns = {
        "name": "table",
        "reward": {"column": "accuracy", "scale": 1},
        "cost": [],
        "report": {"t": "x"},
    }
    assert on_a_table(evaluator=columns) == plain
    assert on_a_table(evaluator={"name": "table", "reward": "other"}) != plain
    assert on_a_table(evaluator={"name": "table", "reward": "accuracy", "cost": 3}) != plain
    renamed = {"filters": ["8", 16.0], "pool": {0: "0", 7: "1"}}
    assert on_a_table(space={"name": "table", "decisions": renamed}) != plain, "16.0 is another text than 16"
    renamed["filters"] = ["8", "16"]
    assert on_a_table(space={"name": "table", "decisions": renamed}) == plain
    turned = {"pool": [0, 1], "filters": [8, 16]}
    assert on_a_table(space={"name": "table", "decisions": turned}) != plain, "decided in another order"


# Parts of a user's own


class Own(RandomController):
    """A controller with options that only its signature tells."""

    def __init__(self, space: Any, *, seed: int = 0, rate: float = 1.0, kinds: Any = ("a",)) -> None:
        super().__init__(space, seed=seed)


class Later(RandomController):
    """The same in a later version, with another option."""

    def __init__(
        self, space: Any, *, seed: int = 0, rate: float = 1.0, kinds: Any = ("a",), bias: float | None = None
    ) -> None:
        super().__init__(space, seed=seed)


@dataclass(frozen=True)
class Rule(AccuracyReward):
    """A reward with an option of a type that isn't JSON once it is built."""

    form: Any = "round"

    def __post_init__(self) -> None:
        object.__setattr__(self, "form", object())

    def score(self, result: ChildResult) -> float | None:
        return None


@dataclass(frozen=True)
class Unrelated:
    """A reward that shares nothing with the built-in ones."""

    lower_is_better: ClassVar[bool] = False

    def score(self, result: ChildResult) -> float | None:
        return 1.0

    def __call__(self, result: ChildResult) -> float:
        return 1.0


class Reworked(AccuracyReward):
    """A reward whose meaning changed once."""

    semantics: ClassVar[int] = 2


def own(name: str, **options: Any) -> dict[str, Any]:
    return {"name": f"{__name__}:{name}", **options}


def test_an_option_that_a_later_version_adds_changes_nothing_at_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = part("controller", own("Own", rate=2))
    monkeypatch.setattr(f"{__name__}.Own", Later)
    assert part("controller", own("Own", rate=2)) == before == own("Own", rate=2)
    assert part("controller", own("Own", rate=2.0, kinds=["a"], bias=None)) == before
    assert part("controller", own("Own", rate=2, bias=0.5)) == own("Own", rate=2, bias=0.5)


def test_what_a_part_holds_only_as_an_object_is_described_as_it_was_given() -> None:
    assert part("reward", own("Rule")) == own("Rule")
    assert part("reward", own("Rule", form="square")) == own("Rule", form="square")


def test_the_semantics_of_a_part_stand_only_where_they_are_not_the_first() -> None:
    assert part("reward", own("Reworked")) == own("Reworked", semantics=2)
    assert part("reward", own("Reworked"), semantics=1) == own("Reworked")


def test_a_changed_meaning_of_one_part_leaves_the_records_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracy = tiny_experiment(tmp_path, "a")
    other = tiny_experiment(tmp_path, "b", reward={"name": f"{__name__}:Unrelated"})
    before = [one.definition_1("digest", 1) for one in (accuracy, other)]
    monkeypatch.setattr(AccuracyReward, "semantics", 2, raising=False)
    assert not same_search(before[0], accuracy.definition("digest", 1))
    assert same_search(before[1], other.definition("digest", 1))


# Definitions of earlier versions


def test_a_definition_that_cannot_be_built_here_equals_itself_alone(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    now, before = experiment.definition("digest", 1), experiment.definition_1("digest", 1)
    for strange in (
        {**before, "space": {"name": "gone:Space"}},
        {**before, "reward": 3},
        {**before, "recipe": {**before["recipe"], "gone": 1}},
        {"seed": 7},
        {},
    ):
        assert same_search(strange, dict(strange))
        assert not same_search(strange, now)
        assert isinstance(written_out(strange), dict)


@pytest.mark.parametrize("callable_", ["os:system", "subprocess:run", "builtins:exec"])
def test_what_a_definition_names_is_not_called_either(tmp_path: Path, callable_: str) -> None:
    trace = tmp_path / "called"
    experiment = tiny_experiment(tmp_path)
    now, before = experiment.definition("digest", 1), experiment.definition_1("digest", 1)
    evil = {"name": callable_, "command": f"touch {trace}"}
    stacked = {"recipe": {**before["recipe"], "stack": evil}}
    assert not same_search({**before, **stacked}, now)
    written_out({**now, **stacked})
    with pytest.raises(InputError, match=r"is not a nas.spaces.Stack"):
        ImageRecipe(stack=evil)
    assert not trace.exists()


def test_a_default_that_is_not_json_is_recognised_in_the_text_of_format_1(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    tree = yaml.safe_load(path.read_text())
    del tree["space"]["depth"]
    path.write_text(yaml.safe_dump(tree))
    experiment = load(path)
    before = experiment.definition_1("digest", 1)
    assert before["space"]["depth"].startswith("DepthSchedule(")
    assert same_search(before, experiment.definition("digest", 1))


def test_what_a_definition_names_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "imported"
    (tmp_path / "evil_part.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    experiment = tiny_experiment(tmp_path)
    now, before = experiment.definition("digest", 1), experiment.definition_1("digest", 1)
    evil = {"name": "evil_part:Part"}
    for named in ({"space": evil}, {"recipe": {**before["recipe"], "stack": evil}}):
        canonical({**before, **named})
        written_out({**now, **named})
    assert not trace.exists()


def test_a_definition_written_out_has_all_options_and_is_plain_json(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    for definition in (experiment.definition("digest", 1), experiment.definition_1("digest", 1)):
        whole = written_out(definition)
        assert whole["recipe"]["batch_size"] == 64
        assert whole["controller"]["units"] == 35
        assert whole["space"]["filters"] == [4, 8]
        assert json.loads(json.dumps(whole)) == whole


def test_a_fingerprint_is_the_same_in_every_process_and_release(tmp_path: Path) -> None:
    """Records on users' disks are found by it."""
    assert fingerprint(defined(tmp_path)) == "bca50a6ba1639796"

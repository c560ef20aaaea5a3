"""Parts found by name and built from options."""

import enum
import importlib.metadata
import re
from dataclasses import dataclass
from typing import Any

import pytest

from nas import plugins
from nas.errors import InputError
from nas.spaces.conv import ConvSpace


class Part:
    """A user's own part: two given arguments, one option that is needed and one that is not."""

    def __init__(self, space: Any, needed: int, *, seed: int = 0, rate: float = 0.5) -> None:
        if rate > 1:
            raise ValueError(f"rate must be at most 1. Received: {rate}")
        self.values = (space, needed, seed, rate)


class Open:
    """A part that hands what it doesn't know itself to a base class."""

    def __init__(self, own: int = 0, **rest: Any) -> None:
        self.values = (own, rest)


class Closed:
    """A part that has no options."""


HERE = "tests.test_plugins"
NO_CLASS = 3


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("architecture", "conv"),
        ("architecture", "resnet"),
        ("architecture", "cell"),
        ("architecture", "rnn"),
        ("architecture", "nasbench201"),
        ("architecture", "nasnet"),
        ("architecture", "row"),
        ("space", "conv"),
        ("space", "cell"),
        ("space", "nasbench201"),
        ("space", "nasnet"),
        ("space", "table"),
        ("source", "digits"),
        ("source", "cifar10"),
        ("source", "folder"),
        ("source", "parquet"),
        ("source", "npz"),
        ("source", "ptb"),
        ("source", "pydoc"),
        ("source", "text"),
        ("source", "table"),
        ("recipe", "image"),
        ("recipe", "language"),
        ("stack", "cifar"),
        ("stack", "imagenet"),
        ("reward", "accuracy"),
        ("loop", "rounds"),
        ("reward", "perplexity"),
        ("reward", "tradeoff"),
        ("evaluator", "train"),
        ("evaluator", "table"),
        ("controller", "list"),
        ("controller", "random"),
        ("controller", "evolution"),
        ("controller", "ppo"),
        ("controller", "predictor"),
        ("controller", "reinforce"),
    ],
)
def test_every_built_in_part_is_there(kind: str, name: str) -> None:
    assert isinstance(plugins.find(kind, name), type)


def test_the_list_above_names_every_built_in_part() -> None:
    marks = test_every_built_in_part_is_there.pytestmark  # type: ignore[attr-defined]
    assert set(marks[0].args[1]) == {
        (kind, name) for kind, names in plugins.BUILT_IN.items() for name in names
    }


def test_ones_own_part_is_found_by_its_import_path() -> None:
    assert plugins.find("controller", f"{HERE}:Part").__name__ == "Part"


def test_ones_own_part_is_found_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
        return [importlib.metadata.EntryPoint("mine", f"{HERE}:Part", group)]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert plugins.find("space", "mine").__name__ == "Part"
    with pytest.raises(InputError, match="did you mean 'mine'"):
        plugins.find("space", "mines")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cnov", "no space is named 'cnov' (did you mean 'conv'?); your own is named by its import path"),
        ("zzz", "no space is named 'zzz' (allowed: cell, conv, nasbench201, nasnet, table)"),
        (
            "no_such_module:Space",
            "space 'no_such_module:Space' can't be imported: No module named 'no_such_module'",
        ),
        ("nas.no_such:Space", "can't be imported: No module named 'nas.no_such'"),
        (f"{HERE}:NoSuchClass", "can't be imported"),
        (":Space", "space ':Space' is not a valid import path; it is written 'package.module:Name'"),
        (".relative:Space", "is not a valid import path"),
        ("module:", "is not a valid import path"),
        ("module:a:b", "is not a valid import path"),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        plugins.find("space", name)


def test_a_part_whose_own_import_is_missing_is_not_taken_for_a_wrong_name(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import a_library_that_is_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_installed"):
        plugins.find("space", "needs_more:Space")


def test_options_and_given_arguments_build_the_part() -> None:
    part = plugins.make("controller", {"name": f"{HERE}:Part", "needed": 1, "rate": 0.1}, space="s", seed=7)
    assert part.values == ("s", 1, 7, 0.1)


def test_given_arguments_that_a_part_does_not_take_are_left_out() -> None:
    assert isinstance(plugins.make("controller", {"name": f"{HERE}:Closed"}, space="s", seed=7), Closed)


def test_a_part_that_takes_any_option_gets_all_options_and_all_given_arguments() -> None:
    """Else a controller that hands `**rest` to its base class would lose its seed."""
    part = plugins.make("controller", {"name": f"{HERE}:Open", "own": 1, "rate": 0.1}, seed=7)
    assert part.values == (1, {"rate": 0.1, "seed": 7})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": f"{HERE}:Part", "needed": 1, "rates": 1}, "unknown option 'rates' of controller"),
        ({"name": f"{HERE}:Part", "needed": 1, "rates": 1}, "did you mean 'rate'?"),
        ({"name": f"{HERE}:Part", "needed": 1, "seed": 1}, "unknown option 'seed'"),
        ({"name": f"{HERE}:Open", "seed": 1}, "unknown option 'seed'"),
        (
            {"name": f"{HERE}:Closed", "rate": 1},
            "unknown option 'rate' of controller 'tests.test_plugins:Closed': none",
        ),
        ({"name": f"{HERE}:Part"}, "needs the option 'needed'"),
        ({"name": f"{HERE}:Part", "needed": 1, "rate": 2}, "Part': rate must be at most 1. Received: 2"),
        ({"name": f"{HERE}:Part", "needed": 1, "rate": "x"}, "Part': '>' not supported"),
        ({"name": f"{HERE}:NO_CLASS"}, "can't be built: it is 3, not a class"),
    ],
)
def test_options_that_do_not_fit_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        plugins.make("controller", options, space="s", seed=7)


@dataclass(frozen=True, kw_only=True)
class Rates:
    needed: int
    rate: float = 0.5


class WithOptions:
    Options = Rates

    def __init__(self, space: str, *, seed: int = 0, **options: Any) -> None:
        self.values = (space, seed, self.Options(**options))


class Inherits(WithOptions):
    pass


@dataclass(frozen=True, kw_only=True)
class MoreRates(Rates):
    rate: float = 0.25
    more: int = 3


class WithMoreOptions(WithOptions):
    Options = MoreRates


class WithItsOwnInit(WithOptions):
    def __init__(self, space: str, *, seed: int = 0, rates: float = 1.0, **others: Any) -> None:
        super().__init__(space, seed=seed, needed=1, rate=rates)
        self.others = others


class WithOptionsOfAnotherKind:
    class Options(enum.Enum):
        ONE = 1

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate


@pytest.mark.parametrize("part", [WithOptions, Inherits])
def test_options_may_stand_in_a_dataclass(part: type[WithOptions]) -> None:
    name = {"name": f"{HERE}:{part.__name__}"}
    made = plugins.make("controller", {**name, "needed": 2}, space="s", seed=7)
    assert made.values == ("s", 7, Rates(needed=2))
    assert plugins.with_defaults("controller", {**name, "needed": 2}) == {
        **name,
        "needed": 2,
        "rate": 0.5,
        "seed": 0,
    }
    for options, message in (({}, "needs the option 'needed'"), ({"rat": 1}, "did you mean 'rate'")):
        with pytest.raises(InputError, match=message):
            plugins.make("controller", {**name, **options}, space="s", seed=7)


def test_a_subclass_may_have_more_options_or_other_defaults() -> None:
    name = {"name": f"{HERE}:WithMoreOptions"}
    made = plugins.make("controller", {**name, "needed": 2, "more": 4}, space="s", seed=7)
    assert made.values == ("s", 7, MoreRates(needed=2, more=4))
    assert plugins.with_defaults("controller", name) == {**name, "rate": 0.25, "more": 3, "seed": 0}


def test_a_subclass_with_an_init_of_its_own_says_itself_what_it_takes() -> None:
    name = {"name": f"{HERE}:WithItsOwnInit"}
    made = plugins.make("controller", {**name, "rates": 0.1, "any": 2}, space="s", seed=7)
    assert made.values == ("s", 7, Rates(needed=1, rate=0.1))
    assert made.others == {"any": 2}
    assert plugins.with_defaults("controller", name) == {**name, "rates": 1.0, "seed": 0}


def test_an_attribute_of_that_name_which_is_no_dataclass_means_nothing() -> None:
    name = {"name": f"{HERE}:WithOptionsOfAnotherKind"}
    assert plugins.with_defaults("recipe", name) == {**name, "rate": 0.5}
    assert plugins.make("recipe", {**name, "rate": 0.1}).rate == 0.1


def test_the_options_are_left_as_they_were() -> None:
    options = {"name": "conv", "depth": 2}
    assert isinstance(plugins.make("space", options), ConvSpace)
    assert options == {"name": "conv", "depth": 2}


def test_a_class_that_does_not_tell_its_options_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="doesn't tell its options"):
        plugins.check("loop", {"name": "collections:OrderedDict"})

"""Finds the class behind a name in an experiment: a built-in, an entry point or an import path.

A user's own part is named either by an entry point in the group `nas.<kind>` of an installed
package, or by its import path `package.module:Name`.

To add a part to the program itself, one writes its module and opens this file alone, for an entry in
`BUILT_IN`. What others need to know of the part, its class says:

| to add | what the class says, beside what its base class asks for |
|---|---|
| an architecture | `builder`, `drawing`: modules that build and draw it; `lines`: its layers in words |
| a space | `canonical_options`, if one option can be written in several ways |
| a stack | `builder`; `outline`: the parts of its networks, for pictures |
| a recipe | `trainer`, `tester`, `exporter`: functions; `metrics`, `watched`; `flavour`: its MLflow model |
| a controller | `Options`, a dataclass of its options, or the parameters of `__init__` |
| an evaluator | `needs_recipe`, `check` |
| a loop, a reward, a source of data | nothing more |

Tables for DVC's plots are made of the lists of rows in what a recipe's tester measured (`details`). For
`semantics` and `frozen_defaults` of any kind see `nas.definitions`. The tests list all built-in parts
(`tests/test_plugins.py`) and their defaults (`tests/test_definitions.py`): a row in each.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

from nas.errors import InputError, nearest

BUILT_IN: dict[str, dict[str, str]] = {
    "architecture": {
        "conv": "nas.spaces.conv:ConvNet",
        "resnet": "nas.spaces.resnet:ResNet",
        "cell": "nas.spaces.recurrent_cell:RecurrentCell",
        "rnn": "nas.spaces.recurrent_cell:StandardCell",
        "nasbench201": "nas.spaces.nasbench201:NasBench201Cell",
        "nasnet": "nas.spaces.nasnet:NasNetCells",
        "row": "nas.spaces.table:TableRow",
    },
    "space": {
        "conv": "nas.spaces.conv:ConvSpace",
        "cell": "nas.spaces.recurrent_cell_space:RecurrentCellSpace",
        "nasbench201": "nas.spaces.nasbench201:NasBench201Space",
        "nasnet": "nas.spaces.nasnet_space:NasNetSpace",
        "table": "nas.spaces.table:TableSpace",
    },
    "controller": {
        "reinforce": "nas.controllers.reinforce:Reinforce",
        "ppo": "nas.controllers.ppo:Ppo",
        "evolution": "nas.controllers.evolution:Evolution",
        "predictor": "nas.controllers.predictor:Predictor",
        "random": "nas.controllers.random:RandomController",
        "list": "nas.controllers.listed:ListController",
    },
    "source": {
        "digits": "nas.datasets.digits:Digits",
        "cifar10": "nas.datasets.cifar10:Cifar10",
        "folder": "nas.datasets.own_images:Folder",
        "parquet": "nas.datasets.own_images:Parquet",
        "npz": "nas.datasets.own_images:Npz",
        "ptb": "nas.datasets.ptb:Ptb",
        "pydoc": "nas.datasets.pydoc:Pydoc",
        "text": "nas.datasets.own_text:Text",
        "table": "nas.datasets.table:TableSource",
    },
    "recipe": {
        "image": "nas.training.image_recipe:ImageRecipe",
        "language": "nas.training.language_recipe:LanguageRecipe",
    },
    "stack": {
        "cifar": "nas.spaces.nasnet_stack:CifarStack",
        "imagenet": "nas.spaces.nasnet_stack:ImageNetStack",
    },
    "evaluator": {
        "train": "nas.workers.pool:ChildPool",
        "table": "nas.tables.evaluator:TableEvaluator",
    },
    "loop": {
        "rounds": "nas.search.loops.rounds:Rounds",
    },
    "reward": {
        "accuracy": "nas.search.rewards:AccuracyReward",
        "perplexity": "nas.search.rewards:PerplexityReward",
        "tradeoff": "nas.search.tradeoff:TradeoffReward",
    },
}

WAS = "was"
"""Metadata of a dataclass field that has been renamed: `{WAS: "old_name"}`. The old name is still read, and
it is what definitions, records and other stored JSON hold (see `as_stored`), so that fingerprints stay."""

LATER = "later"
"""Metadata of a dataclass field that came later: `{LATER: True}`. At its default, which changes nothing, it
is left out of stored JSON, so that fingerprints of what was stored before stay."""

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*")
"""What an import path looks like: `package.module:Name`."""


def find(kind: str, name: str, *, trusted: bool = True) -> Any:
    """The object named `name` of kind `kind` (`space`, `controller`, `source`, `recipe`, …).

    Args:
        kind: which kind of part.
        name: of a built-in, of an entry point, or an import path.
        trusted: the user wrote the name, so that it may be imported. One out of a record or other data may
            not, because importing runs code: its import path is only looked up among the modules that are
            loaded already (the user's own parts, which the experiment's YAML names, load them).

    Raises:
        InputError: nothing has this name; the message names the nearest that exists.
    """
    path = BUILT_IN[kind].get(name)
    if path is None and ":" in name:
        path = name
    if path is None:
        points = {point.name: point for point in importlib.metadata.entry_points(group=f"nas.{kind}")}
        if name not in points:
            known = [*BUILT_IN[kind], *points]
            raise InputError(
                f"no {kind} is named '{name}' ({nearest(name, known)}); "
                "your own is named by its import path, 'package.module:Name'"
            )
        return points[name].load()
    if not IMPORT_PATH.fullmatch(path):
        raise InputError(f"{kind} '{name}' is not a valid import path; it is written 'package.module:Name'")
    module, _, attribute = path.partition(":")
    if not trusted and name not in BUILT_IN[kind]:
        loaded = vars(sys.modules.get(module, object)).get(attribute)  # getattr may run code
        if loaded is None:
            raise InputError(
                f"{kind} '{name}' is not imported, because only data name it: neither a built-in nor an "
                "entry point has this name, and no part that the experiment's YAML names has loaded it"
            )
        return loaded
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and not module.startswith(error.name):
            raise  # the module is there, but something that it imports is not
        raise InputError(f"{kind} '{name}' can't be imported: {error}") from error


def imported(path: str) -> Any:
    """What an import path that a part's class names leads to.

    Raises:
        InputError: it leads nowhere.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"'{path}' can't be imported: {error}") from error


def make(kind: str, options: Mapping[str, Any], **given: Any) -> Any:
    """Builds the part that `options["name"]` names from the other options and from `given`.

    Args:
        kind: which kind of part.
        options: `name` and the part's own options, as they stand in an experiment.
        given: arguments that the program supplies (a space, a seed), not the user.

    Raises:
        InputError: an option is unknown (the nearest valid one is named) or not allowed.
    """
    options = _with_names(options, {old: new for new, old in renamed(kind, options).items()})
    cls, named, takes_any = check(kind, options, given)
    rest = {key: value for key, value in options.items() if key != "name"}
    try:
        return cls(**{name: value for name, value in given.items() if takes_any or name in named}, **rest)
    except (TypeError, ValueError) as error:
        raise InputError(f"{kind} '{options['name']}': {error}") from error


def check(
    kind: str, options: Mapping[str, Any], given: Collection[str] = (), also: Collection[str] = ()
) -> tuple[Any, Mapping[str, inspect.Parameter], bool]:
    """Finds the part that `options["name"]` names and checks the names of the other options.

    Args:
        kind: which kind of part.
        options: `name` and the part's own options, as they stand in an experiment.
        given: names of arguments that the program supplies, not the user.
        also: valid keys that stand beside the options, for the hint in an error.

    Returns:
        The part, its parameters by name, and whether it takes any others.

    Raises:
        InputError: an option is unknown (the nearest valid one is named) or missing.
    """
    cls = find(kind, str(options["name"]))
    if not callable(cls):
        raise InputError(f"{kind} '{options['name']}' can't be built: it is {cls!r}, not a class")
    taken = parameters(cls).values()
    named = {p.name: p for p in taken if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in taken)
    valid = [name for name in named if name not in given]
    for key in options:
        if key != "name" and (key in given or not (takes_any or key in named)):
            hint = nearest(key, [*valid, *also])
            raise InputError(f"unknown option '{key}' of {kind} '{options['name']}': {hint}")
    for name in valid:
        if name not in options and named[name].default is inspect.Parameter.empty:
            raise InputError(f"{kind} '{options['name']}' needs the option '{name}'")
    return cls, named, takes_any


def with_defaults(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` (with `name`) and beside them the defaults of all that they leave out.

    Options that have been renamed stand under their old names.
    """
    options = _with_names(options, {old: new for new, old in renamed(kind, options).items()})
    defaults = {
        name: parameter.default
        for name, parameter in parameters(find(kind, str(options["name"]))).items()
        if parameter.default is not inspect.Parameter.empty
    }
    return as_stored(kind, {**defaults, **options})


def without_later(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` (with `name`) without those that came later and have their defaults (see `LATER`)."""
    later = {
        field.name: field.default
        for field in _fields(find(kind, str(options["name"])))
        if LATER in field.metadata
    }
    return {key: value for key, value in options.items() if key not in later or value != later[key]}


def renamed(kind: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Old names of options of the part that `options["name"]` names, by their names today (see `WAS`)."""
    fields = _fields(find(kind, str(options["name"])))
    return {field.name: field.metadata[WAS] for field in fields if WAS in field.metadata}


def with_todays_names(cls: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` of a part under their names today, whichever they were written by (see `WAS`)."""
    return _with_names(options, {one.metadata[WAS]: one.name for one in _fields(cls) if WAS in one.metadata})


def stored_names(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Some options of the part `name`, without its name, as definitions and records hold them."""
    return _with_names(options, renamed(kind, {"name": name}))


def as_stored(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` (with `name`) as definitions and records hold them: renamed ones under their old names.

    Where an option stands under both names, as in one mapping laid over another, the last one counts.
    """
    return _with_names(options, renamed(kind, options))


def _with_names(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in options.items()}


def _fields(cls: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a part that is a dataclass, and of the one that holds its options."""
    holders = [one for one in (cls, getattr(cls, "Options", None)) if dataclasses.is_dataclass(one)]
    return [field for one in holders for field in dataclasses.fields(one)]


def held_by(cls: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a part that keeps each option in an attribute of its name holds when it is built from `options`.

    Such a class says `canonical_options = classmethod(held_by)` (see `nas.definitions`).
    """
    built = cls(**options)
    return {name: getattr(built, name) for name in parameters(cls)}


def import_paths(value: Any) -> set[str]:
    """All texts in a nested value that are import paths."""
    if isinstance(value, str):
        return {value} if IMPORT_PATH.fullmatch(value) else set()
    inner = value.values() if isinstance(value, Mapping) else value
    return set().union(*map(import_paths, inner)) if isinstance(value, Mapping | list | tuple) else set()


def parameters(cls: Any) -> dict[str, inspect.Parameter]:
    """What a part is built from, by name, with its options among it.

    These are the parameters of its `__init__`. A class whose options stand in a dataclass names that by its
    attribute `Options` and takes them as `**options`, in whose place the dataclass's fields are given here.
    Where a subclass has an `__init__` of its own, this alone says what it takes.
    """
    try:
        own = dict(inspect.signature(cls).parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"{cls!r} can't be a part: Python doesn't tell its options ({error})") from error
    named = {name: p for name, p in own.items() if p.kind is not p.VAR_KEYWORD}
    for base in inspect.getmro(cls) if inspect.isclass(cls) else ():
        options = vars(base).get("Options")
        if dataclasses.is_dataclass(options) and len(named) < len(own):
            return {**named, **inspect.signature(options).parameters}  # type: ignore[arg-type]
        if "__init__" in vars(base):
            break
    return own

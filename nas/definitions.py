"""Definitions of searches in canonical form: equal searches have equal ones, however they were written.

A definition names each part of a search (`PARTS`) with those of its options that differ from the part's
*frozen* defaults. So a default that is written out, a number as `3` or `3.0`, or an option that a later
version adds with a neutral default make no difference.

Three class attributes of a part say what these definitions need to know of it; a part without them is
described by the options that it was given:

- `semantics` (1): raised when a change of its code changes what the same options mean. Searches with it then
  begin records of their own, searches without it go on.
- `frozen_defaults` (none): for an option whose default was changed without that, the earlier default, so that
  records keep their meaning: whoever leaves the option out now begins another search than before.
- `canonical_options`, a class method: options → the same in the one form that all their spellings share.
  A dataclass, or a controller with `Options`, needs none: what its fields hold is that form.

A record keeps the definition that it was begun with for ever, and is named by its fingerprint. Earlier
versions wrote *format 1*: all options of the experiment's file beside all defaults, one number of semantics
for the whole program, and the data set's name. `canonical` takes either, and `same_search` compares them.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from nas import plugins
from nas.errors import InputError
from nas.spaces import Stack

FORMAT = 2

PARTS = ("space", "controller", "recipe", "reward", "evaluator")
"""The kinds of parts that define a search, beside its loop."""

GIVEN: Mapping[str, tuple[str, ...]] = {
    "controller": ("space", "seed"),
    "evaluator": ("experiment", "data_folder", "workspace", "logs"),
    "loop": ("search", "limits"),
}
"""Arguments that the program supplies to parts of a kind, so that they are not options."""

SAID_OF_ITS_OWN = ("seed", "threads", "device", "backend", "environment")


def defined(
    parts: Mapping[str, Mapping[str, Any]],
    search: Mapping[str, Any],
    data_digest: str,
    *,
    trusted: bool = True,
    semantics: int | None = None,
    **own: Any,
) -> dict[str, Any]:
    """The canonical definition of a search, as JSON.

    Args:
        parts: `name` and options of each part, by kind.
        search: `loop` with its options, `children_per_round` and `duplicates`.
        data_digest: of the prepared data, whatever they are called.
        trusted: the user wrote the names of the parts (see `nas.plugins.find`).
        semantics: of all parts; None: those that their classes tell.
        **own: the values of `SAID_OF_ITS_OWN`.
    """
    rules = {"loop": "rounds", **search}
    name, shared = rules.pop("loop"), ("children_per_round", "duplicates")
    options = {key: value for key, value in rules.items() if key not in shared}
    loop = part("loop", {"name": name, **options}, trusted=trusted, semantics=semantics)
    described = {
        "format": FORMAT,
        **{kind: part(kind, one, trusted=trusted, semantics=semantics) for kind, one in parts.items()},
        "search": {key: rules[key] for key in shared}
        | ({} if loop == {"name": "rounds"} else {"loop": loop}),
        "data": {"digest": data_digest},
        **{key: own[key] for key in SAID_OF_ITS_OWN if own.get(key) not in (None, {})},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def part(
    kind: str, options: Mapping[str, Any], *, trusted: bool = True, semantics: int | None = None
) -> dict[str, Any]:
    """The canonical description of one part: its name, and what differs from its frozen defaults.

    Args:
        kind: which kind of part.
        options: `name` and the part's own options, as they stand in an experiment.
        trusted: the user wrote the name (see `nas.plugins.find`).
        semantics: of the part; None: what its class tells.
    """
    cls = _found(kind, options, trusted)
    held = _held(kind, cls, options)
    needed = {name for name in held if name not in defaults(kind, cls)}
    neutral = _held(kind, cls, {name: options[name] for name in needed if name in options} | _frozen(cls))
    differing = {
        name: value
        for name, value in held.items()
        if name in needed or name not in neutral or _text(neutral[name]) != _text(value)
    }
    number = getattr(cls, "semantics", 1) if semantics is None else semantics
    own_name = _name(kind, str(options["name"]), cls)
    return {"name": own_name, **differing, **({} if number == 1 else {"semantics": number})}


def defaults(kind: str, cls: Any) -> dict[str, Any]:
    """The defaults of a part's options, those that are frozen in place of today's."""
    return _todays_defaults(kind, cls) | _frozen(cls)


def canonical(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form of a definition of either format; nothing that only it names is imported.

    One of format 1 whose parts can't be built here stays as it is, and so equals no other.
    """
    if "format" in definition:
        return dict(definition)
    try:
        return defined(
            {kind: _without_text_of_defaults(kind, definition[kind]) for kind in PARTS if kind in definition},
            definition["search"],
            definition["data"]["digest"],
            trusted=False,
            semantics=definition["semantics"],
            **{key: definition[key] for key in SAID_OF_ITS_OWN if key in definition},
        )
    except Exception:  # others may have written it, and a user's own class may refuse it in any way
        return dict(definition)


def _without_text_of_defaults(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A part of format 1 without the defaults that aren't JSON, which format 1 holds as Python's text."""
    told = _todays_defaults(kind, _found(kind, options, trusted=False))
    texts = {name: str(value) for name, value in told.items() if not _is_json(value)}
    return {name: value for name, value in options.items() if texts.get(name, ...) != value}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def same_search(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two definitions, of either format, define the same search."""
    if _text(one) == _text(other):
        return True
    if any(one.get(key) != other.get(key) for key in SAID_OF_ITS_OWN) or _digest(one) != _digest(other):
        return False  # parts need not be built for that
    return _text(canonical(one)) == _text(canonical(other))


def _digest(definition: Mapping[str, Any]) -> Any:
    data = definition.get("data")
    return data.get("digest") if isinstance(data, Mapping) else None


def written_out(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition in canonical form with all options of its parts, defaults too, for people to read."""
    whole = canonical(definition)
    for kind in PARTS:
        if isinstance(one := whole.get(kind), Mapping):
            with suppress(Exception):  # others may have written it; then it stays as short as it is
                cls = _found(kind, one, trusted=False)
                options = {key: value for key, value in one.items() if key != "semantics"}
                whole[kind] = {**one, **_held(kind, cls, {**_frozen(cls), **options})}
    return whole


def _found(kind: str, options: Mapping[str, Any], trusted: bool) -> Any:
    """The class of a part that can be built without importing what only a record names."""
    if not trusted and kind in _BUILT:
        for path in plugins.import_paths({**options, "name": ""}):
            module, _, name = path.partition(":")
            found = vars(sys.modules[module]).get(name) if module in sys.modules else None
            if not (isinstance(found, type) and issubclass(found, Stack)):
                raise InputError(f"{kind}: '{path}' is not used, because only data name it")
    return plugins.find(kind, str(options["name"]), trusted=trusted)


_BUILT = ("space", "recipe", "reward")
"""The kinds of parts that are built to see what they hold, whose options may name other parts (a stack)."""


def _held(kind: str, cls: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a part as it holds them when it is built, as JSON; as they were given if it can't be."""
    given = {name: value for name, value in options.items() if name not in ("name", *GIVEN.get(kind, ()))}
    given = plugins.with_todays_names(cls, given)
    values = {name: _plain(value, str) for name, value in {**_todays_defaults(kind, cls), **given}.items()}
    with suppress(Exception):  # options that aren't allowed are refused elsewhere, with a sentence
        for name, value in _canonical_options(cls, given).items():
            with suppress(TypeError):  # no JSON: what was given says more
                values[name] = _plain(value)
    return values


def _canonical_options(cls: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a part holds of its options; empty if nobody knows.

    A class with an `__init__` of its own may take other options than the one that it inherits from, so that
    only what stands in the same class or below is asked.
    """
    for base in inspect.getmro(cls) if inspect.isclass(cls) else ():
        own = vars(base)
        if "canonical_options" in own:
            found: Mapping[str, Any] = cls.canonical_options(given)
            return found
        if dataclasses.is_dataclass(own.get("Options")):
            return _fields(own["Options"](**given))
        if "__dataclass_fields__" in own and own["__dataclass_params__"].init:
            return _fields(cls(**given))
        if "__init__" in own:
            break
    return {}


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}


def _todays_defaults(kind: str, cls: Any) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in plugins.parameters(cls).items()
        if parameter.default is not inspect.Parameter.empty and name not in GIVEN.get(kind, ())
    }


def _frozen(cls: Any) -> dict[str, Any]:
    return dict(getattr(cls, "frozen_defaults", {}))


def _name(kind: str, name: str, cls: Any) -> str:
    """A built-in's name, however it was named; any other part's as it was written."""
    for built_in, path in plugins.BUILT_IN[kind].items():
        if path.rpartition(":")[2] == getattr(cls, "__name__", "") and plugins.find(kind, built_in) is cls:
            return built_in
    return name


def _plain(value: Any, otherwise: Any = None) -> Any:
    """A value as JSON in which equal numbers are equal, and a tuple is a list.

    Args:
        value: any value.
        otherwise: what makes JSON of a value that isn't; None: it is refused.

    Raises:
        TypeError: it isn't JSON, nor a value that tells its JSON form.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {_key(key): _plain(inner, otherwise) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, otherwise) for inner in value]
    if isinstance(value, Stack):
        return part("stack", value.to_json())
    if hasattr(value, "to_json") and not isinstance(value, type):
        return _plain(value.to_json(), otherwise)
    if otherwise is None:
        raise TypeError(f"not JSON: {value!r}")
    return otherwise(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(_plain(key, str))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

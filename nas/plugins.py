"""Finds the class behind a name in an experiment: a built-in, an entry point or an import path.

A user's own part is named either by an entry point in the group `nas.<kind>` of an installed
package, or by its import path `package.module:Name`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Mapping
from typing import Any

from nas.errors import InputError, nearest

BUILT_IN: dict[str, dict[str, str]] = {
    "architecture": {
        "conv": "nas.spaces.conv:ConvNet",
        "resnet": "nas.spaces.resnet:ResNet",
    },
    "space": {"conv": "nas.spaces.conv:ConvSpace"},
    "controller": {
        "reinforce": "nas.controllers.reinforce:Reinforce",
        "random": "nas.controllers.random:RandomController",
        "list": "nas.controllers.listed:ListController",
    },
    "source": {
        "digits": "nas.datasets.digits:Digits",
        "cifar10": "nas.datasets.cifar10:Cifar10",
        "folder": "nas.datasets.own_images:Folder",
        "parquet": "nas.datasets.own_images:Parquet",
        "npz": "nas.datasets.own_images:Npz",
    },
    "recipe": {"image": "nas.training.image_recipe:ImageRecipe"},
    "evaluator": {"train": "nas.workers.pool:ChildPool"},
    "reward": {"accuracy": "nas.search.rewards:AccuracyReward"},
}


def find(kind: str, name: str) -> Any:
    """The object named `name` of kind `kind` (`space`, `controller`, `source`, `recipe`, …).

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
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and not module.startswith(error.name):
            raise  # the module is there, but something that it imports is not
        raise InputError(f"{kind} '{name}' can't be imported: {error}") from error


def make(kind: str, options: Mapping[str, Any], **given: Any) -> Any:
    """Builds the part that `options["name"]` names from the other options and from `given`.

    Args:
        kind: which kind of part.
        options: `name` and the part's own options, as they stand in an experiment.
        given: arguments that the program supplies (a space, a seed), not the user.

    Raises:
        InputError: an option is unknown (the nearest valid one is named) or not allowed.
    """
    rest = dict(options)
    cls = find(kind, str(rest.pop("name")))
    parameters = inspect.signature(cls).parameters
    valid = [name for name in parameters if name not in given]
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        valid += list(rest)
    for key in rest:
        if key not in valid:
            raise InputError(f"unknown option '{key}' of {kind} '{options['name']}': {nearest(key, valid)}")
    missing = [
        name
        for name in valid
        if name not in rest
        and name in parameters
        and parameters[name].default is inspect.Parameter.empty
        and parameters[name].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]
    if missing:
        raise InputError(f"{kind} '{options['name']}' needs the option '{missing[0]}'")
    try:
        return cls(**{name: value for name, value in given.items() if name in parameters}, **rest)
    except (TypeError, ValueError) as error:
        raise InputError(f"{kind} '{options['name']}': {error}") from error

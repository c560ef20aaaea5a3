"""Experiments that retrain a found cell: at several sizes, or on other data.

Each is an ordinary experiment: a file whose controller has a list of networks, one cell in several stacks.
What is written is the user's from then on, and everything else works as for any experiment: the record,
MLflow, the page, finals, DVC.

Source: Zoph et al. (2018), §3: a cell is found once on small images, and N, the normal cells of each part,
and F, the filters of the first part, make networks of any size of it, on any images.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nas import plugins
from nas.errors import InputError, printable
from nas.experiment import read_yaml
from nas.spaces import Architecture

LARGE_IMAGES: Mapping[str, Any] = {
    "upsample": None,
    "flip": True,
    "random_area": [0.08, 1.0],
    "central_fraction": 0.875,
    "brightness": 0.125,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.2,
}
"""How larger images are varied: random regions, mirrored, with random colours, as the authors' code does it
on ImageNet (slim, `inception_preprocessing`)."""

_OF_COLOURS = ("saturation", "hue")

_SIZE = re.compile(r"([1-9][0-9]{0,8})@([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Size:
    """N normal cells in each part, F filters in the first part."""

    cells: int
    filters: int


def parse_sizes(text: str) -> list[Size]:
    """Sizes N@F, separated by commas, each once.

    Raises:
        InputError: one is written otherwise.

    Example:
        >>> parse_sizes("2@8, 3@16")
        [Size(cells=2, filters=8), Size(cells=3, filters=16)]
    """
    sizes = []
    for one in text.split(","):
        found = _SIZE.fullmatch(one.strip())
        if not found:
            raise InputError(
                "sizes are written N@F, as in 2@8,3@16: N normal cells in each of the three parts, F filters "
                f"in the first (the paper's NASNet-A 6 @ 768 is 6@32). Received: {text!r}"
            )
        sizes.append(Size(int(found[1]), int(found[2])))
    return list(dict.fromkeys(sizes))


def scaled(
    tree: Mapping[str, Any], text: str, sizes: Sequence[Size], *, about: str, epochs: int | None = None
) -> dict[str, Any]:
    """The YAML of an experiment that trains one cell at several sizes.

    The recipe is that of the finals of the experiment that it stands on, whose time limit, which is meant for
    short trainings of one size, is left out.

    Args:
        tree: the YAML of that experiment.
        text: the cell, or `winner:EXPERIMENT`.
        sizes: to train.
        about: what it is, in a sentence.
        epochs: of each training; None: those of the finals.

    Raises:
        InputError: its recipe has no stack with `cells` and `filters`, or it can't have such a size.
    """
    final, recipe = _mapping(tree.get("final")), _finals_recipe(tree)
    stack = _checked_stack(recipe.get("stack"))
    if epochs is not None:
        recipe["epochs"] = epochs
    stacks = [{**stack, "cells": size.cells, "filters": size.filters} for size in sizes]
    for one in stacks:
        plugins.make("stack", one)  # checks it
    recipe["stack"] = stacks[0]
    entries = [{"architecture": text, "overrides": {"stack": one}} for one in stacks]
    workers = {
        key: value for key, value in _mapping(tree.get("workers")).items() if key != "time_limit_minutes"
    }
    kept = ("data", "space", "reward", "seed")
    evaluator = final.get("evaluator") or tree.get("evaluator")
    made = {
        "about": about,
        **{key: tree[key] for key in kept if key in tree},
        "controller": {"name": "list", "entries": entries},
        "recipe": recipe,
        **({"evaluator": evaluator} if evaluator else {}),
        "search": {"children_per_round": len(entries)},
        "budget": {"children": len(entries)},
        **({"workers": workers} if workers else {}),
        "final": {"top": 1},
    }
    order = ("about", "data", "space", "controller", "recipe", "reward", "evaluator", "search", "budget")
    return {key: made[key] for key in (*order, *made) if key in made}


def transferred(
    tree: Mapping[str, Any],
    text: str,
    sizes: Sequence[Size],
    *,
    data: Mapping[str, Any],
    image_size: int | None,
    colours: bool,
    stack: str | None,
    about: str,
    epochs: int | None = None,
) -> dict[str, Any]:
    """The YAML of an experiment that trains one cell on other data.

    Args:
        tree: the YAML of the experiment that it stands on.
        text: the cell, or `winner:EXPERIMENT`.
        sizes: to train; none: the stack's own size.
        data: the YAML of the data.
        image_size: height and width that the network gets; None: those of the data.
        colours: whether the images have any, so that these can be varied.
        stack: name of another stack; None: that of the finals.
        about: what it is, in a sentence.
        epochs: of each training; None: those of the finals.

    Raises:
        InputError: the stack has no `cells` and `filters`.
    """
    final, recipe = _mapping(tree.get("final")), _finals_recipe(tree)
    before = _checked_stack(recipe.get("stack"))
    if stack is not None and stack != before["name"]:
        recipe["stack"] = _checked_stack({"name": stack})
    for size_of in ("cutout", "train_examples"):  # of the other data's images
        recipe.pop(size_of, None)
    varied = {key: value for key, value in LARGE_IMAGES.items() if colours or key not in _OF_COLOURS}
    recipe |= {**varied, "crop": image_size}
    chosen = sizes or [_own_size(recipe["stack"])]
    moved = {**tree, "recipe": recipe, "data": dict(data), "final": {"evaluator": final.get("evaluator")}}
    return scaled(moved, text, chosen, about=about, epochs=epochs)


def at_point(tree: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML of an experiment whose finals are trained at one point of their grid."""
    final = _mapping(tree.get("final"))
    return {**tree, "final": {**final, "recipe": {**_mapping(final.get("recipe")), **point}}}


def stack_name(tree: Mapping[str, Any], other: str = "") -> str:
    """The name of the stack in which cells are trained.

    Args:
        tree: the YAML of the experiment whose finals tell it.
        other: name of another one; empty: that of the finals.

    Raises:
        InputError: there is none, or it has no `cells` and `filters`.
    """
    before = _checked_stack(_finals_recipe(tree).get("stack"))
    return str((_checked_stack({"name": other}) if other else before)["name"])


def _finals_recipe(tree: Mapping[str, Any]) -> dict[str, Any]:
    final = _mapping(tree.get("final"))
    return {**_mapping(tree.get("recipe")), **_mapping(final.get("recipe"))}


def _checked_stack(stack: Any) -> Mapping[str, Any]:
    """A recipe's stack, as YAML has it; raises InputError unless it has `cells` and `filters`."""
    if not isinstance(stack, Mapping) or "name" not in stack:
        raise InputError(
            "only cells are trained at several sizes: the experiment's recipe has no stack of them "
            f"(recipe: {{stack: {{name: cifar, cells: 2, filters: 8}}}}). Received: stack={stack!r}"
        )
    found = plugins.find("stack", str(stack["name"]))
    known = {field.name for field in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else set()
    if not {"cells", "filters"} <= known:
        raise InputError(f"the stack '{stack['name']}' has no cells and filters, so that it has no sizes N@F")
    return stack


def check_cell(architecture: Architecture) -> None:
    """Raises InputError unless an architecture is a cell that a stack makes a network of."""
    if not architecture.stacked:
        raise InputError(
            f"only cells can be retrained at another size, and '{architecture.kind}' is a whole network: "
            f"{architecture.text()}"
        )


def write(
    path: Path, tree: Mapping[str, Any], command: str, *, recipe_of: str = "", force: bool = False
) -> bool:
    """Writes an experiment's file unless there is one that says the same; returns whether it was written.

    Args:
        path: the file.
        tree: what it shall say.
        command: that makes it, told at the top of the file.
        recipe_of: whose recipe it has, in words, told there too.
        force: replace one that says something else.

    Raises:
        InputError: there is another one, or it can't be written.
    """
    head = f"# Made by `{printable(command)}`; it is yours to change.\n"
    if recipe_of:
        head += f"# The recipe is that of {recipe_of}.\n"
    text = head + yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, width=110)
    if path.is_file() and not force:
        there = read_yaml(path, "no experiment")
        if there == yaml.safe_load(text):
            return False
        differing = [key for key in {**there, **tree} if there.get(key) != yaml.safe_load(text).get(key)]
        raise InputError(
            f"{path} is there and says something else ({', '.join(map(str, differing))}): give this one "
            "another --name, or replace that one with --force; its record is kept in any case"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error}") from error
    return True


def _own_size(stack: Mapping[str, Any]) -> Size:
    made = plugins.make("stack", stack)
    return Size(made.cells, made.filters)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

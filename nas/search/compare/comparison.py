"""A comparison of controllers on a table: a YAML file, typed and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from nas import plugins
from nas.controllers.controller import Controller
from nas.definitions import FORMAT, part
from nas.errors import InputError, nearest
from nas.experiment import (
    SEMANTICS,
    Budget,
    Data,
    Experiment,
    Part,
    SearchRules,
    parse_setting,
    read_yaml,
)
from nas.spaces import Space
from nas.tables.columns import Columns


class Configuration(BaseModel):
    """A controller with its options, and how many architectures it gets for each update."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    children_per_round: PositiveInt = 1

    @property
    def options(self) -> dict[str, Any]:
        """`name` and the controller's own options."""
        return {"name": self.name, **(self.model_extra or {})}

    def make(self, space: Space, seed: int) -> Controller:
        """The controller."""
        made = plugins.make("controller", self.options, space=space, seed=seed)
        if not isinstance(made, Controller):
            raise InputError(f"controller '{self.name}' is not a nas.controllers.Controller")
        return made


class Comparison(BaseModel):
    """What `tables/NAME.yaml` holds: where a table is, what it means, and the controllers' settings.

    Attributes:
        name: the file's stem, unless it says otherwise.
        about: in a sentence.
        data: the table, as in an experiment; `source` is `table`.
        columns: what its columns mean, see `Columns`.
        space: the search space; without one, that of all combinations of the table's options.
        reward: the rule that makes a reward of a result; without one, what the table measured.
        controllers: settings by name; `name` is the controller's, where it differs.
        budget_seconds: the budgets that the table's protocol names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    about: str = ""
    data: Data
    columns: dict[str, Any]
    space: Part | None = None
    reward: Part = Part.model_validate({"name": "accuracy", "power": 1.0, "window": 1})
    controllers: dict[str, Configuration] = {}
    budget_seconds: tuple[PositiveFloat, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """A configuration that is named like its controller need not repeat it."""
        if not isinstance(value, Mapping) or not isinstance(value.get("controllers", {}), Mapping):
            return value
        named = {
            key: {"name": key, **options} if isinstance(options, Mapping) else options
            for key, options in value.get("controllers", {}).items()
        }
        return {**value, "controllers": named}

    @cached_property
    def roles(self) -> Columns:
        return Columns.of(self.columns)

    @cached_property
    def built_space(self) -> Space:
        """The search space."""
        space = self.space_part.make("space")
        if not isinstance(space, Space):
            raise InputError(f"space '{self.space_part.name}' is not a nas.spaces.Space")
        return space

    @property
    def space_part(self) -> Part:
        """The space as the file has it, else that of all combinations of the table's options."""
        every = {"name": "table", "decisions": self.data.options.get("decisions")}
        return self.space or Part.model_validate(every)

    def configuration(self, text: str) -> tuple[str, Configuration]:
        """The configuration that a word of the command line means, and what it is called.

        Args:
            text: the name of one in the file, or of a controller; with options behind colons, as in
                `reinforce:learning_rate=0.01:children_per_round=5`.

        Raises:
            InputError: no controller has this name, or an option isn't allowed.
        """
        words = text.split(":")
        settings = [word for word in words if "=" in word]
        name = ":".join(word for word in words if "=" not in word)
        own = self.controllers.get(name)
        if own is None:
            _known_controller(name, self.controllers)
            own = Configuration(name=name)
        changed = {**own.model_dump(), **dict(parse_setting(word) for word in settings)}
        try:
            configuration = Configuration.model_validate(changed)
        except ValidationError as error:
            raise InputError(f"controller '{text}': {_sentence(error)}") from error
        configuration.make(self.built_space, seed=0)
        return text, configuration

    def experiment(self, configuration: Configuration, seed: int, budget_seconds: float) -> Experiment:
        """One search of this comparison, as an experiment."""
        columns = {key: value for key, value in self.columns.items() if key != "report"}
        return Experiment(
            name=self.name,
            data=self.data,
            space=self.space_part,
            controller=Part.model_validate(configuration.options),
            reward=self.reward,
            evaluator=Part.model_validate({"name": "table", **columns}),
            search=SearchRules(children_per_round=configuration.children_per_round),
            budget=Budget(cost_seconds=budget_seconds),
            seed=seed,
        )

    def keys(self, configuration: Configuration, data_digest: str) -> tuple[str, str]:
        """Short names of all that defines a run but its seed and its budget: of this and of earlier versions.

        Runs are kept by the first; whoever finds some by the second goes on with that.
        """
        columns = {k: v for k, v in self.columns.items() if k != "report"}
        parts = {
            "space": self.space_part.model_dump(),
            "reward": self.reward.model_dump(),
            "controller": configuration.options,
        }
        shared = {"data": data_digest, "children_per_round": configuration.children_per_round}
        evaluator = part("evaluator", {"name": "table", **columns})
        now = {kind: part(kind, options) for kind, options in parts.items()} | {"evaluator": evaluator}
        before = {kind: plugins.with_defaults(kind, options) for kind, options in parts.items()}
        return (
            _short({**shared, **now, "format": FORMAT}),
            _short({**shared, **before, "columns": columns, "semantics": SEMANTICS}),
        )


def _short(definition: Mapping[str, Any]) -> str:
    text = json.dumps(definition, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_comparison(path: Path, settings: Mapping[str, Any] | None = None) -> Comparison:
    """Reads a comparison.

    A file may be `based_on` another one beside it: what it says itself stands in place of the other's keys.

    Raises:
        InputError: the file is missing or not YAML, or something in it is wrong.
    """
    tree = {"name": path.stem, **_read(path, ())}
    for key, value in (settings or {}).items():
        tree[key] = value
    try:
        comparison = Comparison.model_validate(tree)
        if comparison.data.source != "table":
            raise InputError(f"data.source must be 'table'. Received: {comparison.data.source!r}")
        comparison.roles  # noqa: B018 - checks them
        comparison.reward.make("reward")
        for name in comparison.controllers:
            comparison.configuration(name)
        return comparison
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read(path: Path, below: Sequence[Path]) -> dict[str, Any]:
    tree = read_yaml(path, "no table is described")
    base = tree.pop("based_on", None)
    if base is None:
        return tree
    if path in below:
        raise InputError(f"{path} is based on itself")
    return {**_read(path.parent / f"{base}.yaml", (*below, path)), **tree}


def _known_controller(name: str, own: Mapping[str, Configuration]) -> None:
    try:
        plugins.find("controller", name)
    except InputError as error:
        known = [*own, *plugins.BUILT_IN["controller"]]
        raise InputError(f"no controller or setting is named '{name}' ({nearest(name, known)})") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}': {nearest(where, Comparison.model_fields)}"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"

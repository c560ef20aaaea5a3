"""One experiment: a YAML file, typed and checked, and the fingerprint of what defines it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from nas import definitions, plugins, winner
from nas.errors import InputError, cut, nearest
from nas.evaluation import RewardRule, evaluator_class, reward_rule
from nas.spaces import Space, first_architecture, parse_architecture
from nas.workspace import Workspace

logger = logging.getLogger("nas")

SEMANTICS = 1
"""Of the whole program, in definitions of format 1; now each part has its own (see `nas.definitions`)."""

FINAL_SUFFIX = ".final"
"""Ends the names of experiments that retrain the best of another one (see `nas.final.finalists`)."""

_RING = re.compile(r"(?P<experiment>.+)\.ring(?P<number>[1-9]\d*)")

LONGEST_YAML = 1_000_000
"""Characters of a YAML text that are read, also after its aliases are written out."""

DEEPEST_YAML = 50
"""Levels of lists and mappings in each other that are read."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(BaseModel):
    """A part of the system by name, with its own options beside it (see `nas.plugins.make`)."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def make(self, kind: str, **given: Any) -> Any:
        """Builds the part of `kind` that this names."""
        return plugins.make(kind, self.model_dump(), **given)


class Data(BaseModel):
    """A data set: where it comes from (`source`, with its options) and what it is called here."""

    model_config = ConfigDict(extra="allow", frozen=True)
    source: str
    name: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")

    @model_validator(mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("source") and not value.get("name"):
            return {**value, "name": str(value["source"]).rpartition(":")[2].lower()}
        return value

    @property
    def options(self) -> dict[str, Any]:
        """The options of the source, without `source` and `name`."""
        return dict(self.model_extra or {})


class SearchRules(BaseModel):
    """How a search goes on, whatever its controller; options of the loop stand beside these."""

    model_config = ConfigDict(extra="allow", frozen=True)

    loop: str = "rounds"
    """Which stages come when: `rounds`, or the import path of a `nas.search.loops.Loop` of one's own."""
    children_per_round: PositiveInt = 8
    """m: architectures per update of the controller (Zoph & Le §3.3)."""
    duplicates: Literal["train", "reuse"] = "train"
    """A repeated architecture is trained again (as in the papers) or its earlier result reused."""

    @property
    def loop_part(self) -> Part:
        """The loop by name, with its options."""
        return Part.model_validate({"name": self.loop, **(self.model_extra or {})})

    def definition(self) -> dict[str, Any]:
        """What of it defines a search in format 1: the loop only where it is another than `rounds`."""
        rules = self.model_dump()
        return {key: value for key, value in rules.items() if (key, value) != ("loop", "rounds")}


class Budget(_Strict):
    """How far a search goes. No part of the fingerprint: a larger budget goes on.

    A round that `children` cuts short stays as it is, so budgets that are raised should be whole
    rounds: only then does the search end equal to one that had the larger budget from the start.
    """

    children: PositiveInt | None = None
    rounds: PositiveInt | None = None
    hours: PositiveFloat | None = None
    cost_seconds: PositiveFloat | None = None
    """Training time of all children together; in a table, what it says that they cost."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if all(limit is None for limit in self.model_dump().values()):
            raise ValueError(f"a budget names at least one of {', '.join(type(self).model_fields)}")
        return self


class Workers(_Strict):
    """Where and within which limits children run."""

    slots: PositiveInt | Literal["auto"] = "auto"
    """Children at a time on CPUs; auto: one for each core. GPUs decide for themselves."""
    threads: PositiveInt | Literal["auto"] = "auto"
    """CPU threads of a child; auto: the cores divided by the slots. Part of the fingerprint."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPUs if there are any; cpu: never. Part of the fingerprint, as what is found."""
    children_per_gpu: PositiveInt = 1
    time_limit_minutes: PositiveFloat | None = None
    memory_limit_gb: PositiveFloat | None = None
    """Resident memory (GiB) at which a child is ended as `out_of_memory`."""
    attempts: PositiveInt = 5
    """How often a child is begun again after the search itself was interrupted."""


class Ring(_Strict):
    """One round of retraining between the search and the finals (see `nas.final.rings`)."""

    top: PositiveInt
    """How many it retrains: the best of the stage before."""
    recipe: dict[str, Any] = {}
    """Recipe fields that differ from the search's."""


class Final(_Strict):
    """How the best architectures are retrained and the winner is chosen."""

    rings: tuple[Ring, ...] = ()
    """Retraining in widening rings before the finals, each of fewer networks than the one before."""
    top: PositiveInt = 3
    recipe: dict[str, Any] = {}
    """Recipe fields that differ from the search's, e.g. more epochs."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Recipe fields with the values to try; the product of all is trained."""
    baseline: str = ""
    """Text form of a hand-made network that is retrained through the same door; empty: none."""
    evaluator: Part | None = None
    """What retrains them, whatever scored the search; None: see `Experiment.finals_evaluator`."""
    seed: int = 0

    @model_validator(mode="after")
    def _narrowing(self) -> Self:
        tops = [*(ring.top for ring in self.rings), self.top]
        if tops != sorted(tops, reverse=True):
            raise ValueError(
                "each ring, and final.top after the last, retrains at most as many as the stage before it; "
                f"here these are {', '.join(map(str, tops))}"
            )
        return self


class Experiment(_Strict):
    """A complete experiment, as one YAML file under `experiments/` holds it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    about: str = ""
    data: Data
    space: Part
    controller: Part
    recipe: Part | None = None
    """How a child is trained; needed unless the evaluator trains none (a table)."""
    reward: Part = Part(name="accuracy")
    evaluator: Part = Part(name="train")
    search: SearchRules = SearchRules()
    budget: Budget
    workers: Workers = Workers()
    final: Final = Final()
    beside: str = ""
    """Another experiment (random search, say) whose search is shown beside this one's at equal budget."""
    seed: int = 0
    repeats: tuple[int, ...] = ()
    """Seeds of repeated searches; empty: one search with `seed`."""

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """What an experiment says once need not be repeated.

        A part that has a usual name can do without, as in `reward: {power: 1}`, and the space `table` without
        the decisions of the table that is the data.
        """
        if not isinstance(value, Mapping):
            return value
        usual = {
            key: {"name": name, **value[key]}
            for key, name in (("reward", "accuracy"), ("evaluator", "train"))
            if isinstance(value.get(key), Mapping)
        }
        space, data = (_mapping(value.get(key)) for key in ("space", "data"))
        if space.get("name") == "table" and "decisions" in data:
            usual["space"] = {"decisions": data["decisions"], **space}
        return {**value, **usual}

    @cached_property
    def built_space(self) -> Space:
        """The search space, checked."""
        space = self.space.make("space")
        if not isinstance(space, Space):
            raise InputError(f"space '{self.space.name}' is not a nas.spaces.Space")
        if ":" in self.space.name:
            with suppress(Exception):  # what hinders it is told when it is needed
                first_architecture(space)  # loads the module of the user's own kind, which a record may name
        return space

    def built_recipe(self, overrides: Mapping[str, Any] | None = None) -> Any:
        """The recipe with `overrides` in place of its own fields, checked.

        Raises:
            InputError: a field is not allowed, or the experiment trains nothing.
        """
        return plugins.make("recipe", {**self.recipe_options(), **(overrides or {})})

    def recorded_recipe(self, overrides: Mapping[str, Any]) -> Any:
        """The recipe with overrides that stand in a record: a stack that only they name is not imported.

        Raises:
            InputError: a field is not allowed, or the stack is not known here.
        """
        if isinstance(stack := overrides.get("stack"), Mapping):
            plugins.find("stack", str(stack.get("name", "")), trusted=False)
        return self.built_recipe(overrides)

    @property
    def built_reward(self) -> RewardRule:
        """The reward, checked."""
        return reward_rule(self.reward.make("reward"))

    @property
    def finals_evaluator(self) -> Part:
        """What retrains the best: `final.evaluator`, else the search's own if it trains, else `train`."""
        if self.final.evaluator is not None:
            return self.final.evaluator
        return self.evaluator if evaluator_class(self.evaluator.name).needs_recipe else Part(name="train")

    def recipe_options(self) -> dict[str, Any]:
        """The recipe as the file has it, with its name; renamed fields as `plugins.as_stored` names them.

        Raises:
            InputError: the experiment trains nothing, so there is none.
        """
        if self.recipe is None:
            raise InputError(
                f"the experiment '{self.name}' has no recipe: its children are looked up, so that nothing "
                "can be trained again. What its answers are worth, `nas compare` reports"
            )
        return plugins.as_stored("recipe", self.recipe.model_dump())

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.repeats or (self.seed,)

    def with_seed(self, seed: int) -> Experiment:
        """The same experiment as a single search with `seed`."""
        return self.model_copy(update={"seed": seed, "repeats": ()})

    def definition(
        self,
        data_digest: str,
        threads: int,
        device: str = "cpu",
        backend: str = "tensorflow",
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """What defines the search, as JSON: two searches with equal definitions are one search.

        It has the canonical form (see `nas.definitions`), so that it is equal however it was written.

        Args:
            data_digest: digest of the prepared data.
            threads: CPU threads of each child (two threads round otherwise than one).
            device: `cpu` or `gpu`, where children compute: precision and rounding differ.
            backend: of Keras.
            environment: variables that change how children compute, with their values; usually none.
        """
        parts = {kind: getattr(self, kind) for kind in definitions.PARTS}
        return definitions.defined(
            {kind: part.model_dump() for kind, part in parts.items() if part is not None},
            self.search.model_dump(),
            data_digest,
            seed=self.seed,
            threads=threads,
            device=device,
            backend=backend,
            environment=dict(environment or {}),
        )

    def definition_1(
        self,
        data_digest: str,
        threads: int,
        device: str = "cpu",
        backend: str = "tensorflow",
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The definition in format 1, by whose fingerprint earlier versions named the search's record."""
        parts = {
            key: plugins.with_defaults(key, getattr(self, key).model_dump())
            for key in ("space", "controller", "recipe", "reward")
            if getattr(self, key) is not None
        }
        parts["controller"].pop("seed", None)  # given to it by the search, whose own stands below
        if "recipe" in parts:
            parts["recipe"] = plugins.without_later("recipe", parts["recipe"])
        definition = {
            **parts,
            "evaluator": self.evaluator.model_dump(),
            "search": self.search.definition(),
            "data": {"name": self.data.name, "digest": data_digest},
            "seed": self.seed,
            "threads": threads,
            "device": device,
            "backend": backend,
            "semantics": SEMANTICS,
            **({"environment": dict(environment)} if environment else {}),
        }
        plain: dict[str, Any] = json.loads(json.dumps(definition, default=str))
        return plain


def ring_name(experiment: str, number: int) -> str:
    """Name of the search over a list that is ring `number`, counted from 1, of an experiment."""
    return f"{experiment}.ring{number}"


def ring_of(name: str) -> tuple[str, int] | None:
    """The experiment and the number of a ring, or None if the name is not that of a ring.

    Example:
        >>> ring_of("digits-conv.ring2"), ring_of("digits-conv")
        (('digits-conv', 2), None)
    """
    found = _RING.fullmatch(name)
    return (found["experiment"], int(found["number"])) if found else None


def stage_of(name: str) -> str:
    """Which stage of an experiment the search with this name is.

    Example:
        >>> [stage_of(name) for name in ("digits-conv", "digits-conv.ring2", "digits-conv.final")]
        ['search', 'ring 2', 'finals']
    """
    if name.endswith(FINAL_SUFFIX):
        return "finals"
    ring = ring_of(name)
    return f"ring {ring[1]}" if ring else "search"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def fingerprint(definition: Mapping[str, Any]) -> str:
    """A short name of a definition: 16 hexadecimal digits that change when any of it changes."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(
    path: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    workspace: Workspace | None = None,
    winners: bool = True,
) -> Experiment:
    """Reads an experiment and checks every part of it that can be checked without training.

    Where its file has `winner:EXPERIMENT` for an architecture, the winner's text takes its place.

    Args:
        path: the YAML file; its stem is the experiment's name unless the file says otherwise.
        settings: values that replace the file's, by dotted key, e.g. `{"recipe.epochs": 5}`.
        workspace: where the winners of other experiments lie; None: in the present one.
        winners: false leaves `winner:EXPERIMENT` as it is, for callers that need only the data or the limits.

    Raises:
        NoWinnerError: the winner of another experiment, which it names, was not chosen yet.
        InputError: the file is missing or not YAML, or a key or value is wrong; the message names
            the key and, for an unknown one, the nearest that is valid.
    """
    tree = read_yaml(path, "no experiment")
    for key, value in (settings or {}).items():
        _put(tree, key, value)
    try:
        experiment = Experiment.model_validate({"name": path.stem, **tree})
        _check_name(experiment.name)
        experiment.built_space  # noqa: B018 - checks the options
        _check_recipe(experiment)
        if winners:
            experiment = with_winners(experiment, tree, workspace or Workspace.here())
            if experiment.final.baseline:
                parse_architecture(experiment.final.baseline)
        experiment.built_reward  # noqa: B018 - checks the options
        _check_finals_evaluator(experiment.final.evaluator)
        plugins.find("controller", experiment.controller.name)
        plugins.find("source", experiment.data.source)
        _check_loop(experiment.search)
        return experiment
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from error
    except winner.NoWinnerError as error:
        raise winner.NoWinnerError(f"{path}: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def with_winners(experiment: Experiment, tree: Mapping[str, Any], workspace: Workspace) -> Experiment:
    """The experiment with the winners that it names in place of `winner:EXPERIMENT`.

    Args:
        experiment: as its file has it.
        tree: what the file holds.
        workspace: where the winners lie.

    Raises:
        NoWinnerError: one was not chosen yet.
        InputError: it needs its own, or one can't be used.
    """

    def read(name: str) -> dict[str, Any]:
        try:
            return read_yaml(workspace.experiments / f"{name}.yaml", "no experiment")
        except InputError:
            return {}  # its winner may be here nevertheless

    def resolved(text: str) -> str:
        name = winner.experiment_of(text)
        return text if name is None else winner_text(name, workspace)

    winner.check_order(experiment.name, tree, read)
    if not winner.named_in(tree):
        return experiment
    final = experiment.final.model_copy(update={"baseline": resolved(experiment.final.baseline)})
    options = experiment.controller.model_dump()
    if isinstance(options.get("entries"), list):
        options["entries"] = [
            {**entry, "architecture": resolved(entry["architecture"])}
            if isinstance(entry, Mapping) and isinstance(entry.get("architecture"), str)
            else entry
            for entry in options["entries"]
        ]
    return experiment.model_copy(update={"final": final, "controller": Part(**options)})


def winner_text(name: str, workspace: Workspace) -> str:
    """The text form of the winner of the experiment `name`.

    Raises:
        NoWinnerError: none was chosen yet.
        InputError: it can't be used.
    """

    def load_kind(name: str) -> Space:
        """A user's own kind is loaded with the space that the experiment's file names."""
        return load(workspace.experiments / f"{name}.yaml", winners=False).built_space

    return winner.winner_of(name, workspace, load_kind)


def _check_name(name: str) -> None:
    """Raises InputError for a name that only retrainings of another experiment's best have."""
    if (stage := stage_of(name)) != "search":
        raise InputError(
            f"no experiment can be named '{name}': so is called the record of the {stage} of another one; "
            "give the file another name"
        )


def _check_loop(rules: SearchRules) -> None:
    """Raises InputError unless there is such a loop, with such options."""
    options = rules.loop_part.model_dump()
    taken = set(SearchRules.model_fields) - {"loop"}
    plugins.check("loop", options, given=("search", "limits"), also=taken)


def _check_finals_evaluator(evaluator: Part | None) -> None:
    """Raises InputError unless it trains children, with such options."""
    if evaluator is None:
        return
    plugins.check(
        "evaluator", evaluator.model_dump(), given=("experiment", "data_folder", "workspace", "logs")
    )
    if not evaluator_class(evaluator.name).needs_recipe:
        raise InputError(f"final.evaluator '{evaluator.name}' trains nothing: name one that does, as 'train'")


def _check_recipe(experiment: Experiment) -> None:
    """Raises InputError unless there is a recipe where one is needed, with fields that are allowed."""
    needed = evaluator_class(experiment.evaluator.name).needs_recipe
    if experiment.recipe is None:
        if needed:
            raise InputError(
                f"the key 'recipe' is missing: the evaluator '{experiment.evaluator.name}' trains children"
            )
        return
    _check_old_names(experiment, experiment.recipe.model_dump())
    recipe = experiment.built_recipe()
    try:
        metric, known = experiment.built_reward.metric, recipe.metrics
    except AttributeError as error:
        raise InputError(
            f"recipe '{experiment.recipe.name}' is not a nas.training.recipe.Recipe ({error}): inherit it"
        ) from error
    if metric not in (*known, RewardRule.UNNAMED):
        raise InputError(
            f"the reward '{experiment.reward.name}' reads {metric}, which the recipe "
            f"'{experiment.recipe.name}' doesn't measure ({', '.join(known)}): name another reward, as "
            "reward: {name: perplexity} for a language model"
        )
    for ring in experiment.final.rings:
        experiment.built_recipe(ring.recipe)
    experiment.built_recipe(experiment.final.recipe)
    for field, values in experiment.final.grid.items():
        for value in values:
            experiment.built_recipe({field: value})


def _check_old_names(experiment: Experiment, recipe: Mapping[str, Any]) -> None:
    """Says which fields of the recipe are written under an old name, and refuses both names at once."""
    final = experiment.final
    places = {
        "recipe": recipe,
        **{f"final.rings.{place}.recipe": ring.recipe for place, ring in enumerate(final.rings)},
        "final.recipe": final.recipe,
        "final.grid": final.grid,
    }
    for new, old in plugins.renamed("recipe", recipe).items():
        for place, options in places.items():
            if old in options and new in options:
                raise InputError(f"{place}.{old} is the old name of {place}.{new}: write the new one only")
            if old in options:
                logger.warning(
                    "%s.%s is called %s.%s now; the old name is still read", place, old, place, new
                )


def read_yaml(path: Path, missing: str) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Args:
        path: the file.
        missing: how the message begins if it is not there, e.g. `no experiment`.

    Raises:
        InputError: the file is missing (the nearest name beside it is told), or holds something else.
    """
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise InputError(f"{missing} at {path} ({nearest(path.stem, known) if known else 'none is there'})")
    try:
        with path.open(encoding="utf-8") as file:
            tree = _parsed(file.read(LONGEST_YAML + 1), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} must hold keys and values. Received: {type(tree).__name__}")
    return tree


def parse_setting(text: str) -> tuple[str, Any]:
    """A `key=value` of the command line; the value is read as YAML.

    Example:
        >>> parse_setting("recipe.epochs=5")
        ('recipe.epochs', 5)
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"a setting is written key=value, as in recipe.epochs=5. Received: {text!r}")
    return key, _parsed(value, f"the value of {cut(key, 200)}")


def _parsed(text: str, what: str) -> Any:
    """What a YAML text says, within `LONGEST_YAML` and `DEEPEST_YAML`.

    Aliases let a few lines stand for gigabytes, and many a library recurses into what is nested, so
    both are measured before anything is built.
    """
    if len(text) > LONGEST_YAML:
        raise InputError(f"{what} is too long for YAML: at most {LONGEST_YAML:,} characters are read")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            starts, ends = yaml.CollectionStartEvent, yaml.CollectionEndEvent
            depth += isinstance(event, starts) - isinstance(event, ends)
            if depth > DEEPEST_YAML:
                raise RecursionError
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        size, depth = _measured(node, {})
        if size > LONGEST_YAML:
            raise InputError(
                f"{what} stands for more than {LONGEST_YAML:,} characters once its aliases are written "
                "out; no more are read"
            )
        if depth <= DEEPEST_YAML:
            return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # the library meets values such as 2024-13-01 with errors of Python's own
        raise InputError(f"{what} is not YAML: {error}") from error
    except RecursionError:
        pass
    raise InputError(f"{what} is nested too deeply: at most {DEEPEST_YAML} levels are read")


def _measured(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Characters and levels of what `node` stands for, with its aliases written out."""
    if isinstance(node, yaml.ScalarNode):
        return len(node.value) + 1, 0
    if id(node) not in known:
        known[id(node)] = (LONGEST_YAML + 1, 0)  # if it is met inside itself, it is endless
        inner = [_measured(part, known) for part in _parts(node)]
        size, depth = 1 + sum(size for size, _ in inner), 1 + max((depth for _, depth in inner), default=0)
        known[id(node)] = (size, depth)
    return known[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    pairs = isinstance(node, yaml.MappingNode)
    return [part for pair in node.value for part in pair] if pairs else list(node.value)


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for key in parents:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"'{dotted}' can't be set: '{key}' holds {inner!r}, not keys and values")
        tree = inner
    tree[last] = value


def _sentence(error: ValidationError) -> str:
    """The first problem of a pydantic error in one sentence, with the nearest valid key."""
    problems = [(_keys(problem["loc"]), problem) for problem in error.errors()]
    where, first = problems[0]
    if first["type"] == "extra_forbidden":
        model: Any = Experiment
        for part in filter(lambda part: isinstance(part, str), first["loc"][:-1]):
            annotation = model.model_fields[part].annotation
            model = next(
                (a for a in (annotation, *get_args(annotation)) if hasattr(a, "model_fields")), model
            )
        return f"unknown key '{where}': {nearest(str(first['loc'][-1]), model.model_fields)}"
    if first["type"] == "missing":
        return f"the key '{where}' is missing"
    if first["type"] == "model_type":
        return f"{where} must hold keys and values. Received: {first['input']!r}"
    messages = [problem["msg"].removeprefix("Value error, ") for place, problem in problems if place == where]
    return f"{where}: {' or '.join(messages)}. Received: {first['input']!r}"


def _keys(location: tuple[int | str, ...]) -> str:
    """The keys of a pydantic location, without the tags of a union's members (`constrained-int`)."""
    return ".".join(str(part) for part in location if re.fullmatch(r"[\w.]+", str(part)))

"""Which networks are retrained, and the experiment that retrains them: a search over a given list."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas import plugins
from nas.errors import SearchError
from nas.evaluation import RewardRule
from nas.experiment import (
    FINAL_SUFFIX,
    Budget,
    Experiment,
    Part,
    SearchRules,
    ring_name,
    ring_of,
    stage_of,
)
from nas.search.record import Record, best_children
from nas.spaces import Architecture, UnknownArchitecture, parse_architecture, stack_in_words


@dataclass(frozen=True)
class InRing:
    """What a network reached in one ring (see `nas.final.rings`).

    Attributes:
        ring: which one, from 1.
        child: its number in the ring's record.
        place: by reward, from 1.
        reward, score: of this training: a proxy, too.
    """

    ring: int
    child: int
    place: int
    reward: float
    score: float | None


@dataclass(frozen=True)
class Finalist:
    """One network that is retrained at every point of the grid.

    Attributes:
        architecture: what it is.
        overrides: recipe fields that the search's controller decided for it.
        required: recipe fields without which it can't be trained by the others' recipe.
        baseline: whether it is the hand-made baseline; the fields below are then empty.
        place: on the search's leaderboard, from 1.
        seed, child: the search and the child that found it.
        reward, score: of that child: a proxy, measured in the search's short training.
        rings: what it reached in the rings before the finals, in order.
    """

    architecture: Architecture
    overrides: Mapping[str, Any] = field(default_factory=dict)
    required: Mapping[str, Any] = field(default_factory=dict)
    baseline: bool = False
    place: int | None = None
    seed: int | None = None
    child: int | None = None
    reward: float | None = None
    score: float | None = None
    rings: tuple[InRing, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One training of the finals: a finalist at a point of the grid.

    Attributes:
        finalist: what is trained.
        point: values of the grid's fields.
    """

    finalist: Finalist
    point: Mapping[str, Any]

    @property
    def overrides(self) -> dict[str, Any]:
        """Recipe fields of this training; the grid has the last word, but for what is required."""
        return {**self.finalist.overrides, **self.point, **self.finalist.required}


def finalists(experiment: Experiment, records: Sequence[Record]) -> list[Finalist]:
    """The best architectures over all repeats: as many as the first ring retrains, else `final.top`.

    Args:
        experiment: whose search it was.
        records: of its seeds.

    Raises:
        SearchError: no child of the search ended well.
    """
    rule: RewardRule = experiment.built_reward
    top = next((ring.top for ring in experiment.final.rings), experiment.final.top)
    found = [
        Finalist(
            architecture=child.proposal.architecture,
            overrides=dict(child.proposal.overrides),
            place=place,
            seed=record.definition["seed"],
            child=child.number,
            reward=child.result.reward,
            score=rule.score(child.result),
        )
        for place, (record, child) in enumerate(best_children(records, top), start=1)
        if child.result is not None
    ]
    if not found:
        children = sum(record.count() for record in records)
        raise SearchError(
            f"the search '{experiment.name}' has no successful child among {children}, so there is "
            f"nothing to retrain: `nas status {experiment.name}` tells why they failed"
        )
    for one in found:
        if isinstance(one.architecture, UnknownArchitecture):
            raise SearchError(f"child {one.child} can't be retrained: {one.architecture.reason}")
    return found


def with_baseline(experiment: Experiment, found: Sequence[Finalist]) -> list[Finalist]:
    """The finalists, then the hand-made baseline if there is one."""
    if not experiment.final.baseline:
        return list(found)
    baseline = parse_architecture(experiment.final.baseline)
    recipe = experiment.built_recipe(experiment.final.recipe)
    return [*found, Finalist(baseline, required=recipe.required_by(baseline), baseline=True)]


def grid(experiment: Experiment) -> list[dict[str, Any]]:
    """The points of `final.grid`: every combination of its values, in the order of the file.

    Zoph & Le (2017, §4.1) try learning rate, weight decay, batch-norm epsilon and the epoch at which
    the learning rate decays.
    """
    names = list(experiment.final.grid)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(experiment.final.grid[name] for name in names))
    ]


def entries(experiment: Experiment, found: Sequence[Finalist]) -> list[Entry]:
    """All trainings of the finals: each finalist, the baseline too, at each point of the grid."""
    return [Entry(finalist, point) for finalist in found for point in grid(experiment)]


def final_experiment(experiment: Experiment, trainings: Sequence[Entry]) -> Experiment:
    """The experiment that trains `trainings` in one round: a search over a list, named `NAME.final`.

    Its recipe is the search's with `final.recipe` in place of its own fields; what the controller
    decided for an architecture, and the grid, stand above both. Its evaluator is the finals' own (see
    `Experiment.finals_evaluator`). A time limit grows with the number of epochs.
    """
    return _retraining(experiment, f"{experiment.name}{FINAL_SUFFIX}", experiment.final.recipe, trainings)


def ring_experiment(experiment: Experiment, number: int, trainings: Sequence[Entry]) -> Experiment:
    """The experiment that is ring `number`, from 1: as `final_experiment`, with the ring's own recipe."""
    recipe = experiment.final.rings[number - 1].recipe
    return _retraining(experiment, ring_name(experiment.name, number), recipe, trainings)


def stage_in_words(experiment: Experiment, derived: Experiment) -> str:
    """Which stage of the finals of `experiment` a search over a list is, and how much it trains.

    Example: `ring 1 of 2, 250 trainings of 20 epochs`.
    """
    ring = ring_of(derived.name)
    of = f" of {len(experiment.final.rings)}" if ring else ""
    trainings, epochs = derived.budget.children, derived.built_recipe().epochs
    return f"{stage_of(derived.name)}{of}, {trainings} trainings of {epochs} epochs"


def trained_stack(final: Mapping[str, Any]) -> str:
    """The stack that a final, as `final.json` has it, was trained in (`cifar 2@8`); empty: there is none."""
    stack = final.get("recipe", {}).get("stack")
    return stack_in_words(stack) if isinstance(stack, Mapping) else ""


def network_in_words(final: Mapping[str, Any]) -> str:
    """The architecture of a final, as `final.json` has it, and the stack that it was trained in."""
    text, stack = str(final.get("architecture", "?")), trained_stack(final)
    return f"{text} · {stack}" if stack else text


def _retraining(
    experiment: Experiment, name: str, fields: Mapping[str, Any], trainings: Sequence[Entry]
) -> Experiment:
    recipe = plugins.as_stored("recipe", {**experiment.recipe_options(), **fields})
    listed = [
        {
            "architecture": entry.finalist.architecture.text(),
            "overrides": plugins.stored_names("recipe", recipe["name"], entry.overrides),
        }
        for entry in trainings
    ]
    workers = experiment.workers
    if workers.time_limit_minutes is not None:
        longest = max(_epochs(experiment, {**recipe, **entry.overrides}) for entry in trainings)
        factor = max(1.0, longest / _epochs(experiment, experiment.recipe_options()))
        limit = workers.time_limit_minutes * factor
        workers = workers.model_copy(update={"time_limit_minutes": limit})
    return experiment.model_copy(
        update={
            "name": name,
            "controller": Part(name="list", entries=listed),  # type: ignore[call-arg]
            "recipe": Part(**recipe),
            "evaluator": experiment.finals_evaluator,
            "search": SearchRules(children_per_round=len(trainings), duplicates="train"),
            "budget": Budget(children=len(trainings)),
            "workers": workers,
            "beside": "",
            "seed": experiment.final.seed,
            "repeats": (),
        }
    )


def _epochs(experiment: Experiment, recipe: Mapping[str, Any]) -> float:
    return float(experiment.built_recipe(recipe).epochs)

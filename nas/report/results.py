"""Results of an experiment: all that its records hold, and what was made of them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas import datasets
from nas.errors import InputError
from nas.evaluation import Proposal, RewardRule
from nas.experiment import Experiment, fingerprint, load
from nas.final.evaluations import checked_final, is_of_winner, read_evaluation
from nas.report.drawings import Drawing, draw_trained
from nas.search.opening import read_record
from nas.search.record import Record
from nas.search.rewards import rejudging, rule_of
from nas.search.rows import Batch, Child
from nas.spaces import UnknownArchitecture
from nas.training.recipe import Recipe
from nas.workspace import Workspace

FindRecord = Callable[[Experiment], Record]
"""Opens the record of an experiment with one seed for reading; raises InputError if there is none."""

FindExperiment = Callable[[str], Experiment]
"""The experiment of a name; raises InputError if there is none."""


@dataclass(frozen=True)
class Searched:
    """One search, of one seed, as its record has it.

    Attributes:
        seed: of the search.
        definition: what defines it.
        commit: of the code that sampled its last batch; empty: unknown.
        children, batches: in the order of their numbers.
    """

    seed: int
    definition: Mapping[str, Any]
    commit: str
    children: tuple[Child, ...]
    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, record: Record, rule: RewardRule | None = None) -> Searched:
        """What the record holds; a `rule` rewards its children anew."""
        definition = record.definition
        children = record.children()
        return cls(
            int(definition["seed"]),
            definition,
            str(record.meta("git_commit", "")),
            tuple(children if rule is None else [child.judged(rule) for child in children]),
            tuple(record.batches()),
        )

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.definition)


@dataclass(frozen=True)
class ExperimentResults:
    """An experiment with its searches, and finals and test as far as they were made.

    Attributes:
        experiment: as its file has it now.
        searches: of its seeds, those that were begun.
        missing: seeds whose search was not begun.
        beside: the experiment to show beside it, if it names one that was searched.
        alone: why nothing stands beside it although it names one; empty: nothing is missing.
        final: what `final.json` holds; None: there are no finals.
        evaluation: what `evaluation.json` holds; None: the winner was not tested.
        earlier: an `evaluation.json` of another winner, chosen before this one; None: there is none.
        sizes: shape of one input and number of outputs; None: the data set is not here to tell.
        classes: of the images; 0: there are none, or the data set is not here to tell.
    """

    experiment: Experiment
    searches: tuple[Searched, ...]
    missing: tuple[int, ...]
    beside: ExperimentResults | None
    alone: str
    final: Mapping[str, Any] | None
    evaluation: Mapping[str, Any] | None
    sizes: tuple[tuple[int, ...], int] | None
    earlier: Mapping[str, Any] | None = None
    classes: int = 0

    @cached_property
    def rule(self) -> RewardRule:
        """The reward rule, which also tells the score."""
        return rule_of(self.experiment)

    @cached_property
    def recipe(self) -> Recipe | None:
        """How the children are trained; None: they are looked up in a table."""
        return self.experiment.built_recipe() if self.experiment.recipe is not None else None

    def drawn(self, proposal: Proposal) -> Drawing:
        """The drawing of one of its architectures; a cell that is trained in a stack of its own in that."""
        recipe = self.recipe
        if proposal.stack:
            with suppress(InputError):  # only the record names it, so that it isn't built
                recipe = self.experiment.recorded_recipe(proposal.overrides)
        return draw_trained(proposal.architecture, recipe, self.sizes)

    def children(self) -> Iterator[tuple[int, Child]]:
        """All children of all searches, each with the place of its search."""
        for place, searched in enumerate(self.searches):
            for child in searched.children:
                yield place, child

    @cached_property
    def best(self) -> tuple[tuple[int, Child], ...]:
        """The successful children by reward, each architecture once, with the place of their search."""
        once: dict[Any, tuple[int, Child]] = {}
        ok = [(place, child) for place, child in self.children() if child.status == "ok"]
        for place, child in sorted(ok, key=lambda found: -found[1].reward):
            once.setdefault(child.proposal.network, (place, child))
        return tuple(once.values())

    def score(self, child: Child) -> float | None:
        """What people compare, by the rule of the experiment; None for a child that didn't end well."""
        return self.rule.score(child.result) if child.result else None


def gather(
    experiment: Experiment,
    workspace: Workspace,
    find: FindRecord | None = None,
    named: FindExperiment | None = None,
) -> ExperimentResults:
    """Reads all that there is of an experiment.

    Args:
        experiment: its search was begun.
        workspace: where everything lies.
        find: how records are found; None: by the definition that the experiment has now.
        named: how experiments are found; None: by their files.

    Raises:
        InputError: no search of it was begun.
    """

    def by_definition(one: Experiment) -> Record:
        return read_record(one, workspace)

    def by_file(name: str) -> Experiment:
        return load(workspace.experiments / f"{name}.yaml", workspace=workspace)

    find, named = find or by_definition, named or by_file
    models, reports = workspace.models(experiment.name), workspace.reports(experiment.name)
    final = checked_final(path) if (path := models / "final.json").is_file() else None
    evaluation = read_evaluation(reports / "evaluation" / "evaluation.json", workspace) if final else None
    earlier = None
    if evaluation is not None and final is not None and not is_of_winner(evaluation, final):
        evaluation, earlier = None, evaluation
    searches, missing = _searches(experiment, find)
    beside, alone = None, ""
    if experiment.beside:
        try:
            other = named(experiment.beside)
            found, absent = _searches(other, find)
            beside = ExperimentResults(other, found, absent, None, "", None, None, None)
        except InputError as error:
            alone = str(error)
    sizes = _sizes(experiment, workspace, searches)
    classes = _classes(experiment, workspace)
    return ExperimentResults(
        experiment, searches, missing, beside, alone, final, evaluation, sizes, earlier, classes
    )


def _searches(experiment: Experiment, find: FindRecord) -> tuple[tuple[Searched, ...], tuple[int, ...]]:
    """The searches that were begun, and the seeds of the others."""
    found, missing = [], []
    reason: InputError | None = None
    for seed in experiment.seeds:
        try:
            with find(experiment.with_seed(seed)) as record:
                found.append(Searched.of(record, rejudging(experiment)))
        except InputError as error:
            missing.append(seed)
            reason = reason or error
    if not found and reason is not None:
        raise reason
    return tuple(found), tuple(missing)


def _sizes(
    experiment: Experiment, workspace: Workspace, searches: tuple[Searched, ...]
) -> tuple[tuple[int, ...], int] | None:
    """What every architecture of the experiment gets and gives, as the data set tells."""
    folder = workspace.prepared(experiment.data.name)
    children = (child for searched in searches for child in searched.children)
    architectures = (child.proposal.architecture for child in children)
    first = next((one for one in architectures if not isinstance(one, UnknownArchitecture)), None)
    if experiment.recipe is None or first is None or not folder.is_dir():
        return None
    shape, outputs = experiment.built_recipe().shapes(first, datasets.load(folder))
    return shape, outputs


def _classes(experiment: Experiment, workspace: Workspace) -> int:
    folder = workspace.prepared(experiment.data.name)
    data = datasets.load(folder) if folder.is_dir() else None
    return len(data.classes) if isinstance(data, datasets.PreparedImages) else 0

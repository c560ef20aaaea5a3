"""Retrains the best networks of a search and chooses the winner on validation data."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nas
from nas.datasets.files import check_space
from nas.errors import SearchError
from nas.evaluation import ChildResult
from nas.experiment import Experiment, fingerprint
from nas.final.apart import run_apart
from nas.final.finalists import Entry, entries, final_experiment, finalists
from nas.search.folders import replaced, write_json
from nas.search.opening import check_evaluator, open_search, read_record
from nas.search.record import Record
from nas.search.rows import Child
from nas.search.search import Listener, RewardRule, Search
from nas.workspace import Workspace

FREE_BYTES = 2**29
"""Disk space that must be free before finals begin, beside what their weights need."""

BYTES_PER_PARAMETER = 16
"""Of a training on disk: weights and momentum in its checkpoint, weights in its model, and spare."""


@dataclass(frozen=True)
class Trained:
    """One training of the finals and what became of it.

    Attributes:
        entry: what was trained.
        child: its row in the record of the finals.
        result: how it ended.
        score: what people compare, on validation data; None: it failed. The winner is chosen by the
            reward.
    """

    entry: Entry
    child: Child
    result: ChildResult
    score: float | None


def finalize(
    experiment: Experiment,
    workspace: Workspace,
    *,
    listeners: Sequence[Listener] = (),
    follow: Callable[[Search], AbstractContextManager[Any]] | None = None,
) -> Path:
    """Retrains the best architectures and the baseline from scratch, and exports the winner.

    The finals are a search over a list (see `nas.final.finalists`): parallel, within the same
    limits, on a record of their own, so that after any interruption they go on; finished ones are
    never trained again. The winner has the highest reward, by the experiment's rule and on validation
    data; of equal ones the earlier on the list. The baseline can't win: it is what the winner is compared
    with. The test data is not touched (see `nas.final.evaluate`).

    Args:
        experiment: its search has been made (all repeats).
        workspace: where everything lies.
        listeners: told of the finals' events.
        follow: entered with the finals' search while it runs, e.g. a tracker's `follow`.

    Returns:
        The folder `Workspace.models(name)`, replaced as a whole: `final.json` (all finalists with
        their scores, the winner and what it came from), `model.keras`, `baseline.keras`, what the
        recipe's exporter makes (`saved_model/`), and `finals.sqlite`, a snapshot of the record.

    Raises:
        SearchError: the search has no successful child, or no final ended well.
        InputError: the search was never begun.
        TemporaryError: too little disk space.
    """
    check_evaluator(experiment)
    with ExitStack() as opened:
        records = [
            opened.enter_context(read_record(experiment.with_seed(seed), workspace))
            for seed in experiment.seeds
        ]
        trainings = entries(experiment, finalists(experiment, records))
        searches = [_origin(record) for record in records]
        needed = FREE_BYTES + BYTES_PER_PARAMETER * len(trainings) * _most_parameters(records)
    workspace.state.mkdir(parents=True, exist_ok=True)
    check_space(workspace.state, needed, f"keep the weights of {len(trainings)} finals")
    derived = final_experiment(experiment, trainings)
    with open_search(derived, workspace, listeners=listeners, keep_files=True) as search:
        with follow(search) if follow is not None else nullcontext():
            search.advance(derived.budget)
        trained = _judge(search.record, trainings, derived)
        winner = _best([one for one in trained if not one.entry.finalist.baseline])
        baseline = _best([one for one in trained if one.entry.finalist.baseline])
        _delete_the_rest(search.record, [one for one in (winner, baseline) if one is not None])
        if winner is None:
            raise SearchError(
                f"none of the {len(trained)} finals of '{experiment.name}' ended well: "
                + "; ".join(sorted({f"{one.result.status}: {one.result.message}" for one in trained}))
            )
        with replaced(workspace.models(experiment.name)) as folder:
            _copy(search.record, winner, folder / "model.keras")
            if baseline is not None:
                _copy(search.record, baseline, folder / "baseline.keras")
            exports = run_apart(
                derived.built_recipe().exporter,
                {
                    "model": str(folder / "model.keras"),
                    "data": str(workspace.prepared(experiment.data.name)),
                    "folder": str(folder),
                },
                derived.workers,
                search.record.path.parent / "logs" / "export.log",
            )
            write_json(
                folder / "final.json",
                {
                    **_origin_of_all(experiment, search.record, searches),
                    "winner": _kept_story(winner, derived, folder / "model.keras"),
                    "baseline": baseline and _kept_story(baseline, derived, folder / "baseline.keras"),
                    "finalists": [_story(one, derived) for one in trained],
                    "exports": exports,
                },
            )
            search.record.snapshot(folder / "finals.sqlite")
    return workspace.models(experiment.name)


def sha256(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _origin(record: Record) -> dict[str, Any]:
    """Where finalists came from: one search, as the winner's papers name it."""
    return {
        "seed": record.definition["seed"],
        "fingerprint": fingerprint(record.definition),
        "git_commit": record.meta("git_commit", ""),
        "children": record.count(),
    }


def _origin_of_all(
    experiment: Experiment, record: Record, searches: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What all finals share: code, data, searches and grid."""
    definition = record.definition
    return {
        "experiment": experiment.name,
        "nasflow": nas.__version__,
        "git_commit": record.meta("git_commit", ""),
        "data": definition["data"]["name"],
        "data_digest": definition["data"]["digest"],
        "fingerprint": fingerprint(definition),
        "search_fingerprint": searches[0]["fingerprint"],
        "searches": searches,
        "trainings": record.count(),
        "grid": experiment.final.grid,
    }


def _most_parameters(records: Sequence[Record]) -> int:
    best = (child for record in records for child in record.best(20))
    return max((child.result.parameters for child in best if child.result is not None), default=0)


def _judge(record: Record, trainings: Sequence[Entry], derived: Experiment) -> list[Trained]:
    rule: RewardRule = derived.reward.make("reward")
    return [
        Trained(entry, child, child.result, rule.score(child.result))
        for entry, child in zip(trainings, record.children(), strict=True)
        if child.result is not None
    ]


def _best(trained: Sequence[Trained]) -> Trained | None:
    """The one of highest reward, of equal ones the first; None if all failed."""
    well = [one for one in trained if one.score is not None]
    return max(well, key=lambda one: one.result.reward or 0.0) if well else None


def _folder(record: Record, child: Child) -> Path:
    """Where a final left its files: beside the record, wherever that was moved."""
    return record.path.parent / "children" / f"child-{child.number:06}"


def _model(one: Trained) -> str:
    """The file name of the model that a final left."""
    return Path(one.result.files.get("model", "model.keras")).name


def _delete_the_rest(record: Record, kept: Sequence[Trained]) -> None:
    """Removes what finals left behind: all of it, of those in `kept` what their results don't name.

    A checkpoint stays until here, because a final that was killed before its result was committed is
    begun again, and then has nothing left to train.
    """
    named = {
        one.child.number: {_model(one), *(Path(file).name for file in one.result.files.values())}
        for one in kept
    }
    for child in record.children():
        folder = _folder(record, child)
        if child.number not in named:
            shutil.rmtree(folder, ignore_errors=True)
        elif folder.is_dir():
            for path in folder.iterdir():
                if path.name in named[child.number]:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _copy(record: Record, one: Trained, target: Path) -> None:
    """Copies the model that a final left."""
    source = _folder(record, one.child) / _model(one)
    if not source.is_file():
        raise SearchError(
            f"the weights of final {one.child.number} are gone from {source}: copy {target.name} of an "
            "earlier result there, or set another final.seed, by which new finals are trained. Keep the "
            f"folder {record.path.parent}: its record counts how often the test data was touched"
        )
    shutil.copyfile(source, target)


def _kept_story(one: Trained, derived: Experiment, model: Path) -> dict[str, Any]:
    return {**_story(one, derived), "model": model.name, "sha256": sha256(model)}


def _story(one: Trained, derived: Experiment) -> dict[str, Any]:
    """One final as JSON: what it is, where it came from, how it was trained and what it reached."""
    finalist, result = one.entry.finalist, one.result
    recipe = {**derived.recipe_options(), **one.entry.overrides}
    defaults: dict[str, Any] = getattr(derived.built_recipe(recipe), "to_json", dict)()
    return {
        "number": one.child.number,
        "role": "baseline" if finalist.baseline else "candidate",
        "architecture": finalist.architecture.text(),
        "architecture_json": finalist.architecture.to_json(),
        "search": None
        if finalist.baseline
        else {
            "place": finalist.place,
            "seed": finalist.seed,
            "child": finalist.child,
            "reward": finalist.reward,
            "proxy_score": finalist.score,
        },
        "grid_point": dict(one.entry.point),
        "recipe": {**defaults, **recipe},
        "seed": one.child.seed,
        "status": str(result.status),
        "message": result.message,
        "reward": result.reward,
        "score": one.score,
        "epochs": len(result.history),
        "parameters": result.parameters,
        "multiply_adds": result.multiply_adds,
        "train_seconds": round(result.train_seconds, 3),
    }

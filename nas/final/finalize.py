"""Retrains the best networks of a search and chooses the winner on validation data."""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nas
from nas import plugins
from nas.datasets.files import check_space
from nas.errors import SearchError
from nas.evaluation import ChildResult, Job, RewardRule
from nas.experiment import Experiment, fingerprint
from nas.final.finalists import Entry, entries, final_experiment, finalists, with_baseline
from nas.final.rings import Advance, Rings, advance, retrain_in_rings, to_finals
from nas.search.folders import replaced, write_json
from nas.search.opening import check_evaluator, isolated_by, open_search, read_record
from nas.search.record import Record
from nas.search.rows import Child
from nas.search.search import Listener, Search
from nas.workspace import Workspace

logger = logging.getLogger("nas")

FREE_BYTES = 2**29
"""Disk space that must be free before finals begin, beside what their weights need."""

BYTES_PER_PARAMETER = 16
"""Of a training on disk: weights and momentum in its checkpoint, weights in its model, and spare."""


JUDGED_BY = "the weights that are saved: the validation result of the last epoch"
"""How finals are judged (see `nas.search.rewards.BySavedWeights`); `final.json` of a version that judged
them as the search does, by the best of the last epochs, doesn't say it."""

AGAIN = "finals trained again"
"""Where the record keeps the results of finals whose weights had to be made again, by number."""


@dataclass(frozen=True)
class Trained:
    """One training of the finals and what became of it.

    Attributes:
        entry: what was trained.
        child: its row in the record of the finals.
        result: how the training ended whose weights are kept or were removed.
        reward, score: by the weights that it saved, on validation data; a score of None: it failed. The
            winner is chosen by the reward, the score is what people compare.
        again: whether it was trained again, because its weights had been removed.
    """

    entry: Entry
    child: Child
    result: ChildResult
    reward: float
    score: float | None
    again: bool


def finalize(
    experiment: Experiment,
    workspace: Workspace,
    *,
    listeners: Sequence[Listener] = (),
    advance: Advance = advance,
) -> Path:
    """Retrains the best architectures and the baseline from scratch, and exports the winner.

    Where the experiment has rings, they come first and choose what reaches the finals (see
    `nas.final.rings`); the baseline is only in the finals.

    The finals are a search over a list (see `nas.final.finalists`): parallel, within the same
    limits, on a record of their own, so that after any interruption they go on; finished ones are
    never trained again. The winner has the highest reward, by the experiment's rule, of what the weights
    that are saved measure on validation data (see `nas.search.rewards.BySavedWeights`); of equal ones the
    earlier on the list. The baseline can't win: it is what the winner is compared with. The test data is
    not touched (see `nas.final.evaluate`).

    Only winner and baseline keep their weights. Where another final is chosen later, because an earlier
    version chose by the best of the last epochs, say, it is trained again with its own seed, and judged by
    what that training gives; its row in the record stays.

    Args:
        experiment: its search has been made (all repeats).
        workspace: where everything lies.
        listeners: told of the finals' events.
        advance: called with the search of each ring and of the finals, and carries it out, e.g. within a
            tracker's `follow`.

    Returns:
        The folder `Workspace.models(name)`, replaced as a whole: `final.json` (all finalists with
        their scores, the winner and what it came from, `judged_by`, and in `earlier_choice` the final
        that the rewards in the record would choose, if that is another), `model.keras`,
        `baseline.keras`, what the recipe's exporter makes (`saved_model/`), and `finals.sqlite`, a
        snapshot of the record. Of rings it holds `ring-N.sqlite`, too, and `final.json` tells the
        `rank_correlations` of each stage to the one before.

    Raises:
        SearchError: the search has no successful child, no final ended well, or one that was chosen
            lost its weights and couldn't be trained again.
        InputError: the search was never begun.
        TemporaryError: too little disk space.
    """
    check_evaluator(experiment.model_copy(update={"evaluator": experiment.finals_evaluator}))
    with ExitStack() as opened:
        records = [
            opened.enter_context(read_record(experiment.with_seed(seed), workspace))
            for seed in experiment.seeds
        ]
        found = finalists(experiment, records)
        searches = [_origin(record) for record in records]
        most_parameters = _most_parameters(records)
    rings = retrain_in_rings(experiment, found, workspace, listeners, advance)
    trainings = entries(experiment, with_baseline(experiment, rings.finalists))
    needed = FREE_BYTES + BYTES_PER_PARAMETER * len(trainings) * most_parameters
    workspace.state.mkdir(parents=True, exist_ok=True)
    check_space(workspace.state, needed, f"keep the weights of {len(trainings)} finals")
    derived = final_experiment(experiment, trainings)
    with open_search(derived, workspace, listeners=listeners, keep_files=True) as search:
        isolated = isolated_by(search.evaluator, derived.workers)  # before hours of training
        advance(search)
        trained, winner, baseline = _choose(search, trainings)
        _delete_the_rest(search.record, [one for one in (winner, baseline) if one is not None])
        if winner is None:
            raise SearchError(
                f"none of the {len(trained)} finals of '{experiment.name}' ended well: "
                + "; ".join(sorted({f"{one.result.status}: {one.result.message}" for one in trained}))
            )
        with replaced(workspace.models(experiment.name)) as folder:
            for one, name in ((winner, "model.keras"), (baseline, "baseline.keras")):
                if one is not None:
                    shutil.copyfile(_weights(search.record, one), folder / name)
            exports = isolated(
                derived.built_recipe().exporter,
                {
                    "model": str(folder / "model.keras"),
                    "data": str(workspace.prepared(experiment.data.name)),
                    "folder": str(folder),
                },
                search.record.path.parent / "logs" / "export.log",
            )
            write_json(
                folder / "final.json",
                {
                    **_origin_of_all(experiment, search.record, searches),
                    "judged_by": JUDGED_BY,
                    "earlier_choice": _earlier_choice(trained, winner),
                    "winner": _kept_story(winner, derived, folder / "model.keras"),
                    "baseline": baseline and _kept_story(baseline, derived, folder / "baseline.keras"),
                    "finalists": (stories := [_story(one, derived) for one in trained]),
                    **({"rank_correlations": _correlations(rings, stories)} if rings.records else {}),
                    "exports": exports,
                },
            )
            search.record.snapshot(folder / "finals.sqlite")
            for path, name in rings.records.items():
                with Record.read(path) as ring:
                    ring.snapshot(folder / name)
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
        "data": experiment.data.name,
        "data_digest": definition["data"]["digest"],
        "fingerprint": fingerprint(definition),
        "search_fingerprint": searches[0]["fingerprint"],
        "searches": searches,
        "trainings": record.count(),
        "grid": experiment.final.grid,
    }


def _correlations(rings: Rings, finalists: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each stage to the one before, by name of the stage."""
    last = list(rings.correlations)[-1]
    finals = to_finals(finalists, last, lambda one: float(one["rings"][-1]["reward"]))
    return {**rings.correlations, "finals": {"before": last, **finals}}


def _most_parameters(records: Sequence[Record]) -> int:
    best = (child for record in records for child in record.best(20))
    return max((child.result.parameters for child in best if child.result is not None), default=0)


def _choose(
    search: Search, trainings: Sequence[Entry]
) -> tuple[list[Trained], Trained | None, Trained | None]:
    """All finals, the winner and the best baseline (None: all failed), both with their weights.

    One whose weights are gone is trained again and judged by what that gave, until both are there.
    """
    record = search.record
    again = {int(number): ChildResult.from_json(one) for number, one in record.meta(AGAIN, {}).items()}
    while True:
        trained = _judge(record, trainings, search.reward, again)
        winner = _best(record, [one for one in trained if not one.entry.finalist.baseline])
        baseline = _best(record, [one for one in trained if one.entry.finalist.baseline])
        gone = [one for one in (winner, baseline) if one is not None and not _weights(record, one).is_file()]
        if not gone:
            return trained, winner, baseline
        again[gone[0].child.number] = _train_again(search, gone[0].child)
        record.set_meta(AGAIN, {str(number): one.to_json() for number, one in again.items()})


def _train_again(search: Search, child: Child) -> ChildResult:
    """Trains a final whose weights are gone as it was trained; its row in the record stays as it is.

    Raises:
        SearchError: it failed this time or left no weights.
    """
    logger.warning(
        "final %d (%s) is chosen by what its saved weights measured, but they are gone: it is trained again "
        "with its seed",
        child.number,
        child.proposal.architecture.text(),
    )
    folder = _folder(search.record, child)
    job = Job(child.proposal, child.seed, (), f"{search.folder}/{folder.name}")
    result = search.evaluator.submit(job).result()
    if result.ok and (folder / _model(result)).is_file():
        return result
    ended = "left no model" if result.ok else f"ended as {result.status} ({result.message})"
    raise SearchError(
        f"the weights of final {child.number} are gone from {folder}, and its training, done again, {ended}: "
        "repeat `nas finalize`, or set another final.seed, by which new finals are trained. Keep the folder "
        f"{search.record.path.parent}: its record counts how often the test data was touched"
    )


def _judge(
    record: Record, trainings: Sequence[Entry], rule: RewardRule, again: Mapping[int, ChildResult]
) -> list[Trained]:
    judged = []
    for entry, child in zip(trainings, record.children(), strict=True):
        if (result := again.get(child.number, child.result)) is not None:
            score, repeated = rule.score(result), child.number in again
            judged.append(Trained(entry, child, result, rule(result), score, repeated))
    return judged


def _best(record: Record, trained: Sequence[Trained]) -> Trained | None:
    """The one of highest reward; None if all failed.

    Of equal ones the first that has its weights: the one that was chosen before.
    """
    well = [one for one in trained if one.score is not None and math.isfinite(one.reward)]
    return max(well, key=lambda one: (one.reward, _weights(record, one).is_file()), default=None)


def _earlier_choice(trained: Sequence[Trained], winner: Trained) -> dict[str, Any] | None:
    """The final that the rewards in the record choose, if it isn't the winner."""
    well = [one for one in trained if one.child.status == "ok" and not one.entry.finalist.baseline]
    before = max(well, key=lambda one: one.child.reward, default=winner)
    if before.child.reward <= winner.child.reward:
        return None
    return {
        "number": before.child.number,
        "architecture": before.entry.finalist.architecture.text(),
        "recorded_reward": before.child.reward,
        "reward": before.reward,
        "reason": "trained again, it reached less than the record says"
        if before.again
        else "the record has its reward from the best of its last epochs, whose weights were not kept",
    }


def _weights(record: Record, one: Trained) -> Path:
    """The file of the weights that a final left; they may have been removed."""
    return _folder(record, one.child) / _model(one.result)


def _folder(record: Record, child: Child) -> Path:
    """Where a final left its files: beside the record, wherever that was moved."""
    return record.path.parent / "children" / f"child-{child.number:06}"


def _model(result: ChildResult) -> str:
    """The file name of the model that a final left."""
    return Path(result.files.get("model", "model.keras")).name


def _delete_the_rest(record: Record, kept: Sequence[Trained]) -> None:
    """Removes what finals left behind: all of it, of those in `kept` what their results don't name.

    A checkpoint stays until here, because a final that was killed before its result was committed is
    begun again, and then has nothing left to train.
    """
    named = {
        one.child.number: {_model(one.result), *(Path(file).name for file in one.result.files.values())}
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


def _kept_story(one: Trained, derived: Experiment, model: Path) -> dict[str, Any]:
    return {**_story(one, derived), "model": model.name, "sha256": sha256(model)}


def _story(one: Trained, derived: Experiment) -> dict[str, Any]:
    """One final as JSON: what it is, where it came from, how it was trained and what it reached."""
    finalist, result = one.entry.finalist, one.result
    recipe = plugins.as_stored("recipe", {**derived.recipe_options(), **one.entry.overrides})
    defaults: dict[str, Any] = derived.built_recipe(recipe).to_json()
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
        **({"rings": [asdict(ring) for ring in finalist.rings]} if finalist.rings else {}),
        "grid_point": dict(one.entry.point),
        "recipe": {**defaults, **recipe},
        "seed": one.child.seed,
        "status": str(result.status),
        "message": result.message,
        "reward": one.reward,
        "recorded_reward": one.child.reward,
        "score": one.score,
        "epochs": len(result.history),
        "parameters": result.parameters,
        "multiply_adds": result.multiply_adds,
        "train_seconds": round(result.train_seconds, 3),
        "trained_again": one.again,
    }

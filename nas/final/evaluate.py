"""Measures the winner on the test data: once, counted, and beside the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas import datasets
from nas.errors import InputError
from nas.evaluation import Isolated, evaluator_class
from nas.experiment import Experiment, fingerprint
from nas.final.details import write_details
from nas.final.evaluations import (
    SHARED,
    KnownTests,
    checked_final,
    keep,
    keep_others,
    known,
    of_all_experiments,
    summed,
    tested,
)
from nas.final.finalists import trained_stack
from nas.final.finalize import sha256
from nas.final.rings import to_finals
from nas.search.folders import replaced, write_json
from nas.search.opening import isolated_by, make_evaluator
from nas.search.record import Record
from nas.workspace import Workspace


def evaluate(experiment: Experiment, workspace: Workspace, *, again: bool = False) -> dict[str, Any]:
    """Tests the winner and the baseline, and writes `Workspace.reports(name)/evaluation`.

    The winner is evaluated on the test data once. Test evaluations are counted in the record of the finals,
    before they happen, and shown with the result, beside those on the same data by all experiments
    of the workspace (see `nas.final.evaluations`); a second evaluation of the same winner, also in a clone
    that has `evaluation.json`, shows the first one's result without touching the data again.

    Args:
        experiment: its finals are done.
        workspace: where everything lies.
        again: evaluate on the test data once more, which counts.

    Returns:
        What `evaluation.json` holds: `architecture` and, of a cell, the `stack` that it won in;
        `test` (the metric, how many examples of what, evaluations for this
        winner, and `value`, `low`, `high` of the winner and of the baseline: the 95 % interval), `details`
        of both (see `nas.training.measured.Measured`), `tested` (which models on which data, see
        `nas.final.evaluations.tested`), `test_set` (evaluations on these data by all experiments),
        `judged_by` (how the finals were judged), `rank_correlation` between search and finals, and, if there
        were rings, the `rank_correlations` of each stage to the one before. Beside it
        lie `metrics.json` and the details as a table for DVC's plots (see `nas.final.details`).

    Raises:
        InputError: there is no winner, the data or the model is not the one that won, or an earlier
            `evaluation.json` can't be read.
        RecordLockedError: the finals are running.
    """
    models = workspace.models(experiment.name)
    final = read_final(experiment, workspace)
    data = datasets.load(workspace.prepared(experiment.data.name))
    if data.digest != final["data_digest"]:
        raise InputError(
            f"the finals of '{experiment.name}' were trained on other data than {data.folder} holds now "
            f"({final['data_digest']}, now {data.digest}): `nas finalize {experiment.name}` trains anew"
        )
    with Record.read(models / "finals.sqlite") as snapshot:
        definition = snapshot.definition
    path = workspace.record(fingerprint(definition))
    with Record.hold(path, definition, models / "finals.sqlite") as record:
        tests = known(record, final, workspace.reports(experiment.name) / "evaluation" / "evaluation.json")
        if again or not tests.measured:
            tests = _test(record, experiment, workspace, final, data.folder, tests)
        keep(record, final, tests)
        by_all = of_all_experiments(workspace, data.digest)
        keep_others(record, by_all)
    measured = tests.measured
    result = {
        "experiment": experiment.name,
        "architecture": final["winner"]["architecture"],
        **({"stack": stack} if (stack := trained_stack(final["winner"])) else {}),
        "validation_score": final["winner"]["score"],
        "baseline_validation_score": final["baseline"]["score"] if final["baseline"] else None,
        "test": {
            **{key: measured["winner"][key] for key in SHARED},
            "touches": tests.count,
            **({"carried": tests.carried} if tests.carried else {}),
            "winner": _interval(measured["winner"]),
            "baseline": _interval(measured["baseline"]) if "baseline" in measured else None,
        },
        "details": {role: one["details"] for role, one in measured.items()},
        "tested": tested(final),
        "test_set": summed(data.digest, by_all),
        "judged_by": final.get("judged_by", ""),
        "rank_correlation": rank_correlation(final["finalists"]),
        **({"rank_correlations": stages} if (stages := final.get("rank_correlations")) else {}),
    }
    with replaced(workspace.reports(experiment.name) / "evaluation") as folder:
        write_json(folder / "evaluation.json", result)
        write_json(folder / "metrics.json", metrics(result))
        write_details(folder, result["details"]["winner"])
    return result


def read_final(experiment: Experiment, workspace: Workspace) -> dict[str, Any]:
    """What `final.json` holds.

    Raises:
        InputError: the finals were not made, or not brought here.
    """
    path = workspace.models(experiment.name) / "final.json"
    if not path.is_file():
        raise InputError(
            f"'{experiment.name}' has no winner yet: `nas finalize {experiment.name}` chooses one "
            "(or `dvc pull` brings it)"
        )
    return checked_final(path)


def rank_correlation(finalists: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Kendall's tau-b between search reward and best final reward over the retrained architectures.

    It tells how far the order in the search, a proxy, is that of the networks retrained. The
    baseline, which the search never saw, and failed finals don't count.

    Returns:
        `kendall_tau` (None if undefined), `n` (architectures that it rests on), `reason` (why it is
        undefined, or empty).
    """
    return to_finals(finalists, "search", lambda one: float(one["search"]["reward"]))


def metrics(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation in a few numbers, for `dvc metrics show`."""
    test = evaluation["test"]
    metric = test["metric"]
    flat = {
        f"test_{metric}": test["winner"]["value"],
        f"test_{metric}_low": test["winner"]["low"],
        f"test_{metric}_high": test["winner"]["high"],
        "test_touches": test["touches"],
        "test_set_touches": evaluation["test_set"]["touches"],
        "validation_score": evaluation["validation_score"],
        "kendall_tau": evaluation["rank_correlation"]["kendall_tau"],
    }
    for stage, correlation in evaluation.get("rank_correlations", {}).items():
        flat[f"kendall_tau_{correlation['before']}_{stage}".replace(" ", "")] = correlation["kendall_tau"]
    if test["baseline"] is not None:
        flat[f"baseline_test_{metric}"] = test["baseline"]["value"]
    return flat


def _test(
    record: Record,
    experiment: Experiment,
    workspace: Workspace,
    final: Mapping[str, Any],
    data: Path,
    before: KnownTests,
) -> KnownTests:
    """Measures on the test data once more."""
    models = workspace.models(experiment.name)
    for one in (final["winner"], final["baseline"]):
        if one is not None and sha256(models / one["model"]) != one["sha256"]:
            raise InputError(
                f"{models / one['model']} is not the model that won (another SHA-256): "
                f"`nas finalize {experiment.name}` or `dvc checkout` brings it back"
            )
    logs = record.path.parent / "logs"
    with _isolated(experiment, workspace, data, logs) as isolated:  # before it counts: it may be impossible
        tests = replace(before, count=before.count + 1)
        keep(record, final, tests)  # before it is measured: one that is killed counts too
        measured = {
            role: isolated(
                experiment.built_recipe().tester,
                {"model": str(models / final[role]["model"]), "data": str(data), "split": "test"},
                logs / f"test-{role}.log",
            )
            for role in ("winner", "baseline")
            if final[role] is not None
        }
    return replace(tests, measured=measured)


@contextmanager
def _isolated(experiment: Experiment, workspace: Workspace, data: Path, logs: Path) -> Iterator[Isolated]:
    """What measures: the evaluator that trained the finals, opened if it does such work."""
    trainer = experiment.model_copy(update={"evaluator": experiment.finals_evaluator})
    with ExitStack() as opened:
        evaluator = None
        if evaluator_class(trainer.evaluator.name).isolates():
            evaluator = opened.enter_context(make_evaluator(trainer, data, workspace, logs))
            evaluator.warm_up()
        yield isolated_by(evaluator, experiment.workers)


def _interval(measured: Mapping[str, Any]) -> dict[str, float]:
    return {key: measured[key] for key in ("value", "low", "high")}

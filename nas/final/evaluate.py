"""Measures the winner on the test data: once, counted, and beside the baseline."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas import datasets
from nas.errors import InputError
from nas.experiment import Experiment, fingerprint
from nas.final.apart import run_apart
from nas.final.finalize import sha256
from nas.final.touches import Touches, keep, known, tested
from nas.search.folders import replaced, write_json
from nas.search.record import Record
from nas.workspace import Workspace

Z95 = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


def evaluate(experiment: Experiment, workspace: Workspace, *, again: bool = False) -> dict[str, Any]:
    """Tests the winner and the baseline, and writes `Workspace.reports(name)/evaluation`.

    The test data is touched once for each winner. Touches are counted in the record of the finals,
    before they happen, and shown with the result; a second evaluation of the same winner, also in a
    clone that has `evaluation.json`, shows the first one's result without touching the data again.

    Args:
        experiment: its finals are done.
        workspace: where everything lies.
        again: touch the test data once more, which counts.

    Returns:
        What `evaluation.json` holds: `test` (images, touches, and accuracy with its 95 % interval of
        the winner and of the baseline), `tested` (which models on which data, see
        `nas.final.touches.tested`), `rank_correlation` between search and finals, `classes`,
        `confusion` (row = true class, column = predicted class) and `baseline_confusion`. Beside it lie
        `metrics.json` and `confusion.csv` (one row for each test image) for DVC.

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
        touches = known(record, final, workspace.reports(experiment.name) / "evaluation" / "evaluation.json")
        if again or not touches.measured:
            touches = _touch(record, experiment, models, final, data.folder, touches)
        keep(record, final, touches)
    measured = touches.measured
    confusion = measured["winner"]["confusion"]
    result = {
        "experiment": experiment.name,
        "architecture": final["winner"]["architecture"],
        "validation_score": final["winner"]["score"],
        "baseline_validation_score": final["baseline"]["score"] if final["baseline"] else None,
        "test": {
            "images": measured["winner"]["examples"],
            "touches": touches.count,
            "winner": _accuracy(measured["winner"]),
            "baseline": _accuracy(measured["baseline"]) if "baseline" in measured else None,
        },
        "tested": tested(final),
        "rank_correlation": rank_correlation(final["finalists"]),
        "classes": list(data.classes),
        "confusion": confusion,
        "baseline_confusion": measured["baseline"]["confusion"] if "baseline" in measured else None,
    }
    with replaced(workspace.reports(experiment.name) / "evaluation") as folder:
        write_json(folder / "evaluation.json", result)
        write_json(folder / "metrics.json", metrics(result))
        _write_confusion(folder / "confusion.csv", data.classes, confusion)
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
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def wilson(correct: int, examples: int) -> tuple[float, float]:
    """The 95 % interval of a fraction (Wilson 1927, score interval), right for fractions near 0 and 1 too.

    Example:
        >>> [round(bound, 4) for bound in wilson(90, 100)]
        [0.8256, 0.9448]
    """
    fraction, square = correct / examples, Z95**2
    middle = fraction + square / (2 * examples)
    half = Z95 * math.sqrt(fraction * (1 - fraction) / examples + square / (4 * examples**2))
    scale = 1 + square / examples
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def rank_correlation(finalists: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Kendall's tau-b between search reward and best final score over the retrained architectures.

    It tells how far the order in the search, a proxy, is that of the networks retrained. The
    baseline, which the search never saw, and failed finals don't count.

    Returns:
        `kendall_tau` (None if undefined), `n` (architectures that it rests on), `reason` (why it is
        undefined, or empty).
    """
    best: dict[str, tuple[float, float]] = {}
    for one in finalists:
        if one["role"] == "candidate" and one["score"] is not None:
            reward, score = best.get(one["architecture"], (one["search"]["reward"], -math.inf))
            best[one["architecture"]] = (reward, max(score, one["score"]))
    rewards = [reward for reward, _ in best.values()]
    scores = [score for _, score in best.values()]
    tau, reason = None, ""
    if len(best) < 2:
        reason = f"it takes two architectures, and {len(best)} ended well"
    elif len(set(rewards)) == 1:
        reason = "all rewards of the search are equal"
    elif len(set(scores)) == 1:
        reason = "all scores of the finals are equal"
    else:
        from scipy.stats import kendalltau

        tau = float(kendalltau(rewards, scores).statistic)
    return {"kendall_tau": tau, "n": len(best), "reason": reason}


def metrics(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation in a few numbers, for `dvc metrics show`."""
    test = evaluation["test"]
    flat = {
        "test_accuracy": test["winner"]["accuracy"],
        "test_accuracy_low": test["winner"]["low"],
        "test_accuracy_high": test["winner"]["high"],
        "test_touches": test["touches"],
        "validation_score": evaluation["validation_score"],
        "kendall_tau": evaluation["rank_correlation"]["kendall_tau"],
    }
    if test["baseline"] is not None:
        flat["baseline_test_accuracy"] = test["baseline"]["accuracy"]
    return flat


def _touch(
    record: Record,
    experiment: Experiment,
    models: Path,
    final: Mapping[str, Any],
    data: Path,
    before: Touches,
) -> Touches:
    """Measures on the test data once more."""
    for one in (final["winner"], final["baseline"]):
        if one is not None and sha256(models / one["model"]) != one["sha256"]:
            raise InputError(
                f"{models / one['model']} is not the model that won (another SHA-256): "
                f"`nas finalize {experiment.name}` or `dvc checkout` brings it back"
            )
    touches = replace(before, count=before.count + 1)
    keep(record, final, touches)  # before the touch: one that is killed counts too
    measured = {
        role: run_apart(
            "nas.training.child:evaluate",
            {"model": str(models / final[role]["model"]), "data": str(data), "split": "test"},
            experiment.workers,
            record.path.parent / "logs" / f"test-{role}.log",
        )
        for role in ("winner", "baseline")
        if final[role] is not None
    }
    return replace(touches, measured=measured)


def _accuracy(measured: Mapping[str, Any]) -> dict[str, Any]:
    confusion, examples = measured["confusion"], measured["examples"]
    correct = sum(row[index] for index, row in enumerate(confusion))
    low, high = wilson(correct, examples)
    return {"accuracy": correct / examples, "low": low, "high": high, "correct": correct}


def _write_confusion(path: Path, classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> None:
    """One row for each image, as DVC's plot `confusion` counts them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["actual", "predicted"])
        for actual, row in zip(classes, confusion, strict=True):
            for predicted, count in zip(classes, row, strict=True):
                writer.writerows([[actual, predicted]] * count)

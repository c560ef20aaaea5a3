"""A comparison of controllers in MLflow: one run for each configuration and budget."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.search.compare.compare import Compared
from nas.search.compare.comparison import Comparison
from nas.search.compare.statistics import Array, Summary
from nas.tracking.connection import connect, explained
from nas.tracking.facts import Metric, flattened
from nas.workspace import Workspace

TAG = "nas.comparison"
"""Says what a run was made of: what stands in MLflow already isn't logged again."""


def log_comparison(
    workspace: Workspace,
    comparison: Comparison,
    compared: Compared,
    summaries: Sequence[Summary],
    curve: tuple[Array, Mapping[str, Mapping[str, Array]]],
    picture: Path,
) -> int:
    """Logs what MLflow lacks of a comparison, in its experiment `compare-NAME`.

    Args:
        workspace: holds the local store.
        comparison: names the experiment.
        compared: the runs.
        summaries: one MLflow run for each.
        curve: mean answers over the budget; logged with the largest budget, seconds as steps.
        picture: goes with each run.

    Returns:
        How many runs were added.

    Raises:
        TemporaryError: MLflow can't be reached; the same command tries again.
        RefusedError: MLflow refuses.
    """
    with explained("the comparison is not in MLflow", "the same command tries again"):
        connection = connect(workspace)
        experiment = connection.experiment(f"compare-{comparison.name}", comparison.about)
        added = 0
        for summary in summaries:
            made_of = _digest(compared, summary)
            if next(connection.runs(experiment, {TAG: made_of}), None) is not None:
                continue
            name = f"{summary.configuration} {summary.budget_seconds:g} s"
            run = connection.create_run(experiment, name, {}).info.run_id
            parameters = {
                **flattened(compared.configurations[summary.configuration].model_dump(), "controller."),
                "budget_seconds": f"{summary.budget_seconds:g}",
                "runs": str(len(compared.seeds)),
                "first_seed": str(min(compared.seeds)),
            }
            last = summary.budget_seconds == compared.budgets[-1]
            connection.log(run, _metrics(summary, curve if last else None), parameters)
            connection.client.log_artifact(run, str(picture))
            connection.set_tag(run, TAG, made_of)  # the last, so that what is half there comes again
            connection.client.set_terminated(run)
            added += 1
    return added


def _metrics(summary: Summary, curve: tuple[Array, Mapping[str, Mapping[str, Array]]] | None) -> list[Metric]:
    now = int(1000 * time.time())
    values = {
        "queries": summary.queries,
        "cpu_ms_per_query": summary.cpu_ms_per_query,
        **{f"{column}/mean": value for column, value in summary.mean.items()},
        **{f"{column}/std": value for column, value in summary.std.items()},
    }
    metrics: list[Metric] = [(name, value, now, 0) for name, value in values.items()]
    if curve is not None:
        seconds, means = curve
        metrics += [
            (f"{column}/best_so_far", float(value), now, round(float(second)))
            for column, own in means[summary.configuration].items()
            for second, value in zip(seconds, own, strict=True)
            if math.isfinite(value)
        ]
    return metrics


def _digest(compared: Compared, summary: Summary) -> str:
    key = compared.keys[summary.configuration]
    columns = {name: [one.name, one.scale] for name, one in compared.results.columns.report.items()}
    made_of = [key, list(compared.seeds), summary.budget_seconds, columns, summary.configuration]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]

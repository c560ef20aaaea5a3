"""A comparison stands in MLflow once: settings, means, and the curve."""

from __future__ import annotations

from nas.report.comparison import PICTURE, write_comparison
from nas.search.compare.compare import Compared, compare
from nas.search.compare.statistics import curves, differences, summaries
from nas.tracking.comparisons import log_comparison
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.tables.factories import small_comparison


def logged(workspace: Workspace, runs: int = 2) -> tuple[Compared, int]:
    comparison = small_comparison(workspace.root)
    compared = compare(comparison, workspace, ["random", "evolution"], [200, 400], range(runs), 1)
    found = summaries(compared)
    folder = workspace.root / "out"
    write_comparison(folder, compared, found, differences(compared))
    added = log_comparison(workspace, comparison, compared, found, curves(compared), folder / PICTURE)
    return compared, added


def test_each_configuration_and_budget_is_a_run_with_its_numbers(workspace: Workspace):
    compared, added = logged(workspace)
    assert added == 4
    client = connect(workspace).client
    experiment = client.get_experiment_by_name("compare-small")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {f"{name} {budget} s" for name in ("random", "evolution") for budget in (200, 400)}
    run = runs["evolution 400 s"]
    summary = next(
        one for one in summaries(compared) if one.configuration == "evolution" and one.budget_seconds == 400
    )
    assert run.info.status == "FINISHED"
    assert run.data.params["controller.population"] == "5"
    assert run.data.params["runs"] == "2"
    assert run.data.metrics["test percent/mean"] == summary.mean["test %"]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["curve.svg"]
    curve = client.get_metric_history(run.info.run_id, "test percent/best_so_far")
    assert max(point.step for point in curve) == 400
    assert "test percent/best_so_far" not in runs["evolution 200 s"].data.metrics


def test_what_stands_there_is_not_logged_again(workspace: Workspace):
    logged(workspace)
    assert logged(workspace)[1] == 0
    assert logged(workspace, runs=3)[1] == 4

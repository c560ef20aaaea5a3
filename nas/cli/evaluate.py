"""`nas evaluate`: tests the winner once, and registers it in MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nas.cli.common import Name, Track, examples, load_experiment
from nas.experiment import Experiment
from nas.final.rings import correlation_lines, tau_in_words
from nas.search.rewards import shown
from nas.workspace import Workspace

JUDGED_OTHERWISE = (
    "An earlier version judged the finals by the best of their last epochs, whose weights were not kept: "
    "nas finalize judges by those that are saved."
)
Again = Annotated[
    bool, typer.Option("--again", help="Evaluate on the test data once more, which is counted and shown.")
]


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("evaluate", epilog=examples("nas evaluate digits-conv"))(evaluate)


def evaluate(experiment: Name, track: Track = True, again: Again = False) -> None:
    """Tests the winner and the baseline once on the test data; every evaluation on the test data is counted.

    The result lies in data/reports/EXPERIMENT/evaluation; the winner is registered in MLflow.
    """
    from nas.final.evaluate import evaluate as run

    workspace = Workspace.here()
    loaded = load_experiment(experiment, workspace)
    result = run(loaded, workspace, again=again)
    for line in tested_lines(result):
        typer.echo(line)
    typer.echo(f"folder    {workspace.reports(loaded.name) / 'evaluation'}")
    if track:
        typer.echo(f"MLflow    {register(loaded, workspace, result)}")


def register(experiment: Experiment, workspace: Workspace, evaluation: dict[str, Any]) -> str:
    """Registers the winner with its test in MLflow; returns the model's URI."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the model is loaded here, by a chatty library
    from nas import datasets
    from nas.tracking import Tracker

    data = datasets.load(workspace.prepared(experiment.data.name))
    folder = workspace.models(experiment.name)
    return Tracker(workspace).register_winner(folder, experiment, data, evaluation)


def tested_lines(evaluation: dict[str, Any]) -> list[str]:
    """What a test found, for people."""
    test, rank = evaluation["test"], evaluation["rank_correlation"]
    lines = [
        f"winner    {evaluation['architecture']}",
        *([f"stack     {evaluation['stack']}"] if "stack" in evaluation else []),
        f"test      {_interval(test['winner'])} {test['metric'].replace('_', ' ')}, {test['examples']:,} "
        f"{test['unit']}, touched {_times(test['touches'])}",
    ]
    if "test_set" in evaluation:
        lines[-1] += " for this winner"
        by_all = evaluation["test_set"]["touches"]
        lines.append(f"test set  touched {_times(by_all)} by all experiments on these data")
    if test["baseline"] is not None:
        lines.append(f"baseline  {_interval(test['baseline'])}")
    lines.append(f"Kendall's tau of search reward and final score: {tau_in_words(rank)}")
    lines += stage_lines(evaluation)
    if not evaluation.get("judged_by"):
        lines.append(JUDGED_OTHERWISE)
    return lines


def stage_lines(told: Mapping[str, Any]) -> list[str]:
    """How well each stage ranked the networks of the next, if there were rings."""
    stages = told.get("rank_correlations", {})
    return (
        ["Kendall's tau from stage to stage:", *(f"  {line}" for line in correlation_lines(stages))]
        if stages
        else []
    )


def _times(count: int) -> str:
    return "1 time" if count == 1 else f"{count} times"


def _interval(measured: dict[str, float]) -> str:
    value, low, high = (shown(measured[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} – {high} at 95 %)"

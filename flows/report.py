"""Writes an experiment's page: `python -m flows.report EXPERIMENT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._runs import run, this_run
from flows._settings import logger
from nas.report.page import write
from nas.workspace import Workspace


@task(name="write-page", cache_policy=NO_CACHE)
def write_page(experiment: str, settings: dict[str, Any] | None) -> str:
    """Writes the page and returns its path."""
    return str(write(_experiments.experiment(experiment, settings), Workspace.here()))


@flow(name="report", flow_run_name="report {experiment}")
def report(experiment: str, settings: dict[str, Any] | None = None) -> str:
    """Shows an experiment on one page: leaderboard, curves, winner, cost, how to repeat it.

    Args:
        experiment: name of a file `experiments/NAME.yaml`.
        settings: values that replace the file's, by dotted key.
    """
    with this_run(f"experiment:{experiment}"):
        path = str(write_page(experiment, settings))
    logger.info("%s: the page is %s", experiment, path)
    return path


def main(words: Sequence[str] | None = None) -> int:
    arguments = _experiments.parser(__doc__).parse_args(words)
    return run(
        lambda: report(arguments.experiment, _experiments.settings(arguments)),
        lambda: _experiments.check(arguments),
    )


if __name__ == "__main__":
    sys.exit(main())

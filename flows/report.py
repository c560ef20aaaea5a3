"""Writes an experiment's page: `python -m flows.report EXPERIMENT`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._runs import harmless, run, this_run
from flows._settings import logger
from nas.errors import RefusedError, TemporaryError
from nas.report.page import write
from nas.report.tracked import attach
from nas.workspace import Workspace


@task(name="write-page", cache_policy=NO_CACHE)
def write_page(experiment: str, settings: dict[str, Any] | None) -> str:
    """Writes the page and returns its path."""
    return str(write(_experiments.experiment(experiment, settings), Workspace.here()))


@task(name="link-page", cache_policy=NO_CACHE)
def link_page(experiment: str, settings: dict[str, Any] | None, page: str) -> None:
    """Leads to the page from this run, and from MLflow, where the runs of the searches carry it."""
    with harmless("linking the page"):
        key = re.sub(r"[^a-z0-9]+", "-", f"page-{experiment}".lower()).strip("-")
        create_link_artifact(Path(page).as_uri(), f"page of {experiment}", key)
    try:
        attach(_experiments.experiment(experiment, settings), Workspace.here(), Path(page))
    except (RefusedError, TemporaryError) as error:
        logger.warning("%s", error)


@flow(name="report", flow_run_name="report {experiment}")
def report(experiment: str, settings: dict[str, Any] | None = None) -> str:
    """Shows an experiment on one page: winner, drawings, curves, every child, cost, how to repeat it.

    Args:
        experiment: name of a file `experiments/NAME.yaml`.
        settings: values that replace the file's, by dotted key.
    """
    with this_run(f"experiment:{experiment}"):
        path = str(write_page(experiment, settings))
        link_page(experiment, settings, path)
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

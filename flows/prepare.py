"""Prepares an experiment's data set: `python -m flows.prepare EXPERIMENT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._runs import run, this_run
from flows._settings import logger
from nas import datasets
from nas.workspace import Workspace


@task(name="prepare-data", cache_policy=NO_CACHE)
def prepare_data(experiment: str, settings: dict[str, Any] | None) -> dict[str, Any]:
    """Downloads, checks and splits the data unless they lie prepared; returns what they are."""
    chosen = _experiments.experiment(experiment, settings, winners=False)  # data come before any winner
    data = datasets.prepare(chosen.data, Workspace.here())
    return {"name": data.name, "digest": data.digest, **data.sizes}


@flow(name="prepare", flow_run_name="prepare {experiment}")
def prepare(experiment: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Makes the data set of an experiment ready.

    Args:
        experiment: name of a file `experiments/NAME.yaml`.
        settings: values that replace the file's, by dotted key.

    Returns:
        Name, digest and the size of each split (images or tokens).
    """
    with this_run(f"experiment:{experiment}"):
        told: dict[str, Any] = prepare_data(experiment, settings)
    logger.info("%s is prepared: %s", told["name"], told)
    return told


def main(words: Sequence[str] | None = None) -> int:
    arguments = _experiments.parser(__doc__).parse_args(words)
    return run(
        lambda: prepare(arguments.experiment, _experiments.settings(arguments)),
        lambda: _experiments.check(arguments, winners=False),
    )


if __name__ == "__main__":
    sys.exit(main())

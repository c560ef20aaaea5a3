"""Tests the winner once and registers it: `python -m flows.evaluate EXPERIMENT`."""

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
from nas.errors import RefusedError, TemporaryError
from nas.final.evaluate import evaluate as test
from nas.tracking import Tracker
from nas.workspace import Workspace


@task(name="test-once", cache_policy=NO_CACHE)
def test_once(experiment: str, settings: dict[str, Any] | None, again: bool) -> dict[str, Any]:
    """Evaluates on the test data, unless this winner was tested already and `again` is false."""
    return test(_experiments.experiment(experiment, settings), Workspace.here(), again=again)


@task(name="register", cache_policy=NO_CACHE)
def register(experiment: str, settings: dict[str, Any] | None, evaluation: dict[str, Any]) -> str:
    """Registers the winner as champion; if MLflow is away, `nas track` does it later."""
    chosen, workspace = _experiments.experiment(experiment, settings), Workspace.here()
    data = datasets.load(workspace.prepared(chosen.data.name))
    try:
        return Tracker(workspace).register_winner(workspace.models(chosen.name), chosen, data, evaluation)
    except (RefusedError, TemporaryError) as error:
        logger.warning("%s", error)
        return ""


@flow(name="evaluate", flow_run_name="evaluate {experiment}")
def evaluate(experiment: str, settings: dict[str, Any] | None = None, again: bool = False) -> dict[str, Any]:
    """Tests the winner and the baseline on the test data once, and registers the winner in MLflow.

    Args:
        experiment: name of a file `experiments/NAME.yaml`; its finals have been made.
        settings: values that replace the file's, by dotted key.
        again: evaluate on the test data once more although this winner was tested; it is counted.
    """
    with this_run(f"experiment:{experiment}"):
        evaluation: dict[str, Any] = test_once(experiment, settings, again)
        address = register(experiment, settings, evaluation)
    logger.info(
        "%s: test %s %.4f, touched %d× for this winner and %d× by all experiments, registered as %s",
        experiment,
        evaluation["test"]["metric"],
        evaluation["test"]["winner"]["value"],
        evaluation["test"]["touches"],
        evaluation["test_set"]["touches"],
        address or "nothing yet",
    )
    return evaluation


def main(words: Sequence[str] | None = None) -> int:
    parser = _experiments.parser(__doc__)
    parser.add_argument(
        "--again", action="store_true", help="evaluate on the test data once more, which is counted and shown"
    )
    arguments = parser.parse_args(words)
    return run(
        lambda: evaluate(arguments.experiment, _experiments.settings(arguments), arguments.again),
        lambda: _experiments.check(arguments),
    )


if __name__ == "__main__":
    sys.exit(main())

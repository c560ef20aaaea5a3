"""Retrains the best of a search and chooses the winner: `python -m flows.finalize EXPERIMENT`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._runs import harmless, run, this_run
from flows._settings import logger
from nas.final.finalists import stage_in_words
from nas.final.finalize import finalize as retrain
from nas.search.rewards import shown
from nas.search.search import Search
from nas.tracking import Tracker
from nas.workspace import Workspace


@task(name="retrain", cache_policy=NO_CACHE)
def retrain_best(experiment: str, settings: dict[str, Any] | None) -> dict[str, Any]:
    """Trains the finals, or goes on with them, and returns the winner's story."""
    chosen, workspace = _experiments.experiment(experiment, settings), Workspace.here()
    tracker = Tracker(workspace)

    def follow(search: Search) -> AbstractContextManager[None]:
        logger.info("%s: %s", chosen.name, stage_in_words(chosen, search.experiment))
        return tracker.follow(search)

    folder = retrain(chosen, workspace, follow=follow)
    story: dict[str, Any] = json.loads((folder / "final.json").read_text(encoding="utf-8"))
    return dict(story["winner"])


@flow(name="finalize", flow_run_name="finalize {experiment}")
def finalize(experiment: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Retrains the best architectures from scratch and exports the winner, chosen on validation data.

    Args:
        experiment: name of a file `experiments/NAME.yaml`; its search has been made.
        settings: values that replace the file's, by dotted key.
    """
    with this_run(f"experiment:{experiment}"):
        winner: dict[str, Any] = retrain_best(experiment, settings)
        logger.info(
            "%s: the winner is %s (validation %s)", experiment, winner["architecture"], shown(winner["score"])
        )
        score = shown(winner["score"])
        with harmless("showing the winner"):
            create_markdown_artifact(
                f"Winner of **{experiment}**: `{winner['architecture']}`, validation {score}", key="winner"
            )
    return winner


def main(words: Sequence[str] | None = None) -> int:
    arguments = _experiments.parser(__doc__).parse_args(words)
    return run(
        lambda: finalize(arguments.experiment, _experiments.settings(arguments)),
        lambda: _experiments.check(arguments),
    )


if __name__ == "__main__":
    sys.exit(main())

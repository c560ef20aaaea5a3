"""Retrains the best of a search and chooses the winner: `python -m flows.finalize EXPERIMENT`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import _experiments
from flows._runs import harmless, is_away, run, this_run, was_stopped, why
from flows._settings import logger
from nas.final.finalists import network_in_words, stage_in_words
from nas.final.finalize import finalize as retrain
from nas.search.rewards import shown
from nas.search.search import Search
from nas.tracking import Tracker
from nas.workspace import Workspace


def retrain_best(experiment: str, settings: dict[str, Any] | None) -> dict[str, Any]:
    """Trains rings and finals, or goes on with them, each as a task, and returns the winner's story."""
    chosen, workspace = _experiments.experiment(experiment, settings), Workspace.here()
    tracker = Tracker(workspace)

    def advance(search: Search) -> None:
        stage = stage_in_words(chosen, search.experiment)
        logger.info("%s: %s", chosen.name, stage)
        with tracker.follow(search):
            advance_stage(search, stage)

    folder = retrain(chosen, workspace, advance=advance)
    story: dict[str, Any] = json.loads((folder / "final.json").read_text(encoding="utf-8"))
    return dict(story["winner"])


def advance_stage(search: Search, stage: str) -> None:
    """Carries out one stage as a task of this name; without Prefect if its API goes away.

    Args:
        search: held by this process, so that the task's function holds it too: parameters would be copied.
        stage: in words.
    """

    def retrain_stage() -> dict[str, int]:
        search.advance(search.experiment.budget)
        return {"trained": search.record.count("finished"), "well": search.record.count("ok")}

    try:
        task(name="retrain", task_run_name=stage, cache_policy=NO_CACHE)(retrain_stage)()
    except BaseException as error:
        if not is_away(error) or was_stopped(error):
            raise
        logger.warning("Prefect's API is away (%s); %s goes on without it", why(error), stage)
        search.advance(search.experiment.budget)


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
            "%s: the winner is %s (validation %s)",
            experiment,
            network_in_words(winner),
            shown(winner["score"]),
        )
        score = shown(winner["score"])
        with harmless("showing the winner"):
            create_markdown_artifact(
                f"Winner of **{experiment}**: `{network_in_words(winner)}`, validation {score}", key="winner"
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

"""A whole experiment with real trainings of a second each: `python -m tests.final.whole FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from nas.final.evaluate import evaluate
from nas.final.finalize import finalize
from nas.search.leaderboard import write_search_outputs
from nas.search.opening import open_search
from nas.workspace import Workspace
from tests.factories import tiny_experiment


def main(root: Path) -> None:
    """Search, finals and test of small networks for digits that are enlarged and cut, as CIFAR-10 is."""
    experiment = tiny_experiment(
        root,
        controller={"name": "random"},
        evaluator={"name": "train"},
        budget__children=2,
        search__children_per_round=2,
        space__image_size=9,
        recipe__upsample=10,
        recipe__crop=9,
        recipe__steps_per_execution=4,
        final={"top": 2, "recipe": {"epochs": 2}, "baseline": "resnet:4x1x1"},
    )
    workspace = Workspace(root)
    with open_search(experiment, workspace) as search:
        search.advance(experiment.budget)
        write_search_outputs(experiment, workspace, [search.record])
    finalize(experiment, workspace)
    evaluate(experiment, workspace)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

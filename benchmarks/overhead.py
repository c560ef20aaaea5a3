"""What orchestration costs: one search against the same trainings without it.

    python benchmarks/overhead.py [--children 32] [--epochs 5] [--json]

Runs, one after the other on two slots of one thread each:

1. a search of N children (record, controller, a fresh process for each child);
2. the same trainings in two bare processes, which keep TensorFlow loaded;
3. the same trainings as KerasTuner trials, in two processes with a tuner each.

Start-up (importing TensorFlow) is shown apart and is no part of the ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
EXPERIMENT = Path(__file__).parents[1] / "experiments" / "digits-conv.yaml"
SLOTS = 2


def search(folder: Path, children: int, epochs: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Runs the search; returns its times and the jobs that its children were."""
    from nas.experiment import Budget, load
    from nas.search.opening import open_search
    from nas.workers.pool import ChildPool
    from nas.workspace import Workspace

    settings = {"recipe.epochs": epochs, "workers.slots": SLOTS, "workers.threads": 1}
    experiment = load(EXPERIMENT, settings)
    workspace = Workspace(folder)
    begun = time.perf_counter()
    with open_search(experiment, workspace) as opened:
        if not isinstance(opened.evaluator, ChildPool):
            raise SystemExit("this benchmark measures children that are trained on their own")
        opened.evaluator.warm_up()
        ready = time.perf_counter()
        opened.advance(Budget(children=children))
        ended = time.perf_counter()
        found = opened.record.children()
    results = [child.result for child in found if child.result is not None]
    jobs = [
        {
            "architecture": child.proposal.architecture.to_json(),
            "recipe": experiment.recipe.model_dump(),
            "seed": child.seed,
            "data": str(workspace.prepared("digits")),
            "median_curve": [],
            "folder": "",
            "device": {"kind": "cpu", "threads": 1},
            "log": "",
            "seconds": child.result.train_seconds if child.result else 0.0,
        }
        for child in found
    ]
    times = {
        "start": ready - begun,
        "wall": ended - ready,
        "training_per_child": sum(result.train_seconds for result in results) / len(results),
        "overhead_per_child": sum(result.overhead_seconds for result in results) / len(results),
        "failed": float(sum(not result.ok for result in results)),
    }
    return times, jobs


def bare(jobs: list[dict[str, Any]], pipe: Connection) -> None:
    """Trains `jobs` one after the other in this process."""
    from nas.training.child import train

    pipe.send("ready")
    pipe.recv()
    for job in jobs:
        train(job)
    pipe.send("done")


def tuned(jobs: list[dict[str, Any]], pipe: Connection) -> None:
    """Trains `jobs` as the trials of a KerasTuner tuner."""
    import keras_tuner

    from nas.training.child import train

    class Tuner(keras_tuner.GridSearch):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            result = train(jobs[trial.hyperparameters.get("child")])
            return {"val_accuracy": max(epoch["val_accuracy"] for epoch in result["history"])}

    def build(hyperparameters: Any) -> None:
        hyperparameters.Int("child", 0, len(jobs) - 1)

    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            build,
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=len(jobs),
            directory=folder,
        )
        pipe.send("ready")
        pipe.recv()
        tuner.search(verbose=0)
        pipe.send("done")


def timed(work: Any, jobs: list[dict[str, Any]]) -> dict[str, float]:
    """Start-up and wall time of `work` over `jobs` in `SLOTS` processes with balanced shares."""
    shares: list[list[dict[str, Any]]] = [[] for _ in range(SLOTS)]
    for job in sorted(jobs, key=lambda job: -job["seconds"]):
        min(shares, key=lambda share: sum(each["seconds"] for each in share)).append(job)
    context = multiprocessing.get_context("spawn")
    begun = time.perf_counter()
    processes, pipes = [], []
    for share in shares:
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=work, args=(share, theirs)))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    ready = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    for pipe in pipes:
        pipe.recv()
    ended = time.perf_counter()
    for process in processes:
        process.join()
    return {"start": ready - begun, "wall": ended - ready}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--children", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of_search, jobs = search(Path(folder), arguments.children, arguments.epochs)
        of_bare = timed(bare, jobs)
        of_tuner = timed(tuned, jobs)
    figures = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "children": arguments.children,
        "search": of_search,
        "bare": of_bare,
        "keras_tuner": of_tuner,
        "search / bare": of_search["wall"] / of_bare["wall"],
        "search / keras_tuner": of_search["wall"] / of_tuner["wall"],
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{arguments.children} children on {SLOTS} slots ({figures['machine']})")
    print(f"{'':24}{'start-up s':>12}{'wall s':>10}")
    for name in ("search", "bare", "keras_tuner"):
        print(f"{name:24}{figures[name]['start']:12.1f}{figures[name]['wall']:10.1f}")
    print(
        f"a child of the search: {of_search['training_per_child']:.2f} s in training, "
        f"{of_search['overhead_per_child']:.2f} s around it"
    )
    print(f"search / bare processes  {figures['search / bare']:.3f}")
    print(f"search / KerasTuner      {figures['search / keras_tuner']:.3f}")


if __name__ == "__main__":
    main()

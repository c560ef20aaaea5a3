"""Whether a round costs the same late in a search as early: `python benchmarks/rounds.py`.

Searches 12-layer networks with children that cost nothing and compares what orchestration takes
for a round of 8 at the beginning and after 10,000 children, in one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from nas.evaluation import ChildResult, Evaluator, Job, Status
from nas.experiment import Budget, load
from nas.search.record import Record
from nas.search.search import Search

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "cifar10-nas-v1.yaml"
HISTORY = tuple({"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5} for _ in range(50))


class Free(Evaluator):
    """Children that cost nothing, with a history as long as a real one's."""

    slots = 8

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        done: Future[ChildResult] = Future()
        if started:
            started("free")
        done.set_result(ChildResult(Status.OK, HISTORY, seed=job.seed))
        return done

    def close(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--children", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=40, help="rounds measured at each end")
    arguments = parser.parse_args()
    experiment = load(EXPERIMENT, {"space.depth": 12})
    controller = experiment.controller.make("controller", space=experiment.built_space, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        record = Record.hold(Path(folder) / "record.sqlite", experiment.definition("none", 1))
        seconds: list[float] = []
        with Search(experiment, record, controller, Free(), experiment.reward.make("reward")) as search:
            for number in range(1, arguments.children // 8 + arguments.window + 1):
                begun = time.perf_counter()
                search.advance(Budget(rounds=number))
                seconds.append(time.perf_counter() - begun)
    early = statistics.median(seconds[2 : arguments.window + 2])
    late = statistics.median(seconds[-arguments.window :])
    print(f"{platform.machine()}, {os.cpu_count()} cores; rounds of 8 networks of 12 layers, median")
    print(f"after {8 * 2:6} children {1000 * early:7.1f} ms a round")
    print(f"after {8 * (len(seconds) - arguments.window):6} children {1000 * late:7.1f} ms a round")
    print(f"late / early {late / early:.3f}")


if __name__ == "__main__":
    main()

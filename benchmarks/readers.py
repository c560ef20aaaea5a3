"""What readers and the opening of a large search cost: `python benchmarks/readers.py`.

Fills the record of a search of 12-layer networks with children that were never trained (as many epochs as
`--epochs`), and measures `nas status` and `nas top` as whole processes (wall), and in another process the
opening of the search up to its first sample (processor) and the resident memory of it then. Ratios to a
record of a hundred children stand beside. `--keep FOLDER` keeps the workspace, so that another version
can be measured on the same record.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import yaml

from nas import datasets
from nas.evaluation import ChildResult, Proposal, Status
from nas.experiment import Experiment, load
from nas.search.opening import open_search
from nas.workspace import Workspace

FEW = 96
PER_ROUND = 8
TREE = {
    "data": {"source": "digits"},
    "space": {"name": "conv", "image_size": 8, "depth": 12},
    "controller": {"name": "reinforce"},
    "recipe": {"name": "image", "upsample": None, "crop": None, "flip": False},
    "budget": {"children": 10**6},
    "workers": {"slots": 2, "threads": 1},
}
OPENING = """
import sys, time, resource
import psutil
from pathlib import Path
from nas.experiment import load
from nas.search.opening import open_search
from nas.workspace import Workspace
loaded, began = load(Path(sys.argv[1])), time.process_time()
with open_search(loaded, Workspace.here()) as search:
    begun = search.sample(8)
    for child in search.record.children(batch=begun.number):
        search._median_curve(child.batch)
    spent = time.process_time() - began
    print(spent, psutil.Process().memory_info().rss / 2**20)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--children", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="workspace to make, or to measure again if it is there")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores; {arguments.epochs} epochs a child")
    with tempfile.TemporaryDirectory() as folder:
        few = measured(Path(folder), FEW, arguments.epochs)
        many = measured(arguments.keep or Path(folder) / "many", arguments.children, arguments.epochs)
    print(f"{'children':22}{FEW:10,}{arguments.children:12,}   ratio")
    for what, unit in (
        ("status", "s wall"),
        ("top", "s wall"),
        ("opening", "s processor"),
        ("memory", "MiB"),
    ):
        print(f"{what:9}{unit:13}{few[what]:10.2f}{many[what]:12.2f}{many[what] / few[what]:8.2f}")


def measured(root: Path, children: int, epochs: int) -> dict[str, float]:
    """The costs by name, for a workspace at `root` that is filled unless it is there."""
    path = root / "experiments" / "large.yaml"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(TREE))
        datasets.prepare(load(path).data, Workspace(root))
        fill(load(path), Workspace(root), children, epochs)
    environment = {**os.environ, "NAS_HOME": str(root)}
    costs = {command: wall(command, environment) for command in ("status", "top")}
    program = [sys.executable, "-c", OPENING, str(path)]
    done = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    costs["opening"], costs["memory"] = map(float, done.stdout.split())
    return costs


def wall(command: str, environment: dict[str, str]) -> float:
    """Median seconds of a whole process."""
    program = [
        sys.executable,
        "-c",
        "from nas.cli import main; main()",
        command,
        *["large"] * (command == "top"),
    ]
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(program, env=environment, capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def fill(experiment: Experiment, workspace: Workspace, children: int, epochs: int) -> None:
    """Begins the search's record and writes children into it, round by round, as a search does."""
    dice = random.Random(1)
    with open_search(experiment, workspace) as search:
        record = search.record
        record._db.execute("PRAGMA synchronous = OFF")
        pool = [search.controller.propose(PER_ROUND, 0) for _ in range(min(400, children // PER_ROUND))]
        for begin in range(0, children, PER_ROUND):
            proposals = [
                Proposal(begin + place, one.depth, one.tokens, one.architecture, {}, one.log_probability)
                for place, one in enumerate(dice.choice(pool))
            ]
            number = record.begin_batch(proposals, [1] * PER_ROUND, {}).number
            for proposal in proposals:
                best = dice.random()
                history = tuple(
                    {
                        "loss": 1.0 - best * epoch / epochs,
                        "accuracy": best * epoch / epochs,
                        "val_loss": 1.1 - best * epoch / epochs,
                        "val_accuracy": best * epoch / epochs,
                        "learning_rate": 0.1,
                        "seconds": 1.0,
                    }
                    for epoch in range(1, epochs + 1)
                )
                ok = dice.random() > 0.03
                result = ChildResult(
                    Status.OK if ok else Status.CRASHED,
                    history if ok else (),
                    reward=best**3 if ok else 0.0,
                    parameters=dice.randrange(10**4, 10**6),
                    multiply_adds=dice.randrange(10**6, 10**8),
                    train_seconds=10.0,
                )
                record.begin_child(proposal.number, "cpu-0")
                record.end_child(proposal.number, result)
            last = {} if begin + PER_ROUND < children else search._states(0, policy=True)
            record.end_batch(number, {"reward/mean": 0.5, "reward/best": 0.9, "entropy": 3.0}, last)


if __name__ == "__main__":
    main()

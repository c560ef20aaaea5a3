"""How long the page of a whole search takes and how large it is: `python benchmarks/page.py`.

Fills the record of a search of Zoph & Le's size, 12,800 networks of 15 layers with links, each with a curve
of 50 epochs, on 16 slots, with a failure here and there; then writes its page.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from nas.evaluation import ChildResult, Status
from nas.experiment import Experiment, load
from nas.report.page import write_page
from nas.report.results import gather
from nas.search.record import Record
from nas.workspace import Workspace

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "cifar10-nas-v1.yaml"
SLOTS, EPOCHS = 16, 50


def fill(record: Record, experiment: Experiment, children: int) -> None:
    """Rounds of 8 children each, whose accuracy rises slowly."""
    chance = random.Random(1)
    rule = experiment.reward.make("reward")
    controller = experiment.controller.make("controller", space=experiment.built_space, seed=1)
    for first in range(0, children, 8):
        proposals = controller.propose(min(8, children - first), first)
        begun = record.begin_batch(proposals, [chance.randrange(2**31) for _ in proposals], {})
        for number in range(first, first + len(proposals)):
            record.begin_child(number, f"gpu {chance.randrange(SLOTS)}")
            record.end_child(number, result(chance, first / children, rule))
        rewards = {"reward/mean": 0.5, "reward/best": 0.9, "entropy": 3.0 - first / children}
        record.end_batch(begun.number, rewards, {})


def result(chance: random.Random, progress: float, rule: object) -> ChildResult:
    if chance.random() < 0.02:
        return ChildResult(Status.DIVERGED, reward=0.0, message="the loss was no longer a number")
    best = 0.6 + 0.25 * progress + chance.gauss(0, 0.05)
    history = tuple(
        {"loss": 2 - value, "accuracy": value + 0.02, "val_loss": 2.1 - value, "val_accuracy": value}
        for epoch in range(EPOCHS)
        for value in (min(0.999, best * (1 - math.exp(-epoch / 8)) + chance.gauss(0, 0.01)),)
    )
    done = ChildResult(
        Status.OK,
        history,
        parameters=chance.randrange(10**5, 10**7),
        multiply_adds=chance.randrange(10**7, 10**9),
        train_seconds=chance.uniform(500, 900),
        overhead_seconds=9.0,
        seed=1,
    )
    return ChildResult(**{**vars(done), "reward": rule(done)})  # type: ignore[operator]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--children", type=int, default=12_800)
    parser.add_argument("--keep", type=Path, help="write the page to this file too")
    arguments = parser.parse_args()
    experiment = load(EXPERIMENT, {"space.depth": 15, "controller": {"name": "random"}})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.sqlite"
        with Record.hold(path, experiment.definition("none", 1)) as record:
            record._db.execute("PRAGMA synchronous = OFF")  # only to fill it sooner
            fill(record, experiment, arguments.children)
        begun, busy = time.perf_counter(), time.process_time()
        subject = gather(experiment, Workspace(Path(folder)), find=lambda _: Record.read(path))
        read = time.perf_counter()
        page = arguments.keep or Path(folder) / "page.html"
        write_page([subject], page)
        written, busy = time.perf_counter(), time.process_time() - busy
        size = page.stat().st_size
    print(f"{platform.machine()}, {os.cpu_count()} cores; {arguments.children} children of 15 layers")
    print(f"reading the record {read - begun:6.1f} s")
    print(f"writing the page   {written - read:6.1f} s")
    print(f"together           {written - begun:6.1f} s, of which the processor worked {busy:.1f} s")
    print(f"size of the page   {size / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()

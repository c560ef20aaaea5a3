"""A search that is killed twenty times at random ends equal to one that never was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from nas.experiment import load
from nas.search.opening import read_record
from nas.search.record import Record
from nas.workspace import Workspace
from tests.factories import write_experiment
from tests.search.test_search import outcome

ROOT = Path(__file__).parents[2]
KILLS = 20
CHILDREN = 120
"""More than are trained between so many kills."""
SCRIPT = """
import sys
from pathlib import Path
from nas.experiment import load
from nas.search.opening import open_search
from nas.workspace import Workspace
experiment = load(Path(sys.argv[1]))
with open_search(experiment, Workspace.here()) as search:
    print("open", flush=True)
    search.advance(experiment.budget)
"""


def start(folder: Path, experiment: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "NAS_HOME": str(folder), "NAS_TEST_TRAININGS": str(folder / "trainings")}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(experiment)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    settings = {
        "evaluator__trainer": "tests.fakes:train_by_seed",
        "workers__attempts": 1000,
        "budget__children": CHILDREN,
    }
    paths = {name: write_experiment(tmp_path / name, **settings) for name in ("whole", "killed")}
    whole = start(tmp_path / "whole", paths["whole"])
    whole.communicate(timeout=120)
    assert whole.returncode == 0

    chance = random.Random(20)
    kills = 0
    trained: dict[int, int] = {}
    """How often each child was begun when its result was found after a kill: never again after that."""
    while True:
        search = start(tmp_path / "killed", paths["killed"])
        assert search.stdout is not None
        with search.stdout:
            if kills < KILLS and search.stdout.readline():
                time.sleep(chance.uniform(0.0, 0.9))
                kills += search.poll() is None
                search.send_signal(signal.SIGKILL)
            search.wait(timeout=120)
        if search.returncode == 0:
            break
        time.sleep(0.3)  # the children of the killed search see its end
        with read_record(load(paths["killed"]), Workspace(tmp_path / "killed")) as record:
            begun = trainings(tmp_path / "killed", "begin")
            for child in record.children(finished_only=True):
                trained.setdefault(child.seed, begun[child.seed])
    records: dict[str, Record] = {
        name: read_record(load(path), Workspace(tmp_path / name)) for name, path in paths.items()
    }
    with records["whole"] as expected, records["killed"] as found:
        told = [(c.number, c.status, c.result and c.result.message) for c in found.children()]
        assert told == [(c.number, c.status, c.result and c.result.message) for c in expected.children()]
        assert outcome(found) == outcome(expected)
        assert found.count() == CHILDREN
        seeds = {child.seed for child in found.children()}
        attempts = sum(child.attempts for child in found.children())
    begun = trainings(tmp_path / "killed", "begin")
    assert {seed: begun[seed] for seed in trained} == trained
    assert set(trainings(tmp_path / "killed", "end")) == seeds
    print(f"\n{kills} kills: {attempts} trainings begun for {CHILDREN} children")
    assert kills == KILLS


def trainings(folder: Path, what: str) -> Counter[int]:
    """How often a training with each seed noted `begin` or `end`."""
    noted = folder / "trainings"
    lines = [line.split() for line in noted.read_text().splitlines()] if noted.is_file() else []
    return Counter(int(seed) for word, seed in lines if word == what)

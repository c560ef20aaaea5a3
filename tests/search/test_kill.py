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

from nas.experiment import load
from nas.search.opening import read_record
from nas.search.record import Record
from nas.workspace import Workspace
from tests.making import write_experiment
from tests.search.test_search import outcome

ROOT = Path(__file__).parents[2]
KILLS = 20
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


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    settings = {
        "evaluator__trainer": "tests.fakes:train_by_seed",
        "workers__attempts": 1000,
        "budget__children": 40,
    }
    paths = {name: write_experiment(tmp_path / name, **settings) for name in ("whole", "killed")}
    whole = start(tmp_path / "whole", paths["whole"])
    whole.communicate(timeout=120)
    assert whole.returncode == 0

    chance = random.Random(20)
    kills = 0
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
    records: dict[str, Record] = {
        name: read_record(load(path), Workspace(tmp_path / name)) for name, path in paths.items()
    }
    with records["whole"] as expected, records["killed"] as found:
        assert outcome(found) == outcome(expected)
        assert found.count() == 40
        seeds = {child.seed for child in found.children()}
        attempts = sum(child.attempts for child in found.children())
    trainings = Counter((tmp_path / "killed" / "trainings").read_text().splitlines())
    ended = {int(line.split()[1]): count for line, count in trainings.items() if line.startswith("end")}
    assert set(ended) == seeds
    # a child may be killed between its end and the commit of its result, but hardly ever
    assert sum(ended.values()) - len(ended) <= 2
    print(f"\n{kills} kills, {attempts} trainings begun for 40 children, {sum(ended.values())} finished")
    assert kills == KILLS

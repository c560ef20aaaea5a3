"""The search's process does not grow with the number of its children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.factories import write_experiment

SCRIPT = """
import gc, sys
from pathlib import Path
import psutil
from nas.experiment import Budget, load
from nas.search.opening import open_search
from nas.workspace import Workspace

def resident():
    gc.collect()
    return psutil.Process().memory_info().rss

with open_search(load(Path(sys.argv[1])), Workspace.here()) as search:
    sizes = []
    for children in (12, 62):
        search.advance(Budget(children=children))
        sizes.append(resident())
print(*sizes)
"""


def test_memory_is_flat_over_fifty_children(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    before, after = map(int, done.stdout.split())
    print(f"\n{before / 2**20:.1f} MiB after 12 children, {after / 2**20:.1f} MiB after 62")
    assert after < 1.05 * before

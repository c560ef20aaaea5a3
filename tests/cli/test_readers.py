"""The commands that only read import nothing heavy and change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Nas, Write

HEAVY = [
    "tensorflow",
    "keras",
    "jax",
    "mlflow",
    "prefect",
    "pandas",
    "sklearn",
    "scipy",
    "matplotlib",
    "dvc",
    "PIL",
    "pyarrow",
]


def test_experiments_that_share_a_record_are_found_by_each_of_their_names(
    nas: Nas, write: Write, searched: Path
) -> None:
    write(
        "mine",
        budget={"children": 5},
        search__children_per_round=3,
        evaluator__trainer="tests.fakes:train_by_seed",
    )
    nas("search", "mine", "--no-track")
    boards = [json.loads(nas("top", name, "--json").out) for name in ("tiny", "mine")]
    assert [board["experiment"] for board in boards] == ["tiny", "mine"]
    assert boards[0]["leaderboard"] == boards[1]["leaderboard"] != []
    states = [json.loads(nas("status", *name, "--json").out)["searches"] for name in ([], ["tiny"], ["mine"])]
    assert states[0] == states[1] == states[2]
    (state,) = states[0]
    assert (state["experiment"], state["names"]) == ("mine", ["mine", "tiny"])
    assert " mine, tiny " in nas("status").out
    assert nas("summary", "tiny").code == nas("show", "0", "tiny").code == nas("show", "0").code == 0


def test_readers_leave_the_record_as_it_is(nas: Nas, searched: Path) -> None:
    before = searched.read_bytes()
    for command in (["status"], ["top", "tiny"], ["show", "0", "tiny"], ["summary", "tiny"]):
        assert nas(*command).code == 0
    assert searched.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status"], ["top", "tiny"], ["show", "0", "tiny"], ["summary", "tiny"], ["doctor"]],
    ids=lambda arguments: arguments[0],
)
def test_readers_import_nothing_heavy(searched: Path, arguments: list[str]) -> None:
    script = (
        "import sys\nfrom nas.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")

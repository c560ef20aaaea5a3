"""A small table of trained networks, made by a formula, and what a comparison of controllers on it says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from nas.datasets import PreparedTable, load, prepare
from nas.experiment import Data
from nas.search.compare.comparison import Comparison, load_comparison
from nas.workspace import Workspace

DECISIONS: dict[str, Any] = {
    "filters": [8, 16, 32],
    "kernel": [1, 3, 5],
    "pool": {0: "none", 1: "max", 2: "average"},
    "skip": {0: "off", 1: "on"},
}
COLUMNS: dict[str, Any] = {
    "reward": {"column": "accuracy", "scale": 0.01},
    "cost": ["seconds", "judging"],
    "parameters": "parameters",
    "multiply_adds": {"column": "mega", "scale": 1_000_000},
    "latency": {"column": "ms", "scale": 0.001},
    "report": {"test %": "test"},
}
COMPARISON: dict[str, Any] = {
    "data": {"source": "table", "name": "small", "file": "small.csv", "decisions": DECISIONS},
    "columns": COLUMNS,
    "controllers": {
        "random": {},
        "evolution": {"population": 5, "sample": 2},
        "reinforce": {"learning_rate": 0.05, "units": 4, "children_per_round": 2},
        "two at a time": {"name": "random", "children_per_round": 2},
    },
}


def rows() -> Iterator[dict[str, float]]:
    """54 networks: larger ones are better and cost more; no two are alike."""
    for filters, kernel, pool, skip in product((8, 16, 32), (1, 3, 5), (0, 1, 2), (0, 1)):
        accuracy = 60 + 3 * math.log2(filters) + 2 * kernel - kernel**2 / 4 + 1.5 * pool + skip
        yield {
            "filters": filters,
            "kernel": kernel,
            "pool": pool,
            "skip": skip,
            "accuracy": accuracy,
            "test": accuracy - 1 + 0.25 * pool,
            "seconds": 10.0 + filters,
            "judging": 2.0,
            "parameters": filters * kernel,
            "mega": filters * kernel / 4,
            "ms": 0.5 * kernel,
        }


def write_table(file: Path) -> Path:
    """The table as CSV (also .gz) or parquet."""
    table = pd.DataFrame(rows())
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False)
    return file


def small_table(root: Path) -> PreparedTable:
    """The table, prepared in the workspace at `root`."""
    write_table(root / "small.csv")
    prepare(Data.model_validate(COMPARISON["data"]), Workspace(root))
    return load(Workspace(root).prepared("small"), PreparedTable)


def write_comparison(root: Path, name: str = "small", **changes: Any) -> Path:
    """Writes the table and COMPARISON, with `changes` of its keys, as `root/tables/NAME.yaml`."""
    write_table(root / "small.csv")
    path = root / "tables" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**COMPARISON, **changes}, sort_keys=False))
    return path


def small_comparison(root: Path, **changes: Any) -> Comparison:
    """COMPARISON with `changes` of its keys, written and loaded."""
    return load_comparison(write_comparison(root, **changes))

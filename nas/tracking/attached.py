"""Files that belong to runs which stand in MLflow already: a search's report, a child's drawing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.search.record import Record
from nas.tracking.connection import Connection
from nas.tracking.projection import PARENT, describe, noted_as, target_of

FOLDER = "report"
"""Of the artifacts of a search's run."""


def attach(to: Connection, record: Record, files: Sequence[Path], drawings: Mapping[int, Path]) -> str:
    """See `nas.tracking.Tracker.attach`."""
    noted = record.projected(target_of(to))
    parent = noted.get(PARENT)
    run = None if parent is None else to.run(parent)
    if parent is None or run is None:
        return ""
    for path in files:
        if path.is_dir():
            to.client.log_artifacts(parent, str(path), f"{FOLDER}/{path.name}")
        else:
            to.client.log_artifact(parent, str(path), FOLDER)
    with tempfile.TemporaryDirectory() as name:
        best = [child.number for child in record.best(1)]
        for number, path in drawings.items():
            named = Path(name) / f"drawing{path.suffix}"
            shutil.copyfile(path, named)
            if (child := noted.get(noted_as(number))) is not None:
                to.client.log_artifact(child, str(named))
            if number in best:
                to.client.log_artifact(parent, str(named), FOLDER)
                describe(to, record, run, f"{FOLDER}/{named.name}")
    return parent

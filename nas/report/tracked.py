"""The page and its pictures in MLflow, at the runs of the searches that they show."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nas.experiment import Experiment
from nas.report.pictures import write_curves, write_drawings
from nas.report.results import FindRecord, gather
from nas.search.opening import read_record
from nas.search.record import Record
from nas.tracking import Tracker
from nas.workspace import Workspace

DRAWN = 10
"""Children whose run carries their drawing."""


def attach(
    experiment: Experiment, workspace: Workspace, page: Path, find: FindRecord | None = None
) -> list[str]:
    """Adds page and pictures to each search's run, and their drawings to the runs of the best children.

    Args:
        experiment: its page was written.
        workspace: where everything lies.
        page: the file.
        find: how records are found; None: by the definition that the experiment has now.

    Returns:
        The ids of the searches' runs that got them; a search that was never tracked has none.

    Raises:
        TemporaryError: MLflow can't be reached.
        RefusedError: MLflow refuses.
    """

    def by_definition(one: Experiment) -> Record:
        return read_record(one, workspace)

    find = find or by_definition
    results = gather(experiment, workspace, find)
    tracker = Tracker(workspace)
    runs = []
    with tempfile.TemporaryDirectory() as name:
        curves = Path(name) / "pictures"
        curves.mkdir()
        write_curves(results, curves)
        drawings = write_drawings(results, curves, DRAWN)
        for searched in results.searches:
            own = {number: path for (seed, number), path in drawings.items() if seed == searched.seed}
            with find(experiment.with_seed(searched.seed)) as record:
                run = tracker.attach(record, [page, curves], own)
            runs += [run] if run else []
    return runs

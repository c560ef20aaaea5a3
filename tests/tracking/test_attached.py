"""A report goes to the search's run, a drawing to its child's; a search that is not there is left alone."""

from __future__ import annotations

from pathlib import Path

from nas.experiment import Experiment
from nas.search.record import Record
from nas.tracking import Tracker
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.tracking.factories import add_round, crashed, runs, trained


def listed(workspace: Workspace, run_id: str, folder: str = "") -> set[str]:
    return {file.path for file in connect(workspace).client.list_artifacts(run_id, folder or None)}


def files(folder: Path) -> tuple[list[Path], Path]:
    """A page, a folder of pictures, and a drawing."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for path in (folder / "index.html", pictures / "rewards.svg", pictures / "space.svg", folder / "one.svg"):
        path.write_text(path.name)
    return [folder / "index.html", pictures], folder / "one.svg"


def test_page_pictures_and_drawings_stand_at_their_runs(
    workspace: Workspace, experiment: Experiment, record: Record, tmp_path: Path
) -> None:
    add_round(record, trained(0.5), crashed())
    tracker = Tracker(workspace)
    tracker.sync(record, experiment)
    report, drawing = files(tmp_path)
    with Record.read(record.path) as reading:  # no need to hold it
        run_id = tracker.attach(reading, report, {0: drawing, 7: drawing})
        assert tracker.attach(reading, report, {0: drawing}) == run_id, "again changes nothing"
    (parent,) = runs(workspace, "search")
    assert run_id == parent.info.run_id
    assert listed(workspace, run_id, "report") == {
        "report/index.html",
        "report/pictures",
        "report/drawing.svg",
    }
    note = parent.data.tags["mlflow.note.content"]
    assert f"](get-artifact?path=report%2Fdrawing.svg&run_uuid={run_id})" in note
    assert listed(workspace, run_id, "report/pictures") == {
        "report/pictures/rewards.svg",
        "report/pictures/space.svg",
    }
    (child,), (other,) = runs(workspace, "child", child=0), runs(workspace, "child", child=1)
    assert listed(workspace, child.info.run_id) == {"drawing.svg"}
    assert listed(workspace, other.info.run_id) == set()
    assert parent.info.status == "FINISHED"


def test_a_search_that_was_never_tracked_gets_nothing(
    workspace: Workspace, record: Record, tmp_path: Path
) -> None:
    add_round(record, trained(0.5))
    report, drawing = files(tmp_path)
    assert Tracker(workspace).attach(record, report, {0: drawing}) == ""
    assert connect(workspace).client.search_experiments(filter_string="name = 'tiny'") == []


def test_a_run_that_was_deleted_gets_nothing(
    workspace: Workspace, experiment: Experiment, record: Record, tmp_path: Path
) -> None:
    add_round(record, trained(0.5))
    tracker = Tracker(workspace)
    tracker.sync(record, experiment)
    connect(workspace).client.delete_run(runs(workspace, "search")[0].info.run_id)
    report, drawing = files(tmp_path)
    assert tracker.attach(record, report, {0: drawing}) == ""

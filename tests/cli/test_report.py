"""`nas report` writes the page from the records alone, while a search runs too, and of several at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from nas.cli import report
from nas.search.record import Record
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.cli.conftest import Nas, Write


@pytest.fixture
def searched(nas: Nas, write: Write) -> None:
    write(budget={"children": 4})
    assert nas("search", "tiny", "--no-track").code == 0


def page(workspace: Workspace, name: str = "tiny") -> str:
    return (workspace.reports(name) / "page" / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("searched")
def test_the_page_is_written_and_its_path_is_told(nas: Nas, workspace: Workspace) -> None:
    ended = nas("report", "tiny", "--no-track")
    path = workspace.reports("tiny") / "page" / "index.html"
    assert (ended.code, ended.out) == (0, f"page  {path}\n")
    assert "4 of 4" in page(workspace)
    assert 'data-refresh="0"' in page(workspace)


@pytest.mark.usefixtures("searched")
def test_the_record_is_enough(nas: Nas, workspace: Workspace) -> None:
    shutil.rmtree(workspace.prepared("digits"))
    assert nas("report", "tiny", "--no-track").code == 0
    assert "32×32×3" in page(workspace), "what is supposed is told"
    assert "Sizes are for images of 32×32×3" in page(workspace)


@pytest.mark.usefixtures("searched")
def test_another_file_can_be_named(nas: Nas, tmp_path: Path) -> None:
    assert nas("report", "tiny", "--no-track", "--to", str(tmp_path / "mine.html")).code == 0
    assert "<title>tiny · nasflow</title>" in (tmp_path / "mine.html").read_text(encoding="utf-8")
    ended = nas("report", "tiny", "--no-track", "--to", str(tmp_path / "missing" / "mine.html"))
    assert ended.code == 2
    assert "can't be written" in ended.err


@pytest.mark.usefixtures("searched")
def test_several_experiments_stand_on_one_page(nas: Nas, write: Write, workspace: Workspace) -> None:
    write("other", budget={"children": 2}, seed=3)
    nas("search", "other", "--no-track")
    assert nas("report", "tiny", "other", "--no-track").code == 0
    assert re.search(r'<th scope="col">tiny</th><th scope="col">other</th>', page(workspace, "tiny+other"))
    ended = nas("report", "tiny", "tiny")
    assert (ended.code, "tiny twice" in ended.err) == (2, True)


def test_a_search_that_was_never_begun_is_told(nas: Nas, write: Write) -> None:
    write()
    ended = nas("report", "tiny", "--no-track")
    assert ended.code == 2
    assert "was not begun yet" in ended.err


@pytest.mark.usefixtures("searched")
def test_a_search_that_runs_is_watched_until_it_rests(
    nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = iter([4711, 4711, None])
    monkeypatch.setattr(report.time, "sleep", lambda _: None)
    monkeypatch.setattr("nas.cli.records.RecordFile.holder", lambda _: next(holders))
    written = []
    write = report._write

    def remember(*arguments: object) -> Path:
        path = write(*arguments)  # type: ignore[arg-type]
        written.append(re.findall(r'data-refresh="(\d+)"', page(workspace))[0])
        return path

    monkeypatch.setattr(report, "_write", remember)
    ended = nas("report", "tiny", "--watch", "--every", "5")
    assert ended.code == 0
    assert ended.out.endswith("Nobody works on the search any more.\n")
    assert written == ["5", "5", "5", "0"]


def test_page_and_drawings_go_to_mlflow(nas: Nas, write: Write, workspace: Workspace) -> None:
    write(budget={"children": 2})
    nas("search", "tiny")
    assert nas("report", "tiny").code == 0
    to = connect(workspace)
    (file,) = workspace.state.glob("*/record.sqlite")
    with Record.read(file) as record:
        noted = record.projected(f"mlflow:{to.uri}")
    found = {one.path for one in to.client.list_artifacts(noted["parent"], "report")}
    assert found == {"report/index.html", "report/drawing.svg", "report/pictures"}
    assert {one.path for one in to.client.list_artifacts(noted["child 0"])} == {"drawing.svg"}

"""Records and finals of an earlier version are opened, shown and gone on with (`kept_records/README.md`)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nas import datasets
from nas.cli import main
from nas.experiment import Experiment, load
from nas.final.evaluate import evaluate
from nas.final.finalize import finalize
from nas.search.opening import open_search, read_record
from nas.workspace import Workspace

KEPT = Path(__file__).parent / "kept_records"


class Kept:
    """A workspace in which an earlier version searched, finalized and evaluated one experiment."""

    def __init__(self, kind: str, root: Path) -> None:
        self.name, self.source, self.workspace = f"kept-{kind}", KEPT / kind, Workspace(root)
        self.next: dict[str, Any] = json.loads((self.source / "next.json").read_text())
        self.final: dict[str, Any] = json.loads((self.source / "final.json").read_text())
        self._restore("search.sql", self.workspace.record(self.next["search"]))
        self._restore("finals.sql", self.workspace.record(self.next["finals"]))
        models = self.workspace.models(self.name)
        self._restore("finals.sql", models / "finals.sqlite")
        shutil.copy(self.source / "final.json", models)
        for role, file in (("winner", "model.keras"), ("baseline", "baseline.keras")):
            shutil.copy(self.source / file, models)
            child = f"children/child-{self.final[role]['number']:06}"
            folder = self.workspace.record(self.next["finals"]).parent / child
            folder.mkdir(parents=True)
            shutil.copy(self.source / file, folder / "model.keras")
        evaluation = self.workspace.reports(self.name) / "evaluation"
        evaluation.mkdir(parents=True)
        shutil.copy(self.source / "evaluation.json", evaluation)
        self.workspace.experiments.mkdir()
        shutil.copy(self.source / f"{self.name}.yaml", self.workspace.experiments)
        if (self.source / "text.txt").is_file():
            shutil.copy(self.source / "text.txt", root)
        datasets.prepare(self.experiment.data, self.workspace)

    @property
    def experiment(self) -> Experiment:
        return load(self.workspace.experiments / f"{self.name}.yaml")

    def _restore(self, dump: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as db:
            db.executescript((self.source / dump).read_text())


@pytest.fixture(params=["images", "text"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Kept(request.param, tmp_path)


def test_a_record_is_found_and_shown_as_it_was(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    with read_record(kept.experiment, kept.workspace) as record:
        children, batches = record.children(), record.batches()
    assert all(child.status == "ok" for child in children)
    assert all(done.statistics for done in batches)
    best = max(children, key=lambda child: child.reward)
    for command in (["top", kept.name, "--json"], ["show", str(best.number), kept.name, "--json"]):
        with pytest.raises(SystemExit, match=r"^0$"):
            main(command)
        assert best.proposal.architecture.text() in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["status", "--json"])
    assert kept.name in capsys.readouterr().out


def test_a_search_goes_on_where_it_stood(kept: Kept) -> None:
    with open_search(kept.experiment, kept.workspace) as search:
        before = search.record.count("finished")
        begun = search.sample()
        fresh = search.record.children(batch=begun.number)
    assert begun.number > 0
    assert [child.number for child in fresh] == list(range(before, before + len(fresh)))
    assert [child.proposal.architecture.text() for child in fresh] == kept.next["next"]


def test_finals_are_not_trained_again_nor_tested_again(kept: Kept) -> None:
    then = kept.final["finalists"]
    folder = finalize(kept.experiment, kept.workspace)
    final = json.loads((folder / "final.json").read_text())
    assert final["fingerprint"] == kept.next["finals"]
    told = ("number", "architecture", "status", "seed", "epochs", "train_seconds")
    assert [{key: one[key] for key in told} for one in final["finalists"]] == [
        {key: one[key] for key in told} for one in then
    ]
    earlier = json.loads((kept.source / "evaluation.json").read_text())
    result = evaluate(kept.experiment, kept.workspace)
    assert result["test"]["touches"] == earlier["test"]["touches"] == 1
    assert result["test"]["winner"] == earlier["test"]["winner"]
    assert result["test"]["baseline"] == earlier["test"]["baseline"]

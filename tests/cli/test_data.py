"""`nas data` prepares once and says what it prepared."""

from __future__ import annotations

import shutil

from nas import datasets
from nas.workspace import Workspace
from tests.cli.conftest import Nas, Write


def test_data_are_prepared_by_source_or_experiment_and_described(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    shutil.rmtree(workspace.root / "data")
    first = nas("data", "digits")
    assert first.code == 0
    assert "write images\n" in first.out
    prepared = datasets.load(workspace.prepared("digits"))
    assert f"digits: {prepared.sizes['train']:,} train, " in first.out
    assert "images of 8×8×1" in first.out
    assert "classes  10: 0, 1, 2" in first.out
    assert f"digest   {prepared.digest}\n" in first.out
    write()
    second = nas("data", "tiny")
    assert "write images" not in second.out
    assert prepared.digest in second.out


def test_data_can_be_prepared_anew(nas: Nas, workspace: Workspace) -> None:
    before = (workspace.prepared("digits") / "prepared.json").stat().st_ino
    assert "write images" in nas("data", "digits", "--again").out
    assert (workspace.prepared("digits") / "prepared.json").stat().st_ino != before

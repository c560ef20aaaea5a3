"""`nas data` prepares once and says what it prepared."""

from __future__ import annotations

import inspect
import shutil

from nas import datasets
from nas.plugins import BUILT_IN, find
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


def test_text_is_described_by_its_tokens(nas: Nas, workspace: Workspace) -> None:
    told = nas("data", "pydoc")
    assert told.code == 0
    assert "read Python's documentation\ncount tokens\nwrite tokens\n" in told.out
    prepared = datasets.load(workspace.prepared("pydoc"), datasets.PreparedText)
    lines = told.out.splitlines()[3:]
    assert lines[0].startswith(f"pydoc: {prepared.sizes['train']:,} train, ")
    assert " test tokens (" in lines[0]
    assert (
        lines[1]
        == "  level       word, lower-case and apart from punctuation, and <eos> at the end of each line"
    )
    assert lines[2].startswith("  vocabulary  2,000 tokens, the most frequent: ")
    assert lines[3].startswith("  <unk>       ")
    assert lines[3].endswith(" of test")
    assert lines[4] == f"  digest      {prepared.digest}"


def test_a_source_that_needs_options_says_which(nas: Nas) -> None:
    told = nas("data", "text")
    assert told.code != 0
    assert "source 'text' needs the option 'train'" in told.err


def test_data_can_be_prepared_anew(nas: Nas, workspace: Workspace) -> None:
    before = (workspace.prepared("digits") / "prepared.json").stat().st_ino
    assert "write images" in nas("data", "digits", "--again").out
    assert (workspace.prepared("digits") / "prepared.json").stat().st_ino != before


def test_the_help_names_the_options_of_each_source(nas: Nas) -> None:
    told = " ".join(nas("data", "--help").out.split())
    for name in BUILT_IN["source"]:
        assert f"{name}: " in told
        for option in inspect.signature(find("source", name)).parameters:
            assert option in told, (name, option)
    assert "Options: path (needed)" in told
    assert "words=spaced" in told
    assert "seed=0" in told
    assert "Options: path" not in nas("data", "digits").out + nas("--help").out

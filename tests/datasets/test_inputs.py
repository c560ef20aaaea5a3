from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import plugins
from nas.datasets import Prepared, inputs, prepare
from nas.datasets.source import Places
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.workspace import Workspace
from tests.datasets.factories import encoded, write_folder, write_parquet

PIXELS = np.random.RandomState(0).randint(0, 256, (20, 4, 4)).astype(np.uint8)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "here")


def write_images(root: Path) -> Data:
    write_folder(root / "mine", {"a": 4, "b": 4})
    return Data(source="folder", path="mine")


def write_npz(root: Path) -> Data:
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "mine.npz", images=PIXELS, labels=np.arange(20) % 2)
    return Data(source="npz", path="mine.npz")


def write_rows(root: Path) -> Data:
    write_parquet(root / "mine.parquet", [encoded(n) for n in range(20)], [n % 2 for n in range(20)])
    return Data(source="parquet", train="mine.parquet")


def write_text(root: Path) -> Data:
    root.mkdir(parents=True, exist_ok=True)
    (root / "mine.txt").write_text("the cat sat\non the mat\n" * 10)
    return Data(source="text", train="mine.txt")


def write_table(root: Path) -> Data:
    root.mkdir(parents=True, exist_ok=True)
    (root / "mine.csv").write_text("filters,accuracy\n16,0.5\n32,0.7\n")
    return Data(source="table", file="mine.csv", decisions={"filters": [16, 32]})


def keep_times(file: Path, change: Callable[[], Any]) -> None:
    """Changes a file as `cp -p` and `rsync --times` do."""
    before = file.stat()
    change()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size, "this test is of changes that keep the size"


def move_between_classes(root: Path) -> None:
    os.rename(root / "mine/a/000.png", root / "mine/a/x.png")
    os.rename(root / "mine/b/000.png", root / "mine/a/000.png")
    os.rename(root / "mine/a/x.png", root / "mine/b/000.png")


def other_labels(root: Path) -> None:
    np.savez(root / "mine.npz", images=PIXELS, labels=1 - np.arange(20) % 2)


def swap_words(root: Path) -> None:
    file = root / "mine.txt"
    keep_times(file, lambda: file.write_text(file.read_text().replace("cat", "dog")))


def other_bytes(root: Path) -> None:
    file = root / "mine.parquet"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    keep_times(file, lambda: file.write_bytes(data))


def other_values(root: Path) -> None:
    (root / "mine.csv").write_text("filters,accuracy\n16,0.7\n32,0.5\n")


CHANGES = [
    pytest.param(write_images, move_between_classes, id="images moved between classes"),
    pytest.param(
        write_images, lambda root: os.rename(root / "mine/a/000.png", root / "mine/a/9.png"), id="renamed"
    ),
    pytest.param(write_images, lambda root: os.rename(root / "mine/a", root / "mine/c"), id="class renamed"),
    pytest.param(write_npz, other_labels, id="npz with other labels"),
    pytest.param(write_rows, other_bytes, id="parquet with another byte"),
    pytest.param(write_text, swap_words, id="text with a word swapped"),
    pytest.param(write_table, other_values, id="table with values swapped"),
]


@pytest.mark.parametrize("at_rest", [False, True], ids=["just written", "at rest"])
@pytest.mark.parametrize(("write", "change"), CHANGES)
def test_a_change_that_keeps_number_and_sizes_of_files_is_noticed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, write: Any, change: Any, at_rest: bool
) -> None:
    if at_rest:  # what was noted about the files is trusted from the first moment on
        monkeypatch.setattr(inputs, "_SETTLED_NS", -(10**12))
    data = write(workspace.root)
    first = prepare(data, workspace)
    time.sleep(0.02 if at_rest else 0)  # longer than a tick of the file system's clock
    change(workspace.root)
    with pytest.raises(InputError, match=r"changed since .* with other names or contents .*again"):
        prepare(data, workspace)
    if write is not write_rows:  # whose byte lies in a picture
        assert prepare(data, workspace, again=True).digest != first.digest or write is write_images
        assert isinstance(prepare(data, workspace), Prepared)


def test_files_at_rest_are_not_read_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_images(workspace.root)
    monkeypatch.setattr(inputs, "_SETTLED_NS", -(10**12))
    first = prepare(data, workspace)
    monkeypatch.delattr(inputs, "_sha256")
    assert prepare(data, workspace) == first


def test_files_that_were_only_touched_are_the_same(workspace: Workspace) -> None:
    data = write_images(workspace.root)
    first = prepare(data, workspace)
    for file in (workspace.root / "mine").rglob("*.png"):
        os.utime(file)
    shutil.copytree(workspace.root / "mine", workspace.root / "copy")
    shutil.rmtree(workspace.root / "mine")
    os.rename(workspace.root / "copy", workspace.root / "mine")
    assert prepare(data, workspace) == first


def test_a_workspace_that_moved_still_knows_its_files(workspace: Workspace, tmp_path: Path) -> None:
    data = write_images(workspace.root)
    first = prepare(data, workspace)
    shutil.copytree(workspace.root, tmp_path / "deep" / "er" / "there")
    moved = prepare(data, Workspace(tmp_path / "deep" / "er" / "there"))
    assert moved.digest == first.digest
    move_between_classes(tmp_path / "deep" / "er" / "there")
    with pytest.raises(InputError, match="changed since"):
        prepare(data, Workspace(tmp_path / "deep" / "er" / "there"))


def test_data_of_an_earlier_version_are_taken_up_and_watched_from_then_on(workspace: Workspace) -> None:
    data = write_images(workspace.root)
    first = prepare(data, workspace)
    file = first.folder / "prepared.json"
    described = json.loads(file.read_text())
    del described["inputs"]["digest"], described["options"]["size"]
    file.write_text(json.dumps(described))
    (first.folder.parent / ".folder.inputs").unlink()
    before = file.read_bytes()
    assert prepare(data, workspace).digest == first.digest
    assert file.read_bytes() == before, "the folder is DVC's and stays as it is"
    move_between_classes(workspace.root)
    with pytest.raises(InputError, match="changed since"):
        prepare(data, workspace)


def test_notes_that_are_damaged_or_of_other_data_count_for_nothing(workspace: Workspace) -> None:
    data = write_npz(workspace.root)
    first = prepare(data, workspace)
    for text in ("", "[]", "\xff", '{"prepared": "x", "contents": "y", "seen": "z"}'):
        (first.folder.parent / ".npz.inputs").write_text(text, encoding="latin-1")
        assert prepare(data, workspace) == first
    other_labels(workspace.root)
    with pytest.raises(InputError, match="changed since"):
        prepare(data, workspace)


def test_a_file_that_changes_while_it_is_read_is_an_error(workspace: Workspace) -> None:
    data = write_images(workspace.root)

    def progress(done: int, total: int | None, what: str) -> None:
        if what == "write images":
            (workspace.root / "mine/a/000.png").write_bytes(encoded(99))

    with pytest.raises(DataError, match=r"a/000\.png changed while it was read"):
        prepare(data, workspace, progress)
    assert not workspace.prepared("folder").exists()


def test_names_are_equal_whatever_form_of_accents_the_disk_keeps(tmp_path: Path) -> None:
    contents = []
    for accented in ("caf\u00e9", "cafe\u0301"):
        root = tmp_path / str(len(contents))
        write_folder(root / "mine", {accented: 2, "b": 2})
        source = plugins.make("source", {"name": "folder", "path": "mine"})
        contents.append(inputs.Inputs.of(source, Places(root, root, root)).contents)
    assert contents[0] == contents[1]

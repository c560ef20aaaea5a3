from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.datasets import Prepared, prepare, preparing, verify
from nas.errors import DataError, InputError, TemporaryError
from nas.experiment import Data
from nas.testing.datasets import ImageSourceContract
from nas.workspace import Workspace
from tests.datasets.factories import write_folder

STRIPES = "tests.datasets.factories:Stripes"


class TestStripes(ImageSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source=STRIPES)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def stripes(**options: Any) -> Data:
    return Data(source=STRIPES, **options)


def reads(workspace: Workspace) -> int:
    return len((workspace.root / "reads.txt").read_text().splitlines())


def visible(workspace: Workspace) -> list[str]:
    """The names under data/prepared, without lock files."""
    return sorted(p.name for p in workspace.prepared("x").parent.iterdir() if p.suffix != ".lock")


def test_what_was_prepared_says_what_it_is(workspace: Workspace) -> None:
    prepared = prepare(stripes(validation=6, test=0.1), workspace)
    assert prepared.name == "stripes"
    assert prepared.folder == workspace.root / "data" / "prepared" / "stripes"
    assert prepared.classes == ("left", "right", "up")
    assert prepared.image_shape == (4, 4, 2)
    assert prepared.sizes == {"train": 21, "validation": 6, "test": 3}
    assert prepared.options == {"each": 10, "note": None, "seed": 0, "test": 0.1, "validation": 6}
    images, labels = prepared.split("train")
    assert isinstance(images, np.memmap)
    assert (images.shape, images.dtype) == ((21, 4, 4, 2), np.uint8)
    assert (labels.shape, labels.dtype) == ((21,), np.int32)
    assert prepared.mean == pytest.approx(images.mean((0, 1, 2)))
    assert prepared.std == pytest.approx(images.std((0, 1, 2)))


def test_the_digest_of_given_data_never_changes(workspace: Workspace) -> None:
    assert (
        prepare(stripes(), workspace).digest
        == "3a8aca2d264c7ac23bfb45f370149a8b1c6709e54151f88f32bd4e405068ad00"
    )


def test_options_given_as_their_defaults_are_the_same_data(workspace: Workspace) -> None:
    first = prepare(stripes(), workspace)
    assert prepare(stripes(each=10, seed=0), workspace) == first
    assert reads(workspace) == 1


def test_prepared_data_are_opened_without_waiting_for_a_lock(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(stripes(), workspace)
    monkeypatch.delattr(preparing, "locked")
    assert prepare(stripes(), workspace) == first


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"each": 11}, r"each=10, now each is 11"),
        ({"validation": 3}, r"validation=None, now validation is 3"),
        ({"note": [1, 2]}, r"note=None, now note is \[1, 2\]"),
    ],
)
def test_other_options_under_a_taken_name_are_refused(
    workspace: Workspace, options: dict[str, Any], told: str
) -> None:
    prepare(stripes(), workspace)
    with pytest.raises(InputError, match=rf"'stripes' is already prepared with {told}.*another name"):
        prepare(stripes(**options), workspace)


def test_another_source_under_a_taken_name_is_refused(workspace: Workspace) -> None:
    prepare(stripes(name="mine"), workspace)
    with pytest.raises(InputError, match=r"prepared with source='tests.*Stripes', now source is 'digits'"):
        prepare(Data(source="digits", name="mine"), workspace)


def test_again_replaces_what_is_there(workspace: Workspace) -> None:
    first = prepare(stripes(), workspace)
    images, _ = first.split("train")
    before = np.array(images)
    second = prepare(stripes(each=11), workspace, again=True)
    assert second.digest != first.digest
    assert sum(second.sizes.values()) == 33
    assert visible(workspace) == ["stripes"]
    assert np.array_equal(images, before), "who has the old data open must go on reading them"


def test_a_failed_rebuild_leaves_the_old_data(workspace: Workspace) -> None:
    first = prepare(stripes(), workspace)
    with pytest.raises(DataError, match="class 'left' has too few images"):
        prepare(stripes(each=1), workspace, again=True)
    verify(first)
    assert visible(workspace) == ["stripes"]


def test_changed_files_of_the_user_are_noticed(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", {"a": 4, "b": 4})
    data = Data(source="folder", path="mine")
    prepare(data, workspace)
    shutil.copy(top / "a" / "000.png", top / "a" / "new.png")
    with pytest.raises(InputError, match=r"files of 'folder' changed .*: 8 files .* then, 9 files .* now"):
        prepare(data, workspace)
    shutil.rmtree(top)
    assert sum(prepare(data, workspace).sizes.values()) == 8, "prepared data stand without their files"


@pytest.mark.parametrize("name", [".", "..", ".hidden"])
def test_a_name_that_could_be_another_folder_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(InputError, match=r"data\.name"):
        prepare(stripes(name=name), workspace, again=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"validation": 0}, "validation must be a number of images"),
        ({"validation": 1.0}, "validation must be a number of images"),
        ({"test": True}, "test must be a number of images"),
        ({"test": "a.parquet"}, "test must be a number of images"),
        ({"seed": -1}, "seed must be an integer"),
        ({"eich": 3}, "unknown option 'eich' .* did you mean 'each'"),
        ({"note": {1, 2}}, "plain YAML values"),
        ({"note": float("nan")}, "plain YAML values"),
    ],
)
def test_options_that_are_not_allowed_are_named(
    workspace: Workspace, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        prepare(stripes(**options), workspace)


def test_a_folder_that_is_no_prepared_data_set_is_not_touched(workspace: Workspace) -> None:
    folder = workspace.prepared("stripes")
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match=r"stripes holds no prepared data set: prepared\.json is missing"):
        prepare(stripes(), workspace)
    assert (folder / "thesis.txt").read_text() == "precious"


def _killed_at(root: Path, what: str, again: bool) -> None:
    def progress(done: int, total: int | None, now: str) -> None:
        if now == what:
            os.kill(os.getpid(), signal.SIGKILL)

    prepare(stripes(seed=1), Workspace(root), progress, again=again)


@pytest.mark.parametrize("what", ["draw stripes", "write images"])
def test_a_process_killed_midway_leaves_nothing_that_is_taken_for_prepared(
    workspace: Workspace, what: str
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_at, args=(workspace.root, what, False)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert visible(workspace) == [".stripes.tmp"]
    verify(prepare(stripes(), workspace))
    assert visible(workspace) == ["stripes"]


def test_a_rebuild_killed_midway_leaves_the_old_data(workspace: Workspace) -> None:
    first = prepare(stripes(), workspace)
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_at, args=(workspace.root, "write images", True)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert prepare(stripes(), workspace) == first
    verify(first)


def test_the_folder_appears_only_when_all_of_it_is_on_the_disk(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    rename, sync = os.rename, preparing.sync

    def watched_rename(source: Path, target: Path) -> None:
        missing = {p.name for p in source.iterdir()} - set(synced)
        assert not missing, f"{missing} may still be lost when the machine stops"
        assert len(list(source.iterdir())) == 7
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched_rename)
    monkeypatch.setattr(preparing, "sync", lambda path: (sync(path), synced.append(path.name)))
    prepare(stripes(), workspace)
    assert synced[-1] == "prepared"


def _prepare_beside(root: Path, barrier: Any, results: Any) -> None:
    waits: list[str] = []
    barrier.wait()
    prepared = prepare(stripes(each=5000), Workspace(root), lambda _, __, what: waits.append(what))
    results.put(prepared.digest)


def test_two_processes_that_prepare_the_same_read_the_source_once(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    both = [
        context.Process(target=_prepare_beside, args=(workspace.root, barrier, results)) for _ in range(2)
    ]
    for process in both:
        process.start()
    digests = {results.get(timeout=60) for _ in both}
    for process in both:
        process.join()
    assert len(digests) == 1
    assert reads(workspace) == 1


def test_too_little_space_is_noticed_before_the_arrays_are_written(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, 0))
    with pytest.raises(TemporaryError, match=r"to write the images: 16 MiB are needed, 0 MiB are free"):
        prepare(stripes(), workspace)
    assert visible(workspace) == []


def test_a_disk_that_gets_full_is_said_and_leaves_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "sync", full)
        with pytest.raises(
            TemporaryError, match=r"disk of .*prepared is full .* could not prepare 'stripes'"
        ):
            prepare(stripes(), workspace)
    assert visible(workspace) == []
    assert isinstance(prepare(stripes(), workspace), Prepared)

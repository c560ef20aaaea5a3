"""The contract of sources of images as tests: a source's author inherits them and runs pytest."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from nas.datasets import Places, RawImages, Source, load, prepare, verify
from nas.datasets.prepared.base import SPLITS
from nas.datasets.source import silent
from nas.errors import InputError
from nas.experiment import Data
from nas.plugins import make
from nas.workspace import Workspace


class SourceContract:
    """What every source must keep to. Inherit it in a class whose name pytest collects.

    Example:
        ```python
        class TestMySource(SourceContract):
            def data(self, root: Path) -> Data:
                write_my_images(root / "mine")  # where the source needs files
                return Data(source="my_package.images:MySource", path="mine")
        ```
    """

    def data(self, root: Path) -> Data:
        """The experiment's `data` for a small data set; makes the files that it needs under `root`.

        Called once for each workspace; it must make the same data each time. Relative paths in the
        options keep them equal in all workspaces.
        """
        raise NotImplementedError("a contract's author says which data are tested")

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Workspace:
        root = tmp_path / "workspace"
        root.mkdir()
        return Workspace(root)

    def test_reading_twice_gives_the_same_images_in_the_same_order(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        first, second = _read(data, workspace, "first"), _read(data, workspace, "second")
        assert first.classes == second.classes
        assert first.parts.keys() == second.parts.keys()
        for name, part in first.parts.items():
            assert np.array_equal(part.images, second.parts[name].images)
            assert np.array_equal(part.labels, second.parts[name].labels)

    def test_every_class_has_training_images(self, workspace: Workspace) -> None:
        raw = _read(self.data(workspace.root), workspace, "scratch")
        assert np.bincount(raw.train.labels, minlength=len(raw.classes)).all()

    def test_the_source_reports_progress_that_never_passes_its_total(self, workspace: Workspace) -> None:
        calls: list[tuple[int, int | None, str]] = []
        prepare(self.data(workspace.root), workspace, lambda *call: calls.append(call))
        assert calls
        assert all(done >= 0 and (total is None or done <= total) for done, total, _ in calls)

    def test_every_image_is_in_exactly_one_split(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        raw = _read(data, workspace, "scratch")
        prepared = prepare(data, workspace)
        before = [_fingerprints(part.images, part.labels) for part in raw.parts.values()]
        after = [_fingerprints(*prepared.split(name)) for name in SPLITS]
        assert sorted(chain(*before)) == sorted(chain(*after))

    def test_every_class_is_in_every_split_that_was_made(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        own = _read(data, workspace, "scratch").parts
        prepared = prepare(data, workspace)
        for name in SPLITS:
            if name not in own or name == "train":
                counts = np.bincount(prepared.split(name)[1], minlength=len(prepared.classes))
                assert counts.all(), name

    def test_the_digest_is_the_same_in_another_workspace(self, workspace: Workspace, tmp_path: Path) -> None:
        other = Workspace(tmp_path / "elsewhere")
        other.root.mkdir()
        here, there = (prepare(self.data(w.root), w) for w in (workspace, other))
        assert here.digest == there.digest
        verify(here)

    def test_what_is_prepared_is_not_read_again(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = self.data(workspace.root)
        first = prepare(data, workspace)

        def read(*_: object) -> RawImages:
            raise AssertionError("the source was read again")

        monkeypatch.setattr(type(_source(data)), "read", read)
        assert prepare(data, workspace) == first
        assert load(first.folder) == first

    def test_another_seed_gives_other_splits_and_needs_another_name(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        own = _read(data, workspace, "scratch").parts
        if "validation" in own and "test" in own:
            pytest.skip("this source has all splits of its own")
        first = prepare(data, workspace)
        reseeded = data.model_copy(update={"seed": 12345})
        with pytest.raises(InputError, match="seed"):
            prepare(reseeded, workspace)
        second = prepare(reseeded.model_copy(update={"name": "reseeded"}), workspace)
        assert second.digest != first.digest


def _source(data: Data) -> Source:
    source = make("source", {"name": data.source, **data.options})
    assert isinstance(source, Source)
    return source


def _read(data: Data, workspace: Workspace, scratch: str) -> RawImages:
    places = Places(workspace.root, workspace.raw, workspace.root / f".{scratch}")
    shutil.rmtree(places.scratch, ignore_errors=True)
    for folder in (places.raw, places.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    return _source(data).read(places, silent)


def _fingerprints(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    return [image.tobytes() + bytes([label % 256]) for image, label in zip(images, labels, strict=True)]

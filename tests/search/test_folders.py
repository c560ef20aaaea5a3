"""JSON files of this program's own, whoever wrote what is there now."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import InputError
from nas.search import folders
from nas.search.folders import read_json, write_json


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"[1]", b"9" * 5000, b"x" * 200])
def test_what_is_damaged_or_too_large_is_refused_shortly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    if content.startswith(b"x"):
        monkeypatch.setattr(folders, "LARGEST_JSON", 100)
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder's parent should be")
    page = folders.replaced(tmp_path / "taken" / "page")
    with pytest.raises(InputError, match=r"taken/page can't be written"), page:
        pytest.fail("nothing can be written there")

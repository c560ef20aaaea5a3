from __future__ import annotations

import errno
import hashlib
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.datasets.download import download
from nas.errors import DataError, InputError, TemporaryError
from tests.datasets.factories import Server, described, serving

CONTENT = np.random.RandomState(0).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def fetch(server: Server, file: Path, **options: Any) -> Path:
    return download(
        server.url, file, **{"size": len(CONTENT), "md5": MD5, "attempts": 3, "pause_seconds": 0, **options}
    )


def part_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.{MD5[:8]}.part")


def test_a_file_is_downloaded_with_progress_and_nothing_else_is_left(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None, str]] = []
    file = tmp_path / "raw" / "file.bin"
    with serving(Server(CONTENT)) as server:
        fetch(server, file, progress=lambda *call: calls.append(call))
    assert file.read_bytes() == CONTENT
    assert calls[-1] == (len(CONTENT), len(CONTENT), "download file.bin")
    assert [p.name for p in file.parent.iterdir() if not p.name.startswith(".")] == ["file.bin"]


def test_a_file_that_is_there_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    with serving(Server(CONTENT)) as server:
        fetch(server, tmp_path / "file.bin")
    assert server.requests == []


def test_a_download_that_an_earlier_process_began_is_continued(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    part_of(file).write_bytes(CONTENT[:1_000_001])
    with serving(Server(CONTENT)) as server:
        fetch(server, file)
    assert server.requests == ["bytes=1000001-"]
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("announce_length", [True, False])
def test_dropped_connections_are_continued_where_they_broke(tmp_path: Path, announce_length: bool) -> None:
    drops = [700_000, 10, 600_000, 500_000]
    with serving(Server(CONTENT, drop_after=drops, announce_length=announce_length)) as server:
        fetch(server, tmp_path / "file.bin", attempts=2)
    starts = [0, 700_000, 700_010, 1_300_010, 1_800_010]
    assert server.requests == [f"bytes={start}-" if start else "" for start in starts]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_from_the_beginning(tmp_path: Path) -> None:
    with serving(Server(CONTENT, ranges=False, drop_after=[900_000])) as server:
        fetch(server, tmp_path / "file.bin")
    assert server.requests == ["", "bytes=900000-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_that_never_sends_more_is_given_up_and_what_came_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    with (
        serving(Server(CONTENT, ranges=False, drop_after=[500_000] * 9)) as server,
        pytest.raises(TemporaryError, match=r"500,000 of 3,000,000 bytes .* mirror or a file://") as caught,
    ):
        fetch(server, file)
    assert server.url in str(caught.value)
    assert len(server.requests) == 3
    assert not file.exists()
    assert part_of(file).read_bytes() == CONTENT[:500_000]


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    with serving(Server(CONTENT, statuses=[503, 429])) as server:
        fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_partial_file_that_the_server_does_not_know_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    part_of(file).write_bytes(CONTENT[:500_000])
    with serving(Server(CONTENT, statuses=[416])) as server:
        fetch(server, file)
    assert server.requests == ["bytes=500000-", ""]
    assert file.read_bytes() == CONTENT


def test_a_wrong_address_is_not_tried_twice(tmp_path: Path) -> None:
    with (
        serving(Server(CONTENT, statuses=[404, 404])) as server,
        pytest.raises(InputError, match=r"404 .* option url to a mirror") as caught,
    ):
        fetch(server, tmp_path / "file.bin")
    assert server.url in str(caught.value)
    assert len(server.requests) == 1


def test_an_unreachable_server_is_named_with_the_way_out(tmp_path: Path) -> None:
    with serving(Server(CONTENT)) as server:
        pass  # closed again: nobody listens there
    with pytest.raises(TemporaryError, match=r"can't be reached .*option url to a mirror") as caught:
        fetch(server, tmp_path / "file.bin")
    assert server.url in str(caught.value)


def test_a_wrong_checksum_names_file_expected_and_found_and_sets_the_file_aside(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    other = bytes(len(CONTENT))
    found = hashlib.md5(other).hexdigest()
    with (
        serving(Server(other)) as server,
        pytest.raises(DataError, match=rf"MD5 {found}, expected 3,000,000 bytes with {MD5}") as caught,
    ):
        fetch(server, file)
    assert str(file) in str(caught.value)
    assert not file.exists()
    assert not part_of(file).exists()
    assert (tmp_path / "file.bin.bad").read_bytes() == other


def test_a_wrong_file_put_there_by_hand_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"something else")
    with serving(Server(CONTENT)) as server:
        with pytest.raises(DataError, match=r"14 bytes .* set aside as file\.bin\.bad; start again"):
            fetch(server, file)
        fetch(server, file)
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x"])
def test_a_file_of_another_length_is_refused_before_it_comes(tmp_path: Path, content: bytes) -> None:
    with (
        serving(Server(content)) as server,
        pytest.raises(DataError, match=rf"has {len(content):,} bytes, expected 3,000,000"),
    ):
        fetch(server, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()


def test_a_file_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    with (
        serving(Server(CONTENT * 2, announce_length=False)) as server,
        pytest.raises(DataError, match="expected 3,000,000 bytes"),
    ):
        fetch(server, tmp_path / "file.bin")


def test_a_file_address_works(tmp_path: Path) -> None:
    (tmp_path / "mirror file.bin").write_bytes(CONTENT)
    options = described(tmp_path / "mirror file.bin")
    download(options.pop("url"), tmp_path / "raw" / "file.bin", **options)
    assert (tmp_path / "raw" / "file.bin").read_bytes() == CONTENT


def test_a_missing_file_behind_a_file_address_is_named(tmp_path: Path) -> None:
    url = (tmp_path / "nothing.bin").as_uri()
    with pytest.raises(InputError, match=r"nothing\.bin"):
        download(url, tmp_path / "file.bin", size=3, md5=MD5)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "/home/me/x.tar.gz", "data:,x"])
def test_other_kinds_of_address_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"http://, https:// or file://"):
        download(url, tmp_path / "file.bin", size=3, md5=MD5)


def test_too_little_space_is_noticed_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30 - 2**20, 2**20))
    with (
        serving(Server(CONTENT)) as server,
        pytest.raises(TemporaryError, match=r"to download file\.bin: 19 MiB are needed, 1 MiB are free"),
    ):
        fetch(server, tmp_path / "file.bin")
    assert server.requests == []


def test_a_disk_that_gets_full_midway_is_said_and_the_download_continues_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file.bin"
    opened = Path.open

    def full_after_a_megabyte(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        handle = opened(path, mode, *args, **kwargs)
        if path != part_of(file) or "r" in mode:
            return handle
        write: Callable[[bytes], int] = handle.write

        class Full:
            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                handle.close()

            def write(self, data: bytes) -> int:
                if handle.tell() >= 2**20:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return write(data)

        return Full()

    with serving(Server(CONTENT)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", full_after_a_megabyte)
            with pytest.raises(TemporaryError, match=r"disk of .* is full .* download file\.bin.* free some"):
                fetch(server, file)
        assert not file.exists()
        assert part_of(file).stat().st_size == 2**20
        fetch(server, file)
    assert file.read_bytes() == CONTENT
    assert server.requests == ["", f"bytes={2**20}-"]

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from nas.datasets.archive import read_members
from nas.errors import DataError
from tests.datasets.factories import write_archive

FILES = {"set/a.bin": np.random.RandomState(0).bytes(50_000), "set/b.bin": b"b" * 1000}


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def test_only_what_is_wanted_is_read_and_nothing_is_unpacked(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.tar.gz", FILES)
    assert read_members(tmp_path / "x.tar.gz", ["set/b.bin"]) == {"set/b.bin": b"b" * 1000}
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_leading_dot_in_names_is_no_matter(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.tar.gz", {f"./{name}": data for name, data in FILES.items()})
    assert read_members(tmp_path / "x.tar.gz", list(FILES)) == FILES


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (member("/etc/passwd", tarfile.REGTYPE), "'/etc/passwd' points outside"),
        (member("set/../../escape", tarfile.REGTYPE), "'set/../../escape' points outside"),
        (member("set/link", tarfile.SYMTYPE, "/etc"), "'set/link' is a link to '/etc'"),
        (member("set/hard", tarfile.LNKTYPE, "set/a.bin"), "'set/hard' is a link to 'set/a.bin'"),
        (member("set/disk", tarfile.BLKTYPE), "'set/disk' is a device"),
        (member("set/pipe", tarfile.FIFOTYPE), "'set/pipe' is a device or a pipe"),
    ],
)
def test_a_member_that_reaches_outside_is_refused(tmp_path: Path, bad: tarfile.TarInfo, problem: str) -> None:
    write_archive(tmp_path / "x.tar.gz", FILES, bad)
    with pytest.raises(DataError, match=problem) as caught:
        read_members(tmp_path / "x.tar.gz", list(FILES))
    assert str(tmp_path / "x.tar.gz") in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_an_error_that_names_it(tmp_path: Path, share: float) -> None:
    file = tmp_path / "x.tar.gz"
    write_archive(file, FILES)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"x\.tar\.gz .*truncated"):
        read_members(file, list(FILES))


def test_a_file_that_is_no_archive_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"<html>not here</html>" * 100)
    with pytest.raises(DataError, match=r"x\.tar\.gz"):
        read_members(tmp_path / "x.tar.gz", list(FILES))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.tar.gz", FILES)
    with pytest.raises(DataError, match=r"no file 'set/c\.bin'"):
        read_members(tmp_path / "x.tar.gz", ["set/c.bin"])

"""Reads files out of a tar.gz archive that nobody vouches for, without unpacking it onto the disk."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from nas.datasets.limits import check_expansion
from nas.errors import DataError


def read_members(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """The contents of the files `names` in a tar.gz archive.

    Every member is looked at, wanted or not: an archive with one that points outside is refused, and all
    count for the limit (`nas.datasets.limits`), because gzip unpacks also what is passed over.

    Raises:
        DataError: the archive expands beyond the limit, is truncated or damaged, a file is missing, or a
            member is a link, a device, or points outside; the message names the archive and the member.
    """
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(archive) as plain, tarfile.open(fileobj=plain, mode="r:") as tar:
            for member in tar:
                _check(archive, member)
                check_expansion(archive, member.offset_data + member.size)
                name = str(PurePosixPath(member.name))
                if name in names:
                    stream = tar.extractfile(member)
                    data = stream.read() if stream is not None else b""
                    if len(data) != member.size:
                        raise tarfile.ReadError(f"'{name}' is cut short")
                    contents[name] = data
            while plain.read(2**20):  # to the very end, where gzip's own checksum stands
                check_expansion(archive, plain.tell())
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{archive} is a truncated or damaged archive ({error}); delete it to download it anew"
        ) from error
    missing = sorted(set(names) - set(contents))
    if missing:
        raise DataError(f"{archive} has no file '{missing[0]}': it is truncated, or another archive")
    return contents


def _check(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        problem = "points outside the archive"
    elif member.issym() or member.islnk():
        problem = f"is a link to '{member.linkname}'"
    elif not (member.isfile() or member.isdir()):
        problem = "is a device or a pipe"
    else:
        return
    raise DataError(f"{archive} is refused: its member '{member.name}' {problem}; nothing of it was used")

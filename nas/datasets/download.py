"""Downloads a file whose size and checksum are known, going on where it was interrupted.

Written on the standard library: the well-kept downloaders for Python either check a hash but begin
again after each interruption, or continue but bring a whole client for one hosting service.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from nas.datasets.files import check_space, full_disk_explained, locked, sync
from nas.datasets.source import Progress, silent
from nas.errors import DataError, InputError, TemporaryError

_BLOCK = 2**18
_TIMEOUT_SECONDS = 30
_LONGEST_PAUSE_SECONDS = 30
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class _BrokenOffError(Exception):
    """The connection failed or ended early; trying again may help."""


def download(
    url: str,
    file: Path,
    *,
    size: int,
    md5: str,
    progress: Progress | None = None,
    attempts: int = 5,
    pause_seconds: float = 1.0,
) -> Path:
    """Makes `file` the file at `url`, unless it already is.

    What came before an interruption stays in a `.part` file and is continued, by this call or a later
    one, if the server can (HTTP range requests). `file` appears only when it is complete, checked and
    on the disk. A file put there by hand is used if its checksum is right.

    Args:
        url: http, https or file.
        file: where it goes; its folder is made.
        size: the expected number of bytes.
        md5: the expected MD5 as hexadecimal text.
        progress: called with `(done, total, what)` in bytes.
        attempts: failures in a row, without a byte coming, after which it gives up.
        pause_seconds: before the second attempt; doubled for each further one.

    Raises:
        InputError: the address is not allowed or not found.
        DataError: size or checksum is wrong; the bad file was set aside.
        TemporaryError: the server can't be reached, or the disk is full.
    """
    progress = progress or silent
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https", "file"):
        raise InputError(f"url must begin with http://, https:// or file://. Received: {url!r}")
    waiting = f"wait for the process that downloads {file.name}"
    with locked(file.with_name(f".{file.name}.lock"), waiting=lambda: progress(0, None, waiting)):
        if file.exists():
            _check(file, file, size, md5, url)
            return file
        # The checksum in the name keeps the beginnings of different files apart.
        part = file.with_name(f"{file.name}.{md5[:8]}.part")
        with full_disk_explained(file.parent, f"download {file.name}"):
            _fetch_all(url, part, file.name, size, progress, attempts, pause_seconds)
            sync(part)
        _check(part, file, size, md5, url)
        os.replace(part, file)
        sync(file.parent)
    return file


def _fetch_all(
    url: str, part: Path, name: str, size: int, progress: Progress, attempts: int, pause_seconds: float
) -> None:
    """Fills `part` up to `size` bytes, however many connections that takes."""
    failures, furthest = 0, _size(part)
    while (before := _size(part)) < size:
        check_space(part.parent, size - before, f"download {name}")
        try:
            _fetch(url, part, name, size, progress)
        except _BrokenOffError as error:
            failures = 1 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= attempts:
                raise TemporaryError(
                    f"{url} can't be downloaded: {error}. {_size(part):,} of {size:,} bytes have come and "
                    "are kept: start again to go on, or set the option url to a mirror or a file:// address"
                ) from error
            time.sleep(min(_LONGEST_PAUSE_SECONDS, pause_seconds * 2 ** (failures - 1)))


def _fetch(url: str, part: Path, name: str, size: int, progress: Progress) -> None:
    """One connection: appends to `part` what comes, from the beginning if the server wants it so."""
    start = _size(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "nasflow"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
        ) as answer:
            continued = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            done = start if continued else 0
            length = answer.headers.get("Content-Length", "")
            if length.isdigit() and done + int(length) != size:
                raise DataError(
                    f"the file at {url} has {done + int(length):,} bytes, expected {size:,}; check the "
                    "option url, and size and md5 where the source has them"
                )
            with part.open("ab" if continued else "wb") as out:
                while done <= size:
                    try:
                        block = answer.read(_BLOCK)
                    except (http.client.HTTPException, OSError) as error:
                        raise _BrokenOffError(f"the connection broke ({error!r})") from error
                    if not block:
                        break
                    out.write(block)
                    done += len(block)
                    progress(min(done, size), size, f"download {name}")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the server's file is not longer than what has come
            part.unlink(missing_ok=True)
            raise _BrokenOffError("the server has no more bytes than have come already") from error
        if error.code in _PASSING_STATUSES:
            raise _BrokenOffError(f"the server answered {error.code} {error.reason}") from error
        raise InputError(
            f"{url} can't be downloaded: the server answered {error.code} {error.reason}; "
            "set the option url to a mirror or a file:// address"
        ) from error
    except _NETWORK_ERRORS as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, FileNotFoundError | IsADirectoryError | PermissionError):
            raise InputError(f"{url} can't be read: {reason}") from error
        raise _BrokenOffError(f"the server can't be reached ({reason})") from error
    if done < size:
        raise _BrokenOffError(f"the connection ended after {done:,} of {size:,} bytes")


def _check(file: Path, final: Path, size: int, md5: str, url: str) -> None:
    """Sets `file` aside and raises unless its size and checksum are right."""
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as handle:
        while block := handle.read(2**20):
            digest.update(block)
    found = file.stat().st_size
    if found == size and digest.hexdigest() == md5.lower():
        return
    aside = final.with_name(f"{final.name}.bad")
    os.replace(file, aside)
    raise DataError(
        f"{final} is not the file that was expected: {found:,} bytes with the MD5 {digest.hexdigest()}, "
        f"expected {size:,} bytes with {md5}. It was set aside as {aside.name}; start again to download it "
        f"anew, and if this comes again, check the option url ({url}), and size and md5 where the source has "
        "them"
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0

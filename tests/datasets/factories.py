"""Small images, archives and a misbehaving web server for the tests of data sets."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from nas.datasets.images import ImageSource, Labelled, RawImages
from nas.datasets.source import Places, Progress
from nas.datasets.text import RawText, TextSource

CIFAR_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def encoded(seed: int, shape: tuple[int, ...] = (6, 5, 3), form: str = "PNG") -> bytes:
    """An image file of random pixels: RGB, or grey for a shape without channels."""
    pixels = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def write_folder(top: Path, counts: Mapping[str, int], shape: tuple[int, ...] = (6, 5, 3)) -> Path:
    """A folder of class folders with `counts[class]` images each."""
    seed = 0
    for name, count in counts.items():
        (top / name).mkdir(parents=True)
        for number in range(count):
            (top / name / f"{number:03}.png").write_bytes(encoded(seed, shape))
            seed += 1
    return top


def write_parquet(file: Path, images: list[Any], labels: list[Any], **columns: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels, **columns}), file)
    return file


def cifar_batch(seed: int, records: int) -> bytes:
    """Records as in CIFAR-10's binary files, with the labels 0, 1, …, 9, 0, …"""
    pixels = np.random.RandomState(seed).randint(0, 256, (records, 3072)).astype(np.uint8)
    labels = (np.arange(records) % 10).astype(np.uint8)
    return np.concatenate([labels[:, np.newaxis], pixels], axis=1).tobytes()


def cifar_files(records: int = 20) -> dict[str, bytes]:
    """The files of a small CIFAR-10."""
    files = {
        f"cifar-10-batches-bin/data_batch_{number}.bin": cifar_batch(number, records)
        for number in range(1, 6)
    }
    files["cifar-10-batches-bin/test_batch.bin"] = cifar_batch(6, records)
    files["cifar-10-batches-bin/batches.meta.txt"] = ("\n".join(CIFAR_NAMES) + "\n\n").encode()
    return files


def write_archive(file: Path, files: Mapping[str, bytes], *others: tarfile.TarInfo) -> dict[str, Any]:
    """A tar.gz of `files`, and of `others` without contents; returns the options that describe it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # No time stamps: the archive of the same files is the same archive.
    with io.BytesIO() as plain:
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            for member in others:
                tar.addfile(member)
        file.write_bytes(gzip.compress(plain.getvalue(), compresslevel=1, mtime=0))
    return described(file)


def described(file: Path) -> dict[str, Any]:
    """The options url, size and md5 for a file."""
    data = file.read_bytes()
    return {"url": file.as_uri(), "size": len(data), "md5": hashlib.md5(data).hexdigest()}


@dataclass(frozen=True, kw_only=True)
class Stripes(ImageSource):
    """A user's own source, in memory: `each` images for each of three classes."""

    each: int = 10
    note: Any = None

    def read(self, places: Places, progress: Progress) -> RawImages:
        with (places.root / "reads.txt").open("a") as log:
            log.write("read\n")
        labels = np.arange(3 * self.each) % 3
        images = np.arange(labels.size * 4 * 4 * 2, dtype=np.int64).reshape(-1, 4, 4, 2) * 7 % 251
        progress(1, 1, "draw stripes")
        return RawImages(("left", "right", "up"), Labelled(images.astype(np.uint8), labels))


VERSES = "the cat sat\non the mat\n\nthe cat ran\n"


@dataclass(frozen=True, kw_only=True)
class Verses(TextSource):
    """A user's own source of text, in memory."""

    train: Any = VERSES
    validation: Any = "the dog sat\n"
    test: Any = ("a cat", "")

    def read(self, places: Places, progress: Progress) -> RawText:
        return RawText(self.train, self.validation, self.test)


@dataclass
class Server:
    """A web server on loopback that serves one file as badly as told.

    Attributes:
        content: the file.
        ranges: whether it can send the rest of a file only.
        drop_after: bytes after which a connection is cut; one entry for each connection, then none.
        statuses: status codes to answer with; one entry for each connection, then 200.
        requests: the `Range` header of each request that came, "" for none.
    """

    content: bytes
    ranges: bool = True
    drop_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    announce_length: bool = True
    requests: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            server.requests.append(wanted)
            if server.statuses:
                self.send_error(server.statuses.pop(0))
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
            body = server.content[start:]
            if start:
                self.send_response(206)
                last = len(server.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
            else:
                self.send_response(200)
            if server.announce_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: server.drop_after.pop(0)] if server.drop_after else body)

        def log_message(self, *_: Any) -> None:
            """Stays quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}/file.bin"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()

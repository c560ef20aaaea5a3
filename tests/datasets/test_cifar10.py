from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.datasets import prepare
from nas.datasets.cifar10 import Cifar10
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.testing.datasets import ImageSourceContract
from nas.workspace import Workspace
from tests.datasets.factories import CIFAR_NAMES, cifar_batch, cifar_files, described, write_archive


class TestCifar10(ImageSourceContract):
    def data(self, root: Path) -> Data:
        return small(root)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def small(root: Path, files: dict[str, bytes] | None = None, **options: Any) -> Data:
    """CIFAR-10 with 20 images in each of its files, served from a file."""
    archive = write_archive(root / "mirror" / "small.tar.gz", files or cifar_files())
    return Data(source="cifar10", validation=20, **{**archive, **options})


def test_the_default_is_the_original_archive_and_the_papers_split() -> None:
    source = Cifar10()
    assert source.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert (source.size, source.md5) == (170_052_171, "c32a1d4ab5d03f1284b67883e8d87530")
    assert source.validation == 5000


def test_an_archive_is_downloaded_read_and_kept(workspace: Workspace) -> None:
    prepared = prepare(small(workspace.root), workspace)
    assert prepared.classes == tuple(CIFAR_NAMES)
    assert prepared.image_shape == (32, 32, 3)
    assert prepared.sizes == {"train": 80, "validation": 20, "test": 20}
    assert (workspace.raw / "cifar-10-binary.tar.gz").is_file()


def test_planes_become_channels_row_by_row(workspace: Workspace) -> None:
    prepared = prepare(small(workspace.root), workspace)
    images, labels = prepared.split("test")
    record = np.frombuffer(cifar_batch(6, 20), dtype=np.uint8)[7 * 3073 : 8 * 3073]
    assert labels[7] == record[0] == 7
    for row, column, channel in [(0, 0, 0), (0, 31, 1), (5, 2, 2), (31, 31, 2)]:
        assert images[7, row, column, channel] == record[1 + 1024 * channel + 32 * row + column]


def test_a_mirror_of_the_same_archive_is_the_same_data(workspace: Workspace) -> None:
    data = small(workspace.root)
    first = prepare(data, workspace)
    assert prepare(data.model_copy(update={"url": "https://mirror.example.org/c.tar.gz"}), workspace) == first
    assert "url" not in first.options


def test_a_wrong_checksum_names_file_expected_and_found(workspace: Workspace) -> None:
    data = small(workspace.root, md5="0" * 32)
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz .* expected .* bytes with 0{32}"):
        prepare(data, workspace)
    assert not workspace.prepared("cifar10").exists()


def test_a_truncated_archive_is_named(workspace: Workspace) -> None:
    file = workspace.root / "mirror" / "short.tar.gz"
    write_archive(file, cifar_files())
    file.write_bytes(file.read_bytes()[:-100_000])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is a truncated or damaged archive"):
        prepare(Data(source="cifar10", validation=20, **described(file)), workspace)
    assert not workspace.prepared("cifar10").exists()


def test_a_missing_batch_is_named(workspace: Workspace) -> None:
    files = cifar_files()
    del files["cifar-10-batches-bin/data_batch_4.bin"]
    with pytest.raises(DataError, match=r"no file 'cifar-10-batches-bin/data_batch_4\.bin'"):
        prepare(small(workspace.root, files), workspace)


def test_a_batch_with_half_a_record_is_named(workspace: Workspace) -> None:
    files = cifar_files()
    files["cifar-10-batches-bin/data_batch_2.bin"] += b"half"
    with pytest.raises(DataError, match=r"data_batch_2\.bin has 61,464 bytes, expected a multiple of 3,073"):
        prepare(small(workspace.root, files), workspace)


def test_a_label_out_of_range_is_named_with_its_record(workspace: Workspace) -> None:
    files = cifar_files()
    batch = bytearray(files["cifar-10-batches-bin/test_batch.bin"])
    batch[3 * 3073] = 10
    files["cifar-10-batches-bin/test_batch.bin"] = bytes(batch)
    with pytest.raises(DataError, match=r"test_batch\.bin, record 3 .* label 10 .* expected 0 to 9"):
        prepare(small(workspace.root, files), workspace)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"md5": 12}, "md5 must be 32 hexadecimal digits in quotes"),
        ({"size": "170 MB"}, "size must be a number of bytes"),
        ({"url": ""}, "url must be a text"),
        ({"test": 100}, "test images of its own"),
    ],
)
def test_options_that_are_not_allowed_are_named(
    workspace: Workspace, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        prepare(small(workspace.root, **options), workspace)

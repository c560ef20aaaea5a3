from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nas.datasets import limits, prepare
from nas.datasets.archive import read_members
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.workspace import Workspace
from tests.datasets.factories import encoded, write_archive, write_folder

NPZ = Data(source="npz", path="mine.npz")
TOO_LARGE = (
    r"would expand to .* the limit .* is 0\.001 GB.* raise the limit by the variable NAS_READ_LIMIT_GB="
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of a megabyte, so that no test needs a true bomb."""
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "0.001")


def test_the_limit_follows_the_size_of_the_file_and_the_users_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    with file.open("wb") as opened:
        opened.truncate(10**8)
    assert limits.limit_of(file) == 10**10
    (tmp_path / "y").write_bytes(b"y")
    assert limits.limit_of(tmp_path / "y") == 2**30
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "2.5")
    assert limits.limit_of(file) == 2_500_000_000
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "much")
    with pytest.raises(InputError, match=r"NAS_READ_LIMIT_GB must be a number of gigabytes.*'much'"):
        limits.limit_of(file)


@pytest.mark.parametrize("wanted", [["bomb"], ["small"]], ids=["wanted", "passed over"])
@pytest.mark.usefixtures("small")
def test_a_tar_archive_that_expands_too_much_is_refused(tmp_path: Path, wanted: list[str]) -> None:
    write_archive(tmp_path / "x.tar.gz", {"bomb": bytes(2 * 10**6), "small": b"s"})
    with pytest.raises(DataError, match=TOO_LARGE):
        read_members(tmp_path / "x.tar.gz", wanted)


def test_a_member_that_only_claims_to_be_large_costs_nothing(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("huge")
    huge.size = 2**50
    file = tmp_path / "x.tar.gz"
    file.write_bytes(gzip.compress(huge.tobuf() + bytes(1024)))
    with pytest.raises(DataError, match=r"would expand to 1,125,899"):
        read_members(file, ["huge"])


@pytest.mark.usefixtures("small")
def test_what_follows_the_end_of_a_tar_archive_counts_too(tmp_path: Path) -> None:
    with io.BytesIO() as plain:
        with tarfile.open(fileobj=plain, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        (tmp_path / "x.tar.gz").write_bytes(gzip.compress(plain.getvalue() + bytes(4 * 10**6)))
    with pytest.raises(DataError, match=TOO_LARGE):
        read_members(tmp_path / "x.tar.gz", ["empty"])


@pytest.mark.usefixtures("small")
def test_an_npz_file_that_expands_too_much_is_refused(tmp_path: Path) -> None:
    images = np.zeros((2000, 32, 32), np.uint8)
    np.savez_compressed(tmp_path / "mine.npz", images=images, labels=np.arange(2000) % 2)
    with pytest.raises(DataError, match=TOO_LARGE):
        prepare(NPZ, Workspace(tmp_path))


def test_an_array_whose_own_header_claims_more_than_the_archive_is_refused(tmp_path: Path) -> None:
    with io.BytesIO() as lying, zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        np.lib.format.write_array_header_1_0(
            lying, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 4, 4)}
        )
        archive.writestr("images.npy", lying.getvalue() + b"xx")
        with io.BytesIO() as labels:
            np.save(labels, np.arange(20) % 2)
            archive.writestr("labels.npy", labels.getvalue())
    with pytest.raises(DataError, match=r"would expand to 17,592"):
        prepare(NPZ, Workspace(tmp_path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.usefixtures("small")
def test_of_two_members_with_one_name_that_counts_which_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (
            ("images", np.zeros((20, 4, 4), np.uint8)),
            ("images", np.zeros((2000, 32, 32), np.uint8)),
            ("labels", np.arange(2000) % 2),
        ):
            with io.BytesIO() as file:
                np.save(file, array)
                archive.writestr(f"{name}.npy", file.getvalue())
    with pytest.raises(DataError, match=r"would expand to|both name"):
        prepare(NPZ, Workspace(tmp_path))


def test_the_user_can_raise_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.RandomState(0).randint(0, 256, (2000, 32, 32)).astype(np.uint8)
    np.savez_compressed(tmp_path / "mine.npz", images=images, labels=np.arange(2000) % 2)
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "0.003")
    assert sum(prepare(NPZ, Workspace(tmp_path)).sizes.values()) == 2000


@pytest.mark.usefixtures("small")
def test_a_parquet_file_that_expands_too_much_is_refused(tmp_path: Path) -> None:
    table = pa.table({"image": [bytes(n) for n in range(100_000, 100_020)], "label": [0, 1] * 10})
    pq.write_table(table, tmp_path / "mine.parquet", use_dictionary=False)
    with pytest.raises(DataError, match=TOO_LARGE):
        prepare(Data(source="parquet", train="mine.parquet"), Workspace(tmp_path))


@pytest.mark.usefixtures("small")
def test_a_parquet_file_of_endless_equal_rows_is_refused(tmp_path: Path) -> None:
    table = pa.table({"image": [b"x"] * 200_000, "label": [1] * 200_000})
    pq.write_table(table, tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=TOO_LARGE):
        prepare(Data(source="parquet", train="mine.parquet"), Workspace(tmp_path))


def test_the_limit_holds_for_the_pixels_of_an_image_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "mine", {"a": 4, "b": 4})
    (tmp_path / "mine" / "a" / "000.png").write_bytes(encoded(99, (30, 20, 3)))
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "0.000001")  # 250 pixels
    data = Data(source="folder", path="mine", size=4)
    with pytest.raises(DataError, match=r"a/000\.png .*DecompressionBomb.* variable NAS_READ_LIMIT_GB"):
        prepare(data, Workspace(tmp_path))
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "0.001")
    assert sum(prepare(data, Workspace(tmp_path)).sizes.values()) == 8

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.datasets import Prepared, PreparedImages, PreparedText, load, prepare, verify
from nas.datasets.prepared.base import KINDS, kind_named
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.workspace import Workspace


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedImages:
    found = prepare(Data(source="tests.datasets.factories:Stripes"), Workspace(tmp_path))
    assert isinstance(found, PreparedImages)
    return found


def describe(prepared: Prepared, **changes: Any) -> None:
    """Changes keys of prepared.json; None takes a key away."""
    file = prepared.folder / "prepared.json"
    description = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in description.items() if value is not None}))


def test_a_prepared_data_set_is_found_by_its_folder_alone(prepared: PreparedImages, tmp_path: Path) -> None:
    shutil.copytree(prepared.folder, tmp_path / "moved")
    moved = load(tmp_path / "moved")
    verify(moved)
    assert (moved.name, moved.digest, moved.mean) == ("moved", prepared.digest, prepared.mean)


def test_nothing_can_be_written_into_its_images(prepared: PreparedImages) -> None:
    images, _ = prepared.split("train")
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_an_unknown_split_names_the_nearest(prepared: PreparedImages) -> None:
    with pytest.raises(DataError, match=r"no split is named 'valid': did you mean 'validation'"):
        prepared.split("valid")


def test_a_folder_without_a_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path} holds no prepared data set"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["train_images.npy", "validation_labels.npy", "test_images.npy"])
def test_a_missing_array_is_named(prepared: PreparedImages, file: str) -> None:
    (prepared.folder / file).unlink()
    with pytest.raises(DataError, match=rf"{file} can't be read"):
        load(prepared.folder)


@pytest.mark.parametrize("length", [0, 50, 200])
def test_an_array_that_is_cut_short_is_named(prepared: PreparedImages, length: int) -> None:
    file = prepared.folder / "train_images.npy"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match=r"train_images\.npy can't be read .*prepare it again"):
        load(prepared.folder)


def test_an_array_of_another_form_is_named_with_both_forms(prepared: PreparedImages) -> None:
    np.save(prepared.folder / "test_labels.npy", np.zeros(5, dtype="<i8"))
    with pytest.raises(DataError, match=r"test_labels\.npy should hold int32 \(3,\), but holds int64 \(5,\)"):
        load(prepared.folder)


def test_an_array_of_pickled_objects_is_never_loaded(prepared: PreparedImages) -> None:
    np.save(prepared.folder / "test_labels.npy", np.array([{}, {}, {}]), allow_pickle=True)
    with pytest.raises(DataError, match=r"test_labels\.npy can't be read"):
        load(prepared.folder)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_one_changed_pixel_is_found_by_verify_only(prepared: PreparedImages, split: str) -> None:
    file = prepared.folder / f"{split}_images.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=rf"were changed: their digest .* {prepared.digest} was prepared"):
        verify(load(prepared.folder))


def test_swapped_class_names_are_found_by_verify(prepared: PreparedImages) -> None:
    describe(prepared, classes=prepared.classes[::-1])
    with pytest.raises(DataError, match="were changed"):
        verify(load(prepared.folder))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 99}'])
def test_a_damaged_description_is_named(prepared: PreparedImages, text: str) -> None:
    (prepared.folder / "prepared.json").write_text(text)
    with pytest.raises(DataError, match=r"prepared\.json .*prepare it again"):
        load(prepared.folder)


def test_a_data_set_is_opened_as_what_it_is(prepared: PreparedImages, tmp_path: Path) -> None:
    text = prepare(Data(source="tests.datasets.factories:Verses"), Workspace(tmp_path))
    assert isinstance(load(text.folder), PreparedText)
    assert isinstance(load(prepared.folder), PreparedImages)
    assert (text.kind, prepared.kind) == ("text", "images")


def test_one_that_was_prepared_before_kinds_had_names_holds_images(prepared: PreparedImages) -> None:
    describe(prepared, kind=None)
    assert load(prepared.folder) == prepared
    verify(load(prepared.folder, PreparedImages))


def test_who_needs_another_kind_is_told(prepared: PreparedImages, tmp_path: Path) -> None:
    text = prepare(Data(source="tests.datasets.factories:Verses"), Workspace(tmp_path))
    with pytest.raises(InputError, match="'stripes' holds images, but text is needed here"):
        load(prepared.folder, PreparedText)
    with pytest.raises(InputError, match="'verses' holds text, but images is needed here"):
        load(text.folder, PreparedImages)


@pytest.mark.parametrize("kind", ["image", "nas.errors:NasError", 3, ["text"]])
def test_an_unknown_kind_is_named_and_nothing_is_imported_for_it(prepared: PreparedImages, kind: Any) -> None:
    describe(prepared, kind=kind)
    with pytest.raises(DataError, match=r"prepared\.json has the kind .*doesn't know.*prepare it again"):
        load(prepared.folder)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_there_under_its_own_name(kind: str) -> None:
    assert kind == kind_named(kind).KIND


@pytest.mark.parametrize("sizes", [[1, 2, 3], {"train": 24}, {"train": "x", "validation": 3, "test": 3}])
def test_sizes_that_are_damaged_are_noticed(prepared: PreparedImages, sizes: Any) -> None:
    describe(prepared, sizes=sizes)
    with pytest.raises(DataError):
        load(prepared.folder)

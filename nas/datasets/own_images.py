"""A user's own images: a folder of class folders, parquet files, or an npz file."""

from __future__ import annotations

import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.datasets import labels as labelling
from nas.datasets.decoding import Decoder, checked_size
from nas.datasets.images import ImageSource, Labelled, RawImages
from nas.datasets.parquet import ParquetImages
from nas.datasets.source import Places, Progress, check_text
from nas.errors import DataError

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Folder(ImageSource):
    """A folder with one folder of images for each class, whose name is the class name.

    On top there may be the folders `train`, and beside it `validation` and `test`, each with class
    folders. Names that begin with a dot are passed over; every other file must be an image.

    Attributes:
        path: the folder; a relative path starts at the workspace.
        size: to which images are resized: a number or `[height, width]`; None: all have one size.
    """

    path: str
    size: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("path", self.path)
        checked_size(self.size)

    def read(self, places: Places, progress: Progress) -> RawImages:
        parts = {part: self._files(folder) for part, folder in self._parts(places).items()}
        classes = tuple(parts["train"])
        for part, files in parts.items():
            for name in files:
                if name not in classes:
                    raise DataError(
                        f"{self._parts(places)[part]} has the class folder '{name}', which the training "
                        f"images don't have; expected {', '.join(classes)}"
                    )
        total = sum(len(found) for files in parts.values() for found in files.values())
        decoder = Decoder(checked_size(self.size), places.scratch, total, progress)
        for part, files in parts.items():
            decoder.decode(part, ((str(file), file) for found in files.values() for file in found))
        numbers = {name: number for number, name in enumerate(classes)}
        return _raw(
            classes,
            {
                part: Labelled(
                    decoder.images(part),
                    np.repeat([numbers[name] for name in files], [len(found) for found in files.values()]),
                )
                for part, files in parts.items()
            },
        )

    def inputs(self, places: Places) -> Iterable[Path]:
        folder = places.resolve(self.path)
        return (file for file in folder.rglob("*") if not _hidden(file, folder))

    def _parts(self, places: Places) -> dict[str, Path]:
        """The folders that hold class folders, by part."""
        top = places.resolve(self.path)
        if not top.is_dir():
            raise DataError(f"no folder is at {top} (path={self.path!r})")
        if not (top / "train").is_dir():
            return {"train": top}
        for entry in sorted(top.iterdir()):
            if not _hidden(entry, top) and entry.name not in _PARTS:
                raise DataError(
                    f"{entry} lies beside {top / 'train'}, where only {', '.join(_PARTS)} are expected"
                )
        return {part: top / part for part in _PARTS if (top / part).is_dir()}

    @staticmethod
    def _files(folder: Path) -> dict[str, list[Path]]:
        """The image files of each class folder, in an order that no file system changes."""
        files: dict[str, list[Path]] = {}
        for entry in sorted(folder.iterdir(), key=_sortable):
            if _hidden(entry, folder):
                continue
            if not entry.is_dir():
                raise DataError(f"{entry} is a file, expected only folders in {folder}, one for each class")
            inside = [f for f in entry.rglob("*") if f.is_file() and not _hidden(f, entry)]
            if not inside:
                raise DataError(f"the class folder {entry} holds no images")
            files[_sortable(Path(entry.name))] = sorted(inside, key=_sortable)
        if len(files) < 2:
            raise DataError(f"{folder} must hold at least two class folders. Received: {list(files)}")
        return files


@dataclass(frozen=True, kw_only=True)
class Parquet(ImageSource):
    """Parquet files with a column of encoded images and a column of labels.

    Images are binary, or a struct with a binary field `bytes`, as Hugging Face writes them. Labels are
    whole numbers from 0 on, or texts. Rows are counted from 0 in errors.

    Attributes:
        train: the file with the training images; a relative path starts at the workspace.
        validation: a file of its own, or how much of `train` is split off.
        test: like `validation`.
        image_column: name of the column of images.
        label_column: name of the column of labels.
        classes: class names in the order of their numbers; None: the labels that `train` has, sorted.
        size: to which images are resized: a number or `[height, width]`; None: all have one size.
    """

    train: str
    validation: Any = None
    test: Any = None
    image_column: str = "image"
    label_column: str = "label"
    classes: Any = None
    size: Any = None

    def __post_init__(self) -> None:
        for option in ("train", "image_column", "label_column"):
            check_text(option, getattr(self, option))
        checked_size(self.size)
        labelling.checked_classes(self.classes)
        super().__post_init__()

    def check_amount(self, option: str, value: object) -> None:
        if not isinstance(value, str) or not value:
            super().check_amount(option, value)

    def read(self, places: Places, progress: Progress) -> RawImages:
        parts = {
            part: ParquetImages(file, self.image_column, self.label_column)
            for part, file in self._files(places).items()
        }
        # Labels first: a wrong one is found before minutes of decoding.
        values = {part: images.labels() for part, images in parts.items()}
        where = {part: _row_of(str(images.file)) for part, images in parts.items()}
        classes, indices = _labels(values, where, self.classes)
        decoder = Decoder(
            checked_size(self.size), places.scratch, sum(len(v) for v in values.values()), progress
        )
        for part, images in parts.items():
            decoder.decode(part, images)
        return _raw(classes, {part: Labelled(decoder.images(part), indices[part]) for part in parts})

    def inputs(self, places: Places) -> Iterable[Path]:
        return self._files(places).values()

    def _files(self, places: Places) -> dict[str, Path]:
        values = {part: getattr(self, part) for part in _PARTS}
        return {part: places.resolve(value) for part, value in values.items() if isinstance(value, str)}


@dataclass(frozen=True, kw_only=True)
class Npz(ImageSource):
    """An npz file with the arrays `x_train`, `y_train` (and `x_test`, `y_test`), or `images`, `labels`.

    Images are uint8 with shape `(n, height, width)` or `(n, height, width, channels)`; labels are
    whole numbers from 0 on, or texts, with shape `(n,)` or `(n, 1)`.

    Attributes:
        path: the file; a relative path starts at the workspace.
        classes: class names in the order of their numbers; None: the labels of the training images, sorted.
    """

    path: str
    classes: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("path", self.path)
        labelling.checked_classes(self.classes)

    def read(self, places: Places, progress: Progress) -> RawImages:
        file = places.resolve(self.path)
        arrays = _npz_arrays(file)
        progress(1, 1, f"read {file.name}")
        keys = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
        if "x_train" not in arrays:
            keys = {"train": ("images", "labels")}
        if not any(key in arrays for key in keys.get("test", ())):
            keys.pop("test", None)
        for key in (key for pair in keys.values() for key in pair):
            if key not in arrays:
                raise DataError(
                    f"{file} has no array '{key}': expected x_train and y_train (and x_test and y_test), or "
                    f"images and labels. Received: {', '.join(sorted(arrays)) or 'no arrays'}"
                )
        images = {part: _npz_images(file, x, arrays[x]) for part, (x, _) in keys.items()}
        values = {part: _npz_labels(file, y, arrays[y], len(images[part])) for part, (_, y) in keys.items()}
        where = {part: _row_of(f"{file}: {y}") for part, (_, y) in keys.items()}
        classes, indices = _labels(values, where, self.classes)
        return _raw(classes, {part: Labelled(images[part], indices[part]) for part in keys})

    def inputs(self, places: Places) -> Iterable[Path]:
        return (places.resolve(self.path),)


def _npz_arrays(file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        raise DataError(f"no file is at {file}")
    try:
        with file.open("rb") as handle:
            arrays = np.load(handle, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            with arrays:
                return {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{file} can't be read as an npz file of plain arrays: {error}") from error


def _npz_images(file: Path, key: str, images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(
            f"{file}: {key} must be uint8 (values 0–255) with shape (n, height, width) or (n, height, width, "
            f"channels). Received: {images.dtype} {images.shape}"
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _npz_labels(file: Path, key: str, values: np.ndarray, count: int) -> labelling.Values:
    if values.dtype.kind not in "iuU" or values.shape not in ((count,), (count, 1)):
        raise DataError(
            f"{file}: {key} must be {count} whole numbers or texts, one for each image. "
            f"Received: {values.dtype} {values.shape}"
        )
    flat = values.reshape(count)
    return [str(value) for value in flat] if values.dtype.kind == "U" else flat.astype(np.int64)


def _labels(
    values: Mapping[str, labelling.Values], where: Mapping[str, Callable[[int], str]], classes: object
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The class names and each part's labels as indices; `where` names the rows of a part."""
    train = values["train"]
    names = labelling.checked_classes(classes) or labelling.class_names(train, where["train"])
    for part, found in values.items():
        if isinstance(found, list) != isinstance(train, list):
            raise DataError(f"{where[part](0)}: labels must be of one kind, all numbers or all texts")
    return names, {part: labelling.indices(found, names, where[part]) for part, found in values.items()}


def _row_of(name: str) -> Callable[[int], str]:
    return lambda row: f"{name}, row {row}"


def _raw(classes: tuple[str, ...], parts: Mapping[str, Labelled]) -> RawImages:
    return RawImages(classes, parts["train"], parts.get("validation"), parts.get("test"))


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _sortable(path: Path) -> str:
    """The path as text that is equal on file systems that store accents in different ways."""
    return unicodedata.normalize("NFC", path.as_posix())

"""A user's own images: a folder of class folders, parquet files, or an npz file."""

from __future__ import annotations

import logging
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.datasets import labels as labelling
from nas.datasets.decoding import Decoder, checked_background, checked_fit, checked_size
from nas.datasets.files import below
from nas.datasets.images import ImageSource, Labelled, RawImages
from nas.datasets.limits import check_expansion
from nas.datasets.parquet import ParquetImages, shards
from nas.datasets.source import Places, Progress, check_text
from nas.errors import DataError

_PARTS = ("train", "validation", "test")
_NAMED = 10
_MOST_CHANNELS = 4

_logger = logging.getLogger("nas")


@dataclass(frozen=True, kw_only=True)
class Folder(ImageSource):
    """A folder with one folder of images for each class, whose name is the class name.

    On top there may be the folders `train`, and beside it `validation` and `test`, each with class
    folders. Names that begin with a dot are passed over, and said; every other file must be an image.
    Links are followed.

    Attributes:
        path: the folder; a relative path starts at the workspace.
        size: to which images are resized: a number or `[height, width]`; None: all have one size.
        fit: how images of another shape come to `size`: `stretch` changes their proportions, `crop` keeps
            them, so that the shorter side fills it and what is left over at both ends of the longer is cut.
        background: what shows where images are transparent: a colour's name, `#rrggbb` or three numbers.
    """

    path: str
    size: Any = None
    fit: str = "stretch"
    background: Any = "white"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("path", self.path)
        checked_size(self.size)
        checked_fit(self.fit, self.size)
        checked_background(self.background)

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
        decoder = Decoder(
            checked_size(self.size),
            places.scratch,
            total,
            progress,
            checked_background(self.background),
            self.fit,
        )
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
        return below(places.resolve(self.path)).files

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
        hidden: list[Path] = []
        lost: list[Path] = []
        for entry in sorted(folder.iterdir(), key=_sortable):
            if _hidden(entry, folder):
                hidden.append(entry)
                continue
            if entry.is_symlink() and not entry.exists():
                lost.append(entry)
                continue
            if not entry.is_dir():
                raise DataError(f"{entry} is a file, expected only folders in {folder}, one for each class")
            inside = below(entry)
            hidden += inside.hidden
            lost += inside.lost
            if not inside.files and not inside.lost:
                raise DataError(f"the class folder {entry} holds no images")
            name = _sortable(Path(entry.name))
            if name in files:
                raise DataError(
                    f"{folder} has two class folders that read '{name}', with accents written in two ways: "
                    "put their images into one"
                )
            files[name] = sorted(inside.files, key=_sortable)
        if lost:
            raise DataError(
                f"{folder} has {_listed(lost)} that can't be read: broken links, links to a folder that "
                "holds them, or no files at all; mend or delete them"
            )
        if hidden:
            _logger.warning("passed over, because of a dot before their names: %s", _listed(hidden))
        if len(files) < 2:
            raise DataError(f"{folder} must hold at least two class folders. Received: {list(files)}")
        return files


@dataclass(frozen=True, kw_only=True)
class Parquet(ImageSource):
    """Parquet files with a column of encoded images and a column of labels.

    Images are binary, or a struct with a binary field `bytes`, as Hugging Face writes them. Labels are
    whole numbers from 0 or 1 on, truth values, or texts. Rows are counted from 0 in errors.

    Attributes:
        train: the training images: a file, a folder of files, or a pattern as in `data/train-*.parquet`;
            a relative path starts at the workspace.
        validation: files of its own, named like `train`, or how much of `train` is split off.
        test: like `validation`.
        image_column: name of the column of images.
        label_column: name of the column of labels.
        classes: class names in the order of their numbers; None: those that the files' metadata hold for
            the labels that occur or, without any, the labels that `train` has, sorted.
        size: to which images are resized: a number or `[height, width]`; None: all have one size.
        fit: how images of another shape come to `size`: `stretch` changes their proportions, `crop` keeps
            them, so that the shorter side fills it and what is left over at both ends of the longer is cut.
        background: what shows where images are transparent: a colour's name, `#rrggbb` or three numbers.
    """

    train: str
    validation: Any = None
    test: Any = None
    image_column: str = "image"
    label_column: str = "label"
    classes: Any = None
    size: Any = None
    fit: str = "stretch"
    background: Any = "white"

    def __post_init__(self) -> None:
        for option in ("train", "image_column", "label_column"):
            check_text(option, getattr(self, option))
        checked_size(self.size)
        checked_fit(self.fit, self.size)
        checked_background(self.background)
        labelling.checked_classes(self.classes)
        super().__post_init__()

    def check_amount(self, option: str, value: object) -> None:
        if not isinstance(value, str) or not value:
            super().check_amount(option, value)

    def read(self, places: Places, progress: Progress) -> RawImages:
        parts = {
            part: ParquetImages(path, self.image_column, self.label_column)
            for part, path in self._paths(places).items()
        }
        taken: dict[Path, str] = {}
        for part, images in parts.items():
            for file in images.files:
                if file in taken:
                    raise DataError(f"{file} is one of the files of {taken[file]} and of {part}")
                taken[file] = part
        # Labels first: a wrong one is found before minutes of decoding.
        values = {part: images.labels() for part, images in parts.items()}
        where = {part: images.row for part, images in parts.items()}
        names = self.classes
        if names is None and (known := parts["train"].names) is not None:
            values, names = _named(values, where, known)
        classes, indices = _labels(values, where, names)
        decoder = Decoder(
            checked_size(self.size),
            places.scratch,
            sum(len(v) for v in values.values()),
            progress,
            checked_background(self.background),
            self.fit,
        )
        for part, images in parts.items():
            decoder.decode(part, images)
        return _raw(classes, {part: Labelled(decoder.images(part), indices[part]) for part in parts})

    def inputs(self, places: Places) -> Iterable[Path]:
        return (file for path in self._paths(places).values() for file in shards(path))

    def _paths(self, places: Places) -> dict[str, Path]:
        values = {part: getattr(self, part) for part in _PARTS}
        return {part: places.resolve(value) for part, value in values.items() if isinstance(value, str)}


@dataclass(frozen=True, kw_only=True)
class Npz(ImageSource):
    """An npz file with arrays of images and of labels, named as the usual collections name them.

    One part: `images` and `labels`, `x` and `y`, `data` and `target`, … More: `x_train` and `y_train`
    (Keras), `train_images` and `train_labels` (MedMNIST), … with `val`, `valid` or `validation` and `test`
    in place of `train`. Upper and lower case are the same. Arrays of other names are passed over, and said.

    Images are uint8 with shape `(n, height, width)` or `(n, height, width, channels)`; labels are
    whole numbers from 0 or 1 on, truth values, or texts, with shape `(n,)` or `(n, 1)`.

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
        arrays, keys = _npz_arrays(file)
        progress(1, 1, f"read {file.name}")
        images, values = {}, {}
        for part, (x, y) in keys.items():
            images[part] = _npz_images(file, x, arrays[x], len(arrays[y]) if arrays[y].ndim else 0)
            values[part] = _npz_labels(file, y, arrays[y], len(images[part]))
        where = {part: _row_of(f"{file}: {y}") for part, (_, y) in keys.items()}
        classes, indices = _labels(values, where, self.classes)
        return _raw(classes, {part: Labelled(images[part], indices[part]) for part in keys})

    def inputs(self, places: Places) -> Iterable[Path]:
        return (places.resolve(self.path),)


_PART_WORDS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_IMAGE_WORDS = {"x": "y", "images": "labels", "image": "label", "imgs": "labels", "data": "labels"}
_LABEL_WORDS = {"y": "x", "labels": "images", "label": "image", "targets": "data", "target": "data"}
"""Words for images, and for labels, each with that for the other which goes with it."""


def _npz_keys(file: Path, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The names of the images and of the labels of each part."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
        part = next((part for part, own in _PART_WORDS.items() for word in words if word in own), "")
        kind = next((kind for kind in (_IMAGE_WORDS, _LABEL_WORDS) for word in words if word in kind), None)
        if kind is None or len(words) != (2 if part else 1):
            continue
        pair = found.setdefault(part, {})
        what = "images" if kind is _IMAGE_WORDS else "labels"
        if what in pair:
            raise DataError(f"{file}: '{pair[what]}' and '{name}' both name the {part or 'only'} {what}")
        pair[what] = name
    whole = found.pop("", {})
    if "train" not in found:
        found["train"] = whole
    if not found["train"]:
        found["train"] = {"labels": "labels"} if "labels" in names else {}
    keys = {}
    for part in [part for part in _PARTS if part in found]:
        pair = found[part]
        if len(pair) < 2:
            missing = _partner(next(iter(pair.values()))) if pair else "images"
            raise DataError(
                f"{file} has no array '{missing}': expected x_train and y_train (and x_test and y_test), or "
                f"images and labels. Received: {', '.join(sorted(names)) or 'no arrays'}"
            )
        keys[part] = (pair["images"], pair["labels"])
    unused = sorted(set(names) - {name for pair in keys.values() for name in pair})
    if unused:
        _logger.warning("%s: arrays that are not used: %s", file, ", ".join(unused[:_NAMED]))
    return keys


def _partner(name: str) -> str:
    """The name of the labels that go with images `name`, or the other way round."""
    for word, other in {**_IMAGE_WORDS, **_LABEL_WORDS}.items():
        changed = re.sub(rf"(?<![a-z]){word}(?![a-z])", other, name, flags=re.IGNORECASE)
        if changed != name:
            return changed
    return "labels"


def _npz_arrays(file: Path) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str]]]:
    """The arrays that are used, and their names by part."""
    if not file.is_file():
        raise DataError(f"no file is at {file}")
    try:
        with file.open("rb") as handle:
            arrays = np.load(handle, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            with arrays:
                keys = _npz_keys(file, arrays.files)
                used = [name for pair in keys.values() for name in pair]
                check_expansion(file, sum(_npz_bytes(arrays, name) for name in used))
                return {name: arrays[name] for name in used}, keys
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise DataError(f"{file} can't be read as an npz file of plain arrays: {error}") from error


def _npz_bytes(arrays: Any, name: str) -> int:
    """The memory that an array of an npz file takes: the archive says it, and so does the array."""
    info = arrays.zip.getinfo(name if name in arrays.zip.namelist() else f"{name}.npy")
    with arrays.zip.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
    return max(int(info.file_size), int(np.prod(shape, dtype=object)) * dtype.itemsize)


def _npz_images(file: Path, key: str, images: np.ndarray, labels: int) -> np.ndarray:
    advice = ""
    if images.ndim in (3, 4) and len(images) != labels == images.shape[-1]:
        last = images.ndim - 1
        advice = f": the last axis counts the images, so use {key}.transpose{(last, *range(last))}"
    elif images.dtype == np.uint16:
        advice = f": bring 16 bits to 8 by the range that they use, as in ({key} / {key}.max() * 255)"
    elif images.dtype.kind == "f":
        advice = ": bring them to 0–255 and save them as uint8"
    elif images.ndim == 2:
        advice = f": give the pixels in a row their height and width, as in {key}.reshape(-1, 28, 28)"
    elif images.ndim == 4 and _channels_first(images.shape):
        advice = f": the channels stand before height and width, so use {key}.transpose(0, 2, 3, 1)"
    if advice or images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(
            f"{file}: {key} must be uint8 (values 0–255) with shape (n, height, width) or (n, height, width, "
            f"channels). Received: {images.dtype} {images.shape}{advice}"
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether `(n, a, b, c)` is likely `(n, channels, height, width)`."""
    _, first, second, last = shape
    if last <= _MOST_CHANNELS:
        return False
    return first <= _MOST_CHANNELS or (second == last and first < second)


def _npz_labels(file: Path, key: str, values: np.ndarray, count: int) -> labelling.Values:
    if values.dtype.kind not in "biuSU" or values.shape not in ((count,), (count, 1)):
        columns = values.ndim == 2 and len(values) == count and values.shape[1] > 1
        advice = f": of one column for each class take {key}.argmax(axis=1)" if columns else ""
        raise DataError(
            f"{file}: {key} must be {count} whole numbers or texts, one for each image. "
            f"Received: {values.dtype} {values.shape}{advice}"
        )
    flat = values.reshape(count)
    if values.dtype.kind == "S":
        try:
            return [value.decode() for value in flat.tolist()]
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: {key} holds bytes that are not UTF-8 ({error})") from error
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
    first = labelling.first_number(train, names)
    return names, {
        part: labelling.indices(found, names, where[part], first) for part, found in values.items()
    }


def _named(
    values: Mapping[str, labelling.Values], where: Mapping[str, Callable[[int], str]], names: Sequence[str]
) -> tuple[dict[str, labelling.Values], list[str]]:
    """The labels as names, and the names of those that occur, in the order of their numbers."""
    known = {part: labelling.indices(found, names, where[part], 0) for part, found in values.items()}
    present = np.unique(np.concatenate(list(known.values())))
    if len(present) < len(names):
        _logger.warning("%d of the %d named classes have no image", len(names) - len(present), len(names))
    texts: dict[str, labelling.Values] = {
        part: [names[number] for number in found] for part, found in known.items()
    }
    return texts, [names[number] for number in present]


def _row_of(name: str) -> Callable[[int], str]:
    return lambda row: f"{name}, row {row}"


def _raw(classes: tuple[str, ...], parts: Mapping[str, Labelled]) -> RawImages:
    return RawImages(classes, parts["train"], parts.get("validation"), parts.get("test"))


def _listed(paths: Sequence[Path]) -> str:
    more = ", …" if len(paths) > _NAMED else ""
    return f"{len(paths):,} names ({', '.join(map(str, sorted(paths)[:_NAMED]))}{more})"


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _sortable(path: Path) -> str:
    """The path as text that is equal on file systems that store accents in different ways."""
    return unicodedata.normalize("NFC", path.as_posix())

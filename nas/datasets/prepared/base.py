"""What all prepared data sets share, whatever they hold, and how the right kind is opened."""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, overload

from nas.errors import DataError, InputError, nearest

SCHEMA = 1
"""Raised when the files of a prepared data set change their form."""

SPLITS = ("train", "validation", "test")
DESCRIPTION = "prepared.json"

KINDS = {
    "images": "nas.datasets.prepared.images:PreparedImages",
    "text": "nas.datasets.prepared.text:PreparedText",
    "table": "nas.datasets.prepared.table:PreparedTable",
}
"""The subclass of `Prepared` for each `kind` in a `prepared.json`. One that names none holds images."""


@dataclass(frozen=True, kw_only=True)
class Prepared(ABC):
    """A data set that is ready; its arrays stay on disk until they are used.

    A kind of data is a subclass in a file of its own and an entry in `KINDS`. What it must guarantee:
    `read` opens what `prepared.json` describes without reading the contents; `contents_digest` reads
    every byte, and equal data have equal digests, wherever and whenever they were prepared.

    Attributes:
        folder: where its arrays lie.
        digest: SHA-256 of all contents as hexadecimal text.
        sizes: how much each split holds, in the kind's unit (images, tokens, rows).
        source: the name of its source.
        options: the source's options, defaults included.
    """

    KIND: ClassVar[str]
    """Its name in `KINDS`."""

    folder: Path
    digest: str
    sizes: Mapping[str, int]
    source: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """What it holds: a name in `KINDS`."""
        return self.KIND

    @property
    @abstractmethod
    def summary(self) -> str:
        """How much of what it holds, in one line for people."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, str]:
        """More about its contents for people: a word or two → a line."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """The data set in `folder`, of which `prepared.json` says `description`.

        Raises:
            DataError: a file is missing, cut short or of another form.
            KeyError, AttributeError, TypeError, ValueError: the description is damaged.
        """

    @abstractmethod
    def contents_digest(self) -> str:
        """The digest of what lies in the folder now; reads every byte."""


P = TypeVar("P", bound=Prepared)


@overload
def load(folder: Path) -> Prepared: ...


@overload
def load(folder: Path, kind: type[P]) -> P: ...


def load(folder: Path, kind: type[Prepared] | None = None) -> Prepared:
    """Opens the prepared data set in `folder`, checking that its arrays are what it says.

    Reads no contents; `verify` does.

    Args:
        folder: what `prepare` made.
        kind: the kind that the caller can use, e.g. `PreparedImages`; None: any.

    Raises:
        DataError: nothing was prepared there, or a file is missing, cut short or of another form.
        InputError: the data set is of another kind.
    """
    description = read_description(folder)
    named = description.get("kind", "images")
    if not isinstance(named, str) or named not in KINDS:
        raise DataError(
            f"{folder / DESCRIPTION} has the kind {named!r}, which this version doesn't know "
            f"({nearest(str(named), KINDS)}); prepare it again"
        )
    found = kind_named(named)
    if kind is not None and not issubclass(found, kind):
        raise InputError(
            f"the data set '{folder.name}' holds {named}, but {kind.KIND} is needed here: name another "
            "data set, or a recipe that is made for this one"
        )
    try:
        return found.read(folder, description)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / DESCRIPTION} is damaged ({type(error).__name__}: {error}); prepare it again"
        ) from error


def kind_named(name: str) -> type[Prepared]:
    """The class for the kind `name`, a name in `KINDS`."""
    module, _, attribute = KINDS[name].partition(":")
    found: type[Prepared] = getattr(importlib.import_module(module), attribute)
    return found


def verify(prepared: Prepared) -> None:
    """Reads every byte and compares the digest.

    Raises:
        DataError: the contents are not those that were prepared.
    """
    digest = prepared.contents_digest()
    if digest != prepared.digest:
        raise DataError(
            f"the contents of {prepared.folder} were changed: their digest is {digest}, "
            f"{prepared.digest} was prepared; prepare it again"
        )


def shared_fields(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that all kinds have, from a description."""
    sizes = {str(name): int(size) for name, size in description["sizes"].items()}
    first = [name for name in SPLITS if name in sizes]
    return {
        "folder": folder,
        "digest": str(description["digest"]),
        "sizes": {name: sizes[name] for name in (*first, *(name for name in sizes if name not in first))},
        "source": str(description["source"]),
        "options": dict(description["options"]),
    }


def check_split(name: str, sizes: Mapping[str, int]) -> None:
    """Raises DataError unless there is a split `name`."""
    if name not in sizes:
        raise DataError(f"no split is named '{name}': {nearest(name, sizes)}")


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of `prepared.json`.

    Raises:
        DataError: it is missing, isn't JSON, or was written by a version of another schema.
    """
    file = folder / DESCRIPTION
    try:
        description: Any = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{folder} holds no prepared data set: {DESCRIPTION} is missing") from error
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}); prepare it again") from error
    if not isinstance(description, dict):
        raise DataError(f"{file} is damaged (it holds no keys and values); prepare it again")
    schema = description.get("schema")
    if schema != SCHEMA:
        raise DataError(f"{file} has the schema {schema!r}, this version reads {SCHEMA}; prepare it again")
    return description

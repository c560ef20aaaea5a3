"""Makes a prepared data set out of a source, whole or not at all."""

from __future__ import annotations

import inspect
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas import plugins
from nas.datasets.files import full_disk_explained, locked, sync
from nas.datasets.inputs import Inputs, Seen, difference
from nas.datasets.prepared.base import DESCRIPTION, SCHEMA, Prepared, load, read_description
from nas.datasets.source import Places, Progress, Raw, Source, silent
from nas.errors import InputError
from nas.experiment import Data
from nas.workspace import Workspace


def prepare(
    data: Data, workspace: Workspace, progress: Progress | None = None, *, again: bool = False
) -> Prepared:
    """Reads a data set from its source, splits it and writes it under `data/prepared/NAME`.

    What is already prepared with equal options is returned at once. Everything is written into a
    folder beside the final one that is renamed when it is complete and on the disk: a process that is
    killed leaves nothing that could be taken for prepared, and the next one clears up after it. Of
    two processes that prepare the same name, the second waits for the first.

    Args:
        data: the experiment's `data`.
        workspace: where it is prepared, and where relative paths start.
        progress: called with `(done, total, what)`; `total` is None where it isn't known.
        again: prepare anew, replacing what is there.

    Raises:
        InputError: an option is not allowed, or the name is taken by data of other options.
        DataError: something is wrong in the data; the message names the file and the row.
        TemporaryError: a server can't be reached, or the disk is full.
    """
    progress = progress or silent
    source, options = _built(data)
    folder = workspace.prepared(data.name)
    places = Places(
        workspace.root, workspace.raw, scratch=folder.with_name(f".{folder.name}.tmp") / "scratch"
    )
    if not again and _is_there(folder):
        return _same(folder, data, source, options, places)
    lock = folder.with_name(f".{folder.name}.lock")
    with locked(lock, waiting=lambda: progress(0, None, f"wait for the process that prepares {data.name}")):
        if not again and _is_there(folder):
            return _same(folder, data, source, options, places)
        _make(folder, data, source, options, places, progress)
    return load(folder)


def _built(data: Data) -> tuple[Source, dict[str, Any]]:
    """The source, and all its options that say what is prepared, defaults included."""
    if not data.name or data.name.startswith("."):
        raise InputError(f"data.name must not start with a dot, nor be empty. Received: {data.name!r}")
    if "name" in data.options:
        raise InputError("data.name is the data set's name; a source can't have an option of this name")
    source = plugins.make("source", {"name": data.source, **data.options})
    if not isinstance(source, Source):
        raise InputError(f"source '{data.source}' is not a nas.datasets.Source")
    options = {k: v for k, v in data.options.items() if k not in source.LOCATORS}
    try:
        return source, json.loads(json.dumps({**_defaults(source), **options}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the options of source '{data.source}' must be plain YAML values: {error}"
        ) from error


def _defaults(source: Source) -> dict[str, Any]:
    """The defaults of all options that say what is prepared."""
    parameters = inspect.signature(type(source)).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.default is not inspect.Parameter.empty and p.name not in source.LOCATORS
    }


def _is_there(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _same(folder: Path, data: Data, source: Source, options: Mapping[str, Any], places: Places) -> Prepared:
    """The data set in `folder`, if it is the one that `options` describe."""
    prepared = load(folder)
    advice = f"give data.name another name, or prepare '{data.name}' again to replace it"
    # An option that came after it was prepared had its default then.
    before = {"source": prepared.source, **_defaults(source), **prepared.options}
    now = {"source": data.source, **options}
    for key in (*now, *before):
        if before.get(key) != now.get(key):
            raise InputError(
                f"'{data.name}' is already prepared with {key}={before.get(key)!r}, now {key} is "
                f"{now.get(key)!r}: {advice}"
            )
    inputs = Inputs.of(source, places)
    # Where the files are no more (another clone that pulled the prepared data), there is nothing to compare.
    if inputs.files:
        written = read_description(folder).get("inputs")
        changed = difference(inputs, written, Seen(folder, prepared.digest))
        if changed:
            raise InputError(f"the files of '{data.name}' changed since it was prepared: {changed}: {advice}")
    return prepared


def _make(
    folder: Path, data: Data, source: Source, options: Mapping[str, Any], places: Places, progress: Progress
) -> None:
    """Writes the data set beside `folder` and renames it; the lock is held."""
    fresh, old = places.scratch.parent, folder.with_name(f".{folder.name}.old")
    for leftover in (fresh, old):  # of a process that was killed
        if leftover.exists():
            shutil.rmtree(leftover)
    places.scratch.mkdir(parents=True)
    places.raw.mkdir(parents=True, exist_ok=True)
    try:
        with full_disk_explained(folder.parent, f"prepare '{data.name}'"):
            before = Inputs.of(source, places)
            raw = source.read(places, progress)
            if not isinstance(raw, Raw):
                raise InputError(
                    f"source '{data.source}' must read RawImages or RawText of nas.datasets. "
                    f"Received: {type(raw).__name__}"
                )
            written = raw.write(fresh, source, progress)
            inputs = Inputs.of(source, places)
            description = {
                "schema": SCHEMA,
                "kind": raw.KIND,
                **written,
                "source": data.source,
                "options": options,
                "inputs": inputs.described,
            }
            # Only now, so that no change between reading and hashing goes unnoticed.
            before.check_untouched()
            shutil.rmtree(places.scratch)
            with (fresh / DESCRIPTION).open("w", encoding="utf-8") as file:
                json.dump(description, file, indent=2, sort_keys=True)
                file.write("\n")
            for file_ in (*fresh.iterdir(), fresh):
                sync(file_)
            if folder.exists():
                os.rename(folder, old)
            os.rename(fresh, folder)
            sync(folder.parent)
            if inputs.files:
                Seen(folder, written["digest"]).note(inputs)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)

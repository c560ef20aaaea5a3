"""States as the record holds them: JSON, with arrays as their bytes and large parts as files beside it.

Nothing is pickled. A large part of a state (the shared weights of many children, say) is a `StateFile`: its
owner writes a file and hands it over; the record keeps it under its SHA-256 and holds that name. The new file
is there before the state that names it is committed, and the old one is removed after that, so that after a
kill at any moment the committed state finds its file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import SearchError

POLICY = "policy"
"""Owner of what all replicas share: the parameters and the optimiser, or what was learnt instead."""

EVALUATOR = "evaluator"
"""Owner of what results depend on beside the proposal: a table's clock, shared weights."""

SAMPLER_KEYS = frozenset({"random", "baseline", "recent_rewards"})
"""Of the state of a controller before schema 2, which had no halves: what is the sampler's now."""


def replica_owner(replica: int) -> str:
    """Owner of the sampler's half of one replica's controller: its generator and its baseline."""
    return f"replica {replica}"


@dataclass(frozen=True)
class StateFile:
    """A part of a state that is a file.

    Attributes:
        path: where it lies. The record takes a file over that is handed to it; one that comes from the
            record is only read.
    """

    path: Path


def pack(value: Any, folder: Path | None = None) -> Any:
    """JSON of a nested state in which NumPy arrays stand as their bytes and files by their hash.

    Args:
        value: the state.
        folder: where files are kept; None: it has none.
    """
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"__array__": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, StateFile):
        if folder is None:
            raise SearchError(f"this record keeps no files, so it can't hold {value.path}")
        return {"__file__": _keep(value.path, folder)}
    if isinstance(value, Mapping):
        return {key: pack(inner, folder) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [pack(inner, folder) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def unpack(value: Any, folder: Path | None = None) -> Any:
    """The inverse of `pack`.

    Raises:
        SearchError: a file that the state names is missing or damaged.
    """
    if isinstance(value, dict) and "__array__" in value:
        flat = np.frombuffer(base64.b64decode(value["__array__"]), dtype=np.dtype(value["dtype"]))
        return flat.reshape(value["shape"]).copy()
    if isinstance(value, dict) and "__file__" in value:
        return StateFile(_kept(str(value["__file__"]), folder))
    if isinstance(value, dict):
        return {key: unpack(inner, folder) for key, inner in value.items()}
    return [unpack(inner, folder) for inner in value] if isinstance(value, list) else value


def files_of(packed: Any) -> set[str]:
    """The hashes of all files that a packed state names."""
    if isinstance(packed, dict):
        if "__file__" in packed:
            return {str(packed["__file__"])}
        return set().union(*map(files_of, packed.values())) if packed else set()
    return set().union(*map(files_of, packed)) if isinstance(packed, list) and packed else set()


def files_folder(record: Path) -> Path:
    """Where the files of a record's states lie."""
    return record.with_suffix(".states")


def remove_others(folder: Path, named: Collection[str]) -> None:
    """Removes all files of a record's states but those that it names."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)


def copy_files(source: Path, target: Path, named: Collection[str], keep: Collection[str] = ()) -> None:
    """Copies the files of a record's states, checked, and leaves no others in `target` but those to `keep`.

    Raises:
        SearchError: one is missing or damaged.
    """
    for name in sorted(named):
        original, copy = _kept(name, source), target / name
        if not copy.is_file():
            target.mkdir(parents=True, exist_ok=True)
            part = target / f".{name}.part"
            shutil.copyfile(original, part)
            part.replace(copy)
    remove_others(target, {*named, *keep})


def split_halves(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The policy's and the sampler's half of a controller's state from before schema 2."""
    sampler = {key: value for key, value in state.items() if key in SAMPLER_KEYS}
    policy = {key: value for key, value in state.items() if key not in SAMPLER_KEYS and key != "proposed"}
    return policy, sampler


def _keep(path: Path, folder: Path) -> str:
    """Moves a file into `folder`, on disk for good, and returns its name there: its hash."""
    name = _sha256(path)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    if path.resolve() == target.resolve():
        return name
    part = folder / f".{name}.part"
    shutil.move(path, part)
    _sync(part)
    part.replace(target)
    _sync(folder)
    return name


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _kept(name: str, folder: Path | None) -> Path:
    path = (folder or Path()) / name
    if folder is None or Path(name).name != name or not path.is_file():
        raise SearchError(
            f"the record's state names the file {path}, which is missing: bring it back (`dvc checkout`, or "
            "a copy of the folder), or move the record away"
        )
    if _sha256(path) != name:
        raise SearchError(f"the file {path} of the record's state is damaged: its hash is another one")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

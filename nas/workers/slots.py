"""Slots: the shares of this machine that children run on, leased so that two searches never collide.

A slot is a share of the CPUs or (a share of) a GPU. It is leased by an operating-system lock on a
file that all searches of one user on this machine see, so a killed search frees its slots by
itself. The child's process holds a second lock for as long as it lives: a slot is free only when
its last child is really gone, because a GPU gives memory back no earlier.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nas.errors import InputError
from nas.experiment import Workers
from nas.locking import lock_file
from nas.workers.backend import honoured, keras_backend

logger = logging.getLogger("nas")

GPU_MEMORY_SHARE = 0.92
"""Part of a GPU's memory that its children may share; the rest is the driver's and the contexts'."""


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine: index as in CUDA_VISIBLE_DEVICES, name, total memory in bytes."""

    index: int
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Slot:
    """One place where a child can run.

    Attributes:
        name: e.g. `cpu-0`, `gpu-0-1`; also names the lease.
        threads: CPU threads of its child.
        gpu: index of the GPU; None: the child computes on the CPU.
        gpu_memory_bytes: hard limit of the child's device memory; None: the whole GPU is its own.
    """

    name: str
    threads: int
    gpu: int | None = None
    gpu_memory_bytes: int | None = None

    def device(self) -> dict[str, object]:
        """The slot as JSON for the child's process."""
        if self.gpu is None:
            return {"kind": "cpu", "threads": self.threads}
        return {
            "kind": "gpu",
            "index": self.gpu,
            "memory_limit_bytes": self.gpu_memory_bytes,
            "threads": self.threads,
        }


def find_gpus() -> list[Gpu]:
    """The NVIDIA GPUs that this process may use, without touching them (asks `nvidia-smi`).

    CUDA_VISIBLE_DEVICES is respected, whether it lists indices or UUIDs (or their beginnings); an empty
    value or -1 means none. A driver that doesn't answer is warned of and means none too.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        rows = [line.split(", ") for line in done.stdout.splitlines() if line.strip()]
        found = {uuid: Gpu(int(index), name, int(float(size)) * 2**20) for index, uuid, name, size in rows}
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logger.warning("nvidia-smi gives no list of GPUs, so none is used: %s", error)
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(found.values())
    names = [part.strip() for part in visible.split(",") if part.strip()]
    return [
        gpu
        for uuid, gpu in found.items()
        if any(
            name == str(gpu.index) or (name.startswith("GPU-") and uuid.startswith(name)) for name in names
        )
    ]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slots(workers: Workers, gpus: list[Gpu] | None = None) -> list[Slot]:
    """The slots that an experiment may use on this machine.

    With GPUs (unless `device` is `cpu`): `children_per_gpu` slots on each. Without: `workers.slots` of
    the CPUs (auto: one for each core). Threads are the cores divided by the slots unless the experiment
    names them.

    Args:
        workers: the experiment's limits.
        gpus: the GPUs to use; None: those of this machine.
    """
    if workers.device == "cpu":
        gpus = []
    gpus = find_gpus() if gpus is None else gpus
    if not gpus:
        count = cores() if workers.slots == "auto" else workers.slots
        return [Slot(f"cpu-{index}", _threads(workers, count)) for index in range(count)]
    share = workers.children_per_gpu
    threads = _threads(workers, len(gpus) * share)
    return [
        Slot(
            name=f"gpu-{gpu.index}-{part}",
            threads=threads,
            gpu=gpu.index,
            gpu_memory_bytes=int(gpu.memory_bytes * GPU_MEMORY_SHARE / share) if share > 1 else None,
        )
        for part in range(share)
        for gpu in gpus
    ]


def platform(workers: Workers) -> dict[str, Any]:
    """What of this machine defines a search: threads of a child, its device, its backend, `honoured`."""
    first = slots(workers)[0]
    found = {
        "threads": first.threads,
        "device": "cpu" if first.gpu is None else "gpu",
        "backend": keras_backend()[0],
    }
    environment = honoured()
    return {**found, "environment": environment} if environment else found


def _threads(workers: Workers, count: int) -> int:
    return max(1, cores() // count) if workers.threads == "auto" else workers.threads


def lease_folder() -> Path:
    """The folder of this user's leases on this machine, made if it is missing.

    It is the same for all of the user's programs, whatever TMPDIR says; NAS_LEASES names another.

    Raises:
        InputError: the folder belongs to somebody else.
    """
    folder = Path(os.environ.get("NAS_LEASES") or f"/tmp/nasflow-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise InputError(f"the folder of slot leases, {folder}, belongs to another user; set NAS_LEASES")
    return folder


class Lease:
    """A slot taken by this process; see `take`."""

    def __init__(self, slot: Slot, file: IO[str]) -> None:
        self.slot = slot
        self._file = file

    @classmethod
    def take(cls, slot: Slot) -> Lease | None:
        """Leases `slot` at once, or returns None if another search or a dying child still has it."""
        file = lock_file(lease_folder() / f"{slot.name}.lock")
        if file is None:
            return None
        child = lock_file(child_lock(slot.name))
        if child is None:
            file.close()
            return None
        child.close()
        return cls(slot, file)

    def child_gone(self) -> bool:
        """Whether no child's process holds this slot any more."""
        child = lock_file(child_lock(self.slot.name), say=False)
        if child is None:
            return False
        child.close()
        return True

    def release(self) -> None:
        """Gives the slot back. Safe to repeat."""
        self._file.close()


def child_lock(name: str) -> Path:
    """The file that the child on slot `name` holds locked while it lives."""
    return lease_folder() / f"{name}.child.lock"


def holder(name: str) -> str:
    """Who holds slot `name`, as `process 4711`; empty when it is free."""
    for path in (lease_folder() / f"{name}.lock", child_lock(name)):
        file = lock_file(path, say=False)
        if file is None:
            return f"process {path.read_text().strip() or '?'}"
        file.close()
    return ""


def hold_as_child(name: str) -> IO[str]:
    """Locks slot `name` for the calling process until it ends or closes the returned file.

    What it forks doesn't hold the slot: a helper that a trainer leaves behind would keep it for ever.
    """
    file = child_lock(name).open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    os.register_at_fork(after_in_child=file.close)
    return file

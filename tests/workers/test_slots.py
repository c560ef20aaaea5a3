"""Slots are counted right and leased machine-wide."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.experiment import Workers
from nas.workers import slots as room
from nas.workers.slots import Gpu, Lease, Slot, find_gpus, hold_as_child, holder, platform, slots

TWO_GPUS = [Gpu(0, "A", 10 * 2**30), Gpu(1, "A", 10 * 2**30)]


def test_without_gpus_there_is_one_slot_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "cores", lambda: 6)
    assert [(s.name, s.threads, s.gpu) for s in slots(Workers(), gpus=[])] == [
        (f"cpu-{index}", 1, None) for index in range(6)
    ]


def test_cores_are_divided_among_fewer_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "cores", lambda: 8)
    assert [s.threads for s in slots(Workers(slots=2), gpus=[])] == [4, 4]
    assert [s.threads for s in slots(Workers(slots=2, threads=1), gpus=[])] == [1, 1]


def test_each_gpu_is_one_slot_and_its_memory_is_not_limited() -> None:
    assert [(s.name, s.gpu, s.gpu_memory_bytes) for s in slots(Workers(slots=7), TWO_GPUS)] == [
        ("gpu-0-0", 0, None),
        ("gpu-1-0", 1, None),
    ]


def test_children_that_share_a_gpu_have_hard_memory_limits_that_fit_together() -> None:
    made = slots(Workers(children_per_gpu=3), TWO_GPUS)
    assert [s.gpu for s in made] == [0, 1, 0, 1, 0, 1]
    assert len({s.name for s in made}) == 6
    for gpu in TWO_GPUS:
        limits = [s.gpu_memory_bytes or 0 for s in made if s.gpu == gpu.index]
        assert min(limits) > 2 * 2**30
        assert sum(limits) < gpu.memory_bytes


def test_gpus_are_read_from_nvidia_smi_within_the_visible_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0, GPU-aa1, NVIDIA X, 81920\\n1, GPU-bb2, NVIDIA X, 81920\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [(g.index, g.memory_bytes) for g in find_gpus()] == [(0, 80 * 2**30), (1, 80 * 2**30)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [g.index for g in find_gpus()] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bb")
    assert [g.index for g in find_gpus()] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert platform(Workers())["device"] == "gpu"
    assert platform(Workers(device="cpu"))["device"] == "cpu"


def test_a_driver_that_does_not_answer_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_gpus() == []
    assert "exit status 9" in caplog.text


@pytest.mark.parametrize(
    ("variable", "file", "backend"),
    [("jax", "tensorflow", "jax"), (None, "jax", "jax"), (None, None, "tensorflow")],
)
def test_the_backend_is_found_as_keras_finds_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    file: str | None,
    backend: str,
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if variable:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    if file:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": file}))
    assert platform(Workers(slots=1, threads=3)) == {"threads": 3, "device": "cpu", "backend": backend}


def test_a_leased_slot_is_refused_to_others_until_it_is_released() -> None:
    slot = Slot("test-lease", 1)
    first = Lease.take(slot)
    assert first is not None
    assert Lease.take(slot) is None
    first.release()
    second = Lease.take(slot)
    assert second is not None
    second.release()
    assert holder("test-lease") == ""


def test_a_slot_is_not_free_while_its_childs_process_lives() -> None:
    slot = Slot("test-child", 1)
    lease = Lease.take(slot)
    assert lease is not None
    held = hold_as_child(slot.name)
    assert not lease.child_gone()
    lease.release()
    assert Lease.take(slot) is None
    held.close()
    again = Lease.take(slot)
    assert again is not None
    again.release()


def test_another_process_sees_the_lease_and_who_holds_it_and_a_dead_holder_frees_it() -> None:
    code = (
        "import time; from nas.workers.slots import Lease, Slot\n"
        "lease = Lease.take(Slot('test-other', 1)); print('taken' if lease else 'refused', flush=True)\n"
        "time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline().strip() == "taken"
        assert Lease.take(Slot("test-other", 1)) is None
        assert holder("test-other") == f"process {other.pid}"
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    lease = Lease.take(Slot("test-other", 1))
    assert lease is not None
    lease.release()

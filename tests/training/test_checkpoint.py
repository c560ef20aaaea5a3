"""Checkpoints come back as they were, whole or not at all, and only to the same training."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from nas.training.checkpoint import FILE, Checkpoint


def variables(value: float) -> list[keras.Variable]:
    return [
        keras.Variable(np.full((2, 3), value, "float32")),
        keras.Variable(int(value), dtype="int32", trainable=False),
        keras.Variable(np.array([value, 7]), dtype="uint32", trainable=False),
    ]


def values(those: list[keras.Variable]) -> list[list[float]]:
    return [np.ravel(keras.ops.convert_to_numpy(variable)).tolist() for variable in those]


def test_all_variables_and_the_state_come_back(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "new" / "folder", {"seed": 1}).save(variables(3), {"history": [{"loss": 0.5}]})
    later = variables(0)
    state = Checkpoint(tmp_path / "new" / "folder", {"seed": 1}).load(later)
    assert state == {"history": [{"loss": 0.5}]}
    assert values(later) == values(variables(3))


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path, {}).load(variables(0)) is None


def test_the_checkpoint_of_another_training_is_left_alone(tmp_path: Path) -> None:
    Checkpoint(tmp_path, {"seed": 1}).save(variables(3), {})
    later = variables(0)
    assert Checkpoint(tmp_path, {"seed": 2}).load(later) is None
    assert values(later) == values(variables(0))


def test_a_damaged_checkpoint_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    checkpoint.save(variables(3), {})
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    later = variables(0)
    assert checkpoint.load(later) is None
    assert values(later) == values(variables(0))
    assert "can't be read" in caplog.text


def test_a_kill_while_saving_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    checkpoint.save(variables(3), {"epoch": 1})

    def killed(file: object, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(variables(4), {"epoch": 2})
    assert checkpoint.load(variables(0)) == {"epoch": 1}

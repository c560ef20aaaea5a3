"""What DVC reads otherwise is told with what to write; the files that we ship it reads as we do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nas.dialects import read_otherwise

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("final: {top: 5, baseline: resnet:4x1x1}", "x.yaml:1: DVC can't read this .*quote texts"),
        ("a: yes", "DVC reads a as 'yes', not as True"),
        ("a: {b: [1, off]}", r"DVC reads a.b\[1\] as 'off', not as False"),
        ("a: 010", "DVC reads a as 10, not as 8"),
        ("a: 1:30", "DVC reads a as '1:30', not as 90"),
        ("on: 1", "the key True"),
        ("a: +_", r"DVC can't read this \(invalid literal"),
        ("a: 1\na: 2", "x.yaml:2: DVC can't read this .*leave only one"),
        ("a: 0o10", "DVC reads a as 8, not as '0o10'"),
        (f"a: 0o{'7' * 4000}", r"more characters\), not as .*more characters\);"),
        (f"a: 0o{'7' * 9000}", "as a very long number, not as"),
        (f"a: 08{'0' * 400}", "more characters"),
        ("a: 1e-3", None),
        ("a: .nan", None),
        ("a: 'yes'", None),
        ("a: true", None),
    ],
)
def test_a_value_that_dvc_reads_otherwise_is_told(text: str, told: str | None, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    found = read_otherwise(path)
    assert len(found) == (told is not None)
    assert all(re.search(told or "", line) for line in found)


def test_dvc_reads_the_shipped_files_as_we_do() -> None:
    files = [*(ROOT / "experiments").glob("*.yaml"), ROOT / "params.yaml", ROOT / "dvc.yaml"]
    assert [line for path in files for line in read_otherwise(path)] == []

"""What a test measured in detail is written as tables for DVC's plots, whatever the task."""

from __future__ import annotations

from pathlib import Path

from nas.final.details import write_details


def test_a_confusion_is_written_example_by_example(tmp_path: Path) -> None:
    write_details(tmp_path, {"classes": ["a", "b"], "correct": 2, "confusion": [[1, 1], [0, 1]]})
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.csv"]
    assert (tmp_path / "confusion.csv").read_text() == "actual,predicted\na,a\na,b\nb,b\n"


def test_lists_of_rows_are_tables_of_their_names(tmp_path: Path) -> None:
    rows = [{"size": 1, "error": 0.5}, {"error": 0.25, "size": 2}, {"size": 3}]
    write_details(tmp_path, {"by-size": rows, "../up": rows, "empty": [], "mean": 0.4, "names": ["a"]})
    assert [path.name for path in tmp_path.iterdir()] == ["by-size.csv"]
    assert (tmp_path / "by-size.csv").read_text() == "size,error\n1,0.5\n2,0.25\n3,\n"

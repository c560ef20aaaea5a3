"""Tables from CSV and parquet: prepared whole, found by decisions, refused where they are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nas.datasets import PreparedTable, load, prepare, verify
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.workspace import Workspace
from tests.tables.factories import DECISIONS, small_table, write_table


def data(**changes: object) -> Data:
    return Data.model_validate({"source": "table", "file": "t.csv", "decisions": DECISIONS, **changes})


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet", "deep/t.csv"])
def test_every_form_of_a_file_gives_the_same_table(tmp_path: Path, name: str):
    first = small_table(tmp_path / "first")
    write_table(tmp_path / "second" / name)
    second = prepare(data(file=name), Workspace(tmp_path / "second"))
    assert second.digest == first.digest
    verify(second)


def test_rows_are_found_by_their_decisions(tmp_path: Path):
    table = small_table(tmp_path)
    frame = pd.read_csv(tmp_path / "small.csv")
    assert table.rows == len(frame) == 54
    for row in (0, 17, 53):
        own = frame.iloc[row]
        chosen = {
            "filters": int(own["filters"]),
            "kernel": str(int(own["kernel"])),
            "pool": DECISIONS["pool"][int(own["pool"])],
            "skip": DECISIONS["skip"][int(own["skip"])],
            "unrelated": 3,
        }
        assert table.row(chosen) == row
        assert table.column("accuracy")[row] == own["accuracy"]
    assert table.row({"filters": 64, "kernel": 1, "pool": "none", "skip": "on"}) is None
    with pytest.raises(InputError, match="doesn't decide 'kernel'"):
        table.row({"filters": 8})


def test_it_is_opened_again_as_it_was_prepared(tmp_path: Path):
    table = small_table(tmp_path)
    again = load(table.folder, PreparedTable)
    assert again == table
    assert list(again.decisions) == list(DECISIONS), "the order of the file's author"
    assert again.summary == "54 rows, 4 decisions, 7 columns of numbers"
    np.testing.assert_array_equal(again.column("seconds"), table.column("seconds"))
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        table.column("acuracy")


def test_the_digest_is_that_of_numbers_and_options(tmp_path: Path):
    digests = {small_table(tmp_path / "0").digest}
    frame = pd.read_csv(tmp_path / "0" / "small.csv")
    for number, (changed, decisions) in enumerate(
        [
            (frame.assign(accuracy=frame["accuracy"] + 1e-9), DECISIONS),
            (frame.rename(columns={"test": "final"}), DECISIONS),
            (frame, {**DECISIONS, "skip": {0: "no", 1: "yes"}}),
        ]
    ):
        root = tmp_path / f"changed{number}"
        root.mkdir()
        changed.to_csv(root / "t.csv", index=False)
        digests.add(prepare(data(decisions=decisions), Workspace(root)).digest)
    assert len(digests) == 4


def test_a_folder_for_several_workspaces_is_looked_into_first(tmp_path: Path, monkeypatch):
    write_table(tmp_path / "shared" / "t.csv")
    monkeypatch.setenv("NAS_TABLES", str(tmp_path / "shared"))
    assert isinstance(prepare(data(file="data/raw/t.csv"), Workspace(tmp_path / "w")), PreparedTable)


def test_a_missing_table_says_where_it_is_looked_for(tmp_path: Path):
    with pytest.raises(DataError, match=r"no table at .*t\.csv.*NAS_TABLES"):
        prepare(data(), Workspace(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="kernel"), "no column 'kernel'"),
        (
            lambda t: t.assign(kernel=7),
            "'kernel' of row 0 of .* is '7', which is none of its options: 1, 3, 5",
        ),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "rows 3 and 54 .* are one network"),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, change, message: str):
    frame = pd.read_csv(write_table(tmp_path / "t.csv"))
    change(frame).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=message):
        prepare(data(), Workspace(tmp_path))


CELLS = {
    "none": (["None", "relu", "NA"], "[None, relu, NA]"),
    "null": (["", "relu", "7"], "[null, relu, 7]"),
    "zero": (["0", "0.5", "1"], "[0, 0.5, 1.0]"),
    "whole": (["16.0", "3.2e1", " 64"], "[16, 32, 64]"),
    "small": (["1e-4", "0.001", ".01"], "[1e-4, 1.0e-3, 0.01]"),
    "ids": (["007", "010", "7"], "['007', '010', '7']"),
    "loose": (["007", "8", "9"], "[7, 8, 9]"),
    "true": (["True", "off", "x"], "[on, false, x]"),
    "large": (["9007199254740993", "9007199254740992", "1"], "[9007199254740993, 9007199254740992, 1]"),
    "empty": (["", "a", "b"], "{'': nothing, a: one, b: two}"),
    "signed": (["-0", "-1", "+2"], "[0, -1, 2]"),
    "mixed": (["", "0.0", "a"], "{null: nothing, 0: zero, a: one}"),
}


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("name", CELLS)
def test_options_are_what_stands_in_the_file(tmp_path: Path, name: str, ending: str):
    cells, options = CELLS[name][0], yaml.safe_load(CELLS[name][1])
    frame = pd.DataFrame({"choice": cells, "accuracy": [1.0, np.nan, 3.0]}, dtype=object)
    frame["accuracy"] = frame["accuracy"].astype(float)
    file = tmp_path / f"t.{ending}"
    frame.to_parquet(file) if ending == "parquet" else frame.to_csv(file, index=False)
    table = prepare(data(file=file.name, decisions={"choice": options}), Workspace(tmp_path))
    assert isinstance(table, PreparedTable)
    assert table.arrays()["decisions"][:, 0].tolist() == [0, 1, 2]
    names = list(options.values()) if isinstance(options, dict) else options
    assert [table.row({"choice": option}) for option in names] == [0, 1, 2]
    np.testing.assert_array_equal(table.column("accuracy"), [1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (pd.array([16, None, 64], dtype="Int64"), [16, None, 64]),
        (np.float32([0.1, 16, 1e-4]), [0.1, 16, "1e-4"]),
        ([True, False, None], [True, False, None]),
        (pd.Categorical(["b", "a", "c"]), ["b", "a", "c"]),
        (pd.Categorical([3, 1, 2]), [3, 1, 2]),
    ],
)
def test_typed_columns_of_parquet_are_compared_as_they_read(tmp_path: Path, column, options):
    pd.DataFrame({"choice": column, "accuracy": [1.0, 2.0, 3.0]}).to_parquet(tmp_path / "t.parquet")
    table = prepare(data(file="t.parquet", decisions={"choice": options}), Workspace(tmp_path))
    assert table.arrays()["decisions"][:, 0].tolist() == [0, 1, 2]


def test_columns_with_numbers_for_names_are_found(tmp_path: Path):
    (tmp_path / "t.csv").write_text("0,1,2\na,x,0.5\nb,x,0.25\n")
    table = prepare(data(decisions={0: ["a", "b"], "1": ["x"]}), Workspace(tmp_path))
    assert table.row({"0": "b", "1": "x"}) == 1
    assert table.columns == ("2",)


def test_a_cell_that_two_options_could_mean_is_refused(tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,accuracy\n7.0,0.5\n")
    with pytest.raises(DataError, match=r"is '7.0', which is none of its options: 7, 007\. .*quote"):
        prepare(data(decisions={"a": ["7", "007"]}), Workspace(tmp_path))
    with pytest.raises(InputError, match=r"decisions\.a"):
        prepare(data(decisions={"a": {1: "x", "1": "y"}}), Workspace(tmp_path))


def test_files_that_are_no_tables_are_refused(tmp_path: Path):
    for name in ("t.parquet", "t.csv.gz"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(DataError, match="can't be read as a table"):
            prepare(data(file=name), Workspace(tmp_path))
    with pytest.raises(InputError, match="file must end with"):
        prepare(data(file="t.xlsx"), Workspace(tmp_path))


@pytest.mark.parametrize(
    "decisions", [{}, ["a"], {"a": []}, {"a": [1, 1]}, {"a": "1"}, {"a": {0: "x", 1: "x"}}]
)
def test_decisions_must_name_different_options(tmp_path: Path, decisions):
    with pytest.raises(InputError, match="decisions"):
        prepare(data(decisions=decisions), Workspace(tmp_path))


def test_a_table_expands_at_most_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_table(tmp_path / "t.csv.gz")
    monkeypatch.setenv("NAS_READ_LIMIT_GB", "0.000001")
    with pytest.raises(DataError, match="NAS_READ_LIMIT_GB"):
        prepare(data(file="t.csv.gz"), Workspace(tmp_path))
    write_table(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="NAS_READ_LIMIT_GB"):
        prepare(data(file="t.parquet"), Workspace(tmp_path))


def test_a_damaged_gzip_file_is_refused_in_a_sentence(tmp_path: Path):
    write_table(tmp_path / "t.csv.gz")
    whole = (tmp_path / "t.csv.gz").read_bytes()
    (tmp_path / "t.csv.gz").write_bytes(whole[:20] + bytes(50) + whole[70:])
    with pytest.raises(DataError, match="can't be read as a table"):
        prepare(data(file="t.csv.gz"), Workspace(tmp_path))

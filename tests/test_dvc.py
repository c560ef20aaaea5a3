"""DVC makes, skips, changes, moves and goes on with the pipeline, on a copy of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.search.record import Record
from tests.datasets.factories import write_folder
from tests.factories import TINY, TINY_LANGUAGE

ROOT = Path(__file__).parents[1]
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "digits-conv": {
        **TINY,
        "controller": {"name": "reinforce"},
        "evaluator": {"name": "train", "trainer": "tests.final.fakes:train_finals_only"},
        "recipe": {**TINY["recipe"], "steps_per_execution": 4},
        "final": {"top": 1, "recipe": {"epochs": 2}, "baseline": "resnet:4x1x1"},
        "beside": "digits-random",
    },
    "digits-random": {**TINY, "controller": {"name": "random"}},
    "pydoc-cell": {
        **TINY_LANGUAGE,
        "evaluator": {"name": "train", "trainer": "tests.final.fakes:train_finals_only"},
        "final": {"top": 1, "recipe": {"epochs": 1}, "baseline": "rnn:gru"},
        "beside": "pydoc-random",
    },
    "pydoc-random": {**TINY_LANGUAGE, "controller": {"name": "random"}},
}
ONLY_SEARCH = "search@digits-conv"


def call(folder: Path, *command: str, **variables: str) -> str:
    """Runs a program in `folder` and returns its output; `variables` join its environment."""
    bin_folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "NAS_LEASES": str(folder.parent / "leases"),
        "PREFECT_HOME": str(folder.parent / "prefect"),
        **{f"GIT_{who}_NAME": "Test" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "test@localhost" for who in ("AUTHOR", "COMMITTER")},
        **variables,
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
    return done.stdout


def dvc(folder: Path, *arguments: str, **variables: str) -> str:
    return call(folder, sys.executable, "-m", "dvc", *arguments, **variables)


@pytest.fixture(scope="module")
def project(api: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with small experiments, in git, made whole by `dvc repro`.

    All stages of this first run share a Prefect server; those that the tests run have none, as usual.
    """
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the project is no git repository here")
    folder = tmp_path_factory.mktemp("dvc") / "project"
    listed = call(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    for path in (folder / "experiments").iterdir():
        path.unlink()
    for name, experiment in EXPERIMENTS.items():
        (folder / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(experiment))
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for stage in ("searches", "finals"):
        params[stage] = {name: one for name, one in params[stage].items() if name in EXPERIMENTS}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "dvc.lock").unlink(missing_ok=True)
    call(folder, "git", "init", "--quiet", ".")
    dvc(folder, "repro", PREFECT_API_URL=api)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--message", "made")


@pytest.fixture
def clone(project: Path, tmp_path: Path) -> Path:
    """Another clone, with the outputs pulled from a remote that the first one pushed to."""
    dvc(project, "remote", "add", "--force", "--default", "store", str(tmp_path / "store"))
    commit(project)
    dvc(project, "push")
    folder = tmp_path / "clone"
    call(tmp_path, "git", "clone", "--quiet", str(project), str(folder))
    dvc(folder, "pull")
    return folder


def children(folder: Path) -> list[tuple[int, float | None]]:
    """Number and begin of each child in the snapshot of digits-conv."""
    with Record.read(folder / "data/searches/digits-conv/records/seed-7.sqlite") as record:
        return [(child.number, child.started_at) for child in record.children()]


def stages() -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml by name, without their `foreach`."""
    read = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage["do"] for name, stage in read.items()}


DECIDES = {
    "prepare": ["nas/datasets/preparing.py"],
    "search": [
        "nas/evaluation.py",
        "nas/spaces/conv.py",
        "nas/controllers/reinforce.py",
        "nas/datasets/prepared/images.py",
        "nas/datasets/prepared/text.py",
        "nas/datasets/streams.py",
        "nas/networks/conv.py",
        "nas/training/image.py",
        "nas/workers/pool.py",
        "nas/search/search.py",
    ],
    "finalize": [
        "nas/evaluation.py",
        "nas/spaces/conv.py",
        "nas/controllers/listed.py",
        "nas/datasets/prepared/images.py",
        "nas/datasets/prepared/text.py",
        "nas/datasets/streams.py",
        "nas/networks/conv.py",
        "nas/training/image.py",
        "nas/workers/pool.py",
        "nas/search/search.py",
        "nas/search/rewards.py",
        "nas/winner.py",
        "nas/final/finalists.py",
        "nas/final/rings.py",
        "nas/final/finalize.py",
        "nas/training/image_export.py",
    ],
    "evaluate": [
        "nas/datasets/prepared/images.py",
        "nas/datasets/prepared/text.py",
        "nas/datasets/streams.py",
        "nas/networks/language.py",
        "nas/training/child.py",
        "nas/training/image_serving.py",
        "nas/training/language_serving.py",
        "nas/training/measured.py",
        "nas/evaluation.py",
        "nas/workers/process.py",
        "nas/workers/isolated.py",
        "nas/search/opening.py",
        "nas/final/evaluate.py",
        "nas/final/evaluations.py",
    ],
    "report": [
        "nas/spaces/conv.py",
        "nas/search/pareto.py",
        "nas/final/evaluations.py",
        "nas/report/page.py",
        "nas/report/web/table.js",
    ],
}
"""Code that decides what comes out of a stage, beside that of experiments and plug-ins, on which all rest."""
DECIDES["search_after"] = ["nas/winner.py", *DECIDES["search"]]


@pytest.mark.parametrize("stage", DECIDES)
def test_a_stage_depends_on_its_experiment_and_on_the_code_that_decides_its_result(stage: str) -> None:
    found = stages()[stage]
    for path in ("nas/experiment.py", "nas/plugins.py", *DECIDES[stage]):
        assert (ROOT / path).is_file(), path
        assert any(f"{path}/".startswith(f"{dep}/") for dep in found["deps"]), path
    assert any("experiments/" in file for file in (next(iter(one)) for one in found["params"]))


@pytest.mark.parametrize("stage", DECIDES)
def test_no_stage_depends_on_what_only_shows_it(stage: str) -> None:
    for dep in stages()[stage]["deps"]:
        assert not dep.startswith(("nas/cli", "nas/tracking"))
        assert dep not in ("nas", "nas/final")
        assert "${" in dep or (ROOT / dep).exists(), dep


def test_own_data_are_prepared_anew_when_their_files_changed(tmp_path: Path) -> None:
    """With the stage's own dependencies, and the flow's work done without Prefect."""
    if shutil.which("git") is None:
        pytest.skip("DVC needs git")
    shutil.copytree(ROOT / "nas", tmp_path / "nas", ignore=shutil.ignore_patterns("__pycache__"))
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["prepare"]
    stage["do"]["cmd"] = (
        f"{sys.executable} -c 'from nas import datasets, experiment, workspace; "
        'datasets.prepare(experiment.Data(source="folder", path="data/raw/mine", name="mine"), '
        "workspace.Workspace.here())'"
    )
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage}}))
    own = {"mine": {"experiment": "mine", "raw": "data/raw/mine"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": own}))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text("data: {source: folder}\n")
    top = write_folder(tmp_path / "data" / "raw" / "mine", {"a": 4, "b": 4})
    call(tmp_path, "git", "init", "--quiet", ".")
    dvc(tmp_path, "init", "--quiet")
    dvc(tmp_path, "repro", "--quiet")
    assert "up to date" in dvc(tmp_path, "status")
    first = (tmp_path / "data/prepared/mine/prepared.json").read_text()
    (top / "a" / "000.png").rename(top / "b" / "new.png")
    assert "data/raw/mine" in dvc(tmp_path, "status")
    dvc(tmp_path, "repro", "--quiet")
    assert (tmp_path / "data/prepared/mine/prepared.json").read_text() != first


STAND_IN = """
import pathlib, sys
stage, name = sys.argv[1:]
if stage == "search":
    folder = pathlib.Path("data/searches") / name
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for file in ("leaderboard.csv", "records/seed-0.sqlite", "metrics.json", "curve.csv"):
        (folder / file).write_text("{}")
else:
    folder = pathlib.Path("data/models") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "final.json").write_text(pathlib.Path(f"experiments/{name}.yaml").read_text())
"""


def test_a_search_that_names_a_winner_waits_for_it_and_is_made_again_when_another_one_is_chosen(
    tmp_path: Path,
) -> None:
    """With the stages' own dependencies, and stand-ins for their flows."""
    if shutil.which("git") is None:
        pytest.skip("DVC needs git")
    shutil.copytree(ROOT / "nas", tmp_path / "nas", ignore=shutil.ignore_patterns("__pycache__"))
    tree = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    kept = {name: tree["stages"][name] for name in ("search", "search_after", "finalize")}
    for stage in kept.values():
        stage["do"]["cmd"] = stage["do"]["cmd"].replace("python -m flows.", f"{sys.executable} stand_in.py ")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"vars": tree["vars"], "stages": kept}))
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    (tmp_path / "data/prepared/digits").mkdir(parents=True)
    (tmp_path / "experiments").mkdir()
    for name in ("small", "a-scaled"):
        (tmp_path / f"experiments/{name}.yaml").write_text(f"about: {name}\n")
    params: dict[str, Any] = {"searches": {"small": {"data": "digits"}}, "finals": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    call(tmp_path, "git", "init", "--quiet", ".")
    dvc(tmp_path, "init", "--quiet")
    assert dvc(tmp_path, "stage", "list", "--name-only").split() == ["search@small"]
    params["finals"] = {"small": {"data": "digits"}}
    params["searches_after"] = {"a-scaled": {"data": "digits", "after": "small"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    dvc(tmp_path, "repro", "search_after@a-scaled")
    assert (tmp_path / "data/models/small/final.json").is_file()
    assert "Running" not in dvc(tmp_path, "repro")
    (tmp_path / "experiments/small.yaml").write_text("about: another winner\n")
    assert "Running stage 'search_after@a-scaled'" in dvc(tmp_path, "repro")


def test_every_data_set_says_where_its_raw_data_lie() -> None:
    for name, data in yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["datasets"].items():
        assert (ROOT / data["raw"]).exists(), name


def test_one_command_makes_everything_and_a_second_one_nothing(project: Path) -> None:
    for output in (
        "searches/digits-conv/leaderboard.csv",
        "searches/digits-random/records/seed-7.sqlite",
        "models/digits-conv/model.keras",
        "models/digits-conv/saved_model/saved_model.pb",
        "reports/digits-conv/page/index.html",
        "models/pydoc-cell/saved_model/saved_model.pb",
        "reports/pydoc-cell/page/index.html",
    ):
        assert (project / "data" / output).is_file(), output
    again = dvc(project, "repro")
    assert "Data and pipelines are up to date" in again
    assert "Running stage" not in again
    assert call(project, "git", "status", "--porcelain") == ""


def test_metrics_and_plots_show_searches_and_test(project: Path) -> None:
    shown = json.loads(dvc(project, "metrics", "show", "--json"))[""]["data"]
    searched = shown["data/searches/digits-conv/metrics.json"]["data"]
    tested = shown["data/reports/digits-conv/evaluation/metrics.json"]["data"]
    assert searched["children"] == 8
    assert 0 <= tested["test_accuracy"] <= 1
    assert tested["test_touches"] == 1
    language = shown["data/reports/pydoc-cell/evaluation/metrics.json"]["data"]
    assert 1 < language["test_perplexity_low"] < language["test_perplexity"]
    assert language["baseline_test_perplexity"] > 1
    page = Path(dvc(project, "plots", "show").strip().splitlines()[-1].removeprefix("file://"))
    text = page.read_text()
    for title in (
        "Mean reward by round",
        "Mean reward of digits-conv beside random search",
        "Test images by class",
        "Test perplexity of words by their rank in the training text",
    ):
        assert title in text


def test_the_live_records_are_no_output(project: Path) -> None:
    assert (project / ".state").is_dir()
    assert ".state" not in (project / "dvc.lock").read_text()


@pytest.mark.long
def test_another_clone_pulls_the_outputs_and_its_search_goes_on_from_the_snapshot(clone: Path) -> None:
    before = children(clone)
    assert len(before) == 8
    assert "Running stage" not in dvc(clone, "repro")
    dvc(clone, "exp", "run", "-S", "experiments/digits-conv.yaml:budget.children=12", ONLY_SEARCH)
    after = children(clone)
    assert [number for number, _ in after] == list(range(12))
    assert after[:8] == before  # none of them was trained again
    changed = json.loads(dvc(clone, "metrics", "diff", "--json"))
    assert changed["data/searches/digits-conv/metrics.json"]["children"]["new"] == 12


@pytest.mark.long
def test_changed_code_does_not_make_a_clone_forget_how_often_the_test_data_was_touched(clone: Path) -> None:
    evaluation = clone / "data/reports/digits-conv/evaluation/evaluation.json"
    told = json.loads(evaluation.read_text())
    evaluation.write_text(json.dumps({**told, "test": {**told["test"], "touches": 5}}))
    code = clone / "nas/final/evaluate.py"
    code.write_text(code.read_text() + "# changed\n")
    assert "Running stage 'evaluate@digits-conv'" in dvc(clone, "repro", "evaluate@digits-conv")
    assert json.loads(evaluation.read_text())["test"]["touches"] == 5


@pytest.mark.long
def test_another_definition_begins_a_search_of_its_own(clone: Path) -> None:
    before = children(clone)
    dvc(clone, "exp", "run", "-S", "experiments/digits-conv.yaml:recipe.epochs=2", ONLY_SEARCH)
    after = children(clone)
    assert len(after) == 8
    assert {begun for _, begun in after}.isdisjoint(begun for _, begun in before)

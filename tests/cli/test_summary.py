"""`nas summary` shows an experiment's outcome on one screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nas.workspace import Workspace
from tests.cli.conftest import NETS, Nas, Write


def test_summary_sets_the_search_beside_another_and_shows_the_test(
    nas: Nas, write: Write, workspace: Workspace, searched: Path
) -> None:
    write("other", budget={"children": 2}, evaluator__trainer="tests.fakes:train_by_seed", seed=8)
    write(
        budget={"children": 5},
        search__children_per_round=3,
        evaluator__trainer="tests.fakes:train_by_seed",
        beside="other",
    )
    ended = nas("summary", "tiny")
    assert ended.code == 0
    assert "nothing stands beside it" in ended.err
    nas("search", "other", "--no-track")
    assert "Not tested yet: nas finalize tiny" in nas("summary", "tiny").out
    evaluation: dict[str, Any] = {
        "architecture": NETS[0],
        "rank_correlation": {"kendall_tau": 0.5, "n": 3, "reason": ""},
        "test": {
            "metric": "accuracy",
            "unit": "images",
            "examples": 300,
            "lower_is_better": False,
            "touches": 1,
            "winner": {"value": 0.97, "low": 0.95, "high": 0.98},
            "baseline": {"value": 0.96, "low": 0.94, "high": 0.97},
        },
    }
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(evaluation))
    text = nas("summary", "tiny").out
    assert "test      0.9700 (0.9500 – 0.9800 at 95 %) accuracy, 300 images, touched 1 time\n" in text
    assert "baseline  0.9600" in text
    assert "0.50 (over 3 architectures)" in text
    told = json.loads(nas("summary", "tiny", "--json").out)
    assert [(s["experiment"], s["children"]) for s in told["searches"]] == [("tiny", 5), ("other", 2)]
    assert told["evaluation"] == evaluation
    assert "another winner" not in text
    then = {"final": "f/1", "winner": "b", "baseline": None, "data_digest": "d"}
    path.write_text(json.dumps({**evaluation, "tested": then}))
    final = {
        "fingerprint": "f",
        "data_digest": "d",
        "baseline": None,
        "finalists": [],
        "winner": {
            **{"number": 2, "sha256": "a", "model": "model.keras", "role": "candidate", "status": "ok"},
            **{"architecture": NETS[0], "score": 0.9, "reward": 0.9, "search": None},
        },
    }
    models = workspace.models("tiny")
    models.mkdir(parents=True)
    (models / "final.json").write_text(json.dumps(final))
    assert (
        "another winner was chosen since this test; nas evaluate tiny tests it" in nas("summary", "tiny").out
    )
    (models / "final.json").write_text(json.dumps({**final, "winner": []}))
    assert "final.json is not what `nas finalize` writes" in nas("summary", "tiny").err

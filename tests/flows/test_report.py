"""The report's flow leads to the page from its run and from MLflow, and neither can make it fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flows.report as module
from flows._runs import AWAY
from nas.errors import TemporaryError
from tests.factories import write_experiment


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was asked of Prefect and of MLflow."""
    write_experiment(tmp_path, "My.tiny_one")
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    asked: dict[str, Any] = {}
    monkeypatch.setattr(module, "create_link_artifact", lambda *words: asked.update(link=words))
    monkeypatch.setattr(module, "attach", lambda one, _, page: asked.update(attached=(one.name, page)))
    return asked


def test_the_run_links_the_page_and_mlflow_gets_it(linked: dict[str, Any]) -> None:
    module.link_page.fn("My.tiny_one", None, "/some/page/index.html")
    assert linked["link"] == ("file:///some/page/index.html", "page of My.tiny_one", "page-my-tiny-one")
    assert linked["attached"] == ("My.tiny_one", Path("/some/page/index.html"))


def test_services_that_are_away_are_only_told(
    linked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise AWAY[0]("nobody answers")

    def refuse(*_: object) -> None:
        raise TemporaryError("MLflow is away")

    monkeypatch.setattr(module, "create_link_artifact", away)
    monkeypatch.setattr(module, "attach", refuse)
    with caplog.at_level("WARNING", "nas.flows"):
        module.link_page.fn("My.tiny_one", None, "/some/page/index.html")
    assert "linking the page failed" in caplog.text
    assert "MLflow is away" in caplog.text

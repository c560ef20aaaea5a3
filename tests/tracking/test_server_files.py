"""The files of the team server fit together and give no secret away."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "mlflow"


@pytest.fixture
def settings() -> dict[str, str]:
    lines = (FOLDER / "server.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_users_database_is_the_one_that_readme_and_compose_make(settings: dict[str, str]) -> None:
    assert settings["MLFLOW_AUTH_CONFIG_PATH"] == "mlflow/basic_auth.ini"
    rules = configparser.ConfigParser()
    rules.read(FOLDER / "basic_auth.ini")
    name = rules["mlflow"]["database_uri"].removeprefix("postgresql:///")
    assert f"createdb --owner mlflow {name}" in (FOLDER / "README.md").read_text()
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert compose["configs"]["users_database"]["content"] == f"CREATE DATABASE {name};"


def test_compose_uses_only_settings_that_the_example_has(settings: dict[str, str]) -> None:
    text = (FOLDER / "compose.yaml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)\}", text))
    assert used
    assert used <= settings.keys()
    compose = yaml.safe_load(text)
    assert all(
        (FOLDER / mount.split(":")[0]).is_file() for mount in compose["services"]["mlflow"]["volumes"][:1]
    )
    assert compose["services"]["mlflow"]["ports"] == ["127.0.0.1:5000:5000"], "not open to the network"


def test_no_file_that_git_keeps_holds_a_secret() -> None:
    rules = configparser.ConfigParser()
    rules.read(FOLDER / "basic_auth.ini")
    assert "admin_password" not in rules["mlflow"]
    assert "@" not in rules["mlflow"]["database_uri"]
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", "mlflow/server.env"], cwd=FOLDER.parent, check=False
    ).returncode
    if ignored == 128:
        pytest.skip("no git repository around this copy")
    assert ignored == 0

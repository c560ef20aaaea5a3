"""What the code imports is what pyproject.toml declares, and what its comments say of the code is there."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OURS = {"nas", "flows", "tests"}
CHOSEN = {"jax"}
"""Another backend of Keras: whoever sets `KERAS_BACKEND` installs it."""

PYPROJECT = ROOT / "pyproject.toml"


def declared() -> set[str]:
    """All distributions that some extra or none installs."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    listed = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    return {canonicalize_name(Requirement(one).name) for one in listed}


def imported(folder: Path) -> Iterator[tuple[Path, str]]:
    """The top-level modules that the files below `folder` import, at their head or later."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.partition(".")[0]


def test_every_import_is_declared() -> None:
    providers, allowed = packages_distributions(), declared()
    missing = {
        module: str(path.relative_to(ROOT))
        for room in ("nas", "flows")
        for path, module in imported(ROOT / room)
        if module not in sys.stdlib_module_names | OURS | CHOSEN
        and not allowed & {canonicalize_name(one) for one in providers.get(module, [module])}
    }
    assert not missing


def test_the_modules_that_pyproject_names_are_there() -> None:
    comments = re.findall(r"#.*", PYPROJECT.read_text(encoding="utf-8"))
    for name in re.findall(r"\b(?:nas|flows)(?:\.[a-z_0-9]+)+", " ".join(comments)):
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
    for name in re.findall(r"\b(?:nas|flows|tests|benchmarks|mlflow)/[\w./]+\w", " ".join(comments)):
        assert (ROOT / name).exists(), name

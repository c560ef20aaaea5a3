"""`nas doctor`: whether this machine and this workspace can search, and what stands in the way.

Nothing here imports TensorFlow: versions come from package metadata.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import platform
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import typer
from packaging.requirements import Requirement
from packaging.version import Version
from rich.markup import escape
from rich.table import Table

from nas.cli.common import FREE_BYTES, AsJson, MaybeName, examples, load_experiment, print_json, screen
from nas.dialects import read_otherwise
from nas.errors import InputError, NasError, printable
from nas.experiment import Workers, read_yaml
from nas.winner import named_in
from nas.workers.backend import honoured, keras_backend, unusable_backend
from nas.workers.slots import Gpu, find_gpus, holder, slots
from nas.workspace import Workspace

PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "prefect",
    "fastapi",
    "sqlalchemy",
    "mlflow",
    "dvc",
    "pebble",
    "numpy",
)
OPTIONAL = ("jax",)
WHY = {
    "fastapi": "prefect 3.8 fails at import with newer ones",
    "sqlalchemy": "with newer ones, schedules of prefect 3.8 never fire",
}
PORTS = {4200: "Prefect", 5000: "MLflow"}
SWITCHES = {
    "DO_NOT_TRACK": ("1", "Prefect's client and MLflow"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": ("false", "Prefect's server"),
    "MLFLOW_DISABLE_TELEMETRY": ("true", "MLflow"),
}
CHILD_MEMORY_BYTES = 2 * 2**30
"""Roughly what one TensorFlow process with a small network and its data needs."""
MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "broken": "[bold red]broken[/]"}


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("doctor", epilog=examples("nas doctor", "nas doctor digits-conv"))(doctor)


def doctor(experiment: MaybeName = "", as_json: AsJson = False) -> None:
    """Checks versions, backend, GPUs, slots and who holds them, disk, memory, ports, telemetry, workspace,
    and what DVC would read otherwise in experiments/*.yaml and params.yaml.

    With EXPERIMENT, the slots are those that its limits give. Exit code 1 if something is broken.

    JSON: {"broken": number, "findings": [{"room", "what", "state": "ok", "note" or "broken", "found",
    "advice"}]}
    """
    workspace = Workspace.here()
    workers = load_experiment(experiment, workspace, winners=False).workers if experiment else Workers()
    findings = list(all_findings(workspace, workers))
    broken = sum(finding.state == "broken" for finding in findings)
    if as_json:
        print_json({"broken": broken, "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings)
        typer.echo(f"\n{broken} broken" if broken else "\nNothing is broken.")
    if broken:
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    table = Table(box=None, padding=(0, 1), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    room = ""
    for finding in findings:
        advice = f"\n→ {finding.advice}" if finding.advice else ""
        table.add_row(
            f"[bold]{finding.room}[/]" if finding.room != room else "",
            escape(printable(finding.what)),
            MARKS[finding.state],
            escape("\n".join(map(printable, (finding.found + advice).splitlines()))),
        )
        room = finding.room
    screen().print(table)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        room: what it belongs to.
        what: its name.
        state: `ok`, `note` (works, but you may want to know) or `broken`.
        found: what was found, in a few words.
        advice: what to do about it.
    """

    room: str
    what: str
    state: str
    found: str
    advice: str = ""


def all_findings(workspace: Workspace, workers: Workers) -> Iterator[Finding]:
    """Everything, in the order in which it is shown."""
    yield from versions(workspace)
    yield backend()
    gpus = find_gpus()
    yield from devices(gpus)
    yield from places(workers, gpus)
    yield from machine(workspace)
    yield from (port(number, owner) for number, owner in PORTS.items())
    yield from telemetry(workspace)
    yield from folders(workspace)
    yield from dialects(workspace)


def versions(workspace: Workspace) -> Iterator[Finding]:
    """Versions against what this package requires and against those that were tested together."""
    required: dict[str, Requirement] = {}
    for text in importlib.metadata.requires("nasflow") or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            required[requirement.name.lower()] = requirement
    tested = _tested(workspace.root / "constraints.txt")
    yield Finding("versions", "nasflow", "ok", importlib.metadata.version("nasflow"))
    yield Finding("versions", "python", "ok", platform.python_version())
    for name in PACKAGES:
        yield _version(name, required.get(name), tested.get(name, ""))


def _version(name: str, required: Requirement | None, tested: str) -> Finding:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if name in OPTIONAL:
            return Finding("versions", name, "ok", "not installed (optional)")
        return Finding("versions", name, "broken", "not installed", "run `make setup`")
    if required is not None and not required.specifier.contains(Version(found), prereleases=True):
        why = f": {WHY[name]}" if name in WHY else ""
        return Finding(
            "versions", name, "broken", found, f"{name}{required.specifier} is needed{why}; run `make setup`"
        )
    if tested and tested != found:
        return Finding("versions", name, "note", found, f"{tested} was tested (constraints.txt)")
    return Finding("versions", name, "ok", found)


def _tested(constraints: Path) -> dict[str, str]:
    if not constraints.is_file():
        return {}
    lines = (line.split("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.lower(): version for name, version in pairs}


def backend() -> Finding:
    """The backend that Keras will take, found as Keras finds it, and what changes its arithmetic."""
    name, where = keras_backend()
    if problem := unusable_backend():
        return Finding("backend", "keras", "broken", f"{name} ({where})", problem)
    if changed := honoured():
        listed = ", ".join(f"{variable}={value}" for variable, value in changed.items())
        advice = f"children obey {listed}, so their searches have a fingerprint of their own"
        return Finding("backend", "keras", "note", f"{name} ({where})", advice)
    return Finding("backend", "keras", "ok", f"{name} ({where})")


def devices(gpus: list[Gpu]) -> Iterator[Finding]:
    """The GPUs, and whether TensorFlow was installed with what it needs for them."""
    for gpu in gpus:
        size = f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB"
        yield Finding("devices", f"gpu {gpu.index}", "ok", size)
    if not gpus:
        found = "none; children compute on the CPU"
        yield Finding("devices", "gpus", "ok", found)
    elif not any(name.startswith("nvidia-cudnn") for name in _installed()):
        yield Finding(
            "devices",
            "cuda",
            "note",
            "TensorFlow was installed without CUDA's libraries",
            "pip install 'nasflow[gpu]', unless the system has them",
        )


def _installed() -> Iterator[str]:
    for distribution in importlib.metadata.distributions():
        yield (distribution.metadata["Name"] or "").lower()


def places(workers: Workers, gpus: list[Gpu]) -> Iterator[Finding]:
    """The slots of children, who holds them, and why a child would have to wait."""
    made = slots(workers, gpus)
    held = {}
    for slot in made:
        try:
            by = holder(slot.name)
        except NasError as error:
            yield Finding("slots", slot.name, "broken", str(error))
            return
        size = f"{slot.threads} thread{'s' * (slot.threads > 1)}"
        if slot.gpu_memory_bytes:
            size += f", {slot.gpu_memory_bytes / 2**30:.1f} GiB of its GPU"
        if by:
            held[slot.name] = by
        yield Finding(
            "slots", slot.name, "note" if by else "ok", f"{size}; {f'held by {by}' if by else 'free'}"
        )
    if len(held) == len(made):
        found = f"must wait: all {len(made)} slots are held"
        yield Finding(
            "slots", "a new child", "note", found, "wait for the searches that hold them, or stop them"
        )
    else:
        yield Finding(
            "slots", "a new child", "ok", f"starts at once: {len(made) - len(held)} of {len(made)} free"
        )


def machine(workspace: Workspace) -> Iterator[Finding]:
    """Free disk and memory."""
    free = shutil.disk_usage(workspace.root).free
    broken = free < FREE_BYTES
    yield Finding(
        "machine",
        "disk",
        "broken" if broken else "ok",
        f"{free / 1e9:.1f} GB free",
        f"a search begins only with {FREE_BYTES / 1e9:g} GB; make room" if broken else "",
    )
    memory = psutil.virtual_memory()
    low = memory.available < CHILD_MEMORY_BYTES
    yield Finding(
        "machine",
        "memory",
        "note" if low else "ok",
        f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free",
        "a child of TensorFlow needs about 2 GiB; children may be ended as out_of_memory" if low else "",
    )


def port(number: int, owner: str) -> Finding:
    """Whether a port is free, else who listens on it as far as the system tells."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        busy = probe.connect_ex(("127.0.0.1", number)) == 0
    if not busy:
        return Finding("ports", str(number), "ok", f"free ({owner})")
    who = "somebody listens"
    with suppress(psutil.Error):  # the system doesn't tell this user
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid
            if listens and getattr(connection.laddr, "port", None) == number:
                who = f"process {connection.pid} ({psutil.Process(connection.pid).name()}) listens"
                break
    return Finding(
        "ports", str(number), "note", f"{who} ({owner})", f"`make ui` takes another port unless it is {owner}"
    )


def telemetry(workspace: Workspace) -> Iterator[Finding]:
    """The switches that keep the libraries from reporting usage to their makers."""
    for name, (quiet, who) in SWITCHES.items():
        value = os.environ.get(name)
        if value is None:
            found = f"not set; {quiet} in what nasflow runs ({who})"
            yield Finding("telemetry", name, "ok", found)
        elif value.lower() in (quiet, "true" if quiet == "1" else quiet):
            yield Finding("telemetry", name, "ok", f"{value} ({who})")
        else:
            yield Finding("telemetry", name, "note", f"{value}: {who} may report", f"{quiet} keeps it silent")
    config = configparser.ConfigParser()
    with suppress(configparser.Error):
        config.read(workspace.root / ".dvc" / "config")
    analytics = config.get("core", "analytics", fallback="")
    silent = analytics == "false" or bool(os.environ.get("DVC_NO_ANALYTICS"))
    yield Finding(
        "telemetry",
        "DVC",
        "ok" if silent else "note",
        "silent" if silent else "may report",
        "" if silent else "`dvc config core.analytics false` keeps it silent",
    )


def pipeline(workspace: Workspace) -> Iterator[Finding]:
    """What params.yaml lacks of what dvc.yaml asks for."""
    path = workspace.root / "params.yaml"
    try:
        params = read_yaml(path, "no params.yaml") if path.is_file() else {}
    except InputError as error:
        yield Finding("workspace", "params.yaml", "broken", str(error))
        return
    yield from _without_raw(params.get("datasets"))
    yield from _without_after(params, workspace)


def _without_raw(named: Any) -> Iterator[Finding]:
    """The data sets of the pipeline that don't say where their raw data lie."""
    for name, data in named.items() if isinstance(named, dict) else ():
        if not isinstance(data, dict) or not data.get("raw"):
            yield Finding(
                "workspace",
                "params.yaml",
                "broken",
                f"datasets.{name} has no `raw`, so DVC ends with \"Could not find 'item.raw'\"",
                "add the file or folder of its raw data, as in `raw: data/raw/my-images`",
            )


def _without_after(params: Mapping[str, Any], workspace: Workspace) -> Iterator[Finding]:
    """The experiments of the pipeline that name a winner for which DVC doesn't wait."""
    groups = {key: params.get(key) for key in ("searches", "searches_after", "finals")}
    known = {key: value if isinstance(value, dict) else {} for key, value in groups.items()}
    for name in dict.fromkeys(str(name) for group in known.values() for name in group):
        waits = known["searches_after"].get(name)
        after = waits.get("after") if isinstance(waits, dict) else None
        with suppress(InputError):  # a file that can't be read is told of elsewhere
            winners = named_in(read_yaml(workspace.experiments / f"{name}.yaml", "no experiment"))
            missing = [winner for winner in winners if winner != after]
            if not missing:
                continue
            advice = (
                f"DVC waits for one winner only: `dvc repro finalize@{missing[0]}` before it"
                if after in winners
                else f"it stands under `searches_after` instead of `searches`, as in {name}: "
                f"{{data: …, after: {missing[0]}}}"
            )
            found = f"{name} needs the winner of {', '.join(missing)}, for which DVC doesn't wait"
            yield Finding("workspace", "params.yaml", "note" if after in winners else "broken", found, advice)


def folders(workspace: Workspace) -> Iterator[Finding]:
    """The workspace and what it holds."""
    from nas.tracking.connection import without_password

    experiments = len(list(workspace.experiments.glob("*.yaml")))
    yield Finding(
        "workspace",
        str(workspace.root),
        "ok" if experiments else "note",
        f"{experiments} experiments, {len(list(workspace.state.glob('*/record.sqlite')))} records",
        ""
        if experiments
        else "there is no experiments/*.yaml here; go to the project's folder or set NAS_HOME",
    )
    if not os.access(workspace.root, os.W_OK):
        yield Finding(
            "workspace", "writing", "broken", "not allowed", "choose a folder of your own by NAS_HOME"
        )
    yield from pipeline(workspace)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    yield Finding("workspace", "MLflow", "ok", without_password(uri) if uri else "the workspace's own store")
    prefect = os.environ.get("PREFECT_API_URL")
    yield Finding(
        "workspace",
        "Prefect",
        "ok",
        without_password(prefect) if prefect else "a temporary server for each flow",
    )


def dialects(workspace: Workspace) -> Iterator[Finding]:
    """YAML files that DVC reads too: those that can't be read, and values that it takes for others."""
    files = [*sorted(workspace.experiments.glob("*.yaml")), workspace.root / "params.yaml"]
    for path in filter(Path.is_file, files):
        name = str(path.relative_to(workspace.root))
        try:
            told = read_otherwise(path)
        except InputError as error:
            yield Finding("workspace", name, "broken", "can't be read", str(error))
            continue
        if told:
            yield Finding("workspace", name, "note", "DVC reads it otherwise", "\n".join(told))

"""`nas doctor`: whether this machine and this workspace can search, and what stands in the way."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from nas.cli.checks import Finding, all_findings
from nas.cli.common import AsJson, MaybeName, examples, load_experiment, print_json, screen
from nas.errors import printable
from nas.experiment import Workers
from nas.workspace import Workspace

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
    workers = load_experiment(experiment, workspace).workers if experiment else Workers()
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

"""`nas serve`: runs the schedules in one process."""

from __future__ import annotations

import signal

import typer

from nas.cli.common import examples


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("serve", epilog=examples("nas serve"))(serve)


def serve() -> None:
    """Runs the schedules in this one process, without a Prefect worker.

    They are those of prefect.yaml: the nightly search and the weekly pipeline, one at a time. Ends with
    Ctrl-C. PREFECT_API_URL names the server; without it, one on this machine is used or started.
    """
    from flows import serve as schedules

    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio knows no other exception
    raise typer.Exit(schedules.main())

"""This machine's own addresses: never asked for through a proxy."""

from __future__ import annotations

import os

ADDRESSES = ("127.0.0.1", "localhost", "::1")


def bypass_proxies() -> None:
    """Lets Prefect's and MLflow's clients reach servers on loopback whatever proxy the user has set.

    Adds to what the user excepts already. Libraries read `NO_PROXY` or `no_proxy`, and some only one of
    them, so both get all entries.
    """
    entries = [
        entry.strip()
        for name in ("no_proxy", "NO_PROXY")
        for entry in os.environ.get(name, "").split(",")
        if entry.strip()
    ]
    excepted = ",".join(dict.fromkeys((*entries, *ADDRESSES)))
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = "*" if "*" in entries else excepted

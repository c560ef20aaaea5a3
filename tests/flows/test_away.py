"""Prefect's API away, hung, or not one at all: a sentence and code 75 in bounded time, and no child lost."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.asyncutils import run_coro_as_sync

from flows import _server
from flows._runs import is_away, was_stopped
from flows._server import reach_api
from nas.errors import InputError, TemporaryError
from nas.experiment import load
from nas.loopback import bypass_proxies
from nas.search.opening import read_record
from nas.workspace import Workspace
from tests.factories import write_experiment
from tests.flows.processes import Flow, until
from tests.servers import answering


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(_server, "ANSWER_SECONDS", 0.3)


def told(address: str) -> str:
    with temporary_settings({PREFECT_API_URL: address}), pytest.raises(TemporaryError) as error:
        reach_api()
    text = str(error.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (500, "oops", "it answers 500"),
        (503, "", "it answers 503"),
        (401, "", "it answers 401.*PREFECT_API_AUTH_STRING"),
        (404, "", "it answers 404.*ends in /api"),
        (200, "<html>", "no Prefect API.*ends in /api"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_an_answer_that_is_not_prefects_is_told_in_a_sentence(status: int, body: str, sentence: str) -> None:
    with answering(status, body) as address:
        assert re.search(sentence, told(address))


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_or_speaks_no_tls_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        assert "did not answer within 0.3 s" in told(f"http://127.0.0.1:{port}/api")
    assert "refused" in told(f"http://ada:secret@127.0.0.1:{port}/api")
    assert "secret" not in told(f"http://ada:secret@127.0.0.1:{port}/api")
    with answering(200) as address:
        assert "SSL" in told(address.replace("http:", "https:"))
    assert "protocol" in told("not-an-address")


def test_a_server_that_starts_again_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE_SECONDS", 60.0)
    with answering(200, '"3.8.8"') as address:
        addresses = ["http://127.0.0.1:9/api", "http://127.0.0.1:9/api"]
        real = _server.get_client

        def client(**named: Any) -> Any:
            with temporary_settings({PREFECT_API_URL: addresses.pop() if addresses else address}):
                return real(**named)

        monkeypatch.setattr(_server, "get_client", client)
        with temporary_settings({PREFECT_API_URL: address}):
            assert reach_api() == address
    assert not addresses


class Valve:
    """A way to a server that can be shut: connections stay open and nothing passes any more."""

    def __init__(self, target: int) -> None:
        self._target, self.open = target, threading.Event()
        self.open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, other = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [one, other]
                for pair in ((one, other), (other, one)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.open.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.open.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def valve(api: str) -> Iterator[Valve]:
    made = Valve(httpx.URL(api).port or 0)
    yield made
    made.close()


def hang_in_the_middle(
    home: Path, start: type[Flow], valve: Valve, then: Callable[[Flow], None], **variables: str
) -> Flow:
    """A search of 8 children in two rounds whose server hangs while the first children train."""
    write_experiment(home, "slow", evaluator__trainer="tests.fakes:wait_for_go")
    flow = start("search", "slow", PREFECT_API_URL=f"http://127.0.0.1:{valve.port}/api", **variables)
    flow.wait_for_children()
    valve.open.clear()
    (home / "go").touch()
    then(flow)
    return flow


def statuses(home: Path) -> list[str]:
    if not any(home.glob(".state/*/record.sqlite")):
        return []
    with read_record(load(home / "experiments" / "slow.yaml"), Workspace(home)) as record:
        return [child.status for child in record.children()]


def test_a_server_that_hangs_for_a_while_stops_no_child(home: Path, start: type[Flow], valve: Valve) -> None:
    def come_back(flow: Flow) -> None:
        until(lambda: statuses(home)[:4] == ["ok"] * 4, "children are trained and committed meanwhile")
        valve.open.set()

    flow = hang_in_the_middle(home, start, valve, come_back)
    assert flow.wait() == 0, flow.output()
    assert statuses(home) == ["ok"] * 8


@pytest.mark.long
def test_a_server_that_hangs_for_good_ends_with_code_75_when_the_search_is_done(
    home: Path, start: type[Flow], valve: Valve
) -> None:
    patience = {"PREFECT_API_REQUEST_TIMEOUT": "1", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    flow = hang_in_the_middle(home, start, valve, lambda flow: None, **patience)
    assert flow.wait() == 75, flow.output()
    assert statuses(home) == ["ok"] * 8
    assert "Prefect's API is away" in flow.output()
    assert "()" not in flow.output()  # a timeout has no text of its own
    assert "Traceback" not in flow.output()
    assert "Error logging" not in flow.output()


def test_a_timeout_of_an_asynchronous_client_is_not_taken_for_a_signal() -> None:
    async def ask(port: int) -> None:
        async with httpx.AsyncClient(timeout=0.2) as client:
            await client.get(f"http://127.0.0.1:{port}")

    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(httpx.ReadTimeout) as error:
        run_coro_as_sync(ask(deaf.getsockname()[1]))
    assert is_away(error.value)
    assert not was_stopped(error.value)
    error.value.__context__ = KeyboardInterrupt()
    assert was_stopped(error.value)


def test_a_proxy_is_never_asked_for_this_machine(
    home: Path, start: type[Flow], tmp_path: Path, api: str
) -> None:
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    assert start("search", "tiny", PREFECT_API_URL=api, **proxy).wait() == 0


@pytest.mark.parametrize("proxy", ["foo://proxy", "socks5://127.0.0.1:9"])
def test_a_proxy_that_the_client_cannot_use_is_told_in_a_sentence(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)  # as where it is not installed
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(InputError, match=r"proxy .*ALL_PROXY.* can't be used: ") as error:
        reach_api()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_the_user_excepts_from_proxies_stays_excepted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv(name, "example.org, 127.0.0.1,")
    for _ in range(2):
        bypass_proxies()
        for each in ("NO_PROXY", "no_proxy"):
            assert os.environ[each] == "example.org,127.0.0.1,localhost,::1"
    monkeypatch.setenv(name, "*")
    bypass_proxies()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "*"

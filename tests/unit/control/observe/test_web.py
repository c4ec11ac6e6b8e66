"""The HTTP server of the metrics endpoint: what it answers, and what it never does."""

import asyncio
import contextlib
import gzip
import http.client
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mcproxy.control.observe import web
from mcproxy.control.observe.web import Site
from mcproxy.control.store.revisions import Revision
from mcproxy.net.sockets import listen
from tests.support.observed import ADDR, HOSTILE, Known, facts, route, state
from tests.support.ports import free_port
from tests.support.rows import each_row
from tests.support.tls import receive_all

Request: TypeAlias = tuple[str, str, dict[str, str]]
Answer: TypeAlias = tuple[http.client.HTTPResponse, bytes]
T = TypeVar("T")


def ask(source: Known, *requests: Request) -> list[Answer]:
    """Return the answers to requests (method, target, headers), sent on one connection to a site of its own."""
    return with_site(source, lambda port: list(_asked(port, requests)))


def get(source: Known, target: str, **headers: str) -> tuple[http.client.HTTPResponse, str]:
    ((response, body),) = ask(source, ("GET", target, headers))
    return response, body.decode()


def with_site(source: Known, work: Callable[[int], T]) -> T:
    async def serve() -> T:
        port = free_port()
        (listening,) = listen(f"127.0.0.1:{port}", 1)
        site = Site(source, "/metrics")
        await site.start(listening)
        try:
            return await asyncio.to_thread(work, port)
        finally:
            await site.stop()

    return asyncio.run(serve())


def _asked(port: int, requests: Iterable[Request]) -> Iterator[Answer]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for method, target, headers in requests:
            connection.request(method, target, headers=headers)
            response = connection.getresponse()
            yield response, response.read()
    finally:
        connection.close()


def test_liveness_and_readiness() -> None:
    """Alive is alive; ready only when nothing is in the way, and if not, the answer says what."""
    source = Known()
    assert get(source, "/healthz")[0].status == 200
    response, body = get(source, "/readyz")
    assert (response.status, body) == (200, "ready\n")
    source.reasons = ["worker 2 of 2 (pid 17) serves nothing yet; 7 is wanted"]
    response, body = get(source, "/readyz")
    assert response.status == 503
    assert body == "worker 2 of 2 (pid 17) serves nothing yet; 7 is wanted\n"
    assert get(source, "/healthz")[0].status == 200


@pytest.mark.parametrize(
    "target", ["/", "/metrics", "/healthz", "/readyz", "/api/status", "/static/status.css", "/nothing"]
)
def test_every_answer_is_safe_in_a_browser(target: str) -> None:
    """Nothing is guessed, kept, framed, or run unless it comes from here as a file."""
    response, _ = get(Known(), target)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Server"] == "mcproxy", "no version to look for holes in"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("target", ["/", "/metrics", "/healthz", "/readyz", "/static/status.js"])
def test_head_is_get_without_body(target: str) -> None:
    """Also on a connection that goes on."""
    (got, body), (head, nothing), (again, _) = ask(
        Known(), ("GET", target, {}), ("HEAD", target, {}), ("GET", "/healthz", {})
    )
    assert (head.status, nothing) == (got.status, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert body
    assert again.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(method: str) -> None:
    """Whatever the path."""
    for target in ("/", "/metrics", "/nothing"):
        ((response, _),) = ask(Known(), (method, target, {}))
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"


@each_row(
    "target",
    [
        "/static/",
        "/static",
        "/static/../status.py",
        "/static/%2e%2e/status.py",
        "/static/..%2fstatus.py",
        "/templates/status.html",
        "/metrics/",
        "//metrics",
        "/favicon.ico",
        "/static/status.css/",
    ],
)
def test_only_what_is_named_is_there(target: str) -> None:
    """No folder is served, so there is none to climb out of."""
    response, body = get(Known(), target)
    assert (response.status, body) == (404, "nothing here\n")


@pytest.mark.parametrize("host", ["evil.test", "evil.test:1\\@x", '"><script>'])
def test_the_host_header_decides_only_whether_the_page_is_shown(host: str) -> None:
    """It is in no answer, and no answer leads elsewhere; the page alone is not shown under any name."""
    for target, status in (
        ("/", 421),
        ("/api/x", 421),
        ("/api/status", 421),
        ("/nothing", 404),
        ("/metrics", 200),
        ("/healthz", 200),
    ):
        response, body = get(Known(), target, Host=host)
        assert response.status == status
        assert ("[metrics] allowed_hosts" in body) == (status == 421)
        assert "evil" not in body + str(response.headers)
        assert "Location" not in response.headers


@pytest.mark.parametrize("header", ["Host: localhost\r\nHost: evil.test", "Host: evil.test", "Host: localhost"])
def test_all_names_of_a_request_count(header: str) -> None:
    """A second Host header, and the name in an absolute target."""
    for target in ("/", "http://evil.test/"):
        data = f"GET {target} HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n".encode()

        def ask(port: int, data: bytes = data) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(data)
                return receive_all(client)

        status = with_site(Known(), ask).split()[1]
        assert (status == b"200") == ("evil" not in header + target)


def test_metrics_come_as_the_client_likes_them() -> None:
    """As text unless OpenMetrics is asked for, and compressed only if that is accepted; other wishes are no error."""
    source = Known()
    response, body = get(source, "/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE mcproxy_config_generation gauge\nmcproxy_config_generation 7.0\n" in body
    response, body = get(source, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parse: Any = text_string_to_metric_families
    names = {family.name for family in parse(body)}
    assert {"mcproxy_build", "mcproxy_connections", "mcproxy_backend_dial_seconds"} <= names
    ((response, packed),) = ask(source, ("GET", "/metrics", {"Accept-Encoding": "br, GZIP"}))
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"mcproxy_config_generation 7.0" in gzip.decompress(packed)
    for unwanted in ("", "br", "gzip;q=0", "br, gzip; q=0.0", "x-gzip", "gzipped"):
        ((response, plain),) = ask(source, ("GET", "/metrics", {"Accept-Encoding": unwanted}))
        assert "Content-Encoding" not in response.headers, unwanted
        assert plain.startswith(b"# HELP")
    ((response, _),) = ask(source, ("GET", "/metrics", {"Accept-Encoding": "br, gzip;q=0.5"}))
    assert response.headers["Content-Encoding"] == "gzip"
    for accept in ("application/openmetrics-text;version=x", "text/plain;version=;escaping=y", ";;,", "text/html"):
        response, body = get(source, "/metrics", Accept=accept)
        assert response.status == 200, accept
        assert "mcproxy_config_generation 7.0" in body


def test_the_page_finds_routes() -> None:
    """By the parameter ``q``; others, and repeated ones, do no harm."""
    source = Known()
    source.known = facts(state(route("one.test"), route("two.test")))
    response, body = get(source, "/?q=TWO&x=1&q=one")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "two.test" in body
    assert "one.test" not in body


def test_the_page_as_json() -> None:
    """The same choice of routes; curves, checks and counts as plain fields."""
    source = Known()
    source.known = facts(state(route("a.test"), route("b.test")))
    response, body = get(source, "/api/status?q=b.test&route=:8443+b.test")
    assert response.headers["Content-Type"] == "application/json"
    told = json.loads(body)
    assert [one["hostname"] for one in told["routes"]["shown"]] == ["b.test"]
    assert told["detail"]["route"]["backend"] == "10.0.0.1:8080"
    assert (told["generation"], told["health"], told["problems"]) == (7, "good", [])
    assert [check["name"] for check in told["checks"]][:2] == ["Workers", "Configuration"]
    assert told["curves"]["requests"] == []
    assert "facts" not in told


def test_a_failure_is_told_in_the_log_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """The client learns nothing of it, and the next answer is right again."""
    source = Known()
    source.failure = RuntimeError("secret of the inside")
    for target in ("/", "/metrics"):
        response, body = get(source, target)
        assert response.status == 500
        assert "secret" not in body
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert get(source, "/healthz")[0].status == 200
    out, err = capfd.readouterr()
    assert "secret of the inside" in out + err


@pytest.mark.parametrize(
    "data",
    [
        b"secret\r\n\r\n",
        b"\x16\x03\x01\x00\xff\x01\x00secret",
        b"GET /secret HTTP/9.9\r\n\r\n",
        b"GET /" + b"secret" * 5000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"secret: secret\r\n" * 500 + b"\r\n",
    ],
    ids=["words", "tls", "version", "long", "many"],
)
def test_what_is_no_request_is_refused_without_a_word(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is repeated, in the answer or in the log, which a stranger must not be able to fill."""

    def ask(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(data)
            return receive_all(client)

    answer = with_site(Known(), ask)
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert b"nosniff" in answer
    assert b"secret" not in answer
    assert b"aiohttp" not in answer
    assert "".join(capfd.readouterr()) == ""


def test_a_crowd_costs_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control needs its descriptors: when too many are there, the one that has been idle for longest makes room."""
    monkeypatch.setattr(web, "_CONNECTIONS", 3)

    def crowd(port: int) -> None:
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(3)]
            for one in (idle[2], idle[0], idle[1]):
                one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert one.recv(15) == b"HTTP/1.1 200 OK"
            for gone in (idle[2], idle[0]):
                late = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                late.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert late.recv(15) == b"HTTP/1.1 200 OK"
                receive_all(gone)
            idle[1].settimeout(0.05)
            receive_some(idle[1])
            with pytest.raises(TimeoutError):
                idle[1].recv(1)

    with_site(Known(), crowd)


def receive_some(client: socket.socket) -> None:
    """Read the rest of an answer."""
    while b"alive" not in client.recv(4096):
        pass


def test_those_who_send_nothing_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has asked once may wait for longer."""
    monkeypatch.setattr(web, "_FIRST_REQUEST", 0.1)

    def wait(port: int) -> None:
        with contextlib.ExitStack() as stack:
            silent, asking = (
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(2)
            )
            asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            receive_some(asking)
            assert silent.recv(1) == b""
            asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            receive_some(asking)

    with_site(Known(), wait)


def test_stopping_closes_idle_connections_at_once() -> None:
    """A client that keeps its connection does not hold up a reload."""

    async def scenario() -> bytes:
        port = free_port()
        (listening,) = listen(f"127.0.0.1:{port}", 1)
        site = Site(Known(), "/metrics")
        await site.start(listening)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"alive\n")
        await site.stop()
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        return rest

    assert asyncio.run(scenario()) == b""


def test_a_scrape_leaves_the_loop_free() -> None:
    """What takes long is not done where control reacts to its workers: between two turns of the loop the rest waits."""
    source = Known()
    turns: list[str] = []

    async def scenario() -> None:
        port = free_port()
        (listening,) = listen(f"127.0.0.1:{port}", 1)
        site = Site(source, "/metrics")
        await site.start(listening)
        loop = asyncio.get_running_loop()
        original = loop.run_in_executor

        def noting(executor: Any, work: Callable[..., Any], *args: Any) -> Any:
            turns.append("thread")
            return original(executor, work, *args)

        loop.run_in_executor = noting  # type: ignore[method-assign, assignment]
        try:
            for target in (b"/metrics", b"/"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert b"200 OK" in await reader.read()
                writer.close()
        finally:
            await site.stop()

    asyncio.run(scenario())
    assert turns == ["thread"] * 3  # of the page what is shown, and its text


def test_a_route_leads_to_the_generation_that_changed_it() -> None:
    """With what that changed, whose label may be any text; of one that is not kept that is said."""
    source = Known()
    revision = Revision(42, 1.0, "file", "ann", "", "route :443 a.test: backend changed", HOSTILE)
    source.changed = {(ADDR, "a.test"): revision}
    source.generations = {42: (revision, (f"~ route {ADDR} a.test  {HOSTILE}",))}
    link = 'href="?generation=42"'
    for target in ("/", f"/?route={ADDR}+a.test"):
        response, body = get(source, target)
        assert (response.status, link in body) == (200, True)
        assert HOSTILE not in body
    _, body = get(source, "/?generation=42")
    assert "Generation 42" in body
    assert f"~ route {ADDR} a.test" in body
    assert HOSTILE not in body
    assert "Generation 43 is not kept" in get(source, "/?generation=43")[1]
    told = json.loads(get(source, "/api/status?generation=42")[1])
    assert told["changed"][f"{ADDR} a.test"]["generation"] == told["then"]["revision"]["generation"] == 42

"""`forward_auth` in front of a site: who may pass, as whom, and that nobody does while the server says nothing."""

import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import ClassVar

import msgspec
import pytest
import tomlkit

from tests.support.auth_server import SESSION, AuthServer
from tests.support.certificates import Certificates
from tests.support.endpoint import metric
from tests.support.fleet import Fleet
from tests.support.http_clients import H2Client, Response, client
from tests.support.http_thread import Handler, HttpThread
from tests.support.l4 import wait_for
from tests.support.l7 import l7_route
from tests.support.proxy import Proxy
from tests.support.settings import listener
from tests.support.websocket import extended_connect, switching, upgrade

NAME = "l7.test"
VERSIONS = ("http/1.1", "h2")
FORGED = [
    (name, "admin") for name in ("x-user", "x_user", "x.user", "x~user", "X-USER".lower(), "x-groups", "x!groups")
]
COOKIE = ("cookie", SESSION)


class Site(Handler):
    """The site behind: it keeps what it gets, takes upgrades, and answers."""

    got: ClassVar[list[tuple[str, dict[str, list[str]], bytes]]]

    def serve(self) -> None:
        fields: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        if "upgrade" in fields:
            self.got.append((f"{self.command} {self.path}", fields, b""))
            key = f"Sec-WebSocket-Key: {fields['sec-websocket-key'][0]}"
            self.wfile.write(switching(b"\r\n" + key.encode() + b"\r\n"))
            self.close_connection = True
            return
        self.got.append((f"{self.command} {self.path}", fields, self.body()))
        self.answer(200, b"site")


class Stage(msgspec.Struct, frozen=True):
    """A proxy with servers that decide, one that never does, and one that is not there.

    Attributes:
        got: what has come to the site.
        unanswered: requests that wait for the one that never decides, in each version of HTTP.
    """

    proxy: Proxy
    auth: AuthServer
    silent: AuthServer
    got: list[tuple[str, dict[str, list[str]], bytes]]
    unanswered: list[Future[Response]] = []

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()

    def ask(
        self, version: str, path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b""
    ) -> Response:
        with client(version, self.address, NAME) as peer:
            return peer.request(method, path, headers, body or None)

    def passed(self) -> tuple[str, dict[str, list[str]], bytes]:
        """Return the one request that has come to the site."""
        (found,) = self.got
        return found


def forward(backend: str) -> dict[str, object]:
    asked = {"backend": backend, "path": "/verify?x=1", "copy_headers": ["X-User", "X-Groups"]}
    return {"forward_auth": asked}


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def running(request: pytest.FixtureRequest, fleet: Fleet, certs: Certificates) -> Iterator[Stage]:
    with ExitStack() as stack:
        auth, silent = stack.enter_context(AuthServer()), stack.enter_context(AuthServer())
        silent.silent.set()
        site: type[Site] = type("Mine", (Site,), {"got": []})
        behind = stack.enter_context(HttpThread(site))
        nobody = stack.enter_context(closing(socket.socket()))
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        down = nobody.getsockname()[1]
        cases = [
            {"match": "/public/*", "without": ["login"]},
            {"match": "/silent/*", "without": ["login"], "use": ["silent"]},
            {"match": "/down/*", "without": ["login"], "use": ["down"]},
            {"match": "/both/*", "use": ["second"]},
        ]
        route = l7_route(certs, behind.port, NAME, use=["login"], cases=cases)
        text = tomlkit.dumps(
            {
                "proxy": {"workers": 1, "shutdown_timeout": "2s", "http2_engine": request.param},
                "upstreams": {"auth": {"endpoints": [f"127.0.0.1:{down}", f"127.0.0.1:{auth.port}"]}},
                "filters": {
                    "login": forward("auth"),
                    "second": forward(f"127.0.0.1:{auth.port}"),
                    "silent": forward(f"127.0.0.1:{silent.port}"),
                    "down": forward(f"127.0.0.1:{down}"),
                },
                "listeners": [
                    listener("127.0.0.1:PORT", [route]),
                    {
                        "addr": "127.0.0.1:PORT_HTTP",
                        "protocol": "http",
                        "use": ["login"],
                        "routes": [{"hostname": "*", "backend": f"127.0.0.1:{behind.port}"}],
                    },
                ],
                "metrics": {"addr": "127.0.0.1:PORT_METRICS"},
            }
        )
        with fleet.serve(text) as proxy, ThreadPoolExecutor(len(VERSIONS)) as pool:
            stage = Stage(proxy, auth, silent, site.got)
            if request.param == "ngh2":  # once is enough
                stage.unanswered.extend(pool.submit(stage.ask, each, "/silent/", COOKIE, *FORGED) for each in VERSIONS)
            yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.got.clear()
    running.auth.questions.clear()
    return running


@pytest.mark.parametrize("version", VERSIONS)
def test_who_has_a_session_passes_as_somebody(stage: Stage, version: str) -> None:
    """The site learns from the server who that is, and never from the client."""
    answer = stage.ask(version, "/page?a=b", COOKIE, *FORGED, method="POST", body=b"form")
    assert (answer.status, answer.body) == (200, b"site")
    line, fields, body = stage.passed()
    assert (line, body) == ("POST /page?a=b", b"form")
    assert (fields["x-user"], fields["x-groups"]) == (["anna"], ["a,b"])
    assert not [name for name, values in fields.items() if "admin" in values]
    assert "x-other" not in fields
    (question,) = stage.auth.questions
    assert (question.method, question.path) == ("GET", "/verify?x=1")
    told = {name: question.fields.get(f"x-forwarded-{name}") for name in ("method", "uri", "host", "for", "proto")}
    expected = {"method": "POST", "uri": "/page?a=b", "host": NAME, "for": "127.0.0.1", "proto": "https"}
    assert told == expected
    assert question.fields["cookie"] == SESSION
    assert (
        not {"content-length", "transfer-encoding", "content-type", *(name for name, _ in FORGED)}
        & question.fields.keys()
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_who_has_none_gets_the_servers_answer(stage: Stage, version: str) -> None:
    """And the site hears nothing of it."""
    answer = stage.ask(version, "/page", *FORGED)
    assert (answer.status, answer.header("location"), answer.header("set-cookie")) == (302, "/login", "csrf=1")
    assert answer.body == b"<p>log in</p>"
    assert stage.got == []


@pytest.mark.parametrize("version", VERSIONS)
def test_no_forged_field_arrives_where_nobody_is_asked(stage: Stage, version: str) -> None:
    """The site believes them wherever they come: also on the paths that need no session."""
    assert stage.ask(version, "/public/x", *FORGED, ("x-honest", "1")).status == 200
    _, fields, _ = stage.passed()
    assert fields["x-honest"] == ["1"]
    assert not [name for name, values in fields.items() if "admin" in values]
    assert stage.auth.questions == []


def test_a_server_that_comes_back_is_asked_again(stage: Stage) -> None:
    """There is nothing to wait for."""
    stage.auth.silent.set()
    try:
        with client("h2", stage.address, NAME) as peer:
            assert isinstance(peer, H2Client)
            peer.begin("GET", "/page", [COOKIE])
            wait_for(lambda: len(stage.auth.questions) == 1)
    finally:
        stage.auth.silent.clear()
    assert stage.ask("h2", "/page", COOKIE).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_upgrades_are_asked_about(stage: Stage, version: str) -> None:
    """By upgrade and by extended CONNECT alike."""

    def open_tunnel(*headers: tuple[str, str]) -> None:
        with client(version, stage.address, NAME) as peer:
            ask = partial(extended_connect, peer) if isinstance(peer, H2Client) else partial(upgrade, peer.sock, NAME)
            ask(headers=[*headers, *FORGED])

    with pytest.raises(ConnectionError, match="302"):
        open_tunnel()
    assert stage.got == []
    open_tunnel(COOKIE)
    _, fields, _ = stage.passed()
    assert fields["x-user"] == ["anna"]
    assert not [name for name, values in fields.items() if "admin" in values]
    for question in stage.auth.questions:
        assert (question.method, question.fields["x-forwarded-method"]) == ("GET", "GET")
        assert not [name for name in question.fields if name.startswith("sec-websocket") or name == "upgrade"]


@pytest.mark.parametrize("version", VERSIONS)
def test_two_servers_are_asked_one_after_the_other(stage: Stage, version: str) -> None:
    """Guards add up: the route's and the case's; the second one sees no forged field either."""
    assert stage.ask(version, "/both/", COOKIE, *FORGED).status == 200
    assert len(stage.auth.questions) == 2
    assert stage.passed()[1]["x-user"] == ["anna"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refusal_that_is_too_long_is_none(stage: Stage, version: str) -> None:
    """More than 64 KiB: the client is told that there was no answer."""
    stage.auth.page, page = b"x" * (1 << 16), stage.auth.page
    try:
        answer = stage.ask(version, "/page")
        assert (answer.status, len(answer.body)) == (302, 1 << 16)
        stage.auth.page += b"x"
        assert stage.ask(version, "/page").status == 503
    finally:
        stage.auth.page = page
    assert stage.got == []


def test_requests_without_tls_are_asked_about(stage: Stage) -> None:
    """By the filter of their listener, which holds for its routes; the server is told how they have come."""
    statuses = []
    for fields in (dict(FORGED), {**dict(FORGED), "cookie": SESSION}):
        with closing(http.client.HTTPConnection("127.0.0.1", stage.proxy.port("HTTP"), timeout=30)) as connection:
            connection.request("GET", "/page", headers={"Host": NAME, **fields})
            statuses.append(connection.getresponse().status)
    assert statuses == [302, 200]
    assert stage.passed()[1]["x-user"] == ["anna"]
    assert [question.fields["x-forwarded-proto"] for question in stage.auth.questions] == ["http", "http"]


def test_many_at_once_share_connections(stage: Stage) -> None:
    """Each gets its own answer."""
    with client("h2", stage.address, NAME) as peer:
        assert isinstance(peer, H2Client)
        streams = [
            peer.begin("GET", f"/page/{number}", [COOKIE] if number % 2 else [], end=True) for number in range(40)
        ]
        statuses = [peer.receive(stream).status for stream in streams]
    assert statuses == [200 if number % 2 else 302 for number in range(40)]
    assert sorted(line for line, _, _ in stage.got) == sorted(f"GET /page/{number}" for number in range(1, 40, 2))


def test_a_client_that_leaves_is_not_passed_on(stage: Stage) -> None:
    """Neither when it leaves while the server thinks."""
    stage.auth.silent.set()
    try:
        with client("h2", stage.address, NAME) as peer:
            assert isinstance(peer, H2Client)
            peer.begin("GET", "/page", [COOKIE])
            wait_for(lambda: len(stage.auth.questions) == 1)
    finally:
        stage.auth.silent.clear()
    assert stage.ask("http/1.1", "/other", COOKIE).status == 200
    assert [line for line, _, _ in stage.got] == ["GET /other"]


def test_what_is_counted(stage: Stage) -> None:
    """Refusals by filter, and how long the answers took."""

    def counted(name: str, **labels: str) -> float:
        return metric(stage.proxy.port("METRICS"), name, **labels) or 0

    where = {"listener": f"127.0.0.1:{stage.proxy.port()}", "route": NAME, "stage": "auth"}
    names = ("mcproxy_filter_blocks_total", "mcproxy_forward_auth_seconds_count")
    login, asked = counted(names[0], filter="login", **where), counted(names[1], filter="login")
    down = counted(names[0], filter="down", **where)
    stage.ask("h2", "/page")
    stage.ask("h2", "/down/", COOKIE)
    wait_for(lambda: counted(names[0], filter="down", **where) == down + 1)
    assert counted(names[0], filter="login", **where) == login + 1
    assert counted(names[1], filter="login") == asked + 1
    assert counted("mcproxy_case_requests_total", case="/down/*", listener=where["listener"], route=NAME) >= 1


def test_without_an_answer_nobody_passes(stage: Stage) -> None:
    """Whether the server is down or silent; in the background, as silence takes 5 s."""
    assert [stage.ask(version, "/down/", COOKIE, *FORGED).status for version in VERSIONS] == [503, 503]
    assert stage.got == []
    assert {each.result(30).status for each in stage.unanswered} <= {503}
    assert len(stage.silent.questions) == len(stage.unanswered)

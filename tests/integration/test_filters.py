"""What filters make of requests and answers through the whole proxy: headers, bodies, time limits, error pages, changes."""

import contextlib
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.support.certificates import Certificates
from tests.support.echo_nginx import start_echo_nginx
from tests.support.fleet import Fleet
from tests.support.http_clients import H1Client, H2Client, client
from tests.support.l4 import wait_for
from tests.support.l7 import l7_config, l7_route
from tests.support.lifecycle import apply, operations
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.recorder import Recorded, Recorder
from tests.support.status_backend import StatusBackend

VERSIONS = ["http/1.1", "h2"]
FIELDS = ("x-user", "x-client", "x-uri", "x-env", "x-tag", "x-secret", "user-agent", "x-forwarded-host")
SHARING = 40
LIMIT = 1_000


class Site(msgspec.Struct):
    """The proxy, and what is behind it."""

    proxy: Proxy
    bodies: Recorder
    status: StatusBackend
    text: str

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()


HEADERS: dict[str, object] = {
    "match": "/api/*",
    "filter": {
        "rewrite": {"from": "/api", "to": "/v2"},
        "rewrite_host": "inside.test:81",
        "set_request_headers": {"X-User": "nobody", "X-Client": "{client_ip}", "X-Uri": "{host} {uri}"},
        "add_request_headers": {"X-Tag": "edge"},
        "remove_request_headers": ["X-Secret", "User-Agent"],
        "set_response_headers": {"X-Request-Path": "{path}", "Server": "edge"},
        "remove_response_headers": ["X-Powered-By"],
    },
}
PUBLIC = '[filters.public]\nset_response_headers = {{ X-Version = "{}" }}\n'


def _config(certs: Certificates, nginx: int, bodies: Recorder, status: StatusBackend, version: str) -> str:
    pages = {"error_pages": {"5xx": "sorry.html", "404": "lost.json"}, "backend_errors": True}
    routes = [
        l7_route(certs, nginx, "headers.test", cases=[HEADERS]),
        l7_route(certs, bodies.port, "bodies.test", filter={"max_body": f"{LIMIT}B"}, backend_protocol="http/1.1"),
        l7_route(certs, status.port, "pages.test", filter=pages, backend_protocol="http/1.1"),
        l7_route(certs, 1, "down.test", filter={**pages, "set_response_headers": {"X-By": "edge"}}),
        l7_route(certs, 1, "late.test", filter={"error_pages": {"502": "late.html"}}),
        l7_route(
            *(certs, status.port, "slow.test"),
            filter={"request_timeout": "300ms"},
            backend_protocol="http/1.1",
            cases=[{"match": "/hang/forever", "filter": {"request_timeout": "0s"}}],
        ),
    ]
    shared = certs.server("shared.test")
    leaf = {"tls_cert": str(shared.certificate), "tls_key": str(shared.key)}
    for number in range(SHARING):
        name = "shared.test" if not number else f"shared-{number}.test"
        routes.append(
            {"hostname": name, "backend": f"127.0.0.1:{status.port}", "mode": "l7", "use": ["public"], **leaf}
        )
    return l7_config(*routes) + PUBLIC.format(version)


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    with Processes(folder) as processes, Recorder() as bodies, StatusBackend() as status:
        nginx = start_echo_nginx(processes, folder, FIELDS)
        text = _config(certs, nginx, bodies, status, "1")
        files = {"sorry.html": "<p>sorry</p>", "lost.json": "{}", "late.html": "<p>late</p>"}
        with fleet.serve(text, files) as proxy:
            yield Site(proxy, bodies, status, text)


# Headers


@pytest.mark.parametrize("version", VERSIONS)
def test_the_backend_sees_exactly_what_filters_make_of_a_request(site: Site, version: str) -> None:
    """Nginx tells what it has read; a name counts in every spelling that nginx takes for it."""
    fields = [("x-user", "admin"), ("x_user", "admin"), ("x-env", "prod"), ("x-tag", "mine"), ("x-secret", "s")]
    with client(version, site.address, "headers.test") as peer:
        changed = peer.request("GET", "/api/x%20y?z=1", [*fields, ("user-agent", "test")])
        assert changed.json() == {
            "target": "/v2/x%20y?z=1",
            "host": "inside.test:81",
            "x-user": "nobody",
            "x-client": "127.0.0.1",
            "x-uri": "headers.test /api/x%20y?z=1",
            "x-env": "prod",
            "x-tag": "mine, edge",
            "x-secret": "",
            "user-agent": "",
            "x-forwarded-host": "headers.test",
        }
        own = {name: changed.header(name) for name in ("x-request-path", "server", "x-powered-by", "content-type")}
        assert own == {
            "x-request-path": "/api/x%20y",
            "server": "edge",
            "x-powered-by": None,
            "content-type": "application/json",
        }
        unchanged = peer.request("GET", "/apis", fields)
        seen = unchanged.json()
        assert (seen["target"], seen["host"], seen["x-secret"]) == ("/apis", "headers.test", "s")
        assert unchanged.header("x-powered-by") == "nginx"


# Bodies


@pytest.mark.parametrize("version", VERSIONS)
def test_a_body_that_is_announced_too_long_reaches_no_backend(site: Site, version: str) -> None:
    """It is answered before it comes, and the backend hears nothing at all; one of exactly the limit passes."""
    with client(version, site.address, "bodies.test") as peer:
        before = [bytes(record) for record in site.bodies.received]
        length = [("content-length", str(LIMIT + 1))]
        if isinstance(peer, H2Client):
            response = peer.receive(peer.begin("POST", "/", length, end=False))
        else:
            peer.send_head("POST", "/", length)
            response = peer.receive()
        assert response.status == 413
        assert [bytes(record) for record in site.bodies.received] == before
    with client(version, site.address, "bodies.test") as peer:
        assert peer.request("POST", "/fits", [], b"x" * LIMIT).status == 200
        assert bytes(site.bodies.requests[-1].body) == b"x" * LIMIT


@pytest.mark.parametrize("version", VERSIONS)
def test_a_body_that_grows_too_long_is_cut_off(site: Site, version: str) -> None:
    """The backend has its beginning, and then no end: what has come can't be taken for all of it."""
    with client(version, site.address, "bodies.test") as peer:
        path = f"/grows/{version}"
        if isinstance(peer, H1Client):
            peer.send_head("POST", path, body=[])
            stream = 0
        else:
            stream = peer.begin("POST", path, end=False)
        peer.send(stream, b"x" * (LIMIT - 1))
        received = _received(site.bodies, path)
        wait_for(lambda: len(received().body) == LIMIT - 1)
        peer.send(stream, b"xx")
        response = peer.receive(stream) if isinstance(peer, H2Client) else peer.receive()
        assert response.status == 413
        wait_for(lambda: received().gone)
        assert not received().complete
        assert len(received().body) <= LIMIT


def _received(backend: Recorder, path: str) -> Callable[[], Recorded]:
    """Return what returns the request for a path, once it has come."""

    def found() -> Recorded:
        wait_for(lambda: any(request.target == path for request in backend.requests))
        return next(request for request in backend.requests if request.target == path)

    return found


# Time


@pytest.mark.parametrize("version", VERSIONS)
def test_the_time_for_an_answer(site: Site, version: str) -> None:
    """A backend that does not answer is given up; a case may give it all the time it wants."""
    with client(version, site.address, "slow.test") as peer:
        assert peer.request("GET", "/status/200").status == 200
        assert peer.request("GET", "/hang").status == 504
        grpc = peer.request("POST", "/hang", [("content-type", "application/grpc"), ("te", "trailers")], b"")
        assert (grpc.status, grpc.header("grpc-status")) == (200, "14")


# Error pages


@pytest.mark.parametrize("version", VERSIONS)
def test_error_pages(site: Site, version: str) -> None:
    """They stand for errors of the backend, and for the proxy's own; HEAD is told their length, gRPC its status."""
    with client(version, site.address, "pages.test") as peer:
        assert peer.request("GET", "/status/500").body == b"<p>sorry</p>"
        lost = peer.request("GET", "/status/404")
        assert (lost.status, lost.body, lost.header("content-type")) == (404, b"{}", "application/json")
        assert peer.request("GET", "/status/403").body == b"0123456789"
    with client(version, site.address, "down.test") as peer:
        answer = peer.request("GET", "/")
        assert (answer.status, answer.body, answer.header("x-by")) == (502, b"<p>sorry</p>", "edge")
        head = peer.request("HEAD", "/")
        assert (head.status, head.body, head.header("content-length")) == (502, b"", "12")
        grpc = peer.request("POST", "/S/M", [("content-type", "application/grpc"), ("te", "trailers")], b"")
        assert (grpc.status, grpc.header("grpc-status"), grpc.header("x-by")) == (200, "14", "edge")


def test_a_page_is_read_again_when_its_file_changes(site: Site) -> None:
    """Connections that are open get the new one."""
    page = site.proxy.folder / "late.html"
    with H2Client(site.address, "late.test") as peer:
        assert peer.request("GET", "/").body == b"<p>late</p>"
        page.write_text("<p>later</p>", encoding="utf-8")
        wait_for(lambda: peer.request("GET", "/").body == b"<p>later</p>")


# Changes


def test_a_filter_that_many_routes_share_changes_as_one(site: Site) -> None:
    """The plan has one line for it, and every open connection follows with its next request."""
    with contextlib.ExitStack() as stack:
        peers = [client(version, site.address, "shared.test") for version in VERSIONS]
        for peer in peers:
            stack.enter_context(peer)
        assert [peer.request("GET", "/status/200").header("x-version") for peer in peers] == ["1", "1"]
        plan = operations(apply(site.proxy, site.text.replace(PUBLIC.format("1"), PUBLIC.format("2"))))
        assert len(plan) == 1
        assert plan[0].startswith("~ filter public")
        assert [peer.request("GET", "/status/200").header("x-version") for peer in peers] == ["2", "2"]
        apply(site.proxy, site.text)
        assert [peer.request("GET", "/status/200").header("x-version") for peer in peers] == ["1", "1"]

"""Routes that answer themselves: redirects and texts to real clients of both versions, and a page that is a runtime edit."""

from collections.abc import Iterator

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.policy.explain.query import Query
from mcproxy.policy.explain.walk import explain
from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.ctl import Result, run_ctl
from tests.support.curl import curl
from tests.support.fleet import Fleet
from tests.support.http_clients import client
from tests.support.l4 import wait_for
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy

OLD, TEXT, APP = "old.test", "text.test", "app.test"
AGENT = ("user-agent", "a BadBot/1")
POLICY = {"type": "block_user_agent", "value": "BadBot"}
NOWHERE = "127.0.0.1:1"
VERSIONS = ["http/1.1", "h2"]
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def answering(certs: Certificates, hostname: str, **keys: object) -> dict[str, object]:
    """Return an l7 route without a backend."""
    route = l7_route(certs, NOWHERE, hostname, **keys)
    del route["backend"]
    return route


@pytest.fixture(scope="module")
def proxy_of_answers(fleet: Fleet, certs: Certificates) -> Iterator[Proxy]:
    text = l7_config(
        answering(certs, OLD, redirect="https://www.{host}{uri}", status=301, l7_policies=[POLICY]),
        answering(certs, TEXT, respond="Back soon\n", status=503),
        workers=2,
    )
    with fleet.serve(text) as proxy:
        yield proxy


@pytest.mark.parametrize("version", VERSIONS)
def test_redirects(proxy_of_answers: Proxy, version: str) -> None:
    """Path and query are kept, whatever the method and the body; policies hold before; explain says the same."""
    address = "127.0.0.1", proxy_of_answers.port()
    resolution = resolve([Source(str(proxy_of_answers.config), proxy_of_answers.config.read_text())])
    with client(version, address, OLD) as peer:
        for method, path, target in (
            ("GET", "/a/b?c=d", "/a/b?c=d"),
            ("HEAD", "//evil.test/%2e", "/evil.test/%2e"),
            ("DELETE", "/\\evil.test", "/evil.test"),
        ):
            answer = peer.request(method, path)
            assert (answer.status, answer.header("location")) == (301, f"https://www.{OLD}{target}")
            assert answer.body == b""
            *_, last = explain(resolution, Query(sni=OLD, method=method, path=path), lambda _: None)
            assert (last.step, last.outcome) == ("action", "ok")
            assert last.detail == f"answered with 301, to https://www.{OLD}{target}"
            assert last.origin is not None
        assert peer.request("GET", "/", [AGENT]).status == 403


@pytest.mark.parametrize("version", VERSIONS)
def test_texts(proxy_of_answers: Proxy, version: str) -> None:
    """With their length, for HEAD that alone; a body that comes is thrown away; gRPC is told in its own way."""
    with client(version, ("127.0.0.1", proxy_of_answers.port()), TEXT) as peer:
        for method in ("GET", "OPTIONS", "HEAD"):
            answer = peer.request(method, "/")
            assert (answer.status, answer.header("content-length")) == (503, "10")
            assert answer.header("content-type") == "text/plain; charset=utf-8"
            assert answer.body == (b"" if method == "HEAD" else b"Back soon\n")
        assert peer.request("POST", "/", [], b"x" * 20_000).body == b"Back soon\n"
        called = peer.request("POST", "/S/M", GRPC, b"\0\0\0\0\0")
        assert (called.status, called.header("grpc-status")) == (200, "14")


def test_a_page_for_an_hour(proxy: StartProxy, certs: Certificates) -> None:
    """A runtime edit takes the place of the backend, shows as drift, is exported, and ends as any other."""
    served = proxy(l7_config(l7_route(certs, NOWHERE, APP)))
    address = "127.0.0.1", served.port()

    def ctl(*words: str, expected: int = 0) -> Result:
        done = run_ctl("--addr", f"unix:{served.folder / 'mc-proxy.sock'}", *words)
        assert done.status == expected, done.stderr
        return done

    def status() -> str:
        return curl(APP, address, certs.ca, "--write-out", "%{http_code}", "--output", "/dev/null").body.decode()

    listener = f"127.0.0.1:{served.port()}"
    assert status() == "502"
    ctl("routes", "update", listener, APP, "--respond", "Back soon", "--status", "503", "--expires", "1h")
    assert curl(APP, address, certs.ca).body == b"Back soon"
    assert "respond 503" in ctl("routes", "list").stdout
    assert "respond" in ctl("drift", expected=3).stdout
    exported = ctl("export").stdout
    (route,) = resolve([Source(str(served.config), exported)]).state.routes.values()
    assert (route.respond, route.status, route.endpoints) == ("Back soon", 503, ())
    ctl("put", "route", listener, APP, "redirect=/elsewhere")
    assert status() == "308"
    ctl("revert", "route", listener, APP)
    assert status() == "502"
    ctl("put", "route", listener, APP, "redirect=/elsewhere", "--expires", "300ms")
    wait_for(lambda: status() == "502")

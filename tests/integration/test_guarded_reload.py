"""A reload that makes its routes fail is undone by itself, and nothing else of it."""

import contextlib
import http.client
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tomlkit

from mcproxy._pb import admin_pb2 as pb
from tests.conftest import StartNginx, StartProxy
from tests.support.admin import client, differences
from tests.support.auth_server import SESSION, AuthServer
from tests.support.certificates import Certificates
from tests.support.lifecycle import apply, end
from tests.support.load import until
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.settings import listener, route

GUARD = {"watch": "60s", "max_errors": "5%", "min_requests": 10}


def config(*routes: dict[str, Any], guard: dict[str, Any] | None = None) -> str:
    """Return a config of one listener without TLS."""
    return tomlkit.dumps(
        {
            "proxy": {"workers": 2, "shutdown_timeout": "1s"},
            "guard": GUARD if guard is None else guard,
            "listeners": [listener("127.0.0.1:PORT", routes, protocol="http")],
        }
    )


def asked(edge: Proxy, hostname: str) -> int:
    """Ask a route, and return the status that came."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.port(), timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"Host": hostname, "Cookie": SESSION})
        return connection.getresponse().status


def statuses(edge: Proxy, *hostnames: str, count: int = 10) -> dict[str, set[int]]:
    """Ask routes so often, all at once, and return the statuses that came of each."""
    names = [name for name in hostnames for _ in range(count)]
    found: dict[str, set[int]] = {}
    with ThreadPoolExecutor(len(names)) as pool:
        for name, status in zip(names, pool.map(lambda name: asked(edge, name), names), strict=True):
            found.setdefault(name, set()).add(status)
    return found


def reasons(drift: pb.GetDriftResponse) -> dict[str, tuple[str, str]]:
    """Return author and reason of each difference, by its resource."""
    return {one.target: (one.edit.author, one.edit.reason) for one in drift.differences}


def drifted(edge: Proxy, done: Callable[[pb.GetDriftResponse], bool], what: str) -> pb.GetDriftResponse:
    """Wait until the differences from the file are as they should be, and return them."""
    with client(edge) as admin:
        until(lambda: done(admin.get_drift()), what)
        return admin.get_drift()


def test_each_wrong_change_of_a_reload_is_undone_and_the_right_one_stays(
    proxy: StartProxy, nginx: StartNginx, certs: Certificates, other_certs: Certificates
) -> None:
    """A wrong port, a wrong CA, a wrong rewrite and a wrong server to ask: each by its own requests."""
    backend = nginx("one", certs.server("backend.test"))
    (backend.folder / "files").mkdir(exist_ok=True)
    tls: dict[str, Any] = {"backend_tls": True, "backend_ca": str(certs.ca), "backend_server_name": "backend.test"}
    dead = free_port()

    def routes(auth: str, *, wrong: bool) -> list[dict[str, Any]]:
        def one(hostname: str, change: dict[str, Any]) -> dict[str, Any]:
            return route(backend.port, hostname, mode="l7", **{**tls, **(change if wrong else {})})

        asked = f"127.0.0.1:{dead}" if wrong else auth
        return [
            {**one("port.test", {}), "backend": f"127.0.0.1:{dead if wrong else backend.port}"},
            one("ca.test", {"backend_ca": str(other_certs.ca)}),
            one("path.test", {"filter": {"rewrite": {"from": "/", "to": "/files/"}}}),
            {**one("auth.test", {}), "filter": {"forward_auth": {"backend": asked, "path": "/auth"}}},
            one("fine.test", {"idle_timeout": "77s"}),
        ]

    with AuthServer() as auth:
        address = f"127.0.0.1:{auth.port}"
        edge = proxy(config(*routes(address, wrong=False)))
        names = ("port.test", "ca.test", "path.test", "auth.test", "fine.test")
        well = {name: {200} for name in names}
        assert statuses(edge, *names) == well
        text = config(*routes(address, wrong=True))
        apply(edge, text)
        wrong = {"port.test": {502}, "ca.test": {502}, "path.test": {403}, "auth.test": {503}, "fine.test": {200}}
        assert statuses(edge, *names) == wrong
        drift = drifted(edge, lambda found: len(found.differences) == 4, "four routes are as before")
        addr = f"127.0.0.1:{edge.port()}"
        assert sorted(reasons(drift)) == sorted(f"route {addr} {name}" for name in names[:4])
        assert {author for author, _ in reasons(drift).values()} == {"guard"}
        _, why = reasons(drift)[f"route {addr} port.test"]
        assert re.fullmatch(r"10 of 10 requests failed within \d+\.\d s of generation 2", why)
        assert statuses(edge, *names) == well
        edge.wait_for_log("generation 2 withdrawn by guard: route ")

        # the same file once more says nothing new, one that says something else about a route counts
        since = edge.mark()
        edge.save(text + "\n# touched\n")
        edge.wait_for_log("no changes", since=since)
        with client(edge) as admin:
            assert len(admin.get_drift().differences) == 4
            edge.save(text.replace(str(other_certs.ca), str(certs.ca)))
            edge.wait_for_log("superseded: the runtime edit of route .* ca.test")
            left = drifted(edge, lambda found: len(found.differences) == 3, "the file speaks of one route")
            assert {name for _, name in differences(left)} == {
                f"route {addr} {name}" for name in names if name[0] == "p" or name[0] == "a"
            }
            status = admin.get_status()
            assert "withdrawn by guard: route" in status.last_guarded.detail
            assert status.guards[0].touched == [f"route {addr} fine.test"]
            assert "guard" in [one.origin for one in admin.list_revisions().revisions]
        assert end(edge) == 0

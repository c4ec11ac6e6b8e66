"""A reload that makes its routes fail is undone by itself, and nothing else of it."""

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from mcproxy._pb import admin_pb2 as pb
from tests.conftest import StartNginx, StartProxy
from tests.support import toml
from tests.support.admin import client, differences
from tests.support.auth_server import SESSION, AuthServer
from tests.support.certificates import Certificates, Leaf
from tests.support.ctl import run_ctl
from tests.support.lifecycle import apply, end
from tests.support.load import Load, until
from tests.support.plain_http import PlainHttp
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.restart import end_control, wait_for_log
from tests.support.settings import listener, route

GUARD = {"watch": "10m", "max_errors": "5%", "min_requests": 10}


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
        found = statuses(edge, *names)
        assert all(wrong[name] <= found[name] for name in names), found
        drift = drifted(edge, lambda found: len(found.differences) == 4, "four routes are as before")
        addr = f"127.0.0.1:{edge.port()}"
        assert sorted(reasons(drift)) == sorted(f"route {addr} {name}" for name in names[:4])
        assert {author for author, _ in reasons(drift).values()} == {"guard"}
        _, why = reasons(drift)[f"route {addr} port.test"]
        assert re.fullmatch(r"\d+ of \d+ requests failed within \d+\.\d s of generation 2", why)
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


def l4_text(*routes: str, least: int = 6) -> str:
    """Return a guarded file of one TLS listener."""
    return toml.config(
        toml.listener("PORT", *routes), head=f'[guard]\nwatch = "10m"\nmin_requests = {least}\n', shutdown_timeout="1s"
    )


def errors(load: Load, edge: Proxy, hostname: str, count: int) -> set[str]:
    """Connect so often, and return how that failed; "" for not at all."""
    return {load.once(("127.0.0.1", edge.port()), hostname).error for _ in range(count)}


@pytest.mark.both_data_paths
def test_the_next_control_finishes_the_watch(proxy: StartProxy) -> None:
    """Killed amid it, and replaced by another one: counters, past and what there was before outlive both, on both data paths."""
    with Load() as load:
        one, dead = load.backend("one"), free_port()
        well = [toml.route("a.test", one), toml.route("b.test", one), toml.route("failing.test", dead)]
        edge = proxy(l4_text(*well))
        assert errors(load, edge, "a.test", 3) == {""}
        assert "" not in errors(load, edge, "failing.test", 6)
        wrong = [toml.route("a.test", dead), toml.route("b.test", one, idle_timeout="9s")]
        apply(edge, l4_text(*wrong, toml.route("failing.test", dead, idle_timeout="9s")))
        assert "" not in errors(load, edge, "a.test", 3)
        edge.kill_control()
        edge.start()
        edge.wait_for_log("guard: watching +generation=2")
        assert "" not in errors(load, edge, "failing.test", 6)
        assert "" not in errors(load, edge, "a.test", 3)
        drift = drifted(edge, lambda found: len(found.differences) == 1, "the route is as before")
        author, reason = reasons(drift)[f"route 127.0.0.1:{edge.port()} a.test"]
        assert author == "guard"
        assert re.fullmatch(r"\d of 6 requests failed within [\d.]+ s of generation 2", reason)
        assert errors(load, edge, "a.test", 3) == {""}
        edge.wait_for_log("withdrawn by guard")
        with client(edge) as admin:
            (left,) = admin.get_status().guards
            assert [name.split()[-1] for name in left.touched] == ["b.test", "failing.test"]
            assert (left.answered, left.errors) == (6, 6), "it was failing before"
        assert end(edge) == 0


def test_guarded_edits_and_rollbacks_are_withdrawn(proxy: StartProxy) -> None:
    """Asked for on the command line; the status tells what is watched and what was undone, and drift nothing."""
    with Load() as load:
        one, dead = load.backend("one"), free_port()
        edge = proxy(toml.config(toml.listener("PORT", toml.route("a.test", one)), head="[guard]\nmin_requests = 3\n"))
        addr = f"127.0.0.1:{edge.port()}"

        def ctl(*words: str) -> str:
            result = run_ctl("--config", str(edge.config), *words)
            assert (result.status, result.stderr) == (0, "")
            return result.stdout

        update = ("routes", "update", addr, "a.test", "--backend", f"127.0.0.1:{dead}")
        assert "watched by guard until" in ctl(*update, "--guard", "10m")
        assert re.search(
            r"guard +watches generation 2 until .*: route \S+ a.test: 0 of 0 requests", ctl("status", "-o", "wide")
        )
        assert "" not in errors(load, edge, "a.test", 3)
        edge.wait_for_log("generation 2 withdrawn by guard")
        assert errors(load, edge, "a.test", 1) == {""}
        assert re.search(
            r"guard +generation 2 withdrawn by guard: route \S+ a.test: \d of 3 requests", ctl("status", "-o", "wide")
        )
        assert ctl("drift") == "nothing differs from the files\n"
        assert "watched" not in ctl(*update), "it has not been asked for"
        ctl("revert", "--all")
        assert "watched by guard until" in ctl("rollback", "4", "--guard", "--confirm", "10m")
        assert "" not in errors(load, edge, "a.test", 3)
        edge.wait_for_log("generation 6 withdrawn by guard")
        assert errors(load, edge, "a.test", 1) == {""}
        assert "to confirm" not in ctl("status")
        assert end(edge) == 0


def answering(hostname: str, leaf: Leaf) -> dict[str, Any]:
    """Return an l7 route that answers itself."""
    keys = {"tls_cert": str(leaf.certificate), "tls_key": str(leaf.key)}
    return {"mode": "l7", "hostname": hostname, "respond": "well", **keys}


def test_a_certificate_that_clients_refuse_and_a_name_that_nobody_serves_are_undone(
    proxy: StartProxy, certs: Certificates, other_certs: Certificates, tmp_path: Path
) -> None:
    """Clients break off; a case of a route leads nowhere; a route is gone whose clients still come. Also where a file holds another certificate."""
    right, wrong = certs.server("cert.test"), other_certs.server("cert.test")
    renewed = Leaf(tmp_path / "renewed.crt", tmp_path / "renewed.key")

    def renew(leaf: Leaf) -> None:
        for source, target in ((leaf.certificate, renewed.certificate), (leaf.key, renewed.key)):
            aside = target.with_suffix(".new")
            aside.write_bytes(source.read_bytes())
            aside.rename(target)

    renew(certs.server("renewed.test"))

    def text(leaf: Leaf, backend: int, *more: dict[str, Any]) -> str:
        case = {"match": "/api/*", "backend": f"127.0.0.1:{backend}"}
        return tomlkit.dumps(
            {
                "proxy": {"workers": 1, "shutdown_timeout": "1s"},
                "guard": {"watch": "10m", "min_requests": 8},
                "listeners": [
                    listener(
                        "127.0.0.1:PORT",
                        [
                            answering("cert.test", leaf),
                            {**answering("case.test", certs.server("case.test")), "cases": [case]},
                            answering("renewed.test", renewed),
                            *more,
                        ],
                    )
                ],
            }
        )

    gone = answering("gone.test", certs.server("gone.test"))

    def get(edge: Proxy, hostname: str, path: str = "/") -> int:
        """Return the status of a request of a client that knows one CA; 0 where there is no connection."""
        context = ssl.create_default_context(cafile=str(certs.ca))
        plain = socket.create_connection(("127.0.0.1", edge.port()), timeout=20)
        with context.wrap_socket(plain, server_hostname=hostname, do_handshake_on_connect=False) as sock:
            try:
                sock.do_handshake()
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n".encode())
                return int(sock.recv(1000).split()[1])
            except OSError:
                return 0

    def asked(edge: Proxy) -> tuple[int, ...]:
        return get(edge, "cert.test"), get(edge, "case.test", "/api/x"), get(edge, "gone.test")

    with contextlib.closing(PlainHttp("127.0.0.1")) as backend:
        edge = proxy(text(right, backend.port, gone))
        for _ in range(8):
            assert asked(edge) == (200, 200, 200)
        apply(edge, text(wrong, free_port()))
        assert asked(edge) == (0, 502, 0)
        for _ in range(8):
            asked(edge)
        drift = drifted(edge, lambda found: len(found.differences) >= 3, "all is as before")
        assert {author for author, _ in reasons(drift).values()} == {"guard"}
        assert asked(edge) == (200, 200, 200)
        assert get(edge, "renewed.test") == 200
        renew(other_certs.server("renewed.test"))
        until(lambda: get(edge, "renewed.test") == 0, "the new certificate is served")
        for _ in range(8):
            get(edge, "renewed.test")
        until(lambda: get(edge, "renewed.test") == 200, "the former certificate is served")
        edge.wait_for_log("withdrawn by guard: route \\S+ renewed.test")
        with client(edge) as admin:
            assert [one.hostname for one in admin.get_status().broken_files] == ["renewed.test"]
        assert end(edge) == 0


def test_checks_that_fail_since_a_reload_undo_it_without_a_request(proxy: StartProxy) -> None:
    """They ask at another port, where nobody answers."""

    def text(port: int) -> str:
        check = {"type": "http", "interval": "300ms", "timeout": "5s", "fall": 2, "rise": 1, "port": port}
        return tomlkit.dumps(
            {
                "proxy": {"workers": 1, "shutdown_timeout": "1s"},
                "guard": {"watch": "10m"},
                "upstreams": {"web": {"endpoints": [f"127.0.0.1:{backend.port}"], "check": check}},
                "listeners": [listener("127.0.0.1:PORT", [{"hostname": "a.test", "backend": "web"}], protocol="http")],
            }
        )

    with contextlib.closing(PlainHttp("127.0.0.1")) as backend:
        edge = proxy(text(backend.port))
        with client(edge) as admin:
            until(lambda: admin.list_endpoints().endpoints[0].verdict == "up", "the endpoint is up")
            apply(edge, text(free_port()))
            drift = drifted(edge, lambda found: len(found.differences) == 1, "the upstream is as before")
            author, reason = reasons(drift)["upstream web"]
            assert author == "guard"
            assert reason.startswith("checks of 1 endpoint of upstream web fail since generation 2: 127.0.0.1:")
            until(lambda: admin.list_endpoints().endpoints[0].verdict == "up", "the endpoint is up again")
        assert end(edge) == 0


@pytest.mark.soak
def test_a_restarted_control_goes_on_with_the_watch(proxy: StartProxy) -> None:
    """Replaced by itself, on the same counters."""
    with Load() as load:
        one, dead = load.backend("one"), free_port()
        edge = proxy(l4_text(toml.route("a.test", one)))
        apply(edge, l4_text(toml.route("a.test", dead)))
        assert "" not in errors(load, edge, "a.test", 3)
        assert run_ctl("--config", str(edge.config), "restart").status == 0
        wait_for_log(edge, "guard: watching +generation=2 +seconds")
        assert "" not in errors(load, edge, "a.test", 3)
        drift = drifted(edge, lambda found: len(found.differences) == 1, "the route is as before")
        assert [author for author, _ in reasons(drift).values()] == ["guard"]
        end_control(edge)

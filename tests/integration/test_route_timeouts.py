"""Time limits of single routes: to connect, and without a byte; on L4 and L7, in the file and as runtime edits."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import h11
import pytest

from mcproxy.client import InvalidArgumentError
from tests.conftest import StartProxy
from tests.support.admin import client as admin_client
from tests.support.admin import differences
from tests.support.certificates import Certificates
from tests.support.http_backends import Kind, PlayedBackend
from tests.support.http_clients import client
from tests.support.l4 import RawBackend, full
from tests.support.l7 import l7_config, l7_route
from tests.support.settings import config, listener, route
from tests.support.tls import client_hello, receive_exactly


@pytest.fixture
def backend() -> Iterator[RawBackend]:
    with RawBackend() as made:
        yield made


def test_l4_routes_to_one_backend_have_their_own_time_to_connect(reloaded: StartProxy, backend: RawBackend) -> None:
    """Shorter or longer than that of [proxy], which another one has."""
    with full() as blackhole:
        port = blackhole.getsockname()[1]
        limits = {"long": {"connect_timeout": "60s"}, "inherits": {}, "short": {"connect_timeout": "300ms"}}
        routes = [route(port, f"{name}.test", **own) for name, own in limits.items()]
        served = reloaded(config(listener("127.0.0.1:PORT", routes), connect_timeout="900ms"))
        address = ("127.0.0.1", served.port())
        began = time.monotonic()
        clients = {name: backend.connect(address, client_hello(f"{name}.test")) for name in limits}
        took = {}
        for name in ("short", "inherits"):
            with pytest.raises(ConnectionResetError):
                clients[name].recv(1)
            took[name] = time.monotonic() - began
        assert took["short"] >= 0.25
        assert took["inherits"] >= 0.85
        clients["long"].settimeout(0.1)
        with pytest.raises(TimeoutError):
            clients["long"].recv(1)


def test_l4_routes_have_their_own_idle_time(reloaded: StartProxy, backend: RawBackend) -> None:
    """Longer than that of [proxy], shorter, or none: while others end by theirs, these go on."""
    routes = [
        route(backend.port, "short.test", idle_timeout="500ms"),
        route(backend.port, "inherits.test"),
        route(backend.port, "never.test", idle_timeout="0s"),
        route(backend.port, "long.test", idle_timeout="1h"),
    ]
    served = reloaded(config(listener("127.0.0.1:PORT", routes), idle_timeout="1s", connect_timeout="200ms"))
    address = ("127.0.0.1", served.port())
    never, long = (backend.join(address, client_hello(f"{name}.test")) for name in ("never", "long"))
    ends = {}
    for name in ("short", "inherits"):
        began = time.monotonic()
        joined = backend.join(address, client_hello(f"{name}.test"))
        assert [side.recv(1) for side in joined] == [b"", b""]
        ends[name] = time.monotonic() - began
    assert ends["short"] >= 0.4
    assert ends["inherits"] >= 0.9
    for one, other in (never, long):
        other.sendall(b"still here")
        assert receive_exactly(one, 10) == b"still here"


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_l7_routes_to_one_backend_have_their_own_time_to_connect(
    reloaded: StartProxy, certs: Certificates, version: str
) -> None:
    """They don't share connections: while one waits, requests of the others are answered with 504."""
    with full() as blackhole, ThreadPoolExecutor(1) as pool:
        port = blackhole.getsockname()[1]
        routes = [
            l7_route(certs, port, "long.test", connect_timeout="60s"),
            l7_route(certs, port, "inherits.test"),
            l7_route(certs, port, "short.test", connect_timeout="300ms"),
        ]
        served = reloaded(l7_config(*routes, connect_timeout="900ms"))
        address = ("127.0.0.1", served.port())
        with client(version, address, "long.test") as patient:
            waits = pool.submit(patient.request, "GET", "/")
            for name, least in (("short.test", 0.25), ("inherits.test", 0.85)):
                with client(version, address, name) as peer:
                    began = time.monotonic()
                    assert peer.request("GET", "/").status == 504
                    assert time.monotonic() - began >= least
            assert not waits.done()
            served.kill()
            with pytest.raises((OSError, EOFError, h11.ProtocolError)):
                waits.result(10)


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("kind", ["http/1.1", "h2c"])
def test_l7_routes_have_their_own_idle_time(
    reloaded: StartProxy, certs: Certificates, version: str, kind: Kind
) -> None:
    """A request of a route with none is still waited for when some of a route with that of [proxy] have been given up."""
    with PlayedBackend(kind, certs) as backend, ThreadPoolExecutor(2) as pool:
        protocol = "http/1.1" if kind == "http/1.1" else "h2"
        routes = [
            l7_route(certs, backend.port, "never.test", backend_protocol=protocol, idle_timeout="0s"),
            l7_route(certs, backend.port, "inherits.test", backend_protocol=protocol),
        ]
        address = ("127.0.0.1", reloaded(l7_config(*routes, idle_timeout="1s")).port())
        with client(version, address, "never.test") as patient:
            waits = pool.submit(patient.request, "GET", "/")
            peer, request = backend.request()
            for _ in range(2):
                with client(version, address, "inherits.test") as other:
                    given_up = pool.submit(other.request, "GET", "/")
                    backend.request()  # it is taken, and not answered
                    assert given_up.result(10).status == 504
            assert not waits.done()
            peer.respond(request, 200, [("content-length", "4")])
            peer.send(request, b"done")
            peer.end(request)
            answer = waits.result(10)
            assert (answer.status, answer.body) == (200, b"done")


def test_time_limits_are_runtime_edits_too(proxy: StartProxy, backend: RawBackend) -> None:
    """Set, told, exported and taken back; what is no duration is refused, and none at all is doubtful."""
    served = proxy(config(listener("127.0.0.1:PORT", [route(backend.port, "a.test")])))
    address = f"127.0.0.1:{served.port()}"
    with admin_client(served) as admin:
        answer = admin.update_route(address, "a.test", connect_timeout="1.5s", idle_timeout="0s")
        assert [(each.field, "never ended" in each.message) for each in answer.warnings] == [("idle_timeout", True)]
        assert answer.plan[0].startswith(
            f'~ route {address} a.test  connect_timeout: "" -> 1s500ms, idle_timeout: "" -> 0s  (edit 1'
        )
        (row,) = admin.list_routes().routes
        assert (row.connect_timeout, row.idle_timeout) == ("1s500ms", "0s")
        (difference,) = admin.get_drift().differences
        assert 'connect_timeout: "" -> "1s500ms", idle_timeout: "" -> "0s"' in difference.summary
        (file,) = admin.export().files
        assert 'connect_timeout = "1s500ms"\nidle_timeout = "0s"\n' in file.text
        steps = admin.explain(sni="a.test").steps
        assert steps[-1].detail.endswith("; connect_timeout 1s500ms, idle_timeout 0s")

        with pytest.raises(InvalidArgumentError) as refused:
            admin.update_route(address, "a.test", connect_timeout="0s", idle_timeout="soon")
        assert [field for field, _ in refused.value.violations] == ["connect_timeout", "idle_timeout"]

        served.kill()
        served.start()
    with admin_client(served) as admin:
        (row,) = admin.list_routes().routes
        assert (row.connect_timeout, row.idle_timeout) == ("1s500ms", "0s")
        admin.update_route(address, "a.test", connect_timeout="", idle_timeout="")
        assert differences(admin.get_drift()) == []

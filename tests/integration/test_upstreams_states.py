"""What becomes of open connections when an operator, or the file, takes an endpoint out."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.counted_backend import CountedBackend
from tests.support.http_clients import client
from tests.support.l4 import HELLO, RawBackend
from tests.support.l7 import l7_route, read_head
from tests.support.lifecycle import apply
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.proxy_header import receive
from tests.support.settings import Table, listener
from tests.support.tls import receive_exactly

SHUTDOWN = 2.0


class Scene(NamedTuple):
    """The proxy, two endpoints of an l4 route, and two of an l7 route."""

    proxy: Proxy
    first: RawBackend
    second: RawBackend
    stuck: CountedBackend
    well: CountedBackend
    certs: Certificates

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()

    def text(self, first: str | None = "ready", stuck: str = "ready", on_remove: str = "drain") -> str:
        """Return the config: the states of two endpoints; without one the first is not there."""
        raw: list[Table] = [{"address": f"127.0.0.1:{self.second.port}", "backup": True}]
        if first is not None:
            raw.insert(0, {"address": f"127.0.0.1:{self.first.port}", "state": first})
        http = [
            {"address": f"127.0.0.1:{self.stuck.port}", "state": stuck},
            {"address": f"127.0.0.1:{self.well.port}", "backup": True},
        ]
        tables: Table = {
            "proxy": {"workers": 2, "shutdown_timeout": f"{SHUTDOWN:g}s"},
            "upstreams": {
                "raw": {"endpoints": raw, "eject": False},
                "web": {"endpoints": http, "protocol": "http/1.1", "eject": False},
            },
            "listeners": [
                listener(
                    "127.0.0.1:PORT",
                    [
                        {"hostname": "l4.test", "backend": "raw", "on_remove": on_remove},
                        l7_route(self.certs, "web", "l7.test"),
                    ],
                )
            ],
        }
        return tomlkit.dumps(tables)


@pytest.fixture(scope="module")
def scene(certs: Certificates) -> Iterator[Scene]:
    """Start everything once for all tests here."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True)))
        processes = stack.enter_context(Processes(folder))
        first, second = stack.enter_context(RawBackend()), stack.enter_context(RawBackend())
        stuck, well = stack.enter_context(CountedBackend()), stack.enter_context(CountedBackend(answer=200))
        proxy = stack.enter_context(contextlib.closing(Proxy(processes, folder, "")))
        made = Scene(proxy, first, second, stuck, well, certs)
        proxy = stack.enter_context(contextlib.closing(Proxy(processes, folder, made.text())))
        proxy.start()
        yield made._replace(proxy=proxy)


@pytest.fixture(autouse=True)
def as_before(scene: Scene) -> Iterator[None]:
    """Leave the file as it was at the start."""
    yield
    if scene.proxy.config.read_text(encoding="utf-8") != scene.proxy.fill_in(scene.text()):
        apply(scene.proxy, scene.text())


def answered(near: socket.socket, far: socket.socket) -> bool:
    """Tell whether bytes go both ways on a connection."""
    near.sendall(b"ping")
    far.sendall(b"pong")
    return receive_exactly(far, 4) == b"ping" and receive_exactly(near, 4) == b"pong"


def test_drain_sends_new_connections_elsewhere_and_ends_none(scene: Scene) -> None:
    """Those that are open go on; ready again, the endpoint is used again."""
    near, far = scene.first.join(scene.address)
    apply(scene.proxy, scene.text(first="drain"))
    scene.second.join(scene.address)
    assert answered(near, far)
    apply(scene.proxy, scene.text())
    scene.first.join(scene.address)
    assert answered(near, far)


def test_maintenance_ends_open_connections_after_shutdown_timeout(scene: Scene) -> None:
    """They have that time to finish; those of other endpoints are not touched."""
    near, far = scene.first.join(scene.address)
    apply(scene.proxy, scene.text(first="drain"))
    other, its_far = scene.second.join(scene.address)
    apply(scene.proxy, scene.text(first="maintenance"))
    assert answered(near, far)
    scene.second.join(scene.address)
    near.settimeout(SHUTDOWN + 8)
    assert near.recv(1) == b""
    assert answered(other, its_far)


@pytest.mark.parametrize("on_remove", ["keep", "drain", "close"])
def test_an_endpoint_that_is_removed_leaves_its_connections_as_the_route_says(scene: Scene, on_remove: str) -> None:
    """Kept, ended after a while, or at once; new ones go elsewhere in any case."""
    if on_remove != "drain":  # as it was
        apply(scene.proxy, scene.text(on_remove=on_remove))
    near, far = scene.first.join(scene.address)
    apply(scene.proxy, scene.text(first=None, on_remove=on_remove))
    scene.second.join(scene.address)
    near.settimeout(SHUTDOWN + 8)
    if on_remove == "close":
        assert near.recv(1) == b""
        return
    assert answered(near, far)
    if on_remove == "drain":
        assert near.recv(1) == b""
        return
    near.settimeout(SHUTDOWN + 0.5)
    with pytest.raises(TimeoutError):
        near.recv(1)
    assert answered(near, far)


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_maintenance_lets_requests_finish_and_new_ones_go_elsewhere(scene: Scene, version: str) -> None:
    """Of an l7 route: the client's connection stays, and so does the request that is under way."""
    scene.stuck.answer = 200
    with client(version, scene.address, "l7.test") as peer:
        before = scene.well.methods["GET"]
        assert peer.request("GET", "/").status == 200
        assert scene.well.methods["GET"] == before
        apply(scene.proxy, scene.text(stuck="maintenance"))
        assert peer.request("GET", "/").status == 200
        assert scene.well.methods["GET"] == before + 1
        apply(scene.proxy, scene.text())
        assert peer.request("GET", "/").status == 200
        assert scene.well.methods["GET"] == before + 1


def test_a_route_that_goes_on_leading_to_an_address_keeps_its_connections(scene: Scene) -> None:
    """Of two addresses one is taken out, and the other stands alone: its connections are not touched."""
    text = scene.text(on_remove="close")

    def leading_to(*backends: RawBackend) -> str:
        addresses = ", ".join(f'"127.0.0.1:{backend.port}"' for backend in backends)
        return text.replace('backend = "raw"', f"backend = [{addresses}]")

    apply(scene.proxy, leading_to(scene.first, scene.second))
    with contextlib.ExitStack() as stack:
        near = stack.enter_context(contextlib.closing(socket.create_connection(scene.address, timeout=10)))
        near.sendall(HELLO)
        scene.first.listening.settimeout(0.5)
        try:
            far, stays, goes = scene.first.accept(), scene.first, scene.second
        except TimeoutError:
            far, stays, goes = scene.second.accept(), scene.second, scene.first
        finally:
            scene.first.listening.settimeout(10)
        receive_exactly(far, len(HELLO))
        apply(scene.proxy, leading_to(stays))
        assert answered(near, far)
        apply(scene.proxy, leading_to(goes))
        assert answered(near, far)


def test_endpoints_are_told_who_the_client_is(scene: Scene) -> None:
    """A header comes first on the connection to whichever endpoint takes it, for l4 and l7 routes; the first one refuses."""
    with socket.create_server(("127.0.0.1", 0)) as refusing:
        nobody = refusing.getsockname()[1]
    told = {
        "endpoints": [f"127.0.0.1:{nobody}", {"address": f"127.0.0.1:{scene.first.port}", "backup": True}],
        "send_proxy_protocol": True,
        "protocol": "http/1.1",
        "eject": False,
    }
    text = scene.text().replace('backend = "raw"', 'backend = "told"').replace('backend = "web"', 'backend = "told"')
    apply(scene.proxy, text + tomlkit.dumps({"upstreams": {"told": told}}).replace("[upstreams]\n", ""))
    near = scene.first.connect(scene.address, HELLO)
    far = scene.first.accept()
    names = receive(far)
    assert names is not None
    assert (names.source, names.source_port) == near.getsockname()
    assert receive_exactly(far, len(HELLO)) == HELLO
    with ThreadPoolExecutor(1) as pool, client("http/1.1", scene.address, "l7.test") as peer:
        asked = pool.submit(peer.request, "POST", "/", body=b"abc")
        far = scene.first.accept()
        names = receive(far)
        assert names is not None
        assert (names.source, names.source_port) == peer.sock.getsockname()
        assert read_head(far).startswith(b"POST / HTTP/1.1")
        far.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        assert asked.result(10).status == 200

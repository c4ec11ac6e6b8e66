"""What traffic and operators say of endpoints, with real workers: ejection, and drains that cut nothing."""

import contextlib
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.endpoint import metric
from tests.support.endpoints import endpoints
from tests.support.http_clients import H2Client, tls_socket
from tests.support.l7 import l7_route
from tests.support.load import until
from tests.support.plain_http import PlainHttp
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener
from tests.support.three_nginx import NAMES, ThreeNginx, who_answers


class Site(NamedTuple):
    """Three TLS servers behind an l4 route, two without TLS behind an l7 route, and the proxy."""

    nginx: ThreeNginx
    plain: tuple[PlainHttp, PlainHttp]
    proxy: Proxy

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()

    @property
    def second(self) -> str:
        """The address of the one that is drained."""
        return self.nginx.addresses()[1]

    def drain(self) -> None:
        """Take the second one out."""
        words = "endpoints", "drain", "web", self.second
        result = run_ctl("--config", str(self.proxy.config), *words)
        assert result.status == 0, result.stderr

    def answering(self) -> set[str]:
        """Return the servers that new connections of the l4 route lead to; each worker has its own turn."""
        found = who_answers(self.address, 60)
        assert not found[""]
        return set(found)


def text(nginx: ThreeNginx, plain: tuple[PlainHttp, PlainHttp], certs: Certificates) -> str:
    tables: Table = {
        "metrics": {"addr": "127.0.0.1:PORT_M"},
        "proxy": {"workers": 2, "shutdown_timeout": "1m"},
        "upstreams": {
            "web": {"endpoints": nginx.addresses()},
            "plain": {"endpoints": [f"{one.host}:{one.port}" for one in plain]},
        },
        "listeners": [
            listener("127.0.0.1:PORT", [{"hostname": "l4.test", "backend": "web"}, l7_route(certs, "plain")])
        ],
    }
    return tomlkit.dumps(tables)


@pytest.fixture(scope="module")
def site(certs: Certificates) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True)))
        processes = stack.enter_context(Processes(folder))
        nginx = ThreeNginx(processes, folder, certs)
        one, two = (stack.enter_context(contextlib.closing(PlainHttp("127.0.0.1"))) for _ in range(2))
        proxy = stack.enter_context(contextlib.closing(Proxy(processes, folder, text(nginx, (one, two), certs))))
        proxy.start()
        yield Site(nginx, (one, two), proxy)


def test_what_answers_503_is_left_out_for_a_while(site: Site) -> None:
    """Told with its figures; once it is out every request succeeds."""
    ill, well = site.plain
    address = f"{ill.host}:{ill.port}"
    ill.status = 503
    with H2Client(site.address, "l7.test") as client:

        def ejected() -> bool:
            for _ in range(20):
                client.request("GET", "/")
            return bool(endpoints(site.proxy)["plain", address]["verdict"] == "ejected")

        until(ejected, "it is ejected")
        assert [client.request("GET", "/").status for _ in range(10)] == [200] * 10
    told = endpoints(site.proxy)["plain", address]
    assert told["ejections"] == 1
    assert "failed in 10 s for 30 s" in told["reason"]
    site.proxy.wait_for_log(rf"endpoint is ejected.*{address}")
    port = site.proxy.port("M")
    assert metric(port, "mcproxy_endpoint_ejections_total", upstream="plain", endpoint=address) == 1
    assert (metric(port, "mcproxy_endpoint_failures_total", endpoint=address, reason="answer") or 0) >= 5
    assert endpoints(site.proxy)["plain", f"{well.host}:{well.port}"]["usable"]


def test_a_drain_cuts_nothing_and_outlives_control(site: Site) -> None:
    """A connection that is open there goes on under the next control, and new ones go elsewhere."""
    assert site.answering() == set(NAMES)
    with contextlib.closing(hold(site, "second")) as held:
        site.drain()
        assert site.answering() == {"first", "third"}
        assert endpoints(site.proxy)["web", site.second]["state"] == "drain"
        assert talks(held)
        site.proxy.kill_control()
        site.proxy.start()
        assert site.answering() == {"first", "third"}
        assert talks(held)


def hold(site: Site, name: str) -> ssl.SSLSocket:
    """Return a connection through the l4 route that has led to one of the servers."""
    for _ in range(30):
        sock = tls_socket(site.address, "l4.test", None)
        if ask(sock) == name:
            return sock
        sock.close()
    raise AssertionError(f"no connection has led to {name}")


def ask(sock: ssl.SSLSocket) -> str:
    """Send a request on a connection, and return the body of the answer: the server's name."""
    sock.sendall(b"GET / HTTP/1.1\r\nHost: l4.test\r\n\r\n")
    received = b""
    while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
        data = sock.recv(4096)
        assert data, "the connection was cut"
        received += data
    return received.rpartition(b"\r\n\r\n")[2].decode()


def talks(sock: ssl.SSLSocket) -> bool:
    return ask(sock) == "second"

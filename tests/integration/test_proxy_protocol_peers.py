"""HAProxy, nginx and curl: the PROXY headers they send reach us, and those that we send are what they expect."""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.counters import counted
from tests.support.curl import curl
from tests.support.fleet import Fleet
from tests.support.haproxy import start_haproxy
from tests.support.l4 import wait_for
from tests.support.nginx_proxy_protocol import Nginx, start_nginx_receiver, start_nginx_sender
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import config, listener, route
from tests.support.tls import client_context, connect, get_json

NAME = "app.test"
HOSTS = ["127.0.0.1", "::1"]


class Site(NamedTuple):
    """The proxy between senders and nginx, which tells every client what it was told of it."""

    proxy: Proxy
    backend: Nginx
    certs: Certificates
    processes: Processes
    folder: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.proxy.port()}"

    @property
    def address6(self) -> str:
        return f"[::1]:{self.proxy.port()}"


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("peers")
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(folder))
        backend = start_nginx_receiver(processes, folder / "backend", certs.server(NAME))
        routes = [route(backend.port, NAME, send_proxy_protocol=True)]
        text = config(listener(":PORT", routes, proxy_protocol=True, trusted_proxies=["127.0.0.0/8", "::1/128"]))
        yield Site(stack.enter_context(fleet.serve(text)), backend, certs, processes, folder)


def ask(site: Site, host: str, port: int, context: ssl.SSLContext | None = None) -> tuple[Any, tuple[str, int]]:
    """Connect to a sender; return what nginx was told, and the client's own address."""
    with connect((host, port), NAME, context or client_context(site.certs.ca)) as tls:
        own = tls.getsockname()
        return get_json(tls, NAME), (own[0], own[1])


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_sends(site: Site, option: str, host: str) -> None:
    """Versions 1 and 2 (with a checksum of its own) over either family: the true client reaches the backend."""
    unique = 'unique-id-format "%{+X}o%ci:%cp"' if "unique-id" in option else ""
    for target in (site.address, site.address6):
        haproxy = start_haproxy(
            site.processes,
            site.folder,
            f"""
frontend front
    bind 127.0.0.1:PORT
    bind [::1]:PORT
    {unique}
    default_backend edge
backend edge
    server mcproxy {target} {option}
""",
        )
        told, own = ask(site, host, haproxy.port)
        assert (told["address"], int(told["port"])) == own
        assert told["sni"] == NAME
        haproxy.process.stop()


@pytest.mark.parametrize("host", HOSTS)
def test_haproxy_sends_what_it_knows_of_tls(site: Site, host: str) -> None:
    """It ends the client's TLS, opens its own to us, and tells the client's certificate in TLVs: ours to skip."""
    leaf = site.certs.server(NAME)
    bundle = site.folder / "bundle.pem"
    bundle.write_bytes(leaf.certificate.read_bytes() + leaf.key.read_bytes())
    haproxy = start_haproxy(
        site.processes,
        site.folder,
        f"""
frontend front
    bind 127.0.0.1:PORT ssl crt {bundle} ca-file {site.certs.ca} verify optional
    bind [::1]:PORT ssl crt {bundle} ca-file {site.certs.ca} verify optional
    default_backend edge
backend edge
    server mcproxy {site.address} send-proxy-v2-ssl-cn proxy-v2-options crc32c ssl ca-file {site.certs.ca} sni str({NAME})
""",
    )
    for client in (None, site.certs.client("alice")):
        told, own = ask(site, host, haproxy.port, client_context(site.certs.ca, client=client))
        assert (told["address"], int(told["port"])) == own


def test_health_checks_of_haproxy_are_its_own_connections(
    reloaded: StartProxy, site: Site, processes: Processes, tmp_path: Path
) -> None:
    """Its checks send LOCAL and a whole TLS handshake: they pass, and the backend is told HAProxy's own address."""
    routes = [route(site.backend.port, NAME, send_proxy_protocol=True)]
    edge = reloaded(config(listener("127.0.0.1:PORT", routes, proxy_protocol=True), firewall={"rate_limit": 100_000}))
    haproxy = start_haproxy(
        processes,
        tmp_path,
        f"""
frontend front
    bind 127.0.0.1:PORT
    default_backend edge
backend edge
    option httpchk GET /health
    source 127.0.0.9
    server tls 127.0.0.1:{edge.port()} check check-send-proxy send-proxy-v2 check-ssl verify none check-sni {NAME} inter 200ms
""",
    )
    wait_for(lambda: sum("/health" in line for line in site.backend.access_log()) >= 3, timeout=15)
    checks = [line.split() for line in site.backend.access_log() if line.endswith("/health")]
    assert {host for host, *_ in checks} == {"127.0.0.9"}
    assert " is DOWN" not in haproxy.process.stdout
    told, own = ask(site, "127.0.0.1", haproxy.port)
    assert (told["address"], int(told["port"])) == own
    haproxy.process.stop()
    totals = counted(edge)[f"127.0.0.1:{edge.port()}"]
    # a check that was under way at HAProxy's own end is all that may be missing
    assert set(totals.refused) <= {"client_gone", "hello_truncated"}, totals
    assert totals.accepted >= 4


def test_checks_that_only_connect_pass(reloaded: StartProxy, site: Site, processes: Processes, tmp_path: Path) -> None:
    """HAProxy's plain checks with and without a LOCAL header find us up, never reach the backend, and are no errors."""
    edge = reloaded(config(listener("127.0.0.1:PORT", [route(1)], proxy_protocol=True)))
    haproxy = start_haproxy(
        processes,
        tmp_path,
        f"""
frontend front
    bind 127.0.0.1:PORT
    default_backend edge
backend edge
    option log-health-checks
    server local2 127.0.0.1:{edge.port()} check check-send-proxy send-proxy-v2 inter 100ms
    server local1 127.0.0.1:{edge.port()} check check-send-proxy send-proxy inter 100ms
    server bare 127.0.0.1:{edge.port()} check inter 100ms
""",
    )
    for name in ("local2", "local1", "bare"):
        haproxy.process.wait_for_line(rf"Health check for server edge/{name} succeeded")
    assert "DOWN" not in haproxy.process.stdout
    haproxy.process.stop()
    totals = counted(edge)[f"127.0.0.1:{edge.port()}"]
    # The connection by which `start_haproxy` saw it listen came here as a client's, who had gone.
    assert totals.refused in ({}, {"client_gone": 1})
    assert totals.accepted >= 3


@pytest.mark.parametrize("host", HOSTS)
def test_nginx_sends(site: Site, host: str) -> None:
    """The stream module's version 1 header names the true client, over either family on both sides."""
    for number, target in enumerate((site.address, site.address6)):
        sender = start_nginx_sender(site.processes, site.folder / f"sender-{host.count(':')}-{number}", target)
        told, own = ask(site, host, sender.port)
        assert (told["address"], int(told["port"])) == own


@pytest.mark.parametrize(("host", "source"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.3.2.1"), ("::1", "::1")])
def test_curl_sends(site: Site, host: str, source: str) -> None:
    """`curl --haproxy-protocol` names itself."""
    answer = curl(
        NAME, (host, site.proxy.port()), site.certs.ca, "--haproxy-protocol", "--interface", source, path="/curl"
    )
    assert answer.json()["address"] == source
    wait_for(
        lambda: any(line.startswith(f"{source} ") and line.endswith("/curl") for line in site.backend.access_log())
    )


def test_curl_without_the_option_is_refused(site: Site) -> None:
    """A ClientHello where a header is expected: reset, which curl reports as a failed TLS handshake (35)."""
    assert curl(NAME, ("127.0.0.1", site.proxy.port()), site.certs.ca).status == 35


@pytest.fixture
def sender(certs: Certificates, reloaded: StartProxy) -> Callable[..., Proxy]:
    """Start a proxy that takes clients directly and sends headers to a backend (address)."""
    return lambda address: reloaded(config(listener(":PORT", [route(address, NAME, send_proxy_protocol=True)])))


@pytest.mark.parametrize("backend_host", HOSTS)
def test_nginx_accepts_and_logs_the_true_client(
    processes: Processes,
    certs: Certificates,
    sender: Callable[..., Proxy],
    tmp_path: Path,
    backend_host: str,
) -> None:
    """`listen ... proxy_protocol`: its access log names the client of either family, and us as nobody."""
    backend = start_nginx_receiver(processes, tmp_path / "backend", certs.server(NAME))
    shown = f"[{backend_host}]" if ":" in backend_host else backend_host
    edge = sender(f"{shown}:{backend.port}")
    expected = []
    for host in HOSTS:
        with connect((host, edge.port()), NAME, client_context(certs.ca)) as tls:
            port = tls.getsockname()[1]
            told = get_json(tls, NAME, f"/{port}")
        source = "::ffff:127.0.0.1" if (host, backend_host) == ("127.0.0.1", "::1") else host
        destination = "::ffff:127.0.0.1" if (host, backend_host) == ("::1", "127.0.0.1") else backend_host
        assert told == {
            "sni": NAME,
            "address": source,
            "port": str(port),
            "server": destination,
            "server_port": str(backend.port),
        }
        expected.append(f"{source} {port} {backend.port} /{port}")
    wait_for(lambda: backend.access_log() == expected)


@pytest.mark.parametrize("backend_host", HOSTS)
def test_haproxy_accepts_and_logs_the_true_client(
    processes: Processes,
    certs: Certificates,
    sender: Callable[..., Proxy],
    tmp_path: Path,
    backend_host: str,
) -> None:
    """`accept-proxy`: its log names the client of either family, and TLS goes through to the server behind it."""
    target = start_nginx_receiver(processes, tmp_path / "target", certs.server(NAME))
    haproxy = start_haproxy(
        processes,
        tmp_path,
        f"""
frontend front
    bind 127.0.0.1:PORT accept-proxy
    bind [::1]:PORT accept-proxy
    log-format "client %ci %cp listening %[dst] %[dst_port]"
    default_backend app
backend app
    server app 127.0.0.1:{target.port} send-proxy
""",
    )
    shown = f"[{backend_host}]" if ":" in backend_host else backend_host
    edge = sender(f"{shown}:{haproxy.port}")
    for host in HOSTS:
        with connect((host, edge.port()), NAME, client_context(certs.ca)) as tls:
            client_port = tls.getsockname()[1]
            told = get_json(tls, NAME)
        line = haproxy.process.wait_for_line(
            rf"^client (\S+) {client_port} listening (\S+) {haproxy.port}$", streams=["stdout"]
        )
        assert re.sub("^::ffff:", "", line[1]) == host
        assert (re.sub("^::ffff:", "", told["address"]), int(told["port"])) == (host, client_port)

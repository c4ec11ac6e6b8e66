"""TLS servers and clients that are not ours, joined by the proxy: it is never part of their handshake."""

import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import StartNginx, StartProxy
from tests.support.certificates import Certificates
from tests.support.curl import curl
from tests.support.fleet import Fleet
from tests.support.l4 import config
from tests.support.nginx import Nginx, start_nginx
from tests.support.openssl import openssl_client, start_openssl_server
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.tls import client_context, connect, get_json

pytestmark = pytest.mark.both_data_paths(python="soak")

EXACT, WILD, OTHER = "app.l4.test", "deep.er.l4.test", "elsewhere.test"
NAMES = {EXACT: "exact", WILD: "wild", OTHER: "default"}
HOSTS = ["127.0.0.1", "::1"]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Site(NamedTuple):
    """Three nginx behind one dual-stack listener, by exact, wildcard and default name."""

    proxy: Proxy
    ca: Path
    backends: dict[str, Nginx]

    def address(self, host: str = "127.0.0.1") -> tuple[str, int]:
        return host, self.proxy.port()


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="mcp-") as name, Processes(Path(name)) as processes:
        backends = {}
        for host, backend in NAMES.items():
            folder = Path(name) / backend
            folder.mkdir()
            backends[backend] = start_nginx(processes, folder, backend, certs.server(host), client_ca=certs.ca)
        routes = {
            "*.l4.test": f"localhost:{backends['wild'].port}",
            "*": f"[::1]:{backends['default'].port}",
            "app.l4.test": f"127.0.0.1:{backends['exact'].port}",
        }
        with fleet.serve(config(routes, addr=":PORT", workers=2)) as proxy:
            yield Site(proxy, certs.ca, backends)


def test_curl_openssl_and_python_reach_nginx_by_every_kind_of_route(site: Site) -> None:
    """Each client, each TLS version, each family, each kind of route: the right nginx answers, its certificate valid."""
    for name, backend in NAMES.items():
        for host in HOSTS:
            address = site.address(host)
            for version in VERSIONS:
                dotted = {ssl.TLSVersion.TLSv1_2: "1.2", ssl.TLSVersion.TLSv1_3: "1.3"}[version]
                expected = {"backend": backend, "sni": name, "protocol": f"TLSv{dotted}"}

                with connect(address, name, client_context(site.ca, version=version)) as tls:
                    answer = get_json(tls, name)
                assert answer | expected == answer

                answer = curl(name, address, site.ca, f"--tlsv{dotted}", "--tls-max", dotted).json()
                assert answer | expected == answer

                option = f"-tls{dotted.replace('.', '_')}"
                request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
                result = openssl_client(address, name, site.ca, option, data=request)
                assert result.returncode == 0, result.stderr
                assert f'"backend": "{backend}"'.encode() in result.stdout


def test_client_certificate_passes_through_untouched(site: Site, certs: Certificates) -> None:
    """The backend verifies the client's own certificate, over TLS 1.2 and 1.3, and sees none when none is offered."""
    alice = certs.client("alice")
    for version in VERSIONS:
        with connect(site.address(), EXACT, client_context(site.ca, client=alice, version=version)) as tls:
            answer = get_json(tls, EXACT)
        assert (answer["client"], answer["verified"]) == ("CN=alice", "SUCCESS")
    answer = curl(WILD, site.address("::1"), site.ca, client=alice).json()
    assert (answer["client"], answer["verified"]) == ("CN=alice", "SUCCESS")
    answer = curl(EXACT, site.address(), site.ca).json()
    assert (answer["client"], answer["verified"]) == ("", "NONE")


def test_client_without_sni_reaches_the_default_route(site: Site) -> None:
    """A client that names no host is given to ``*``; the certificate it sees is that backend's."""
    context = client_context(site.ca)
    context.check_hostname = False
    with connect(site.address(), None, context) as tls:
        assert get_json(tls, OTHER)["backend"] == "default"
    result = openssl_client(site.address(), None, site.ca, data=b"GET / HTTP/1.0\r\n\r\n")
    assert b'"backend": "default"' in result.stdout


def test_large_download_and_resumed_session(site: Site) -> None:
    """A file of nginx arrives whole over the relay, and a TLS session taken up again still reaches its backend."""
    content = bytes(range(256)) * 40_000
    (site.backends["exact"].folder / "files" / "large").write_bytes(content)
    answer = curl(EXACT, site.address(), site.ca, path="/files/large")
    assert answer.status == 0, answer.messages
    assert answer.body == content

    context = client_context(site.ca, version=ssl.TLSVersion.TLSv1_2)
    with connect(site.address(), EXACT, context) as first:
        session = first.session
        get_json(first, EXACT)
    raw = socket.create_connection(site.address(), timeout=10)
    with context.wrap_socket(raw, server_hostname=EXACT, session=session) as second:
        assert second.session_reused
        assert get_json(second, EXACT)["backend"] == "exact"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("host", HOSTS)
def test_openssl_server_reached_by_all_clients(
    processes: Processes, certs: Certificates, reloaded: StartProxy, host: str, version: str
) -> None:
    """`openssl s_server` on either family talks with openssl, curl and Python through the proxy."""
    leaf = certs.server("l4.test", "www.test")
    reverse = start_openssl_server(processes, leaf, version, host=host)
    www = start_openssl_server(processes, leaf, version, mode="-www", host=host)
    shown = f"[{host}]" if ":" in host else host
    served = reloaded(config({"l4.test": f"{shown}:{reverse.port}", "www.test": f"{shown}:{www.port}"}))
    address = ("127.0.0.1", served.port())

    result = openssl_client(address, "l4.test", certs.ca, version, data=b"stressed\nCLOSE\n")
    assert result.returncode == 0, result.stderr
    assert b"\ndesserts\n" in result.stdout

    with connect(address, "l4.test", client_context(certs.ca)) as tls:
        tls.sendall(b"drawer\n")
        assert tls.recv(7) == b"reward\n"

    answer = curl("www.test", address, certs.ca, "--http1.0")
    assert answer.status == 0, answer.messages
    assert b"Ciphers supported in s_server binary" in answer.body


def test_client_refuses_a_backend_it_does_not_trust(
    site: Site, other_certs: Certificates, nginx: StartNginx, reloaded: StartProxy
) -> None:
    """Trust is between client and backend alone: a certificate of another CA fails at the client, not in the proxy."""
    stranger = nginx("stranger", other_certs.server("l4.test"))
    served = reloaded(config({"l4.test": f"127.0.0.1:{stranger.port}"}))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(("127.0.0.1", served.port()), "l4.test", client_context(site.ca))
    with connect(("127.0.0.1", served.port()), "l4.test", client_context(other_certs.ca)) as tls:
        assert get_json(tls, "l4.test")["backend"] == "stranger"


def test_tls_over_a_unix_socket_backend(
    processes: Processes, certs: Certificates, reloaded: StartProxy, short_folder: Path
) -> None:
    """A backend on a Unix socket (`openssl s_server -unix`) is reached as one on TCP."""
    leaf = certs.server("l4.test")
    path = short_folder / "backend.sock"
    process = processes.start(
        "openssl", "s_server", "-unix", path, "-rev", "-cert", leaf.certificate, "-key", leaf.key, "-unlink"
    )
    process.wait_for_line(r"^ACCEPT")
    served = reloaded(config({"*.test": f"unix:{path}"}))
    with connect(("127.0.0.1", served.port()), "l4.test", client_context(certs.ca)) as tls:
        tls.sendall(b"live\n")
        assert tls.recv(5) == b"evil\n"

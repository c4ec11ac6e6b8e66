"""Certificates of clients that try what they can: odd names, thousands of them, chains, other listeners, forged fields."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from tests.support.certificates import Certificates, Leaf
from tests.support.client_ca import ClientCa
from tests.support.curl import curl
from tests.support.fleet import Fleet
from tests.support.http_clients import plain_socket
from tests.support.lifecycle import applied
from tests.support.proxy import Proxy
from tests.support.recorder import Recorder
from tests.support.require import require

HOST = "127.0.0.1"
NAME = "any.test"
FIELD = "x-forwarded-client-cert"
_DNS, _URI = 0x82, 0x86  # tags of RFC 5280 section 4.2.1.6


class Site(msgspec.Struct):
    """A proxy whose route `*` requires certificates of one of 200 CAs, and one of a name below svc.test; its HTTP listener asks nobody."""

    proxy: Proxy
    backend: Recorder
    servers: Certificates
    ca: ClientCa

    def ask(self, client: Leaf | None, *args: str) -> int | str:
        """Return the status of an answer, or that there was an alert."""
        address = HOST, self.proxy.port()
        answer = curl(NAME, address, self.servers.ca, *args, "-w", "%{http_code}", "-o", "/dev/null", client=client)
        return "alert" if answer.status else int(answer.body)


def text(leaf: Leaf, backend: int, ca: Path, engine: str = "auto") -> str:
    return f"""
[proxy]
workers = 1
http2_engine = "{engine}"
[[listeners]]
addr = "{HOST}:PORT"
tls = {{ client_auth = "require", client_ca = "{ca}", client_names = ["*.svc.test"], forward_client_cert = true }}
[[listeners.routes]]
hostname = "*"
mode = "l7"
backend = "{HOST}:{backend}"
tls_cert = "{leaf.certificate}"
tls_key = "{leaf.key}"
[[listeners]]
addr = "{HOST}:PORT_R"
tls = {{ client_auth = "require", client_ca = "{ca}", forward_client_cert = true }}
real_ip = {{ from = ["{HOST}/32"] }}
[[listeners.routes]]
hostname = "*"
mode = "l7"
backend = "{HOST}:{backend}"
tls_cert = "{leaf.certificate}"
tls_key = "{leaf.key}"
[[listeners]]
addr = "{HOST}:PORT_H"
protocol = "http"
real_ip = {{ from = ["{HOST}/32"] }}
[[listeners.routes]]
hostname = "*"
backend = "{HOST}:{backend}"
"""


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hostile")
    many = [ClientCa(folder, f"ca-{number}") for number in range(199)]
    ca = ClientCa(folder)
    bundle = folder / "bundle.pem"
    bundle.write_bytes(b"".join(each.pem for each in (*many, ca)))
    with Recorder() as backend, fleet.serve(text(certs.server(NAME), backend.port, bundle)) as proxy:
        yield Site(proxy, backend, certs, ca)
        assert "Traceback" not in proxy.stderr


def raw_names(*names: tuple[int, bytes]) -> x509.UnrecognizedExtension:
    """Return a subjectAltName with names of any bytes."""
    parts = b"".join(bytes((tag, len(name))) + name for tag, name in names)
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes((0x30, len(parts))) + parts)


@pytest.mark.parametrize(
    "name",
    [
        b"evil.test\0.svc.test",
        b"\xff\xfe.svc.test",
        b"evil\r\nX-Admin: 1.svc.test",
        b'"evil";URI=x.svc.test',
        b"*.svc.test",
        b".svc.test",
    ],
)
def test_names_that_are_none_are_nobodys(site: Site, name: bytes) -> None:
    """A CA that copies whatever it is asked for lets nobody in by that."""
    assert site.ask(site.ca.client(extension=raw_names((_DNS, name)))) == 403
    assert (
        site.ask(site.ca.client(extension=raw_names((_DNS, b"a.svc.test"), (_URI, b"spiffe://x/y\r\nX-Admin: 1"))))
        == 200
    )
    fields = site.backend.requests[-1].fields()
    assert "x-admin" not in fields
    assert fields[FIELD].endswith(';Subject="";DNS=a.svc.test')


def test_thousands_of_names_are_compared_and_few_are_told(site: Site) -> None:
    """Beyond what OpenSSL takes of a peer the handshake fails."""
    names = [f"n{number}.test" for number in range(3000)]
    assert site.ask(site.ca.client(*names, "a.svc.test")) == 200
    assert len(site.backend.requests[-1].fields()[FIELD]) <= 4096
    assert site.ask(site.ca.client(*names)) == 403
    assert site.ask(site.ca.client(*(f"n{number}.{'x' * 60}.test" for number in range(3000)), "a.svc.test")) == "alert"
    assert site.ask(site.ca.client("a.svc.test")) == 200


def test_chains_end_at_a_trusted_ca(site: Site, tmp_path: Path) -> None:
    """Over intermediate ones that come along; a leaf vouches for nobody, and long chains are refused."""
    below = ClientCa(tmp_path, "below", site.ca)
    lower = ClientCa(tmp_path, "lower", below)
    assert site.ask(lower.client("a.svc.test", chain=[lower, below])) == 200
    assert site.ask(lower.client("a.svc.test", chain=[lower])) == "alert"
    no_ca = ClientCa(tmp_path, "leaf", site.ca, is_ca=False)
    assert site.ask(no_ca.client("a.svc.test", chain=[no_ca])) == "alert"
    long = [site.ca]
    for number in range(150):
        long.append(ClientCa(tmp_path, f"long-{number}", long[-1]))
    assert site.ask(long[-1].client("a.svc.test", chain=long[:0:-1])) == "alert"


def test_a_client_without_a_server_name_shows_one_too(site: Site) -> None:
    """The route of all others asks as any does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((HOST, site.proxy.port()), 30) as plain,
        pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"),
    ):
        context.wrap_socket(plain)
    leaf = site.ca.client("a.svc.test")
    context.load_cert_chain(leaf.certificate, leaf.key)
    with socket.create_connection((HOST, site.proxy.port()), 30) as plain, context.wrap_socket(plain) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x.test\r\n\r\n")
        assert tls.recv(100).startswith(b"HTTP/1.1 200")


def test_nothing_is_forged_without_tls(site: Site) -> None:
    """Nor by who is believed who the client is."""
    for name in (
        b"X-Forwarded-Client-Cert",
        b"x.forwarded.client.cert",
        b"X_Forwarded_Client_Cert",
        b"X-Forwarded-Client-Cert-X",
    ):
        with plain_socket((HOST, site.proxy.port("H"))) as sock:
            sock.sendall(
                b"GET / HTTP/1.1\r\nHost: x.test\r\nX-Forwarded-For: 192.0.2.7\r\n%b: Hash=forged\r\n\r\n" % name
            )
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
        assert "forged" not in str(site.backend.requests[-1].fields())


def test_the_certificate_of_a_proxy_is_not_its_clients(site: Site) -> None:
    """Where another proxy names the client, backends are not told the proxy's certificate as if it were that one's."""
    leaf = site.ca.client("proxy.svc.test")
    address = HOST, site.proxy.port("R")
    for version in ("--http1.1", "--http2"):
        answer = curl(
            NAME,
            address,
            site.servers.ca,
            version,
            "-H",
            "X-Forwarded-For: 192.0.2.7",
            "-w",
            "%{http_code}",
            client=leaf,
        )
        assert answer.body == b"200"
        fields = site.backend.requests[-1].fields()
        assert fields["x-real-ip"] == "192.0.2.7"
        assert FIELD not in fields


def test_nobody_changes_who_he_is_later(site: Site) -> None:
    """By renegotiation, which TLS 1.2 had."""
    leaf = site.ca.client("a.svc.test")
    command = [
        require("openssl"),
        "s_client",
        "-connect",
        f"{HOST}:{site.proxy.port()}",
        "-tls1_2",
        "-servername",
        NAME,
    ]
    own = ["-cert", str(leaf.certificate), "-key", str(leaf.key)]
    done = subprocess.run([*command, *own], input=b"R\n", capture_output=True, timeout=60, check=False)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stderr


@pytest.mark.parametrize("engine", ["h2", "ngh2"])
def test_both_engines_turn_the_wrong_name_away(site: Site, certs: Certificates, engine: str) -> None:
    since = site.proxy.mark()
    bundle = site.ca.certificate.with_name("bundle.pem")
    site.proxy.save(text(certs.server(NAME), site.backend.port, bundle, engine))
    applied(site.proxy, since)
    assert site.ask(site.ca.client("b.test"), "--http2") == 403
    assert site.ask(site.ca.client("b.svc.test"), "--http2") == 200

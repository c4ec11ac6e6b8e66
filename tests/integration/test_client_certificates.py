"""Clients show certificates: what each kind of one gets from routes that ask for none, may have one, and require one."""

import hashlib
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.certificates import Certificates, Leaf
from tests.support.client_ca import ClientCa
from tests.support.curl import curl
from tests.support.endpoint import metric
from tests.support.endpoints import METRICS
from tests.support.fleet import Fleet
from tests.support.http_clients import H1Client, H2Client
from tests.support.lifecycle import applied
from tests.support.load import until
from tests.support.openssl import openssl_client
from tests.support.proxy import Proxy
from tests.support.recorder import Recorder
from tests.support.require import require

HOST = "127.0.0.1"
NAMES = ("off.test", "optional.test", "require.test", "guarded.test")
FIELD = "x-forwarded-client-cert"
VERSIONS = {
    "h1, TLS 1.2": ("--http1.1", "--tls-max", "1.2"),
    "h1, TLS 1.3": ("--http1.1", "--tlsv1.3"),
    "h2, TLS 1.2": ("--http2", "--tls-max", "1.2"),
    "h2, TLS 1.3": ("--http2", "--tlsv1.3"),
}
ALERT, NO_CERTIFICATE = "alert", None
SPELLINGS = (
    *("X-Forwarded-Client-Cert", "x-forwarded-client-cert", "X_Forwarded_Client_Cert", "X.Forwarded.Client.Cert"),
    *(
        "x-forwarded_client.cert",
        "X!Forwarded~Client|Cert",
        "x-forwarded-client-cert-",
        "X-Forwarded-Client-Cert-Chain",
    ),
)


class Site(msgspec.Struct):
    """A proxy, its backend, and the certificates of clients by what is wrong with them.

    Attributes:
        ca: the CA of servers.
        clients: the CA of clients.
        leaves: None for no certificate.
        crl: what is revoked.
    """

    proxy: Proxy
    backend: Recorder
    ca: Path
    clients: ClientCa
    leaves: dict[str, Leaf | None]
    crl: Path
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Where the proxy listens."""
        return HOST, self.proxy.port()

    def ask(self, name: str, client: Leaf | None, *args: str) -> int | str:
        """Return the status of an answer, or that there was an alert."""
        answer = curl(name, self.address, self.ca, *args, "-w", "%{http_code}", "-o", "/dev/null", client=client)
        return ALERT if answer.status else int(answer.body)

    def forwarded(self) -> str | None:
        """Return what the backend was told of the last client."""
        return self.backend.requests[-1].fields().get(FIELD)


def text(
    leaf: Leaf,
    backend: int,
    ca: Path,
    crl: Path | None,
    log: Path,
    names: str = '"*.svc.example.com", "spiffe://prod/*"',
    off: str = "off",
) -> str:
    revoked = f'client_crl = "{crl}", ' if crl is not None else ""
    head = f"""
{METRICS}
[proxy]
workers = 1
shutdown_timeout = "5s"
[log]
access = "{log}"
[filters.partners]
client_names = ["*.partner.example.com"]
[[listeners]]
addr = "{HOST}:PORT"
tls = {{ client_ca = "{ca}", {revoked}forward_client_cert = true }}
"""
    routes = "".join(
        f"""
[[listeners.routes]]
hostname = "{name}.test"
mode = "l7"
backend = "{HOST}:{backend}"
tls_cert = "{leaf.certificate}"
tls_key = "{leaf.key}"
tls = {{ client_auth = "{auth}", client_names = [{names}] }}
{more}
"""
        for name, auth, more in (
            ("off", off, ""),
            ("optional", "optional", ""),
            ("require", "require", 'cases = [{ match = "/who", redirect = "/known/{client_cert}" }]'),
        )
    )
    guarded = f"""
[[listeners.routes]]
hostname = "guarded.test"
mode = "l7"
backend = "{HOST}:{backend}"
tls_cert = "{leaf.certificate}"
tls_key = "{leaf.key}"
tls = {{ client_auth = "optional" }}
cases = [{{ match = "/partners/*", use = ["partners"] }}]
"""
    return head + routes + guarded


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("clients")
    ca, others = ClientCa(folder), ClientCa(folder, "others")
    leaves = {
        "right": ca.client("a.svc.example.com", "spiffe://prod/a", common_name="right"),
        "wrong name": ca.client("a.example.com", common_name="a.svc.example.com"),
        "wrong CA": others.client("a.svc.example.com"),
        "expired": ca.client("a.svc.example.com", expired=True),
        "revoked": ca.client("a.svc.example.com", revoked=True),
        "none": NO_CERTIFICATE,
    }
    crl = folder / "clients.crl"
    crl.write_bytes(ca.crl())
    log = folder / "access.log"
    with (
        Recorder() as backend,
        fleet.serve(text(certs.server(*NAMES), backend.port, ca.certificate, crl, log)) as proxy,
    ):
        yield Site(proxy, backend, certs.ca, ca, leaves, crl, log)
        assert "Traceback" not in proxy.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_certificate_gets(site: Site, version: str) -> None:
    """Six kinds of them at three kinds of routes, on one listener: who is wrong gets an alert, who has the wrong name 403."""
    require("curl")
    told = {
        (name, kind): site.ask(f"{name}.test", leaf, *VERSIONS[version])
        for name in ("off", "optional", "require")
        for kind, leaf in site.leaves.items()
    }
    expected: dict[str, dict[str, int | str]] = {
        "off": dict.fromkeys(site.leaves, 200),
        "optional": {**dict.fromkeys(site.leaves, ALERT), "right": 200, "wrong name": 403, "none": 200},
        "require": {**dict.fromkeys(site.leaves, ALERT), "right": 200, "wrong name": 403},
    }
    assert told == {(name, kind): expected[name][kind] for name in expected for kind in site.leaves}


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_is_told_by_an_alert(site: Site, version: str) -> None:
    """The one for what is wrong; in TLS 1.3 it comes behind the handshake."""
    alerts = {"wrong CA": "unknown ca", "expired": "certificate expired", "revoked": "certificate revoked"}
    missing = "certificate required" if version == "-tls1_3" else "handshake failure"
    for kind, alert in {**alerts, "none": missing}.items():
        leaf = site.leaves[kind]
        own = [] if leaf is None else ["-cert", str(leaf.certificate), "-key", str(leaf.key)]
        request = b"GET / HTTP/1.0\r\nHost: require.test\r\n\r\n"
        result = openssl_client(site.address, "require.test", site.ca, version, *own, data=request)
        assert f"alert {alert}" in result.stderr.decode(), kind


def test_backends_are_told_who_the_client_is(site: Site) -> None:
    """By a field that nobody else can set: on routes that ask for no certificate it is absent, as it is without one."""
    forged = [each for name in SPELLINGS for each in ("-H", f"{name}: Hash=forged;URI=spiffe://prod/admin")]
    for version in ("h1, TLS 1.3", "h2, TLS 1.3"):
        for name, kind in (("off", "right"), ("optional", "none"), ("optional", "right"), ("require", "right")):
            assert site.ask(f"{name}.test", site.leaves[kind], *VERSIONS[version], *forged) == 200
            fields = site.backend.requests[-1].fields()
            assert "forged" not in str(fields), (version, name)
            if (name, kind) in (("off", "right"), ("optional", "none")):
                assert FIELD not in fields
            else:
                der = ssl.PEM_cert_to_DER_cert(_first(site.leaves["right"]))
                digest = hashlib.sha256(der).hexdigest()
                assert fields[FIELD] == f'Hash={digest};Subject="CN=right";DNS=a.svc.example.com;URI=spiffe://prod/a'


def _first(leaf: Leaf | None) -> str:
    assert leaf is not None
    return leaf.certificate.read_text()


def test_a_filter_wants_names_of_some_requests(site: Site) -> None:
    """Of those of a case; the variable has the first name."""
    partner = site.clients.client("x.partner.example.com")
    assert site.ask("guarded.test", None) == 200
    inside = ("--path-as-is", "--request-target", "/partners/x")
    assert site.ask("guarded.test", None, *inside) == 403
    assert site.ask("guarded.test", site.leaves["right"], *inside) == 403
    assert site.ask("guarded.test", partner, *inside) == 200
    answer = curl("require.test", site.address, site.ca, "-D", "-", path="/who", client=site.leaves["right"])
    assert b"/known/a.svc.example.com" in answer.body


def test_a_connection_of_the_wrong_name_ends(site: Site) -> None:
    """After its answer; of gRPC the status says it."""
    wrong = site.leaves["wrong name"]
    assert wrong is not None
    with client(H2Client, site, "require.test", wrong) as h2:
        answer = h2.request("POST", "/a.B/C", [("content-type", "application/grpc"), ("te", "trailers")])
        assert (answer.status, answer.header("grpc-status")) == (200, "7")
    answer = curl("require.test", site.address, site.ca, "--http1.1", "-D", "-", client=wrong)
    assert b"HTTP/1.1 403" in answer.body
    assert b"connection: close" in answer.body.lower()
    upgrade = ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13")
    key = ("-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    assert site.ask("require.test", wrong, "--http1.1", *upgrade, *key) == 403


def client(kind: Callable[..., Any], site: Site, name: str, leaf: Leaf | None) -> Any:
    """Return a client with a certificate, or with None without."""
    with pytest.MonkeyPatch.context() as patch:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if leaf is not None:
            context.load_cert_chain(leaf.certificate, leaf.key)
        patch.setattr("tests.support.http_clients.client_context", lambda: context)
        return kind(site.address, name)


def test_another_route_is_not_reached_over_a_connection(site: Site) -> None:
    """Neither that of one without certificates over one with, nor the other way: 421, in both versions."""
    right = site.leaves["right"]
    assert right is not None
    for kind in (H1Client, H2Client):
        for name, other in (
            ("off.test", "require.test"),
            ("optional.test", "require.test"),
            ("require.test", "off.test"),
        ):
            with client(kind, site, name, right) as one:
                one.hostname = other
                assert one.request("GET", "/").status == 421


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["optional.test", "require.test"])
def test_sessions_are_not_resumed(site: Site, version: ssl.TLSVersion, name: str) -> None:
    """Neither by tickets nor by ids: everybody is judged by what is revoked now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    right = site.leaves["right"]
    assert right is not None
    context.load_cert_chain(right.certificate, right.key)
    session = None
    for _ in range(3):
        plain = socket.create_connection(site.address, 30)
        with context.wrap_socket(plain, server_hostname=name, session=session) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            assert not sock.session_reused
            session = sock.session
            assert session is None or not session.has_ticket


def test_the_access_log_tells_who_it_was(site: Site) -> None:
    """The first name, and why somebody was not let in."""
    for kind in ("right", "wrong name", "wrong CA", "expired", "revoked", "none"):
        site.ask("require.test", site.leaves[kind])

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in site.log.read_text().splitlines()]

    def told() -> set[tuple[str, str, str]]:
        found = [line for line in lines() if line["route"] == "require.test"]
        return {(line["reason"], line.get("client_cert", ""), line["detail"]) for line in found}

    wanted = {
        ("complete", "a.svc.example.com", ""),
        ("client_certificate", "a.example.com", "none of its names is in client_names: a.example.com"),
        ("client_certificate", "", "its certificate is of an unknown CA"),
        ("client_certificate", "", "its certificate has expired"),
        ("client_certificate", "", "its certificate is revoked"),
        ("client_certificate", "", "it has shown no certificate"),
    }
    until(lambda: wanted <= told(), "a line of each")
    where = f"listener {HOST}:{site.proxy.port()}: TLS with {HOST} failed on the route require.test: "
    site.proxy.wait_for_log(re.escape(f"{where}its certificate has expired"))
    site.proxy.wait_for_log(re.escape(f"{where}it has shown no certificate"))
    counted = {
        result: metric(site.proxy.port("M"), "mcproxy_client_certificates_total", route="require.test", result=result)
        for result in ("accepted", "wrong_name", "unknown_ca", "expired", "revoked", "missing")
    }
    assert all(counted.values()), counted


def test_a_change_of_who_may_come_drains(site: Site, certs: Certificates) -> None:
    """Of the names, of the CRL's content: whoever is still let in comes again, and who is not does not."""
    right = site.leaves["right"]
    assert right is not None
    files = certs.server(*NAMES), site.backend.port, site.clients.certificate, site.crl, site.log
    with client(H2Client, site, "require.test", right) as h2, client(H1Client, site, "off.test", right) as off:
        assert h2.request("GET", "/").status == 200
        assert off.request("GET", "/").status == 200
        since = site.proxy.mark()
        site.proxy.save(text(*files, names='"*.other.example.com"'))
        assert "drained, as other clients may come" in applied(site.proxy, since)
        assert h2.request("GET", "/").status in (403, 421)
        assert off.request("GET", "/").status == 200
    assert site.ask("require.test", right) == 403
    since = site.proxy.mark()
    site.proxy.save(text(*files))
    applied(site.proxy, since)
    later = site.clients.client("b.svc.example.com", revoked=True)
    with client(H2Client, site, "require.test", later) as h2:
        assert h2.request("GET", "/").status == 200
        since = site.proxy.mark()
        new = site.crl.with_suffix(".new")
        new.write_bytes(site.clients.crl())
        new.replace(site.crl)
        assert re.search(r"renewed: .*clients\.crl  \(\d+ live connections?, drained", applied(site.proxy, since))
        until(lambda: _is_told_to_go(h2), "the end of the connection")
    assert site.ask("require.test", later) == ALERT
    assert site.ask("require.test", right) == 200


@pytest.mark.parametrize("auth", ["require", "optional"])
def test_who_was_not_asked_for_a_certificate_comes_anew(site: Site, certs: Certificates, auth: str) -> None:
    """Where one is required by now: nothing more is served on connections from before, and the client is told so."""
    files = certs.server(*NAMES), site.backend.port, site.clients.certificate, site.crl, site.log
    with client(H2Client, site, "off.test", None) as h2, client(H1Client, site, "off.test", None) as h1:
        assert [each.request("GET", "/").status for each in (h2, h1)] == [200, 200]
        since = site.proxy.mark()
        site.proxy.save(text(*files, off=auth))
        told = applied(site.proxy, since)
        assert "drained, as other clients may come" in told
        expected = 421 if auth == "require" else 200
        assert [each.request("GET", "/").status for each in (h2, h1)] == [expected, expected]
    assert site.ask("off.test", None) == (ALERT if auth == "require" else 200)
    assert site.ask("off.test", site.leaves["right"]) == 200
    since = site.proxy.mark()
    site.proxy.save(text(*files))
    applied(site.proxy, since)


def _is_told_to_go(h2: H2Client) -> bool:
    """Tell whether a connection takes no more requests."""
    try:
        return h2.request("GET", "/").status != 200
    except (OSError, EOFError, ssl.SSLError, AssertionError):
        return True


def test_a_crl_that_is_over_lets_nobody_in(site: Site, certs: Certificates) -> None:
    """Nor does one of another CA stand for the missing one: that is an error, and the old one is served."""
    right = site.leaves["right"]
    over = site.crl.with_name("over.crl")
    over.write_bytes(site.clients.crl(ends=timedelta(days=-1)))
    files = certs.server(*NAMES), site.backend.port, site.clients.certificate
    since = site.proxy.mark()
    site.proxy.save(text(*files, over, site.log))
    applied(site.proxy, since)
    assert site.ask("require.test", right) == ALERT
    assert site.ask("off.test", right) == 200
    since = site.proxy.mark()
    site.proxy.save(text(*files, site.crl, site.log))
    applied(site.proxy, since)
    assert site.ask("require.test", right) == 200

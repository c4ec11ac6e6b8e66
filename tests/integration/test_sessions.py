"""TLS sessions: they go on at every worker, and nowhere where another handshake would ask for more."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.endpoint import metric
from tests.support.l4 import serve, wait_for
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener

WORKERS = 4
VISITS = 200
NAMES = ("a.test", "b.test", "optional.test", "required.test", "newer.test", "named.test", "curves.test")
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def site(certificate: Path, hostname: str, **tls: object) -> Table:
    """Return a route that answers by itself."""
    key = certificate.with_suffix(".key")
    table: Table = {"hostname": hostname, "mode": "l7", "tls_cert": str(certificate), "tls_key": str(key)}
    return table | {"respond": hostname} | ({"tls": tls} if tls else {})


@pytest.fixture(scope="module")
def own(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for all names, which the test may replace."""
    folder = tmp_path_factory.mktemp("sessions")
    leaf = certs.server(*NAMES)
    shutil.copy(leaf.certificate, folder / "own.crt")
    shutil.copy(leaf.key, folder / "own.key")
    return folder / "own.crt"


@pytest.fixture(scope="module")
def proxy(certs: Certificates, own: Path) -> Iterator[Proxy]:
    asked = {"client_ca": str(certs.ca)}
    routes = [
        site(own, "a.test"),
        site(own, "b.test"),
        site(own, "optional.test", client_auth="optional", **asked),
        site(own, "required.test", client_auth="require", **asked),
        site(own, "named.test", client_auth="require", client_names=["nobody.test"], **asked),
        site(own, "newer.test", min_version="1.3"),
        site(own, "curves.test", curves=["P-384"]),
    ]
    other = site(own, "a.test", client_auth="require", **asked)
    tables: Table = {
        "metrics": {"addr": "127.0.0.1:PORT_M"},
        "proxy": {"workers": WORKERS, "shutdown_timeout": "2s"},
        "listeners": [listener("127.0.0.1:PORT", routes), listener("127.0.0.1:PORT_OTHER", [other])],
    }
    with serve(tomlkit.dumps(tables)) as started:
        yield started


def context(certs: Certificates, version: ssl.TLSVersion, own: str = "") -> ssl.SSLContext:
    """Return that of a client; ``own`` is the name in the certificate that it shows, "" for none."""
    made = ssl.create_default_context(cafile=str(certs.ca))
    made.minimum_version = made.maximum_version = version
    if own:
        leaf = certs.client(own)
        made.load_cert_chain(leaf.certificate, leaf.key)
    return made


class Visit:
    """One request on a connection of its own.

    Attributes:
        status: of the answer, 0 for none.
        resumed: whether the session that was offered went on.
        session: what can be offered the next time.
    """

    def __init__(
        self, client: ssl.SSLContext, port: int, hostname: str = "a.test", session: ssl.SSLSession | None = None
    ) -> None:
        self.status, self.resumed, self.session = 0, False, session
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 20) as plain,
                client.wrap_socket(plain, server_hostname=hostname, session=session) as sock,
            ):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.resumed = bool(sock.session_reused)
                sock.sendall(f"GET / HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while piece := sock.recv(65536):
                    answer += piece
                self.status = int(answer.split()[1]) if answer else 0
                assert self.status != 200 or answer.endswith(hostname.encode())
                self.session = sock.session
        except ssl.SSLError:
            return  # the handshake was refused
        except ConnectionError:
            return


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_sessions_go_on_at_every_worker(proxy: Proxy, certs: Certificates, version: ssl.TLSVersion) -> None:
    """Each connection offers the last session, whichever worker has made it."""
    client = context(certs, version)
    session, resumed = Visit(client, proxy.port()).session, 0
    for _ in range(VISITS):
        visit = Visit(client, proxy.port(), session=session)
        resumed += visit.resumed
        session = visit.session
    assert len(proxy.workers()) == WORKERS
    assert resumed >= VISITS * 95 // 100


def sessions(proxy: Proxy, hostname: str) -> dict[str, float]:
    """Return how many sessions a route of the first listener had, by whether they went on."""
    where = {"listener": f"127.0.0.1:{proxy.port()}", "route": hostname}
    name = "mcproxy_tls_sessions_total"
    return {resumed: metric(proxy.port("M"), name, **where, resumed=resumed) or 0.0 for resumed in ("false", "true")}


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("hostname", "shown", "new", "resumed"),
    [("b.test", "", 1, 3), ("optional.test", "client.test", 4, 0), ("required.test", "", 0, 0)],
)
def test_sessions_are_counted(
    proxy: Proxy, certs: Certificates, version: ssl.TLSVersion, hostname: str, shown: str, new: int, resumed: int
) -> None:
    """Over all workers as the client saw them, by route; a handshake that failed has begun none."""
    before = sessions(proxy, hostname)
    client = context(certs, version, shown)
    visits = [Visit(client, proxy.port(), hostname)]
    for _ in range(3):
        visits.append(Visit(client, proxy.port(), hostname, visits[-1].session))
    assert [visit.resumed for visit in visits].count(True) == resumed
    wanted = {"false": before["false"] + new, "true": before["true"] + resumed}
    wait_for(lambda: sessions(proxy, hostname) == wanted)


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("hostname", "port", "status"),
    [
        ("required.test", "", 0),
        ("named.test", "", 0),
        ("optional.test", "", 200),
        ("newer.test", "", 200),
        ("curves.test", "", 200),
        ("a.test", "OTHER", 0),
    ],
)
def test_a_session_of_one_route_is_none_at_another(
    proxy: Proxy, certs: Certificates, version: ssl.TLSVersion, hostname: str, port: str, status: int
) -> None:
    """All have the same certificate, so only the keys of tickets keep them apart; a full handshake judges the client."""
    client = context(certs, version)
    visit = Visit(client, proxy.port())
    assert visit.status == 200
    assert Visit(client, proxy.port(), session=visit.session).resumed
    for _ in range(2 * WORKERS):
        tried = Visit(client, proxy.port(port), hostname, visit.session)
        expected = 0 if hostname == "newer.test" and version == ssl.TLSVersion.TLSv1_2 else status
        assert (tried.resumed, tried.status) == (False, expected)


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize(("hostname", "status"), [("required.test", 200), ("optional.test", 200), ("named.test", 403)])
def test_routes_that_ask_for_certificates_have_no_sessions(
    proxy: Proxy, certs: Certificates, version: ssl.TLSVersion, hostname: str, status: int
) -> None:
    """Who is let in is judged each time: neither tickets nor ids of sessions spare a client that."""
    client = context(certs, version, "client.test")
    visit = Visit(client, proxy.port(), hostname)
    assert visit.status == status
    for _ in range(2 * WORKERS):
        again = Visit(client, proxy.port(), hostname, visit.session)
        assert (again.resumed, again.status) == (False, status)
    assert not Visit(client, proxy.port(), "a.test", visit.session).resumed


def test_sessions_outlive_control(proxy: Proxy, certs: Certificates) -> None:
    """The next one, and its workers, go on with the secret of the one that was killed."""
    client = context(certs, ssl.TLSVersion.TLSv1_3)
    session = Visit(client, proxy.port()).session
    proxy.kill_control()
    proxy.start()
    for _ in range(2 * WORKERS):
        visit = Visit(client, proxy.port(), session=session)
        assert (visit.resumed, visit.status) == (True, 200)
        session = visit.session


def test_a_renewed_certificate_ends_sessions(proxy: Proxy, certs: Certificates, own: Path) -> None:
    """A client that resumes does not look at it: it would go on with the old one."""
    client = context(certs, ssl.TLSVersion.TLSv1_3)
    session = Visit(client, proxy.port()).session
    assert Visit(client, proxy.port(), session=session).resumed
    other = Certificates(own.parent, "another CA").server(*NAMES)
    for file, suffix in ((other.key, ".key"), (other.certificate, ".crt")):
        shutil.copy(file, own.with_suffix(".new"))
        own.with_suffix(".new").rename(own.with_suffix(suffix))
    wait_for(lambda: Visit(context(certs, ssl.TLSVersion.TLSv1_3), proxy.port()).status == 0)
    trusting = Visit(client, proxy.port(), session=session)
    assert not trusting.resumed

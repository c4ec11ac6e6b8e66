"""Why a backend can't be reached, in words that say what to mend."""

import errno
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcproxy.control.files.certificates import make_ca
from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import (
    TlsClient,
    backend_tls_cause,
    dial_failure,
    endpoint_text,
    refused_later,
    tls_failure,
)
from mcproxy.net.memory.sparse_counters import BACKEND_CAUSES
from mcproxy.net.sockets import SocketAddress
from mcproxy.net.tls import client_context
from tests.support.certificates import Certificates, Leaf

V4: SocketAddress = (int(socket.AF_INET), ("10.0.0.5", 443))
V6: SocketAddress = (int(socket.AF_INET6), ("2001:db8::5", 443, 0, 0))
UNIX: SocketAddress = (int(socket.AF_UNIX), "/run/app.sock")
NAME = "backend.test"


@pytest.mark.parametrize(
    ("code", "address", "told"),
    [
        (errno.ECONNREFUSED, V4, "backend_refused: 10.0.0.5:443: connection refused"),
        (errno.EHOSTUNREACH, V6, "backend_refused: [2001:db8::5]:443: no route to the host"),
        (errno.ENOENT, UNIX, "backend_refused: unix:/run/app.sock: there is no such socket"),
        (errno.EOPNOTSUPP, V4, "backend_refused: 10.0.0.5:443: operation not supported"),
        (errno.ETIMEDOUT, V4, "backend_timeout: 10.0.0.5:443: timed out after 2.5 s"),
        (errno.EMFILE, V4, "no_resources: 10.0.0.5:443: no descriptors, ports or memory: too many open files"),
    ],
)
def test_sockets(code: int, address: SocketAddress, told: str) -> None:
    """The address, and what the system says in plain words."""
    assert str(dial_failure(code, address, 2.5)) == told


def test_addresses_are_written_as_in_the_file() -> None:
    """Of each family."""
    assert [endpoint_text(each) for each in (V4, V6, UNIX)] == [
        "10.0.0.5:443",
        "[2001:db8::5]:443",
        "unix:/run/app.sock",
    ]


def handshake(leaf: Leaf, ca: bytes, name: str = NAME) -> Failure:
    """Return why a handshake with a server fails."""
    return tls_failure(error_of(leaf, ca, name), name, 10.0, "10.0.0.5:443")


def error_of(leaf: Leaf, ca: bytes, name: str = NAME) -> ssl.SSLError:
    """Return with what error a handshake with a server fails."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(leaf.certificate, leaf.key)
    client = client_context(ca, ("http/1.1",))
    client.sslobject_class = TlsClient
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error
    raise AssertionError("the handshake has succeeded")


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_certificates(certs: Certificates, tmp_path: Path) -> None:
    """Each kind of fault, with what tells whose it is: since when, of whom, for what name."""
    ca = certs.ca.read_bytes()
    good = certs.server(NAME, "other.test")
    stranger = Certificates(tmp_path, "another CA").server(NAME)
    faults = {
        "it expired 3 days ago": handshake(certs.server(NAME, not_before=in_days(-30), not_after=in_days(-3.1)), ca),
        "it expired 5 hours ago": handshake(certs.server(NAME, not_before=in_days(-30), not_after=in_days(-0.21)), ca),
        "it begins in 2 days": handshake(certs.server(NAME, not_before=in_days(2.1), not_after=in_days(9)), ca),
        "unknown": handshake(stranger, ca),
        "name": handshake(good, ca, "wrong.test"),
        "address": handshake(good, ca, "10.0.0.5"),
    }
    assert {fault.reason for fault in faults.values()} == {"backend_certificate"}
    assert [fault.detail for fault in faults.values()] == [
        "its certificate expired 3 days ago",
        "its certificate expired 5 hours ago",
        "its certificate is not valid yet, it begins in 2 days",
        "its certificate is of an unknown CA (another CA)",
        f"its certificate is for {NAME}, other.test, not for wrong.test",
        f"its certificate is for {NAME}, other.test, not for 10.0.0.5",
    ]


def test_the_words_for_metrics(certs: Certificates, tmp_path: Path) -> None:
    """One of few for each kind of fault of a certificate."""
    ca = certs.ca.read_bytes()
    good = certs.server(NAME, "other.test")
    pair = make_ca(NAME)
    own = Leaf(tmp_path / "own.crt", tmp_path / "own.key")
    own.certificate.write_bytes(pair.certificate)
    own.key.write_bytes(pair.key)
    causes = {
        backend_tls_cause(error)
        for error in (
            error_of(certs.server(NAME, not_before=in_days(-30), not_after=in_days(-3)), ca),
            error_of(certs.server(NAME, not_before=in_days(2), not_after=in_days(9)), ca),
            error_of(good, ca, "wrong.test"),
            error_of(good, ca, "10.0.0.5"),
            error_of(own, ca),
            error_of(Certificates(tmp_path, "another CA").server(NAME), ca),
            error_of(certs.client(NAME), ca),
        )
    }
    assert causes == {"expired", "not_yet_valid", "wrong_name", "unknown_ca", "invalid"}
    assert causes < set(BACKEND_CAUSES)


def test_a_self_signed_certificate(certs: Certificates, tmp_path: Path) -> None:
    """No CA has issued it, so none can be named."""
    pair = make_ca(NAME)
    own = Leaf(tmp_path / "own.crt", tmp_path / "own.key")
    own.certificate.write_bytes(pair.certificate)
    own.key.write_bytes(pair.key)
    assert handshake(own, certs.ca.read_bytes()).detail == f"its certificate is self-signed ({NAME})"


@pytest.mark.parametrize(
    ("error", "told", "cause"),
    [
        (TimeoutError(), "backend_timeout: 10.0.0.5:443: no TLS handshake within 10 s", "timeout"),
        (
            ConnectionAbortedError("SSL handshake"),
            "backend_timeout: 10.0.0.5:443: no TLS handshake within 10 s",
            "timeout",
        ),
        (
            ConnectionResetError(),
            "backend_tls: 10.0.0.5:443: it closed the connection during the TLS handshake",
            "closed",
        ),
        (ssl.SSLError(1, "odd"), "backend_tls: 10.0.0.5:443: odd", "other"),
    ],
)
def test_handshakes_that_get_nowhere(error: Exception, told: str, cause: str) -> None:
    """The loop says a time limit in its own way."""
    assert str(tls_failure(error, NAME, 10.0, "10.0.0.5:443")) == told
    assert backend_tls_cause(error) == cause
    assert not refused_later(error)


@pytest.mark.parametrize(
    ("answer", "words", "cause"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak TLS", "no_tls"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not speak TLS", "no_tls"),
        (bytes.fromhex("15030300020228"), "it refuses the handshake: handshake failure", "no_shared_cipher"),
        (bytes.fromhex("15030300020246"), "it refuses the handshake: protocol version", "unsupported_protocol"),
        (bytes.fromhex("15030300020247"), "it refuses the handshake: insufficient security", "no_shared_cipher"),
        (bytes.fromhex("1503030002022a"), "it refuses the handshake: bad certificate", "client_certificate"),
        (bytes.fromhex("1503030002022d"), "it refuses the handshake: certificate expired", "client_certificate"),
        (bytes.fromhex("15030300020230"), "it refuses the handshake: unknown ca", "client_certificate"),
        (bytes.fromhex("15030300020274"), "it refuses the handshake: certificate required", "client_certificate"),
        (bytes.fromhex("15030300020250"), "it refuses the handshake: internal error", "other"),
        (bytes.fromhex("15030300020270"), "tlsv1 unrecognized name", "other"),
    ],
)
def test_what_is_no_handshake(answer: bytes, words: str, cause: str) -> None:
    """Another protocol, or an alert."""
    client = client_context(b"", ("h2",))
    incoming = ssl.MemoryBIO()
    end = client.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        end.do_handshake()
    incoming.write(answer)
    with pytest.raises(ssl.SSLError) as failed:
        end.do_handshake()
    assert tls_failure(failed.value, NAME, 10.0, "").detail == words
    assert backend_tls_cause(failed.value) == cause
    assert refused_later(failed.value) == words.startswith("it refuses")
    assert cause in BACKEND_CAUSES

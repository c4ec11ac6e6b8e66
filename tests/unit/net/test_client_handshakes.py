"""What is told of handshakes with clients that fail, and the alert that is left to be sent."""

import contextlib
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from mcproxy.net.failure_words import client_tls_failure
from mcproxy.net.memory.sparse_counters import CAUSES, RESULTS
from mcproxy.net.tls import Pair, ServerTls, TlsError, alert_of, server_context
from tests.support.certificates import Certificates, Leaf
from tests.support.client_ca import ClientCa

ALERT = 21  # the type of record


@pytest.fixture
def pair(certs: Certificates) -> Pair:
    leaf = certs.server("a.test")
    return Pair(leaf.certificate.read_bytes(), leaf.key.read_bytes())


def client_of(leaf: Leaf | None, ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if leaf is not None:
        context.load_cert_chain(leaf.certificate, leaf.key)
    return context


def failed(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLError | None:
    """Return the server's error, None for none."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname="a.test")
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        with contextlib.suppress(ssl.SSLError):
            asking.do_handshake()
        try:
            serving.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error
    return None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_that_are_refused(pair: Pair, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Each with its word, and with an alert."""
    ca, other = ClientCa(tmp_path), ClientCa(tmp_path, "other")
    revoked = ca.client("a.test", revoked=True)
    tls = ServerTls((pair,), client_auth="require", client_ca=ca.pem, client_crl=ca.crl())
    without_list = tls._replace(client_ca=ca.pem + other.pem)
    for leaf, terms, result, words in (
        (None, tls, "missing", "it has shown no certificate"),
        (other.client("a.test"), tls, "unknown_ca", "its certificate is of an unknown CA"),
        (ca.client("a.test", expired=True), tls, "expired", "its certificate has expired"),
        (revoked, tls, "revoked", "its certificate is revoked"),
        (other.client("a.test"), without_list, "crl", "there is no CRL of its CA"),
    ):
        client = client_of(leaf)
        client.maximum_version = version
        error = failed(server_context(terms), client)
        assert error is not None
        failure, word = client_tls_failure(error)
        assert (failure.reason, failure.detail, word) == ("client_certificate", words, result)
        assert alert_of(error)[0] == ALERT or version is ssl.TLSVersion.TLSv1_3
        assert alert_of(error)
        assert word in RESULTS
    assert failed(server_context(tls), client_of(ca.client("a.test"))) is None


def test_a_revoked_intermediate_ca_lets_nobody_in(pair: Pair, tmp_path: Path) -> None:
    """Though its own list is there, and names nobody."""
    ca = ClientCa(tmp_path)
    below = ClientCa(tmp_path, "below", ca)
    leaf = below.client("a.test", chain=[below])
    tls = ServerTls((pair,), client_auth="require", client_ca=ca.pem, client_crl=ca.crl() + below.crl())
    assert failed(server_context(tls), client_of(leaf)) is None
    ca.revoke(below.serial)
    error = failed(server_context(tls._replace(client_crl=ca.crl() + below.crl())), client_of(leaf))
    assert error is not None
    assert client_tls_failure(error)[1] == "revoked"


def test_the_newest_crl_counts(pair: Pair, tmp_path: Path) -> None:
    """Wherever it stands among others of its CA that are over."""
    ca = ClientCa(tmp_path)
    leaf = ca.client("a.test")
    lists = ca.crl(timedelta(days=-1)), ca.crl()
    for crl in (b"".join(lists), b"".join(reversed(lists))):
        tls = ServerTls((pair,), client_auth="require", client_ca=ca.pem, client_crl=crl)
        assert failed(server_context(tls), client_of(leaf)) is None


def test_no_cipher_is_without_encryption(pair: Pair) -> None:
    """Whatever the list says: not even for a client that knows no other."""
    careless = client_of(None)
    careless.maximum_version = ssl.TLSVersion.TLSv1_2
    careless.set_ciphers("eNULL:aNULL:@SECLEVEL=0")
    terms = ServerTls((pair,), ciphers="ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    error = failed(server_context(terms), careless)
    assert error is not None
    assert client_tls_failure(error)[1] == "no_shared_cipher"
    with pytest.raises(TlsError, match="no cipher"):
        server_context(terms._replace(ciphers="eNULL:aNULL:@SECLEVEL=0"))


def test_nothing_in_common(pair: Pair, tmp_path: Path) -> None:
    """A version, a cipher; and what a client says of the certificate that it was shown."""
    old = client_of(None)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    rsa = client_of(None)
    rsa.maximum_version = ssl.TLSVersion.TLSv1_2
    rsa.set_ciphers("AES128-SHA")
    stranger = ClientCa(tmp_path, "stranger")
    for terms, client, cause in (
        (ServerTls((pair,), min_version="1.3"), old, "unsupported_protocol"),
        (ServerTls((pair,)), rsa, "no_shared_cipher"),
        (ServerTls((pair,)), client_of(None, stranger.certificate), "unknown_ca"),
    ):
        error = failed(server_context(terms), client)
        assert error is not None
        failure, word = client_tls_failure(error)
        assert (failure.reason, word) == ("tls_failed", cause)
        assert failure.detail
        assert word in CAUSES
    failure, word = client_tls_failure(ConnectionResetError())
    assert (failure.detail, word) == ("the client closed the connection", "closed")

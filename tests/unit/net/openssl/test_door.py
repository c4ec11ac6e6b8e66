"""What OpenSSL can and Python's ssl has no function for."""

import logging
import ssl
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from mcproxy.control.files.certificates import issue, make_ca
from mcproxy.net.openssl import door as door_module
from mcproxy.net.openssl.door import TICKET_KEY_BYTES, door
from mcproxy.net.tls import Pair, ServerTls, TlsError, server_context
from tests.unit.net.test_tls import Connection


@pytest.fixture(scope="module")
def pair() -> Pair:
    made = issue(make_ca("unit test CA"), ["a.test"])
    return Pair(made.certificate, made.key)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Python in which nobody has tried this."""
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="another"))
    door_module.door.cache_clear()
    yield
    door_module.door.cache_clear()


def client(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context


def test_this_python_is_one_that_it_is_for() -> None:
    assert door() is not None


def test_the_curves_are_those_that_clients_can_use(pair: Pair) -> None:
    server = server_context(ServerTls((pair,), curves=("P-384", "P-521")))
    willing, unwilling = client(), client()
    willing.set_ecdh_curve("secp384r1")
    unwilling.set_ecdh_curve("prime256v1")
    assert Connection(server, willing).client.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        Connection(server, unwilling)


def test_unknown_curves_are_refused(pair: Pair) -> None:
    with pytest.raises(TlsError, match=r"knows no curve P-257$") as caught:
        server_context(ServerTls((pair,), curves=("X25519", "P-257")))
    assert caught.value.part == "curves"
    with pytest.raises(TlsError, match="one of the curves P-256, secp256r1 is named twice"):
        server_context(ServerTls((pair,), curves=("P-256", "secp256r1")))


def test_keys_of_another_length_are_refused(pair: Pair) -> None:
    opened, context = door(), server_context(ServerTls((pair,)))
    assert opened is not None
    assert opened.set_ticket_keys(context, bytes(TICKET_KEY_BYTES))
    assert not opened.set_ticket_keys(context, bytes(48))


def test_nothing_is_kept_for_clients_without_tickets(pair: Pair) -> None:
    """Sessions by their ids (RFC 5246, 7.3) would be kept by the thousand, each on one worker alone."""
    server, without = server_context(ServerTls((pair,))), client(ssl.TLSVersion.TLSv1_2)
    without.options |= ssl.OP_NO_TICKET
    first = Connection(server, without)
    assert server.session_stats()["number"] == 0
    assert not Connection(server, without, first.client.session).client.session_reused


def test_an_unknown_python_is_left_alone_and_the_log_says_so(
    closed: None, caplog: pytest.LogCaptureFixture, pair: Pair
) -> None:
    """TLS works as before; only what needs the door is refused."""
    with caplog.at_level(logging.WARNING):
        assert door() is None
        assert door() is None
    assert len(caplog.records) == 1
    assert "was never tried" in caplog.text
    assert Connection(server_context(ServerTls((pair,))), client()).client.version() == "TLSv1.3"
    with pytest.raises(TlsError, match="curves can't be set"):
        server_context(ServerTls((pair,), curves=("X25519",)))

"""Challenges of CAs on clients' connections: what is answered, and that everything else goes where it always goes."""

import ssl
from typing import Any

import pytest

from mcproxy.net.failure_words import client_tls_failure
from mcproxy.net.tls import ALPN_CHALLENGE, Pair, ServerTls, alert_of, challenge_context, server_context
from mcproxy.net.told import Pending
from mcproxy.wire.http2 import Limits, engine_type
from mcproxy.worker.challenges import Challenges
from mcproxy.worker.live.listener import LiveListener
from tests.support.challenges import answer_of, pending
from tests.support.fake_worker import FakeWorker
from tests.support.tls import client_context, client_hello

BACKEND = "192.0.2.7:443"
PATH = "/.well-known/acme-challenge/"
TEXT = "token.thumbprint"


def hello(name: str | None, *protocols: str) -> bytes:
    context = client_context()
    context.set_alpn_protocols(protocols)
    return client_hello(name, context)


def get(path: str, method: str = "GET", host: str = "a.example") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


def answering(worker: FakeWorker, challenges: Pending, **keys: Any) -> LiveListener:
    """Return a listener with a route for a.example, and one for all others below example, to one backend."""
    clear = keys.get("protocol") == "http"
    mode = "l7" if clear else "l4"
    routes = [worker.route(name, BACKEND, mode=mode, clear=clear) for name in ("a.example", "*.example")]
    listener = worker.listener(*routes, **keys)
    listener.answer(Challenges(challenges))
    return listener


# tls-alpn-01


@pytest.mark.parametrize("name", ["a.example", "b.example", "other.test"])
def test_a_ca_that_comes_for_a_pending_name_gets_its_handshake(worker: FakeWorker, name: str) -> None:
    """Whatever the route of the name leads to, and if it has none; that was all then, and counts as no request."""
    listener = answering(worker, pending(name))
    client, _ = worker.connect(listener)
    client.sends(hello(name, ALPN_CHALLENGE))
    assert worker.wire.happened() == ["client handshake"]
    worker.wire.loop.handshake("client").succeeds(ALPN_CHALLENGE)
    worker.wire.settle()
    assert "client closed" in worker.wire.happened()
    assert not worker.registry.connections
    assert (worker.log.requests, worker.log.connections) == ([], [])


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("a.example", ()),
        ("a.example", ("h2", "http/1.1")),
        ("a.example", (ALPN_CHALLENGE, "http/1.1")),
        ("a.example", ("http/1.1", ALPN_CHALLENGE)),
        ("b.example", (ALPN_CHALLENGE,)),
    ],
)
def test_everybody_else_is_led_as_ever(worker: FakeWorker, name: str, protocols: tuple[str, ...]) -> None:
    """A backend may speak ACME itself, and browsers come for a name while it is proven."""
    listener = answering(worker, pending("a.example"))
    client, _ = worker.connect(listener)
    client.sends(first := hello(name, *protocols))
    worker.wire.backend(BACKEND).accepts()
    assert worker.wire.backend(BACKEND).takes() == first


def test_a_name_that_is_proven_is_led_as_ever(worker: FakeWorker) -> None:
    """As soon as its order is over."""
    listener = answering(worker, pending("a.example"))
    listener.answer(Challenges(Pending()))
    client, _ = worker.connect(listener)
    client.sends(hello("a.example", ALPN_CHALLENGE))
    assert worker.wire.happened() == [f"dial {BACKEND}"]


def test_a_pending_name_without_a_route_is_refused_to_others(worker: FakeWorker) -> None:
    """Nothing but the CA's handshake is served there."""
    listener = answering(worker, pending("other.test"))
    client, _ = worker.connect(listener)
    client.sends(hello("other.test", "h2"))
    assert "client reset" in worker.wire.happened()
    assert not worker.registry.connections


def test_a_ca_sees_the_proof() -> None:
    """The certificate of the challenge, by the protocol of challenges (RFC 8737 section 3)."""
    client = client_context()
    client.set_alpn_protocols([ALPN_CHALLENGE])
    certificate, key = answer_of("a.example")
    shown, alpn = handshake(challenge_context(Pair(certificate, key)), client, "a.example")
    assert (shown, alpn) == (ssl.PEM_cert_to_DER_cert(certificate.decode()), ALPN_CHALLENGE)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[bytes | None, str | None]:
    """Shake hands through memory; return what the client got to see, and the protocol. Raises what the server does."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(10):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return theirs.getpeercert(binary_form=True), theirs.selected_alpn_protocol()


# A route without a certificate


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_route_without_a_certificate_refuses(version: ssl.TLSVersion) -> None:
    """By the alert that says that its name is not known here, and with a reason of its own."""
    client = client_context(version=version)
    with pytest.raises(ssl.SSLError) as refused:
        handshake(server_context(ServerTls(())), client, "a.example")
    failure, cause = client_tls_failure(refused.value)
    assert (failure.reason, cause) == ("no_certificate", "no_certificate")
    assert alert_of(refused.value)[-2:] == bytes((2, 112))  # fatal, unrecognized_name


# http-01


def requested(worker: FakeWorker, listener: LiveListener, *requests: bytes) -> bytes:
    worker.connect(listener, sent=b"".join(requests))
    return worker.wire.peer("client").takes()


@pytest.mark.parametrize("host", ["a.example", "b.example", "other.test", "192.0.2.100"])
def test_a_pending_token_is_answered(worker: FakeWorker, host: str) -> None:
    """Whatever host is named, with a route or without."""
    listener = answering(worker, pending(tok=TEXT), protocol="http")
    head, _, body = requested(worker, listener, get(f"{PATH}tok", host=host)).partition(b"\r\n\r\n")
    assert (head.splitlines()[0], body) == (b"HTTP/1.1 200 OK", TEXT.encode())
    assert worker.pool.acquired == []
    ((origin, _, status, _),) = worker.log.requests
    assert (origin.route, status) == ("", 200)


def test_head_is_answered_without_the_text(worker: FakeWorker) -> None:
    """As RFC 9110 section 9.3.2 has it."""
    listener = answering(worker, pending(tok=TEXT), protocol="http")
    told = requested(worker, listener, get(f"{PATH}tok", "HEAD"))
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert told.endswith(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(TEXT) in told


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(f"{PATH}other"),
        get(PATH),
        get(f"{PATH}tok/"),
        get(f"/x{PATH}tok"),
        get(f"{PATH}../acme-challenge/tok"),
        get("/"),
        get(f"{PATH}tok", "POST"),
    ],
)
def test_other_requests_go_to_their_route(worker: FakeWorker, request_bytes: bytes) -> None:
    """A backend may have tokens of its own."""
    listener = answering(worker, pending(tok=TEXT), protocol="http")
    requested(worker, listener, request_bytes)
    assert len(worker.pool.acquired) == 1


def test_an_open_connection_answers_from_then_on(worker: FakeWorker) -> None:
    """Though its requests have found their route before, and as long as the token is pending."""
    listener = answering(worker, Pending(), protocol="http")
    worker.connect(listener, sent=get(f"{PATH}tok", host="c.test"))
    peer = worker.wire.peer("client")
    statuses = [peer.takes()[9:12]]
    for challenges in (pending(tok=TEXT), Pending()):
        listener.answer(Challenges(challenges))
        for _ in range(2):
            peer.sends(get(f"{PATH}tok", host="c.test"))
            statuses.append(peer.takes()[9:12])
    assert statuses == [b"421", b"200", b"200", b"421", b"421"]


def test_a_pending_token_is_answered_over_http2(worker: FakeWorker) -> None:
    """CAs ask by HTTP/1.1, and need not."""
    client = engine_type("h2")(client=True, limits=Limits(), connect_protocol=False)
    head = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.example")]
    client.open([*head, (b":path", f"{PATH}tok?x=1".encode())], end=True)
    listener = answering(worker, pending(tok=TEXT), protocol="http")
    assert TEXT.encode() in requested(worker, listener, client.output())
    assert worker.pool.acquired == []


def test_over_tls_no_token_is_answered(worker: FakeWorker) -> None:
    """CAs come to port 80 without it (RFC 8555 section 8.3)."""
    listener = answering(worker, pending(tok=TEXT))
    assert listener.challenges is None
    assert listener.entrance is listener.routes

"""What requests are called by, and what the log tells of those that are refused."""

import re
from typing import Any

import msgspec
import pytest

from mcproxy.policy.headers import RequestHead, to_http1
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.http.h2_session import H2Session
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide
from tests.support.fake_h2 import EngineName, H2End
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import HTTP, FakeWorker
from tests.support.rows import each_row

NAME = b"x-request-id"


class Client:
    """A client that has connected over TLS.

    Attributes:
        worker: what it leads to.
        peer: its end of the connection.
    """

    def __init__(self, engine: EngineName | None, *, proxied: bool = False, **limits: float) -> None:
        http = msgspec.structs.replace(HTTP, engine=engine or "ngh2", **limits)
        self.bucket = 0
        self.worker = FakeWorker(http=http)
        route = self.worker.route("a.example", "192.0.2.1:80", mode="l7")
        arrival = self.worker.arrival(self.worker.listener(route), route, "a.example")
        arrival = msgspec.structs.replace(arrival, proxied=proxied)
        kind = H2Session if engine else H1Session
        self.session = kind(self.worker.sessions, self, arrival)
        self.peer: TransportPeer = self.worker.wire.attach(self.session, "client", tls=True)
        self.h2 = H2End(self.peer, client=True, engine=engine, stream_window=65_536) if engine else None
        if self.h2 is not None:
            self.h2.talk()

    def on_session_end(self) -> None: ...

    def on_deadline(self, now: float) -> float | None:
        at = self.session.check(now)
        return None if at == float("inf") else at

    def on_fault(self) -> None:
        raise AssertionError

    def asks(self, *headers: tuple[bytes, bytes]) -> Exchange:
        """Send a request with further fields; return what waits for a backend."""
        if self.h2 is not None:
            pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
            self.h2.asks([*pseudo, *headers], end=True)
            self.h2.talk()
        else:
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self.peer.sends(b"GET / HTTP/1.1\r\nHost: a.example\r\n%b\r\n" % lines)
        return self.worker.pool.acquired.pop()

    @property
    def line(self) -> dict[str, Any]:
        """What the log was told last."""
        self.worker.wire.settle()
        return self.worker.log.told[-1]


def ids(exchange: Exchange) -> list[bytes]:
    """Return the ids that a backend gets, in any spelling that it may read as one."""
    fields = to_http1(exchange.head, exchange.forwarding)
    return [value for name, value in fields if name.lower().replace(b"_", b"-").replace(b".", b"-") == NAME]


VERSIONS = [None, "ngh2", "h2"]


@pytest.mark.parametrize("engine", VERSIONS)
def test_requests_get_an_id_that_nobody_can_choose(engine: EngineName | None) -> None:
    """Each another one, whatever the client says; the log tells it."""
    client = Client(engine)
    named: list[bytes] = []
    for headers in ([], [(NAME, b"mine")], [(b"x_request_id", b"mine")], [(b"x.request.id", b"mine"), (NAME, b"two")]):
        exchange = client.asks(*headers)
        (request_id,) = ids(exchange)
        assert re.fullmatch(rb"[0-9a-f]{16}", request_id)
        named.append(request_id)
        exchange.attach(FakeSide(), 1)
        exchange.on_response(204, [], client.worker.wire.now, end=True)
        assert client.line["request_id"] == request_id
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("engine", VERSIONS)
def test_a_trusted_proxy_may_name_a_request(engine: EngineName | None) -> None:
    """With one id that is one; nothing else that a backend could read as an id passes."""
    client = Client(engine, proxied=True)
    exchange = client.asks((NAME, b"edge-1.0:42"), (b"x_request_id", b"other"))
    assert ids(exchange) == [b"edge-1.0:42"]
    exchange.on_client_gone("client_reset")
    assert client.line["request_id"] == b"edge-1.0:42"


@each_row("engine", VERSIONS)
@each_row("values", [(b"a b",), (b"x" * 129,), (b"a", b"b"), (b"\xc3\xa9",)])
def test_what_is_no_id_is_replaced(engine: EngineName | None, values: tuple[bytes, ...]) -> None:
    """Also where a trusted proxy says it."""
    exchange = Client(engine, proxied=True).asks(*((NAME, value) for value in values))
    (request_id,) = ids(exchange)
    assert re.fullmatch(rb"[0-9a-f]{16}", request_id)


def known(head: RequestHead | None) -> tuple[bytes, bytes, bytes]:
    assert head is not None
    return head.method, head.authority, head.path


@each_row(
    ("request_bytes", "status", "reason", "told"),
    [
        (b"GET /a\r\n\r\n", 400, "bad_request_line", (b"GET", b"", b"/a")),
        (b"GET /a HTTP/2.5\r\nHost: a.example\r\n\r\n", 505, "bad_version", (b"GET", b"a.example", b"/a")),
        (b"CONNECT a.example:443 HTTP/1.1\r\nHost: b\r\n\r\n", 501, "connect", (b"CONNECT", b"b", b"a.example:443")),
        (b"POST /a HTTP/1.1\r\nHost: a.example\r\nHost: b\r\n\r\n", 400, "bad_host", (b"POST", b"b", b"/a")),
        (b"GET /a HTTP/1.1\r\nHost: a.example\r\nX y\r\n\r\n", 400, "bad_header", (b"GET", b"a.example", b"/a")),
        (b"GET /a HTTP/1.1\nHost: a.example\nAuthorization: s3cret\n\n", 400, "bad_request_line", (b"GET", b"a.example", b"/a")),
        (b"GET /a\rAuthorization: s3cret\r\n\r\n", 400, "bad_request_line", (b"GET", b"", b"/a")),
        (b"POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_chunk", (b"POST", b"a.example", b"/a")),
        (b"GET /a HTTP/1.1\r\nHost: a.example\r\nContent.Length: 3\r\n\r\n", 400, "ambiguous_framing", (b"GET", b"a.example", b"/a")),
        (b"\x00\x01\x02\r\n\r\n", 400, "bad_request_line", (b"\x00\x01\x02", b"", b"")),
    ],
)  # fmt: skip
def test_a_refused_request_of_http1_is_told_as_far_as_it_is_known(
    request_bytes: bytes, status: int, reason: str, told: tuple[bytes, bytes, bytes]
) -> None:
    """Method, authority and path, and what is wrong; nothing that stands behind them."""
    client = Client(None)
    client.peer.sends(request_bytes)
    line = client.line
    assert (line["status"], line["reason"]) == (status, reason)
    assert known(line["head"]) == told
    assert b"s3cret" not in b"".join(known(line["head"]))
    assert line["detail"]


def test_a_head_that_does_not_come_in_full_is_told_as_far_as_it_came() -> None:
    """When its time is over."""
    client = Client(None, header_timeout=5.0)
    client.peer.sends(b"GET /slow HTTP/1.1\r\nHost: a.example\r\nX-A: b")
    client.worker.wire.pass_time(6)
    line = client.line
    assert (line["status"], line["reason"], known(line["head"])) == (
        408,
        "header_timeout",
        (b"GET", b"a.example", b"/slow"),
    )


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_refused_request_of_http2_is_told(engine: EngineName) -> None:
    """What the engine lets pass, and no backend must get."""
    client = Client(engine)
    assert client.h2 is not None
    udp = [(b":protocol", b"connect-udp")]
    for method, more, status, reason in ((b"TRACE", [], 405, "trace"), (b"CONNECT", udp, 501, "connect")):
        fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/a"), *more]
        client.h2.asks(fields, end=True)
        client.h2.talk()
        line = client.line
        assert (line["status"], line["reason"], known(line["head"])) == (status, reason, (method, b"a.example", b"/a"))

"""Clients that are turned away: what provokes each of the reasons, and what is to be told of it."""

import base64
import contextlib
import itertools
import re
import socket
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence

import hpack
import msgspec

from tests.support.admin import client as admin_client
from tests.support.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame
from tests.support.l4 import HELLOS, reset
from tests.support.l7 import read_head
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.proxy_header import Names, v2
from tests.support.tls import client_context, client_hello

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LIMIT = 30.0


class Stage:
    """The proxy, and how its clients come.

    Attributes:
        edge: the proxy.
        admin: its admin API.
        ids: of requests that have been answered, by the client's address.
    """

    def __init__(self, edge: Proxy) -> None:
        self.edge = edge
        self.admin = admin_client(edge)
        self.ids: dict[str, str] = {}

    def connect(self, source: str, name: str, data: bytes = b"") -> socket.socket:
        sock = socket.socket()
        sock.settimeout(LIMIT)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", self.edge.port(name)))
        sock.sendall(data)
        return sock

    def is_reset(self, source: str, name: str, data: bytes = b"", *, fin: bool = False) -> bool:
        """Tell whether a client is cut off that sends something; one that is served waits."""
        with self.connect(source, name, data) as sock, contextlib.suppress(ConnectionError, ssl.SSLError):
            if fin:
                sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
        return True

    def ask(
        self, source: str, host: str, target: str = "/", *fields: str, method: str = "GET", body: bytes = b""
    ) -> str:
        """Return the head of the answer to a request."""
        lines = (f"{method} {target} HTTP/1.1", f"host: {host}", *fields, "", "")
        return self.raw(source, "\r\n".join(lines).encode() + body)

    def raw(self, source: str, request: bytes) -> str:
        with self.connect(source, "HTTP", request) as sock:
            return self.answered(source, sock)

    def answered(self, source: str, sock: socket.socket) -> str:
        head = read_head(sock).decode().lower()
        found = re.search(r"\r\nx-request-id: ([0-9a-f]{16})\r\n", head)
        if found is not None:
            self.ids[source] = found[1]
        return head


def hello(name: str | None) -> bytes:
    return client_hello(name)


Provoke = Callable[[Stage, str], object]


class Row(msgspec.Struct, frozen=True):
    """One provocation.

    Attributes:
        provoke: makes the proxy turn a client away, whose address is the second argument.
        step: that is to be told.
        line: the mark behind the line that decides it, "edit" for a runtime edit; "" for none.
        source: the address to come from, where it matters.
        told: the client's address that is told, where that is another one.
        reason: that is to be told, where it is not the name of the row.
    """

    provoke: Provoke
    step: str
    line: str = ""
    source: str = ""
    told: str = ""
    reason: str = ""


def l4(name: str | None, data: bytes = b"", *, fin: bool = False, at: str = "TLS") -> Provoke:
    return lambda stage, source: stage.is_reset(source, at, data or hello(name), fin=fin)


def http(host: str, target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> Provoke:
    return lambda stage, source: stage.ask(source, host, target, *fields, method=method, body=body)


def to_the_end(host: str) -> Provoke:
    """Return a request whose client waits for the end of the answer: one that leaves sooner may be what ends it."""

    def provoke(stage: Stage, source: str) -> None:
        with stage.connect(source, "HTTP", f"POST / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()) as sock:
            stage.answered(source, sock)
            with contextlib.suppress(ConnectionError):
                while sock.recv(1 << 16):
                    pass

    return provoke


def raw(*lines: str, body: bytes = b"") -> Provoke:
    return lambda stage, source: stage.raw(source, "\r\n".join((*lines, "", "")).encode() + body)


def held(name: str, then: Callable[[Stage, socket.socket, str], object]) -> Provoke:
    """Return what has a connection relayed, then does something, and waits for its end."""

    def provoke(stage: Stage, source: str) -> None:
        with stage.connect(source, "TLS", hello(name)) as sock, contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b"x"
            then(stage, sock, source)
            sock.recv(1)

    return provoke


def addr(stage: Stage, name: str) -> str:
    return f"127.0.0.1:{stage.edge.port(name)}"


def often(stage: Stage, source: str, name: str = "HTTP", data: bytes = b"", most: int = 200) -> None:
    """Connect until the proxy has had enough."""
    with contextlib.ExitStack() as stack:
        for _ in range(most):
            sock = stack.enter_context(stage.connect(source, name))
            with contextlib.suppress(ConnectionError):
                sock.sendall(data or b"GET / HTTP/1.1\r\nhost: ok.test\r\n\r\n")
                if sock.recv(1):
                    continue
            return
    raise AssertionError("nobody was refused")


def rated(stage: Stage, source: str) -> None:
    for _ in range(200):
        with stage.connect(source, "HTTP", b"GET / HTTP/1.1\r\nhost: ok.test\r\n\r\n") as sock:
            try:
                read_head(sock)
            except (ConnectionError, EOFError):
                return
    raise AssertionError("nobody was refused")


def crowd(stage: Stage, source: str) -> None:
    with stage.connect(source, "SMALL", b"GET") as _:
        often(stage, source, "SMALL", b"GET", 3)


def second(name: str) -> Provoke:
    """Return what a route serves once."""

    def provoke(stage: Stage, source: str) -> None:
        with stage.connect(source, "TLS", hello(name)) as first:
            assert first.recv(1) == b"x"
            stage.is_reset(source, "TLS", hello(name))

    return provoke


def repeated(host: str, *fields: str) -> Provoke:
    """Return a request that is sent twice, and served once."""

    def provoke(stage: Stage, source: str) -> None:
        stage.ask(source, host, "/", *fields)
        stage.ask(source, host, "/", *fields)

    return provoke


def proxied(data: bytes, *, fin: bool = False) -> Provoke:
    return lambda stage, source: stage.is_reset(source, "PROXY", data, fin=fin)


def tls(stage: Stage, source: str, name: str) -> None:
    """Ask for other.test over TLS, on a connection to a name."""
    with (
        stage.connect(source, "TLS") as sock,
        contextlib.suppress(ssl.SSLError, ConnectionError),
        client_context().wrap_socket(sock, server_hostname=name) as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nhost: other.test\r\n\r\n")
        stage.answered(source, secured)


def mistrust(stage: Stage, source: str) -> None:
    context = ssl.create_default_context()
    with stage.connect(source, "TLS") as sock, contextlib.suppress(ssl.SSLError):
        context.wrap_socket(sock, server_hostname="l7.test")


def leave_amid(request: bytes) -> Provoke:
    def provoke(stage: Stage, source: str) -> None:
        reset(stage.connect(source, "HTTP", request))

    return provoke


def leave_dial(stage: Stage, source: str) -> None:
    reset(stage.connect(source, "TLS", hello("slow.test")))


# HTTP/2, by frames


def literal(name: str, value: str) -> bytes:
    """Return a field as HPACK says it without tables (RFC 7541 section 6.2.2); both are shorter than 127 bytes."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


def request(
    stream: int, authority: str, path: str, *fields: tuple[str, str], method: str = "GET", ended: bool = True
) -> bytes:
    named = ((":method", method), (":scheme", "http"), (":authority", authority), (":path", path), *fields)
    return frame(HEADERS, stream, b"".join(itertools.starmap(literal, named)), END_HEADERS | ended)


def h2(*frames: bytes, settings: bytes = b"") -> Provoke:
    return lambda stage, source: talk(stage, source, [frames], settings)


def talk(
    stage: Stage, source: str, said: Sequence[Sequence[bytes]], settings: bytes = b"", most: int | None = None
) -> None:
    """Send frames on each of some connections; read until the proxy ends it, or has answered each request, or ``most`` of them."""
    with contextlib.ExitStack() as stack:
        opened = []
        for frames in said:
            data = PREFACE + frame(SETTINGS, 0, settings) + b"".join(frames)
            wanted = sum(part[3] == HEADERS for part in frames)
            opened.append((stack.enter_context(stage.connect(source, "HTTP", data)), wanted))
        for sock, wanted in opened:
            with contextlib.suppress(ConnectionError, EOFError):
                for _ in range(most or wanted):
                    finish(sock)


def finish(sock: socket.socket) -> None:
    """Read to the end of an answer, or of a stream."""
    while True:
        head = exactly(sock, 9)
        exactly(sock, int.from_bytes(head[:3], "big"))
        if head[3] == RST_STREAM or (head[3] in (DATA, HEADERS) and head[4] & END_STREAM):
            return


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def guess(stage: Stage, source: str) -> None:
    """Try more passwords at once than may wait of one client, in both workers."""
    credentials = [base64.b64encode(f"anna:{number}".encode()).decode() for number in range(90)]
    asked = [request(1, "slow-users.test", "/", ("authorization", f"Basic {each}")) for each in credentials]
    frames = [part[:8] + bytes([2 * (number % 9) + 1]) + part[9:] for number, part in enumerate(asked)]
    talk(stage, source, [frames[start : start + 9] for start in range(0, 90, 9)], most=1)


NO_WINDOW = struct.pack(">HI", 4, 0)
LONG_HELLO = HELLOS["hello_40k_three_records"]
PROXIED = v2(Names("203.0.113.8", 1000, "192.0.2.2", 443))


def grpc(stage: Stage, source: str) -> None:
    """Ask as gRPC does over HTTP/2: the error is fields alone, and the id is one of them."""
    frames = request(1, "policies.test", "/s/M", ("content-type", "application/grpc"), method="POST")
    with stage.connect(source, "HTTP", PREFACE + frame(SETTINGS) + frames) as sock:
        while True:
            head = exactly(sock, 9)
            block = exactly(sock, int.from_bytes(head[:3], "big"))
            if head[3] == HEADERS:
                break
    fields: dict[bytes, bytes] = dict(hpack.Decoder().decode(block, raw=True))
    assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"7")
    stage.ids[source] = fields[b"x-request-id"].decode()


def leave_upstream(stage: Stage) -> None:
    """Take the endpoint out of its upstream that the connection is at, after another one has come in."""
    (there,) = (each.address for each in stage.admin.list_endpoints("moved").endpoints)
    stage.admin.put_resource("endpoint", ["moved", f"127.0.0.1:{free_port()}"], {})
    stage.admin.remove_resource("endpoint", ["moved", there])


ROWS: dict[str, Row] = {
    # connections
    "ip": Row(l4("hold.test"), "firewall", "ip", "127.200.0.1"),
    "cidr": Row(l4("hold.test"), "firewall", "cidr", "127.201.0.1"),
    "country": Row(l4("hold.test"), "firewall", "country", "127.202.0.1"),
    "not_allowed": Row(l4("hold.test"), "firewall", "not_allowed", "127.203.0.1"),
    "rate_limit": Row(rated, "rate_limit", "rate_limit"),
    "connections_per_client": Row(often, "connections", "connections_per_client"),
    "limit": Row(crowd, "limit", "limit"),
    "not_tls": Row(l4(None, HELLOS["ssh_banner"]), "hello", "tls"),
    "plain_http": Row(l4(None, b"GET / HTTP/1.1\r\nhost: l7.test\r\n\r\n"), "hello", "tls"),
    "client_certificate": Row(
        lambda stage, source: tls(stage, source, "certified.test"), "client_certificate", "client_ca"
    ),
    "no_certificate": Row(lambda stage, source: tls(stage, source, "ordered.test"), "tls", "certificate"),
    "unexpected_tls": Row(l4("hold.test", at="HTTP"), "hello", "http"),
    "bad_hello": Row(l4(None, HELLOS["sni_duplicate_extension"]), "hello", "tls"),
    "hello_too_large": Row(l4(None, LONG_HELLO), "hello", "tls"),
    "hello_truncated": Row(l4(None, hello("hold.test")[:99], fin=True), "hello", "tls"),
    "hello_timeout": Row(l4(None, hello("hold.test")[:99]), "hello", "hello_timeout"),
    "unexpected_proxy_header": Row(l4(None, PROXIED + hello("hold.test")), "hello", "tls"),
    "no_sni": Row(l4(None), "route", "tls"),
    "no_route": Row(l4("nowhere.test"), "route", "tls"),
    "untrusted_proxy": Row(proxied(PROXIED), "proxy_header", "trusted_proxies", "127.20.0.1"),
    "no_proxy_header": Row(proxied(b"GET / HTTP/1.1\r\n\r\n"), "proxy_header", "proxy"),
    "bad_proxy_header": Row(proxied(b"PROXY TCP4 nobody nowhere 1 2\r\n"), "proxy_header", "proxy"),
    "proxy_header_too_large": Row(proxied(PROXIED[:14] + b"\x0f\xff"), "proxy_header", "proxy_header_bytes"),
    "proxy_header_timeout": Row(proxied(PROXIED[:9]), "proxy_header", "proxy_header_timeout"),
    "proxy_header_truncated": Row(proxied(PROXIED[:9], fin=True), "proxy_header", "proxy"),
    "client_gone": Row(leave_dial, "client"),
    "tls_failed": Row(mistrust, "tls", "tls_cert"),
    "tls_timeout": Row(l4("l7.test"), "tls", "tls_timeout"),
    # connections of l4 routes
    "filter_network": Row(l4("network.test"), "allow", "filter_network"),
    "filter_country": Row(http("country.test"), "allow", "filter_country"),
    "filter_rate": Row(second("rate.test"), "rate", "filter_rate"),
    "backend_refused": Row(l4("refused.test"), "backend", "backend_refused"),
    "backend_dns": Row(l4("dns.test"), "backend", "backend_dns"),
    "backend_timeout": Row(l4("timeout.test"), "backend", "backend_timeout"),
    "backend_no_answer": Row(l4("close.test"), "backend", "backend_no_answer"),
    "backend_broke_off": Row(
        held("breaks.test", lambda _, sock, __: sock.sendall(b"x")), "backend", "backend_broke_off"
    ),
    "upstream_down": Row(l4("down.test"), "backend", "upstream_down"),
    "upstream_full": Row(second("full.test"), "backend", "upstream_full"),
    "idle_timeout": Row(held("idle.test", lambda *_: None), "time_limit", "idle_timeout"),
    "half_closed_timeout": Row(
        held("hold.test", lambda _, sock, __: sock.shutdown(socket.SHUT_WR)), "time_limit", "half_closed_timeout"
    ),
    "closed": Row(held("hold.test", lambda stage, _, source: stage.admin.close_connections(client=source)), "end"),
    "drained": Row(
        held("drain.test", lambda stage, *_: stage.admin.remove_route(addr(stage, "TLS"), "drain.test")),
        "end",
        "drained",
    ),
    "route_removed": Row(
        held("gone.test", lambda stage, *_: stage.admin.remove_route(addr(stage, "TLS"), "gone.test")),
        "end",
        "edit",
    ),
    "endpoint_removed": Row(
        held("moved.test", lambda stage, *_: leave_upstream(stage)),
        "end",
        "endpoint_removed",
    ),
    # requests
    "misdirected": Row(lambda stage, source: tls(stage, source, "l7.test"), "authority", "other"),
    "no_case": Row(http("cases.test", "/elsewhere"), "action", "no_case"),
    "ambiguous_path": Row(http("cases.test", "/a;x/../b"), "case", "ambiguous_path"),
    "body_too_large": Row(http("body.test", "/", "content-length: 40000", method="POST"), "body", "body_too_large"),
    "block_user_agent": Row(http("policies.test", "/", "user-agent: a BadBot"), "policy", "block_user_agent"),
    "require_header": Row(http("policies.test", "/", "x-key: 1", "x-env: test"), "policy", "require_header"),
    "basic_auth": Row(http("users.test", "/", "authorization: Basic eDp5"), "auth", "basic_auth"),
    "basic_auth_busy": Row(guess, "auth", "basic_auth_busy"),
    "forward_auth": Row(http("asked.test"), "auth", "forward_auth"),
    "forward_auth_failed": Row(http("unasked.test"), "auth", "forward_auth_failed"),
    "backend_tls": Row(http("tls.test"), "backend", "backend_tls"),
    "backend_certificate": Row(http("certificate.test"), "backend", "backend_certificate"),
    "backend_no_stream": Row(http("no-stream.test"), "backend", "backend_no_stream"),
    "backend_error": Row(to_the_end("cut.test"), "backend", "backend_error"),
    "backend_reset": Row(http("reset.test"), "backend", "backend_reset"),
    "bad_response": Row(http("nonsense.test"), "backend", "bad_response"),
    "response_header_bytes": Row(http("long.test"), "backend", "response_header_bytes"),
    "response_header_count": Row(http("many.test"), "backend", "response_header_count"),
    "response_timeout": Row(http("silent.test"), "time_limit", "response_timeout"),
    "request_timeout": Row(http("late.test", "/", "content-length: 9", method="POST", body=b"x"), "time_limit", "late"),
    "client_reset": Row(leave_amid(b"GET / HTTP/1.1\r\nhost: waits.test\r\n\r\n"), "client"),
    "backend_waiting": Row(h2(*(request(2 * n + 1, "busy.test", "/") for n in range(5))), "limits", "backend_waiting"),
    "backend_connections": Row(
        h2(request(1, "endless.test", "/"), request(3, "endless.test", "/"), settings=NO_WINDOW),
        "limits",
        "backend_connections",
    ),
    "stalled_window_timeout": Row(
        h2(request(1, "stalled.test", "/"), settings=NO_WINDOW), "limits", "stalled_window_timeout"
    ),
    "concurrent_streams": Row(
        h2(*(request(2 * n + 1, "held.test", "/", ended=False) for n in range(300))),
        "limits",
        "concurrent_streams",
    ),
    "header_bytes": Row(http("ok.test", "/", "x-long: " + "x" * 9000), "limits", "header_bytes"),
    "header_count": Row(http("ok.test", "/", *(f"x-{n}: 1" for n in range(60))), "limits", "header_count"),
    "header_timeout": Row(
        lambda stage, source: stage.raw(source, b"GET / HTTP/1.1\r\nhost: ok"), "limits", "header_timeout"
    ),
    "bad_request_line": Row(raw("GET  / HTTP/1.1", "host: ok.test"), "request"),
    "bad_version": Row(raw("GET / HTTP/3.1", "host: ok.test"), "request"),
    "bad_target": Row(raw("GET http://other.test/ HTTP/1.1", "host: ok.test"), "request"),
    "bad_path": Row(h2(request(1, "ok.test", "/a#b")), "request"),
    "bad_request": Row(h2(request(1, "ok.test", "/", ("X-Upper", "1"))), "request"),
    "bad_host": Row(raw("GET / HTTP/1.1", "host: ok.test", "host: ok.test"), "request"),
    "bad_authority": Row(h2(request(1, "a:b", "/")), "request"),
    "bad_header": Row(raw("GET / HTTP/1.1", "host: ok.test", "x y: 1"), "request"),
    "bad_length": Row(raw("POST / HTTP/1.1", "host: ok.test", "content-length: 10000000000000000000"), "request"),
    "bad_transfer_encoding": Row(raw("POST / HTTP/1.0", "host: ok.test", "transfer-encoding: chunked"), "request"),
    "bad_chunk": Row(raw("POST / HTTP/1.1", "host: body.test", "transfer-encoding: chunked", body=b"x\r\n"), "request"),
    "bad_trailers": Row(
        raw("POST / HTTP/1.1", "host: body.test", "transfer-encoding: chunked", body=b"0\r\ncontent_length: 1\r\n\r\n"),
        "request",
    ),
    "bad_upgrade": Row(
        raw("GET / HTTP/1.1", "host: ok.test", "connection: upgrade", "upgrade: websocket", "sec-websocket-key: x"),
        "request",
    ),
    "bad_expectation": Row(raw("POST / HTTP/1.1", "host: ok.test", "expect: more", "content-length: 1"), "request"),
    "ambiguous_framing": Row(raw("POST / HTTP/1.1", "host: ok.test", "content_length: 1"), "request"),
    "connect": Row(raw("CONNECT ok.test:443 HTTP/1.1", "host: ok.test:443"), "request"),
    "trace": Row(raw("TRACE / HTTP/1.1", "host: ok.test"), "request"),
}


def over_ipv6(stage: Stage, source: str) -> None:
    with socket.create_connection(("::1", stage.edge.port("V6")), timeout=LIMIT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: nowhere.test\r\n\r\n")
        stage.answered(source, sock)


FURTHER: Mapping[str, Row] = {
    "IPv6": Row(over_ipv6, "route", "v6", told="::1", reason="no_route"),
    "the user agent by a filter": Row(
        http("agents.test", "/", "user-agent: BadBot"), "allow", "agents", reason="block_user_agent"
    ),
    "a header by a filter": Row(http("agents.test", "/"), "allow", "headers", reason="require_header"),
    "a rate by a filter": Row(repeated("rated.test"), "rate", "rate", reason="filter_rate"),
    "a network by a case": Row(
        http("cased.test", "/admin/x?v=2", "x-beta: 1"), "allow", "filter_network", reason="filter_network"
    ),
    "a rewritten path": Row(http("rewritten.test", "/in/%2e%2e/x"), "rewrite", "rewrite", reason="ambiguous_path"),
    "a body without a length": Row(
        raw("POST / HTTP/1.1", "host: body.test", "transfer-encoding: chunked", body=b"9c40\r\n" + bytes(40_000)),
        "body",
        "body_too_large",
        reason="body_too_large",
    ),
    "gRPC": Row(grpc, "policy", "no_key", reason="require_header"),
    "whom a PROXY header names": Row(
        proxied(PROXIED + hello("nowhere.test")), "route", "proxy", told="203.0.113.8", reason="no_route"
    ),
    "whom a header names": Row(
        http("office.test", "/", "x-forwarded-for: 203.0.113.9"),
        "allow",
        "filter_network",
        told="203.0.113.9",
        reason="filter_network",
    ),
}
"""Other ways to some of the reasons: each stage of filters, another version of HTTP, and clients that others name."""

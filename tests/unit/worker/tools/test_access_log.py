"""The lines of the access log, and what becomes of them when the file takes no more."""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from mcproxy.net import line_file
from mcproxy.net.line_file import MAX_LINE
from mcproxy.net.loop.poller import Poller
from mcproxy.net.memory.shared_memory import PROCESS_LOG_LINES_DROPPED
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.worker.tools.access_log import AccessLog, ConnectionLine, client_text, printable
from mcproxy.worker.tools.line_shape import Origin
from mcproxy.worker.tools.request_ids import trace_id
from tests.support.hand_loop import HandLoop
from tests.support.rows import each_row

ORIGIN = Origin(
    ":8443",
    "*.example.com",
    "192.0.2.1:55555",
    "app.example.com",
    "l7",
    "h2",
    "TLSv1.3",
    "TLS_AES_256_GCM_SHA384",
)
TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"


class Clock:
    """Stands in for the poller."""

    now = 1.0


class Bench:
    """A log and its file."""

    def __init__(self, fd: int) -> None:
        self.loop = HandLoop()
        self.clock = Clock()
        self.words = memoryview(bytearray(64 * 8)).cast("Q")
        self.log = AccessLog(self.loop.as_loop(), cast("Poller", self.clock), self.words)
        self.log.turn_to(fd)

    def request(self, path: bytes = b"/", method: bytes = b"GET", headers: Headers | None = None) -> None:
        head = RequestHead(method, b"app.example.com", path, headers or [])
        more = (b"0123456789abcdef", "in \x1bwords", "api", "10.0.0.5:80", 2, "14", "GET /a/*", "office")
        self.log.request(ORIGIN, head, 200, 3, 1024, 0.0001, 0.0, 0.0023, 0.0024999999, "complete", *more)

    @property
    def dropped(self) -> int:
        return self.words[PROCESS_LOG_LINES_DROPPED]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def bench(path: Path) -> Iterator[Bench]:
    made = Bench(line_file.open_file(str(path)))
    yield made
    made.log.close()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_a_request_is_told_in_one_line(bench: Bench, path: Path) -> None:
    """Every member, in the same order always; of its fields no more than these, of its path no query."""
    secret: Headers = [(b"authorization", b"s3cret"), (b"cookie", b"s3cret"), (b"user-agent", b"curl/8")]
    bench.request(b"/a/b?token=s3cret", b"POST", [*secret, (b"traceparent", b"00-%b-00f067aa0ba902b7-01" % TRACE)])
    before = datetime.now(UTC)
    bench.log.flush()
    assert "s3cret" not in path.read_text(encoding="ascii")
    (line,) = lines(path)
    time = line.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(time))
    assert abs((before - datetime.fromisoformat(str(time))).total_seconds()) < 60
    assert list(line.items()) == [
        *list(ORIGIN._asdict().items())[:6],
        ("method", "POST"),
        ("authority", "app.example.com"),
        ("path", "/a/b"),
        ("user_agent", "curl/8"),
        ("status", 200),
        ("received", 3),
        ("sent", 1024),
        ("dial", 0.0001),
        ("handshake", 0.0),
        ("first_byte", 0.0023),
        ("total", 0.002499),
        ("reason", "complete"),
        ("trace_id", TRACE.decode()),
        ("id", "0123456789abcdef"),
        ("detail", "in \x1bwords"),
        ("upstream", "api"),
        ("endpoint", "10.0.0.5:80"),
        ("tries", 2),
        ("grpc_status", "14"),
        ("tls_version", "TLSv1.3"),
        ("tls_cipher", "TLS_AES_256_GCM_SHA384"),
        ("case", "GET /a/*"),
        ("filter", "office"),
        ("client_cert", ""),
    ]


def test_a_connection_is_told_in_one_line(bench: Bench, path: Path) -> None:
    """What belongs to requests is left out."""
    origin = {"listener": ":8443", "route": "*.example.com", "client": "192.0.2.1:55555", "sni": "app.example.com"}
    told = {"received": 500, "sent": 10**12, "dial": 0.25, "total": 86_400.5, "reason": "client_closed"}
    bench.log.connection(
        ConnectionLine(
            listener=":8443",
            route="*.example.com",
            client="192.0.2.1:55555",
            sni="app.example.com",
            mode="l4",
            received=500,
            sent=10**12,
            dial=0.25,
            total=86_400.5000004,
            reason="client_closed",
            upstream="db",
            endpoint="10.0.0.5:443",
            tries=1,
        )
    )
    bench.log.flush()
    (line,) = lines(path)
    assert next(iter(line)) == "time"
    del line["time"]
    more = {"detail": "", "upstream": "db", "endpoint": "10.0.0.5:443", "tries": 1}
    assert list(line.items()) == list({**origin, "mode": "l4", "protocol": "tls", **told, **more}.items())


def test_a_refused_connection_names_no_route(bench: Bench, path: Path) -> None:
    """What is not known of it is empty, or 0."""
    bench.log.connection(ConnectionLine(listener=":8443", client="192.0.2.1:55555", reason="limit"))
    bench.log.flush()
    (line,) = lines(path)
    del line["time"]
    empty = dict.fromkeys(("route", "sni", "mode", "protocol", "detail", "upstream", "endpoint"), "")
    zero = dict.fromkeys(("received", "sent", "dial", "total", "tries"), 0)
    assert line == {**empty, **zero, "listener": ":8443", "client": "192.0.2.1:55555", "reason": "limit"}


def test_a_log_without_a_file_writes_nothing_and_may_get_one_again(bench: Bench, path: Path) -> None:
    """What was told before it was closed is in the file; nothing of it comes again in the next one."""
    is_open = [bench.log.is_open]
    bench.request(b"/before")
    bench.log.close()
    is_open.append(bench.log.is_open)
    assert [line["path"] for line in lines(path)] == ["/before"]
    bench.loop.pass_time(1)
    bench.log.turn_to(line_file.open_file(str(path)))
    is_open.append(bench.log.is_open)
    bench.request(b"/after")
    bench.loop.pass_time(1)
    assert is_open == [True, False, True]
    assert [line["path"] for line in lines(path)] == ["/before", "/after"]


@pytest.mark.parametrize(
    "hostile",
    [
        b'"}\n{"time":"2026',
        b"\x00\x01\x1b[2J\x7f\x9b31m",
        b"\\u0022 \\n \\",
        "\u2028\u202e\U0001f600".encode(),
        b"\xff\xfe" * 5000,
        b'"' * 5000,
        b"\\" * 5000,
        b"\n" * 5000,
        b"A" * 70_000,
    ],
)
def test_nothing_a_client_sends_ends_a_line_or_reaches_a_terminal(bench: Bench, path: Path, hostile: bytes) -> None:
    """Lines stay whole, ASCII, printable, and short enough for a pipe; what is cut is cut, not lost."""
    head = RequestHead(hostile, hostile, b"/" + hostile, [(b"user-agent", hostile), (b"traceparent", hostile)])
    longest = ORIGIN._replace(listener=f"[{':'.join(['ffff'] * 8)}]:65535", route="r" * 253, sni="s" * 253)
    for _ in range(2):
        bench.log.request(
            longest,
            head,
            0,
            2**63,
            2**63,
            *(1e9 / 7,) * 4,
            reason="stalled_window_timeout",
            request_id=b"i" * 128,
            detail=hostile.decode("latin-1"),
            endpoint=f"unix:/{'p' * 106}",
            tries=999,
            grpc_status="other",
        )
    bench.request()
    bench.log.flush()
    raw = path.read_bytes()
    assert re.fullmatch(rb"[ -~\n]*", raw)
    assert raw.count(b"\n") == 3
    assert max(map(len, raw.splitlines(keepends=True))) <= MAX_LINE
    first, again, last = lines(path)
    assert first == again
    for key in ("method", "authority", "path", "user_agent"):
        assert str(first[key]).lstrip("/").startswith(hostile[:1].decode("ascii", "backslashreplace"))
    assert first["trace_id"] == ""
    assert last["path"] == "/"


@each_row(
    ("value", "found"),
    [
        (b"00-%b-00f067aa0ba902b7-01", True),
        (b"00-%b-00f067aa0ba902b7-00", True),
        (b"cc-%b-00f067aa0ba902b7-01-what the future will bring", True),
        (b"cc-%b-00f067aa0ba902b7-01", True),
        (b"00-%b-00f067aa0ba902b7-01-more", False),
        (b"cc-%b-00f067aa0ba902b7-01.more", False),
        (b"ff-%b-00f067aa0ba902b7-01", False),
        (b"00-%b-0000000000000000-01", False),
        (b"00-%b-00F067AA0BA902B7-01", False),
        (b" 00-%b-00f067aa0ba902b7-01", False),
        (b"%b", False),
    ],
)
def test_a_trace_id_is_taken_only_from_a_whole_traceparent(value: bytes, *, found: bool) -> None:
    """W3C Trace Context section 3.2: versions, lengths, lower case, nothing of zeros only."""
    assert trace_id(value % TRACE) == (TRACE.decode() if found else "")
    assert trace_id(value % (b"0" * 32)) == ""


def test_addresses_are_told_with_their_port() -> None:
    """An IPv4-mapped one as the IPv4 address it is, an IPv6 one in brackets."""
    assert client_text((b"\x01\x02\x03\x04", 5)) == "1.2.3.4:5"
    assert client_text((bytes(10) + b"\xff\xff\x01\x02\x03\x04", 5)) == "1.2.3.4:5"
    assert client_text((bytes(15) + b"\x01", 5)) == "[::1]:5"


def test_texts_fit_their_limit_when_they_are_written() -> None:
    """Escaping makes them longer."""
    for value in (b"a" * 99, b'"' * 99, b"\x00" * 99, b"\xff" * 99, b"a" * 30 + b"\n"):
        assert len(json.dumps(printable(value, 32))[1:-1]) <= 32


def test_lines_wait_for_others_but_not_for_long(bench: Bench, path: Path) -> None:
    """A timer writes what has come within a tenth of a second; a hundred lines are written at once."""
    bench.request()
    bench.request()
    assert lines(path) == []
    bench.loop.pass_time(0.2)
    assert len(lines(path)) == 2
    for _ in range(100):
        bench.request()
    assert len(lines(path)) == 102


def full_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"-" * 4095 + b"\n")
    except BlockingIOError:
        os.set_blocking(writer, True)
        return reader, writer


def read_until(reader: int, bench: Bench, enough: Callable[[bytes], bool]) -> bytes:
    held = b""
    os.set_blocking(reader, False)
    while not enough(held):
        try:
            held += os.read(reader, 1 << 16)
        except BlockingIOError:
            bench.loop.pass_time(0.2)
    return held


def test_a_reader_that_is_late_gets_every_line_in_order() -> None:
    """As long as it is not too late."""
    reader, writer = full_pipe()
    bench = Bench(writer)
    for number in range(500):
        bench.request(b"/%d" % number)
    held = read_until(reader, bench, lambda data: data.count(b'"trace_id"') == 500)
    told = [json.loads(line)["path"] for line in held.splitlines() if line.startswith(b"{")]
    assert told == [f"/{number}" for number in range(500)]
    assert bench.dropped == 0
    bench.log.close()
    os.close(reader)


def test_what_nobody_reads_is_dropped_and_counted_and_costs_bounded_memory() -> None:
    """Every line is either read in the end or counted, and lines are dropped whole."""
    reader, writer = full_pipe()
    bench = Bench(writer)
    for number in range(10_000):
        bench.request(b"/%d" % number)
        if number % 1000 == 0:
            bench.loop.pass_time(0.2)
    dropped = bench.dropped
    assert dropped > 5000
    held = read_until(reader, bench, lambda data: data.count(b'"trace_id"') == 10_000 - dropped)
    told = [int(json.loads(line)["path"][1:]) for line in held.splitlines() if line.startswith(b"{")]
    assert told == sorted(set(told))
    bench.request(b"/again")
    assert b"/again" in read_until(reader, bench, lambda data: b"/again" in data)
    assert bench.dropped == dropped
    for number in range(500):
        bench.request(b"/%d" % number)
    os.close(reader)
    bench.log.close()
    assert bench.dropped > dropped


def test_the_file_may_be_renamed_and_opened_anew(bench: Bench, path: Path) -> None:
    """What was told before is in the old file, what comes after in the new one."""
    bench.request(b"/before")
    path.rename(path.with_suffix(".1"))
    bench.log.turn_to(line_file.open_file(str(path)))
    bench.request(b"/after")
    bench.log.flush()
    assert [line["path"] for line in lines(path.with_suffix(".1"))] == ["/before"]
    assert [line["path"] for line in lines(path)] == ["/after"]


def test_lines_that_are_written_elsewhere_wait_with_the_others(bench: Bench, path: Path) -> None:
    """In their order, and no longer."""
    bench.request(b"/before")
    bench.log.written(memoryview(b'{"path":"1"}\n{"path":"2"}\n'), 2)
    bench.request(b"/behind")
    bench.loop.pass_time(0.2)
    assert [line["path"] for line in lines(path)] == ["/before", "1", "2", "/behind"]


def test_many_lines_at_once_are_dropped_and_counted_one_by_one() -> None:
    """What is full takes none of them."""
    reader, writer = full_pipe()
    bench = Bench(writer)
    many = b'{"path":"x"}\n' * 10_000
    for _ in range(20):
        bench.log.written(memoryview(many), 10_000)
    held = bench.log._waiting.count(b"\n")
    assert bench.dropped == 200_000 - held > 0
    os.close(reader)
    bench.log.close()
    assert bench.dropped == 200_000

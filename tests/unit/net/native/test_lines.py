"""Lines of the access log that the native core writes: byte for byte what Python would have encoded."""

import ctypes
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcproxy.net.native import addresses, records
from mcproxy.net.native.records import ENDED, EXACT, LOGGED, Record
from mcproxy.worker.frontend.client import peer_text
from mcproxy.worker.tools.access_log import ConnectionLine
from mcproxy.worker.tools.line_shape import parts_of
from tests.support.core_bench import CoreBench, Lead, Upstream
from tests.support.native_parsers import library
from tests.support.tls import client_hello

HELLO, OTHER = client_hello("example.com"), client_hello("a.wild.example")


class LogBench(CoreBench):
    """A core whose access log is open.

    Attributes:
        lines: those that it has written.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host=host)
        self.lines: list[bytes] = []
        self.settings(tell=records.TELL_ENDED)
        self.far = self.backend(backlog=256)
        self.lead([Lead("example.com", self.far.address), Lead("*.wild.example", self.far.address)])

    def turn(self) -> int:
        result = self.core.run()
        state = self.core.state
        assert bool(result & records.HAS_LINES) == bool(state.lines) == bool(state.line_count)
        found = bytes(self.core.lines[: state.lines])
        assert found.count(b"\n") == state.line_count
        self.lines += found.splitlines()
        return self.collect()

    def visit(self, hello: bytes = HELLO, answer: bytes = b"answer", host: str | None = None) -> str:
        """Connect, be answered and go; return the client's address, as lines tell it."""
        client = self.keep(socket.create_connection((host or "127.0.0.1", self.listening.getsockname()[1])))
        client.sendall(hello)
        client.setblocking(False)
        far = self.far.accept()
        assert self.take(far, len(hello)) == hello
        far.sendall(answer)
        assert self.take(client, len(answer)) == answer
        name = client.getsockname()
        client.close()
        assert self.take(far, 1) == b""
        far.close()
        self.until(lambda: not self.core.state.open)
        return peer_text(name)

    def teach(self, record: Record, line: ConnectionLine) -> None:
        """Have the core write what is like a line."""
        parts = parts_of(line)
        if record.flags & EXACT:
            parts[3] = line.sni.encode() + parts[3]
        self.core.shape(record, parts)


@pytest.fixture
def bench() -> Iterator[LogBench]:
    with LogBench() as made:
        yield made


def alike(sni: str = "example.com", route: str = 'odd "% name', upstream: str = "") -> ConnectionLine:
    line = ConnectionLine(
        listener=":8443",
        route=route,
        client="",
        sni=sni,
        mode="l4",
        reason="client_closed",
        upstream=upstream,
        endpoint="192.0.2.1:443",
        tries=1,
    )
    line.complete()
    return line


def ended(bench: LogBench) -> Record:
    record = bench.next(ENDED)
    assert not record.flags & LOGGED
    return record


def decoded(line: bytes) -> ConnectionLine:
    """Return a line, which must be exactly what encoding makes."""
    found = msgspec.json.decode(line, type=ConnectionLine)
    assert msgspec.json.encode(found) == line
    return found


def test_the_first_of_a_kind_is_asked_about_and_the_others_are_written(bench: LogBench) -> None:
    """Everything that varies is the connection's own."""
    bench.visit()
    assert bench.lines == []
    bench.teach(ended(bench), alike())
    before = datetime.now(UTC).replace(microsecond=0)
    clients = [bench.visit(answer=b"x" * size) for size in (1, 12_345)]
    assert not [record for record in bench.told if record.kind == ENDED]
    first, second = map(decoded, bench.lines)
    assert [first.client, second.client] == clients
    assert [(line.sni, line.route, line.listener) for line in (first, second)] == [
        ("example.com", 'odd "% name', ":8443")
    ] * 2
    assert (first.received, first.sent, second.sent) == (len(HELLO), 1, 12_345)
    assert 0.0 <= first.dial <= first.total < 60
    assert first.reason == "client_closed"
    assert before <= datetime.fromisoformat(first.time) <= datetime.now(UTC)
    assert len(first.time) == len("2026-11-28T12:00:00.000Z")


def test_a_wildcard_s_lines_have_the_name_that_was_asked_for(bench: LogBench) -> None:
    bench.visit(OTHER)
    bench.teach(ended(bench), alike("a.wild.example"))
    bench.visit(client_hello("b.wild.example"))
    assert [decoded(line).sni for line in bench.lines] == ["b.wild.example"]


def test_what_differs_in_more_is_another_kind(bench: LogBench) -> None:
    """The route, who was first to end, the reason; what is no ordinary end is always told."""
    bench.visit()
    bench.teach(ended(bench), alike())
    bench.visit(OTHER)
    assert ended(bench).route == 1
    client = bench.client(HELLO)
    far = bench.far.accept()
    bench.take(far, len(HELLO))
    far.sendall(b"bye")
    far.close()
    assert bench.take(client, 4) == b"bye"
    client.close()
    assert not ended(bench).flags & records.CLIENT_FIRST
    bench.client(HELLO).close()
    bench.far.accept().close()
    ended(bench)
    bench.client(HELLO)
    bench.take(bench.far.accept(), len(HELLO))
    [open_one] = bench.core.listed()
    bench.core.close(open_one.conn, records.REASONS)
    assert ended(bench).reason == records.REASONS
    assert bench.lines == []
    bench.core.forget_shapes()
    bench.visit()
    ended(bench)


def test_without_a_log_nothing_is_written(bench: LogBench) -> None:
    """And again as soon as there is one."""
    bench.visit()
    bench.teach(ended(bench), alike())
    bench.settings(tell=0)
    bench.visit()
    assert bench.lines == []
    assert not [record for record in bench.told if record.kind == ENDED]
    bench.settings(tell=records.TELL_ENDED)
    bench.visit()
    assert len(bench.lines) == 1


def test_a_token_is_given_back_by_python_whoever_writes(bench: LogBench) -> None:
    """The record says that the line is written."""
    bench.visit()
    bench.teach(ended(bench), alike())
    client = bench.client(HELLO)
    far = bench.far.accept()
    bench.take(far, len(HELLO))
    [one] = bench.core.listed()
    bench.core.count_client(one.conn, -7)
    far.sendall(b"x")
    assert bench.take(client, 1) == b"x"
    client.close()
    far.close()
    record = bench.next(ENDED)
    assert record.flags & LOGGED
    assert (record.token, len(bench.lines)) == (-7, 1)


def test_the_endpoint_tells_kinds_apart(bench: LogBench) -> None:
    """Turns of an upstream end in lines of their own, without a record."""
    backends = [bench.backend(), bench.backend()]
    bench.lead([Lead("example.com", "upstream", upstream=1)])
    raw = [addresses.sockaddr(each.address) or b"" for each in backends]
    bench.take_turns(1, Upstream([(0, 1), (1, 1)]), dict(enumerate(raw)))
    for turn in range(4):
        bench.far = backends[int(bench._upstreams[1].schedule.cycle[turn])]
        bench.visit()
        if turn < 2:
            record = ended(bench)
            bench.teach(record, alike(upstream=f"at {record.endpoint}"))
    assert sorted(decoded(line).upstream for line in bench.lines) == ["at 0", "at 1"]


@pytest.mark.parametrize(("host", "to"), [("::1", "::1"), ("::", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_clients_are_told_as_python_does(host: str, to: str) -> None:
    """IPv6 in brackets, mapped addresses as IPv4."""
    with LogBench(host) as bench:
        bench.visit(host=to)
        bench.teach(ended(bench), alike())
        client = bench.visit(host=to)
        assert [decoded(line).client for line in bench.lines] == [client]


def test_many_at_once_are_written_or_told(bench: LogBench) -> None:
    """A run leaves so many bytes of lines, and tells of the others."""
    bench.visit()
    record = ended(bench)
    record.flags &= ~records.CLIENT_FIRST
    bench.teach(record, alike(route="r" * 3500))
    number = 100
    clients = [bench.client(HELLO) for _ in range(number)]
    for far in [bench.far.accept() for _ in range(number)]:
        bench.take(far, len(HELLO))
        far.sendall(b"x")
        far.close()
    for client in clients:
        bench.take(client, 2)
    for client in clients:
        client.close()
    bench.until(lambda: len(bench.lines) + sum(record.kind == ENDED for record in bench.told) == number)
    assert len(bench.lines) >= records.LINES // 4200
    assert {decoded(each).route for each in bench.lines} == {"r" * 3500}


def test_a_text_that_is_too_long_is_refused(bench: LogBench) -> None:
    """No line is so long."""
    bench.visit()
    with pytest.raises(OSError, match="Invalid argument"):
        bench.teach(ended(bench), alike(route="r" * 4100))


@given(st.integers(0, 10**15) | st.integers(0, 10**7))
@example(0)
@example(9)
@example(10)
@example(1_000_000)
def test_seconds_are_written_as_python_encodes_them(microseconds: int) -> None:
    text = ctypes.create_string_buffer(32)
    length = seconds()(microseconds, text)
    assert text.raw[:length] == msgspec.json.encode(microseconds / 1e6)


def seconds() -> Callable[..., int]:
    function = library().mcp_seconds
    function.argtypes = ctypes.c_uint64, ctypes.c_char_p
    return function

"""Target: lives of connections in the native core. An input is what clients, backends, operators and time do, in turn.

Each pair of bytes is a deed and what it is done to. Whatever is done, bytes arrive as they were sent, nothing is lost
of what is counted, and every descriptor is given back. Under sanitizers (`tests/sanitized`) it also shows what the core
does to memory.
"""

import itertools
import math
import os
import random
import re
import socket
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from mcproxy.net.native import addresses, records
from mcproxy.net.native.records import Record
from tests.fuzz.target import Target
from tests.support.core_bench import DRAINING, CoreBench, Lead, Upstream
from tests.support.tls import client_hello

_NAMES = ("near.test", "unix.test", "gone.test", "chosen.test", "python.test", "unknown.test")
"""Where clients want to go; only the last has no route."""
_CHOSEN = 3
"""The one that leads to an upstream."""
_NOWHERE = int(socket.AF_UNIX), "/nowhere/backend.sock"
_RANDOM = slice(11, 43)  # of a hello: tells the client
_MOST = 150  # deeds
_MOST_CLIENTS = 12
_SIZES = (1, 17, 1000, 20_000, 150_000)
_TIMES = (0.0, 0.0, 1e6, math.inf)
_TURNS = 2000  # until everything must have ended
_PATTERN = bytes(range(251)) * 600
_LINE = re.compile(rb"<[0-9T:.-]+Z<127\.0\.0\.1:\d+<[a-z.]*<\d+<\d+<[0-9.]+(e-6)?<[0-9.]+(e-6)?>")
_LINGER = struct.pack("ii", 1, 0)


class _End:
    """One end of a connection, outside of the core.

    Attributes:
        sent: what was written here so far.
        got: what was read.
        other: the other end, once it is known.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sent = bytearray()
        self.got = bytearray()
        self.other: _End | None = None

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.sent += data[: self.sock.send(data)]

    def read(self, size: int) -> None:
        """Read what is there; it is what the other end has sent."""
        with suppress(OSError):
            self.got += self.sock.recv(size)
        if self.other is not None:
            assert self.other.sent[: len(self.got)] == self.got


class _Life:
    """A core, and everybody around it."""

    def __init__(self, variant: int, folder: Path) -> None:
        self._stack = ExitStack()
        bench = self._bench = self._stack.enter_context(CoreBench())
        self._core = bench.core
        self._backends = [bench.backend(), bench.backend(folder / "backend", backlog=1)]
        self._leads = [
            Lead(_NAMES[0], self._backends[0].address),
            Lead(_NAMES[1], self._backends[1].address),
            Lead(_NAMES[2], _NOWHERE),
            Lead(_NAMES[3], "upstream", upstream=1),
            Lead(_NAMES[4], "python"),
        ]
        self._teach(bench.lead(self._leads))
        bench.cells[0] = (0, 0, 0, 3)[variant >> 3 & 3]
        bench.settings(tell=variant & 7)
        self._hellos = [client_hello(name) for name in _NAMES]
        self._clients: dict[bytes, _End] = {}
        self._fars: list[_End] = []
        self._tokens: set[int] = set()
        self._given = 0
        self._answer = 0
        self._upstream = Upstream([(index, 1) for index in range(8)])
        self._take_turns()
        self._opened = [0] * 8  # at endpoints, as far as the core has counted there, and what Python has taken over
        self._held = 0  # connections that Python was handed, each with its place in the listener's limit
        self._held_routes = 0
        self._accepted = 0

    def live(self, deeds: bytes) -> None:
        """Do all deeds, then end everything and see what is left."""
        with self._stack:
            for deed, what in zip(deeds[::2], deeds[1::2], strict=False):
                _DEEDS[deed % len(_DEEDS)](self, what)
                assert self._core.state.open >= len(list(self._core.listed()))
            self._end()

    def connect(self, what: int) -> None:
        """A client comes, and sends a hello, a part of it, something else, or nothing."""
        if len(self._clients) >= _MOST_CLIENTS:
            return
        key = len(self._clients).to_bytes(32, "big")
        hello = bytearray(self._hellos[what % len(_NAMES)])
        hello[_RANDOM] = key
        how = what // len(_NAMES) % 8
        end = self._clients[key] = _End(self._bench.client())
        end.send(bytes((hello[:100], b"GET / HTTP/1.1\r\n\r\n", b"")[how]) if how < 3 else bytes(hello))
        if how == 3:
            end.sock.shutdown(socket.SHUT_WR)

    def send(self, what: int) -> None:
        """Somebody sends some of a stream in which every place differs from its neighbours."""
        if end := self._one(what):
            start = len(end.sent) % 251
            end.send(_PATTERN[start : start + _SIZES[what % len(_SIZES)]])

    def read(self, what: int) -> None:
        """Somebody reads."""
        if end := self._one(what):
            end.read(_SIZES[what % len(_SIZES)])

    def half_close(self, what: int) -> None:
        """Somebody sends no more."""
        if end := self._one(what):
            with suppress(OSError):
                end.sock.shutdown(socket.SHUT_WR)

    def close(self, what: int) -> None:
        """Somebody goes, by a reset if anything is left to read, or at once."""
        if end := self._one(what):
            if what % 2:
                with suppress(OSError):
                    end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            end.sock.close()

    def accept(self, what: int) -> None:
        """A backend accepts; it learns from the hello, later, whom."""
        with suppress(BlockingIOError):
            sock = self._bench.keep(self._backends[what % 2].sock.accept()[0])
            sock.setblocking(False)
            self._fars.append(_End(sock))

    def turn(self, what: int) -> None:
        """The core runs."""
        self._answer = what
        self._core.run()
        self._settle()

    def expire(self, what: int) -> None:
        """Time limits are changed, and enforced; operators end what drains."""
        if what % 4:
            name = ("connect", "idle", "half_closed", "client_hello")[what // 4 % 4]
            self._bench.settings(**{name: _TIMES[what // 16 % 4]})
        self._core.expire()
        self._settle()

    def operate(self, what: int) -> None:
        """An operator ends a connection, drains it, or has its client counted; or one that there is not."""
        found = [record.conn for record in self._core.listed()]
        conn = found[what // 4 % len(found)] if found else what
        if what % 4 == 0:
            assert self._core.close(conn, records.REASONS) == (0 if found else -1)
        elif what % 4 == 1:
            assert self._core.drain(conn, 0.0 if what & 64 else math.inf) == (0 if found else -1)
        elif what % 4 == 2 and found:
            known = self._core.describe(conn)
            assert known is not None
            token = known.token if known.flags & records.COUNTED else self._token()
            assert self._core.count_client(conn, token) == 0
        assert self._core.take(conn) == self._core.enter(conn, 1, True) == -1  # it is asked nothing now
        self._core.flush()
        self._settle()

    def reload(self, what: int) -> None:
        """The snapshot changes: other routes, a blind listener, other wishes, another limit."""
        if what % 4 == 0:
            self._teach(self._bench.lead(self._leads[: what // 4 % 5 + 1]))
        elif what % 4 == 1:
            self._teach(self._bench.lead([Lead("*", self._backends[what // 4 % 2].address)], blind=True))
        elif what % 4 == 2:
            self._bench.settings(tell=what // 4 % 8)
        else:
            self._bench.cells[0] = what // 4 % 5

    def upstream(self, what: int) -> None:
        """What is known of endpoints changes, or the upstream does."""
        if what % 4 == 0:
            self._upstream.words[what // 4 % 8] = (0, 2, 1 << 8)[what // 32 % 3]
        elif what % 4 == 1:
            self._upstream.quick[0] = what // 4 % 2
        elif what % 4 == 2:
            self._upstream.schedule.marks[1] = what // 4 % 2
        elif what & 4:
            self._take_turns()
        else:
            self._core.upstream(1, None)

    def _teach(self, table: int) -> None:
        """Have lines written for some of the connections of a table."""
        for route, flags in itertools.product(range(len(self._leads)), (0, records.CLIENT_FIRST)):
            for also in (0, records.EXACT):
                told = Record(table=table, route=route, endpoint=1 if route == _CHOSEN else -1, flags=flags | also)
                self._core.shape(told, [b"<"] * (records.PARTS - 1) + [b">"])

    def _take_turns(self) -> None:
        known = [addresses.sockaddr(each) or b"" for each in (*(end.address for end in self._backends), _NOWHERE)]
        self._bench.take_turns(1, self._upstream, {index: known[index % 3] for index in range(8)})

    def stop_listening(self, what: int) -> None:
        """The listening socket is left, with or without those that wait there; and taken again."""
        fd = self._bench.listening.fileno()
        if what % 2:
            while self._core.drain_listening(fd) & records.HAS_MORE:
                self._settle()
            self._settle()
        self._core.unlisten(fd)
        self._bench.listener.listen(fd)

    def _one(self, what: int) -> _End | None:
        ends = [end for end in (*self._clients.values(), *self._fars) if end.sock.fileno() >= 0]
        return ends[what // len(_SIZES) % len(ends)] if ends else None

    def _token(self) -> int:
        self._given += 1
        self._tokens.add(self._given)
        return self._given

    def _settle(self) -> None:
        """Do what Python does with records; answers may leave further ones."""
        state = self._core.state
        lines = bytes(self._core.lines[: state.lines])
        assert lines.count(b"\n") == state.line_count
        assert all(_LINE.fullmatch(line) for line in lines.splitlines())
        number = 0
        while number < self._core.state.count:
            self._handle(Record.from_buffer_copy(self._core.records[number]))
            number += 1
        for end in self._fars:
            if end.other is None:
                end.read(4096)
                end.other = self._clients.get(bytes(end.got[_RANDOM]))
                if end.other is not None:
                    end.other.other = end

    def _handle(self, record: Record) -> None:
        if record.kind == records.ASK_GATE:
            self._judge(record.conn)
        elif record.kind == records.CHOOSE:
            self._choose(record)
        elif record.kind == records.COUNTED_AT:
            self._opened[record.endpoint] += record.token
        elif record.kind == records.PAUSED:
            self._core.resume(record.fd)
        elif record.fd >= 0:
            self._take_over(record.fd, admitted=record.kind != records.OVER_LIMIT, routed=record.route >= 0)
            if record.flags & records.CHOSEN:
                self._opened[record.endpoint] -= 1
        if record.kind in (records.ENDED, records.DECLINED, records.DIAL_FAILED) and record.flags & records.COUNTED:
            self._tokens.remove(record.token)

    def _judge(self, conn: int) -> None:
        how = self._next_answer()
        if how == 0:
            self._take_over(self._core.take(conn))
        elif how == 1:
            assert self._core.close(conn, records.REASONS) == 0
        elif how == 2:
            assert self._core.enter(conn, self._token(), True) == 0
        else:
            assert self._core.enter(conn, 0, False) == 0

    def _choose(self, record: Record) -> None:
        how = self._next_answer()
        if how == 0:
            if record.flags & records.COUNTED:
                self._tokens.remove(record.token)
            self._take_over(self._core.take(record.conn), routed=True)
        elif how == 1:
            assert self._core.close(record.conn, records.REASONS) == 0
        else:
            to = addresses.sockaddr(_NOWHERE if how == 2 else self._backends[how % 2].address) or b""
            assert self._core.dial(record.conn, how, to, len(to)) == 0

    def _next_answer(self) -> int:
        self._answer = (self._answer * 5 + 3) % 256
        return self._answer // 16 % 8

    def _take_over(self, fd: int, *, admitted: bool = True, routed: bool = False) -> None:
        assert fd >= 0
        os.close(fd)
        self._held += admitted
        self._held_routes += routed

    def _end(self) -> None:
        """Everybody goes, and the core with its last connection."""
        while self._core.drain_listening(self._bench.listening.fileno()) & records.HAS_MORE:
            self._settle()
        self._settle()
        for end in (*self._clients.values(), *self._fars):
            end.sock.close()
        turns = 0
        while self._core.run() != records.IS_IDLE:
            turns += 1
            assert turns < _TURNS, "it does not come to its end"
            self._settle()
            if turns > 3:  # those whose ends nobody has told, as a backend that accepts none
                for conn in [record.conn for record in self._core.listed()]:
                    self._core.close(conn, records.REASONS)
        self._settle()
        self._core.flush()
        self._settle()
        assert self._opened == [0] * 8
        words, cells = self._bench.words, self._bench
        assert cells.open() == self._held
        assert sum(self._bench.route(number)[1] for number in range(len(self._leads))) == self._held_routes
        assert words[DRAINING] == 0
        assert not self._tokens


_DEEDS: tuple[Callable[[_Life, int], None], ...] = (
    _Life.connect,
    _Life.connect,
    _Life.send,
    _Life.send,
    _Life.read,
    _Life.half_close,
    _Life.close,
    _Life.accept,
    _Life.accept,
    _Life.turn,
    _Life.turn,
    _Life.turn,
    _Life.expire,
    _Life.operate,
    _Life.reload,
    _Life.stop_listening,
    _Life.upstream,
)


def _check(data: bytes) -> None:
    if not data:
        return
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a number
    with tempfile.TemporaryDirectory() as folder:
        _Life(data[0], Path(folder)).live(data[1 : 2 * _MOST + 1])
    assert len(os.listdir("/proc/self/fd")) == before, "descriptors are left"  # noqa: PTH208


def _draw(rng: random.Random, _inputs: Sequence[bytes]) -> bytes:
    """Return deeds in an order that seldom is of use; changes of the corpus would not find more."""
    return rng.randbytes(rng.randrange(20, 2 * _MOST))


_EXAMPLE = bytes([0, 0, 18, 9, 0, 9, 0, 7, 0, 2, 3, 9, 0, 4, 9, 5, 0, 9, 0, 6, 1])
NATIVE_LIFE = Target("native-life", _check, lambda: [_EXAMPLE], _draw)

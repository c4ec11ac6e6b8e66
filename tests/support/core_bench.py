"""A native core on a workbench: a listener, its backends and its clients, driven by hand as the worker drives it."""

import select
import socket
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from mcproxy.net.native import addresses, records
from mcproxy.net.native.core import Core, Listener, address_of
from mcproxy.net.native.records import EndpointSetup, ListenerSetup, Record, Settings, UpstreamSetup
from mcproxy.net.sockets import SocketAddress, numeric
from mcproxy.policy.upstreams.schedule import Schedule
from tests.support.native_parsers import library

ACCEPTED, DRAINING, DIAL_SECONDS, _ROUTES = 0, 1, 2, 20
TAG = 7
"""What records call the listener."""
_OWN = 2
_CELLS = 130
_WAIT = 20.0  # seconds that something may take on a busy machine
_FOREVER = 1e6

_KINDS = {"upstream": records.ROUTE_UPSTREAM, "python": records.ROUTE_PYTHON}


class Lead(NamedTuple):
    """A route of the bench.

    Attributes:
        pattern: its hostname pattern.
        to: where it leads: an address, or whom is asked.
        connect_timeout, idle_timeout: seconds, None for the settings' value.
        upstream: the number of the one whose turns the core takes, 0 for none.
    """

    pattern: str
    to: SocketAddress | Literal["upstream", "python"] = "python"
    connect_timeout: float | None = None
    idle_timeout: float | None = None
    upstream: int = 0


class Upstream:
    """An upstream of the bench.

    Attributes:
        schedule: whose turns it are.
        quick: 0: Python is to be asked.
        words: of endpoints, by index.
    """

    def __init__(self, weights: Sequence[tuple[int, float]]) -> None:
        """Have endpoints of these indices and weights."""
        self.schedule = Schedule(weights)
        self.quick = array("I", (1,))
        self.words = array("Q", [0] * (max(index for index, _ in weights) + 1))

    def setup(self, addresses: Mapping[int, bytes]) -> UpstreamSetup:
        """Return what the core is told, with the addresses by index."""
        schedule = self.schedule
        endpoints = (EndpointSetup * len(addresses))()
        for endpoint, (index, address) in zip(endpoints, addresses.items(), strict=True):
            endpoint.index, endpoint.address_length = index, len(address)
            endpoint.address[: len(address)] = address
        places = (each.buffer_info()[0] for each in (self.words, self.quick, schedule.marks, schedule.cycle))
        return UpstreamSetup(*places, endpoints, len(schedule.cycle), len(endpoints))


class CoreBench:
    """A core with one listener.

    Attributes:
        core: itself.
        listener: the only one.
        words: its counters.
        cells: the listener's limit and the slots' open connections.
        listening: where clients connect.
        told: the records so far; the test may clear it.
    """

    def __init__(self, routes: Sequence[Lead] = (), *, blind: bool = False, host: str = "127.0.0.1") -> None:
        """Make everything; nothing happens until `turn`."""
        self.words = memoryview(bytearray(8 * 1024)).cast("Q")
        self.cells = memoryview(bytearray(8 * _CELLS)).cast("Q")
        self._slots = memoryview(bytearray(8)).cast("Q")
        self._slots[0] = _OWN
        self.core = Core(library(), self.words)
        self._lock = socket.socket()  # an open file description, which is all that flock needs
        self._closing: list[socket.socket] = [self._lock]
        self.told: list[Record] = []
        self._tables = 0
        self._upstreams: dict[int, Upstream] = {}  # the core reads their memory
        self._settings = Settings(_FOREVER, _FOREVER, _FOREVER, _FOREVER, 0, DRAINING, 2**31 - 1, 0)
        self.core.configure(self._settings)
        self.listener = self.add_listener()
        self.lead(routes, blind=blind)
        both = {"dualstack_ipv6": True} if host == "::" else {}
        self.listening = self.keep(socket.create_server((host, 0), backlog=512, family=_family(host), **both))
        self.listening.setblocking(False)
        self.listener.listen(self.listening.fileno())

    def add_listener(self) -> Listener:
        """Make a listener with the same counters, which has no routes and no sockets."""
        places = address_of(self.cells), address_of(self._slots)
        setup = ListenerSetup(*places, _OWN, self._lock.fileno(), TAG, ACCEPTED, DIAL_SECONDS, 0)
        return self.core.listener(setup)

    def lead(self, routes: Sequence[Lead], *, blind: bool = False) -> int:
        """Give the listener another table; return its number."""
        self._tables += 1
        self.listener.update(self.core.table(self._tables, *_packed(routes)), blind=blind)
        return self._tables

    def take_turns(self, number: int, upstream: Upstream, addresses: Mapping[int, bytes]) -> None:
        """Have the core take the turns of an upstream; the addresses are those of its endpoints, by index."""
        self.core.upstream(number, upstream.setup(addresses))
        self._upstreams[number] = upstream

    def settings(self, **changes: float) -> None:
        """Change settings."""
        for name, value in changes.items():
            setattr(self._settings, name, value)
        self.core.configure(self._settings)

    def keep(self, sock: socket.socket) -> socket.socket:
        """Have a socket closed at the end."""
        self._closing.append(sock)
        return sock

    def backend(self, path: Path | None = None, *, backlog: int = 16) -> "Backend":
        """Begin to listen as a backend does, at a Unix socket if a path is given."""
        return Backend(self, path, backlog)

    def client(self, data: bytes = b"") -> socket.socket:
        """Connect a client, which sends something; it does not block."""
        address = self.listening.getsockname()[:2]
        sock = self.keep(socket.create_connection(address, timeout=_WAIT))
        if data:
            sock.sendall(data)
        sock.setblocking(False)
        return sock

    def turn(self) -> int:
        """Run the core once; return how many records it has left."""
        self.core.run()
        return self.collect()

    def collect(self) -> int:
        """Keep the records that are there."""
        found = self.core.records[: self.core.state.count]
        self.told += [Record.from_buffer_copy(record) for record in found]
        return len(found)

    def until(self, condition: Callable[[], object]) -> None:
        """Run the core until a condition holds."""
        end = time.monotonic() + _WAIT
        poll = select.poll()
        poll.register(self.core.fd, select.POLLIN)
        while not condition():
            assert time.monotonic() < end, f"told so far: {[record.kind for record in self.told]}"
            poll.poll(10)
            self.turn()

    def next(self, kind: int) -> Record:
        """Run the core until a record of a kind comes, and return it; it counts as told no more."""
        self.until(lambda: any(record.kind == kind for record in self.told))
        found = next(record for record in self.told if record.kind == kind)
        self.told.remove(found)
        return found

    def expire_until(self, condition: Callable[[], object]) -> None:
        """The same as `until`, with a look at the time limits in between."""

        def holds() -> bool:
            self.core.expire()
            self.collect()
            return bool(condition())

        self.until(holds)

    def next_expired(self, kind: int) -> Record:
        """The same as `next`, with a look at the time limits in between."""
        self.expire_until(lambda: any(record.kind == kind for record in self.told))
        return self.next(kind)

    def take(self, client: socket.socket, size: int) -> bytes:
        """Run the core until so many bytes have come, or the end of the stream; return them, or raise as recv does."""
        got = bytearray()
        ended = False

        def enough() -> bool:
            nonlocal ended
            try:
                data = client.recv(size - len(got))
            except BlockingIOError:
                return False
            got.extend(data)
            ended = not data
            return ended or len(got) == size

        self.until(enough)
        return bytes(got)

    def route(self, number: int = 0) -> list[int]:
        """Return a route's counters: connections, open ones, bytes received and sent."""
        return self.words[_ROUTES + 4 * number : _ROUTES + 4 * number + 4].tolist()

    def open(self) -> int:
        """Return how many connections the listener's cell counts."""
        return self.cells[_OWN]

    def close(self) -> None:
        """Free and close everything."""
        self.core.unlisten(self.listening.fileno())
        self.listener.free()
        self.core.free()
        for sock in self._closing:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Backend:
    """A listening socket that a route of the bench leads to."""

    def __init__(self, bench: CoreBench, path: Path | None, backlog: int) -> None:
        self._bench = bench
        self.sock = bench.keep(socket.socket(socket.AF_UNIX if path else socket.AF_INET))
        self.sock.bind(str(path) if path else ("127.0.0.1", 0))
        self.sock.listen(backlog)
        self.sock.setblocking(False)

    @property
    def address(self) -> SocketAddress:
        """Where it listens."""
        name = self.sock.getsockname()
        if isinstance(name, str):
            return int(socket.AF_UNIX), name
        found = numeric(*name[:2])
        assert found is not None
        return found

    def accept(self) -> socket.socket:
        """Run the core until a connection comes; return it. It does not block."""
        found: list[socket.socket] = []

        def accepted() -> bool:
            try:
                found.append(self._bench.keep(self.sock.accept()[0]))
            except BlockingIOError:
                return False
            return True

        self._bench.until(accepted)
        found[0].setblocking(False)
        return found[0]


def taken(record: Record) -> socket.socket:
    """Return the socket that a record has handed over."""
    assert record.fd >= 0
    return socket.socket(fileno=record.fd)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _packed(routes: Sequence[Lead]) -> tuple[bytes, bytes]:
    packed = names = b""
    for number, lead in enumerate(routes):
        first = _ROUTES + 4 * number
        if isinstance(lead.to, str):
            kind, address = _KINDS[lead.to], b""
        else:
            kind, address = records.ROUTE_ADDRESS, addresses.sockaddr(lead.to) or b""
        words = first, first + 1, first + 2, first + 3
        pattern = lead.pattern.encode()
        packed += addresses.pack_route(
            len(names), len(pattern), kind, words, address, lead.connect_timeout, lead.idle_timeout, lead.upstream
        )
        names += pattern
    return packed, names

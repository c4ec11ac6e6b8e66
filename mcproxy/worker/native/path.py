"""The native core in a worker: it is told of listeners, routes and settings, and what it leaves to Python is done here.

Its epoll set is nested in the event loop, as the poller's is. The records of a run are handled in the same turn of the loop.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Iterable

import msgspec

from mcproxy.net.memory.shared_memory import PROCESS_DRAINING, SharedMemory
from mcproxy.net.native import records
from mcproxy.net.native.core import Core, Library, Listener, address_of
from mcproxy.net.native.records import HAS_LINES, HAS_MORE, HAS_RECORDS, IS_IDLE, ListenerSetup, Settings
from mcproxy.worker.frontend.pause import descriptor_ceiling
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.native import tables
from mcproxy.worker.native.connection import NativeConnection
from mcproxy.worker.native.handler import Handler
from mcproxy.worker.native.listening import NativeAcceptor
from mcproxy.worker.native.names import Names
from mcproxy.worker.native.turns import Turns
from mcproxy.worker.tools.interfaces import OpenConnection

_MOST = 2**31 - 1
_log = logging.getLogger(__name__)


class _Led(msgspec.Struct, eq=False):
    """A listener in the core.

    Attributes:
        tag: what records call it.
        native: itself.
        routes: those of the table that it leads by.
        blind: nothing is read before the backend is dialed.
        proven: names that are left to Python, since a CA may come for them.
        fixed: the table is the same as long as the routes are.
        rows: what the routes were packed to.
    """

    tag: int
    native: Listener
    routes: list[LiveRoute] = []
    blind: bool = False
    proven: tuple[str, ...] = ()
    fixed: bool = False
    rows: bytes = b""


class NativePath:
    """Accepts and relays in the native core."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tools: FrontendTools,
        memory: SharedMemory,
        slot: int,
        lock_fd: int,
        library: Library,
    ) -> None:
        """Make a core without listeners; raises OSError.

        Args:
            loop: the event loop.
            tools: what clients' connections share.
            memory: has the words of connection limits.
            slot: this worker's part of it.
            lock_fd: what flock takes, around adding up the connections of all workers.
            library: the core's functions, declared.
        """
        self._loop = loop
        self._tools = tools
        self._memory = memory
        self._own = 1 + slot
        self._lock_fd = lock_fd
        self._slots_used = address_of(memory.slots_used_word())  # the memory stays mapped
        self._core = core = Core(library, tools.counters)
        self._core_run = core.run
        self._names = Names()
        self._handler = Handler(tools, core, self._names)
        self._turns = Turns(core, self._names)
        self._listeners: dict[LiveListener, _Led] = {}
        self._forgotten: set[int] = set()
        self._numbers = itertools.count(1)
        self._told = -1
        self._due = self._again = False
        tools.registry.elsewhere = self
        loop.add_reader(core.fd, self._run)

    def relays(self, listener: LiveListener) -> bool:
        """Tell whether the core has something to do for a listener; where it has not, Python accepts."""
        return listener in self._listeners and listener.has_plain

    def accept(self, listener: LiveListener, sock: socket.socket) -> NativeAcceptor:
        """Accept on a socket of a listener that `update` was told of; raises OSError."""
        native = self._listeners[listener].native
        acceptor = NativeAcceptor(self._loop, self._tools, self._core, native, listener, sock, self._handle)
        self._handler.acceptors[sock.fileno()] = acceptor
        return acceptor

    def update(self, listeners: Iterable[LiveListener]) -> None:
        """Take over the settings and the routes of a snapshot."""
        self._settle(self._core.flush())  # what is told by the names of now, and counted so far
        timeouts = self._tools.settings.timeouts
        self._told = self._wanted()
        settings = Settings(
            timeouts.connect,
            timeouts.idle,
            timeouts.half_closed,
            timeouts.client_hello,
            self._told,
            PROCESS_DRAINING,
            min(descriptor_ceiling(), _MOST),
        )
        self._core.configure(settings)
        self._handler.forget()
        self._forget_ended()
        relayed = {listener for listener in listeners if listener.has_plain}
        routes = (route for listener in relayed for route in listener.all_routes())
        self._turns.update(route.upstream for route in routes if route.upstream is not None and not route.l7)
        for listener in relayed:
            self._lead(listener)
        for listener in self._listeners.keys() - relayed:  # who waits there for something is Python's when it says it
            led = self._listeners[listener]
            led.routes, led.rows = [], b""
            led.native.update(None, blind=False)

    def forget(self, listener: LiveListener) -> None:
        """Forget a listener on which nobody accepts any more; its connections go on."""
        found = self._listeners.pop(listener, None)
        if found is not None:
            found.native.free()
            self._forgotten.add(found.tag)

    def expire(self) -> None:
        """Enforce the time limits; to be called about every 0.1 s."""
        self.tell()
        self._settle(self._core.expire())

    def tell(self) -> None:
        """Have the core tell and ask what somebody wants to know now."""
        wanted = self._wanted()
        if wanted != self._told:
            self._told = wanted
            self._core.tell(wanted)

    def open(self) -> int:
        """Return how many connections the core has."""
        return self._core.state.open

    def listed(self) -> list[OpenConnection]:
        """Return an object for each connection that is open now."""
        core, names, gate, soon = self._core, self._names, self._tools.gate, self._settle_soon
        return [NativeConnection(core, names, gate, record, soon) for record in core.listed()]

    def _wanted(self) -> int:
        """Return what is to be asked and told, as ``records.ASK`` and others."""
        tools = self._tools
        noted = tools.dial.failing.until
        failing = tools.errors.failing or (noted and max(noted.values()) > tools.poller.now)
        return (
            (0 if tools.gate.is_open else records.ASK)
            | (records.TELL_CONNECTED if failing else 0)
            | (records.TELL_ENDED if tools.log.is_open else 0)
        )

    def _lead(self, listener: LiveListener) -> None:
        """Lead the connections of a listener by its routes of now."""
        led = self._listeners.get(listener)
        if led is None:
            led = self._listeners[listener] = self._added(listener)
        routes, proven = listener.all_routes(), listener.proven()
        fixed = all(map(tables.is_fixed, routes))
        same = led.routes == routes and led.blind == listener.blind and led.proven == proven
        if led.fixed and fixed and same:
            return  # there may be ten thousand, which take their time
        former = led.routes if led.fixed and not (led.proven or proven) else ()
        led.rows, names = tables.pack(routes, self._turns.number, former, led.rows, proven)
        led.routes, led.blind, led.proven, led.fixed = routes, listener.blind, proven, fixed
        number = next(self._numbers)
        try:
            table = self._core.table(number, led.rows, names)
        except OSError as error:
            _log.warning("the native core has no routes of %s, so Python serves them: %s", listener.addr, error)
            led.native.update(None, blind=listener.blind)
        else:
            self._names.tables[number] = routes
            led.native.update(table, blind=listener.blind)

    def _added(self, listener: LiveListener) -> _Led:
        tag = next(self._numbers)
        setup = ListenerSetup(
            address_of(self._memory.admission(listener.index)),
            self._slots_used,
            self._own,
            self._lock_fd,
            tag,
            listener.accepted_counter,
            listener.dial_seconds,
        )
        self._names.listeners[tag] = listener
        return _Led(tag, self._core.listener(setup))

    def _forget_ended(self) -> None:
        """Forget the names of listeners that are gone, once their connections are."""
        if self._forgotten:
            for tag in self._forgotten - {record.listener for record in self._core.listed()}:
                del self._names.listeners[tag]
                self._forgotten.discard(tag)

    def _run(self) -> None:
        result = self._core_run()
        if result:
            self._settle(result)

    def _run_again(self) -> None:
        self._again = False
        self._run()

    def _settle(self, result: int) -> int:
        """Do what is to be done after a call of the core, and tell if it has no connections; return the result."""
        self._handle(result)
        if result & IS_IDLE:
            self._tools.registry.look()
        return result

    def _handle(self, result: int) -> int:
        """Handle the records of a call of the core, have it called again if there is more to do, and return the result."""
        if result & HAS_LINES:
            core = self._core
            self._tools.log.written(core.lines[: core.state.lines], core.state.line_count)
        if result & HAS_RECORDS:
            self._handler.handle_all()
        if result & HAS_MORE and not self._again:
            self._again = True
            self._loop.call_soon(self._run_again)
        return result

    def _settle_soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._due = False
        self._settle(self._core.flush())

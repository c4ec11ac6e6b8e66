"""What a worker serves: the snapshot that is live, and the step from one to the next."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from mcproxy.errors import ChannelError, NativeCoreError
from mcproxy.model.state.snapshot import ListenerEntry, Snapshot
from mcproxy.net.memory.admission import Admission, AdmissionLock
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.openssl.tickets import Tickets
from mcproxy.net.told import Pending
from mcproxy.worker.frontend.acceptor import Acceptor
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.filters import Filters
from mcproxy.worker.live.guards import Guards
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.live.upstreams import Changed, Upstreams
from mcproxy.worker.live.way import Way

if TYPE_CHECKING:
    from mcproxy.worker.challenges import Challenges
    from mcproxy.worker.native.listening import NativeAcceptor
    from mcproxy.worker.native.path import NativePath

_log = logging.getLogger(__name__)


class Serving:
    """The listeners of the live snapshot.

    Attributes:
        generation: of the live snapshot, 0 before the first.
        python: the native data path was asked for, and can't be had here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tools: FrontendTools,
        upstreams: Upstreams,
        memory: SharedMemory,
        slot: int,
        make_native: "Callable[[int], NativePath]",
    ) -> None:
        """Serve nothing, until `apply`.

        Args:
            loop: the event loop.
            tools: what clients' connections share.
            upstreams: those of the live snapshot.
            memory: has the words of connection limits.
            slot: this worker's part of it.
            make_native: makes the native data path of the descriptor of its library; raises `NativeCoreError` or OSError.
        """
        self._loop = loop
        self._tools = tools
        self._upstreams = upstreams
        self._filters = Filters(tools.guards, Guards(tools.gate, tools.poller))
        self._memory = memory
        self._slot = slot
        self._admission_lock = AdmissionLock(memory)
        self._listeners: dict[str, LiveListener] = {}
        self._acceptors: dict[tuple[str, int], Acceptor | NativeAcceptor] = {}
        self._make_native = make_native
        self._native: NativePath | None = None  # once it was wanted; its connections may outlive that
        self._relaying: NativePath | None = None  # what accepts now, None for Python
        self._challenges: Challenges | None = None
        self._files: Files | None = None
        self._tickets = Tickets(memory.ticket_secret())
        self._position = 0
        self.generation = 0
        self.python = False

    def sockets(self) -> Iterable[tuple[str, int, socket.socket]]:
        """Yield every listening socket held, with its listener's address and its number."""
        for listener in self._listeners.values():
            for number, sock in listener.sockets.items():
                yield listener.addr, number, sock

    def apply(
        self,
        snapshot: Snapshot,
        sockets: Mapping[tuple[str, int], socket.socket],
        countries: int | None,
        contents: Mapping[str, bytes],
        position: int,
        workers: int,
        native: int | None = None,
    ) -> None:
        """Make a snapshot live.

        Args:
            snapshot: what to serve.
            sockets: the listening sockets of listeners that are new here, by address and number.
            countries: descriptor of the country database that the snapshot names.
            contents: the other files that it names, by digest.
            position: this worker serves the sockets whose number modulo ``workers`` is this.
            workers: how many workers there are.
            native: descriptor of the native core's library, None for the Python data path.

        Raises:
            ChannelError: sockets are missing; nothing was changed.
            CountryDatabaseError: the database can't be used; nothing was changed.
            TlsError: a certificate or CA can't be used; nothing was changed.
            ApplyError: the passwords of a filter can't be used; nothing was changed.
        """
        self._check(snapshot, sockets)
        files = Files(contents, self._files, self._tickets)
        prepared = self._prepare(snapshot, sockets, files)
        upstreams = self._upstreams.prepare(snapshot, files)
        filters = self._filters.prepare(snapshot, files)
        limited = self._tools.gate.limits_connections
        self._tools.gate.update(snapshot.firewall, countries)
        if self._tools.gate.limits_connections and not limited:
            for connection in self._tools.registry.all():
                connection.count_client()
        files.forget_old()
        self._files = files
        self._tools.settings.update(snapshot.timeouts, snapshot.http)
        removed: list[LiveRoute] = []
        judged_anew: set[int] = set()
        wanted = {entry.listener.addr for entry in snapshot.listeners}
        for addr in self._listeners.keys() - wanted:
            removed += self._remove(addr)
        for listener, entry, routes in prepared:
            self._listeners[listener.addr] = listener
            judged_anew |= listener.judged_anew(routes)
            removed += listener.update(entry, routes)
            if self._challenges is not None:
                listener.answer(self._challenges)
        changed = self._upstreams.update(upstreams)
        live = [route for _, _, routes in prepared for route in routes.values()]
        self._filters.update(filters)
        for route in live:
            if route.scoped or route.entry.scope:
                route.filter_by(self._filters)
        self._filters.forget_old()
        leading = [
            route for route in live if route.l7 or route.entry.upstream
        ]  # the others have an address, and no pool
        self._lead([*(way for route in leading for way in route.ways()), *self._filters.ways()])
        self._position = position
        self._tools.guards.share(workers)
        self.python = False
        self._relaying = None if native is None else self._native_path(native)
        if self._native is not None:
            self._native.update(() if self._relaying is None else self._listeners.values())
        self.share(range(workers))
        self._tools.refusals.generation = snapshot.generation
        self._retire(removed, live, changed, judged_anew)
        self.generation = snapshot.generation

    def answer(self, pending: Pending) -> None:
        """Answer the challenges of CAs from now on that are pending, instead of earlier ones; raises `TlsError`."""
        if self._challenges is None and pending == Pending():
            return
        from mcproxy.worker.challenges import Challenges  # noqa: PLC0415 - few configurations order certificates

        self._challenges = challenges = Challenges(pending)
        if challenges.contexts:
            self._tools.http.load()
        for listener in self._listeners.values():
            listener.answer(challenges)
        if self._native is not None:
            self._native.update(() if self._relaying is None else self._listeners.values())

    def share(self, owners: Sequence[int]) -> None:
        """Serve this worker's share of the listening sockets and leave the others alone.

        The shares are as many as there are workers; ``owners`` has the position of the worker that serves each of them. A
        listener that has fewer sockets than there are workers was bound by others: all workers serve all of them.
        """
        for listener in self._listeners.values():
            shared = len(listener.sockets) < len(owners)
            native = self._relaying is not None and self._relaying.relays(listener)
            for number, sock in listener.sockets.items():
                key = listener.addr, number
                mine = shared or owners[number % len(owners)] == self._position
                acceptor = self._acceptors.get(key)
                if acceptor is not None and (not mine or isinstance(acceptor, Acceptor) == native):
                    self._acceptors.pop(key).stop()
                if mine and key not in self._acceptors:
                    self._acceptors[key] = self._accept(listener, sock, native=native)

    def expire(self) -> None:
        """Enforce the time limits of connections that are not among `Deadlines`, and of keys; to be called about every 0.1 s."""
        if self._tickets.renew() and self._files is not None:
            self._files.renew_tickets()
        if self._native is not None:
            self._native.expire()

    def note_wishes(self) -> None:
        """Take note that others want to be told of connections than before: the log, or control of routes that fail."""
        if self._native is not None:
            self._native.tell()

    def _lead(self, ways: Sequence[tuple[Way, str]]) -> None:
        """Lead everything to the upstream that it names, or to its address, and find pools for all."""
        for way, upstream in ways:
            way.lead_to(self._upstreams.named(upstream))
        if self._tools.http.parts is not None:
            self._tools.http.parts.pools.assign([way for way, _ in ways])

    def stop_accepting(self) -> None:
        """Accept what already waits, then close every listening socket."""
        for addr in list(self._listeners):
            self._remove(addr)

    def _check(self, snapshot: Snapshot, sockets: Mapping[tuple[str, int], socket.socket]) -> None:
        for entry in snapshot.listeners:
            addr = entry.listener.addr
            if addr in self._listeners:
                continue
            missing = [number for number in range(entry.sockets) if (addr, number) not in sockets]
            if missing:
                raise ChannelError(f"listener {addr} came without its sockets {missing}")

    def _prepare(
        self, snapshot: Snapshot, sockets: Mapping[tuple[str, int], socket.socket], files: Files
    ) -> list[tuple[LiveListener, ListenerEntry, dict[str, LiveRoute]]]:
        """Do all that can fail; nothing of it is live yet."""
        prepared = []
        for entry in snapshot.listeners:
            addr = entry.listener.addr
            listener = self._listeners.get(addr)
            if listener is None:
                own = {number: sockets[addr, number] for number in range(entry.sockets)}
                admission = Admission(self._memory, self._admission_lock, entry.index, self._slot)
                listener = LiveListener(entry, admission, own)
            routes = listener.prepare(entry, files)
            if entry.listener.protocol == "http" or any(route.l7 for route in routes.values()):
                self._tools.http.load()
            prepared.append((listener, entry, routes))
        return prepared

    def _native_path(self, library: int) -> "NativePath | None":
        """Return the native data path, None if it can't be had, or has nothing to do yet: Python does the same."""
        if self._native is None and any(listener.has_plain for listener in self._listeners.values()):
            try:
                self._native = self._make_native(library)
            except (NativeCoreError, OSError) as error:
                _log.warning("the Python data path serves here: %s", error)
                self.python = True
        return self._native

    def _accept(self, listener: LiveListener, sock: socket.socket, *, native: bool) -> "Acceptor | NativeAcceptor":
        if native and self._relaying is not None:
            return self._relaying.accept(listener, sock)
        return Acceptor(self._loop, self._tools, listener, sock)

    def _remove(self, addr: str) -> list[LiveRoute]:
        listener = self._listeners.pop(addr)
        for key in [key for key in self._acceptors if key[0] == addr]:
            self._acceptors.pop(key).drain()
        if self._native is not None:
            self._native.forget(listener)
        for sock in listener.sockets.values():
            sock.close()
        return listener.all_routes()

    def _retire(
        self, removed: list[LiveRoute], live: list[LiveRoute], changed: Changed, judged_anew: AbstractSet[int]
    ) -> None:
        """Treat the connections of routes and endpoints that are gone as ``on_remove`` says.

        Drain those of resting endpoints, and those of routes that let in other clients now: whoever may stay comes again.
        """
        for route in removed:
            route.kept = route.entry.route.on_remove == "keep"
        gone = {route.entry.index: route.entry.route.on_remove for route in removed}
        if not (gone or changed.removed or changed.resting or judged_anew):
            return
        routes = {route.entry.index: route for route in live}
        limit = self._tools.poller.now + self._tools.settings.timeouts.shutdown
        for connection in self._tools.registry.all():
            index, endpoint = connection.route_index, connection.endpoint_index
            if index is None:
                connection.leave_routes(gone, limit)
                continue
            fate: str = gone.get(index, "drain" if index in judged_anew else "keep")
            reason = "route_removed"
            if endpoint is not None and index in routes and fate == "keep":
                fate, reason = _fate(endpoint, routes[index], changed), "endpoint_removed"
            match fate:
                case "close":
                    connection.close(reason)
                case "drain":
                    connection.drain(limit)


def _fate(endpoint: int, route: LiveRoute, changed: Changed) -> str:
    """Return what becomes of an L4 connection to an endpoint, in the words of ``on_remove``; its route is live."""
    address = changed.removed.get(endpoint)
    if address is not None and not route.leads_to(address):
        return route.entry.route.on_remove
    return "drain" if endpoint in changed.resting else "keep"

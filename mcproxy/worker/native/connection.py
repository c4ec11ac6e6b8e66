"""A connection that the native core has, for whoever asks for all that are open."""

from collections.abc import Callable, Mapping

from mcproxy.net.native.addresses import unpack_peer
from mcproxy.net.native.core import Core
from mcproxy.net.native.records import COUNTED, Record
from mcproxy.net.sockets import packed_address
from mcproxy.net.told import LiveConnection
from mcproxy.worker.frontend.client import peer_text
from mcproxy.worker.native.names import Names, reason_number, stage_word
from mcproxy.worker.tools.gate import ClientGate


class NativeConnection:
    """An `OpenConnection` as it was when somebody asked; what is done to one that has ended since has no effect."""

    __slots__ = (
        "_core",
        "_counted",
        "_gate",
        "_listener",
        "_number",
        "_peer",
        "_route",
        "_settle_soon",
        "_stage",
        "_started_at",
        "endpoint_index",
    )

    def __init__(
        self, core: Core, names: Names, gate: ClientGate, record: Record, settle_soon: Callable[[], None]
    ) -> None:
        """Keep what a record tells; ``settle_soon`` has the core carry out what it was told."""
        self._core = core
        self._gate = gate
        self._settle_soon = settle_soon
        self._number = record.conn
        self._listener = names.listeners[record.listener]
        self._route = names.route(record)
        self._peer = unpack_peer(record)
        self._stage = record.stage
        self._started_at = record.started
        self._counted = bool(record.flags & COUNTED)
        self.endpoint_index = record.endpoint if record.endpoint >= 0 else None

    @property
    def route_index(self) -> int | None:
        """Return the index of its route's counters, None before it has a route."""
        return None if self._route is None else self._route.entry.index

    def belongs_to(self, listener: str, hostname: str) -> bool:
        """Tell whether it came in on a listener and has a route; "" stands for any."""
        return listener in ("", self._listener.addr) and (
            not hostname or (self._route is not None and self._route.entry.route.hostname == hostname)
        )

    def describe(self, now: float) -> LiveConnection:
        """Return what an operator wants to know."""
        route = "" if self._route is None else self._route.entry.route.hostname
        age = now - self._started_at
        return LiveConnection(self._listener.addr, route, peer_text(self._peer), stage_word(self._stage), age, 0)

    def count_client(self) -> None:
        """Have the gate count the client from now on, who came in before it did."""
        if not self._counted:
            self._counted = True
            token = self._gate.enter_late(packed_address(self._peer[0]))
            if self._core.count_client(self._number, token) < 0:
                self._gate.leave(token)

    def leave_routes(self, gone: Mapping[int, str], limit: float) -> None:
        """Do nothing: it has one route, or none yet."""

    def drain(self, limit: float) -> None:
        """Let it finish, until ``limit`` (monotonic seconds) at the latest."""
        self._core.drain(self._number, limit)

    def close(self, reason: str) -> None:
        """Close it soon; ``reason`` tells the access log why."""
        self._core.close(self._number, reason_number(reason))
        self._settle_soon()

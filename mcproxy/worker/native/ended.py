"""What is told and counted of connections that have ended in the native core: by the code that does it for those of Python."""

import os
import socket

from mcproxy.net.loop.relay import LateResetError
from mcproxy.net.native.addresses import packed_peer, unpack_peer
from mcproxy.net.native.records import CHOSEN, CLIENT_FIRST, COUNTED, EXACT, JOINED, LATE_RESET, Record, reader
from mcproxy.worker.frontend.client import peer_text
from mcproxy.worker.frontend.endpoint_dial import leave, note_end
from mcproxy.worker.frontend.outcome import Outcome
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.native.names import Names, reason_word
from mcproxy.worker.requests.refusals import UNTOLD
from mcproxy.worker.tools.line_shape import LineShape

_IPV4 = int(socket.AF_INET)
_fields = reader(
    *("table", "received", "sent", "token", "started", "dial_seconds", "route", "endpoint", "error", "flags", "family"),
    *("port", "_address", "reason"),
).unpack_from
_ALIKE = CLIENT_FIRST | EXACT  # flags that lines tell apart, where a connection has ended without an error


class _Ended(Outcome):
    """The outcome of a connection of which nothing else is here."""

    __slots__ = ()

    def __init__(self, reason: str) -> None:
        self.reason, self.failure, self.address, self.tries, self.dial_seconds = reason, None, None, 0, 0.0


class Ends:
    """Tells of connections that have ended."""

    __slots__ = ("_alike", "_names", "_tools")

    def __init__(self, tools: FrontendTools, names: Names) -> None:
        """Tell `tools`; ``names`` are those in records."""
        self._tools = tools
        self._names = names
        # for each kind of ordinary end the shape of its lines, the reason and the server's name if that is always the same
        self._alike: dict[tuple[int, ...], tuple[LineShape, str, bytes | None]] = {}

    def forget(self) -> None:
        """Forget what was made of names: others may have their numbers."""
        self._alike.clear()

    def tell(self, record: Record) -> None:
        """Count why a connection has ended, write its line of the access log, and give back its endpoint and the gate's token."""
        tools, log = self._tools, self._tools.log
        (table, received, sent, token, started, dial, route, endpoint, error, flags, family, port, address, why) = (
            _fields(record)
        )
        ordinary = sent and flags & JOINED and not error  # nothing is to be counted of it
        if ordinary and log.is_open:
            key = table, route, endpoint, why, flags & _ALIKE
            alike = self._alike.get(key)
            if alike is None:
                alike = self._alike[key] = self._shape(record, flags)
            shape, reason, name = alike
            if name is None:
                name = bytes(record.name[: record.name_length])
            client = f"{socket.inet_ntoa(address[:4])}:{port}" if family == _IPV4 else peer_text(unpack_peer(record))
            log.encoded(shape.filled(log.now(), client, name, received, sent, dial, tools.poller.now - started))
        elif ordinary:
            reason = ""
        else:
            reason = self._tell_whole(record, flags)
        if flags & CHOSEN:  # `endpoint` is counted by the core
            note_end(self._names.endpoints[endpoint], reason)
        elif endpoint >= 0:
            leave(self._names.endpoints[endpoint], tools.poller, received, sent, reason)
        if flags & COUNTED:
            tools.gate.leave(token)

    def _shape(self, record: Record, flags: int) -> tuple[LineShape, str, bytes | None]:
        names = self._names
        route = names.route(record)
        outcome = self._outcome(record, flags)
        name = names.server_name(record, route) if flags & EXACT else None
        line = outcome.log_line(names.listeners[record.listener].addr, route, "", name, 0, 0, 0.0)
        line.complete()
        return LineShape(line), outcome.reason, None if name is None else name.encode("ascii")

    def _tell_whole(self, record: Record, flags: int) -> str:
        """Count and write whatever there is to be told of a connection; return the reason."""
        tools, names = self._tools, self._names
        route, outcome = names.route(record), self._outcome(record, flags)
        listener, name = names.listeners[record.listener].addr, names.server_name(record, route)
        if outcome.reason and outcome.reason not in UNTOLD:
            source = packed_peer(record), record.port
            outcome.keep(tools.refusals, tools.poller.now, listener, route, source, name)
        if outcome.reason and tools.log.is_open:
            total, client = tools.poller.now - record.started, peer_text(unpack_peer(record))
            tools.log.connection(outcome.log_line(listener, route, client, name, record.received, record.sent, total))
        return outcome.reason

    def _outcome(self, record: Record, flags: int) -> _Ended:
        """Return how a connection has ended; count that, if it is an error."""
        route, endpoint = self._names.route(record), self._names.endpoint(record)
        outcome = _Ended(reason_word(record.reason))
        if flags & JOINED and route is not None:
            targets = route.targets if endpoint is None else endpoint.targets
            outcome.address, outcome.tries, outcome.dial_seconds = targets[0].addresses[0], 1, record.dial_seconds
            failure = outcome.note_end(_error(record), record.sent, client_first=bool(flags & CLIENT_FIRST))
            if failure is not None:
                self._tools.errors.failed(route.index, failure)
        return outcome


def _error(record: Record) -> OSError | None:
    """Return the error that has ended a relay, None without one."""
    if not record.error:
        return None
    words = os.strerror(record.error)
    return LateResetError(record.error, words) if record.flags & LATE_RESET else OSError(record.error, words)

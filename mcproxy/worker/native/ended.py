"""What is told and counted of connections that have ended in the native core: by the code that does it for those of Python."""

import os

from mcproxy.net.loop.relay import LateResetError
from mcproxy.net.native.addresses import packed_peer, unpack_peer
from mcproxy.net.native.core import Core
from mcproxy.net.native.records import (
    CHOSEN,
    CLIENT_FIRST,
    COUNTED,
    EXACT,
    JOINED,
    LATE_RESET,
    LOGGED,
    Record,
    reader,
)
from mcproxy.worker.frontend.client import peer_text
from mcproxy.worker.frontend.endpoint_dial import leave, note_end
from mcproxy.worker.frontend.outcome import Outcome
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.native.names import Names, reason_word
from mcproxy.worker.requests.refusals import UNTOLD
from mcproxy.worker.tools.access_log import ConnectionLine
from mcproxy.worker.tools.line_shape import parts_of

_fields = reader("received", "sent", "token", "endpoint", "error", "flags", "reason").unpack_from
_NAME = 3  # the part of a line behind the server's name


class _Ended(Outcome):
    """The outcome of a connection of which nothing else is here."""

    __slots__ = ()

    def __init__(self, reason: str) -> None:
        self.reason, self.failure, self.address, self.tries, self.dial_seconds = reason, None, None, 0, 0.0


class Ends:
    """Tells of connections that have ended."""

    __slots__ = ("_core", "_names", "_tools")

    def __init__(self, tools: FrontendTools, core: Core, names: Names) -> None:
        """Tell `tools`, and ``core`` what lines look like; ``names`` are those in records."""
        self._tools = tools
        self._core = core
        self._names = names

    def tell(self, record: Record) -> None:
        """Count why a connection has ended, write its line of the access log, and give back its endpoint and the gate's token."""
        tools = self._tools
        received, sent, token, endpoint, error, flags, why = _fields(record)
        ordinary = sent and flags & JOINED and not (error or why)  # nothing is to be counted of it, nor to be kept
        reason = ""
        if not (ordinary and (flags & LOGGED or not tools.log.is_open)):
            reason = self._tell_whole(record, flags, ordinary=bool(ordinary))
        if flags & CHOSEN:  # the core has counted it at its endpoint
            note_end(self._names.endpoints[endpoint], reason)
        elif endpoint >= 0:
            leave(self._names.endpoints[endpoint], tools.poller, received, sent, reason)
        if flags & COUNTED:
            tools.gate.leave(token)

    def _tell_whole(self, record: Record, flags: int, *, ordinary: bool) -> str:
        """Count and write whatever there is to be told of a connection; return the reason."""
        tools, names = self._tools, self._names
        route, outcome = names.route(record), self._outcome(record, flags)
        listener, name = names.listeners[record.listener].addr, names.server_name(record, route)
        if outcome.reason and outcome.reason not in UNTOLD:
            source = packed_peer(record), record.port
            outcome.keep(tools.refusals, tools.poller.now, listener, route, source, name)
        if outcome.reason and tools.log.is_open:
            total, client = tools.poller.now - record.started, peer_text(unpack_peer(record))
            line = outcome.log_line(listener, route, client, name, record.received, record.sent, total)
            tools.log.connection(line)
            if ordinary:
                self._teach(record, line, flags)
        return outcome.reason

    def _teach(self, record: Record, line: ConnectionLine, flags: int) -> None:
        """Have the core write all further lines that are like one."""
        parts = parts_of(line)
        if flags & EXACT:
            parts[_NAME] = line.sni.encode("ascii") + parts[_NAME]
        try:
            self._core.shape(record, parts)
        except OSError as error:  # no memory: the next one is asked about again
            self._tools.poller.report(error)

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

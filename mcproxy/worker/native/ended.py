"""What is told and counted of connections that have ended in the native core: by the code that does it for those of Python."""

import os

from mcproxy.net.loop.relay import LateResetError
from mcproxy.net.native.addresses import unpack_peer
from mcproxy.net.native.records import CLIENT_FIRST, COUNTED, JOINED, LATE_RESET, Record
from mcproxy.worker.frontend.client import peer_text
from mcproxy.worker.frontend.endpoint_dial import leave
from mcproxy.worker.frontend.outcome import Outcome
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.native.names import Names, reason_word


def tell_end(tools: FrontendTools, names: Names, record: Record) -> None:
    """Count why a connection has ended, write its line of the access log, and give back its endpoint and the gate's token."""
    route, endpoint = names.route(record), names.endpoint(record)
    outcome = _Ended(reason_word(record.reason))
    if record.flags & JOINED and route is not None:
        targets = route.targets if endpoint is None else endpoint.targets
        outcome.address, outcome.tries, outcome.dial_seconds = targets[0].addresses[0], 1, record.dial_seconds
        failure = outcome.note_end(_error(record), record.sent, client_first=bool(record.flags & CLIENT_FIRST))
        if failure is not None:
            tools.errors.failed(route.entry.index, failure)
    if outcome.reason and tools.log.is_open:
        listener, name = names.listeners[record.listener].addr, names.server_name(record, route)
        total, client = tools.poller.now - record.started, peer_text(unpack_peer(record))
        tools.log.connection(outcome.log_line(listener, route, client, name, record.received, record.sent, total))
    if endpoint is not None:
        leave(endpoint, tools.poller, record.received, record.sent, outcome.reason)
    if record.flags & COUNTED:
        tools.gate.leave(record.token)


class _Ended(Outcome):
    """The outcome of a connection of which nothing else is here."""

    __slots__ = ()

    def __init__(self, reason: str) -> None:
        self.reason, self.failure, self.address, self.tries, self.dial_seconds = reason, None, None, 0, 0.0


def _error(record: Record) -> OSError | None:
    """Return the error that has ended a relay, None without one."""
    if not record.error:
        return None
    words = os.strerror(record.error)
    return LateResetError(record.error, words) if record.flags & LATE_RESET else OSError(record.error, words)

"""Connections that the native core has begun and left to Python, wherever they were: nothing of what they sent is consumed."""

import errno
from collections.abc import Callable

from mcproxy.model.values.reasons import Failure
from mcproxy.net.loop.poller import HANGUP
from mcproxy.net.native.addresses import unpack_peer
from mcproxy.net.native.records import COUNTED, DRAINING, ENTERED, HELLO_TIMEOUT, Record
from mcproxy.net.sockets import accepted
from mcproxy.worker.backends.dial import Dial
from mcproxy.worker.frontend.connection import Connection
from mcproxy.worker.frontend.relay_limits import NEVER
from mcproxy.worker.frontend.tools import FrontendTools
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.listener import LiveListener, LiveRoute


class TakenConnection(Connection):
    """A connection that the core has accepted, and admitted. It is to go on by one of its own methods."""

    __slots__ = ()

    def __init__(self, tools: FrontendTools, listener: LiveListener, record: Record, fd: int) -> None:
        """Take over the client's descriptor, and what the record tells."""
        super().__init__(tools, listener, accepted(record.family, fd), unpack_peer(record))
        self._started_at = record.started
        self._hangup = record.mask & HANGUP
        if record.flags & COUNTED:
            self._client.counted = record.token
        tools.registry.connections.add(self)

    def go_on(self, record: Record) -> None:
        """Begin with what has come: the core has not got further than the ClientHello."""
        self._drain_as(record)
        if record.reason == HELLO_TIMEOUT:
            self._refuse("hello_timeout")
            return
        (self._read_on if record.flags & ENTERED else self._enter)()
        if self._stage_limit < NEVER:  # the hello is not complete: its time runs since it was accepted
            tools = self._tools
            self._stage_limit = record.started + tools.settings.timeouts.client_hello
            tools.deadlines.set(self, self._stage_limit)

    def refuse(self, reason: str) -> None:
        """Refuse the client: the gate does not let it in."""
        self._refuse(reason)

    def fail(self, route: LiveRoute, server_name: str | None, failure: Failure) -> None:
        """Reset a client whose route has no endpoint."""
        self._lead(route, server_name)
        self._fail(failure)

    def dial(self, route: LiveRoute, server_name: str | None, endpoint: LiveEndpoint | None, record: Record) -> None:
        """Dial the route's backend, or the endpoint that was chosen, by which the connection counts already."""
        self._dial_by(route, server_name, endpoint, record, Dial.start)

    def on_dial_lost(
        self, route: LiveRoute, server_name: str | None, endpoint: LiveEndpoint | None, record: Record
    ) -> None:
        """Go on where a dial has failed, or the client has gone meanwhile."""
        if not record.error:
            self._lead(route, server_name)
            self.endpoint = endpoint
            self._refuse("client_gone")
        elif record.error == errno.EAGAIN:  # a Unix socket whose queue is full: nothing tells when it has room
            self.dial(route, server_name, endpoint, record)
        else:
            code, began_at = record.error, record.dialed
            self._dial_by(route, server_name, endpoint, record, lambda dial: dial.go_on(code, began_at))

    def _dial_by(
        self,
        route: LiveRoute,
        server_name: str | None,
        endpoint: LiveEndpoint | None,
        record: Record,
        begin: Callable[[Dial], None],
    ) -> None:
        tools = self._tools
        self._lead(route, server_name)
        self._drain_as(record)
        self.endpoint = endpoint
        targets = route.targets if endpoint is None else endpoint.targets
        self._dial = Dial(tools.dial, self, targets, self._listener.dial_seconds, self, route.connect_timeout)
        tools.poller.watch(self._client.sock.fileno(), self._on_waiting_event)
        begin(self._dial)

    def _lead(self, route: LiveRoute, server_name: str | None) -> None:
        """Note the route, which counts the connection already."""
        self.route, self._server_name = route, server_name

    def _drain_as(self, record: Record) -> None:
        """Drain, if the core was told that it is to."""
        if record.flags & DRAINING:
            self.drain(record.active)

"""The methods of the admin API about open connections: to look at them, and to close them."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.canonical import canonical, route_of
from mcproxy.control.admin.changes import content_of, seconds_of, told
from mcproxy.control.admin.server import Caller
from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.system import log
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import InvalidRequestError
from mcproxy.model.edits.requests import require_listener
from mcproxy.model.values import addresses
from mcproxy.net.ipc import Ask
from mcproxy.net.told import LiveConnection

_LIMIT = 1000  # connections that are described when nobody says how many


class AdminConnections:
    """Answers ListConnections and CloseConnections; see `admin_server.Handlers`.

    Attributes:
        unary: the methods by name.
    """

    def __init__(self, current: Current, workers: Workers) -> None:
        self._current = current
        self._workers = workers
        self._log = log.logger()
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            "ListConnections": self._list,
            "CloseConnections": self._close,
        }

    async def _list(self, request: pb.ListConnectionsRequest, _: Caller) -> pb.ListConnectionsResponse:
        limit = request.limit or _LIMIT
        listener, hostname = route_of(request)
        found, total = await self._workers.questions.connections(Ask(0, limit, listener, hostname))
        if listener and not total:  # a listener that is gone may have some
            require_listener(self._current.merged.state, listener)
        return pb.ListConnectionsResponse(total=total, connections=_messages(found, limit))

    async def _close(self, request: pb.CloseConnectionsRequest, caller: Caller) -> pb.CloseConnectionsResponse:
        wrong: list[tuple[str, str]] = []
        author, reason = (told(name, getattr(request, name), name, wrong) for name in ("author", "reason"))
        drain = seconds_of(request.drain, 0.0) if request.HasField("drain") else 0.0
        if drain is None:
            wrong.append(("drain", "must be a time, of at most ten years"))
            request.ClearField("drain")  # JSON has no form for durations that are none
        which = [name for name in ("listener", "hostname", "client") if getattr(request, name)]
        if bool(which) == request.all:
            wrong.append((which[0] if which else "listener", "name a listener, a route or a client, or say all"))
        listener = hostname = client = ""
        try:
            listener, hostname = route_of(request)
            client = canonical("client", request.client, _client)
        except InvalidRequestError as error:
            wrong = [*error.violations, *wrong]
        if wrong or drain is None:
            raise InvalidRequestError(tuple(wrong))
        found, total = await self._workers.questions.connections(Ask(0, _LIMIT, listener, hostname, client, drain))
        if listener and not total:
            require_listener(self._current.merged.state, listener)
        about = " ".join(filter(None, (listener, hostname, client))) or "all"
        await self._record(
            Mutation(
                time=time.time(),
                action="CloseConnections",
                target=about,
                author=caller.name or author,
                verified=bool(caller.name),
                reason=reason,
                request=content_of(request),
            )
        )
        by = f" by {caller.name or author}" if caller.name or author else ""
        self._log.info("connections closed", connections=total, of=about, author=caller.name or author)
        self._current.events.publish("connections", f"{total} closed of {about}{by}", self._current.applier.generation)
        return pb.CloseConnectionsResponse(closed=total, connections=_messages(found, _LIMIT))

    async def _record(self, mutation: Mutation) -> None:
        """Put a request on record; that a database does not answer does not keep connections open."""
        with contextlib.suppress(StoreError):
            await self._current.edits.store.mutate(mutation)


def _messages(found: Iterable[tuple[int, LiveConnection]], limit: int) -> list[pb.Connection]:
    """Return the oldest connections as messages."""
    messages = []
    for pid, connection in sorted(found, key=lambda pair: -pair[1].age)[:limit]:
        message = pb.Connection(
            listener=connection.listener,
            route=connection.route,
            client=connection.client,
            stage=connection.stage,
            worker_pid=pid,
            streams=connection.streams,
        )
        message.age.FromMilliseconds(int(connection.age * 1000))
        messages.append(message)
    return messages


def _client(text: str) -> str:
    """Return an address, or an address and a port, in canonical form; raises ValueError for the user."""
    with contextlib.suppress(ValueError):
        return addresses.parse_ip(text)
    if text.startswith(":"):
        raise ValueError("a client is an address, or an address and a port: 192.0.2.1:1234, [2001:db8::1]:1234")
    return addresses.parse_listen(text)

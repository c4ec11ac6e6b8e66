"""The data of `PoolState`: requests, connections and decisions."""

from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from mcproxy.model.values.reasons import Failure

Spoken: TypeAlias = Literal["h2", "http/1.1"]


class Request(Protocol):
    """A request, as a pool knows it.

    Attributes:
        began_at: when its head had come.
        dials: how many it has waited for in vain, or got the connection of; counted here.
    """

    began_at: float
    dials: int


R = TypeVar("R", bound=Request)
C = TypeVar("C")


class Bounds(Protocol):
    """What one pool may take up; the names are keys of ``[limits]``.

    Attributes:
        backend_connections: dials under way and connections, in all.
        backend_waiting: requests that wait while no dial may be made for them.
    """

    backend_connections: int
    backend_waiting: int


class Dial(msgspec.Struct, Generic[R], eq=False):
    """Dial, and tell `PoolState.settled` or `PoolState.failed` of the end.

    Attributes:
        request: one that it is made for.
        speaks: what the backend is known to speak, None if that is to be found out.
        alone: it must speak HTTP/1.1: for a WebSocket that no multiplexed connection takes.
        again: an earlier one has failed.
        round: of the `Backoff`.
    """

    request: R
    speaks: Spoken | None
    alone: bool
    again: bool
    round: int


class Link(msgspec.Struct, Generic[C], eq=False):
    """A connection that can take requests, or could.

    Attributes:
        connection: itself.
        round: of the `Backoff`, when it was dialed.
        alone: it was dialed for a WebSocket, see `Dial`.
        multiplexed: it takes many requests at once.
        websockets: WebSockets are among them.
        room: it has not refused a request since it last told of room.
        attached: how many it has got.
        proven: a response has come.
        used_at: when it was used last.
    """

    connection: C
    round: int
    alone: bool
    multiplexed: bool
    websockets: bool
    used_at: float
    room: bool = True
    attached: int = 0
    proven: bool = False


class Attach(msgspec.Struct, Generic[R, C], eq=False):
    """Put a request on a connection; if that takes none, tell `PoolState.not_attached`."""

    request: R
    link: Link[C]
    websocket: bool


class Fail(msgspec.Struct, Generic[R], eq=False):
    """Answer a request with an error, because of a failure."""

    request: R
    status: int
    failure: Failure


class Close(msgspec.Struct, Generic[C], eq=False):
    """Close a connection when what is under way there is done."""

    connection: C


class Count(msgspec.Struct, eq=False):
    """Count that a limit was hit."""

    limit: Literal["backend_connections", "backend_waiting"]


Decision: TypeAlias = Attach[R, C] | Fail[R] | Close[C] | Count | Dial[R]

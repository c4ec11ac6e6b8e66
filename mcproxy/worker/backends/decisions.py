"""The data of `PoolState`: requests, connections and decisions."""

import itertools
from collections import OrderedDict
from collections.abc import Iterator
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

    def may_leave(self) -> bool:
        """Tell whether it could go to another backend instead of waiting for this one."""


_SPARED = 8  # one connection of so many

R = TypeVar("R", bound=Request)
C = TypeVar("C")


class Bounds(Protocol):
    """What one pool may take up; the names are keys of ``[limits]``.

    Attributes:
        backend_connections: dials under way and connections, in all; an eighth of them for clients with few requests.
        backend_waiting: requests that wait while no dial may be made for them.
    """

    backend_connections: int
    backend_waiting: int


def share(bounds: Bounds, *, modest: bool) -> int:
    """Return how many connections requests may have in all: some are spared for ``modest`` ones, whose clients have few."""
    most = bounds.backend_connections
    return most if modest else most - most // _SPARED


class Line(Generic[R]):
    """Requests that wait: those of clients with few of them first, and otherwise the one that came first.

    Attributes:
        modest: those of clients with few.
        others: those of clients with many.
    """

    __slots__ = ("modest", "others")

    def __init__(self) -> None:
        self.modest: OrderedDict[R, None] = OrderedDict()
        self.others: OrderedDict[R, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.modest) + len(self.others)

    def __iter__(self) -> Iterator[R]:
        return itertools.chain(self.modest, self.others)

    def add(self, request: R, *, modest: bool) -> None:
        """Let a request wait."""
        (self.modest if modest else self.others)[request] = None

    def put_back(self, request: R) -> None:
        """Let a request that was taken be the first one again."""
        self.modest[request] = None
        self.modest.move_to_end(request, last=False)

    def take(self) -> R:
        """Remove the first one and return it."""
        request, _ = (self.modest or self.others).popitem(last=False)
        return request


class Waiting(Generic[R]):
    """All requests that wait for a connection.

    Attributes:
        plain: those that any connection can take.
        websockets: WebSockets.
    """

    __slots__ = ("plain", "websockets")

    def __init__(self) -> None:
        self.plain: Line[R] = Line()
        self.websockets: Line[R] = Line()

    def __len__(self) -> int:
        return len(self.plain) + len(self.websockets)

    def __iter__(self) -> Iterator[R]:
        return itertools.chain(self.plain, self.websockets)

    @property
    def modest(self) -> int:
        """How many are of clients with few."""
        return len(self.plain.modest) + len(self.websockets.modest)

    @property
    def websocket_first(self) -> bool:
        """Whether the WebSocket that is the first of its kind came before the other requests."""
        if self.plain and self.websockets:
            return next(iter(self.websockets)).began_at <= next(iter(self.plain)).began_at
        return bool(self.websockets)

    def line(self, *, websocket: bool) -> Line[R]:
        """Return the line for one kind."""
        return self.websockets if websocket else self.plain

    def remove(self, request: R) -> bool:
        """Forget a request; tell whether it was there."""
        for line in (self.plain.modest, self.plain.others, self.websockets.modest, self.websockets.others):
            if request in line:
                del line[request]
                return True
        return False

    def charge(self, most: int) -> list[R]:
        """Count a dial that all have waited for; remove those that have waited for so many, and return them."""
        for request in self:
            request.dials += 1
        spent = [request for request in self if request.dials >= most]
        for request in spent:
            self.remove(request)
        return spent

    def wanted(self, *, each: bool, apart: bool, modest: bool) -> tuple[int, int]:
        """Return how many dials are to be under way: for anything that waits, or is ``modest``, and for WebSockets alone.

        Args:
            each: a connection takes one request at a time.
            apart: it takes many, but no WebSockets.
            modest: count only those of clients with few.
        """
        if each:
            return (self.modest if modest else len(self)), 0
        if self.websockets and apart:
            return min(1, len(self.plain)), len(self.websockets.modest if modest else self.websockets)
        return 1, 0

    def leaving(self) -> list[R]:
        """Remove those that could go to another backend, and return them."""
        found = [request for request in self if request.may_leave()]
        for request in found:
            self.remove(request)
        return found

    def clear(self) -> list[R]:
        """Remove all, and return them."""
        everybody = list(self)
        self.plain, self.websockets = Line(), Line()
        return everybody


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
    """Answer a request with an error, because of a failure; ``spared``: it goes to another backend instead of waiting."""

    request: R
    status: int
    failure: Failure
    spared: bool = False


class Close(msgspec.Struct, Generic[C], eq=False):
    """Close a connection when what is under way there is done."""

    connection: C


class Count(msgspec.Struct, eq=False):
    """Count that a limit was hit."""

    limit: Literal["backend_connections", "backend_waiting"]


Decision: TypeAlias = Attach[R, C] | Fail[R] | Close[C] | Count | Dial[R]

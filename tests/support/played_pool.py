"""A pool's state, played by hand: what happens goes in, the decisions come out as lines of text.

    pool.asks("a")            -> ["dial 1"]
    pool.settles(1, "h2")     -> ["attach a to 1"]

Requests have names. Dials are numbered from 1, and a connection has the number of the dial that has brought it.
"""

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.worker.backends.backoff import Backoff
from mcproxy.worker.backends.decisions import Attach, Close, Count, Dial, Fail, Spoken
from mcproxy.worker.backends.pool_state import PoolState


class PlayedRequest(msgspec.Struct, eq=False):
    """A request, and what has become of it; ``movable``: another backend could take it."""

    name: str
    websocket: bool
    began_at: float
    dials: int = 0
    modest: bool = True
    movable: bool = False

    def may_leave(self) -> bool:
        return self.movable


class PlayedBounds(msgspec.Struct):
    """How much a pool may take up."""

    backend_connections: int = 100
    backend_waiting: int = 100


class PlayedPool:
    """Does what the shell does, except that nothing is dialed, and connections take requests as the test says.

    Attributes:
        now: the time, which the test moves.
        limits: by number of the connection, how many requests it takes at once, 1 for those that speak HTTP/1.1.
        dials: all of them, by number.
        under_way: numbers of those that have not ended.
        on_it: the requests on each connection.
    """

    def __init__(
        self,
        protocol: Spoken | None = None,
        *,
        tls: bool = False,
        bounds: PlayedBounds | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.now = 100.0
        self.bounds = bounds or PlayedBounds()
        self.backoff = backoff or Backoff(lambda: 0.5)  # so pauses have their exact length
        self.state: PoolState[PlayedRequest, int] = PoolState(protocol or "auto", tls=tls, backoff=self.backoff)
        self.limits: dict[int, int] = {}
        self.multiplexed: set[int] = set()
        self.dials: dict[int, Dial[PlayedRequest]] = {}
        self.under_way: set[int] = set()
        self.on_it: dict[int, list[PlayedRequest]] = {}
        self.known: dict[str, PlayedRequest] = {}

    # What happens

    def asks(self, *names: str, websocket: bool = False, modest: bool = True) -> list[str]:
        """Requests come, one after another, of clients that have few of them if they are ``modest``."""
        lines = []
        for name in names:
            request = self.known.setdefault(name, PlayedRequest(name, websocket, self.now, modest=modest))
            lines += self._ask(request)
        return lines

    def leaves(self, name: str) -> list[str]:
        """A request's client gives up while it waits."""
        self.state.abandon(self.known[name])
        return self.decisions()

    def settles(self, number: int, speaks: Spoken, *, takes: int = 100, websockets: bool = False) -> list[str]:
        """A dial brings a connection that takes so many requests at once."""
        self.under_way.remove(number)
        multiplexed = speaks == "h2"
        self.limits[number] = takes if multiplexed else 1
        self.on_it[number] = []
        if multiplexed:
            self.multiplexed.add(number)
        self.state.settled(
            self.dials[number], number, self.now, multiplexed=multiplexed, websockets=websockets and multiplexed
        )
        return self.decisions()

    def fails(self, number: int, reason: str = "backend_refused") -> list[str]:
        """A dial brings no connection."""
        self.under_way.remove(number)
        self.state.failed(self.dials[number], Failure(reason), self.now)
        return self.decisions()

    def says_nothing(self, number: int) -> list[str]:
        """A dial brings a connection that is closed before anything was said on it."""
        self.under_way.remove(number)
        self.state.unspoken(self.dials[number], self.now)
        return self.decisions()

    def answers(self, number: int) -> list[str]:
        """The oldest request of a connection gets its whole response."""
        self.state.proven(number)
        lines = self.decisions()
        del self.on_it[number][0]
        if number in self.multiplexed:
            self.state.room(number)
        else:
            self.state.free(number, self.now)
        return lines + self.decisions()

    def goes_away(self, number: int, *, untouched: bool = False, orderly: bool = True) -> list[str]:
        """A connection takes no more requests, and has taken none of those there if it is untouched."""
        self.limits[number] = 0
        self.state.left(number, self.now, untouched=untouched, orderly=orderly)
        return self.decisions()

    def dies(self, number: int, *, by_us: bool = False) -> list[str]:
        """A connection is closed, with all that is on it; ``by_us`` because nobody wanted that any more."""
        broken = bool(self.on_it[number]) and not by_us
        del self.limits[number], self.on_it[number]
        self.state.lost(number, self.now, broken=broken)
        return self.decisions()

    def waits(self, seconds: float) -> list[str]:
        """Time passes."""
        self.now += seconds
        self.state.close_unused(self.now)
        return self.decisions()

    def retires(self) -> list[str]:
        """No route leads here any more."""
        self.state.retire()
        return self.decisions()

    # What follows

    def decisions(self) -> list[str]:
        """Carry out whatever is decided."""
        lines = []
        while (decision := self.state.decide(self.now, self.bounds)) is not None:
            match decision:
                case Dial():
                    lines.append(self._dial(decision))
                case Attach(request, link):
                    if self._takes(link.connection):
                        self.on_it[link.connection].append(request)
                        lines.append(f"attach {request.name} to {link.connection}")
                    else:
                        self.state.not_attached(decision, self.now)
                case Fail(request, status, failure, spared):
                    lines.append(f"{'spare' if spared else 'fail'} {request.name} {status} {failure.reason}")
                case Close(connection):
                    lines.append(f"close {connection}")
                case Count(limit):
                    lines.append(f"count {limit}")
        return lines

    def _ask(self, request: PlayedRequest) -> list[str]:
        kind = {"websocket": request.websocket, "modest": request.modest}
        while (link := self.state.place(self.bounds, **kind)) is not None:
            if self._takes(link.connection):
                self.on_it[link.connection].append(request)
                return [f"attach {request.name} to {link.connection}"]
            self.state.refused(link, self.now)
        self.state.wait(request, self.bounds, **kind)
        return self.decisions()

    def _takes(self, number: int) -> bool:
        return number in self.limits and len(self.on_it[number]) < self.limits[number]

    def _dial(self, dial: Dial[PlayedRequest]) -> str:
        number = len(self.dials) + 1
        self.dials[number] = dial
        self.under_way.add(number)
        words = [f"dial {number}", dial.speaks or "", "alone" if dial.alone else "", "again" if dial.again else ""]
        return " ".join(word for word in words if word)

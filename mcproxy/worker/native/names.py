"""What the numbers in records stand for: routes, endpoints, reasons, server names."""

from mcproxy.net.native.records import CHOICE, DIAL, EXACT, GATE, HALF_CLOSED, HELLO, REASONS, RELAY, Record
from mcproxy.worker.live.endpoint import LiveEndpoint
from mcproxy.worker.live.listener import LiveListener, LiveRoute

_OF_THE_CORE = ("", "idle_timeout", "half_closed_timeout", "drained", "hello_timeout")
_OF_PYTHON = ("closed", "route_removed", "endpoint_removed", "failed")
_STAGES = {GATE: "hello", HELLO: "hello", CHOICE: "dial", DIAL: "dial", RELAY: "relay", HALF_CLOSED: "half_closed"}


def reason_number(word: str) -> int:
    """Return what stands for a reason why Python closes a connection; raises ValueError for one that is none."""
    return REASONS + _OF_PYTHON.index(word)


def reason_word(number: int) -> str:
    """Return the reason that a number stands for, "" for none."""
    return _OF_PYTHON[number - REASONS] if number >= REASONS else _OF_THE_CORE[number]


def stage_word(number: int) -> str:
    """Return the word for where a connection is, as operators are told it."""
    return _STAGES[number]


class Names:
    """The listeners, routes and endpoints that records of this worker name.

    Attributes:
        listeners: by their tag.
        tables: the routes of every table that a connection may use, by its number.
        endpoints: those that connections were led to, by index.
    """

    __slots__ = ("endpoints", "listeners", "tables")

    def __init__(self) -> None:
        self.listeners: dict[int, LiveListener] = {}
        self.tables: dict[int, list[LiveRoute]] = {}
        self.endpoints: dict[int, LiveEndpoint] = {}

    def route(self, record: Record) -> LiveRoute | None:
        """Return the route of a connection, None before it has one."""
        number = record.route
        return None if number < 0 else self.tables[record.table][number]

    def endpoint(self, record: Record) -> LiveEndpoint | None:
        """Return the endpoint that a connection was led to, None for a single address."""
        return self.endpoints[record.endpoint] if record.endpoint >= 0 else None

    def server_name(self, record: Record, route: LiveRoute | None) -> str | None:
        """Return what the ClientHello has asked for, None for nothing."""
        if record.flags & EXACT and route is not None:
            return route.entry.route.hostname
        return bytes(record.name[: record.name_length]).decode("ascii") if record.name_length else None

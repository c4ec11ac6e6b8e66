"""What the shared parts of a worker ask of the connections that use them."""

from collections.abc import Mapping
from typing import Protocol

from mcproxy.net.told import LiveConnection


class TakesTurns(Protocol):
    """A connection whose input is handled in shares, and whose output is written once per turn of the loop."""

    def go_on(self) -> None:
        """Handle the next share of what has come."""

    def flush(self) -> None:
        """Write what the turn has produced."""

    def abort(self) -> None:
        """Close at once with a reset."""


class OpenConnection(Protocol):
    """A client's connection, as operators and snapshots that replace its route deal with it."""

    @property
    def route_index(self) -> int | None:
        """Return the index of its route's counters, None before it has a route, and where each request has its own."""

    @property
    def endpoint_index(self) -> int | None:
        """Return the index of the endpoint of an upstream that it is at, None for L7 and for single addresses."""

    def belongs_to(self, listener: str, hostname: str) -> bool:
        """Tell whether it came in on a listener and has a route; "" stands for any."""

    def describe(self, now: float) -> LiveConnection:
        """Return what an operator wants to know; ``now`` in monotonic seconds."""

    def count_client(self) -> None:
        """Have the gate count its client from now on, who came in before it did."""

    def leave_routes(self, gone: Mapping[int, str], limit: float) -> None:
        """End what it does for routes that are gone, if its requests have a route each.

        Args:
            gone: the routes' ``on_remove`` by the indices of their counters.
            limit: until when those may go on that are drained (monotonic seconds).
        """

    def drain(self, limit: float) -> None:
        """Let it finish, until ``limit`` (monotonic seconds) at the latest."""

    def close(self, reason: str) -> None:
        """Close it now; ``reason`` tells the access log why."""

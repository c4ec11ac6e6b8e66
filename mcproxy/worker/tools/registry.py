"""The connections of a worker that are open."""

from collections.abc import Callable
from typing import Protocol

from mcproxy.worker.tools.interfaces import OpenConnection


class Elsewhere(Protocol):
    """Has connections of clients that no object of this process stands for, until somebody asks."""

    def open(self) -> int:
        """Return how many there are."""

    def listed(self) -> list[OpenConnection]:
        """Return an object for each of them; one that has ended meanwhile is no error."""


class Registry:
    """Holds every client connection from accept to its end.

    Attributes:
        connections: those that are open and that this process looks after itself.
        elsewhere: who has others, None for nobody.
    """

    __slots__ = ("_on_idle", "connections", "elsewhere")

    def __init__(self, on_idle: Callable[[], None]) -> None:
        """``on_idle`` is called whenever the last connection has gone."""
        self.connections: set[OpenConnection] = set()
        self.elsewhere: Elsewhere | None = None
        self._on_idle = on_idle

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that has ended."""
        connections = self.connections
        connections.discard(connection)
        if not connections:
            self.look()

    def look(self) -> None:
        """Tell if the last connection has gone."""
        if self.is_empty():
            self._on_idle()

    def is_empty(self) -> bool:
        """Tell whether no connection is open."""
        return not self.connections and (self.elsewhere is None or not self.elsewhere.open())

    def all(self) -> list[OpenConnection]:
        """Return all that are open now, those of `elsewhere` too."""
        own = list(self.connections)
        return own if self.elsewhere is None else own + self.elsewhere.listed()

"""The connections of a worker that are open."""

from collections.abc import Callable

from mcproxy.worker.tools.interfaces import OpenConnection


class Registry:
    """Holds every client connection from accept to its end.

    Attributes:
        connections: those that are open.
    """

    __slots__ = ("_on_idle", "connections")

    def __init__(self, on_idle: Callable[[], None]) -> None:
        """``on_idle`` is called whenever the last connection has gone."""
        self.connections: set[OpenConnection] = set()
        self._on_idle = on_idle

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that has ended."""
        connections = self.connections
        connections.discard(connection)
        if not connections:
            self._on_idle()

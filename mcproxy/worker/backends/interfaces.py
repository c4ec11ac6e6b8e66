"""What a backend's connection tells the pool it belongs to."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcproxy.worker.backends.h1_backend import H1Backend
    from mcproxy.worker.backends.h2_backend import H2Backend


class PoolOfConnections(Protocol):
    """A pool, as its connections see it."""

    def on_settled(self, connection: "H2Backend") -> None:
        """The backend speaks HTTP/2 and takes streams."""

    def on_room(self, connection: "H2Backend") -> None:
        """Streams may have ended: there may be room for those that wait."""

    def on_idle(self, connection: "H1Backend") -> None:
        """An HTTP/1.1 connection is free for another exchange."""

    def on_goaway(self, connection: "H2Backend") -> None:
        """The backend takes no more streams on this connection."""

    def on_lost(self, connection: "H1Backend | H2Backend") -> None:
        """The connection is closed."""

"""HTTP, of which a worker loads nothing before the first route that terminates it: that is a tenth of a start."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from mcproxy.worker.http.termination import Termination, TerminationOwner
    from mcproxy.worker.live.arrival import Arrival
    from mcproxy.worker.live.pools import Pools


class HttpParts(msgspec.Struct, frozen=True, eq=False):
    """What there is of it once it is loaded.

    Attributes:
        terminate: takes over the connection of a client.
        pools: the connections to backends.
    """

    terminate: "Callable[[TerminationOwner, Arrival], Termination]"
    pools: "Pools"


class LateHttp:
    """Loads it.

    Attributes:
        parts: None before.
    """

    __slots__ = ("_make", "parts")

    def __init__(self, make: Callable[[], HttpParts]) -> None:
        self._make = make
        self.parts: HttpParts | None = None

    def load(self) -> HttpParts:
        """Return what there is of it, which takes long the first time; a snapshot does that, so that no client waits for it."""
        if self.parts is None:
            self.parts = self._make()
        return self.parts

"""What the guard is told of everything that is made live."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import State


class Asked(NamedTuple):
    """A request that wants to be watched: its id in the audit, and for how many seconds, 0.0 for as long as the settings say."""

    receipt: int
    seconds: float


class Step(NamedTuple):
    """Something that is about to be made live.

    Attributes:
        origin: what brings it about, as in the history.
        before, after: the states.
        plan: from the one to the other.
        renewed: paths of files that are named as before, and hold something else.
        asked: what a request asks for; None for nothing, and where no request is behind it.
        revision: of the fleet's document that is live with it; 0 for none.
    """

    origin: str
    before: State
    after: State
    plan: Plan
    renewed: Sequence[str]
    asked: Asked | None
    revision: int = 0


Follow: TypeAlias = Callable[[int], Awaitable[float]]
"""Takes note that a step is live, as the generation of a number; returns until when it is watched (seconds since the epoch), 0.0 for not at all."""


class Guarding(Protocol):
    """Who watches what is made live."""

    def look_ahead(self, step: Step) -> Follow:
        """Take note of how all is before a step; what is returned is called when it is live, and never if that fails."""


class Unguarded:
    """Nobody watches."""

    def look_ahead(self, step: Step) -> Follow:  # noqa: ARG002 - see `Guarding`
        """See `Guarding.look_ahead`."""
        return _unwatched


async def _unwatched(_: int) -> float:
    return 0.0

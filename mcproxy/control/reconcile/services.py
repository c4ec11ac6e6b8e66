"""What control itself serves beside the listeners (the admin API, metrics): bound and changed in step with the state."""

from typing import Protocol

from mcproxy.model.state.state import State


class PreparedService(Protocol):
    """A prepared change of a service."""

    async def commit(self) -> None:
        """Serve as prepared, and end what was served before."""

    async def undo(self) -> None:
        """Give up what was prepared; what was served before goes on."""


class Service(Protocol):
    """Something that listens where settings say."""

    async def prepare(self, desired: State) -> PreparedService | None:
        """Bind what a state wants and is not bound yet; None when nothing changes.

        Raises:
            ApplyError: it can't be bound; nothing has changed.
        """

    async def stop(self) -> None:
        """Serve no more."""

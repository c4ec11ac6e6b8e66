"""Whether the fleet's store is there: since when, and why not."""

import time
from collections.abc import Callable

import msgspec

from mcproxy.control.fleet.store.errors import FleetStoreError
from mcproxy.control.system import log
from mcproxy.model.values.figures import clock_time


class Contact(msgspec.Struct, frozen=True):
    """How it stands with the store.

    Attributes:
        connected: it answers.
        since: for how long that is so, or not, in seconds since the epoch.
        why: it does not; "" if it does.
        last: when it answered last, in seconds since the epoch; 0.0 for never.
    """

    connected: bool = False
    since: float = 0.0
    why: str = "it has not been asked yet"
    last: float = 0.0


class Link:
    """Follows how it stands, and tells of changes.

    Attributes:
        contact: how it stands.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        """Have ``tell`` called with a line for people when the store goes or comes back."""
        self._tell = tell
        self._clock = clock
        self._log = log.logger()
        self.contact = Contact(since=clock())

    def answered(self) -> None:
        """Note that the store has answered."""
        now, before = self._clock(), self.contact
        if before.connected:
            self.contact = msgspec.structs.replace(before, last=now)
            return
        self.contact = Contact(connected=True, since=now, why="", last=now)
        away = now - before.since
        what = "the fleet's store is there again" if before.last else "the fleet's store is there"
        self._log.info(what, seconds_away=round(away, 1))
        self._tell(what)

    def failed(self, error: FleetStoreError) -> None:
        """Note that it has not."""
        before, why = self.contact, str(error)
        if not before.connected and before.why == why:
            return
        since = self._clock() if before.connected else before.since
        self.contact = Contact(connected=False, since=since, why=why, last=before.last)
        what = "the fleet's store is away; what is known of it is served on, and can't be changed"
        self._log.error(what, why=why)
        if before.connected:
            self._tell(f"{what}: {why}")

    def known(self, seen: float) -> None:
        """Note when an earlier control has seen it last."""
        if not self.contact.last:
            self.contact = msgspec.structs.replace(self.contact, last=seen)

    @property
    def away(self) -> str:
        """Why changes are refused now, for the operator; "" while the store is there."""
        contact = self.contact
        if contact.connected:
            return ""
        return f"the fleet's store is away since {clock_time(contact.since, self._clock())}: {contact.why}"

"""The secret of session tickets: made at the start, and anew every twelve hours.

The old one is forgotten, so a ticket that is recorded today can't be read by who learns a later secret. A client whose ticket is of
the old one makes a full handshake, once: tickets hold for two hours at most (OpenSSL's default), so that happens to few.
"""

import asyncio
import secrets
import time

from mcproxy.net.memory.ticket_secret import SECRET_BYTES, TicketSecret

_PERIOD = 12 * 3600  # seconds
_GLANCE = 60.0  # seconds between looks at the clock, which may be set meanwhile


class TicketSecrets:
    """Keeps the secret fresh."""

    def __init__(self, shared: TicketSecret) -> None:
        """Make a secret unless an earlier control has left one; ``shared`` is where workers read it."""
        self._shared = shared
        self.renew(int(time.time()))

    def renew(self, now: int) -> None:
        """Replace the secret if it is old enough; ``now`` in Unix seconds."""
        if not 0 <= now - self._shared.made_at() < _PERIOD:
            self._shared.write(secrets.token_bytes(SECRET_BYTES), now)

    async def run(self) -> None:
        """Renew it in time, until cancelled."""
        while True:
            await asyncio.sleep(_GLANCE)
            self.renew(int(time.time()))

"""Session tickets where there is no shared memory."""

from mcproxy.net.memory.ticket_secret import WORDS, TicketSecret
from mcproxy.net.openssl.tickets import Tickets


def secret_words() -> TicketSecret:
    """Return the words of a secret that nobody has made yet."""
    return TicketSecret(memoryview(bytearray(8 * WORDS)).cast("Q"))


def no_tickets() -> Tickets:
    """Return what leaves contexts the keys that they make themselves."""
    return Tickets(secret_words())

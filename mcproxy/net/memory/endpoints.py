"""What is shared about the endpoints of upstreams: what control says of each, and what workers count there.

Each endpoint has a stable index. Control writes one **state** word for it, which workers read whenever they choose::

    63           16 15        8 7         0
    [ since        ][ withheld ][ verdict  ]

The verdict is one of `VERDICTS`. ``withheld`` is the part of its share (in 255ths) that the endpoint does not get yet, so
that a word of 0 says: usable, with all of its share. ``since`` is when the verdict began, in seconds since the epoch, so that the
next control knows it; workers need it not. What an operator has said of an endpoint (ready, drain, maintenance) is
part of the snapshot and not found here.

Each worker has `WORDS` counters for each endpoint in its own counter block (`shared_memory.endpoint_counter`).
"""

VERDICTS = ("unknown", "up", "down", "ejected", "waiting")
UNKNOWN, UP, DOWN, EJECTED, WAITING = range(len(VERDICTS))
"""Nothing is known, as without checks; the checks succeed; they fail; too much of the traffic has failed; it was added to others
that are usable, and waits for its first successful check."""
FULL_SHARE = 255

COUNTERS = (
    "active",
    "taken",
    "dial_failures",
    "errors",
    "resets",
    "retries_dial",
    "retries_answer",
    "retries_reset",
    "received",
    "sent",
)
ACTIVE, TAKEN, DIAL_FAILURES, ERRORS, RESETS, RETRIES_DIAL, RETRIES_ANSWER, RETRIES_RESET, RECEIVED, SENT = range(10)
"""Connections (l4) or requests (l7): open now, a gauge; begun in all, those among them that could not be dialed; dials in vain;
answered with 502, 503 or 504 by the endpoint; reset or broken off by it; gone on to another one after a dial, an answer, or a
connection or stream that was reset or refused. Then bytes of clients that were passed on to it, and of its answers that were passed
on to clients, counted when a connection or request has ended."""
WORDS = len(COUNTERS)
"""Words of 8 bytes of one endpoint in one worker's counter block."""


def state_word(verdict: int, withheld: int = 0, since: int = 0) -> int:
    """Return the word for a verdict, the part of its share that an endpoint does not get yet, 0 to `FULL_SHARE`, and the time."""
    return since << 16 | withheld << 8 | verdict


def verdict(word: int) -> int:
    """Return the verdict in a state word."""
    return word & 0xFF


def withheld(word: int) -> int:
    """Return how much of its share an endpoint does not get yet, 0 (it gets all) to `FULL_SHARE`."""
    return word >> 8 & 0xFF


def since(word: int) -> int:
    """Return when the verdict in a state word began, in seconds since the epoch; 0 for the start."""
    return word >> 16


def is_usable(word: int) -> bool:
    """Tell whether new connections and requests may go to an endpoint with this state word."""
    return word & 0xFF <= UP

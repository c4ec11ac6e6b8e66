"""What an attack is: a row of the table."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from tests.support.http_clients import Address

GOOD = "good.test"
"""The hostname of the route that well-behaved clients use; its backend is an honest one of HTTP/1.1."""
TARGET = "target.test"
"""The hostname of the route that is attacked; its backend is the row's."""
OTHER = "other.test"
"""A hostname that is nobody's."""
MB = 1_000_000
WORST = 2.0
"""Seconds that nobody may wait longer for, whatever is done, but for those in which the machine had no CPU for the proxy."""
PAGE = 30_000
"""Bytes of an ordinary page, which honest backends serve as ``/bytes/30000``."""
LARGE = 10_000_000
"""Bytes of the largest one."""

H1_BACKEND, H2_BACKEND = "h1", "h2"
"""Honest backends: `tests.support.page_server`, and nghttpd in cleartext; others are kinds of `tests.attacks.hostile_backend`."""


class Target(msgspec.Struct, frozen=True):
    """Where an attack goes.

    Attributes:
        l7: the address that terminates TLS, for `GOOD` and `TARGET`.
        clear: the one that takes HTTP without TLS for them.
        seconds: how long it lasts.
    """

    l7: Address
    clear: Address
    seconds: float


Play: TypeAlias = Callable[[Target], int]
"""Does it, and returns how many bytes the attackers have sent."""


class Row(msgspec.Struct, frozen=True):
    """One attack.

    Attributes:
        name: what it is called on the command line and in the table.
        what: what is done, for people.
        play: does it.
        backend: what is behind `TARGET`.
        memory: by how much the proxy may grow meanwhile (bytes).
        wait: how long others may wait for anything meanwhile (seconds).
        descriptors: how many the proxy may have, 0 for as many as it likes.
        beside: whose requests are measured meanwhile: those for `GOOD`, or for `TARGET` behind the same backend.
    """

    name: str
    what: str
    play: Play
    backend: str = H1_BACKEND
    memory: int = 8 * MB
    wait: float = WORST
    beside: str = GOOD
    descriptors: int = 0

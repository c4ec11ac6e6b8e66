"""gRPC statuses as counters: the seventeen that there are, any other one, and none."""

from typing import TypeAlias

Place: TypeAlias = int
"""Where a status is counted, and its name in `NAMES`."""

NAMES = (*map(str, range(17)), "other", "none")
"""As ``grpc-status`` has them; ``none`` for a request that ended without one: it was broken off, or was not answered by gRPC."""

FAULTS = ("2", "13", "14", "15")
"""Those by which a server says that it, and not the request, is at fault: UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS."""

OTHER, NONE = 17, 18
WORDS = 24

_PLACES = {b"%d" % status: status for status in range(OTHER)}


def place(value: bytes) -> Place:
    """Return the place of a status as ``grpc-status`` states it."""
    return _PLACES.get(value, OTHER)

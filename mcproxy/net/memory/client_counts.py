"""How many connections each client has open, counted exactly over all workers.

Every worker owns one table of 64-bit words, which all workers read and only its owner writes; a word is read and written
whole. A word counts the open connections of one client in its owner::

    63                    24 23            0
    [ tag                  ][ count        ]

A client's words are in one set of `WAYS`, the same set in every table. Who admits one adds up the client's counts in all
tables and adds to its own under a lock that all workers share, so no two take the last free place at once. A word whose
count is back at 0 is free. Clients that find their set full are counted by their worker alone, beside its table: other
workers don't see those, and may let in that many too many.

Two clients of the same set with the same tag share a count: one chance in 2**54 for each pair.
"""

from collections.abc import Sequence

from mcproxy.model.state.state import MAX_RATE_LIMIT

SETS = 16384
WAYS = 8
WORDS = SETS * WAYS
"""Words of 8 bytes in one worker's table."""

_COUNT = MAX_RATE_LIMIT
_TAG = (1 << 40) - 1


class ClientCounts:
    """The counts of one worker.

    Args:
        own: its table: `WORDS` items of format ``Q``.
    """

    __slots__ = ("_beside", "_own")

    def __init__(self, own: memoryview) -> None:
        self._own = own
        self._beside: dict[int, int] = {}  # by hash: those whose set was full

    def admit(self, tables: Sequence[memoryview], key_hash: int, limit: int) -> bool:
        """Count one more connection of a client if it has fewer than ``limit``; tell whether it was counted.

        Args:
            tables: the tables of all workers, the own one among them.
            key_hash: 64-bit hash of what is counted as one client; may be negative; the same in all workers.
            limit: from 1 on.
        """
        first, empty = _place(key_hash)
        highest = empty + _COUNT
        ways = range(first, first + WAYS)
        total = self._beside.get(key_hash, 0) if self._beside else 0
        for table in tables:
            for index in ways:
                if empty < (word := table[index]) <= highest:
                    total += word - empty
        if total >= limit:
            return False
        self._add(key_hash, empty, ways)
        return True

    def add(self, key_hash: int) -> None:
        """Count a connection that is open already, whatever the limit."""
        first, empty = _place(key_hash)
        self._add(key_hash, empty, range(first, first + WAYS))

    def _add(self, key_hash: int, empty: int, ways: range) -> None:
        own, highest = self._own, empty + _COUNT
        free = -1
        for index in ways:
            word = own[index]
            if empty < word < highest:
                own[index] = word + 1
                return
            if not word:
                free = index
        if free >= 0 and key_hash not in self._beside:
            own[free] = empty + 1
        else:
            self._beside[key_hash] = self._beside.get(key_hash, 0) + 1

    def release(self, key_hash: int) -> None:
        """Count one less of a client that was counted here."""
        beside = self._beside.get(key_hash, 0) if self._beside else 0
        if beside:
            if beside == 1:
                del self._beside[key_hash]
            else:
                self._beside[key_hash] = beside - 1
            return
        own = self._own
        first, empty = _place(key_hash)
        for index in range(first, first + WAYS):
            if empty < (word := own[index]) <= empty + _COUNT:
                own[index] = word - 1 if word > empty + 1 else 0
                return


def _place(key_hash: int) -> tuple[int, int]:
    """Return the first way of a client's set, and its word with a count of 0."""
    tag = key_hash >> 14 & _TAG or 1  # 0 is no client's
    return (key_hash & SETS - 1) * WAYS, tag << 24

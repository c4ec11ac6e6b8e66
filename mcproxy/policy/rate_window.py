"""The rate limit: how many connections a client may open in a fixed window of time, counted over all workers.

Every worker owns one table of 64-bit words, which all workers read and only its owner writes; a word is read and
written whole. A word counts one client in one window::

    63            32 31         24 23            0
    [ tag          ][ window % 256 ][ count        ]

A client's words are in one set of `WAYS`, the same set in every table. Nobody locks anything:

- A worker sums the client's counts over all tables first and adds to its own afterwards. Workers that do so at the
  same time may all see the last free place: at most (workers - 1) too many are admitted. A count is there only
  because a client was admitted, so none is refused before the limit is reached.
- A full set loses its owner's lowest count: what is forgotten only ever lets too many in. A set is filled from its first
  word on, and none becomes 0 again: behind a 0 there is nothing.
- A word of an earlier window counts nothing and may be overwritten, but nobody sweeps, so its owner may not have come
  by for so long that the window's eight bits are the same again. The tag therefore also depends on the bits that the
  window field has no room for: after 256 windows a client's tag is another one, and a stale word cannot be taken for
  its. All it can do then is stay in its set as if it were alive, until the window field moves on.

Two clients of the same set with the same tag share a count: one chance in 2**46 for each pair.
"""

from collections.abc import Sequence

from mcproxy.model.state.state import MAX_RATE_LIMIT
from mcproxy.policy.firewall import unmap

SETS = 16384
WAYS = 4
WORDS = SETS * WAYS
"""Words of 8 bytes in one worker's table."""

MAX_LIMIT = MAX_RATE_LIMIT
"""The highest limit that a word can count to."""

_COUNT = (1 << 24) - 1
_TAG = (1 << 32) - 1
_ODD = 0x9E3779B1  # odd: different epochs below 2**32 give different tags to one client


def client_key(packed: bytes) -> bytes:
    """Return what is counted as one client: an IPv4 address (also a mapped one), or an IPv6 /64."""
    return packed[:8] if len(packed := unmap(packed)) == 16 else packed


def admit(own: memoryview, tables: Sequence[memoryview], key_hash: int, window: int, limit: int) -> bool:
    """Decide whether the client may connect in this window, and count it if so.

    Args:
        own: the calling worker's table: `WORDS` items of format ``Q``.
        tables: the tables of all workers, the same ``own`` among them.
        key_hash: 64-bit hash of `client_key` and the window's length together (after a change of the length, window
            numbers mean other times); may be negative; the same in all workers.
        window: number of the window: now divided by its length, rounded down; the same in all workers.
        limit: connections admitted in one window, 1 to `MAX_LIMIT`.
    """
    first = (key_hash & SETS - 1) * WAYS
    tag = (key_hash >> 32 ^ (window >> 8) * _ODD) & _TAG
    empty = (tag << 8 | window & 0xFF) << 24  # the client's word with a count of 0; highest is the largest count
    highest = empty + _COUNT
    ways = range(first, first + WAYS)
    total, found = 0, -1
    for index in ways:
        word = own[index]
        if empty < word <= highest:
            total, found = word - empty, index
            break
        if not word:
            break
    if len(tables) > 1:
        for table in tables:
            if table is not own and table[first]:
                for index in ways:
                    if empty < (word := table[index]) <= highest:
                        total += word - empty
    if total >= limit:
        return False
    # Own words change in no other hand, so going back to them is no race.
    if found >= 0:
        own[found] += 1
        return True
    victim = first
    lowest = MAX_LIMIT + 1
    for index in ways:
        word = own[index]
        count = word & _COUNT if word >> 24 & 0xFF == window & 0xFF else 0
        if count < lowest:
            lowest = count
            victim = index
            if not count:
                break
    own[victim] = empty + 1
    return True

"""Counters of which there could be far more than there ever are: by case, by filter of a route, and durations by filter.

A route has words of its own for what every route counts. Of cases there are many more than routes, few of them busy, and any filter
may refuse on any route; so each worker has two tables whose entries are given to what is counted, when it is counted first::

    [ used ][ value of what found no room ... ]  [ owner ][ name ][ value ]  [ owner ][ name ][ value ] ...

``owner`` is never 0 in an entry that is taken; ``name`` is a hash of the name. So what a reader finds is summed up over all workers
by `Key`, and says the same before and after a reload or a restart. A worker takes the entries of its slot over from the one before.

Entries are taken by the worker and freed by control: when something else gets the owner's index, and, where a table is half full,
when nothing in the configuration has that name any more. A worker looks whether an entry is still taken before it counts there.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from mcproxy.net.memory import histogram

Key: TypeAlias = tuple[int, int]
"""The owner and the hash of the name."""

STAGES = ("allow", "rate", "cors", "body", "auth")
"""The stages at which filters may refuse, in the order in which a request meets them: who may come, how often, from which sites,
with how much, and after which proof."""
CASE = "case"
"""What is counted of a case: the requests that it was chosen for."""
CLIENT_CERTIFICATE, HANDSHAKE, SESSION = "client_certificate", "handshake", "session"
"""What is counted of TLS with clients: what became of their certificates, why handshakes have failed, and sessions."""
BACKEND_TLS = "backend_tls"
"""What is counted of TLS with backends: why it has failed."""
RESULTS = ("accepted", "none", "missing", "wrong_name", "expired", "revoked", "unknown_ca", "crl", "invalid")
"""What became of a client's certificate: let in, none where it may be so, none where it may not, and why it was refused; `crl` where
there is no valid list of the revoked ones."""
CAUSES = (
    *("no_shared_cipher", "unsupported_protocol", "expired", "unknown_ca", "bad_certificate", "no_certificate"),
    *("closed", "other"),
)
"""Why handshakes have failed: nothing in common, what the client says of the certificate that it was shown, there is none to show yet,
the client's end, and all else."""
AMBIGUOUS = "(ambiguous)"
"""Stands for a case where the readings of a path belong to different ones; no match is written so."""
BACKEND_CAUSES = (
    *("expired", "not_yet_valid", "wrong_name", "unknown_ca", "invalid", "client_certificate", "no_shared_cipher"),
    *("unsupported_protocol", "no_tls", "closed", "timeout", "other"),
)
"""Why TLS with a backend has failed: its certificate; `client_certificate` where the backend refuses the proxy's, or misses one;
nothing in common; what it speaks is no TLS; it has left, or said nothing in time; and all else."""
RESUMED = ("false", "true")
"""Whether a session went on that the client had from an earlier connection."""
FIXED = {CLIENT_CERTIFICATE: RESULTS, HANDSHAKE: CAUSES, SESSION: RESUMED, BACKEND_TLS: BACKEND_CAUSES}
"""The names of what has fixed ones, by what is counted."""
_KINDS = (CASE, *STAGES, *FIXED)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_KIND_BITS = 8
_HEAD = 2  # words of an entry before its value
_LOOKS = 64  # entries that one count looks at for a free one, once all were taken


class Shape(msgspec.Struct, frozen=True):
    """The shape of a table.

    Attributes:
        entries: how many there are.
        width: words of a value.
        others: values that stand for what found no room.
    """

    entries: int
    width: int
    others: int

    @property
    def first(self) -> int:
        """The word where the first entry begins."""
        return 1 + self.others * self.width

    @property
    def stride(self) -> int:
        """The words of an entry."""
        return _HEAD + self.width

    @property
    def words(self) -> int:
        """The words of a table."""
        return self.first + self.entries * self.stride


COUNTERS = Shape(entries=16_384, width=1, others=len(_KINDS))
DURATIONS = Shape(entries=256, width=histogram.WORDS, others=1)
WORDS = COUNTERS.words + DURATIONS.words
"""Words of 8 bytes of one worker's tables."""


def key(route: int, kind: str, name: str) -> Key:
    """Return the key of one counter; raises KeyError for an unknown kind.

    Args:
        route: the index of the route.
        kind: `CASE`, the stage at which a filter has refused, or one of those in `FIXED`.
        name: of the case (its match) or the filter; or one of the fixed ones.
    """
    return (route + 1) << _KIND_BITS | _NUMBERS[kind], hash_of(name)


def session_keys(route: int) -> tuple[Key, Key]:
    """Return the keys of a route's sessions: of new ones, and of those that went on."""
    new, resumed = RESUMED
    return key(route, SESSION, new), key(route, SESSION, resumed)


def route_of(owner: int) -> int:
    """Return the index of the route in a key's first part."""
    return (owner >> _KIND_BITS) - 1


def kind_of(owner: int) -> str:
    """Return the kind in a key's first part."""
    return _KINDS[owner & (1 << _KIND_BITS) - 1]


def hash_of(name: str) -> int:
    """Return the hash of a name, the same in all processes."""
    from hashlib import blake2b  # noqa: PLC0415 - slow to import, and few configurations have cases or filters

    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


class Table:
    """One worker's part of a table.

    Args:
        words: the memory, as long as its shape says.
        shape: the shape.
    """

    __slots__ = ("_fresh", "_keys", "_look", "_places", "_shape", "words")

    def __init__(self, words: memoryview, shape: Shape) -> None:
        self.words = words
        self._shape = shape
        self._fresh = words[0]
        self._look = 0
        self._keys: list[Key] = [(0, 0)] * self._fresh
        self._places: dict[Key, int] = {}
        for number, (owner, name, _) in enumerate(_entries(words, shape)):
            self._keys[number] = owner, name
            if owner:
                self._places[owner, name] = self._value(number)

    def place(self, key: Key, other: int = 0) -> int:
        """Return the first word of the value of a key; where there is no room, that of those others of this number."""
        place = self._places.get(key, 0)
        return place if place and self.words[place - _HEAD] else self._take(key, other)

    def _take(self, key: Key, other: int) -> int:
        number = self._free_entry()
        if number is None:
            return 1 + other * self._shape.width
        place = self._value(number)
        if self._places.get(self._keys[number]) == place:
            del self._places[self._keys[number]]
        self._places[key] = place
        self._keys[number] = key
        words = self.words
        for word in range(place, place + self._shape.width):
            words[word] = 0
        words[place - 1] = key[1]
        words[place - _HEAD] = key[0]
        return place

    def _free_entry(self) -> int | None:
        words, entries = self.words, self._shape.entries
        if self._fresh < entries:
            self._fresh += 1
            self._keys.append((0, 0))
            words[0] = self._fresh
            return self._fresh - 1
        for _ in range(_LOOKS):
            self._look = (self._look + 1) % entries
            if not words[self._value(self._look) - _HEAD]:
                return self._look
        return None

    def _value(self, number: int) -> int:
        return self._shape.first + number * self._shape.stride + _HEAD


class SparseCounters:
    """What one worker counts in its slot's tables, `WORDS` words of memory."""

    __slots__ = ("_counters", "_durations")

    def __init__(self, words: memoryview) -> None:
        self._counters = Table(words[: COUNTERS.words], COUNTERS)
        self._durations = Table(words[COUNTERS.words :], DURATIONS)

    def count(self, key: Key) -> None:
        """Count one more request, or connection."""
        table = self._counters
        table.words[table.place(key, key[0] & (1 << _KIND_BITS) - 1)] += 1

    def observe(self, name: int, seconds: float) -> None:
        """Count a duration; ``name`` is the hash of the filter's name."""
        table = self._durations
        histogram.observe(table.words, table.place((1, name)), seconds)


class Found(msgspec.Struct, frozen=True):
    """What all workers have counted: by key, and of what found no room, by its number."""

    values: dict[Key, list[int]]
    others: list[list[int]]


def counters_in(words: memoryview) -> memoryview:
    """Return the part of a slot's words that counts requests."""
    return words[: COUNTERS.words]


def durations_in(words: memoryview) -> memoryview:
    """Return the part of a slot's words that counts durations."""
    return words[COUNTERS.words :]


def read(tables: Iterable[memoryview], shape: Shape) -> Found:
    """Add up the tables of all workers."""
    values: dict[Key, list[int]] = {}
    others = [[0] * shape.width for _ in range(shape.others)]
    for words in tables:
        if not words[0]:
            continue
        for number, sums in enumerate(others):
            at = 1 + number * shape.width
            others[number] = _added(sums, words[at : at + shape.width].tolist())
        for owner, name, value in _entries(words, shape):
            if owner:
                before = values.get((owner, name))
                values[owner, name] = value if before is None else _added(before, value)
    return Found(values, others)


def read_counts(tables: Iterable[memoryview]) -> tuple[dict[Key, int], list[int]]:
    """Do what `read` does for tables of `COUNTERS`, of which there may be many entries: some 2 ms for ten thousand of one worker."""
    counts: dict[Key, int] = {}
    others = [0] * COUNTERS.others
    for words in tables:
        if words[0]:
            others = _added(others, words[1 : COUNTERS.first].tolist())
            flat = words[COUNTERS.first : COUNTERS.first + words[0] * COUNTERS.stride].tolist()
            keys = zip(flat[::3], flat[1::3], strict=True)
            if not counts:
                counts = dict(zip(keys, flat[2::3], strict=True))
            else:
                for key, count in zip(keys, flat[2::3], strict=True):
                    counts[key] = counts.get(key, 0) + count
    counts = {key: count for key, count in counts.items() if key[0]}
    return counts, others


def free(words: memoryview, shape: Shape, is_gone: Callable[[Key], bool]) -> None:
    """Free the entries of one worker whose key `is_gone`; control alone calls this."""
    for number, (owner, name, _) in enumerate(_entries(words, shape)):
        if owner and is_gone((owner, name)):
            words[shape.first + number * shape.stride] = 0


def is_half_full(words: memoryview, shape: Shape) -> bool:
    """Tell whether a worker has taken so many entries that it may want some back that nothing belongs to any more."""
    return words[0] * 2 >= shape.entries


def _entries(words: memoryview, shape: Shape) -> Iterable[tuple[int, int, list[int]]]:
    """Return owner, name and value of every entry that was ever taken."""
    stride = shape.stride
    flat = words[shape.first : shape.first + words[0] * stride].tolist()
    return [(flat[at], flat[at + 1], flat[at + _HEAD : at + stride]) for at in range(0, len(flat), stride)]


def _added(one: list[int], other: list[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]

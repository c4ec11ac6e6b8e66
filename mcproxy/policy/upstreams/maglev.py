"""Choice by the client's address: a table in which every endpoint has places by weight, so that clients stay where they are.

The table is Maglev's (Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016, section 3.4):
each endpoint has an order of all places of its own, and they take turns in taking the next free one of theirs, heavy ones more
often. When one goes, nearly all clients of the others keep theirs. Hashes are of names and addresses alone, so all workers
and nodes agree, also after a restart.

The table has no part in what changes quickly: where the endpoint of a place is not usable, or not ready, the client's next
place decides, so that none but its clients move.
"""

from array import array
from collections.abc import Collection, Sequence
from functools import lru_cache
from hashlib import blake2b
from heapq import heapify, heapreplace
from math import log

from mcproxy.policy.firewall import unmap
from mcproxy.policy.upstreams.words import UP, Words, share

PLACES = 16_411
"""A prime, so that every shorter step leads through all places; enough of them that of 100 endpoints one can go, and less than
2 % of the other clients move (of 16: less than 1 %)."""

_PROBES = 64
_MASK = (1 << 64) - 1


@lru_cache(maxsize=256)
def build(endpoints: tuple[tuple[str, int], ...]) -> bytes:
    """Return the table: for each place the position of an endpoint in ``endpoints``, 2 bytes in this machine's order.

    It takes about 25 ms, so the latest 256 tables are kept (8 MiB).

    Args:
        endpoints: name and weight of each, at most 65,536, the names different. A weight of 0 gets no place. The order does
            not matter for who gets which place.

    Returns:
        2 * `PLACES` bytes; none if no endpoint has a weight.
    """
    named = sorted((name, weight, position) for position, (name, weight) in enumerate(endpoints) if weight)
    if not named:
        return b""
    orders = [_order(name) for name, _, _ in named]
    mixed = _mixed()
    turns = [(1.0 / weight, number) for number, (_, weight, _) in enumerate(named)]
    heapify(turns)
    table = array("H", bytes(2 * PLACES))
    taken = bytearray(PLACES)
    for _ in range(PLACES):
        due, number = turns[0]
        _, weight, position = named[number]
        heapreplace(turns, (due + 1.0 / weight, number))
        at, step, shift = orders[number]
        while taken[place := (mixed[at] + shift) % PLACES]:
            at = (at + step) % PLACES
        orders[number] = at, step, shift
        taken[place] = 1
        table[place] = position
    return table.tobytes()


def _order(name: str) -> tuple[int, int, int]:
    """Return what an endpoint's order is made of: where it begins, the step to the next, and a shift of all places."""
    digest = blake2b(name.encode(), digest_size=24, person=b"places").digest()
    begin, step, shift = (int.from_bytes(digest[start : start + 8]) for start in (0, 8, 16))
    return begin % PLACES, step % (PLACES - 1) + 1, shift % PLACES


@lru_cache(maxsize=1)
def _mixed() -> list[int]:
    """Return all places in an order without pattern: seventh powers, all different as 7 does not divide `PLACES` - 1.

    In steps through the places themselves two endpoints would meet again and again where their steps are alike.
    """
    return [pow(place, 7, PLACES) for place in range(PLACES)]


def hash_source(packed: bytes) -> int:
    """Return 64 bits of a client's address (4 or 16 bytes, empty without one); a mapped IPv4 address counts as IPv4."""
    return int.from_bytes(blake2b(unmap(packed), digest_size=8, person=b"source").digest())


class BySource:
    """The endpoint of the client's address.

    Args:
        endpoints: index, name and weight of each that may be chosen.
        table: what `build` has made; without one, endpoints are compared one by one for each choice.
        places: the indices in the order that ``table`` means; those that may not be chosen are passed over.
    """

    __slots__ = ("_endpoints", "_places", "_table")

    def __init__(
        self, endpoints: Sequence[tuple[int, str, float]], table: bytes = b"", places: Sequence[int] = ()
    ) -> None:
        self._endpoints = [
            (index, int.from_bytes(blake2b(name.encode(), digest_size=8, person=b"source").digest()), weight)
            for index, name, weight in endpoints
        ]
        chosen = {index for index, _, _ in endpoints}
        self._places = [index if index in chosen else -1 for index in places]
        self._table = memoryview(table).cast("H")

    def pick(self, words: Words, skip: Collection[int] = (), source: bytes = b"") -> int | None:
        """Return the endpoint of a client's packed address that is usable and not in ``skip``, None if there is none.

        An endpoint of which a share is withheld takes a part of its clients, always the same ones.
        """
        table = self._table
        number = hash_source(source)
        if table and self._endpoints:
            place = number % PLACES
            step = (number >> 16) % (PLACES - 1) + 1
            for _ in range(_PROBES):
                index = self._places[table[place]]
                if index >= 0:
                    word = words[index] & 0xFFFF
                    if (word <= UP or (word & 0xFF <= UP and number >> 56 >= word >> 8)) and not (
                        skip and index in skip
                    ):
                        return index
                place = (place + step) % PLACES
        return self._compare(number, words, skip)

    def _compare(self, number: int, words: Words, skip: Collection[int]) -> int | None:
        """Return the endpoint with the highest score for a client, by weight (rendezvous hashing)."""
        found, best = None, 0.0
        for index, key, weight in self._endpoints:
            word = words[index]
            if word & 0xFF > UP or index in skip:
                continue
            mixed = (number ^ key) * 0xBF58476D1CE4E5B9 & _MASK
            mixed = (mixed ^ mixed >> 29) * 0x94D049BB133111EB & _MASK
            score = weight * share(word) / -log(((mixed >> 11) + 1) / ((1 << 53) + 1))
            if found is None or score > best:
                found, best = index, score
        return found

"""Which case of a route a request falls into.

A case is found by the path, as `mcproxy.model.values.http.matches` describes it: exact before prefix, longer before shorter. What it asks for
beside the path, a method and conditions, is judged in its order of precedence; where no case of a path fits, those of the next shorter
prefix are asked. The order of the cases in the file makes no difference.

A path that backends may read in several ways (`readings`) is looked up in each of them, and a request whose readings belong to different
cases is nobody's. Cases whose own path holds escapes lie at all of its readings too, so that ``/group%2Fproject`` and
``/group/project`` are not told apart by the proxy alone.
"""

from collections.abc import Iterable
from typing import Generic, TypeAlias, TypeVar

import msgspec

from mcproxy.model.values.http.matches import Match, normal, precedence
from mcproxy.policy.cases.conditions import facts
from mcproxy.policy.cases.paths import Paths
from mcproxy.policy.cases.places import Place, PlacedCase, Places
from mcproxy.policy.cases.readings import is_odd, readings
from mcproxy.policy.headers import Headers

T = TypeVar("T")
_SHOWN = 256  # bytes of a reading that are told


class Ambiguous(msgspec.Struct, Generic[T], frozen=True):
    """A path whose readings belong to different cases.

    Attributes:
        one: what it belongs to as cases are written; None for no case.
        other: what it belongs to in another reading.
        reading: that reading; nothing where there are too many to tell.
    """

    one: T | None
    other: T | None
    reading: bytes


_Found: TypeAlias = tuple[tuple[Place[T] | None, bytes], ...]
"""The places of all readings of a path, each once, and but for the first a reading that leads there."""


class CaseTable(Generic[T]):
    """The cases of one route.

    Args:
        cases: what they match, and what they lead to; no two of them tied (`matches.ties`).
        paths: remembers what was found for paths; may be shared by all tables of a process. None for one of its own.
    """

    __slots__ = ("_names", "_paths", "_primary", "_readings", "_serial")

    def __init__(self, cases: Iterable[tuple[Match, T]], paths: "Paths[_Found[T]] | None" = None) -> None:
        primary: tuple[dict[bytes, list[PlacedCase[T]]], ...] = ({}, {})
        others: tuple[dict[bytes, list[PlacedCase[T]]], ...] = ({}, {})
        names: set[bytes] = set()
        for match, target in sorted(cases, key=lambda case: precedence(case[0])):
            case = PlacedCase(match, target)
            names.update(name for name, _ in case.asked)
            path = match.path.encode()
            primary[match.below].setdefault(normal(path), []).append(case)
            for reading in readings(path) or (path,):
                others[match.below].setdefault(reading, []).append(case)
        self._names = frozenset(names)
        self._primary: Places[T] = Places(*primary)
        # Where no case has an escape in its path, there is nothing to be found but by that.
        self._readings: Places[T] = self._primary if primary == others else Places(*others)
        self._paths: Paths[_Found[T]] = Paths() if paths is None else paths
        self._serial = self._paths.join()

    def find(self, method: bytes, target: bytes, headers: Headers) -> T | Ambiguous[T] | None:
        """Return what the case of a request leads to, None if it falls into none.

        Args:
            method: as received.
            target: path and query, or ``*``, which only a case on ``/*`` takes.
            headers: its end-to-end fields.
        """
        path, _, query = target.partition(b"?")
        paths = self._paths
        key = paths.key(self._serial, path)
        places = paths.get(key)
        if places is None:
            places = self._places(path)
            paths.put(key, places)
        if len(places) == 1:
            place = places[0][0]
            if place is not None and place.only is not None:
                return place.only.target
        return self._judge(places, method, query, headers)

    def _judge(self, places: "_Found[T]", method: bytes, query: bytes, headers: Headers) -> T | Ambiguous[T] | None:
        if not places:
            return Ambiguous(None, None, b"")
        known = facts(self._names, query, headers) if self._names else {}
        (place, _), *others = places
        first = None if place is None else place.winner(method, known)
        to_none: bytes | None = None
        for place, reading in others:
            winner = None if place is None else place.winner(method, known)
            if winner is None and first is not None:
                to_none = reading  # which tells less than a reading that leads to another case
            elif winner is not first:
                return Ambiguous(_target(first), _target(winner), reading)
        return _target(first) if to_none is None else Ambiguous(_target(first), None, to_none)

    def _places(self, path: bytes) -> "_Found[T]":
        """Return the places of all readings of a path, which of long ones is the beginning; none if there are too many."""
        if not is_odd(path) and self._readings is self._primary:
            return ((self._primary.find(path if path[:1] == b"/" else b""), b""),)
        found = readings(path)
        if found is None:
            return ()
        places = {self._primary.find(found[0]): b""}
        for reading in found:
            places.setdefault(self._readings.find(reading), reading[:_SHOWN])
        return tuple(places.items())


def _target(case: PlacedCase[T] | None) -> T | None:
    return None if case is None else case.target

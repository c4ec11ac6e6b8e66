"""Which case of a route a request falls into.

A case is found by the path, as `mcproxy.model.values.http.matches` describes it: exact before prefix, longer before shorter. What it asks for
beside the path, a method and conditions, is judged in its order of precedence; where no case of a path fits, those of the next shorter
prefix are asked. The order of the cases in the file makes no difference.

A path that backends may read in several ways (`readings`) is looked up in each of them, and a request whose readings belong to different
cases is nobody's. Cases whose own path holds escapes lie at all of its readings too, so that ``/group%2Fproject`` and
``/group/project`` are not told apart by the proxy alone.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

import msgspec

from mcproxy.model.values.http.matches import Match, normal, precedence
from mcproxy.policy.cases.conditions import Asked, Facts, asked, facts, fits
from mcproxy.policy.cases.paths import Paths
from mcproxy.policy.cases.readings import is_odd, readings
from mcproxy.policy.headers import Headers

T = TypeVar("T")


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


class _Case(Generic[T]):
    """A case, and what it asks for beside its path."""

    __slots__ = ("asked", "methods", "order", "target")

    def __init__(self, match: Match, target: T) -> None:
        self.methods = frozenset(method.encode() for method in match.methods)
        self.asked: Asked = asked(match)
        self.order = precedence(match)
        self.target = target


class _Place(Generic[T]):
    """The cases of one path, in their order, and where to go on if none of them fits.

    Attributes:
        cases: for all methods but HEAD.
        heads: for HEAD, which follows GET unless it is named.
        only: the first one, if it asks for nothing beside the path.
        parent: the next shorter prefix that has cases.
    """

    __slots__ = ("cases", "heads", "only", "parent")

    def __init__(self, cases: Sequence[_Case[T]], parent: "_Place[T] | None") -> None:
        self.cases = tuple(cases)
        named = [case for case in cases if b"HEAD" in case.methods]
        follows = [case for case in cases if b"GET" in case.methods and case not in named]
        self.heads = (*named, *follows, *(case for case in cases if not case.methods))
        first = self.cases[0]
        self.only = None if first.methods or first.asked else first
        self.parent = parent


class _Node(Generic[T]):
    """A segment of prefixes: those that go on, by their next segment, and the cases that end here."""

    __slots__ = ("children", "place")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node[T]] = {}
        self.place: _Place[T] | None = None


class _Index(Generic[T]):
    """Places by path. A look-up never goes deeper than the longest prefix has segments.

    Args:
        exact, below: the cases of each path.
    """

    __slots__ = ("_depth", "_exact", "_root")

    def __init__(self, exact: dict[bytes, list[_Case[T]]], below: dict[bytes, list[_Case[T]]]) -> None:
        self._root: _Node[T] = _Node()
        self._depth = 0
        for path in sorted(below, key=len):
            parent = self._prefix(path)
            segments = path.split(b"/")[1:]
            self._depth = max(self._depth, len(segments))
            node = self._root
            for segment in segments:
                node = node.children.setdefault(segment, _Node())
            node.place = _Place(below[path], parent)
        self._exact = {path: _Place(cases, self._prefix(path)) for path, cases in exact.items()}

    def find(self, path: bytes) -> _Place[T] | None:
        """Return the place of an exact path, else that of the longest prefix."""
        return self._exact.get(path) or self._prefix(path)

    def _prefix(self, path: bytes) -> _Place[T] | None:
        node = self._root
        found = node.place
        segments = path.split(b"/", self._depth + 1)
        for segment in segments[1 : self._depth + 1]:
            below = node.children.get(segment)
            if below is None:
                break
            node = below
            found = node.place or found
        return found


_Places: TypeAlias = tuple[tuple["_Place[T] | None", bytes], ...]


class CaseTable(Generic[T]):
    """The cases of one route.

    Args:
        cases: what they match, and what they lead to; no two of them tied (`matches.ties`).
        paths: remembers what was found for paths; may be shared by all tables of a process. None for one of its own.
    """

    __slots__ = ("_names", "_paths", "_primary", "_readings", "_serial")

    def __init__(self, cases: Iterable[tuple[Match, T]], paths: "Paths[_Places[T]] | None" = None) -> None:
        primary: tuple[dict[bytes, list[_Case[T]]], ...] = ({}, {})
        others: tuple[dict[bytes, list[_Case[T]]], ...] = ({}, {})
        names: set[bytes] = set()
        for match, target in sorted(cases, key=lambda case: precedence(case[0])):
            case = _Case(match, target)
            names.update(name for name, _ in case.asked)
            path = match.path.encode()
            primary[match.below].setdefault(normal(path), []).append(case)
            for reading in readings(path) or (path,):
                others[match.below].setdefault(reading, []).append(case)
        self._names = frozenset(names)
        self._primary: _Index[T] = _Index(*primary)
        # Where no case has an escape in its path, there is nothing to be found but by that.
        self._readings: _Index[T] = self._primary if primary == others else _Index(*others)
        self._paths: Paths[_Places[T]] = Paths() if paths is None else paths
        self._serial = self._paths.join()

    def find(self, method: bytes, target: bytes, headers: Headers) -> T | Ambiguous[T] | None:
        """Return what the case of a request leads to, None if it falls into none.

        Args:
            method: as received.
            target: path and query, or ``*``, which only a case on ``/*`` takes.
            headers: its end-to-end fields.
        """
        path, _, query = target.partition(b"?")
        key = self._serial, path
        places = self._paths.get(key)
        if places is None:
            places = self._places(path)
            if places is None:
                return Ambiguous(None, None, b"")
            self._paths.put(key, places)
        if len(places) == 1:
            place = places[0][0]
            if place is not None and place.only is not None:
                return place.only.target
        return self._judge(places, method, query, headers)

    def _judge(self, places: "_Places[T]", method: bytes, query: bytes, headers: Headers) -> T | Ambiguous[T] | None:
        known = facts(self._names, query, headers) if self._names else {}
        (place, _), *others = places
        first = _winner(place, method, known)
        to_none: bytes | None = None
        for place, reading in others:
            winner = _winner(place, method, known)
            if winner is None and first is not None:
                to_none = reading  # which tells less than a reading that leads to another case
            elif winner is not first:
                return Ambiguous(_target(first), _target(winner), reading)
        return _target(first) if to_none is None else Ambiguous(_target(first), None, to_none)

    def _places(self, path: bytes) -> "_Places[T] | None":
        """Return the places of all readings of a path, each once, and a reading that leads there; None if there are too many."""
        if not is_odd(path) and self._readings is self._primary:
            return ((self._primary.find(path if path[:1] == b"/" else b""), path),)
        found = readings(path)
        if found is None:
            return None
        places = {self._primary.find(found[0]): found[0]}
        for reading in found:
            places.setdefault(self._readings.find(reading), reading)
        return tuple(places.items())


def _winner(place: _Place[T] | None, method: bytes, known: Facts) -> _Case[T] | None:
    """Return the first case that a request fits."""
    while place is not None:
        if place.only is not None:
            return place.only
        for case in place.heads if method == b"HEAD" else place.cases:
            right = not case.methods or method in case.methods or method == b"HEAD"
            if right and (not case.asked or fits(case.asked, known)):
                return case
        place = place.parent
    return None


def _target(case: _Case[T] | None) -> T | None:
    return None if case is None else case.target

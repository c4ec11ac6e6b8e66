"""The cases of a route by their paths, and which of those on one path a request fits."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from mcproxy.model.values.http.matches import Match
from mcproxy.policy.cases.conditions import Asked, Facts, asked, fits

T = TypeVar("T")
_FEW = 8  # cases that are asked one by one
_HEAD = b"HEAD"


class PlacedCase(Generic[T]):
    """A case, and what it asks for beside its path.

    Attributes:
        methods: that it is for; none for all.
        asked: its conditions.
        target: what it leads to.
    """

    __slots__ = ("asked", "methods", "target")

    def __init__(self, match: Match, target: T) -> None:
        self.methods = frozenset(method.encode() for method in match.methods)
        self.asked: Asked = asked(match)
        self.target = target


class _Choice(Generic[T]):
    """Cases of one path in their order. Many with conditions are told apart by the first value that each asks for, and not one by one."""

    __slots__ = ("_by_value", "_cases", "_names", "_others")

    def __init__(self, cases: Iterable[PlacedCase[T]]) -> None:
        self._cases = tuple(cases)
        self._by_value: dict[tuple[bytes, bytes], list[tuple[int, PlacedCase[T]]]] = {}
        self._others: list[tuple[int, PlacedCase[T]]] = []
        if len(self._cases) > _FEW:
            for number, case in enumerate(self._cases):
                value = next(((name, value) for name, value in case.asked if value is not None), None)
                (self._others if value is None else self._by_value.setdefault(value, [])).append((number, case))
        self._names = frozenset(name for name, _ in self._by_value)

    def first(self, method: bytes | None, known: Facts) -> PlacedCase[T] | None:
        """Return the first case that a request fits; ``method`` is None if they are for it all."""
        for case in self._of(known) if self._names else self._cases:
            if (method is None or not case.methods or method in case.methods) and (
                not case.asked or fits(case.asked, known)
            ):
                return case
        return None

    def _of(self, known: Facts) -> list[PlacedCase[T]]:
        """Return the cases that ask for no value but those that the request has, in their order."""
        found = list(self._others)
        for name in self._names & known.keys():
            found += self._by_value.get((name, known[name]), ())
        found.sort(key=_number)
        return [case for _, case in found]


def _number(entry: tuple[int, object]) -> int:
    return entry[0]


class Place(Generic[T]):
    """The cases of one path, and where to go on if none of them fits.

    Attributes:
        cases: in their order, for all methods but HEAD.
        heads: those for HEAD, which follows GET: those that name it come first.
        only: the first case, if it asks for nothing beside the path.
        parent: the place of the next shorter prefix that has cases.
    """

    __slots__ = ("cases", "heads", "only", "parent")

    def __init__(self, cases: Sequence[PlacedCase[T]], parent: "Place[T] | None") -> None:
        named = [case for case in cases if _HEAD in case.methods]
        follows = [case for case in cases if b"GET" in case.methods and case not in named]
        self.cases = _Choice(cases)
        self.heads = _Choice((*named, *follows, *(case for case in cases if not case.methods)))
        self.only = None if cases[0].methods or cases[0].asked else cases[0]
        self.parent = parent

    def winner(self, method: bytes, known: Facts) -> PlacedCase[T] | None:
        """Return the first case that a request fits, of this path or a shorter prefix."""
        place: Place[T] | None = self
        while place is not None:
            if place.only is not None:
                return place.only
            found = place.heads.first(None, known) if method == _HEAD else place.cases.first(method, known)
            if found is not None:
                return found
            place = place.parent
        return None


class _Node(Generic[T]):
    """A segment of prefixes: those that go on, by their next segment, and the cases that end here."""

    __slots__ = ("children", "place")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node[T]] = {}
        self.place: Place[T] | None = None


class Places(Generic[T]):
    """Places by path. A look-up never goes deeper than the longest prefix has segments.

    Args:
        exact, below: the cases of each path, in their order.

    Attributes:
        depth: the segments of the longest prefix.
    """

    __slots__ = ("_exact", "_root", "depth")

    def __init__(self, exact: dict[bytes, list[PlacedCase[T]]], below: dict[bytes, list[PlacedCase[T]]]) -> None:
        self._root: _Node[T] = _Node()
        self.depth = 0
        for path in sorted(below, key=len):
            parent = self._prefix(path)
            segments = path.split(b"/")[1:]
            self.depth = max(self.depth, len(segments))
            node = self._root
            for segment in segments:
                node = node.children.setdefault(segment, _Node())
            node.place = Place(below[path], parent)
        self._exact = {path: Place(cases, self._prefix(path)) for path, cases in exact.items()}

    def find(self, path: bytes) -> Place[T] | None:
        """Return the place of an exact path, else that of the longest prefix."""
        return self._exact.get(path) or self._prefix(path)

    def _prefix(self, path: bytes) -> Place[T] | None:
        node = self._root
        found = node.place
        segments = path.split(b"/", self.depth + 1)
        for segment in segments[1 : self.depth + 1]:
            below = node.children.get(segment)
            if below is None:
                break
            node = below
            found = node.place or found
        return found

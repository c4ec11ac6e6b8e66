"""Which route serves a name: exact beats wildcard, a longer wildcard beats a shorter one, ``*`` is last."""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class RouteTable(Generic[T]):
    """The routes of one listener. The cost of a look-up does not depend on their number, nor their order on the result.

    Args:
        routes: hostname patterns in canonical form (lower case, A-labels, no trailing dot), each once, and what they
            lead to: an exact name, ``*.name`` (every name below ``name`` at any depth, not ``name`` itself), or ``*``
            (everything else, also clients that name no host).
    """

    __slots__ = ("_default", "_depth", "_exact", "_wildcards")

    def __init__(self, routes: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._wildcards: dict[str, T] = {}
        self._default: T | None = None
        for pattern, target in routes:
            if pattern == "*":
                self._default = target
            elif pattern.startswith("*."):
                self._wildcards[pattern[2:]] = target
            else:
                self._exact[pattern] = target
        # Labels of the longest wildcard: a hostile name of a hundred labels costs no more look-ups than that.
        self._depth = max((name.count(".") + 1 for name in self._wildcards), default=0)

    def find(self, name: str | None) -> T | None:
        """Return what serves ``name`` (a server name in any case, a trailing dot ignored; None: none given), if any."""
        if name is None:
            return self._default
        # The parser's names are canonical: then the first look-up is the only one.
        found = self._exact.get(name)
        if found is None:
            canonical = name.lower().removesuffix(".")
            if canonical != name:
                found = self._exact.get(canonical)
            if found is None:
                found = self._find_wildcard(canonical)
        return found

    def _find_wildcard(self, name: str) -> T | None:
        if self._depth:
            labels = name.split(".")
            for start in range(max(1, len(labels) - self._depth), len(labels)):
                found = self._wildcards.get(".".join(labels[start:]))
                if found is not None:
                    return found
        return self._default

"""Which case a request falls into, and why none of the others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mcproxy.model.state.state import Case, RouteKey
from mcproxy.model.values.http.matches import Match, normal, parse, precedence
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.cases.conditions import Facts, asked, facts
from mcproxy.policy.cases.table import Ambiguous, CaseTable
from mcproxy.policy.explain.query import Step
from mcproxy.policy.field_names import fold
from mcproxy.policy.headers import RequestHead

_SHOWN = 10  # cases that are named beside the one that gets the request


class RouteCases:
    """The cases of one route.

    Args:
        route: listener and hostname.
        cases: its cases.
        origins: where they, and the route, are declared.
    """

    def __init__(self, route: RouteKey, cases: Iterable[Case], origins: Mapping[Key, Origin]) -> None:
        self._route = route
        self._origins = origins
        self._cases = {case.match: case for case in cases}
        self._matches = {text: parse(text) for text in self._cases}
        self._table = CaseTable((match, text) for text, match in self._matches.items())
        self._asking = {text for text, match in self._matches.items() if match.headers or match.query}
        self._by_path: defaultdict[bytes, list[str]] = defaultdict(list)
        for text, match in self._matches.items():
            self._by_path[normal(match.path.encode())].append(text)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._cases)

    def named(self, match: str) -> Case | None:
        """Return a case by its match."""
        return self._cases.get(match)

    def find(self, method: bytes, path: bytes) -> Case | Ambiguous[str] | None:
        """Return the case of a request that has no header fields and no query; by their matches those that can't be told apart."""
        found = self._table.find(method, path, [])
        return found if found is None or isinstance(found, Ambiguous) else self._cases[found]

    def all(self) -> tuple[Case, ...]:
        """Return them, in the order of their matches."""
        return tuple(self._cases[text] for text in sorted(self._cases))

    def conditional(self, method: str, path: bytes) -> tuple[str, ...]:
        """Return the cases on a path, or above it, for a method that ask for header fields or a query."""
        if not self._asking:
            return ()
        covering = (text for text in self._covering(normal(path)) if text in self._asking)
        return tuple(sorted(text for text in covering if not _lack(self._matches[text], method, None)))

    def of(self, head: RequestHead) -> tuple[Case | None, Step | None]:
        """Return the case of a request, and the step that tells why it is; no step where the route has no cases."""
        if not self._cases:
            return None, None
        found = self._table.find(head.method, head.path, head.headers)
        if isinstance(found, Ambiguous):
            path = head.path.partition(b"?")[0]
            says = f"{quote(path.decode())} can be read in too many ways"
            if found.reading:
                one, other = (quote(each.decode(errors="backslashreplace")) for each in (normal(path), found.reading))
                where, elsewhere = self._place(found.one), self._place(found.other)
                says = f"read as {one} the path belongs to {where}, read as {other} to {elsewhere}"
            says = f"answered with 400, ambiguous_path: {says}"
            origin = self._origin(found.one or found.other)
            return None, Step("case", "refused", says, origin, 400, ("ambiguous_path",))
        others = self._others(head, found)
        listed = [f"{text} ({why})" for text, why in others[:_SHOWN]]
        if len(others) > _SHOWN:
            listed.append(f"{len(others) - _SHOWN} more")
        losing = f"; not {', '.join(listed)}" if listed else ""
        if found is None:
            return None, Step("case", "ok", f"no case fits{losing}", self._origin(None))
        return self._cases[found], Step("case", "ok", f"{found} fits{losing}", self._origin(found))

    def _origin(self, text: str | None) -> Origin | None:
        """Return where a case is declared, the route for none."""
        return self._origins.get(("case", *self._route, text) if text else ("route", *self._route))

    def _place(self, text: str | None) -> str:
        """Return a case with the line that declares it."""
        where = self._origins.get(("case", *self._route, text or ""))
        return "no case" if text is None else f"{text} ({where})" if where else text

    def _others(self, head: RequestHead, found: str | None) -> Sequence[tuple[str, str]]:
        """Return the cases for the path that do not get a request, by their precedence, and why each does not."""
        path, _, query = head.path.partition(b"?")
        matches = self._matches
        rivals = [(text, matches[text]) for text in self._covering(normal(path)) if text != found]
        conditions = {text: asked(match) for text, match in rivals}
        names = frozenset(name for wanted in conditions.values() for name, _ in wanted)
        known = facts(names, query, head.headers)
        winner = None if found is None else matches[found]
        method = head.method.decode()
        return [
            (text, _lack(match, method, known) or ("" if winner is None else _behind(match, winner)))
            for text, match in sorted(rivals, key=lambda rival: precedence(rival[1]))
        ]

    def _covering(self, path: bytes) -> Iterator[str]:
        """Yield the cases whose path it is, or lies above it."""
        yield from self._by_path.get(path, ())
        above = path
        while above:
            above = above[: max(above.rfind(b"/"), 0)]
            yield from (text for text in self._by_path.get(above, ()) if self._matches[text].below)


def _lack(match: Match, method: str, known: Facts | None) -> str:
    """Return what a request lacks for a case on its path, "" for nothing; without ``known`` facts by its method alone."""
    if match.methods and method not in match.methods and not (method == "HEAD" and "GET" in match.methods):
        return f"not for {method}"
    if known is None:
        return ""
    for kind, prefix, conditions in (("header", b"", match.headers), ("query parameter", b"?", match.query)):
        for name, value in conditions:
            key = prefix + name.encode() if prefix else fold(name.encode())
            if key not in known:
                return f"without the {kind} {name}"
            if value not in ("*", known[key].decode(errors="replace")):
                return f"the {kind} {name} is not {quote(value)}"
    return ""


def _behind(match: Match, winner: Match) -> str:
    """Return why a case comes after another one, though a request fits both."""
    own, first = precedence(match), precedence(winner)
    if own[0] != first[0]:
        return "an exact path comes first"
    if own[1] != first[1]:
        return "a longer path comes first"
    if "HEAD" in winner.methods and "HEAD" not in match.methods:
        return "one that names HEAD comes first"
    if own[2] != first[2]:
        return "one with a method comes first"
    return "one with more headers comes first" if own[3] != first[3] else "one with more query parameters comes first"

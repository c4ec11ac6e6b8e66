"""The rule that of the cases of a route that fit one request one comes first (`values.http.matches`)."""

from collections.abc import Iterator
from functools import lru_cache

from mcproxy.model.state.rules.violation import RuleViolation
from mcproxy.model.state.state import CaseKey, RouteKey, State
from mcproxy.model.values.http import matches
from mcproxy.model.values.http.matches import Match
from mcproxy.model.values.quoting import quote


def tied_cases(state: State) -> Iterator[RuleViolation]:
    """Yield the cases that are tied with an earlier one of their route."""
    routes: dict[RouteKey, list[CaseKey]] = {}
    for key in state.cases:
        routes.setdefault(key[:2], []).append(key)
    for keys in routes.values():
        if len(keys) > 1 and _may_be_tied([key[2] for key in keys]):
            for later, earlier in matches.ties([_parsed(key[2]) for key in keys]):
                yield _tie(keys[later], keys[earlier])


def _may_be_tied(texts: list[str]) -> bool:
    """Tell whether two matches may be of one path: nearly all routes have cases of different paths, which is quickly seen."""
    paths = [_path(text) for text in texts]
    return len(set(paths)) < len(paths) or any("%" in path for path in paths)


def _path(text: str) -> str:
    """Return the path of a canonical match, with its ``/*``."""
    if " " not in text:
        return text
    first, second, *_ = text.split(" ", 2)
    return first if first.startswith("/") else second


@lru_cache(65_536)
def _parsed(text: str) -> Match:
    return matches.parse(text)


def _tie(later: CaseKey, earlier: CaseKey) -> RuleViolation:
    return RuleViolation(
        "tied_cases",
        ("case", later),
        f"some requests are for this case and as much for {quote(earlier[2])}",
        (("case", earlier),),
        rival=("case", earlier),
        field="match",
        own=f"some requests are for it and as much for the case {quote(earlier[2])}",
        other=f"some requests are for it and as much for the case {quote(later[2])}",
    )

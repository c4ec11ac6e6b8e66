"""Which case a request falls into, and why none of the others."""

from collections.abc import Sequence

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.state import Case, Route
from mcproxy.model.values.http.matches import Match, normal, parse, precedence
from mcproxy.model.values.quoting import quote
from mcproxy.policy.cases.conditions import Facts, asked, facts
from mcproxy.policy.cases.table import Ambiguous, CaseTable
from mcproxy.policy.explain.query import Step
from mcproxy.policy.field_names import fold
from mcproxy.policy.headers import RequestHead

_SHOWN = 10  # cases that are named beside the one that gets the request


def case_of(resolution: Resolution, route: Route, head: RequestHead) -> tuple[Case | None, Step | None]:
    """Return the case of a request, and the step that tells why it is; no step where the route has no cases."""
    key = (route.listener, route.hostname)
    cases = {case.match: case for case in resolution.state.cases.values() if (case.listener, case.hostname) == key}
    if not cases:
        return None, None
    matches = {text: parse(text) for text in cases}
    found = CaseTable((match, text) for text, match in matches.items()).find(head.method, head.path, head.headers)

    def place(text: str | None) -> str:
        """Return a case with the line that declares it."""
        where = resolution.origins.get(("case", *key, text or ""))
        return "no case" if text is None else f"{text} ({where})" if where else text

    if isinstance(found, Ambiguous):
        path = head.path.partition(b"?")[0]
        says = f"{quote(path.decode())} can be read in too many ways"
        if found.reading:
            one, other = (quote(each.decode(errors="backslashreplace")) for each in (normal(path), found.reading))
            says = f"read as {one} the path belongs to {place(found.one)}, read as {other} to {place(found.other)}"
        decides = found.one or found.other
        origin = resolution.origins.get(("case", *key, decides) if decides else ("route", *key))
        return None, Step("case", "refused", f"answered with 400, ambiguous_path: {says}", origin)
    others = _others(head, found, matches)
    listed = [f"{text} ({why})" for text, why in others[:_SHOWN]]
    if len(others) > _SHOWN:
        listed.append(f"{len(others) - _SHOWN} more")
    losing = f"; not {', '.join(listed)}" if listed else ""
    if found is None:
        return None, Step("case", "ok", f"no case fits{losing}", resolution.origins.get(("route", *key)))
    return cases[found], Step("case", "ok", f"{found} fits{losing}", resolution.origins.get(("case", *key, found)))


def _others(head: RequestHead, found: str | None, matches: dict[str, Match]) -> Sequence[tuple[str, str]]:
    """Return the cases for the path that do not get a request, by their precedence, and why each does not."""
    path, _, query = head.path.partition(b"?")
    received = normal(path)
    rivals = [(text, match) for text, match in matches.items() if text != found and _covers(match, received)]
    conditions = {text: asked(match) for text, match in rivals}
    names = frozenset(name for wanted in conditions.values() for name, _ in wanted)
    known = facts(names, query, head.headers)
    winner = None if found is None else matches[found]
    method = head.method.decode()
    return [
        (text, _lack(match, method, known) or ("" if winner is None else _behind(match, winner)))
        for text, match in sorted(rivals, key=lambda rival: precedence(rival[1]))
    ]


def _covers(match: Match, path: bytes) -> bool:
    own = normal(match.path.encode())
    return path == own or (match.below and (path.startswith(own + b"/") or not own))


def _lack(match: Match, method: str, known: Facts) -> str:
    """Return what a request lacks for a case on its path, "" for nothing."""
    if match.methods and method not in match.methods and not (method == "HEAD" and "GET" in match.methods):
        return f"not for {method}"
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

"""What a test expects beside what has come of it: every expectation that does not hold, in words, with the line that decides."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

import msgspec
from msgspec import UnsetType

from mcproxy.model.config import walker
from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.testing.declared import DeclaredTest
from mcproxy.model.config.testing.shape import Expect
from mcproxy.model.state.filter_options import FilterOptions, Page, descriptions, sorted_lists
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.origins import Key, Origin
from mcproxy.policy.explain.query import Step
from mcproxy.policy.explain.tables import Tables
from mcproxy.policy.explain.testing.outcomes import PASSING, Outcome
from mcproxy.policy.headers import Headers

Where = Callable[[Origin | None], str]
"""Writes a line of a file, as it is shown behind what it decides; "" for none."""


class Miss(msgspec.Struct, frozen=True):
    """An expectation that does not hold.

    Attributes:
        path: of its key, below ``expect``.
        wanted: what was expected.
        got: what there is instead.
        hint: what may be meant, "" for nothing.
    """

    path: KeyPath
    wanted: str
    got: str
    hint: str = ""


def named_by(declared: DeclaredTest) -> Callable[[Step], bool]:
    """Return what tells of a step in `PASSING` whether a test takes it to refuse: whether one of its expectations names it."""
    expect, expected = declared.test.expect, declared.expected

    def refuses(step: Step) -> bool:
        by_step = "step" in expected and expect.step == step.step
        by_name = "refused_by" in expected and expect.refused_by in (*step.names, step.step)
        by_status = "status" in expected and step.status != 0 and expect.status == step.status
        return step.step in PASSING and (by_step or by_name or by_status)

    return refuses


class Judge:
    """Compares what tests expect with what has come of them.

    Args:
        tables: of the configuration.
        where: writes lines of files.
    """

    def __init__(self, tables: Tables, where: Where) -> None:
        self._tables = tables
        self._where = where

    def misses(self, declared: DeclaredTest, outcome: Outcome) -> Iterator[Miss]:
        """Yield what of a test's expectations does not hold."""
        expect = declared.test.expect
        for key in declared.expected:
            if key == "filter":
                yield from self._filters(declared, outcome)
            else:
                judge: Callable[[Expect, Outcome], Iterator[Miss]] = getattr(self, f"_{key}")
                yield from judge(expect, outcome)

    def _status(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        if expect.status and outcome.status not in (None, expect.status):
            yield self._miss("status", f"status {expect.status}", outcome)

    def _route(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        found = "" if outcome.route is None else outcome.route.hostname
        if found != expect.route:
            got = self._by(outcome).removeprefix("by ") if found else self._end(outcome)
            known = sorted({route.hostname for route in self._tables.state.routes.values()})
            wanted = f"route {expect.route}" if expect.route else "no route"
            yield Miss(("route",), wanted, got, _near("route", expect.route, known))

    def _case(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        found = "" if outcome.case is None else outcome.case.match
        if found != expect.case:
            got = self._by(outcome).removeprefix("by ") if found else f"no case: {self._end(outcome)}"
            known = sorted({case.match for case in self._tables.state.cases.values()})
            wanted = f"case {expect.case}" if expect.case else "no case"
            yield Miss(("case",), wanted, got, _near("case", expect.case, known))

    def _backend(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        wanted, found = expect.backend, outcome.backend
        if wanted.endpoints:
            fits = {str(each) for each in wanted.endpoints} == set(self._addresses(found))
        else:
            fits = wanted == found
        if not fits:
            words = f"backend {wanted}" if wanted != RouteBackend() else "no backend"
            hint = _near("upstream", wanted.upstream, sorted(self._tables.state.upstreams))
            yield Miss(("backend",), words, self._end(outcome, addresses=bool(wanted.endpoints)), hint)

    def _redirect(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        if expect.redirect != outcome.location:
            yield self._miss(
                "redirect", f"redirect to {expect.redirect}" if expect.redirect else "no redirect", outcome
            )

    def _respond(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        if expect.respond != outcome.respond:
            got = f"{_text(outcome.respond)} {self._by(outcome)}" if outcome.respond else self._end(outcome)
            yield Miss(("respond",), _text(expect.respond) if expect.respond else "no text", got)

    def _header(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        fields, gone, is_open = outcome.told()
        for name, wanted in _by_name(expect.header).items():
            found = _values(fields, name)
            unknown = is_open and not found and name.lower().encode() not in gone
            if not _holds(name, wanted, found) or unknown:
                got = (
                    f"what the backend says {self._by(outcome)}"
                    if unknown
                    else self._field(name, found, outcome, "response")
                )
                yield Miss(("header", name), _expected(name, wanted), got)

    def _backend_header(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        fields = outcome.given()
        for name, wanted in _by_name(expect.backend_header).items():
            if fields is None:
                yield Miss(("backend_header", name), f"backend_header {_expected(name, wanted)}", self._end(outcome))
            elif not _holds(name, wanted, found := _values(fields, name)):
                got = self._field(name, found, outcome, "request")
                yield Miss(("backend_header", name), f"backend_header {_expected(name, wanted)}", got)

    def _backend_path(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        yield from self._given("backend_path", expect.backend_path, 0, outcome)

    def _backend_host(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        yield from self._given("backend_host", expect.backend_host, 1, outcome)

    def _given(self, key: str, wanted: str, which: int, outcome: Outcome) -> Iterator[Miss]:
        """Yield the miss of a part of the request as the backend gets it."""
        target = outcome.target()
        if wanted and (target is None or target[which] != wanted):
            got = self._end(outcome) if target is None else f"{target[which]} {self._by(outcome)}"
            yield Miss((key,), f"{key} {wanted}", got)

    def _refused_by(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        names = (*outcome.last.names, outcome.last.step) if outcome.refused else ("",)
        if expect.refused_by not in names:
            wanted = f"refused_by {expect.refused_by}" if expect.refused_by else "no refusal"
            yield Miss(
                ("refused_by",), wanted, self._end(outcome), _near("filter", expect.refused_by, self._refusers(outcome))
            )

    def _reset(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        if expect.reset != outcome.reset:
            yield self._miss("reset", "a reset" if expect.reset else "no reset", outcome)

    def _step(self, expect: Expect, outcome: Outcome) -> Iterator[Miss]:
        if expect.step and expect.step != outcome.last.step:
            yield self._miss("step", f"step {expect.step}", outcome)

    def _filters(self, declared: DeclaredTest, outcome: Outcome) -> Iterator[Miss]:
        """Yield the keys of filters that have other values; a guard may have one in each filter, of a modifier the innermost counts."""
        expect = declared.test.expect.filter or FilterOptions()
        wanted = sorted_lists(expect)
        for key in FilterOptions.__struct_fields__:
            if not declared.document.names(*declared.path, "expect", "filter", key):
                continue
            said = [] if outcome.force is None else list(outcome.force.saying(key))
            values = [getattr(options, key) for _, options, _ in said]
            value, default = getattr(wanted, key), getattr(FilterOptions(), key)
            holds = not values if value == default else value in values[: None if key in _GUARDS else 1]
            if not holds:
                got = f"{_written(key, values[0])} by filter {said[0][0]}{self._where(said[0][2])}" if said else "none"
                words = _written(key, value) if value != default else "none"
                yield Miss(("filter", key), f"filter.{key} {words}", got)

    def _miss(self, key: str, wanted: str, outcome: Outcome) -> Miss:
        return Miss((key,), wanted, self._end(outcome))

    def _end(self, outcome: Outcome, *, addresses: bool = False) -> str:
        """Return what has come of it, and which line says so."""
        last = outcome.last
        if not outcome.refused:
            if outcome.backend != RouteBackend():
                several = ", ".join(self._addresses(outcome.backend)) if addresses and outcome.backend.upstream else ""
                return f"backend {outcome.backend}{f' ({several})' if several else ''} {self._by(outcome)}"
            if outcome.location:
                return f"status {last.status} to {outcome.location} {self._by(outcome)}"
            what = f"status {last.status}" if last.status else "no backend, as nothing is asked for"
            return (
                f"{what} at {last.step}{self._where(last.origin)}"
                if last.step == "cors"
                else f"{what} {self._by(outcome)}"
            )
        what = "a reset" if outcome.reset else f"status {last.status}" if last.status else "the answer of forward_auth"
        why = last.detail.removeprefix(f"answered with {last.status}: ").removeprefix("the connection is reset: ")
        return f"{what} at {last.step}: {why}{self._where(last.origin)}"

    def _by(self, outcome: Outcome) -> str:
        """Return the case, or the route, and its line."""
        route, case = outcome.route, outcome.case
        if route is None:
            return f"at {outcome.last.step}{self._where(outcome.last.origin)}"
        key: Key = ("route", route.listener, route.hostname)
        if case is not None:
            return f"by case {case.match}{self._where(self._tables.origins.get(('case', *key[1:], case.match)))}"
        return f"by route {route.hostname}{self._where(self._tables.origins.get(key))}"

    def _field(self, name: str, found: list[str], outcome: Outcome, direction: str) -> str:
        """Return what there is of a header, and the filter that says so."""
        words = f"{name}: {', '.join(found)}" if found else f"no {name}"
        force = outcome.force
        for key in (f"add_{direction}_headers", f"set_{direction}_headers", f"remove_{direction}_headers"):
            for filter_name, options, origin in () if force is None else force.saying(key):
                names = [each if isinstance(each, str) else each[0] for each in getattr(options, key)]
                if name in names:
                    return f"{words} by filter {filter_name}{self._where(origin)}"
        return f"{words} {self._by(outcome)}"

    def _addresses(self, backend: RouteBackend) -> list[str]:
        """Return the addresses that a request may go to while all of them are well."""
        if not backend.upstream:
            return [str(each) for each in backend.endpoints]
        ready = [each for each in self._tables.endpoints(backend.upstream) if each.state == "ready"]
        return [each.address for each in ready if not each.backup] or [each.address for each in ready]

    def _refusers(self, outcome: Outcome) -> list[str]:
        """Return what can refuse here, for who has written it wrong."""
        names = {name for step in outcome.steps for name in step.names} | set(self._tables.state.filters)
        return sorted(names | set(FilterOptions.__struct_fields__))


_GUARDS = frozenset(key for key, text in descriptions().items() if text.startswith("Guard"))
"""The keys that add up: each filter may say its own."""
_UNORDERED = ("access-control-", "vary")
"""Headers, or their beginnings, whose members have no order."""


def _near(kind: str, wanted: str, known: list[str]) -> str:
    """Return a hint at what is meant by a name that there is not; "" where there is one of it."""
    if not wanted or wanted in known:
        return ""
    near = get_close_matches(wanted[:100], known, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return "" if kind == "filter" and not near else f"there is no {kind} {wanted}{meant}"


def _by_name(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _values(fields: Headers, name: str) -> list[str]:
    return [value.decode(errors="replace") for key, value in fields if key.lower() == name.lower().encode()]


def _holds(name: str, wanted: list[str], found: list[str]) -> bool:
    """Tell whether a header is as expected: of several fields each value counts, and all of them as one."""
    if wanted == [""]:
        return not any(found)
    whole = ", ".join(found)
    if name.lower().startswith(_UNORDERED):
        return all(found and (value == "*" or _members(value) == _members(whole)) for value in wanted)
    return all(value in found or (value == "*" and found) or value == whole for value in wanted)


def _members(value: str) -> set[str]:
    return {member.strip().lower() for member in value.split(",")}


def _expected(name: str, wanted: list[str]) -> str:
    return f"no {name}" if wanted == [""] else f"{name}: {', '.join(wanted)}"


def _text(answer: str | Page) -> str:
    text = f"the file {answer.file}" if isinstance(answer, Page) else f"the text {answer[:60]!r}"
    return text if isinstance(answer, Page) or len(answer) <= 60 else f"{text} ..."


def _written(key: str, value: object) -> str:
    """Return a value of a filter as the file has it."""
    if isinstance(value, UnsetType):
        return "none"
    return msgspec.json.encode(walker.written(FilterOptions, key, value, "/")).decode().strip('"')

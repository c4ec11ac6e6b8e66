"""Rules about filters in the places where they hold."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeAlias

import msgspec

from mcproxy.model.state.filter_options import FilterOptions, l4_keys
from mcproxy.model.state.kinds import name_of
from mcproxy.model.state.rules.violation import ResourceId, RuleViolation
from mcproxy.model.state.state import State
from mcproxy.model.values.http.fields import fold, pages_range, parse_name
from mcproxy.model.values.quoting import quote

_Said: TypeAlias = dict[tuple[str, ...], tuple[str, object]]
"""What a filter says of each thing that a modifier can change: with the key that says it."""
_Source: TypeAlias = tuple[ResourceId, str, _Said]
"""Who has a filter, the key that it is in ("" for a named one), and what it says."""

_WHOLE = ("rewrite", "rewrite_host", "request_timeout", "idle_timeout", "cors")


def set_twice(state: State) -> Iterator[RuleViolation]:
    """Yield the filters that hold in one place and say different things of the same, with neither being the inner one."""
    said: dict[str, _Said] = {}
    known: dict[tuple[str, ...], tuple[_Source, _Source, tuple[str, ...]] | None] = {}
    for place, use, own in _places(state):
        if len(use) + (own is not None) < 2:
            continue
        for name in use:
            if name not in said and name in state.filters:
                said[name] = modified(state.filters[name])
        named: list[_Source] = [(("filter", name), "", said[name]) for name in use if name in said]
        if own is not None:
            found = _first_clash([*named, (place, "filter", modified(own))])
        else:
            if use not in known:
                known[use] = _first_clash(named)
            found = known[use]
        if found is not None:
            yield _twice(place, *found)


def on_l4(state: State) -> Iterator[RuleViolation]:
    """Yield what l4 routes have that needs requests: cases, and keys of filters that they name themselves."""
    for case_key in state.cases:
        around = state.routes.get(case_key[:2])
        if around is not None and around.mode == "l4":
            message = 'an l4 route sees no requests; cases need mode = "l7"'
            yield RuleViolation(
                "case_on_l4",
                ("case", case_key),
                message,
                (("route", case_key[:2]),),
                own="the route is l4 now, and sees no requests",
                other="it has cases, and an l4 route sees no requests",
            )
    for key, route in state.routes.items():
        if route.mode != "l4" or not (route.use or route.filter):
            continue
        for name in route.use:
            wrong = of_requests(state.filters[name]) if name in state.filters else ()
            if wrong:
                yield _on_l4(("route", key), ("filter", name), "use", name, wrong[0])
        for each in of_requests(route.filter) if route.filter else ():
            yield _on_l4(("route", key), None, f"filter.{each}", "", each)


def of_requests(options: FilterOptions) -> tuple[str, ...]:
    """Return the keys of a filter that are about requests, and so have no effect on l4 routes."""
    return tuple(
        name
        for name, default in _defaults()
        if name not in l4_keys() and name != "name" and getattr(options, name) != default
    )


def modified(options: FilterOptions) -> _Said:
    """Return what a filter says of each thing that a modifier can change."""
    found: _Said = {}
    for side, one in (("request", _as_read), ("response", str)):
        for removed in getattr(options, f"remove_{side}_headers"):
            found[f"{side} header", one(removed)] = (f"remove_{side}_headers", None)
        for name, value in getattr(options, f"set_{side}_headers"):
            found[f"{side} header", one(name)] = (f"set_{side}_headers", value)
        added: dict[str, list[str]] = {}
        for name, value in getattr(options, f"add_{side}_headers"):
            added.setdefault(one(name), []).append(value)
        for name, values in added.items():
            found.setdefault((f"{side} header", name), (f"add_{side}_headers", tuple(values)))
    for key in _WHOLE:
        value = getattr(options, key)
        if value not in ("", None) and value is not msgspec.UNSET:
            found[(key,)] = (key, value)
    for statuses, file in options.error_pages:
        found["error page", statuses] = (f"error_pages.{statuses}", (file, options.backend_errors))
    return found


def _as_read(name: str) -> str:
    """Return the one name of a request header in all the spellings that backends may read as it."""
    return parse_name(fold(name))


def _places(state: State) -> Iterator[tuple[ResourceId, tuple[str, ...], FilterOptions | None]]:
    """Yield every place where filters hold, with those that it names and the one of its own."""
    for addr, listener in state.listeners.items():
        yield ("listener", addr), listener.use, None
    for key, route in state.routes.items():
        if route.use or route.filter:
            yield ("route", key), route.use, route.filter
    for case_key, case in state.cases.items():
        if case.use or case.filter:
            yield ("case", case_key), case.use, case.filter


def _first_clash(sources: Iterable[_Source]) -> tuple[_Source, _Source, tuple[str, ...]] | None:
    """Return two of several filters that say different things of the same, and what that is."""
    first: dict[tuple[str, ...], _Source] = {}
    pages: list[tuple[tuple[int, int], tuple[str, ...]]] = []
    for source in sources:
        for what, (key, value) in source[2].items():
            if what[0] == "error page":
                ours = pages_range(what[1])
                for theirs, other in pages:
                    if other != what and first[other] is not source and _alike(ours, theirs):
                        return first[other], source, what
                pages.append((ours, what))
            earlier = first.setdefault(what, source)
            if earlier is source:
                continue
            theirs_key, theirs_value = earlier[2][what]
            if theirs_value != value or theirs_key != key:
                both_add = key.startswith("add_") and theirs_key == key
                if not both_add:
                    return earlier, source, what
    return None


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two ranges have a status in common and neither is the narrower one."""
    return one[0] <= other[1] and other[0] <= one[1] and one[1] - one[0] == other[1] - other[0]


def _twice(place: ResourceId, earlier: _Source, later: _Source, what: tuple[str, ...]) -> RuleViolation:
    one, two = _name(earlier), _name(later)
    thing = " ".join((what[0], quote(what[1]))) if len(what) > 1 else what[0]
    message = f"{one} and {two} say different things of {'the ' if len(what) > 1 else ''}{thing}, and neither is the inner one here"
    told = tuple(
        (owner, f"{within}.{_key_of(said, what)}" if within else _key_of(said, what))
        for owner, within, said in (earlier, later)
    )
    item = str(later[0][1]) if later[0][0] == "filter" else str(earlier[0][1])
    return RuleViolation(
        "modifier_twice",
        place,
        message,
        tuple(owner for owner, _, _ in (earlier, later) if owner != place),
        field="use",
        item=item,
        told=told,
        own=message,
        other=f"the {name_of(*place)} uses it, where {message}",
    )


def _key_of(said: _Said, what: tuple[str, ...]) -> str:
    if what in said:
        return said[what][0]
    return next(key for each, (key, _) in said.items() if each[0] == what[0])


def _name(source: _Source) -> str:
    (_, key), within, _ = source
    return "the filter of its own" if within else f"the filter {key}"


def _on_l4(subject: ResourceId, owner: ResourceId | None, field: str, item: str, key: str) -> RuleViolation:
    what = f"the filter {item} has {key}, which is" if item else "is"
    message = f'{what} about requests, and an l4 route sees none; it needs mode = "l7"'
    return RuleViolation(
        "filter_on_l4",
        subject,
        message,
        () if owner is None else (owner,),
        field=field,
        item=item,
        told=() if owner is None else ((owner, key),),
        own=message,
        other=f"the l4 {name_of(*subject)} uses it, and {key} is about requests",
    )


@cache
def _defaults() -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(FilterOptions))

"""The cases of a route, and the filters that hold for it."""

import msgspec
from msgspec.structs import fields

from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.page.counts import Counted, Counts
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.scopes import FilterKey, filter_name, scope_of
from mcproxy.model.state.state import Case, Route, RouteKey

CASES_SHOWN = 100


class CaseStatus(msgspec.Struct, frozen=True):
    """One case: ``action`` is "" where it does what its route does; ``filters`` hold for it, the outermost first."""

    match: str
    action: str
    filters: tuple[str, ...]
    requests: Counted


class FilterStatus(msgspec.Struct, frozen=True):
    """One filter that holds for a route or one of its cases: what it sets, and what it has refused there, by stage."""

    name: str
    keys: tuple[str, ...]
    blocked: tuple[Counted, ...]


def cases_of(facts: Facts, counts: Counts, key: RouteKey) -> tuple[CaseStatus, ...]:
    """Return the cases of a route, those with the most requests first."""
    listener, route = facts.state.listeners[key[0]], facts.state.routes[key]
    found = [
        CaseStatus(
            case.match,
            case.action,
            tuple(map(filter_name, scope_of(listener, route, case))),
            counts.case((*key, case.match)),
        )
        for case in _cases(facts, key)
    ]
    return tuple(sorted(found, key=lambda one: (-one.requests.count, one.match)))


def filters_of(facts: Facts, counts: Counts, key: RouteKey) -> tuple[FilterStatus, ...]:
    """Return the filters that hold for a route or one of its cases; those without a name count together, by whose they are."""
    listener, route = facts.state.listeners[key[0]], facts.state.routes[key]
    scopes = [scope_of(listener, route), *(scope_of(listener, route, case) for case in _cases(facts, key))]
    keys: dict[str, dict[str, None]] = {}
    for one in dict.fromkeys(one for scope in scopes for one in scope):
        keys.setdefault(filter_name(one), {}).update(dict.fromkeys(_set(_options(facts, route, one))))
    blocked = counts.filter_blocks(key)
    return tuple(FilterStatus(name, tuple(its), blocked.get(name, ())) for name, its in keys.items())


def _cases(facts: Facts, key: RouteKey) -> list[Case]:
    return [case for case in facts.state.cases.values() if (case.listener, case.hostname) == key]


def _options(facts: Facts, route: Route, key: FilterKey) -> FilterOptions | None:
    match key:
        case ("filter", name):
            return facts.state.filters.get(name)
        case ("case", listener, hostname, match):
            return facts.state.cases[listener, hostname, match].filter
        case _:
            return route.filter


def _set(options: FilterOptions | None) -> list[str]:
    """Return the keys of a filter that are not as by default."""
    if options is None:
        return []
    return [field.name for field in fields(FilterOptions) if getattr(options, field.name) != field.default]

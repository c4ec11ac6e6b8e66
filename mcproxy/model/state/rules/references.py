"""Rules about what resources name: upstreams and filters have to be there, and suit those who name them."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from operator import attrgetter
from typing import TypeAlias

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey, name_of, table_of
from mcproxy.model.state.rules.violation import RuleViolation
from mcproxy.model.state.state import Case, Filter, Listener, Route, State
from mcproxy.model.values.quoting import quote

Reference: TypeAlias = tuple[KindName, str, str]
"""Kind and name of what a resource names, and the key that it does so in, with dots within tables."""

_MOST_NEAR = 500  # names among which the nearest is looked for
_HINTS = 20  # names for which it is looked for: that takes a millisecond each
_named_by = attrgetter("upstream", "use", "without", "filter")
_NOTHING = ("", (), (), None)
_NAMING: tuple[KindName, ...] = ("filter", "listener", "route", "case")


def references(resource: Resource | None) -> Iterator[Reference]:
    """Yield what a resource names: the upstream that it leads to, the filters that it uses or does without, whom these ask."""
    if isinstance(resource, Route | Case):
        if resource.upstream:
            yield "upstream", resource.upstream, "backend"
        for name in resource.use:
            yield "filter", name, "use"
        for name in resource.without:
            yield "filter", name, "without"
        if resource.filter is not None:
            yield from _asked(resource.filter, "filter.forward_auth.backend")
    elif isinstance(resource, Listener):
        for name in resource.use:
            yield "filter", name, "use"
    elif isinstance(resource, Filter):
        yield from _asked(resource, "forward_auth.backend")


def naming(state: State, kind: KindName, name: str) -> list[str]:
    """Return the names of the resources that name one, for people."""
    return [
        name_of(each, key)
        for each in _NAMING
        for key, resource in table_of(state, each).items()
        if any(found[:2] == (kind, name) for found in references(resource))
    ]


def unknown_names(state: State) -> Iterator[RuleViolation]:
    """Yield each name of an upstream or filter that there is not, at those who name it."""
    told: dict[tuple[KindName, str], str] = {}
    known: dict[str, Collection[str]] = {"upstream": state.upstreams, "filter": state.filters}
    for each in _NAMING:
        for key, resource in table_of(state, each).items():
            if isinstance(resource, Route) and _named_by(resource) == _NOTHING:
                continue  # as nearly all
            for kind, name, field in references(resource):
                if name in known[kind]:
                    continue
                if (kind, name) not in told:
                    told[kind, name] = _unknown(kind, name, known[kind] if len(told) < _HINTS else ())
                yield _violation(each, key, kind, name, field, told[kind, name])


def unsuitable_upstreams(state: State) -> Iterator[RuleViolation]:
    """Yield upstreams that do not suit who leads to them: cookies for l4, PROXY headers for questions of filters."""
    if not any(upstream.sticky_cookie or upstream.send_proxy_protocol for upstream in state.upstreams.values()):
        return
    for key, route in state.routes.items():
        upstream = state.upstreams.get(route.upstream)
        if upstream is not None and upstream.sticky_cookie and route.mode == "l4":
            name = upstream.name
            message = f'the upstream {name} has a sticky_cookie, and an l4 route sees no cookies; it needs mode = "l7"'
            yield RuleViolation("cookie_on_l4", ("route", key), message, (("upstream", name),), field="backend")
    for each in _NAMING:
        for key, resource in table_of(state, each).items():
            for kind, name, field in references(resource):
                upstream = (
                    state.upstreams.get(name) if kind == "upstream" and field.endswith("forward_auth.backend") else None
                )
                if upstream is not None and upstream.send_proxy_protocol:
                    message = (
                        f"the upstream {name} wants a PROXY header of each client (send_proxy_protocol), and one connection carries the questions about "
                        "many; name another upstream"
                    )
                    yield RuleViolation(
                        "header_to_auth",
                        (each, key),
                        message,
                        (("upstream", name),),
                        field=field,
                        own=f"the upstream {name} has send_proxy_protocol, which does not suit forward_auth",
                        other=f"the {name_of(each, key)} asks it by forward_auth",
                    )


def without_endpoints(state: State) -> Iterator[RuleViolation]:
    """Yield the upstreams that have no endpoint."""
    having = {upstream for upstream, _ in state.endpoints}
    for name in state.upstreams:
        if name not in having:
            yield RuleViolation("no_endpoints", ("upstream", name), "must have at least one endpoint", ())


def _asked(options: FilterOptions, field: str) -> Iterator[Reference]:
    asked = options.forward_auth
    if asked is not None and asked.backend.upstream:
        yield "upstream", asked.backend.upstream, field


def _violation(each: KindName, key: ResourceKey, kind: KindName, name: str, field: str, message: str) -> RuleViolation:
    doing = "leads to it" if field == "backend" else "asks it" if kind == "upstream" else "names it"
    return RuleViolation(
        "unknown_upstream" if kind == "upstream" else "unknown_filter",
        (each, key),
        message,
        ((kind, name),),
        field=field,
        item=name if kind == "filter" else "",
        own=f"there is no {kind} {name}",
        other=f"the {name_of(each, key)} {doing}",
    )


def _unknown(kind: KindName, name: str, known: Collection[str]) -> str:
    near = next(iter(get_close_matches(name, known, 1)), "") if len(known) <= _MOST_NEAR else ""
    meant = f"127.0.0.1:{name}" if kind == "upstream" and name.isdecimal() else near
    hint = f"; did you mean {quote(meant)}?" if meant else ""
    needs = " (an address needs a port)" if kind == "upstream" else "" if hint else f"; it needs [filters.{name}]"
    return f"there is no {kind} {quote(name)}{hint}{needs}"

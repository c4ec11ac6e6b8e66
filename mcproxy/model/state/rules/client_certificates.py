"""Rules about the certificates of clients: who asks for them needs to know whom to believe, and who wants names has to ask."""

from collections.abc import Iterator

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.kinds import ResourceKey, name_of, table_of
from mcproxy.model.state.rules.violation import ResourceId, RuleViolation
from mcproxy.model.state.scopes import FilterKey, filter_name, filters, scope_of
from mcproxy.model.state.state import Case, Route, State
from mcproxy.model.state.tls_options import TlsTerms, terms


def without_authority(state: State) -> Iterator[RuleViolation]:
    """Yield the routes that ask clients for certificates without a CA to judge them by."""
    asking = {addr for addr, listener in state.listeners.items() if listener.tls is not None}
    for key, route in state.routes.items():
        if route.tls is None and key[0] not in asking:
            continue  # who says nothing asks for none
        held = _terms(state, route)
        if held is None or held.client_auth == "off" or held.client_ca:
            continue
        subject: ResourceId = ("route", key) if route.tls is not None else ("listener", route.listener)
        other: ResourceId = ("listener", route.listener) if route.tls is not None else ("route", key)
        message = f'client_auth = "{held.client_auth}" needs client_ca: the CAs that vouch for clients'
        told = f"{name_of(*subject)}: {message}"
        yield RuleViolation("client_auth_without_ca", subject, message, (other,), field="tls", own=message, other=told)


def names_without_certificates(state: State) -> Iterator[RuleViolation]:
    """Yield the places where a filter wants a name of the client's certificate, and clients are not asked for one."""
    wanting: dict[FilterKey, FilterOptions] = {key: it for key, it in filters(state) if it.client_names}
    if not wanting:
        return
    for key, route in state.routes.items():
        yield from _names(state, wanting, "route", key, route, None)
    for case_key, case in state.cases.items():
        around = state.routes.get(case_key[:2])
        if around is not None:
            yield from _names(state, wanting, "case", case_key, around, case)


def _names(
    state: State,
    wanting: dict[FilterKey, FilterOptions],
    kind: str,
    key: ResourceKey,
    route: Route,
    case: Case | None,
) -> Iterator[RuleViolation]:
    held = _terms(state, route)
    if route.listener not in state.listeners or route.mode == "l4" or (held is not None and held.client_auth != "off"):
        return
    subject: ResourceId = ("route", key) if kind == "route" else ("case", key)
    listener = state.listeners[route.listener]
    around = scope_of(listener, route) if case is not None else ()
    places: tuple[ResourceId, ...] = (("listener", route.listener),)  # where it is said who shows certificates
    if case is not None:
        places = (("route", (route.listener, route.hostname)), *places)
    for each in scope_of(listener, route, case):
        if each not in wanting or each in around:
            continue
        owner: ResourceId | None = ("filter", each[-1]) if each[0] == "filter" else None
        use = table_of(state, subject[0])[key].use
        field = "filter.client_names" if owner is None else "use" if each[-1] in use else ""
        message = (
            f"{f'the filter {filter_name(each)} has client_names, and' if owner else 'nobody could come in:'} the route does not ask for a "
            'certificate; it needs tls = { client_auth = "require", client_ca = ... }'
        )
        yield RuleViolation(
            "names_without_certificates",
            subject,
            message,
            (*(() if owner is None else (owner,)), *places),
            field=field,
            item=each[-1] if field == "use" else "",
            told=() if owner is None else ((owner, "client_names"),),
            own=message,
            other=f"{name_of(*subject)}: {message}",
        )


def _terms(state: State, route: Route) -> TlsTerms | None:
    """Return how TLS is spoken with the clients of a route, None where it is not terminated."""
    listener = state.listeners.get(route.listener)
    if listener is None or listener.protocol != "tls" or route.mode != "l7":
        return None
    return terms(listener.tls, route.tls)

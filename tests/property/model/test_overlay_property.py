"""Laws of the three-way merge over arbitrary files and edits."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from msgspec import UNSET

from mcproxy.model.edits.edit import Edit, base_hash, decode, encode
from mcproxy.model.edits.overlay import drift, merge
from mcproxy.model.edits.rollback import edits_towards
from mcproxy.model.state.diff import apply, diff
from mcproxy.model.state.filter_options import ForwardAuth
from mcproxy.model.state.kinds import KIND, KINDS, KindName, ResourceKey, from_tables, key_of, parent_of, table_of
from mcproxy.model.state.rules.ordered_certificates import unfit_names
from mcproxy.model.state.rules.violations import violations
from mcproxy.model.state.state import Case, Filter, Listener, Policy, Route, Rule, State, Upstream, UpstreamEndpoint
from mcproxy.model.values import addresses
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from tests.support.examples import examples
from tests.support.field_values import route_options

ADDRS = [":1", "127.0.0.1:1", ":2"]
HOSTS = ["a", "*"]
NAMES = ["api", "web"]
LISTENING = {"grpc.addr": ["", ":1", ":3"], "metrics.addr": ["", "127.0.0.1:2", ":3"]}
SETTINGS: dict[str, list[Any]] = {
    **LISTENING,
    "grpc.tls_cert": ["", "c"],
    "grpc.tls_key": ["k"],
    "grpc.client_ca": ["a"],
    "acme.directory": ["https://ca"],  # which no edit can change
    "firewall.geoip_db": ["", "/db"],
    "proxy.workers": [0, 1],
}
LISTENERS = st.builds(
    Listener,
    st.sampled_from(ADDRS),
    max_connections=st.integers(0, 1),
    protocol=st.sampled_from(["tls", "tls", "http"]),
    use=st.sampled_from([(), (), ("office",), ("office", "public")]),
)
USES = st.sampled_from([{}, {}, {"use": ("office",)}, {"use": ("office", "public")}, {"without": ("public",)}])
CERTIFICATE = {"tls_cert": "c", "tls_key": "k"}
ROUTES = st.builds(
    lambda addr, host, name, options, mode, scope: Route(
        addr, host, () if name else (Endpoint("h", 1),), name, **{**options, **mode, **scope}
    ),
    st.sampled_from(ADDRS),
    st.sampled_from(HOSTS),
    st.sampled_from(["", *NAMES]),
    route_options(),
    st.sampled_from(
        [
            {},
            {"mode": "l7", **CERTIFICATE},
            {"mode": "l7", "tls_cert": "", "tls_key": ""},
        ]
    ),
    USES,
)
CASES_OF_ROUTES = st.builds(
    lambda addr, host, match, name, scope: Case(addr, host, match, upstream=name, **scope),
    st.sampled_from(ADDRS),
    st.sampled_from(HOSTS),
    st.sampled_from(["/a", "GET /a", "/a X-A=1", "/a X-B=2", "GET|HEAD /a", "/a/*"]),
    st.sampled_from(["", *NAMES]),
    USES,
)
FILTERS = st.builds(
    lambda name, keys: Filter(name=name, **keys),
    st.sampled_from(["office", "public"]),
    st.sampled_from(
        [
            {"allow_cidrs": ("10.0.0.0/8",)},
            {"idle_timeout": 1.0},
            {"idle_timeout": 2.0},
            {"allow_countries": ("SE",)},
            {"forward_auth": ForwardAuth(backend=RouteBackend((), "api"))},
        ]
    ),
)
POLICIES = st.builds(
    Policy, st.sampled_from(ADDRS), st.sampled_from(HOSTS), st.just("require_header"), st.sampled_from(["X", "Y"])
)
UPSTREAMS = st.builds(
    lambda name, cookie, tries: Upstream(name=name, sticky_cookie=cookie, tries=tries),
    st.sampled_from(NAMES),
    st.sampled_from(["", "", "c"]),
    st.integers(1, 2),
)
BACKENDS = st.builds(
    lambda name, port, weight: UpstreamEndpoint(upstream=name, address=f"h:{port}", weight=weight),
    st.sampled_from(NAMES),
    st.integers(1, 2),
    st.integers(1, 2),
)
RULES = st.sampled_from([Rule("ip", "::1"), Rule("country", "SE")])
DRAWN: dict[KindName, st.SearchStrategy[Any]] = {
    "rule": RULES,
    "upstream": UPSTREAMS,
    "endpoint": BACKENDS,
    "listener": LISTENERS,
    "route": ROUTES,
    "policy": POLICIES,
    "filter": FILTERS,
    "case": CASES_OF_ROUTES,
}
NOW = 10.0


def valid(state: State) -> bool:
    """Tell whether the file could say this: what every effective state has to be as well."""
    taken = [str(state.settings[name]) for name in LISTENING if state.settings[name]] + list(state.listeners)
    leading = {place.upstream for place in _places(state) if not isinstance(place, Listener)}
    leading |= {filter_.forward_auth.backend.upstream for filter_ in state.filters.values() if filter_.forward_auth}
    return (
        all(addr in state.listeners for addr, _ in state.routes)
        and all(key[:2] in state.routes and state.routes[key[:2]].mode == "l7" for key in state.policies)
        and all(_suits(state.listeners[addr], route) for (addr, _), route in state.routes.items())
        and not any(addresses.overlap(one, two) for i, one in enumerate(taken) for two in taken[:i])
        and not (state.settings["grpc.addr"] and not state.settings["grpc.tls_cert"])
        and all(not name or name in state.upstreams for name in leading)
        and {name for name, _ in state.endpoints} == state.upstreams.keys()
        and not any(
            route.mode == "l4" and route.upstream and state.upstreams[route.upstream].sticky_cookie
            for route in state.routes.values()
        )
        and (bool(state.settings["firewall.geoip_db"]) or not _asks_for_countries(state))
        and all(key[:2] in state.routes and state.routes[key[:2]].mode == "l7" for key in state.cases)
        and not any(
            {(*key[:2], one), (*key[:2], two)} <= state.cases.keys() for key in state.cases for one, two in TIED
        )
        and all(_fits(state, place) for place in _places(state))
        and not any(unfit_names(state))
    )


TIED = [("GET /a", "GET|HEAD /a"), ("/a X-A=1", "/a X-B=2")]


def _asks_for_countries(state: State) -> bool:
    return ("country", "SE") in state.rules or any(filter_.allow_countries for filter_ in state.filters.values())


def _places(state: State) -> list[Listener | Route | Case]:
    return [*state.listeners.values(), *state.routes.values(), *state.cases.values()]


def _fits(state: State, place: Listener | Route | Case) -> bool:
    """Tell whether a place may use the filters that it does."""
    lifted = () if isinstance(place, Listener) else place.without
    if not {*place.use, *lifted} <= state.filters.keys():
        return False
    used = [state.filters[name] for name in place.use]
    if (
        isinstance(place, Route)
        and place.mode == "l4"
        and any(it.idle_timeout is not UNSET or it.forward_auth for it in used)
    ):
        return False
    return len({it.idle_timeout for it in used if it.idle_timeout is not UNSET}) < 2


def _suits(listener: Listener, route: Route) -> bool:
    """Tell whether a route may be one of its listener."""
    if listener.protocol == "http":
        return route.mode == "l7" and not route.tls_cert and not route.tls_key
    return route.mode == "l4" or bool(route.tls_cert and route.tls_key)


@st.composite
def files(draw: DrawFn) -> State:
    """Draw a valid file: what does not fit what was drawn before is left out."""
    state = State(settings={name: draw(st.sampled_from(values)) for name, values in SETTINGS.items()})
    if not valid(state):
        state.settings.update({"grpc.addr": "", "metrics.addr": ""})
    upstreams = {one.name: one for one in draw(st.lists(UPSTREAMS, max_size=2))}
    for endpoint in draw(st.lists(BACKENDS, max_size=3)):
        if endpoint.upstream in upstreams:  # which is none without an endpoint
            state.upstreams[endpoint.upstream] = upstreams[endpoint.upstream]
            state.endpoints[endpoint.upstream, endpoint.address] = endpoint
    for table, resources in (
        (state.filters, draw(st.lists(FILTERS, max_size=2))),
        (state.listeners, draw(st.lists(LISTENERS, max_size=3))),
        (state.routes, draw(st.lists(ROUTES, max_size=4))),
        (state.policies, draw(st.lists(POLICIES, max_size=4))),
        (state.cases, draw(st.lists(CASES_OF_ROUTES, max_size=4))),
        (state.rules, draw(st.lists(RULES, max_size=2))),
    ):
        place: dict[Any, Any] = table
        for resource in resources:
            key = key_of(resource)
            before = dict(place)
            place[key] = resource
            if not valid(state):
                place.clear()
                place.update(before)
    return state


@st.composite
def edits(draw: DrawFn, file: State) -> tuple[Edit, ...]:
    """Draw edits, most of them with the file as their base."""
    found: dict[tuple[KindName, ResourceKey], Edit] = {}
    for number in range(draw(st.integers(0, 8))):
        kind: KindName = draw(st.sampled_from(["setting", *DRAWN]))
        value: Any
        if kind == "setting":
            key: ResourceKey = draw(st.sampled_from(sorted(SETTINGS)))
            value = draw(st.sampled_from(SETTINGS[str(key)]))
        else:
            value = draw(DRAWN[kind])
            key = key_of(value)
        table = table_of(file, kind)
        base = base_hash(table.get(key))
        if kind != "setting" and base is not None and draw(st.booleans()):
            value = None
        tables = (file.listeners, file.routes, file.upstreams)
        parents = [None, *(base_hash(parent) for each in tables for parent in each.values())]
        found[kind, key] = Edit(
            id=number + 1,
            kind=kind,
            key=key,
            value=value,
            base=draw(st.sampled_from([base, base, base, base, None, "another"])),
            created=0.0,
            expires=draw(st.sampled_from([None, None, NOW + 1, NOW])),
            parent=draw(st.sampled_from(parents)) if KIND[kind].parent else None,
            orphaned=KIND[kind].parent is not None and draw(st.sampled_from([False, False, True])),
        )
    return tuple(found.values())


@examples(200)
@given(
    st.fixed_dictionaries({kind: st.lists(resources, max_size=3) for kind, resources in DRAWN.items()}),
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SETTINGS.items()}),
)
def test_the_rules_tell_exactly_what_is_not_valid(drawn: Any, values: Any) -> None:
    """Children without parents aside, which no rule has to tell; what a violation names is enough to mend it."""
    tables: dict[KindName, dict[Any, Any]] = {"setting": values}
    for kind in DRAWN:
        present = {key_of(resource): resource for resource in drawn[kind]}
        parents = {key: parent_of(kind, key) for key in present}
        tables[kind] = {
            key: one for key, one in present.items() if (up := parents[key]) is None or up[1] in tables[up[0]]
        }
    state = from_tables(tables)
    found = list(violations(state))
    assert (not found) == valid(state)
    for violation in found:
        subject, name = violation.subject
        assert tables[subject][name]
        rest = {key: value for key, value in tables[subject].items() if key != name}
        assert violation not in violations(from_tables({**tables, subject: rest}))


CASES = files().flatmap(lambda file: st.tuples(st.just(file), edits(file)))


@examples(100)
@given(CASES, st.randoms(use_true_random=False))
def test_every_edit_has_one_verdict_and_the_state_is_one_the_file_could_say(
    case: tuple[State, Any], random: Any
) -> None:
    """Whatever was edited, and in whatever order the edits come; looking again changes nothing."""
    file, drawn = case
    assert valid(file)
    before = msgspec.msgpack.encode(file)
    merged = merge(file, drawn, NOW)
    assert msgspec.msgpack.encode(file) == before
    verdicts = [*merged.kept, *merged.expired, *(verdict.edit for verdict in merged.superseded)]
    assert sorted(edit.id for edit in verdicts) == sorted(edit.id for edit in drawn)
    assert valid(merged.state)
    shuffled = list(drawn)
    random.shuffle(shuffled)
    assert merge(file, shuffled, NOW) == merged
    again = merge(file, merged.kept, NOW)
    assert (again.state, again.kept) == (merged.state, merged.kept)
    assert (again.superseded, again.expired) == ((), ())


@examples(100)
@given(CASES)
def test_what_stands_is_in_effect_and_all_else_is_the_files(case: tuple[State, Any]) -> None:
    """Every difference has an edit that stands, or whose child it is; without edits there is none."""
    file, drawn = case
    merged = merge(file, drawn, NOW)
    tables: dict[str, dict[Any, Any]] = {kind.name: table_of(merged.state, kind.name) for kind in KINDS}
    for edit in merged.standing:
        assert tables[edit.kind].get(edit.key) == edit.value
        assert not edit.orphaned
    differences = [difference for difference in drift(merged, file) if not difference.suspended]
    assert apply(file, diff(file, merged.state)) == merged.state
    assert len(differences) == len(diff(file, merged.state))
    for difference in differences:
        removal = difference.edit.value is None and difference.effective is None
        assert difference.edit in merged.standing
        assert removal or (difference.edit.kind, difference.edit.key) == (difference.kind, difference.key)
    assert merge(file, (), NOW).state == file
    assert drift(merge(file, (), NOW), file) == ()


@examples(100)
@given(CASES)
def test_edits_survive_being_written_down(case: tuple[State, Any]) -> None:
    """`decode(encode(x)) == x`."""
    for edit in case[1]:
        assert decode(encode(edit)) == edit


@examples(100)
@given(files(), files())
def test_any_state_can_be_reached_by_edits_alone(file: State, target: State) -> None:
    """A rollback gives exactly the State it was asked for, and undone, exactly the file's."""
    towards = edits_towards(file, target, created=1.0, author="ann")
    merged = merge(file, towards, NOW)
    assert merged.state == target
    assert len(merged.standing) == len(towards)
    assert {edit.author for edit in towards} <= {"ann"}
    assert merge(target, towards, NOW).state == target


def test_a_rollback_leaves_some_settings_alone() -> None:
    """Those that are to be kept, those that are new, and those that are no more."""
    file = State(settings={"database.path": "/new", "log.level": "info", "x.new": 1})
    target = State(settings={"database.path": "/old", "log.level": "debug", "x.old": 2})
    (edit,) = edits_towards(file, target, keep=("database.path",), created=1.0)
    assert (edit.key, edit.value) == ("log.level", "debug")

"""Laws of diff, apply and plan over arbitrary States."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from mcproxy.model.state.diff import apply, diff
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.route_options import CaseOptions
from mcproxy.model.state.state import (
    Case,
    Filter,
    Listener,
    Policy,
    Route,
    Rule,
    SettingValue,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.upstream_options import EndpointOptions, UpstreamOptions
from mcproxy.model.values.endpoint import Endpoint
from tests.support.examples import examples
from tests.support.field_values import options, route_options

ADDRS = st.sampled_from([":1", ":2", "127.0.0.1:3", "[::1]:4"])
HOSTS = st.sampled_from(["*", "*.a", "a", "b.a"])
ENDPOINTS = st.builds(Endpoint, host=st.sampled_from(["x", "::1"]), port=st.integers(1, 3))
BACKENDS = st.lists(ENDPOINTS, min_size=1, max_size=2)
NAMES = st.sampled_from(["api", "web"])
SETTINGS: st.SearchStrategy[SettingValue] = st.one_of(
    st.booleans(), st.integers(0, 3), st.floats(0.001, 100), st.text("ab \n", max_size=3)
)


@st.composite
def states(draw: DrawFn) -> State:
    """Draw a State whose routes have listeners and whose policies have routes, in any order."""
    listeners = {
        addr: Listener(addr, proxy_protocol=draw(st.booleans()), max_connections=draw(st.integers(0, 2)))
        for addr in draw(st.lists(ADDRS, unique=True))
    }
    routes = {}
    policies = {}
    upstreams = {
        name: Upstream(name=name, **draw(options(UpstreamOptions))) for name in draw(st.lists(NAMES, unique=True))
    }
    endpoints = {
        (name, str(address)): UpstreamEndpoint(upstream=name, address=str(address), **draw(options(EndpointOptions)))
        for name in upstreams
        for address in draw(st.lists(ENDPOINTS, unique=True, max_size=3))
    }
    for addr in listeners:
        for host in draw(st.lists(HOSTS, unique=True)):
            backend: Any = draw(st.one_of(BACKENDS, st.sampled_from(sorted(upstreams)) if upstreams else BACKENDS))
            name = backend if isinstance(backend, str) else ""
            routes[addr, host] = Route(addr, host, () if name else tuple(backend), name, **draw(route_options()))
            for value in draw(st.lists(st.sampled_from(["X", "Y"]), unique=True)):
                policies[addr, host, "require_header", value] = Policy(addr, host, "require_header", value)
    rules = {
        ("ip", value): Rule("ip", value) for value in draw(st.lists(st.sampled_from(["1.1.1.1", "::1"]), unique=True))
    }
    values: dict[str, SettingValue] = draw(
        st.dictionaries(st.sampled_from(["proxy.workers", "log.level", "x"]), SETTINGS)
    )
    filters = {name: Filter(name=name, **draw(options(FilterOptions))) for name in draw(st.lists(NAMES, unique=True))}
    cases = {
        (*key, match): Case(*key, match, **draw(options(CaseOptions)))
        for key in routes
        for match in draw(st.lists(st.sampled_from(["/", "GET /a/* X-A=1"]), unique=True))
    }
    return State(listeners, routes, policies, rules, values, upstreams, endpoints, filters, cases)


def backwards(state: State) -> State:
    """Return the same State with every dict in the opposite order."""
    fields: dict[str, dict[Any, Any]] = {name: getattr(state, name) for name in state.__struct_fields__}
    return State(**{name: dict(reversed(table.items())) for name, table in fields.items()})


@examples(100)
@given(states(), states())
def test_applying_the_difference_gives_the_desired_state(live: State, desired: State) -> None:
    """`apply(a, diff(a, b)) == b`, and back again."""
    assert apply(live, diff(live, desired)) == desired
    assert apply(desired, diff(desired, live)) == live


@examples(100)
@given(states())
def test_there_is_no_difference_from_oneself(state: State) -> None:
    """In whatever order the resources come."""
    assert diff(state, state) == ()
    assert diff(state, backwards(state)) == ()


@examples(100)
@given(states(), states())
def test_a_plan_does_not_depend_on_the_order_of_its_states(live: State, desired: State) -> None:
    """The same operations in the same order, and one printable line for each."""
    plan = make_plan(live, desired, {})
    assert make_plan(backwards(live), backwards(desired), {}) == plan
    assert len(plan.lines()) == len(plan.operations)
    assert all(line.isprintable() for line in plan.lines())
    assert bool(plan) == (live != desired)


@examples(100)
@given(states(), states())
def test_every_step_on_the_way_is_a_valid_state(live: State, desired: State) -> None:
    """A plan can stop after any operation: no route is ever without its listener, no endpoint without its upstream."""
    state = live
    for change in diff(live, desired):
        state = apply(state, [change])
    assert state == desired

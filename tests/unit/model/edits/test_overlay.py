"""File against runtime edits: who wins, what waits, and what is told of it."""

from typing import Any

import msgspec
import pytest

from mcproxy.model.edits.edit import Edit, base_hash, make_edit
from mcproxy.model.edits.overlay import Merged, drift, merge
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey
from mcproxy.model.state.rules import violations as rules
from mcproxy.model.state.state import Filter, Listener, Policy, Route, Rule, State, Upstream, UpstreamEndpoint
from mcproxy.model.state.tls_options import RouteTls
from mcproxy.model.values.endpoint import Endpoint

SETTINGS: dict[str, Any] = {
    "grpc.addr": "",
    "grpc.tls_cert": "",
    "grpc.tls_key": "",
    "grpc.client_ca": "",
    "metrics.addr": "",
    "firewall.geoip_db": "",
    "proxy.workers": 0,
}
A = (":1", "a")
B = (":1", "b")
X = (":1", "a", "require_header", "X")


def listener(addr: str = ":1", **fields: Any) -> Listener:
    return Listener(addr, **fields)


def route(key: tuple[str, str] = A, port: int = 1, **fields: Any) -> Route:
    """Return a route; one that is l7 has a certificate."""
    certificate = {"tls_cert": "c", "tls_key": "k"} if fields.get("mode") == "l7" else {}
    return Route(*key, (Endpoint("h", port),), **{**certificate, **fields})


def policy(key: tuple[str, str, str, str] = X) -> Policy:
    return Policy(*key)  # type: ignore[arg-type]  # the type is one of its literals


def file(*resources: Resource, **settings: Any) -> State:
    """Return a State of resources; their keys are made from them."""
    state = State(settings={**SETTINGS, **{name.replace("__", "."): value for name, value in settings.items()}})
    for resource in resources:
        match resource:
            case Listener():
                state.listeners[resource.addr] = resource
            case Route():
                state.routes[resource.listener, resource.hostname] = resource
            case Policy():
                state.policies[resource.listener, resource.hostname, resource.type, resource.value] = resource
            case Rule():
                state.rules[resource.type, resource.value] = resource
            case Upstream():
                state.upstreams[resource.name] = resource
            case UpstreamEndpoint():
                state.endpoints[resource.upstream, resource.address] = resource
    return state


class Desk:
    """Keeps edits the way the store does: what a merge keeps is what the next one gets."""

    def __init__(self, says: State) -> None:
        self.file = says
        self.edits: tuple[Edit, ...] = ()
        self.merged = merge(says, (), 0.0)

    def edit(self, kind: KindName, key: ResourceKey, value: Resource | None, **fields: Any) -> Merged:
        made = make_edit(self.file, self.merged.state, kind, key, value, created=0.0, **fields)
        made = msgspec.structs.replace(made, id=max((edit.id for edit in self.edits), default=0) + 1)
        self.edits = (*(edit for edit in self.edits if (edit.kind, edit.key) != (kind, key)), made)
        return self.look()

    def save(self, says: State) -> Merged:
        self.file = says
        return self.look()

    def revert(self, kind: KindName, key: ResourceKey) -> Merged:
        self.edits = tuple(edit for edit in self.edits if (edit.kind, edit.key) != (kind, key))
        return self.look()

    def look(self, now: float = 1.0) -> Merged:
        self.merged = merge(self.file, self.edits, now)
        self.edits = self.merged.kept
        return self.merged


BASE = file(listener(), route(), Rule("ip", "192.0.2.1"))


def whys(verdicts: Any) -> list[str]:
    return [verdict.why for verdict in verdicts]


def test_an_edit_stands_while_the_file_says_the_same() -> None:
    """Of a declared resource, of a new one, and of a removed one; what else the file says does not matter."""
    desk = Desk(BASE)
    desk.edit("route", A, route(port=2))
    desk.edit("route", B, route(B, 3))
    desk.edit("rule", ("ip", "192.0.2.1"), None)
    merged = desk.save(file(listener(max_connections=5), route(), route((":1", "c")), Rule("ip", "192.0.2.1")))
    assert merged.state.routes == {A: route(port=2), B: route(B, 3), (":1", "c"): route((":1", "c"))}
    assert merged.state.listeners == {":1": listener(max_connections=5)}
    assert merged.state.rules == {}
    assert len(merged.standing) == 3


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (file(listener(), route(port=9)), "the file changed it"),
        (file(listener()), "the file removed it"),
        (file(), "the file removed it"),
    ],
)
def test_the_file_wins_when_it_says_something_new(says: State, why: str) -> None:
    """About a changed resource, and a removed one; the effective state is the file's."""
    for value in (route(port=2), None):
        desk = Desk(BASE)
        desk.edit("route", A, value)
        merged = desk.save(says)
        assert whys(merged.superseded) == [why]
        assert merged.state == says
        assert merged.kept == ()


def test_the_file_wins_when_it_declares_what_an_edit_added() -> None:
    """Even with the same content: then the edit is not needed any more."""
    for declared in (route(B, 3), route(B, 4)):
        desk = Desk(BASE)
        desk.edit("route", B, route(B, 3))
        merged = desk.save(file(listener(), route(), declared, Rule("ip", "192.0.2.1")))
        assert whys(merged.superseded) == ["the file declares it now"]
        assert merged.state.routes[B] == declared


def test_an_edit_of_a_setting_lasts_until_the_file_says_another_value() -> None:
    """As a rollback makes them."""
    desk = Desk(BASE)
    assert desk.edit("setting", "proxy.workers", 4).state.settings["proxy.workers"] == 4
    assert desk.save(file(listener())).state.settings["proxy.workers"] == 4
    merged = desk.save(file(listener(), proxy__workers=2))
    assert merged.state.settings["proxy.workers"] == 2
    assert whys(merged.superseded) == ["the file changed it"]


def test_an_edit_expires() -> None:
    """Exactly when its time is over, whatever the file says; the next expiry is known."""
    desk = Desk(BASE)
    desk.edit("route", B, route(B), expires=50.0)
    assert desk.edit("route", A, None, expires=70.0).next_expiry == 50.0
    assert B in desk.look(49.9).state.routes
    merged = desk.look(50.0)
    assert [edit.key for edit in merged.expired] == [B]
    assert merged.state.routes == {}
    assert merged.next_expiry == 70.0
    assert desk.look(70.0).state == BASE
    assert desk.merged.next_expiry is None


def test_a_tombstone_of_a_parent_takes_its_children_along() -> None:
    """Of a listener its routes and policies; reverted, all of them are back."""
    whole = file(listener(), route(mode="l7"), policy(), listener(":2"))
    desk = Desk(whole)
    assert desk.edit("listener", ":1", None).state == file(listener(":2"))
    assert desk.revert("listener", ":1").state == whole
    assert desk.edit("route", A, None).state == file(listener(), listener(":2"))


def test_an_edit_without_its_parent_waits() -> None:
    """The parent comes back as it was: the edit stands again."""
    desk = Desk(BASE)
    desk.edit("route", B, route(B))
    merged = desk.save(file())
    assert whys(merged.suspended) == ["there is no listener :1"]
    assert merged.state == file()
    assert desk.look().kept == merged.kept
    merged = desk.save(BASE)
    assert merged.state.routes[B] == route(B)
    assert merged.suspended == ()


def test_an_edit_whose_parent_comes_back_changed_is_superseded() -> None:
    """The file has said something new about the place where the edit lived."""
    desk = Desk(BASE)
    desk.edit("route", B, route(B))
    desk.save(file())
    merged = desk.save(file(listener(max_connections=1), route()))
    assert whys(merged.superseded) == ["the listener :1 came back with other content"]
    assert B not in merged.state.routes


def test_a_parent_that_changes_in_place_is_the_new_measure() -> None:
    """Changed, gone, and back as it was last: the edit stands."""
    desk = Desk(BASE)
    desk.edit("route", B, route(B))
    desk.save(file(listener(max_connections=1)))
    desk.save(file())
    assert B in desk.save(file(listener(max_connections=1))).state.routes
    desk.save(file())
    assert len(desk.save(BASE).superseded) == 1


def test_an_edit_may_live_on_what_another_edit_added() -> None:
    """It waits when that goes, and is superseded when something else comes in its place."""
    desk = Desk(BASE)
    desk.edit("listener", ":2", listener(":2"), expires=10.0)
    desk.edit("route", (":2", "c"), route((":2", "c"), mode="l7"))
    desk.edit("policy", (":2", "c", "require_header", "X"), policy((":2", "c", "require_header", "X")))
    assert len(desk.merged.state.policies) == 1
    merged = desk.look(10.0)
    assert whys(merged.suspended) == ["there is no listener :2", "there is no route :2 c"]
    assert merged.state == BASE
    assert len(desk.edit("listener", ":2", listener(":2")).state.policies) == 1
    desk.revert("listener", ":2")
    merged = desk.save(file(listener(), route(), Rule("ip", "192.0.2.1"), listener(":2", proxy_protocol=True)))
    assert whys(merged.superseded) == ["the listener :2 came back with other content"]
    assert [edit.kind for edit in merged.kept] == ["policy"]


def test_an_edit_of_a_parent_does_not_disturb_those_of_its_children() -> None:
    """Neither when it begins nor when it ends."""
    desk = Desk(BASE)
    desk.edit("listener", ":1", listener(max_connections=3))
    desk.edit("route", B, route(B))
    desk.save(file())  # supersedes the listener's edit, and orphans the route's
    assert [edit.kind for edit in desk.edits] == ["route"]
    assert B in desk.save(BASE).state.routes


def test_an_expired_edit_that_waits_is_expired() -> None:
    """Waiting does not prolong it."""
    desk = Desk(BASE)
    desk.edit("route", B, route(B), expires=50.0)
    desk.save(file())
    assert len(desk.look(50.0).expired) == 1


L7 = file(listener(), route(mode="l7"))
CASES: list[tuple[str, State, list[tuple[KindName, ResourceKey, Resource | None]], State, str]] = [
    (
        "a policy on a route that the file makes l4",
        L7,
        [("policy", X, policy())],
        file(listener(), route()),
        "the route is l4 now, and sees no requests",
    ),
    (
        "an l4 route that the file gives policies",
        L7,
        [("route", A, route())],
        file(listener(), route(mode="l7"), policy()),
        "the file has policies for this route, and an l4 route sees no requests",
    ),
    (
        "a listener where the file opens one",
        file(),
        [("listener", "127.0.0.1:1", listener("127.0.0.1:1"))],
        file(listener()),
        "it can't be bound beside the listener :1",
    ),
    (
        "a listener where the file opens the metrics",
        file(),
        [("listener", "127.0.0.1:1", listener("127.0.0.1:1"))],
        file(metrics__addr="127.0.0.1:1"),
        "it can't be bound beside metrics.addr",
    ),
    (
        "metrics where the file opens a listener",
        file(),
        [("setting", "metrics.addr", "127.0.0.1:1")],
        file(listener()),
        "127.0.0.1:1 can't be bound beside the listener :1",
    ),
    (
        "metrics where the file opens the API",
        file(grpc__tls_cert="c", grpc__tls_key="k", grpc__client_ca="a"),
        [("setting", "metrics.addr", "127.0.0.1:1")],
        file(grpc__tls_cert="c", grpc__tls_key="k", grpc__client_ca="a", grpc__addr=":1"),
        "grpc.addr and metrics.addr overlap",
    ),
    (
        "the API without the file's certificates",
        file(grpc__tls_cert="c", grpc__tls_key="k", grpc__client_ca="a"),
        [("setting", "grpc.addr", ":1")],
        file(grpc__tls_cert="c"),
        "grpc.addr needs tls_cert, tls_key and client_ca too",
    ),
    (
        "a country without the file's database",
        file(firewall__geoip_db="/db"),
        [("rule", ("country", "SE"), Rule("country", "SE"))],
        file(),
        "firewall.geoip_db is not set",
    ),
    (
        "no country database for the file's countries",
        file(firewall__geoip_db="/db"),
        [("setting", "firewall.geoip_db", "")],
        file(Rule("country", "SE"), firewall__geoip_db="/db"),
        "the file's blocked_countries need it",
    ),
]


@pytest.mark.parametrize(("before", "edits", "after", "why"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_an_edit_that_contradicts_a_valid_file_waits(
    before: State, edits: list[tuple[KindName, ResourceKey, Resource | None]], after: State, why: str
) -> None:
    """The file is served as it stands; when the contradiction ends, the edit is back."""
    desk = Desk(before)
    for kind, key, value in edits:
        assert len(desk.edit(kind, key, value).standing) == 1
    wanted = desk.merged.state
    merged = desk.save(after)
    assert merged.state == after
    assert whys(merged.suspended) == [why]
    assert desk.save(before).state == wanted


def test_of_two_edits_that_exclude_each_other_the_later_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are, whether all of it is told at once or, when one has been taken back, what is left."""
    base = base_hash(None)
    addrs = ["127.0.0.1:5", ":6", ":5", "0.0.0.0:6", "[::1]:5"]
    edits = [
        Edit(kind="listener", key=addr, value=listener(addr), base=base, created=0.0, id=number)
        for number, addr in enumerate(addrs, 1)
    ]
    merged = merge(file(), edits, 0.0)
    assert [edit.key for edit in merged.standing] == ["127.0.0.1:5", ":6", "[::1]:5"]
    assert [(verdict.edit.key, verdict.why) for verdict in merged.suspended] == [
        (":5", "it can't be bound beside the listener 127.0.0.1:5"),
        ("0.0.0.0:6", "it can't be bound beside the listener :6"),
    ]
    proposed = msgspec.structs.replace(edits[0], id=0)  # as before it is kept: later than all that are
    assert [verdict.edit for verdict in merge(file(), [proposed, edits[2]], 0.0).suspended] == [proposed]
    whole = rules.violations
    monkeypatch.setattr(rules, "violations", lambda state: tuple(whole(state))[:1])
    assert merge(file(), edits, 0.0) == merged


def test_edits_together_may_do_what_one_could_not() -> None:
    """A rollback to a state where the listener's place was the metrics', and a route was l4, needs several edits."""
    now = file(listener(), route(mode="l7"), policy(), Rule("country", "SE"), firewall__geoip_db="/db")
    desk = Desk(now)
    desk.edit("policy", X, None)
    desk.edit("route", A, route())
    desk.edit("rule", ("country", "SE"), None)
    desk.edit("setting", "firewall.geoip_db", "")
    assert desk.merged.state == file(listener(), route())
    desk.edit("listener", ":1", None)
    assert desk.edit("setting", "metrics.addr", ":1").state == file(metrics__addr=":1")


def test_drift_tells_whose_doing_each_difference_is() -> None:
    """Children that went with their parent are the parent's edit's; suspended edits come last."""
    whole = file(listener(), route(mode="l7"), policy(), listener(":2"), route((":2", "c")))
    desk = Desk(whole)
    desk.edit("route", A, None, author="ann", reason="moved")
    desk.edit("route", B, route(B), author="bob", expires=99.0)
    desk.edit("route", (":2", "d"), route((":2", "d")), author="cid")
    desk.edit("listener", ":2", None, author="dan")
    differences = drift(desk.merged, whole)
    assert [(d.kind, d.key, d.edit.author, d.suspended) for d in differences] == [
        ("policy", X, "ann", ""),
        ("route", A, "ann", ""),
        ("route", (":2", "c"), "dan", ""),
        ("listener", ":2", "dan", ""),
        ("route", B, "bob", ""),
        ("route", (":2", "d"), "cid", "there is no listener :2"),
    ]
    assert (differences[1].declared, differences[1].effective) == (route(mode="l7"), None)
    assert (differences[4].declared, differences[4].effective, differences[4].edit.expires) == (None, route(B), 99.0)
    assert differences[1].edit.reason == "moved"


def test_no_edits_no_drift() -> None:
    """And an edit that says what the file says makes no difference either."""
    desk = Desk(BASE)
    assert desk.merged.state == BASE
    assert drift(desk.merged, BASE) == ()
    assert drift(desk.edit("route", A, route()), BASE) == ()
    with pytest.raises(ValueError, match="another file's merge"):
        drift(desk.merged, file())


API = Upstream(name="api")
ONE = UpstreamEndpoint(upstream="api", address="h:1")
TWO = UpstreamEndpoint(upstream="api", address="h:2")
TERMINATED: dict[str, Any] = {"mode": "l7", "tls_cert": "/c", "tls_key": "/k"}


def led(key: tuple[str, str] = A, **fields: Any) -> Route:
    """Return a route to the upstream ``api``."""
    return Route(*key, (), "api", **fields)


def test_a_drained_endpoint_stays_drained_until_the_file_speaks_of_it() -> None:
    """Over reloads that say other things, until its time is over, or the file changes or removes it."""
    drained = msgspec.structs.replace(ONE, state="drain")
    desk = Desk(file(listener(), API, ONE, TWO, led()))
    desk.edit("endpoint", ("api", "h:1"), drained, expires=9.0)
    merged = desk.save(file(listener(), msgspec.structs.replace(API, balance="least_conn"), ONE, led()))
    assert merged.state.endpoints == {("api", "h:1"): drained}
    assert desk.look(9.0).state.endpoints == {("api", "h:1"): ONE}
    desk.edit("endpoint", ("api", "h:1"), drained)
    merged = desk.save(file(listener(), API, msgspec.structs.replace(ONE, weight=2), led()))
    assert whys(merged.superseded) == ["the file changed it"]
    assert merged.state.endpoints["api", "h:1"].state == "ready"


def test_an_endpoint_goes_with_its_upstream_and_comes_back_with_the_same() -> None:
    """An edit that adds one waits meanwhile."""
    desk = Desk(file(API, ONE))
    desk.edit("endpoint", ("api", "h:2"), TWO)
    assert whys(desk.save(file()).suspended) == ["there is no upstream api"]
    assert desk.save(file(API, ONE)).state.endpoints.keys() == {("api", "h:1"), ("api", "h:2")}
    desk.save(file())
    merged = desk.save(file(msgspec.structs.replace(API, tries=1), ONE))
    assert whys(merged.superseded) == ["the upstream api came back with other content"]


def test_a_route_waits_for_its_upstream() -> None:
    """An added one is not there meanwhile, a changed one leads where the file says."""
    desk = Desk(file(listener(), route(), API, ONE))
    desk.edit("route", A, led())
    desk.edit("route", B, led(B))
    merged = desk.save(file(listener(), route()))
    assert whys(merged.suspended) == ["there is no upstream api"] * 2
    assert merged.state.routes == {A: route()}
    assert desk.save(file(listener(), route(), API)).state.routes == {A: led(), B: led(B)}


def test_an_upstream_that_the_file_needs_stays() -> None:
    """The file wins; its removal is in effect again when no route of the file leads there."""
    desk = Desk(file(listener(), route(), API, ONE))
    desk.edit("rule", ("ip", "::1"), Rule("ip", "::1"))
    assert desk.edit("upstream", "api", None).state.endpoints == {}
    merged = desk.save(file(listener(), led(), API, ONE))
    assert whys(merged.suspended) == ["the route :1 a leads to it"]
    assert merged.state.upstreams == {"api": API}
    assert [edit.kind for edit in merged.standing] == ["rule"]
    assert desk.save(file(listener(), route(), API, ONE)).state.upstreams == {}
    desk.edit("route", A, route(port=2))
    merged = desk.save(file(listener(), route(), route(B), API, ONE))
    assert (merged.suspended, merged.state.upstreams) == ((), {})


@pytest.mark.parametrize("first", ["upstream", "route"])
def test_a_route_and_its_upstream_may_change_at_once(first: str) -> None:
    """Cookies come with l7 and go with l4; the order of the edits does not matter."""
    sticky = msgspec.structs.replace(API, sticky_cookie="c")
    states = [file(listener(), API, ONE, led()), file(listener(), sticky, ONE, led(**TERMINATED))]
    for before, after in (states, states[::-1]):
        edits = [make_edit(before, before, "upstream", "api", after.upstreams["api"], created=0.0)]
        edits.insert(first == "upstream", make_edit(before, before, "route", A, after.routes[A], created=0.0))
        numbered = [msgspec.structs.replace(edit, id=number) for number, edit in enumerate(edits, 1)]
        assert merge(before, numbered, 1.0).state == after


def test_a_cookie_and_an_l4_route_exclude_each_other() -> None:
    """Of two edits the later one waits, of an edit and the file the edit."""
    sticky = msgspec.structs.replace(API, sticky_cookie="c")
    desk = Desk(file(listener(), API, ONE, led(**TERMINATED)))
    desk.edit("upstream", "api", sticky)
    assert whys(desk.edit("route", B, led(B)).suspended) == [
        "the upstream api has a sticky_cookie, and an l4 route sees no cookies"
    ]
    desk.revert("upstream", "api")
    assert desk.edit("upstream", "api", sticky).state.routes[B] == led(B)
    assert whys(desk.look().suspended) == ["the l4 route :1 b leads to it, and sees no cookies"]
    desk.revert("route", B)
    assert desk.look().state.upstreams["api"] == sticky
    merged = desk.save(file(listener(), API, ONE, led()))
    assert whys(merged.suspended) == ["the l4 route :1 a leads to it, and sees no cookies"]
    assert merged.state == desk.file


def test_an_upstream_keeps_an_endpoint() -> None:
    """Where the file takes away all that an edit has left, the edit waits; so does an upstream that has none yet."""
    desk = Desk(file(listener(), API, ONE, TWO, led()))
    assert desk.edit("endpoint", ("api", "h:1"), None).state.endpoints == {("api", "h:2"): TWO}
    merged = desk.save(file(listener(), API, ONE, led()))
    assert whys(merged.suspended) == ["it would leave the upstream api without endpoints"]
    assert merged.state == desk.file
    assert desk.save(file(listener(), API, ONE, TWO, led())).state.endpoints == {("api", "h:2"): TWO}
    new = Upstream(name="new")
    assert whys(desk.edit("upstream", "new", new).suspended) == ["it has no endpoints"]
    edit = Edit(
        kind="endpoint", key=("new", "h:1"), value=UpstreamEndpoint(upstream="new", address="h:1"), id=9, created=0.0
    )
    desk.edits = (*desk.edits, edit)
    assert desk.look().state.upstreams.keys() == {"api", "new"}
    assert desk.look().suspended == ()


@pytest.mark.parametrize("number", [1, 2])
def test_of_several_removals_the_last_one_waits(number: int) -> None:
    """The others stand."""
    desk = Desk(file(API, ONE, TWO))
    addresses = ["h:1", "h:2"][:: 1 if number == 1 else -1]
    for address in addresses:
        desk.edits = (*desk.edits, make_edit(desk.file, desk.file, "endpoint", ("api", address), None, created=0.0))
    desk.edits = tuple(msgspec.structs.replace(edit, id=index) for index, edit in enumerate(desk.edits, 1))
    assert desk.look().state.endpoints.keys() == {("api", addresses[1])}
    assert whys(desk.look().suspended) == ["it would leave the upstream api without endpoints"]


ASKS = RouteTls(client_auth="require", client_ca="/ca")
PARTNERS = Filter(name="partners", client_names=("*.partner.test",))


def with_partners(says: State) -> State:
    return msgspec.structs.replace(says, filters={"partners": PARTNERS})


@pytest.mark.parametrize("where", ["listener", "route"])
def test_a_listener_does_not_end_what_filters_want(where: str) -> None:
    """Nobody could come to a place whose filter wants names of clients that are not asked for certificates, whoever says so."""
    used = ("partners",)
    mine = listener(tls=ASKS, use=used if where == "listener" else ())
    desk = Desk(with_partners(file(mine, route(mode="l7", use=used if where == "route" else ()))))
    (why,) = whys(desk.edit("listener", ":1", msgspec.structs.replace(mine, tls=RouteTls(client_auth="off"))).suspended)
    assert why.startswith("route :1 a: the filter partners has client_names, and the route does not ask")
    assert desk.merged.state.listeners[":1"].tls == ASKS
    desk = Desk(with_partners(file(listener(), route(mode="l7"))))
    assert len(desk.edit("listener", ":1", listener(use=("partners",))).suspended) == 1
    desk = Desk(with_partners(file(listener(protocol="http"), route(mode="l7", tls_cert="", tls_key=""))))
    assert len(desk.edit("listener", ":1", listener(protocol="http", use=("partners",))).suspended) == 1


def test_edits_of_a_listener_and_its_route_are_judged_together() -> None:
    """What the one lacks the other may say: the CA, that clients are asked."""
    desk = Desk(with_partners(file(listener(), route(mode="l7"))))
    assert not desk.edit("route", A, route(mode="l7", tls=RouteTls(client_ca="/ca"))).suspended
    assert not desk.edit("listener", ":1", listener(tls=RouteTls(client_auth="require"))).suspended
    assert desk.merged.state.routes[A].tls == RouteTls(client_ca="/ca")
    assert all("needs client_ca" in why for why in whys(desk.edit("route", A, route(mode="l7")).suspended))
    assert desk.merged.suspended

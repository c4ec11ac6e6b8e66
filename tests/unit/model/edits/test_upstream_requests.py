"""What requests about upstreams and endpoints come to, and how their fields are judged."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from mcproxy.errors import NotFoundError, PreconditionError
from mcproxy.model.edits import requests
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.fields import check_key, check_route
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import Draft, EditMetadata, View, check_effect
from mcproxy.model.edits.stored import fields_of
from mcproxy.model.edits.upstream_fields import check_endpoint, check_upstream
from mcproxy.model.state.state import Route, State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.model.values.endpoint import Endpoint
from tests.support import toml

FILE = toml.state(
    """
[upstreams.api]
endpoints = ["h:1", { address = "[::1]:2", weight = 3 }]
[upstreams.one]
endpoints = ["h:1"]
[upstreams.free]
endpoints = ["h:1"]
""",
    toml.listener(":1", toml.route("a", "api"), toml.route("b", "api"), toml.route("c", "one")),
)
METADATA = EditMetadata(created=1.0, author="ann")


class Desk:
    """A proxy as requests see it."""

    def __init__(self) -> None:
        self.edits: tuple[Edit, ...] = ()

    @property
    def live(self) -> State:
        return merge(FILE, self.edits, 2.0).state

    def edit(self, kind: Any, key: Any, value: Any, *, upstreams: Mapping[str, Upstream] | None = None) -> None:
        """Have an edit, made at once with those of some upstreams."""
        live = msgspec.structs.replace(self.live, upstreams={**self.live.upstreams, **(upstreams or {})})
        made = make_edit(FILE, live, kind, key, value, created=0.0, author="ann")
        self.edits = (*self.edits, msgspec.structs.replace(made, id=len(self.edits) + 1))

    def ask(self, request: Callable[..., Draft], *args: Any, **fields: Any) -> Draft:
        """Return what a request comes to, judged with its effect."""
        terms = () if request is requests.revert else (METADATA,)
        draft = request(View(FILE, self.live, self.edits, "/etc/mc"), *terms, *args, **fields)
        new = {(edit.kind, edit.key) for edit in draft.add}
        kept = [each for each in self.edits if each.id not in draft.remove and (each.kind, each.key) not in new]
        check_effect(draft, merge(FILE, self.edits, 2.0), merge(FILE, (*kept, *draft.add), 2.0))
        return draft


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_nothing_leads_to_can_be_removed(desk: Desk) -> None:
    """An upstream with its endpoints, and an endpoint that is not the last one; by a tombstone, as the file has it."""
    for kind, fields in (
        ("upstream", {"name": "free"}),
        ("endpoint", {"upstream": "api", "address": "[0::1]:2"}),
    ):
        (edit,) = desk.ask(requests.remove, kind, fields).add
        assert (edit.kind, edit.value) == (kind, None)
    desk.edit("endpoint", ("api", "h:1"), msgspec.structs.replace(FILE.endpoints["api", "h:1"], state="drain"))
    (doubt,) = desk.ask(requests.remove, "endpoint", {"upstream": "api", "address": "[::1]:2"}).warnings
    assert doubt.message == "no other endpoint of the upstream api is ready"
    with pytest.raises(NotFoundError, match="there is no endpoint api h:9"):
        desk.ask(requests.remove, "endpoint", {"upstream": "api", "address": "h:9"})


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("upstream", {"name": "api"}, "route :1 a and 1 more lead to upstream api: lead them elsewhere"),
        ("upstream", {"name": "one"}, "route :1 c leads to upstream one: lead it elsewhere"),
        (
            "endpoint",
            {"upstream": "one", "address": "h:1"},
            "it is the last endpoint of the upstream one: remove that",
        ),
    ],
)
def test_what_routes_need_stays(desk: Desk, kind: Any, fields: dict[str, str], message: str) -> None:
    """A removal that would leave routes without a backend is refused."""
    with pytest.raises(PreconditionError, match=message):
        desk.ask(requests.remove, kind, fields)


def test_an_upstream_that_an_edit_added_stays_as_long_as_routes_of_edits_need_it(desk: Desk) -> None:
    """Reverting its edit is refused as its removal is; with those of the routes it can go."""
    new = Upstream(name="new")
    desk.edit("upstream", "new", new)
    desk.edit("endpoint", ("new", "h:1"), UpstreamEndpoint(upstream="new", address="h:1"), upstreams={"new": new})
    desk.edit("route", (":1", "d"), Route(":1", "d", (), "new"))
    with pytest.raises(PreconditionError, match="route :1 d leads to upstream new"):
        desk.ask(requests.remove, "upstream", {"name": "new"})
    with pytest.raises(PreconditionError, match=r"route :1 d \(edit 3 by ann\) leads to the upstream new"):
        desk.ask(requests.revert, ids=(1,))
    assert desk.ask(requests.revert, ids=(1, 3)).remove == (1, 3)
    assert desk.ask(requests.revert, everything=True).remove == (1, 2, 3)


def test_keys_are_canonical() -> None:
    """Addresses in the form that the State has, names as they are."""
    assert check_key("endpoint", {"upstream": "api", "address": "[0::1]:02"}).result == ("api", "[::1]:2")
    assert check_key("upstream", {"name": "api"}).result == "api"
    wrong = check_key("endpoint", {"upstream": "Api", "address": "h"}).violations
    assert [each.field for each in wrong] == ["upstream", "address"]
    assert check_key("upstream", {}).violations[0].field == "name"


def test_an_upstream_gets_the_values_and_messages_of_the_file() -> None:
    """Tables within it too; its endpoints are those that there are."""
    fields = {"check": {"type": "http", "interval": "5s"}, "tls": {"ca": "ca.pem"}, "retry_on": ["502"]}
    checked = check_upstream(FILE, "api", fields, "/etc/mc")
    assert checked.result == Upstream(
        name="api",
        check=Check(type="http", interval=5.0),
        tls=BackendTls(ca="/etc/mc/ca.pem"),
        retry_on=("502",),
    )
    wrong = check_upstream(FILE, "api", {"check": {"type": "htp", "fall": 0}, "tries": 17, "balanc": ""}, "/")
    assert [each.field for each in wrong.violations] == ["check.type", "check.fall", "tries", "balanc"]
    assert check_upstream(FILE, "api", {"check": None, "tls": None}, "/").result == Upstream(name="api")


def test_keys_that_keep_their_defaults_are_no_doubts() -> None:
    """A change of one key is judged with all others as they are."""
    whole = {name: value for name, value in fields_of(FILE.upstreams["one"]).items() if name != "name"}
    checked = check_upstream(FILE, "one", {**whole, "balance": "least_conn"}, "/")
    assert (checked.result, checked.warnings) == (Upstream(name="one", balance="least_conn"), ())
    doubts = check_upstream(FILE, "one", {**whole, "check": {"path": "/x"}}, "/").warnings
    assert [each.field for each in doubts] == ["check.path"]


def test_an_upstream_is_judged_with_its_endpoints() -> None:
    """What is doubtful about all of them together is told of it."""
    drained = msgspec.structs.replace(FILE.endpoints["one", "h:1"], state="drain")
    live = msgspec.structs.replace(FILE, endpoints={**FILE.endpoints, ("one", "h:1"): drained})
    (doubt,) = check_upstream(live, "one", {"tries": 2}, "/").warnings
    assert (doubt.field, doubt.message) == ("endpoints", "no endpoint is ready: nothing new goes to any of them")


def test_an_endpoint_is_judged_among_the_others() -> None:
    """What has no effect alone may be a doubt of all together."""
    fields = {name: value for name, value in fields_of(FILE.endpoints["api", "[::1]:2"]).items() if name != "address"}
    checked = check_endpoint(FILE, "api", "[::1]:2", {**fields, "state": "drain"})
    assert checked.result == UpstreamEndpoint(upstream="api", address="[::1]:2", weight=3, state="drain")
    assert checked.warnings == ()
    (doubt,) = check_endpoint(FILE, "one", "h:1", {"state": "drain"}).warnings
    assert (doubt.field, doubt.message) == ("address", "no endpoint is ready: nothing new goes to any of them")
    assert [each.field for each in check_endpoint(FILE, "api", "h:1", {"weight": 0, "x": 1}).violations] == [
        "weight",
        "x",
    ]


def test_a_route_is_judged_with_its_upstream() -> None:
    """It has to be there, and the keys that are its business are no longer the route's."""
    (wrong,) = check_route(FILE, ":1", {"hostname": "x", "backend": "ap"}, "/").violations
    assert wrong.message == 'there is no upstream "ap"; did you mean "api"? (an address needs a port)'
    wrong = check_route(FILE, ":1", {"hostname": "x", "backend": "api", "send_proxy_protocol": True}, "/").violations[0]
    assert (wrong.field, wrong.message) == ("send_proxy_protocol", "belongs into [upstreams.api]")
    several = check_route(FILE, ":1", {"hostname": "x", "backend": ["h:1", "unix:/s"]}, "/").result
    assert several == Route(":1", "x", (Endpoint("h", 1), Endpoint(path="/s")))
    sticky = msgspec.structs.replace(FILE, upstreams={"api": Upstream(name="api", sticky_cookie="c")})
    (wrong,) = check_route(sticky, ":1", {"hostname": "x", "backend": "api"}, "/").violations
    assert (wrong.field, "sticky_cookie" in wrong.message) == ("backend", True)

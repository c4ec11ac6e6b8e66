"""What the admin API says in words."""

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.state.filter_options import Page, RealIp
from mcproxy.model.state.state import Listener, Route, Upstream
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.policy.fleet.facts import FleetFacts
from tests.support.observed import fleet_facts


@pytest.mark.parametrize(
    ("declared", "effective", "told"),
    [
        (Upstream(name="api", check=Check(type="http", path="/h")), Upstream(name="api", check=Check()),
         'check: {"type":"http","path":"/h"} -> {"type":"tcp"}'),
        (Upstream(name="api"), Upstream(name="api", check=Check(interval=3.0)),
         'check: none -> {"type":"tcp","interval":"3s"}'),
        (Upstream(name="api", retry_on=("503", "reset")), Upstream(name="api"), "retry_on: 503, reset -> []"),
        (Upstream(name="api"), Upstream(name="api", tls=BackendTls()), "tls: none -> {}"),
        (Upstream(name="api", sticky_cookie="at"), Upstream(name="api"), 'sticky_cookie: "at" -> ""'),
    ],
)  # fmt: skip
def test_a_difference_tells_what_is_empty_from_what_is_not_there(
    declared: Upstream, effective: Upstream, told: str
) -> None:
    """A check that is all defaults is one, and a list without entries is a list."""
    edit = Edit(kind="upstream", key="api", value=effective, author="ops-1", created=1.0, id=7)
    message = messages.difference(Difference("upstream", "api", declared, effective, edit), {})
    assert message.summary == f"upstream api: {told} (edit 7 by ops-1)"


def test_every_setting_of_a_listener_is_told() -> None:
    """In the words of the file, but for the networks of real_ip."""
    real_ip = RealIp(from_=("10.0.0.0/8",), header="X-Real-Ip")
    listener = Listener(":443", use=("office",), real_ip=real_ip, protocol="http", max_connections=7)
    told = pb.ListenerStatus(**messages.listener_fields(listener))
    assert (told.addr, list(told.use), told.protocol, told.max_connections) == (":443", ["office"], "http", 7)
    assert (told.real_ip.header, list(told.real_ip.networks)) == ("X-Real-Ip", ["10.0.0.0/8"])
    assert not pb.ListenerStatus(**messages.listener_fields(Listener(":443"))).HasField("real_ip")


@pytest.mark.parametrize(
    ("respond", "told"), [("x", ("x", "")), (Page(file="/m.html"), ("", "/m.html")), ("", ("", ""))]
)
def test_a_route_tells_its_text_or_the_file_of_it(respond: str | Page, told: tuple[str, str]) -> None:
    """Each in a field of its own."""
    message = messages.route(Route(":1", "a", mode="l7", respond=respond), (), messages.Provenances({}, ()))
    assert (message.respond, message.respond_file) == told


def test_a_node_tells_of_its_fleet() -> None:
    """The label is that of what is live here, not of what is to come; a machine that is no node tells nothing."""
    status = pb.GetStatusResponse()
    messages.add_fleet(status, fleet_facts(role="canary"))
    told = status.fleet
    assert (told.node, told.prefix, told.revision, told.label) == ("edge-1", "/mcproxy/edge", 41, "3fa9c1")
    assert (told.canary, told.fleet_revision, told.tried_revision, told.returned_revision) == (True, 41, 42, 0)
    assert (told.connected, told.since.seconds, list(told.problems)) == (True, 999_100, ["it is full"])
    assert (told.nodes, told.nodes_off) == (3, 1)
    messages.add_fleet(behind := pb.GetStatusResponse(), fleet_facts(revision=40))
    assert (behind.fleet.revision, behind.fleet.label) == (40, "")
    messages.add_fleet(alone := pb.GetStatusResponse(), FleetFacts())
    assert not alone.HasField("fleet")

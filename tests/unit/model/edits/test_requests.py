"""What operators ask for, as edits: an effective state is asked for, not an edit."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from mcproxy.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionError,
)
from mcproxy.model.edits import requests
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import Draft, check_effect, check_rollback
from mcproxy.model.state.kinds import name_of
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.desk import Desk

A = (":1", "a.test")
NEW = (":1", "new.test")
X = (*A, "require_header", "X")
SETTINGS: dict[str, Any] = {
    "firewall.geoip_db": "",
    "firewall.default": "allow",
    "firewall.connections_per_client": 0,
    "proxy.workers": 0,
    "proxy.user": "",
}
FILE = State(
    {":1": Listener(":1", max_connections=5), ":2": Listener(":2")},
    {
        A: Route(*A, (Endpoint("h", 1),), mode="l7", tls_cert="/c", tls_key="/k"),
        (":1", "l4.test"): Route(":1", "l4.test", (Endpoint("h", 1),)),
    },
    {X: Policy(*A, "require_header", "X")},
    {("ip", "192.0.2.1"): Rule("ip", "192.0.2.1")},
    SETTINGS,
)


@pytest.fixture
def desk() -> Desk:
    return Desk(FILE)


def backend(port: int) -> dict[str, str]:
    return {"backend": f"h:{port}"}


NEW_ROUTE = {"hostname": "New.Test.", "backend": "H:7"}
L7 = {"mode": "l7", "tls_cert": "c.pem", "tls_key": "/k.pem"}


def test_an_edit_says_who_why_and_for_how_long(desk: Desk) -> None:
    """And in canonical form what; the request names the listener in any form."""
    (edit,) = desk.ask(requests.add_route, ":01", {**NEW_ROUTE, **L7}).add
    assert (edit.kind, edit.key, edit.base) == ("route", NEW, None)
    assert edit.value == Route(*NEW, (Endpoint("h", 7),), mode="l7", tls_cert="/etc/mc/c.pem", tls_key="/k.pem")
    assert (edit.created, edit.author, edit.reason, edit.expires, edit.request_id) == (5.0, "ann", "why", 9.0, "q")
    assert desk.live.routes[NEW] == edit.value


def test_what_the_file_says_already_needs_no_edit(desk: Desk) -> None:
    """The edit that stood in the way ends; without one nothing happens."""
    assert desk.ask(requests.set_max_connections, ":1", 5) == Draft(changed=(("listener", ":1"),))
    (edit,) = desk.ask(requests.set_max_connections, ":1", 6).add
    assert edit.base is not None
    assert desk.live.listeners[":1"].max_connections == 6
    back = desk.ask(requests.set_max_connections, ":1", 5)
    assert (back.add, back.remove) == ((), (1,))
    assert desk.edits == ()
    assert desk.live == FILE


def test_what_is_live_already_needs_no_second_edit(desk: Desk) -> None:
    """The first one stays, with its author."""
    desk.ask(requests.set_max_connections, ":1", 6)
    again = desk.ask(requests.set_max_connections, ":1", 6)
    assert (again.add, again.remove) == ((), ())
    assert [edit.id for edit in desk.edits] == [1]


def test_a_newer_edit_takes_the_older_ones_place(desk: Desk) -> None:
    """And still goes back to what the file says."""
    desk.ask(requests.set_max_connections, ":1", 6)
    desk.ask(requests.set_max_connections, ":1", 7)
    assert [edit.id for edit in desk.edits] == [2]
    desk.ask(requests.revert, ids=[2])
    assert desk.live == FILE


def test_an_update_leaves_what_it_does_not_name(desk: Desk) -> None:
    """Of the live route, an earlier edit included."""
    desk.ask(requests.update_route, ":1", "a.test", backend(2))
    desk.ask(requests.update_route, ":1", "A.test.", {"on_remove": "close"})
    route = desk.live.routes[A]
    assert route == msgspec.structs.replace(FILE.routes[A], endpoints=(Endpoint("h", 2),), on_remove="close")
    desk.ask(requests.update_route, ":1", "a.test", {"on_remove": "drain", **backend(1)})
    assert desk.edits == ()


def test_removing_what_the_file_declares_takes_a_tombstone(desk: Desk) -> None:
    """Adding it again as the file has it ends the tombstone; adding another is an edit."""
    (edit,) = desk.ask(requests.remove, "route", {"listener": ":1", "hostname": "l4.test"}).add
    assert edit.tombstone
    assert (":1", "l4.test") not in desk.live.routes
    back = desk.ask(requests.add_route, ":1", {"hostname": "l4.test", **backend(1)})
    assert (back.add, back.remove, desk.edits) == ((), (1,), ())
    assert desk.live == FILE
    desk.ask(requests.remove, "route", {"listener": ":1", "hostname": "l4.test"})
    (edit,) = desk.ask(requests.add_route, ":1", {"hostname": "l4.test", **backend(2)}).add
    assert not edit.tombstone
    assert [edit.id for edit in desk.edits] == [3]


def test_removing_what_only_an_edit_made_ends_the_edit(desk: Desk) -> None:
    """There is nothing that a tombstone would hide."""
    desk.ask(requests.add_rule, {"type": "cidr", "value": "10.0.0.0/8"})
    draft = desk.ask(requests.remove, "rule", {"type": "cidr", "value": "10.0.0.0/8"})
    assert (draft.add, draft.remove) == ((), (1,))
    assert desk.live == FILE


def test_removing_a_changed_resource_hides_it(desk: Desk) -> None:
    """The file declares it: the change's edit is replaced by a tombstone, and the revert of that shows the file's."""
    desk.ask(requests.update_route, ":1", "a.test", backend(2))
    desk.ask(requests.remove, "route", {"listener": ":1", "hostname": "a.test"})
    assert [(edit.id, edit.tombstone) for edit in desk.edits] == [(2, True)]
    assert A not in desk.live.routes
    assert desk.live.policies == {}
    desk.ask(requests.revert, named="route :1 a.test")
    assert desk.live == FILE


def test_policies_and_rules_come_and_go(desk: Desk) -> None:
    """Those of the file by tombstones."""
    bot = {"type": "block_user_agent", "value": "Bad Bot"}
    key = {"listener": ":1", "hostname": "a.test"}
    desk.ask(requests.add_policy, ":1", "A.test", bot)
    assert (*A, "block_user_agent", "Bad Bot") in desk.live.policies
    desk.ask(requests.remove, "policy", {**key, "type": "require_header", "value": "X"})
    desk.ask(requests.remove, "policy", {**key, **bot})
    assert desk.live.policies == {}
    desk.ask(requests.add_policy, ":1", "a.test", {"type": "require_header", "value": "X"})
    assert desk.edits == ()
    desk.ask(requests.remove, "rule", {"type": "ip", "value": "::ffff:192.0.2.1"})
    assert desk.live.rules == {}
    desk.ask(requests.add_rule, {"type": "ip", "value": "192.0.2.1"})
    assert desk.edits == ()


@pytest.mark.parametrize(
    ("request_", "args", "named"),
    [
        (requests.set_max_connections, (":9", 5), ":9; listeners: :1, :2"),
        (requests.add_route, (":9", NEW_ROUTE), "listener :9"),
        (requests.update_route, (":1", "b.test", {}), "route :1 b.test"),
        (requests.update_route, (":9", "a.test", {}), "route :9 a.test"),
        (requests.add_policy, (":1", "b.test", {"type": "require_header", "value": "X"}), "route :1 b.test"),
        (requests.remove, ("route", {"listener": ":1", "hostname": "b.test"}), "route :1 b.test"),
        (requests.remove, ("rule", {"type": "ip", "value": "192.0.2.2"}), "rule ip 192.0.2.2"),
        (requests.revert, (), "route :1 a.test; see drift"),
    ],
)
def test_what_is_not_there(desk: Desk, request_: Callable[..., Draft], args: tuple[Any, ...], named: str) -> None:
    """Is named in canonical form."""
    fields = {"named": "route :1 a.test"} if request_ is requests.revert else {}
    with pytest.raises(NotFoundError, match="there is no") as caught:
        desk.ask(request_, *args, **fields)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "args"),
    [
        (requests.add_route, (":1", {"hostname": "L4.test", **backend(9)})),
        (requests.add_route, (":1", {"hostname": "a.test", **backend(9)})),
        (requests.add_policy, (":1", "a.test", {"type": "require_header", "value": "X"})),
        (requests.add_rule, ({"type": "ip", "value": "192.0.2.1"},)),
    ],
)
def test_what_is_there_already(desk: Desk, request_: Callable[..., Draft], args: tuple[Any, ...]) -> None:
    """Is not added, not even as it is; a hidden one is not there."""
    with pytest.raises(AlreadyExistsError, match="is there already"):
        desk.ask(request_, *args)


@pytest.mark.parametrize("listener", [":1", ":9", "nope"])
@pytest.mark.parametrize("hostname", ["a.test", "none.test", "a..b"])
def test_all_that_is_wrong_is_told_at_once(desk: Desk, listener: str, hostname: str) -> None:
    """Names as well as values, in the words of the request; wrong values come before names that are not there."""
    names = ["listener"] * (listener == "nope") + ["hostname"] * (hostname == "a..b")
    wrong = {"backend": "h:x", "mode": "l8", "on_remove": 5}
    assert desk.refused(requests.add_route, listener, {"hostname": hostname, **wrong}) == [*names, *wrong]
    assert desk.refused(requests.update_route, listener, hostname, wrong) == [*names, *wrong]
    policy = {"type": "require_header", "value": "X Y"}
    assert desk.refused(requests.add_policy, listener, hostname, policy) == [*names, "value"]
    key = {"listener": listener, "hostname": hostname, "type": "x", "value": ""}
    assert desk.refused(requests.remove, "policy", key) == [*names, "type", "value"]
    assert desk.refused(requests.set_max_connections, listener, -1) == [*names[: listener == "nope"], "max_connections"]


def test_a_route_that_policies_need_stays_l7(desk: Desk) -> None:
    """The request has no policies: its mode is what is wrong."""
    assert desk.refused(requests.update_route, ":1", "a.test", {"mode": "l4"}) == ["mode"]
    assert desk.refused(requests.add_policy, ":1", "l4.test", {"type": "require_header", "value": "X"}) == ["hostname"]


def test_doubts_come_with_the_draft(desk: Desk) -> None:
    """Also where no edit is needed."""
    for _ in range(2):
        draft = desk.ask(requests.update_route, ":1", "l4.test", {"tls_cert": "/c"})
        assert [warning.field for warning in draft.warnings] == ["tls_cert"]


def test_the_rate_limit_is_a_setting_that_edits_change(desk: Desk) -> None:
    """What is named of it; what the file says already ends the edit."""
    desk.file = msgspec.structs.replace(
        FILE, settings={**SETTINGS, "firewall.rate_limit": 0, "firewall.rate_window": 60.0}
    )
    both = desk.ask(requests.set_rate_limit, {"rate_limit": 100, "rate_window": "10s"})
    assert [(edit.key, edit.value) for edit in both.add] == [
        ("firewall.rate_limit", 100),
        ("firewall.rate_window", 10.0),
    ]
    assert (desk.live.settings["firewall.rate_limit"], desk.live.settings["firewall.rate_window"]) == (100, 10.0)
    desk.ask(requests.set_rate_limit, {"rate_window": "60s"})
    assert [edit.key for edit in desk.edits] == ["firewall.rate_limit"]
    desk.ask(requests.set_rate_limit, {"rate_limit": 0})
    assert desk.edits == ()
    assert desk.refused(requests.set_rate_limit, {"rate_limit": -1, "rate_window": "0s"}) == [
        "rate_limit",
        "rate_window",
    ]
    assert desk.refused(requests.set_rate_limit, {}) == ["rate_limit"]
    assert desk.edits == ()


def test_edits_of_a_route_end_with_it(desk: Desk) -> None:
    """They would else wait for a route that nobody thinks of; edits of other routes stay."""
    bot = {"type": "block_user_agent", "value": "Bot"}
    for hostname in ("one.test", "two.test"):
        desk.ask(requests.add_route, ":1", {"hostname": hostname, **backend(1), **L7})
        desk.ask(requests.add_policy, ":1", hostname, bot)
    desk.ask(requests.add_policy, ":1", "a.test", bot)
    desk.ask(requests.remove, "route", {"listener": ":1", "hostname": "one.test"})
    assert [name_of(edit.kind, edit.key) for edit in desk.edits] == [
        "route :1 two.test",
        "policy :1 two.test block_user_agent Bot",
        "policy :1 a.test block_user_agent Bot",
    ]
    desk.ask(requests.remove, "route", {"listener": ":1", "hostname": "a.test"})
    assert [name_of(edit.kind, edit.key) for edit in desk.edits][2:] == ["route :1 a.test"]
    desk.ask(requests.revert, named="route :1 two.test")
    assert [name_of(edit.kind, edit.key) for edit in desk.edits] == ["route :1 a.test"]


def test_an_orphan_of_earlier_times_is_left_alone(desk: Desk) -> None:
    """Only what a request itself orphans ends with it."""
    desk.ask(requests.add_route, ":2", {"hostname": "x.test", **backend(1)})
    desk.file = msgspec.structs.replace(FILE, listeners={":1": FILE.listeners[":1"]})
    (orphan,) = (verdict.edit for verdict in desk.merged.suspended)
    desk.ask(requests.set_max_connections, ":1", 9)
    assert orphan.id in {edit.id for edit in desk.edits}


def test_an_edit_without_effect_is_refused(desk: Desk) -> None:
    """Something else that is in effect excludes it."""
    merged = desk.merged
    edit = Edit(kind="listener", key="127.0.0.1:1", value=Listener("127.0.0.1:1"), created=1.0)
    after = merge(FILE, (edit,), 0.0)
    with pytest.raises(PreconditionError, match=r"listener 127\.0\.0\.1:1 would have no effect: it can't be bound"):
        check_effect(Draft((edit,)), merged, after)


class TestRevert:
    """Ending edits."""

    @pytest.fixture(autouse=True)
    def edits(self, desk: Desk) -> None:
        desk.ask(requests.set_max_connections, ":1", 6)
        desk.ask(requests.add_route, ":1", NEW_ROUTE)
        desk.ask(requests.add_rule, {"type": "ip", "value": "::1"})

    @pytest.mark.parametrize(
        ("how", "left"),
        [
            ({"ids": [2]}, [1, 3]),
            ({"ids": [3, 1, 3]}, [2]),
            ({"named": "listener :1"}, [2, 3]),
            ({"named": "rule ip ::1"}, [1, 2]),
            ({"everything": True}, []),
        ],
    )
    def test_edits_are_named_in_one_of_three_ways(self, desk: Desk, how: dict[str, Any], left: list[int]) -> None:
        """By ids, in any order, twice too; by the resource; or all."""
        draft = desk.ask(requests.revert, **how)
        assert draft.add == ()
        assert [edit.id for edit in desk.edits] == left

    @pytest.mark.parametrize(
        ("how", "fields"),
        [
            ({}, ["edit_ids"]),
            ({"ids": [1], "everything": True}, ["edit_ids", "all"]),
            ({"ids": [1], "named": "rule ip ::1", "everything": True}, ["edit_ids", "target", "all"]),
            ({"ids": [0]}, ["edit_ids"]),
            ({"named": "edit 1"}, ["target"]),
            ({"named": "route"}, ["target"]),
        ],
    )
    def test_one_way_is_needed(self, desk: Desk, how: dict[str, Any], fields: list[str]) -> None:
        """Each field that is one too many is named."""
        assert desk.refused(requests.revert, **how) == fields

    def test_unknown_ones_are_not_found(self, desk: Desk) -> None:
        """Then nothing is reverted."""
        with pytest.raises(NotFoundError, match="no runtime edit 7"):
            desk.ask(requests.revert, ids=[1, 7, 8])
        assert len(desk.edits) == 3

    def test_all_of_none_is_nothing(self) -> None:
        """Whoever wants the file to count alone has that."""
        assert Desk(FILE).ask(requests.revert, everything=True) == Draft()


class TestRollBack:
    """An earlier state as the wanted one."""

    KEEP = ("proxy.user",)

    def back(self, desk: Desk, wanted: State) -> Draft:
        draft = desk.ask(requests.roll_back, wanted, self.KEEP)
        check_rollback(wanted, desk.live, self.KEEP)
        return draft

    def test_edits_lead_back_and_the_others_end(self, desk: Desk) -> None:
        """Additions, changes and removals, settings included; what they touch is told."""
        wanted = State(
            {":1": Listener(":1", max_connections=1)},
            {A: FILE.routes[A], NEW: Route(*NEW, (Endpoint("h", 7),))},
            {},
            {("ip", "::1"): Rule("ip", "::1")},
            {**SETTINGS, "proxy.workers": 3},
        )
        desk.ask(requests.add_rule, {"type": "ip", "value": "192.0.2.9"})
        draft = self.back(desk, wanted)
        assert desk.live == wanted
        assert draft.remove == (1,)
        assert ("route", NEW) in draft.changed
        assert {edit.author for edit in draft.add} == {"ann"}
        assert self.back(desk, FILE).add == ()
        assert desk.live == FILE

    def test_settings_of_the_start_stay(self, desk: Desk) -> None:
        """They can't be changed while serving."""
        wanted = msgspec.structs.replace(FILE, settings={**SETTINGS, "proxy.user": "www", "new.key": 5})
        assert self.back(desk, wanted).add == ()
        assert desk.live == FILE

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"listeners": {}}, "listener :1"),
            ({"rules": {}}, "rule ip 192.0.2.1"),
            ({"settings": {**SETTINGS, "proxy.workers": 9}}, "setting proxy.workers"),
        ],
    )
    def test_what_comes_out_otherwise_is_refused(self, changed: Mapping[str, Any], named: str) -> None:
        """A rollback gives all of the earlier state, or nothing happens."""
        with pytest.raises(PreconditionError, match=f"can't bring {named} back as it was"):
            check_rollback(FILE, msgspec.structs.replace(FILE, routes={}, policies={}, **changed), self.KEEP)


def test_the_firewalls_settings_are_edits_like_others(desk: Desk) -> None:
    """Each of its own; back at what the file says there is none."""
    desk.ask(requests.add_rule, {"type": "allowed_cidr", "value": "10.0.0.0/8"})
    draft = desk.ask(requests.set_firewall, {"default": "deny", "connections_per_client": 7})
    assert [(edit.kind, edit.key, edit.value) for edit in draft.add] == [
        ("setting", "firewall.default", "deny"),
        ("setting", "firewall.connections_per_client", 7),
    ]
    assert desk.live.settings["firewall.default"] == "deny"
    desk.ask(requests.set_firewall, {"default": "allow"})
    assert [edit.key for edit in desk.edits] == [("allowed_cidr", "10.0.0.0/8"), "firewall.connections_per_client"]
    desk.ask(requests.set_firewall, {"connections_per_client": 0})
    desk.ask(requests.remove, "rule", {"type": "allowed_cidr", "value": "10.0.0.0/8"})
    assert desk.edits == ()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"default": "drop"}, ["default"]),
        ({"default": ""}, ["default"]),
        ({"connections_per_client": 1 << 24}, ["connections_per_client"]),
        ({"default": "x", "connections_per_client": -1}, ["default", "connections_per_client"]),
        ({}, ["default"]),
    ],
)
def test_wrong_settings_of_the_firewall(desk: Desk, fields: Mapping[str, object], named: list[str]) -> None:
    """All that is wrong is told at once, and a request that asks for nothing is wrong too."""
    assert desk.refused(requests.set_firewall, fields) == named


def test_nobody_is_locked_out_by_a_request(desk: Desk) -> None:
    """Neither by denying all where nobody is allowed, nor by taking the last one away, of the file or of an edit."""
    refused = pytest.raises(PreconditionError, match="nobody could connect")
    with refused:
        desk.ask(requests.set_firewall, {"default": "deny"})
    desk.ask(requests.add_rule, {"type": "allowed_ip", "value": "192.0.2.9"})
    desk.ask(requests.set_firewall, {"default": "deny"})
    with refused:
        desk.ask(requests.remove, "rule", {"type": "allowed_ip", "value": "192.0.2.9"})
    with refused:
        desk.ask(requests.revert, named="rule allowed_ip 192.0.2.9")
    desk.ask(requests.add_rule, {"type": "allowed_ip", "value": "192.0.2.8"})
    desk.ask(requests.remove, "rule", {"type": "allowed_ip", "value": "192.0.2.9"})
    desk.ask(requests.revert, everything=True)
    assert desk.edits == ()
    rules = {("allowed_ip", "192.0.2.7"): Rule("allowed_ip", "192.0.2.7")}
    closed = Desk(msgspec.structs.replace(FILE, rules=rules, settings={**SETTINGS, "firewall.default": "deny"}))
    with refused:
        closed.ask(requests.remove, "rule", {"type": "allowed_ip", "value": "192.0.2.7"})
    closed.ask(requests.set_firewall, {"default": "allow"})
    closed.ask(requests.remove, "rule", {"type": "allowed_ip", "value": "192.0.2.7"})
    with refused:
        closed.ask(requests.revert, named="setting firewall.default")


def test_who_denies_all_goes_on_denying_when_those_allowed_expire() -> None:
    """Nobody can connect then; that everybody could would be worse."""
    desk = Desk(FILE)
    desk.ask(requests.add_rule, {"type": "allowed_ip", "value": "192.0.2.9"})
    desk.ask(requests.set_firewall, {"default": "deny"})
    rule, default = desk.edits
    late = merge(FILE, (rule, msgspec.structs.replace(default, expires=None)), 10.0)
    assert late.expired == (rule,)
    assert late.state.settings["firewall.default"] == "deny"
    assert late.suspended == ()

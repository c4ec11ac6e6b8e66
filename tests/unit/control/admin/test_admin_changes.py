"""Requests for changes: those with fields of their own mean what the same words mean in those of any kind."""

import asyncio
import json
from typing import Any

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.changes import AdminChanges
from mcproxy.control.admin.server import Caller
from mcproxy.control.reconcile.change.judging import Judge
from mcproxy.control.reconcile.change.request import ChangeRequest, ChangeResult
from mcproxy.errors import NotFoundError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits import put
from mcproxy.model.edits.requests import Draft
from mcproxy.model.state.route_options import ACTIONS
from mcproxy.model.state.state import State
from tests.support.desk import METADATA, Desk
from tests.support.field_values import other_options
from tests.support.rows import each_row

A, NEW = (":1", "a.test"), (":1", "new.test")
TEXT = """
[acme]
email = "ops@example.com"
[firewall]
blocked_ips = ["192.0.2.1"]
[upstreams.web]
endpoints = ["10.0.0.3:80"]
[[listeners]]
addr = ":1"
[[listeners.routes]]
hostname = "a.test"
backend = "h:1"
mode = "l7"
tls_cert = "/c"
tls_key = "/k"
l7_policies = [{ type = "require_header", value = "X" }]
"""
FILE = resolve([Source("/etc/mc/mc-proxy.toml", TEXT)]).state


class Handler:
    """Judges requests as if their outcome was made live."""

    def __init__(self, file: State) -> None:
        self.view = Desk(file).view
        self.drafts: list[Draft] = []
        self.asked: list[ChangeRequest] = []

    async def change(self, request: ChangeRequest, judge: Judge) -> ChangeResult:
        self.asked.append(request)
        self.drafts.append(judge(self.view, METADATA))
        return ChangeResult(1)


def ask(name: str, **fields: Any) -> tuple[Draft, ChangeRequest]:
    """Return what a request comes to, and how it is put on record."""
    handler: Any = Handler(FILE)
    request = getattr(pb, f"{name}Request")(**fields)
    call: Any = AdminChanges(handler).unary[name](request, Caller(""))
    asyncio.run(call)
    return handler.drafts[0], handler.asked[0]


def put_of(kind: str, key: tuple[str, ...], **fields: Any) -> Draft:
    return ask("PutResource", kind=kind, key=key, fields_json=json.dumps(fields))[0]


LISTS = ("use", "without", "filter", "tls")
"""What is put by the generic method alone."""
OPTIONS = put.plain_fields("route", A, FILE.routes[A])
OTHER = {
    name: value
    for name, value in put.plain_fields(
        "route", A, type(FILE.routes[A])(*A, FILE.routes[A].endpoints, **other_options())
    ).items()
    if name not in ("backend", "mode", *LISTS)
}
"""A value other than the default for each key of a route, in the words of the file."""
PAIR = ("backend_cert", "backend_key")
"""Neither of them goes without the other."""
ORDERED = {"certificate": "acme", "tls_cert": "", "tls_key": ""}
"""An ordered certificate has the place of files."""


@each_row("option", ["backend", *OTHER])
def test_each_flat_key_of_a_route_is_the_same_key_of_any_kind(option: str) -> None:
    """Added and updated; an upstream's name is a backend, too."""
    fields: dict[str, Any] = {option: "web" if option == "backend" else OTHER[option]}
    if option in PAIR:
        fields |= dict.fromkeys(PAIR, "/x")
    if option in ("certificate", "names"):
        fields = {"names": ", ".join(OTHER["names"]), **ORDERED}  # in a message as one text
    where = {"listener": A[0], "hostname": A[1]}
    updated, _ = ask("UpdateRoute", **where, **fields)
    assert updated == put_of("route", A, **fields)
    assert updated.add
    action = {} if option in ACTIONS else {"backend": "h:1"}
    l7 = {**action, "mode": "l7", "tls_cert": "/c", "tls_key": "/k", **fields}
    added, _ = ask("AddRoute", listener=NEW[0], hostname=NEW[1], **l7)
    assert added == put_of("route", NEW, **l7)
    assert added.add


def test_the_keys_are_all_there_are() -> None:
    """Of a route, beside its backend and mode."""
    assert OTHER.keys() | {"backend", "mode", *LISTS} == OPTIONS.keys()


@pytest.mark.parametrize(
    ("name", "fields", "kind", "key", "values"),
    [
        (
            "SetListenerMaxConnections",
            {"listener": ":1", "max_connections": 9},
            "listener",
            (":1",),
            {"max_connections": 9},
        ),
        (
            "AddL7Policy",
            {"listener": ":1", "hostname": "a.test", "type": "block_user_agent", "value": "Bot"},
            "policy",
            (*A, "block_user_agent", "Bot"),
            {},
        ),
        ("AddFirewallRule", {"type": "cidr", "value": "10.0.0.0/8"}, "rule", ("cidr", "10.0.0.0/8"), {}),
        ("SetFirewall", {"connections_per_client": 5}, "setting", ("firewall.connections_per_client",), {"value": 5}),
        ("SetFirewallRateLimit", {"rate_limit": 7}, "setting", ("firewall.rate_limit",), {"value": 7}),
    ],
)
def test_other_methods_mean_the_same(
    name: str, fields: dict[str, Any], kind: str, key: tuple[str, ...], values: dict[str, Any]
) -> None:
    """Whatever they are about."""
    draft, asked = ask(name, **fields)
    assert draft == put_of(kind, key, **values)
    assert draft.add
    assert asked.action == name


@pytest.mark.parametrize(
    ("name", "fields", "kind", "key"),
    [
        ("RemoveRoute", {"listener": ":1", "hostname": "a.test"}, "route", A),
        (
            "RemoveL7Policy",
            {"listener": ":1", "hostname": "a.test", "type": "require_header", "value": "X"},
            "policy",
            (*A, "require_header", "X"),
        ),
        ("RemoveFirewallRule", {"type": "ip", "value": "192.0.2.1"}, "rule", ("ip", "192.0.2.1")),
    ],
)
def test_removals_mean_the_same(name: str, fields: dict[str, Any], kind: str, key: tuple[str, ...]) -> None:
    """And are told of alike."""
    draft, asked = ask(name, **fields)
    generic, other = ask("RemoveResource", kind=kind, key=key)
    assert draft == generic
    assert draft.add[0].tombstone
    assert asked.about == other.about == " ".join((kind, *key))


def test_what_must_exist_is_not_added() -> None:
    """The request says so."""
    with pytest.raises(NotFoundError, match="there is no endpoint web h:9"):
        ask("PutResource", kind="endpoint", key=("web", "h:9"), fields_json="{}", must_exist=True)
    assert ask("PutResource", kind="endpoint", key=("web", "h:9"))[0].add

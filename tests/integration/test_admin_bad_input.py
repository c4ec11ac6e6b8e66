"""Wrong values in every field of every request: named, put on record, without effect, and never an internal error.

The tables are held against the messages themselves: a field that is added needs its line here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.bare_admin import Admin, Refused, unix
from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy
from tests.support.settings import route

OK, NOT_FOUND, ABORTED = grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
HUGE = "x" * 300_000


class With(msgspec.Struct):
    """A wrong value that others make wrong, or that takes others to be looked at."""

    value: Any
    others: dict[str, Any]


class Means(msgspec.Struct):
    """A value that is far out and still means something: the answer has this code."""

    value: Any
    code: grpc.StatusCode = OK


class AnyBool:
    """Both values of a bool are right."""


Wrong = list[Any] | type[AnyBool]

LISTENERS: list[Any] = ["nope", "127.0.0.1:99999", "[::", "127.0.0.1", "a\0b:1", HUGE]
HOSTNAMES: list[Any] = ["a..b", "1.2.3.4", "a.*.b", "-", "a b", "x" * 300, "a\nb", HUGE]
L7_FILES: dict[str, Any] = {"mode": "l7", "tls_cert": "app.crt", "tls_key": "app.key"}
BACKENDS = ["nohost", "h:0", "h:99999", "unix:relative", "unix:/" + "x" * 200, "a\nb:1", HUGE]
MODES = ["l8", "L4", HUGE]
CERTIFICATES: list[Any] = [
    *(With(name, L7_FILES) for name in ("none.crt", "app.key", ".", "x" * 5000)),
    "a\nb",
    "a\0b",
]
KEYS: list[Any] = [*(With(name, L7_FILES) for name in ("none.key", "app.crt", "other.key")), "a\0b"]
ROUTE: dict[str, Wrong] = {
    "listener": ["", *LISTENERS],
    "hostname": ["", *HOSTNAMES],
    "backend": ["", *BACKENDS],
    "mode": MODES,
    "tls_cert": CERTIFICATES,
    "tls_key": KEYS,
    "certificate": ["letsencrypt", With("acme", {"mode": "l7"}), With("acme", {"mode": "l4"}), HUGE],
    "names": [With(name, {"mode": "l7", "certificate": "acme"}) for name in ("a..b", "a.test, -", "a\nb", HUGE)],
    "backend_tls": AnyBool,
    "backend_ca": [With("none.crt", {**L7_FILES, "backend_tls": True}), "a\nb"],
    "backend_cert": [
        With("none.crt", {**L7_FILES, "backend_tls": True, "backend_key": "app.key"}),
        With("app.crt", {**L7_FILES, "backend_tls": True}),
        "a\nb",
    ],
    "backend_key": [With("other.key", {**L7_FILES, "backend_tls": True, "backend_cert": "app.crt"}), "a\nb"],
    "backend_server_name": [With("1.2.3.4", {**L7_FILES, "backend_tls": True}), "a b", "*.a"],
    "backend_protocol": ["h3", "http", HUGE],
    "send_proxy_protocol": AnyBool,
    "proxy_protocol_version": ["v3", "1", HUGE],
    "proxy_protocol_destination": ["client", HUGE],
    "proxy_protocol_tlvs": AnyBool,
    "preserve_header_case": AnyBool,
    "redirect": ["new", "//other.test", "https://{hots}/", "a\nb", HUGE],
    "respond": ["x" * 65_537],
    "status": [600, 2**32 - 1],
    "on_remove": ["never", HUGE],
    "connect_timeout": ["0s", "5", "-1s", "9000h", HUGE],
    "idle_timeout": ["5", "-1s", "9000h", HUGE],
}
OPTIONS: dict[str, Wrong] = {
    "author": ["x" * 129, "a\nb", "\x1b[31m", HUGE],
    "reason": ["x" * 1001, "a\0b", HUGE],
    "expires": [
        Duration(),
        Duration(seconds=-1),
        Duration(seconds=400_000_000),
        Duration(seconds=2**62),
        Duration(seconds=1, nanos=-1),
        Duration(seconds=1, nanos=2_000_000_000),
    ],
    "request_id": ["x" * 129, "a\nb", HUGE],
    "expected_generation": [Means(2**64 - 1, ABORTED)],
    "dry_run": AnyBool,
    "guard": [
        Duration(seconds=-1),
        Duration(seconds=2**62),
        Duration(seconds=5, nanos=-1),
        Duration(seconds=400_000_000),
    ],
    # this server is no node of a fleet
    "node": [Means(name, PRECONDITION) for name in (".", "edge-1", "x" * 300, "a\nb", HUGE)],
    "wait": [
        Duration(seconds=-1),
        Duration(seconds=2**62),
        Duration(seconds=5, nanos=-1),
        Duration(seconds=400_000_000),
    ],
}
POLICY: dict[str, Wrong] = {
    "listener": ["", *LISTENERS],
    "hostname": ["", *HOSTNAMES],
    "type": ["", "block", HUGE],
    "value": ["", " ", "a\nb"],
}
ADDRESSES: list[Any] = ["", "10.0.0.0/8", "1.2.3", "a\nb", HUGE]
RULE: dict[str, Wrong] = {"type": ["", "net", HUGE], "value": ADDRESSES}
KINDS = ["rout", "Route", "route ", "a\0b", HUGE]
MOMENTS: list[Any] = [
    Means(pb.Moment()),
    Means(pb.Moment(generation=2**64 - 1), NOT_FOUND),
    Means(pb.Moment(time=Timestamp(seconds=1)), NOT_FOUND),
    Means(pb.Moment(time=Timestamp(seconds=-62_135_596_800)), NOT_FOUND),
    Means(pb.Moment(time=Timestamp(seconds=253_402_300_799)), NOT_FOUND),
    pb.Moment(time=Timestamp(seconds=-(2**62))),
    pb.Moment(time=Timestamp(seconds=2**62)),
    pb.Moment(generation=1, time=Timestamp(seconds=5)),
]
FILES: list[Any] = [
    Means(files, PRECONDITION)
    for files in ([], [pb.FleetFile()], [pb.FleetFile(name="../x", text="[")], [pb.FleetFile(name=HUGE, text=HUGE)])
]
"""Of a fleet's document: this server is no node of a fleet, and looks at none."""
PAGE: dict[str, Wrong] = {"limit": [Means(2**32 - 1)], "before": [Means(2**64 - 1)]}

TABLE: dict[str, dict[str, Wrong]] = {
    "GetStatus": {},
    "ListListeners": {},
    "SetListenerMaxConnections": {"listener": ["", *LISTENERS], "max_connections": [2**31, 2**64 - 1]},
    "ListRoutes": {"listener": LISTENERS},
    "AddRoute": ROUTE,
    # "" is a value here, not a field that is left out; and this route has policies, which need l7
    "UpdateRoute": {**ROUTE, "mode": ["", "l4", *MODES], "tls_cert": ["", *CERTIFICATES], "tls_key": ["", *KEYS]},
    "RemoveRoute": {"listener": ["", *LISTENERS], "hostname": ["", *HOSTNAMES]},
    "ListL7Policies": {"listener": LISTENERS, "hostname": HOSTNAMES},
    "AddL7Policy": {
        **POLICY,
        "hostname": ["", "plain.test", *HOSTNAMES],
        "value": ["", " ", "a\nb", With("X Y", {"type": "require_header"})],
    },
    "RemoveL7Policy": POLICY,
    "GetFirewallRules": {},
    "AddFirewallRule": {**RULE, "value": [*ADDRESSES, With("SE", {"type": "country"})]},
    "RemoveFirewallRule": RULE,
    "ListEndpoints": {"upstream": [Means("nope", NOT_FOUND), "a b", "Web", "a\0b", "x" * 64, HUGE]},
    "ListCertificates": {"name": [Means("never.test", NOT_FOUND), *HOSTNAMES]},
    "RenewCertificate": {"name": ["", *HOSTNAMES], "author": OPTIONS["author"], "reason": OPTIONS["reason"]},
    "TryCertificate": {"name": ["", *HOSTNAMES], "author": OPTIONS["author"], "reason": OPTIONS["reason"]},
    "ListResources": {"kind": ["", *KINDS], "key": [["a", "b", "c"], *(["nope", name] for name in HOSTNAMES)]},
    "PutResource": {
        "kind": ["", *KINDS],
        "key": [[], ["nope"], ["a", "b", "c"], *([name, "a.test"] for name in LISTENERS)],
        "fields_json": [
            *(
                "[",
                "[]",
                "7",
                "null",
                "\0",
                '{"backend": 1}',
                '{"backend": "a.b"}',
                '{"mode": "l8"}',
                '{"hostname": "b"}',
            ),
            *('{"l7_policies": []}', '{"backnd": "h:1"}', '{"mode.x": 1}', '{"\\ud800": 1}', "[" * 100_000, HUGE),
            f'{{"{HUGE}": 1}}',
            f'{{"mode": "{HUGE}"}}',
        ],
        "must_exist": AnyBool,
    },
    "RemoveResource": {
        "kind": ["", *KINDS],
        "key": [[], ["nope"], ["a", "b", "c"], *([name, "a.test"] for name in LISTENERS)],
    },
    "Plan": {
        "toml": [
            "[",
            "listeners = 3",
            "a\0",
            "a = " + "[" * 100_000,
            '[[listeners]]\naddr = ""\n' * 2000,
            '[database]\npath = "none/x.db"\n',
        ]
    },
    "Reload": {"allow_shrink": [Means(True)], "label": ["x" * 1001, "a\0b", HUGE]},
    "GetDrift": {},
    "RevertEdit": {
        "edit_ids": [[], [0], With([1], {"target": "route a b"}), [1, 0]],
        "target": ["nonsense", "edit 5", "route", With("route a b", {"all": True}), HUGE],
        "all": [With(True, {"edit_ids": [1]}), With(True, {"edit_ids": [1], "target": "route a b"})],
    },
    "Export": {},
    "ListRevisions": {
        **PAGE,
        "kind": [With(kind, {"key": ["a"]}) for kind in KINDS],
        "key": [["a"], With(["a", "b", "c"], {"kind": "route"}), With([], {"kind": "route"})],
    },
    "Blame": {"kind": ["", *KINDS], "key": [[], ["nope"], ["a", "b", "c"]]},
    "DiffGenerations": {"from": MOMENTS, "to": MOMENTS},
    "GetRevision": {"generation": [0, Means(2**64 - 1, NOT_FOUND)]},
    "Rollback": {
        "generation": [0, Means(2**64 - 1, NOT_FOUND)],
        "confirm_timeout": [
            Duration(),
            Duration(nanos=999_999_999),
            Duration(seconds=-5),
            Duration(seconds=2**62),
            Duration(seconds=5, nanos=-1),
        ],
    },
    "SetFirewall": {"default": ["drop", "Deny", "a\0b", HUGE], "connections_per_client": [2**24, 2**64 - 1]},
    "SetFirewallRateLimit": {
        "rate_limit": [2**40, 2**64 - 1],
        "rate_window": [
            Duration(),
            Duration(seconds=-5),
            Duration(seconds=2**62),
            Duration(seconds=5, nanos=-1),
            Duration(seconds=9001 * 3600),
        ],
    },
    "Confirm": {"confirm_id": [Means(2**64 - 1, NOT_FOUND)], "author": OPTIONS["author"]},
    "Restart": {"author": OPTIONS["author"], "reason": OPTIONS["reason"]},
    "CloseConnections": {
        "listener": LISTENERS,
        "hostname": HOSTNAMES,
        "client": [":443", "a", "1.2.3", "10.0.0.0/8", "192.0.2.1:99999", HUGE],
        "all": AnyBool,
        "drain": [Duration(seconds=-1), Duration(seconds=2**62), Duration(seconds=5, nanos=-1)],
        "author": OPTIONS["author"],
        "reason": OPTIONS["reason"],
    },
    "GetFleet": {},
    "PlanFleet": {"files": FILES},
    "PushFleet": {
        "files": FILES,
        "author": [Means("a\nb", PRECONDITION)],
        "label": [Means(HUGE, PRECONDITION)],
        "over": [Means(2**64 - 1, PRECONDITION)],
        "canary": [Means(pb.FleetCanary(steps=["0%", "x"], max_errors=-1.0), PRECONDITION)],
        "allow_shrink": [Means(value=True, code=PRECONDITION)],
    },
    "ListFleetHistory": {"limit": [Means(2**32 - 1, PRECONDITION)]},
    "AbortRollout": {"author": [Means("a\nb", PRECONDITION)]},
    "FetchCertificate": {"name": [Means(name, PRECONDITION) for name in ("", "a\0b", HUGE)]},
    "ListEditRecords": {**PAGE, "edit_id": [Means(2**64 - 1)]},
    "ListAudit": PAGE,
    "Explain": {
        "listener": LISTENERS,
        "sni": [Means(""), Means("a\0b"), Means("x" * 300), Means("ü..")],
        "ip": ["nope", "10.0.0.0/8", "a\0"],
        "proxy_ip": ["nope", "1.2.3", "a\0"],
        "alpn": [Means(["", "x" * 300, "\0"])],
        "method": [Means("a b"), Means("\r\n"), Means("ü")],
        "path": [Means("no slash"), Means("/\r\nx"), Means("ü")],
        "headers": [
            Means([pb.Header()]),
            Means([pb.Header(name="a b", value="\r\n")]),
            Means([pb.Header(name="host", value="[")]),
            Means([pb.Header(name="host", value="x:y:z"), pb.Header(name="ü", value="\0")]),
        ],
        "client_cert": [Means(""), Means("a\0b"), Means("x" * 5000), Means("ü://")],
        "probe": [Means(value=True)],
        "then": MOMENTS,
    },
    "Why": {
        "id": ["a b", "a\0", "x" * 129, HUGE],
        "ip": ["nope", "10.0.0.0/8", "a\0"],
        "last": [Means(2**32 - 1)],
    },
    "ListConnections": {"listener": LISTENERS, "hostname": HOSTNAMES, "limit": [Means(2**32 - 1)]},
}
STREAMS: dict[str, dict[str, Any]] = {"WatchEvents": {"recent": 2**32 - 1}, "Backup": {}}
"""Values that are far out, for the methods that answer with a stream: no value is wrong."""


def mutating(name: str) -> bool:
    """Whether a method changes something and says so in the audit."""
    return api.METHODS[name].response is pb.MutationResponse


def fields(name: str) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a method's request, those of its options with a dot, but not what durations are made of."""
    for field in api.METHODS[name].request.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type is pb.MutationOptions.DESCRIPTOR:
            for option in field.message_type.fields:
                yield f"{field.name}.{option.name}", option
        else:
            yield field.name, field


EVERY = [(name, path) for name in api.METHODS if name not in STREAMS for path, _ in fields(name)]


@pytest.fixture(scope="module")
def served(fleet: Fleet, certs: Certificates) -> Iterator[Proxy]:
    app, other = l7_route(certs, 9, "app.test"), certs.server("other.test")
    app["l7_policies"] = [{"type": "block_user_agent", "value": "BadBot"}]
    with fleet.serve(l7_config(app, route(9, "plain.test"))) as proxy:
        leaf = certs.server("app.test")
        (proxy.folder / "app.crt").write_bytes(leaf.certificate.read_bytes())
        (proxy.folder / "app.key").write_bytes(leaf.key.read_bytes())
        (proxy.folder / "other.key").write_bytes(other.key.read_bytes())
        yield proxy
        assert "Traceback" not in proxy.stderr
        assert "which is a bug" not in proxy.stderr


@pytest.fixture(scope="module")
def admin(served: Proxy) -> Iterator[Admin]:
    with unix(served) as admin:
        yield admin


@pytest.fixture
def good(served: Proxy) -> Mapping[str, dict[str, Any]]:
    """Return a good request of each method that needs one."""
    addr = f"127.0.0.1:{served.port()}"
    app = {"listener": addr, "hostname": "app.test"}
    return {
        "SetListenerMaxConnections": {"listener": addr, "max_connections": 5},
        "AddRoute": {"listener": addr, "hostname": "new.test", "backend": "127.0.0.1:9"},
        "UpdateRoute": {**app, "backend": "127.0.0.1:10"},
        "RemoveRoute": app,
        "AddL7Policy": {**app, "type": "block_user_agent", "value": "OtherBot"},
        "RemoveL7Policy": {**app, "type": "block_user_agent", "value": "BadBot"},
        "AddFirewallRule": {"type": "ip", "value": "192.0.2.1"},
        "RemoveFirewallRule": {"type": "ip", "value": "192.0.2.1"},
        "SetFirewall": {"default": "allow"},
        "SetFirewallRateLimit": {"rate_limit": 5},
        "ListResources": {"kind": "route"},
        "PutResource": {"kind": "route", "key": [addr, "app.test"], "fields_json": '{"backend": "127.0.0.1:10"}'},
        "RemoveResource": {"kind": "route", "key": [addr, "app.test"]},
        "CloseConnections": {"client": "192.0.2.1"},
        "Why": {"ip": "192.0.2.1"},
        "Blame": {"kind": "route", "key": [addr, "app.test"]},
        "DiffGenerations": {"from": pb.Moment(generation=1)},
        "Rollback": {"generation": 1},
        "Explain": {"listener": addr, "sni": "app.test", "path": "/", "ip": "192.0.2.1"},
    }


def build(name: str, good: Mapping[str, Any], path: str, wrong: object) -> Any:
    """Return a request that is good but for one field."""
    given = dict(good)
    value: Any = wrong
    if isinstance(wrong, With):
        given |= wrong.others
        value = wrong.value
    elif isinstance(wrong, Means):
        value = wrong.value
    if "." in path:
        given["options"] = pb.MutationOptions(**{path.partition(".")[2]: value})
    else:
        given[path] = value
    return api.METHODS[name].request(**given)


def state(admin: Admin) -> tuple[int, Any, int]:
    """Return what no refused request changes, and the newest entry of the audit."""
    newest = admin.call("ListAudit", limit=1).entries
    edits = admin.call("GetDrift")
    return edits.generation, edits, newest[0].id if newest else 0


def test_every_method_has_its_line() -> None:
    """And none that is gone; a field that takes no wrong value is a bool."""
    assert TABLE.keys() | STREAMS.keys() == api.METHODS.keys()
    for name, lines in TABLE.items():
        there = dict(fields(name))
        own = {path for path in there if not path.startswith("options.")}
        assert lines.keys() == own, name
        assert {path.partition(".")[2] for path in there.keys() - own} in (set(), OPTIONS.keys()), name
        assert [p for p, w in lines.items() if w is AnyBool and there[p].type != FieldDescriptor.TYPE_BOOL] == [], name
        assert mutating(name) == any(path.startswith("options.") for path in there), name


@pytest.mark.parametrize(("name", "path"), EVERY)
def test_a_wrong_value_is_named_and_changes_nothing(
    admin: Admin, good: Mapping[str, dict[str, Any]], name: str, path: str
) -> None:
    """INVALID_ARGUMENT at the field; generation and edits stay; a request for a change is on record as refused."""
    wrong = OPTIONS[path.partition(".")[2]] if "." in path else TABLE[name][path]
    before = state(admin)
    for value in () if isinstance(wrong, type) else wrong:
        request = build(name, good.get(name, {}), path, value)
        if isinstance(value, Means) and value.code is OK:
            admin.call(name, request)
        else:
            refused = admin.refused(name, request)
            shown = f"{str(request)[:200]!r}: {refused}"
            if isinstance(value, Means):
                assert refused.code is value.code, shown
            else:
                assert refused.code is grpc.StatusCode.INVALID_ARGUMENT, shown
                # what is wrong with a key or a field of any resource is told as in requests for that resource alone
                if path in ("key", "fields_json") and path not in refused.fields:
                    assert refused.fields, shown
                else:
                    assert path in {field.partition(".")[0] if name == "Plan" else field for field in refused.fields}, (
                        shown
                    )
            plain(refused)
        after = state(admin)
        assert after[:2] == before[:2]
        if mutating(name) or name == "Confirm":
            (entry,) = admin.call("ListAudit", limit=1).entries
            assert (entry.id, entry.action, entry.outcome) == (before[2] + 1, name, "refused")
            assert entry.detail
            assert entry.ByteSize() < 200_000
        else:
            assert after[2] == before[2]
        before = after


def plain(refused: Refused) -> None:
    """What is told is written for people."""
    for text in (refused.message, *(text for violation in refused.violations for text in violation)):
        assert "Traceback" not in text
        assert "Error" not in text
        assert "log says why" not in text
        assert len(text) < 1200
    assert refused.message


@pytest.mark.parametrize("name", STREAMS)
def test_streams_take_any_value(admin: Admin, name: str) -> None:
    """As many events of the past as there are, and a backup, which asks for nothing."""
    assert STREAMS[name].keys() == dict(fields(name)).keys()
    call = admin.stream(name, **STREAMS[name])
    first = next(call)
    assert first.data[:6] == b"SQLite" if name == "Backup" else first.kind == "applied"
    call.cancel()


def test_all_that_is_wrong_is_told_at_once(admin: Admin, served: Proxy) -> None:
    """Names, values and options of one request, each at its field, the listener's line included."""
    options = pb.MutationOptions(author="a\0", expires=Duration(seconds=-1))
    refused = admin.refused(
        "AddRoute", listener="x", hostname="a..b", backend="h", mode="l8", on_remove="never", options=options
    )
    expected = {"listener", "hostname", "backend", "mode", "on_remove", "options.author", "options.expires"}
    assert refused.fields == expected
    assert all(message for _, message in refused.violations)
    addr = f"127.0.0.1:{served.port()}"
    for listener, hostname in ((addr, "none.test"), ("127.0.0.1:1", "app.test"), ("", "")):
        refused = admin.refused("UpdateRoute", listener=listener, hostname=hostname, backend="h", on_remove="never")
        assert refused.fields - {"listener", "hostname"} == {"backend", "on_remove"}
        refused = admin.refused("AddL7Policy", listener=listener, hostname=hostname, type="require_header", value="X Y")
        assert refused.fields - {"listener", "hostname"} == {"value"}
    assert admin.refused("Rollback", options=options).fields == {"generation", "options.author", "options.expires"}
    assert admin.refused("RevertEdit", options=options).fields == {"edit_ids", "options.author", "options.expires"}


def test_what_is_not_there_is_not_found(admin: Admin, served: Proxy) -> None:
    """By name; on record."""
    addr = f"127.0.0.1:{served.port()}"
    none = {"listener": addr, "hostname": "none.test"}
    requests: list[tuple[str, dict[str, Any], str]] = [
        ("SetListenerMaxConnections", {"listener": "127.0.0.1:1"}, "127.0.0.1:1"),
        ("AddRoute", {**none, "listener": "127.0.0.1:1", "backend": "h:1"}, "127.0.0.1:1"),
        ("UpdateRoute", none, "none.test"),
        ("RemoveRoute", none, "none.test"),
        ("AddL7Policy", {**none, "type": "block_user_agent", "value": "X"}, "none.test"),
        ("RemoveL7Policy", {**none, "type": "block_user_agent", "value": "X"}, "none.test"),
        ("RemoveL7Policy", {**none, "hostname": "app.test", "type": "block_user_agent", "value": "X"}, "X"),
        ("RemoveFirewallRule", {"type": "ip", "value": "192.0.2.9"}, "192.0.2.9"),
        ("RevertEdit", {"edit_ids": [77]}, "77"),
        ("RevertEdit", {"edit_ids": [2**64 - 1]}, str(2**64 - 1)),
        ("RevertEdit", {"target": f"route {addr} none.test"}, "none.test"),
        ("Rollback", {"generation": 77}, "77"),
    ]
    for name, fields, named in requests:
        before = state(admin)
        refused = admin.refused(name, **fields)
        assert (refused.code, named in refused.message) == (NOT_FOUND, True), refused
        assert state(admin) == (*before[:2], before[2] + 1)
    assert admin.refused("GetRevision", generation=77).code is NOT_FOUND
    assert admin.refused("Confirm", confirm_id=77).code is NOT_FOUND
    assert admin.refused("Confirm").code is NOT_FOUND


def test_what_is_there_already_exists(admin: Admin, served: Proxy) -> None:
    """Whatever form its name is given in, and whether the file or an edit made it."""
    addr = f"127.0.0.1:{served.port()}"
    app = {"listener": addr, "hostname": "APP.test."}
    admin.call("AddFirewallRule", type="ip", value="192.0.2.7")
    requests: list[tuple[str, dict[str, Any]]] = [
        ("AddRoute", {**app, "backend": "h:1", **L7_FILES}),
        ("AddL7Policy", {**app, "type": "block_user_agent", "value": "BadBot"}),
        ("AddFirewallRule", {"type": "ip", "value": "::ffff:192.0.2.7"}),
    ]
    for name, fields in requests:
        before = state(admin)
        assert admin.refused(name, **fields).code is grpc.StatusCode.ALREADY_EXISTS
        assert state(admin) == (*before[:2], before[2] + 1)
    admin.call("RevertEdit", all=True)


def test_another_generation_than_expected_aborts(admin: Admin) -> None:
    """With the live one in the message; the live one itself is fine."""
    live = admin.call("GetStatus").generation
    options = pb.MutationOptions(expected_generation=live + 1)
    refused = admin.refused("AddFirewallRule", type="ip", value="192.0.2.1", options=options)
    assert (refused.code, str(live) in refused.message) == (ABORTED, True)
    options = pb.MutationOptions(expected_generation=live)
    assert admin.call("AddFirewallRule", type="ip", value="192.0.2.1", options=options).generation == live + 1
    assert admin.refused("RevertEdit", all=True, options=options).code is ABORTED
    admin.call("RevertEdit", all=True)


def test_an_id_of_another_request_is_refused(admin: Admin) -> None:
    """The same request again is answered as the first time, and done once."""
    options = pb.MutationOptions(request_id="mine")
    first = admin.call("AddFirewallRule", type="ip", value="192.0.2.2", options=options)
    assert admin.call("AddFirewallRule", type="ip", value="192.0.2.2", options=options) == first
    assert admin.call("GetStatus").generation == first.generation
    before = state(admin)
    for name, value in (("AddFirewallRule", "192.0.2.3"), ("RemoveFirewallRule", "192.0.2.2")):
        refused = admin.refused(name, type="ip", value=value, options=options)
        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"options.request_id"})
    assert state(admin) == (*before[:2], before[2] + 2)
    admin.call("RevertEdit", all=True)


def test_what_is_wrong_with_a_planned_text_is_told_with_its_place(admin: Admin, served: Proxy) -> None:
    """As paths inside the field; the files on the server being wrong is not the client's fault."""
    refused = admin.refused("Plan", toml="[proxy]\nworkers = -1\n[[listeners]]\naddr = 'x'\nzzz = 1\n")
    assert [field for field, _ in refused.violations] == [
        "toml.proxy.workers",
        "toml.listeners[0].addr",
        "toml.listeners[0].zzz",
    ]
    assert [message.split(": ")[0] for _, message in refused.violations] == ["2:11", "4:8", "5:1"]
    assert [field for field, _ in admin.refused("Plan", toml="").violations] == ["toml.listeners"]
    assert "removed" in admin.call("Plan", toml="[[listeners]]\naddr = ':1'\n").summary
    good = served.config.read_text(encoding="utf-8")
    since = served.mark()
    served.save("listeners = 3\n")
    refused = admin.refused("Plan")
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert f"{served.config}:1:13: error: listeners: must be an array" in refused.message
    served.wait_for_log("nothing changed", since=since)
    served.save(good)
    assert admin.call("Reload").summary == "no changes"


@pytest.mark.parametrize("name", ["ListRoutes", "ListL7Policies", "ListConnections", "CloseConnections"])
def test_a_listener_that_is_not_there_has_no_empty_list(admin: Admin, served: Proxy, name: str) -> None:
    """It is told, with those that there are; another spelling of one that is there is that one."""
    refused = admin.refused(name, listener="127.0.0.1:1")
    assert refused.code is NOT_FOUND
    assert refused.message == f"there is no listener 127.0.0.1:1; listeners: 127.0.0.1:{served.port()}"
    assert admin.call(name, listener=f"127.0.0.1:{served.port():05}") == admin.call(
        name, listener=f"127.0.0.1:{served.port()}"
    )

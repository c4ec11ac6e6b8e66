"""The client against a server with canned answers: what it sends, returns, repeats and raises."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import (
    AbortedError,
    AlreadyExistsError,
    Client,
    ClientError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)
from mcproxy.errors import McproxyError
from tests.support.canned_admin import CannedAdmin, Refusal
from tests.support.certificates import Certificates
from tests.support.ports import free_port

ROUTE: dict[str, Any] = {
    "mode": "l7",
    "tls_cert": "/a.crt",
    "tls_key": "/a.key",
    "backend_tls": True,
    "backend_ca": "/ca.crt",
    "backend_server_name": "b.example.com",
    "backend_protocol": "h2",
    "send_proxy_protocol": True,
    "on_remove": "keep",
}
POLICY: dict[str, Any] = {"listener": ":1", "hostname": "a", "type": "require_header", "value": "X"}
TIME = datetime(2026, 11, 20, 14, 2, tzinfo=UTC)
RULE: dict[str, Any] = {"type": "ip", "value": "192.0.2.1"}

CALLS: list[tuple[str, Callable[[Client], object], dict[str, Any]]] = [
    ("GetStatus", lambda c: c.get_status(), {}),
    ("ListListeners", lambda c: c.list_listeners(), {}),
    (
        "SetListenerMaxConnections",
        lambda c: c.set_listener_max_connections(":1", 5),
        {"listener": ":1", "max_connections": 5},
    ),
    ("ListRoutes", lambda c: c.list_routes(":1"), {"listener": ":1"}),
    ("AddRoute", lambda c: c.add_route(":1", "a", "b:2"), {"listener": ":1", "hostname": "a", "backend": "b:2"}),
    (
        "AddRoute",
        lambda c: c.add_route(":1", "a", "b:2", **ROUTE),
        {"listener": ":1", "hostname": "a", "backend": "b:2", **ROUTE},
    ),
    ("UpdateRoute", lambda c: c.update_route(":1", "a"), {"listener": ":1", "hostname": "a"}),
    (
        "UpdateRoute",
        lambda c: c.update_route(":1", "a", backend="b:2", **ROUTE),
        {"listener": ":1", "hostname": "a", "backend": "b:2", **ROUTE},
    ),
    (
        "UpdateRoute",
        lambda c: c.update_route(":1", "a", backend_ca="", backend_tls=False),
        {"listener": ":1", "hostname": "a", "backend_ca": "", "backend_tls": False},
    ),
    ("RemoveRoute", lambda c: c.remove_route(":1", "a"), {"listener": ":1", "hostname": "a"}),
    ("ListL7Policies", lambda c: c.list_l7_policies(":1", "a"), {"listener": ":1", "hostname": "a"}),
    ("AddL7Policy", lambda c: c.add_l7_policy(**POLICY), POLICY),
    ("RemoveL7Policy", lambda c: c.remove_l7_policy(**POLICY), POLICY),
    ("GetFirewallRules", lambda c: c.get_firewall_rules(), {}),
    ("AddFirewallRule", lambda c: c.add_firewall_rule(**RULE), RULE),
    ("SetFirewall", lambda c: c.set_firewall(default="deny"), {"default": "deny"}),
    ("SetFirewall", lambda c: c.set_firewall(connections_per_client=5), {"connections_per_client": 5}),
    ("RemoveFirewallRule", lambda c: c.remove_firewall_rule(**RULE), RULE),
    ("ListEndpoints", lambda c: c.list_endpoints("web"), {"upstream": "web"}),
    ("ListEndpoints", lambda c: c.list_endpoints(), {}),
    (
        "PutResource",
        lambda c: c.put_resource("endpoint", ["web", "a:1"], {}, must_exist=True),
        {"kind": "endpoint", "key": ["web", "a:1"], "fields_json": "{}", "must_exist": True},
    ),
    ("ListResources", lambda c: c.list_resources("rule"), {"kind": "rule"}),
    ("ListResources", lambda c: c.list_resources("route", [":1"]), {"kind": "route", "key": [":1"]}),
    (
        "PutResource",
        lambda c: c.put_resource("route", (":1", "a"), {"backend": "b:2", "mode": None}),
        {"kind": "route", "key": [":1", "a"], "fields_json": '{"backend":"b:2","mode":null}'},
    ),
    ("RemoveResource", lambda c: c.remove_resource("route", (":1", "a")), {"kind": "route", "key": [":1", "a"]}),
    ("Plan", lambda c: c.plan(), {}),
    ("Plan", lambda c: c.plan(""), {"toml": ""}),
    ("Reload", lambda c: c.reload(), {}),
    ("Reload", lambda c: c.reload(label="incident 7"), {"label": "incident 7"}),
    ("Restart", lambda c: c.restart(), {}),
    ("GetDrift", lambda c: c.get_drift(), {}),
    ("RevertEdit", lambda c: c.revert_edit(edit_ids=[3, 4]), {"edit_ids": [3, 4]}),
    ("RevertEdit", lambda c: c.revert_edit(target="route :1 a"), {"target": "route :1 a"}),
    ("RevertEdit", lambda c: c.revert_edit(all=True), {"all": True}),
    ("Export", lambda c: c.export(), {}),
    ("ListRevisions", lambda c: c.list_revisions(5, 9), {"limit": 5, "before": 9}),
    (
        "ListRevisions",
        lambda c: c.list_revisions(kind="route", key=(":1", "a")),
        {"kind": "route", "key": [":1", "a"]},
    ),
    ("GetRevision", lambda c: c.get_revision(7), {"generation": 7}),
    ("Blame", lambda c: c.blame("route", (":1", "a")), {"kind": "route", "key": [":1", "a"]}),
    ("DiffGenerations", lambda c: c.diff_generations(7), {"from": {"generation": 7}}),
    (
        "DiffGenerations",
        lambda c: c.diff_generations(TIME, 9),
        {"from": {"time": TIME}, "to": {"generation": 9}},
    ),
    ("Explain", lambda c: c.explain(at=TIME), {"then": {"time": TIME}}),
    ("Explain", lambda c: c.explain(at=7), {"then": {"generation": 7}}),
    ("Rollback", lambda c: c.rollback(7), {"generation": 7}),
    (
        "Rollback",
        lambda c: c.rollback(7, confirm_timeout=1.5),
        {"generation": 7, "confirm_timeout": timedelta(seconds=1.5)},
    ),
    ("Confirm", lambda c: c.confirm(2, "ann"), {"confirm_id": 2, "author": "ann"}),
    ("ListEditRecords", lambda c: c.list_edit_records(1, 2, 3), {"limit": 1, "before": 2, "edit_id": 3}),
    ("ListAudit", lambda c: c.list_audit(1, 2), {"limit": 1, "before": 2}),
    ("Explain", lambda c: c.explain(), {}),
    (
        "Explain",
        lambda c: c.explain(
            listener=":1",
            sni="",
            ip="::1",
            proxy_ip="::2",
            alpn=["h2"],
            method="PUT",
            path="/x",
            headers=[("a", "b")],
        ),
        {
            "listener": ":1",
            "sni": "",
            "ip": "::1",
            "proxy_ip": "::2",
            "alpn": ["h2"],
            "method": "PUT",
            "path": "/x",
            "headers": [pb.Header(name="a", value="b")],
        },
    ),
    ("Why", lambda c: c.why("5f2a9c03d1e84b77", last=3), {"id": "5f2a9c03d1e84b77", "last": 3}),
    (
        "ListConnections",
        lambda c: c.list_connections(":1", "a", 9),
        {"listener": ":1", "hostname": "a", "limit": 9},
    ),
    (
        "SetFirewallRateLimit",
        lambda c: c.set_firewall_rate_limit(0, 1.5),
        {"rate_limit": 0, "rate_window": timedelta(seconds=1.5)},
    ),
    ("SetFirewallRateLimit", lambda c: c.set_firewall_rate_limit(), {}),
    (
        "CloseConnections",
        lambda c: c.close_connections(":1", "a", "::1", drain=1.5, author="ann", reason="why"),
        {
            "listener": ":1",
            "hostname": "a",
            "client": "::1",
            "drain": timedelta(seconds=1.5),
            "author": "ann",
            "reason": "why",
        },
    ),
    ("CloseConnections", lambda c: c.close_connections(all=True), {"all": True}),
    ("ListCertificates", lambda c: c.list_certificates("a"), {"name": "a"}),
    ("RenewCertificate", lambda c: c.renew_certificate("a", author="ann"), {"name": "a", "author": "ann"}),
    ("TryCertificate", lambda c: c.try_certificate("a", reason="why"), {"name": "a", "reason": "why"}),
    ("GetFleet", lambda c: c.get_fleet(), {}),
    ("PlanFleet", lambda c: c.plan_fleet([("a.toml", "x")]), {"files": [pb.FleetFile(name="a.toml", text="x")]}),
    (
        "PushFleet",
        lambda c: c.push_fleet(
            [("a.toml", "x")], author="ann", label="3fa9", over=0, canary=pb.FleetCanary(), allow_shrink=True
        ),
        {
            "files": [pb.FleetFile(name="a.toml", text="x")],
            "author": "ann",
            "label": "3fa9",
            "over": 0,
            "canary": pb.FleetCanary(),
            "allow_shrink": True,
        },
    ),
    ("ListFleetHistory", lambda c: c.list_fleet_history(3), {"limit": 3}),
    ("FetchCertificate", lambda c: c.fetch_certificate("a"), {"name": "a"}),
    ("AbortRollout", lambda c: c.abort_rollout("ann"), {"author": "ann"}),
    ("Backup", lambda c: list(c.backup()), {}),
    ("WatchEvents", lambda c: list(c.watch_events(4)), {"recent": 4}),
]


@pytest.fixture
def client(admin: CannedAdmin) -> Iterator[Client]:
    """Return a client of the canned server."""
    with Client(admin.addr, timeout=10) as client:
        yield client


@pytest.mark.parametrize(("name", "call", "fields"), CALLS)
def test_every_argument_is_a_field_of_the_request(
    admin: CannedAdmin, client: Client, name: str, call: Callable[[Client], object], fields: dict[str, Any]
) -> None:
    """What is given arrives under its name, what is not is absent, and the answer comes back as it was sent."""
    answer = api.METHODS[name].response()
    if "generation" in answer.DESCRIPTOR.fields_by_name:
        answer.generation = 17  # type: ignore[attr-defined]
    admin.answers[name] = [answer]
    returned = call(client)
    request = admin.request(name)
    request.ClearField("options") if "options" in request.DESCRIPTOR.fields_by_name else None
    assert request == api.METHODS[name].request(**fields)
    assert returned == ([answer] if api.METHODS[name].streams else answer)


def test_every_method_of_the_api_is_one_of_the_client() -> None:
    """An RPC that is added is added to the client, and to the calls above."""
    named = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).replace("L7_", "L7").lower() for name in api.METHODS}
    assert {name.replace("l7", "l7_").replace("l7__", "l7_") for name in named} <= set(dir(Client))
    assert {name for name, _, _ in CALLS} == set(api.METHODS)


def test_a_change_says_who_why_and_for_how_long(admin: CannedAdmin, client: Client) -> None:
    """All options of a change arrive; without them only the id is there."""
    client.remove_route(
        ":1", "a", author="ann", reason="gone", expires=90.5, request_id="r1", expected_generation=4, timeout=5
    )
    options = admin.request("RemoveRoute").options
    assert (options.author, options.reason, options.request_id, options.expected_generation) == ("ann", "gone", "r1", 4)
    assert options.expires.ToTimedelta() == timedelta(seconds=90.5)
    client.remove_route(":1", "a")
    options = admin.request("RemoveRoute").options
    assert not options.HasField("expires")
    assert (options.author, options.reason, options.expected_generation) == ("", "", 0)


def test_every_change_has_an_id_of_its_own(admin: CannedAdmin, client: Client) -> None:
    """So that the server can tell a repetition from a second request."""
    for _ in range(3):
        client.remove_firewall_rule("ip", "192.0.2.1")
    ids = {request.options.request_id for _, request in admin.requests}
    assert len(ids) == 3
    assert all(ids)


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (grpc.StatusCode.NOT_FOUND, NotFoundError),
            (grpc.StatusCode.ALREADY_EXISTS, AlreadyExistsError),
            (grpc.StatusCode.FAILED_PRECONDITION, FailedPreconditionError),
            (grpc.StatusCode.ABORTED, AbortedError),
            (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError),
            (grpc.StatusCode.UNAUTHENTICATED, PermissionDeniedError),
            (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgumentError),
        ],
    )
    def test_a_refusal_has_its_class_and_the_servers_words(
        self, admin: CannedAdmin, client: Client, code: grpc.StatusCode, kind: type[ClientError]
    ) -> None:
        """What the server wrote for the operator comes through as it is."""
        admin.answers["AddRoute"] = Refusal(code, "there is no listener :1")
        with pytest.raises(kind, match=r"^there is no listener :1$") as caught:
            client.add_route(":1", "a", "b:1")
        assert type(caught.value) is kind
        assert isinstance(caught.value, McproxyError)

    def test_violations_name_their_fields(self, admin: CannedAdmin, client: Client) -> None:
        """The details of INVALID_ARGUMENT are pairs of field and message."""
        wrong = [("hostname", "has a space"), ("backend", "has no port")]
        admin.answers["AddRoute"] = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "2 fields are wrong", wrong)
        with pytest.raises(InvalidArgumentError, match="2 fields are wrong") as caught:
            client.add_route(":1", "a b", "c")
        assert caught.value.violations == tuple(wrong)

    def test_an_error_inside_the_server_is_told_as_such(self, admin: CannedAdmin, client: Client) -> None:
        """It names the method and the server: the message alone may say little."""
        admin.answers["Export"] = Refusal(grpc.StatusCode.INTERNAL, "boom")
        with pytest.raises(ClientError, match=rf"^Export fails at {re.escape(admin.addr)}: boom \(internal\)$"):
            client.export()

    def test_a_server_of_another_version(self, admin: CannedAdmin, client: Client) -> None:
        """A method that the server doesn't know is told as that."""
        admin.answers["Export"] = Refusal(grpc.StatusCode.UNIMPLEMENTED, "")
        with pytest.raises(UnsupportedError, match="does not know Export"):
            client.export()

    def test_no_answer_in_time(self, admin: CannedAdmin, client: Client) -> None:
        """The call ends with its timeout, and says so."""
        over = threading.Event()

        def wait(request: pb.ReloadRequest) -> pb.ReloadResponse:
            over.wait(30)
            return pb.ReloadResponse()

        admin.answers["Reload"] = wait
        try:
            with pytest.raises(TimedOutError, match=r"does not answer Reload within 0\.2 s"):
                client.reload(timeout=0.2)
        finally:
            over.set()


class TestAway:
    def test_a_socket_that_is_not_there(self, short_folder: Path) -> None:
        """Nothing listens and nothing did."""
        with Client(f"unix:{short_folder}/a.sock") as client, pytest.raises(UnavailableError) as caught:
            client.get_status()
        assert str(caught.value).startswith(
            f"no mcproxy answers at unix:{short_folder}/a.sock: is it running? There is no"
        )

    def test_a_socket_that_a_dead_server_left(self, short_folder: Path) -> None:
        """The file is there, but nobody listens."""
        (short_folder / "a.sock").touch()
        with (
            Client(f"unix:{short_folder}/a.sock") as client,
            pytest.raises(UnavailableError, match="Connection refused"),
        ):
            client.get_status()

    def test_a_socket_of_somebody_else(self, admin: CannedAdmin, short_folder: Path) -> None:
        """What the user may not open is no matter of waiting: another error, which says where the right is given."""
        path = Path(admin.addr.removeprefix("unix:"))
        path.chmod(0)
        short_folder.chmod(0o711)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with Client(admin.addr) as client, pytest.raises(PermissionDeniedError, match=r"grpc\.socket_mode"):
                client.get_status()
        finally:
            if root:
                os.seteuid(0)

    def test_tcp_where_nobody_listens(self, certs: Certificates) -> None:
        """The address, and the system's reason."""
        addr = f"127.0.0.1:{free_port()}"
        me = certs.client("ann")
        with (
            Client(addr, tls_ca=certs.ca, tls_cert=me.certificate, tls_key=me.key) as client,
            pytest.raises(UnavailableError, match=rf"no mcproxy answers at {addr}: is it running\?"),
        ):
            client.get_status()

    @pytest.mark.parametrize("call", [lambda c: c.get_status(), lambda c: c.remove_route(":1", "a")])
    def test_what_is_harmless_is_repeated(
        self, admin: CannedAdmin, client: Client, call: Callable[[Client], object]
    ) -> None:
        """A question, and a change with its id, are asked again, twice at most; the repetition is the same request."""
        away = Refusal(grpc.StatusCode.UNAVAILABLE, "the database can't be written now")
        admin.answers["GetStatus"] = [away, away, pb.GetStatusResponse()]
        admin.answers["RemoveRoute"] = [away, away, pb.MutationResponse()]
        call(client)
        first, *others = [request for _, request in admin.requests]
        assert others == [first, first]
        admin.answers["GetStatus"] = admin.answers["RemoveRoute"] = away
        with pytest.raises(UnavailableError, match=r": the database can't be written now$"):
            call(client)
        assert len(admin.requests) == 6

    def test_a_confirmation_is_not_repeated(self, admin: CannedAdmin, client: Client) -> None:
        """The second one would be told that nothing waits, though the first got through."""
        admin.answers["Confirm"] = Refusal(grpc.StatusCode.UNAVAILABLE, "gone")
        with pytest.raises(UnavailableError):
            client.confirm()
        assert len(admin.requests) == 1


class TestEvents:
    def test_events_come_as_they_are_sent(self, admin: CannedAdmin, client: Client) -> None:
        """The call begins before the first event is asked for; leaving the iterator ends it."""
        admin.answers["WatchEvents"] = [pb.Event(id=number) for number in (1, 2, 3)]
        events = client.watch_events()
        assert next(events).id == 1
        assert next(events).id == 2
        events.close()  # type: ignore[attr-defined]

    def test_errors_end_the_iterator(self, admin: CannedAdmin, client: Client) -> None:
        """With the same classes as any other call."""
        admin.answers["WatchEvents"] = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "draining")
        with pytest.raises(FailedPreconditionError, match="draining"):
            list(client.watch_events())


class TestMutualTls:
    @pytest.fixture
    def tls_admin(self, short_folder: Path, certs: Certificates) -> Iterator[CannedAdmin]:
        """Return a server that also listens on TCP and knows the test CA's clients."""
        leaf = certs.server("localhost", "127.0.0.1")
        with CannedAdmin(short_folder / "t.sock", leaf=leaf, client_ca=certs.ca) as admin:
            yield admin

    def test_both_sides_know_each_other(
        self, tls_admin: CannedAdmin, certs: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The call succeeds, and the web's proxy of the environment has no part in it."""
        for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        me = certs.client("ann")
        for host in ("localhost", "127.0.0.1"):
            addr = f"{host}:{tls_admin.port}"
            with Client(addr, tls_ca=certs.ca, tls_cert=me.certificate, tls_key=me.key, timeout=10) as client:
                client.get_status()
        assert [name for name, _ in tls_admin.requests] == ["GetStatus"] * 2

    def test_a_server_of_another_ca_is_not_trusted(
        self, tls_admin: CannedAdmin, certs: Certificates, other_certs: Certificates
    ) -> None:
        """Nothing is sent to it."""
        me = certs.client("ann")
        with (
            Client(
                f"localhost:{tls_admin.port}",
                tls_ca=other_certs.ca,
                tls_cert=me.certificate,
                tls_key=me.key,
                timeout=10,
            ) as client,
            pytest.raises(UnavailableError, match=r"is not trusted: .*is .*ca\.crt its CA\?"),
        ):
            client.get_status()
        assert tls_admin.requests == []

    def test_a_client_of_another_ca_is_refused(
        self, tls_admin: CannedAdmin, certs: Certificates, other_certs: Certificates
    ) -> None:
        """And is told that its certificate is the reason."""
        stranger = other_certs.client("eve")
        with (
            Client(
                f"localhost:{tls_admin.port}",
                tls_ca=certs.ca,
                tls_cert=stranger.certificate,
                tls_key=stranger.key,
                timeout=10,
            ) as client,
            pytest.raises(PermissionDeniedError, match=r"refuses TLS with .*\.crt: .*; is it signed by"),
        ):
            client.get_status()
        assert tls_admin.requests == []

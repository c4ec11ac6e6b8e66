"""`mcproxyctl`: what its changes send, and what they say."""

import getpass
import json
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.canned_admin import CannedAdmin, Refusal
from tests.support.certificates import Certificates
from tests.support.ctl import Ctl

EVERY_FIELD = (
    "routes add :1 a b:2 --mode l7 --tls-cert /a.crt --tls-key /a.key --backend-tls --backend-ca /ca.crt "
    "--backend-server-name s --backend-protocol http/1.1 --send-proxy-protocol --on-remove close"
)
CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("listeners set-max-connections :1 5", "SetListenerMaxConnections", {"listener": ":1", "max_connections": 5}),
    ("routes add :1 a b:2", "AddRoute", {"listener": ":1", "hostname": "a", "backend": "b:2"}),
    (
        EVERY_FIELD,
        "AddRoute",
        {
            "listener": ":1",
            "hostname": "a",
            "backend": "b:2",
            "mode": "l7",
            "tls_cert": "/a.crt",
            "tls_key": "/a.key",
            "backend_tls": True,
            "backend_ca": "/ca.crt",
            "backend_server_name": "s",
            "backend_protocol": "http/1.1",
            "send_proxy_protocol": True,
            "on_remove": "close",
        },
    ),
    ("routes update :1 a --backend b:3", "UpdateRoute", {"listener": ":1", "hostname": "a", "backend": "b:3"}),
    (
        "routes update :1 a --mode l4 --tls-cert= --no-backend-tls --no-send-proxy-protocol",
        "UpdateRoute",
        {
            "listener": ":1",
            "hostname": "a",
            "mode": "l4",
            "tls_cert": "",
            "backend_tls": False,
            "send_proxy_protocol": False,
        },
    ),
    (
        "put route :1 a backend=b:2 idle_timeout= backend_tls=true",
        "PutResource",
        {
            "kind": "route",
            "key": [":1", "a"],
            "fields_json": '{"backend":"b:2","idle_timeout":null,"backend_tls":true}',
        },
    ),
    (
        "put policy :1 a require_header X=y",
        "PutResource",
        {"kind": "policy", "key": [":1", "a", "require_header", "X=y"], "fields_json": "{}"},
    ),
    ("remove rule ip 192.0.2.1", "RemoveResource", {"kind": "rule", "key": ["ip", "192.0.2.1"]}),
    ("routes remove :1 a", "RemoveRoute", {"listener": ":1", "hostname": "a"}),
    (
        "policies add :1 a require_header X",
        "AddL7Policy",
        {"listener": ":1", "hostname": "a", "type": "require_header", "value": "X"},
    ),
    (
        "policies remove :1 a require_header X",
        "RemoveL7Policy",
        {"listener": ":1", "hostname": "a", "type": "require_header", "value": "X"},
    ),
    ("firewall add ip 192.0.2.1", "AddFirewallRule", {"type": "ip", "value": "192.0.2.1"}),
    ("firewall add allowed_cidr 10.0.0.0/8", "AddFirewallRule", {"type": "allowed_cidr", "value": "10.0.0.0/8"}),
    ("firewall set-default deny", "SetFirewall", {"default": "deny"}),
    ("firewall set-connections-per-client 0", "SetFirewall", {"connections_per_client": 0}),
    ("firewall remove country SE", "RemoveFirewallRule", {"type": "country", "value": "SE"}),
    ("revert 3 4", "RevertEdit", {"edit_ids": [3, 4]}),
    ("revert route :1 a", "RevertEdit", {"target": "route :1 a"}),
    ("revert --all", "RevertEdit", {"all": True}),
    ("rollback 5", "Rollback", {"generation": 5}),
    ("rollback 5 --confirm 1m30s", "Rollback", {"generation": 5, "confirm_timeout": {"seconds": 90}}),
]


@pytest.mark.parametrize(("line", "method", "fields"), CHANGES)
def test_what_a_change_sends(admin: CannedAdmin, ctl: Ctl, line: str, method: str, fields: dict[str, Any]) -> None:
    """Its arguments and no more; and who asks, why, and for how long, as every change may say."""
    told = "--author ann --reason because --expires 1h --request-id r1 --expect-generation 4"
    assert ctl(*line.split(" "), *told.split(" ")).status == 0
    options = pb.MutationOptions(
        author="ann", reason="because", expires={"seconds": 3600}, request_id="r1", expected_generation=4
    )
    assert admin.requests == [(method, api.METHODS[method].request(**fields, options=options))]


@pytest.mark.parametrize(
    ("words", "guard"), [((), None), (("--guard",), 0), (("--guard", "2m"), 120), (("--guard=90s",), 90)]
)
def test_a_change_says_for_how_long_it_is_guarded(
    admin: CannedAdmin, ctl: Ctl, words: tuple[str, ...], guard: int | None
) -> None:
    """Nothing, for as long as the server says, or so long; the answer tells until when."""
    admin.answers["Rollback"] = pb.MutationResponse(generation=19, guarded_until=Timestamp(seconds=1_700_000_060))
    told = ctl("rollback", *words, "5").stdout
    options = admin.request("Rollback").options
    assert (options.guard.seconds if options.HasField("guard") else None) == guard
    assert told.splitlines()[-1] == "watched by guard until 2023-11-14 22:14:20Z"


def test_what_a_change_says_by_itself(admin: CannedAdmin, ctl: Ctl) -> None:
    """Who runs it, and an id."""
    ctl("revert", "--all")
    options = admin.request("RevertEdit").options
    assert options == pb.MutationOptions(author=getpass.getuser(), request_id=options.request_id)
    assert options.request_id


@pytest.mark.skipif(os.geteuid() != 0, reason="sudo's variable counts for root alone")
def test_behind_sudo_the_caller_is_the_author(admin: CannedAdmin, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else everything would be root's doing."""
    monkeypatch.setenv("SUDO_USER", "ann")
    ctl("firewall", "add", "ip", "192.0.2.1")
    assert admin.request("AddFirewallRule").options.author == "ann"


def test_certificates_are_found_from_where_we_are(
    admin: CannedAdmin, ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a Unix socket the server is on this machine, so relative paths are made absolute."""
    files = ("--tls-cert", "a.crt", "--tls-key", "/b.key", "--backend-ca", "../ca.crt")
    ctl("routes", "add", ":1", "a", "b:2", *files)
    request = admin.request("AddRoute")
    assert (request.tls_cert, request.tls_key, request.backend_ca) == (
        f"{tmp_path}/a.crt",
        "/b.key",
        f"{tmp_path}/../ca.crt",
    )
    ctl("routes", "update", ":1", "a", "--tls-cert", "c.crt")
    assert admin.request("UpdateRoute").tls_cert == f"{tmp_path}/c.crt"


def test_over_tcp_paths_are_the_servers(short_folder: Path, certs: Certificates, ctl_run: Ctl) -> None:
    """The certificates of the connection stand before the command, the route's behind it, untouched."""
    me = certs.client("ann")
    with CannedAdmin(short_folder / "t.sock", leaf=certs.server("localhost"), client_ca=certs.ca) as admin:
        connection = ("--addr", f"localhost:{admin.port}", "--tls-ca", str(certs.ca))
        own = ("--tls-cert", str(me.certificate), "--tls-key", str(me.key))
        result = ctl_run(
            *connection, *own, "routes", "add", ":1", "a", "b:2", "--tls-cert", "a.crt", "--tls-key", "a.key"
        )
        assert (result.status, result.stderr) == (0, "")
        assert (admin.request("AddRoute").tls_cert, admin.request("AddRoute").tls_key) == ("a.crt", "a.key")
        # where the command has no such options of its own, they may also stand behind it
        assert ctl_run("status", *connection, *own).status == 0


class TestAnswer:
    ANSWER = pb.MutationResponse(
        generation=18,
        edits=[
            pb.Edit(
                id=7,
                kind="route",
                target="route :1 a",
                value_json='{"mode": "l4"}',
                expires=Timestamp(seconds=1_700_000_000),
            ),
            pb.Edit(id=8, kind="route", target="route :1 b", tombstone=True),
        ],
        plan=["+ route :1 a -> b:2", "- route :1 b"],
        warnings=[pb.Violation(field="tls_cert", message="has no effect on l4"), pb.Violation(message="doubtful")],
    )

    def test_for_people(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """What was done, what is live, what ends by itself; warnings go to standard error."""
        admin.answers["AddRoute"] = self.ANSWER
        result = ctl("routes", "add", ":1", "a", "b:2")
        assert result.stdout.splitlines() == [
            "+ route :1 a -> b:2",
            "- route :1 b",
            "generation 18 is live (edits 7, 8)",
            "edit 7 ends by itself at 2023-11-14 22:13:20Z",
        ]
        assert result.stderr.splitlines() == ["warning: tls_cert: has no effect on l4", "warning: doubtful"]

    def test_for_machines(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """All of it, with values as values; nothing on standard error."""
        admin.answers["AddRoute"] = self.ANSWER
        result = ctl("routes", "add", ":1", "a", "b:2", "--json")
        answer = json.loads(result.stdout)
        assert (answer["generation"], answer["plan"]) == (18, list(self.ANSWER.plan))
        assert [edit["value"] for edit in answer["edits"]] == [{"mode": "l4"}, None]
        assert answer["warnings"][0] == {"field": "tls_cert", "message": "has no effect on l4"}
        assert result.stderr == ""

    def test_a_rollback_tells_how_to_keep_it(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """And when it is undone."""
        admin.answers["Rollback"] = pb.MutationResponse(
            generation=19, confirm_id=3, confirm_by=Timestamp(seconds=1_700_000_060)
        )
        assert ctl("rollback", "5", "--confirm", "60s").stdout.splitlines() == [
            "generation 19 is live",
            "undone at 2023-11-14 22:14:20Z unless confirmed: mcproxyctl confirm 3",
        ]

    def test_confirm(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """The one that waits, or the one that is named."""
        admin.answers["Confirm"] = pb.ConfirmResponse(generation=19)
        assert ctl("confirm").stdout == "confirmed: generation 19 stays live\n"
        assert json.loads(ctl("confirm", "3", "--json").stdout) == {"generation": 19}
        assert [request.confirm_id for _, request in admin.requests] == [0, 3]


class TestRefused:
    def test_each_wrong_field_is_a_line(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """`field: message` on standard error, status 1."""
        wrong = [("hostname", "has a space"), ("backend", "has no port")]
        admin.answers["AddRoute"] = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "2 fields are wrong", wrong)
        result = ctl("routes", "add", ":1", "a b", "c", "--json")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr == "hostname: has a space\nbackend: has no port\n"

    @pytest.mark.parametrize("code", ["NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "UNAVAILABLE"])
    def test_any_other_refusal_is_the_servers_text(self, admin: CannedAdmin, ctl: Ctl, code: str) -> None:
        """With the program's name, status 1."""
        admin.answers["RemoveRoute"] = Refusal(grpc.StatusCode[code], "there is a reason")
        result = ctl("routes", "remove", ":1", "a")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr.startswith("mcproxyctl: ")
        assert result.stderr.endswith("there is a reason\n")
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize(
        "line",
        [
            "routes add :1 a",
            "routes add :1 a b:2 --mode l5",
            "routes add :1 a b:2 --expires soon",
            "routes add :1 a b:2 --expires 0s",
            "routes update :1 a",
            "listeners set-max-connections :1 many",
            "listeners set-max-connections :1 -1",
            "revert",
            "revert --all 3",
            "rollback 0",
            "rollback 5 --confirm 60",
            "confirm x",
            "firewall add ip",
        ],
    )
    def test_wrong_usage_is_found_without_a_server(self, admin: CannedAdmin, ctl: Ctl, line: str) -> None:
        """Status 2, and nothing is sent."""
        result = ctl(*line.split(" "))
        assert (result.status, result.stdout) == (2, "")
        assert result.stderr.endswith(" --help'.\n")
        assert admin.requests == []

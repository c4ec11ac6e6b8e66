"""The admin API for clients that have nothing of ours: the published .proto file, or what the server tells of itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcproxy.model.edits.put import PUT
from tests.support.certificates import Certificates
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import ROOT, Proxy
from tests.support.resources import CASES, case_config
from tests.support.settings import route

CLIENT = ROOT / "tests" / "support" / "stock_client.py"


@pytest.fixture(scope="module")
def served(certs: Certificates) -> Iterator[Proxy]:
    with serve(l7_config(l7_route(certs, 9, "app.test"), route(9, "plain.test"))) as proxy:
        yield proxy


def ask(proxy: Proxy, how: str, calls: list[tuple[str, dict[str, Any]]], folder: Path) -> Any:
    """Run the client in a folder where nothing is."""
    target = f"unix:{proxy.folder / 'mc-proxy.sock'}"
    done = subprocess.run(
        [sys.executable, "-I", CLIENT, how, ROOT / "proto" if how == "proto" else "-", target],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["proto", "reflection"])
def test_every_method_can_be_called(served: Proxy, how: str, tmp_path: Path) -> None:
    """With messages that are made of the description alone; the service is healthy."""
    addr = f"127.0.0.1:{served.port()}"
    app = {"listener": addr, "hostname": "app.test"}
    new = {"listener": addr, "hostname": f"{how}.test"}
    policy = {**app, "type": "block_user_agent", "value": how}
    rule = {"type": "cidr", "value": "192.0.2.0/24"}
    options = {"author": "ann", "reason": "to try", "expires": "3600s", "request_id": how}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("GetStatus", {}),
        ("ListListeners", {}),
        ("SetListenerMaxConnections", {"listener": addr, "max_connections": "7"}),
        ("AddRoute", {**new, "backend": "127.0.0.1:9", "on_remove": "close", "options": options}),
        ("UpdateRoute", {**new, "backend": "127.0.0.1:10"}),
        ("ListRoutes", {"listener": addr}),
        ("AddL7Policy", policy),
        ("ListL7Policies", app),
        ("AddFirewallRule", rule),
        ("GetFirewallRules", {}),
        ("GetDrift", {}),
        ("Plan", {"toml": f"[log]\nlevel = 'debug'\n[[listeners]]\naddr = '{addr}'\n"}),
        ("Reload", {}),
        ("Export", {}),
        ("RemoveFirewallRule", rule),
        ("RemoveL7Policy", policy),
        ("RemoveRoute", new),
        ("RevertEdit", {"target": f"listener {addr}"}),
        ("Rollback", {"generation": "1", "confirm_timeout": "60s"}),
        ("Confirm", {}),
        ("ListRevisions", {"limit": 3}),
        ("GetRevision", {"generation": "1"}),
        ("Blame", {"kind": "route", "key": [addr, "app.test"]}),
        ("DiffGenerations", {"from": {"generation": "1"}}),
        ("ListEditRecords", {"limit": 3}),
        ("ListAudit", {"limit": 3}),
        ("Explain", {"listener": addr, "sni": "app.test", "ip": "192.0.2.1", "path": "/"}),
        ("ListConnections", {"listener": addr}),
        ("CloseConnections", {"client": "192.0.2.1"}),
        ("Why", {"ip": "192.0.2.1", "last": 3}),
        ("WatchEvents", {"recent": 1}),
        ("Backup", {}),
        ("SetFirewall", {"default": "allow", "connections_per_client": "100", "options": {"dry_run": True}}),
        ("PutResource", {"kind": "route", "key": [addr, "put.test"], "fields_json": '{"backend": "127.0.0.1:9"}'}),
        ("ListResources", {"kind": "route", "key": [addr]}),
        ("ListEndpoints", {}),
        ("ListCertificates", {}),
        ("RemoveResource", {"kind": "route", "key": [addr, "put.test"]}),
        ("SetFirewallRateLimit", {"rate_limit": "100", "rate_window": "10s", "options": {"dry_run": True}}),
    ]
    told = ask(served, how, calls, tmp_path)
    assert told["known"] == []
    assert set(told["health"].values()) == {"SERVING"}
    # after one another server would answer, others need a CA, or a node of a fleet
    others = {"Restart", "RenewCertificate", "TryCertificate", "FetchCertificate"}
    others |= {"GetFleet", "PlanFleet", "PushFleet", "ListFleetHistory", "AbortRollout"}
    assert {name for name, _ in calls} == set(told["methods"]) - others
    answers = dict(told["answers"])
    assert [f"{name}: {it}" for name, it in answers.items() if isinstance(it, str)] == []

    assert [worker["generation"] for worker in answers["GetStatus"]["workers"]] == [answers["GetStatus"]["generation"]]
    assert answers["ListListeners"]["listeners"][0]["addr"] == addr
    (added,) = answers["AddRoute"]["edits"]
    assert (added["author"], added["reason"]) == ("ann", "to try")
    assert added["created"] < added["expires"]
    found = {route["hostname"]: route["backend"] for route in answers["ListRoutes"]["routes"]}
    assert found == {"app.test": "127.0.0.1:9", "plain.test": "127.0.0.1:9", f"{how}.test": "127.0.0.1:10"}
    assert [policy["value"] for policy in answers["ListL7Policies"]["policies"]] == [how]
    assert [(rule["type"], rule["value"]) for rule in answers["GetFirewallRules"]["rules"]] == [
        ("cidr", "192.0.2.0/24")
    ]
    assert ["route", addr, "put.test"] in [[it["kind"], *it["key"]] for it in answers["ListResources"]["resources"]]
    assert {difference["action"] for difference in answers["GetDrift"]["differences"]} == {"added", "changed"}
    assert "setting log.level" in "\n".join(answers["Plan"]["lines"])
    assert answers["Reload"]["summary"] == "no changes"
    assert answers["GetRevision"]["revision"]["origin"] == "start"
    assert {key["by"]["generation"] for key in answers["Blame"]["keys"]} == {"1"}
    assert answers["DiffGenerations"]["from"]["generation"] == "1"
    assert {entry["outcome"] for entry in answers["ListAudit"]["entries"]} == {"accepted"}
    assert [step["step"] for step in answers["Explain"]["steps"]][-1] == "backend"
    assert answers["WatchEvents"]["kind"] == "connections"
    assert [Path(file["path"]).name for file in answers["Export"]["files"]] == ["mc-proxy.toml"]


def test_a_resource_of_every_kind_has_its_life(certs: Certificates, tmp_path: Path) -> None:
    """Put, listed, exported, reverted, rolled back and removed, with stubs made of the published file alone."""
    with serve(case_config(certs)) as edge:
        calls: list[tuple[str, dict[str, Any]]] = []
        for case in CASES:
            where = {"kind": case.kind, "key": case.key_at(edge)}
            put = ("PutResource", {**where, "fields_json": json.dumps(case.fields)})
            target = " ".join((case.kind, *where["key"]))
            calls += [
                put,
                ("ListResources", where),
                ("Export", {}),
                ("RevertEdit", {"target": target}),
                ("GetDrift", {}),
            ]
            calls += [
                put,
                ("RemoveResource", where) if case.new else ("Rollback", {"generation": "1"}),
                ("GetDrift", {}),
            ]
        answers = iter(ask(edge, "proto", calls, tmp_path)["answers"])
        assert {case.kind for case in CASES} == set(PUT)
        for case in CASES:
            (_, done), (_, listed), (_, exported), (_, reverted), (_, drift) = (next(answers) for _ in range(5))
            assert case.kind in {edit["kind"] for edit in done["edits"]}
            (found,) = listed["resources"]
            fields = json.loads(found["fields_json"])
            assert {name: fields[name] for name in case.fields if name in fields}.items() <= case.fields.items()
            assert case.exported in exported["files"][0]["text"]
            assert "generation" in reverted, reverted
            assert "differences" not in drift
            (_, again), (_, ended), (_, drift) = (next(answers) for _ in range(3))
            assert "edits" in again, again
            assert "generation" in ended, ended
            assert "differences" not in drift

"""`mcproxyctl history` and `show`."""

import json

from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl

TIME = Timestamp(seconds=1_700_000_000)
EDIT = pb.Edit(
    id=7, kind="route", target="route :1 a", author="ann", reason="moved", value_json='{"mode": "l4"}', created=TIME
)
REVISIONS = [
    pb.Revision(
        generation=17, time=TIME, origin="api", author="ann", file_sha256="0123456789abcdef" * 4, summary="1 added"
    ),
    pb.Revision(generation=9, time=TIME, origin="start", summary="no changes"),
]


def test_generations(admin: CannedAdmin, ctl: Ctl) -> None:
    """Newest first, as many as were asked for."""
    admin.answers["ListRevisions"] = pb.ListRevisionsResponse(revisions=REVISIONS)
    assert ctl("history").stdout.splitlines() == [
        "GENERATION  TIME                  ORIGIN  AUTHOR  FILE SHA256   SUMMARY",
        "        17  2023-11-14 22:13:20Z  api     ann     0123456789ab  1 added",
        "         9  2023-11-14 22:13:20Z  start   -       -             no changes",
    ]
    assert json.loads(ctl("history", "--json", "--limit", "5", "--before", "18").stdout) == [
        {
            "generation": 17,
            "time": "2023-11-14T22:13:20Z",
            "origin": "api",
            "author": "ann",
            "file_sha256": "0123456789abcdef" * 4,
            "summary": "1 added",
        },
        {
            "generation": 9,
            "time": "2023-11-14T22:13:20Z",
            "origin": "start",
            "author": "",
            "file_sha256": "",
            "summary": "no changes",
        },
    ]
    assert [(request.limit, request.before) for _, request in admin.requests] == [(20, 0), (5, 18)]


def test_what_became_of_edits(admin: CannedAdmin, ctl: Ctl) -> None:
    """--edits; an edit that removes something says so."""
    records = [
        pb.EditRecord(id=12, event="superseded", time=TIME, detail="mc-proxy.toml:5 changed", edit=EDIT),
        pb.EditRecord(id=11, event="added", time=TIME, edit=pb.Edit(id=8, target="route :1 b", tombstone=True)),
    ]
    admin.answers["ListEditRecords"] = pb.ListEditRecordsResponse(records=records)
    assert ctl("history", "--edits").stdout.splitlines() == [
        "NUMBER  TIME                  EVENT       EDIT  RESOURCE       AUTHOR  REASON  DETAIL",
        "    12  2023-11-14 22:13:20Z  superseded     7  route :1 a     ann     moved   mc-proxy.toml:5 changed",
        "    11  2023-11-14 22:13:20Z  added          8  no route :1 b  -       -       -",
    ]
    first, second = json.loads(ctl("history", "--edits", "--json", "--before", "13").stdout)
    assert (first["event"], first["edit"]["value"], second["edit"]["value"]) == ("superseded", {"mode": "l4"}, None)
    assert admin.request("ListEditRecords") == pb.ListEditRecordsRequest(limit=20, before=13)


def test_every_request(admin: CannedAdmin, ctl: Ctl) -> None:
    """--audit; refused ones with the reason, and whether the author's name is certain."""
    entries = [
        pb.AuditEntry(
            id=2,
            time=TIME,
            action="AddRoute",
            target="route :1 a",
            author="ann",
            outcome="refused",
            detail="backend: no port",
        ),
        pb.AuditEntry(
            id=1,
            time=TIME,
            action="RevertEdit",
            author="bob",
            verified=True,
            reason="done",
            outcome="accepted",
            request_json='{"all": true}',
        ),
    ]
    admin.answers["ListAudit"] = pb.ListAuditResponse(entries=entries)
    assert ctl("history", "--audit").stdout.splitlines() == [
        "NUMBER  TIME                  OUTCOME   ACTION      TARGET      AUTHOR          REASON  DETAIL",
        "     2  2023-11-14 22:13:20Z  refused   AddRoute    route :1 a  ann             -       backend: no port",
        "     1  2023-11-14 22:13:20Z  accepted  RevertEdit  -           bob (verified)  done    -",
    ]
    listed = json.loads(ctl("history", "--audit", "--json").stdout)
    assert [(entry["verified"], entry["request"]) for entry in listed] == [(False, None), (True, {"all": True})]


def test_only_one_list_at_a_time(admin: CannedAdmin, ctl: Ctl) -> None:
    """Two are wrong usage."""
    assert ctl("history", "--edits", "--audit").status == 2
    assert ctl("history", "--limit", "0").status == 2
    assert admin.requests == []


def test_one_generation(admin: CannedAdmin, ctl: Ctl) -> None:
    """For people how it came to be, for machines its state and plan too."""
    answer = pb.GetRevisionResponse(
        revision=REVISIONS[0], plan=["+ route :1 a -> b:2"], state_json='{"routes": []}', plan_json='{"operations": []}'
    )
    admin.answers["GetRevision"] = answer
    assert ctl("show", "17").stdout.splitlines() == [
        "generation   17",
        "time         2023-11-14 22:13:20Z",
        "origin       api",
        "author       ann",
        f"file sha256  {'0123456789abcdef' * 4}",
        "summary      1 added",
        "",
        "+ route :1 a -> b:2",
    ]
    assert admin.request("GetRevision").generation == 17
    assert json.loads(ctl("show", "17", "--json").stdout) == {
        "revision": api.to_builtins(REVISIONS[0]),
        "plan": {"operations": [], "lines": ["+ route :1 a -> b:2"]},
        "state": {"routes": []},
    }

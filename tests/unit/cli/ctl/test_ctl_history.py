"""`mcproxyctl history` and `show`."""

import json
import re
from typing import Any

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
            "label": "",
        },
        {
            "generation": 9,
            "time": "2023-11-14T22:13:20Z",
            "origin": "start",
            "author": "",
            "file_sha256": "",
            "summary": "no changes",
            "label": "",
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


def test_labels_are_shown_where_there_are_any(admin: CannedAdmin, ctl: Ctl) -> None:
    """In a column of their own."""
    labelled = pb.Revision(
        generation=18, time=TIME, origin="file", summary="route :1 a: backend changed", label="3fa9c1d Move"
    )
    admin.answers["ListRevisions"] = pb.ListRevisionsResponse(revisions=[labelled, REVISIONS[1]])
    assert ctl("history").stdout.splitlines() == [
        "GENERATION  TIME                  ORIGIN  AUTHOR  FILE SHA256  LABEL         SUMMARY",
        "        18  2023-11-14 22:13:20Z  file    -       -            3fa9c1d Move  route :1 a: backend changed",
        "         9  2023-11-14 22:13:20Z  start   -       -            -             no changes",
    ]


def test_the_history_of_one_resource(admin: CannedAdmin, ctl: Ctl) -> None:
    """And from when on it is complete."""
    admin.answers["ListRevisions"] = pb.ListRevisionsResponse(revisions=REVISIONS[:1], since=5)
    assert ctl("history", "--resource", "route", ":1", "a").stdout.splitlines() == [
        "GENERATION  TIME                  ORIGIN  AUTHOR  SUMMARY",
        "        17  2023-11-14 22:13:20Z  api     ann     1 added",
        "",
        "what was before generation 5 is not kept",
    ]
    asked = admin.request("ListRevisions")
    assert (asked.kind, list(asked.key), asked.limit) == ("route", [":1", "a"], 20)
    told = json.loads(ctl("history", "--resource", "route", ":1", "a", "--json").stdout)
    assert (told["since"], [one["generation"] for one in told["revisions"]]) == (5, [17])
    count = len(admin.requests)
    assert ctl("history", ":1", "a").status == 2
    assert ctl("history", "--edits", "--resource", "route", ":1", "a").status == 2
    assert len(admin.requests) == count


def by(generation: int, origin: str, **more: Any) -> pb.ResourceChange:
    return pb.ResourceChange(generation=generation, origin=origin, time=TIME, **more)


def test_blame(admin: CannedAdmin, ctl: Ctl) -> None:
    """What gave something back is followed by where that came from; what is not kept is said."""
    answer = pb.BlameResponse(
        generation=9,
        target="route :1 a",
        since=3,
        keys=[
            pb.BlamedKey(
                name="backend",
                value_json='"10.0.0.1:443"',
                by=by(7, "rollback", author="ann", place="edit 4 by ann"),
                restored=True,
                original=by(4, "file", place="/etc/mc-proxy.toml:17", label="3fa9c1d Move"),
            ),
            pb.BlamedKey(name="use", value_json='["a","b"]', by=by(6, "api", unkept_since=5)),
            pb.BlamedKey(name="mode", value_json='"l7"'),
        ],
    )
    admin.answers["Blame"] = answer
    at = "2023-11-14 22:13:20Z"
    rows = [re.split(" {2,}", line.strip()) for line in ctl("blame", "route", ":1", "a").stdout.splitlines()]
    assert rows == [
        ["KEY", "VALUE", "GENERATION", "TIME", "ORIGIN", "AUTHOR", "PLACE", "LABEL"],
        ["backend", "10.0.0.1:443", "7", at, "rollback", "ann", "edit 4 by ann", "-"],
        ["given back, from", "4", at, "file", "-", "mc-proxy.toml:17", "3fa9c1d Move"],
        ["use", '["a","b"]', "5 to 6", at, "api", "-", "-", "-"],
        ["mode", "l7", "-", "-", "before generation 3, not kept", "-", "-", "-"],
    ]
    assert json.loads(ctl("blame", "route", ":1", "a", "--json").stdout)["keys"][1]["value"] == ["a", "b"]
    asked = admin.request("Blame")
    assert (asked.kind, list(asked.key)) == ("route", [":1", "a"])
    admin.answers["Blame"] = pb.BlameResponse(removed=True, since=3, removed_by=by(8, "file", label="Gone"))
    assert "removed  -               8" in ctl("blame", "route", ":1", "b").stdout
    admin.answers["Blame"] = pb.BlameResponse(removed=True, since=0)
    assert "not kept" in ctl("blame", "route", ":1", "b").stdout
    there = pb.BlamedKey(value_json="null", by=by(3, "guard"), restored=True, original=by(1, "start"))
    admin.answers["Blame"] = pb.BlameResponse(keys=[there])
    _, added, original = ctl("blame", "endpoint", "u", "10.0.0.1:1").stdout.splitlines()
    assert added.split()[:3] == ["added", "-", "3"]
    assert "given back, from" in original


def test_diff(admin: CannedAdmin, ctl: Ctl) -> None:
    """Both ends, then what differs; by numbers or times."""
    ends = {"from": REVISIONS[1], "to": REVISIONS[0]}
    admin.answers["DiffGenerations"] = pb.DiffGenerationsResponse(
        **ends, summary="1 added", lines=["+ route :1 a -> b:2"], json='{"summary": "1 added"}'
    )
    assert ctl("diff", "9", "17").stdout.splitlines() == [
        "from  generation 9  2023-11-14 22:13:20Z  start",
        "to    generation 17  2023-11-14 22:13:20Z  api",
        "",
        "+ route :1 a -> b:2",
        "1 added",
    ]
    asked = admin.request("DiffGenerations")
    assert (getattr(asked, "from").generation, asked.to.generation) == (9, 17)
    told = json.loads(ctl("diff", "2026-11-20 14:02", "--json").stdout)
    assert (told["from"]["generation"], told["lines"]) == (9, ["+ route :1 a -> b:2"])
    asked = admin.request("DiffGenerations")
    assert (getattr(asked, "from").time.seconds, asked.HasField("to")) == (1_795_183_320, False)
    assert ctl("diff", "soon").status == 2


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
        "label        -",
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

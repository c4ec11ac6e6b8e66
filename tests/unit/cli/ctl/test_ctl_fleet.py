"""`mcproxyctl fleet`."""

import json
import re
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from mcproxy._pb import admin_pb2 as pb
from tests.support.canned_admin import CannedAdmin, Refusal
from tests.support.ctl import Ctl
from tests.support.rows import each_row

MAIN = 'include = ["conf.d/*.toml"]\n[[listeners]]\naddr = ":443"\n'


def document(revision: int, **fields: Any) -> pb.FleetDocument:
    found = pb.FleetDocument(revision=revision, hash=f"{revision:064x}", author="ops-1", **fields)
    found.pushed.FromSeconds(int(time.time()) - 3 * 86_400)
    return found


def fleet(revision: int, *nodes: pb.FleetNode, **fields: Any) -> pb.GetFleetResponse:
    return pb.GetFleetResponse(
        node="edge-1",
        store=["10.0.0.11:2379", "10.0.0.12:2379"],
        prefix="/mcproxy",
        connected=True,
        document=document(revision) if revision else None,
        nodes=nodes,
        **fields,
    )


def node(name: str, revision: int, **fields: Any) -> pb.FleetNode:
    return pb.FleetNode(name=name, revision=revision, generation=3, **fields)


@pytest.fixture
def config() -> Path:
    """Write a main file that includes two, one of them a backup, beside which lies another."""
    Path("conf.d").mkdir()
    Path("conf.d/shop.toml").write_text("# shop \u00e9\n", encoding="utf-8")
    Path("conf.d/shop.toml~").write_text("# old\n")
    Path("other.toml").write_text("# nobody's\n")
    Path("main.toml").write_text(MAIN)
    return Path("main.toml")


PLANNED = pb.PlanFleetResponse(
    summary="1 added", lines=["+ route :443 a"], json='{"summary": "1 added"}', warnings=["main.toml:1:1: warning: x"]
)
PUSHED = pb.PushFleetResponse(summary="1 added", lines=["+ route :443 a"], document=document(42, label="3fa9"))


class TestDiff:
    def test_a_file_and_what_it_includes(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """Files go with names that are the same on all machines; the answer is a plan, and what it was compared with."""
        admin.answers["PlanFleet"] = [
            pb.PlanFleetResponse(**_fields(PLANNED), document=document(41)),
            pb.PlanFleetResponse(**_fields(PLANNED)),
        ]
        result = ctl("fleet", "diff", "main.toml")
        request = admin.request("PlanFleet")
        assert [(file.name, file.text) for file in request.files] == [
            ("main.toml", MAIN),
            ("conf.d/shop.toml", "# shop \u00e9\n"),
        ]
        assert (result.status, result.stderr) == (0, "main.toml:1:1: warning: x\n")
        assert result.stdout == (
            "+ route :443 a\n1 added\n"
            "revision 41 (ops-1, 3d ago) is the fleet's; to push over exactly that: fleet push --over 41\n"
        )
        assert "nothing was pushed to the fleet yet" in ctl("fleet", "diff", "main.toml").stdout

    def test_the_exit_status_tells_of_differences_when_it_is_asked(
        self, admin: CannedAdmin, ctl: Ctl, config: Path
    ) -> None:
        """3 unless the files are the fleet's."""
        same = pb.PlanFleetResponse(summary="no changes", json="{}", document=document(41), same=True)
        admin.answers["PlanFleet"] = [PLANNED, same]
        assert ctl("fleet", "diff", "main.toml", "--exit-code").status == 3
        assert ctl("fleet", "diff", "main.toml", "--exit-code").status == 0

    def test_json(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """What the plan says, and what it was compared with."""
        admin.answers["PlanFleet"] = pb.PlanFleetResponse(**_fields(PLANNED), document=document(41))
        told = json.loads(ctl("fleet", "diff", "main.toml", "--json").stdout)
        assert (told["summary"], told["lines"], told["same"]) == ("1 added", ["+ route :443 a"], False)
        assert told["document"]["revision"] == 41

    def test_mistakes_are_told_with_their_places(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """As validation does, with the paths of this machine; what has no place is about the main file."""
        wrong = [
            ("files.listeners[0].addr", "main.toml:3:8: no port"),
            ("files", "conf.d/shop.toml:9:1: is no TOML"),
            ("", "and 7 more"),
        ]
        admin.answers["PlanFleet"] = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "2 problems", wrong)
        config.rename("conf.d/../mc.toml")
        Path("mc.toml").rename("main.toml")
        result = ctl("fleet", "diff", "./main.toml")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr == (
            "main.toml:3:8: error: listeners[0].addr: no port\nconf.d/shop.toml:9:1: error: is no TOML\nmain.toml: error: and 7 more\n"
        )


@each_row(
    ("text", "wrong"),
    [
        ('include = ["../other/*.toml", "/etc/hostname"]\n', "is not below"),
        ('include = ["missing.toml"]\n', "there is no file"),
        (b"\xff", "is not UTF-8 text"),
        (None, "can't be read: No such file"),
    ],
)
def test_files_that_can_not_be_pushed(ctl: Ctl, text: str | bytes | None, wrong: str) -> None:
    """The reason, and no server is asked: there is none."""
    path = Path("wrong.toml")
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in ("diff", "push"):
        result = ctl("fleet", command, "wrong.toml")
        assert (result.status, result.stdout) == (1, "")
        assert wrong in result.stderr


class TestPush:
    def test_it_is_over_what_was_looked_at(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """Done when it is live on every node that is there."""
        admin.answers["PlanFleet"] = pb.PlanFleetResponse(**_fields(PLANNED), document=document(41))
        admin.answers["PushFleet"] = PUSHED
        admin.answers["GetFleet"] = [
            fleet(42, node("edge-1", 41), node("edge-2", 42)),
            fleet(42, node("edge-1", 42), node("edge-2", 42)),
        ]
        result = ctl("fleet", "push", "main.toml", "--label", "3fa9", "--author", "ops-1")
        request = admin.request("PushFleet")
        assert (request.over, request.label, request.author, len(request.files)) == (41, "3fa9", "ops-1", 2)
        assert not request.HasField("canary")
        assert (result.status, result.stderr) == (0, "")
        assert result.stdout == (
            "+ route :443 a\n1 added\npushed revision 42 (ops-1, 3d ago, 3fa9)\nrevision 42 is live on 2 nodes\n"
        )

    def test_a_revision_that_was_looked_at_before(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """``--over`` asks for no other plan, and the refusal of the server is told as it stands."""
        why = "someone pushed revision 41 (ops-1, 3d ago) since you looked"
        admin.answers["PushFleet"] = Refusal(grpc.StatusCode.ABORTED, why)
        result = ctl("fleet", "push", "main.toml", "--over", "0")
        assert admin.request("PushFleet").over == 0
        assert admin.request("PushFleet").HasField("over")
        assert (result.status, result.stdout, result.stderr) == (1, "", f"mcproxyctl: {why}\n")
        assert [name for name, _ in admin.requests] == ["PushFleet"]

    def test_the_same_files_again(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """Nothing is pushed, so CI may repeat itself; but nodes are waited for."""
        admin.answers["PlanFleet"] = pb.PlanFleetResponse(json="{}", document=document(41), same=True)
        admin.answers["GetFleet"] = [fleet(41, node("edge-1", 40)), fleet(41, node("edge-1", 41))]
        result = ctl("fleet", "push", "main.toml")
        assert result.status == 0
        assert result.stdout == (
            "nothing to push: these are the files of revision 41 (ops-1, 3d ago)\nrevision 41 is live on 1 node\n"
        )
        assert "PushFleet" not in dict(admin.requests)

    def test_nodes_that_can_not_make_it_live(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """Status 1, with what each of them says."""
        admin.answers["PushFleet"] = PUSHED
        admin.answers["GetFleet"] = fleet(42, node("edge-1", 42), node("edge-2", 41, error="no such file: a.pem"))
        result = ctl("fleet", "push", "main.toml", "--over", "41")
        assert (result.status, result.stderr) == (1, "edge-2: error: no such file: a.pem\n")
        assert ctl("fleet", "push", "main.toml", "--over", "41", "--detach").status == 0

    def test_a_canary_that_is_returned(self, admin: CannedAdmin, ctl: Ctl, config: Path) -> None:
        """How it goes is told step by step, and why it ended."""
        rollout = pb.FleetRollout(document=document(42), canaries=["edge-2"], steps=["1", "100%"], driver="edge-1")
        admin.answers["PushFleet"] = pb.PushFleetResponse(document=document(42), canaries=["edge-2"])
        admin.answers["GetFleet"] = [
            fleet(41, node("edge-1", 41), node("edge-2", 42, progress="watching"), rollout=rollout),
            fleet(41, node("edge-1", 41), node("edge-2", 41)),
        ]
        admin.answers["ListFleetHistory"] = pb.ListFleetHistoryResponse(
            past=[pb.FleetPast(document=document(42), fate="returned", why="edge-2: 31 of 50 requests fail")]
        )
        words = (
            "--canary",
            "edge-2",
            "--steps",
            "1,100%",
            "--watch",
            "90s",
            "--max-errors",
            "2%",
            "--min-requests",
            "7",
        )
        result = ctl("fleet", "push", "main.toml", "--over", "41", *words)
        canary = admin.request("PushFleet").canary
        assert (list(canary.nodes), list(canary.steps), canary.watch.seconds) == (["edge-2"], ["1", "100%"], 90)
        assert (canary.max_errors, canary.min_requests) == (0.02, 7)
        assert result.status == 1
        assert "step 1 of 2: edge-2: canary, watching\n" in result.stdout
        assert result.stderr == "revision 42 was returned: edge-2: 31 of 50 requests fail\n"


@each_row(
    ("words", "nodes", "steps"),
    [
        (("--canary", "1"), [], ["1"]),
        (("--canary", "25%"), [], ["25%"]),
        (("--canary", "2", "--steps", "50%,100%"), [], ["2", "50%", "100%"]),
        (("--canary", "1", "--steps", "1,25%"), [], ["1", "25%"]),
        (("--canary", "a, b"), ["a", "b"], []),
        (("--steps", "1, 100%"), [], ["1", "100%"]),
    ],
)
def test_how_canaries_are_named(
    admin: CannedAdmin, ctl: Ctl, words: tuple[str, ...], nodes: list[str], steps: list[str]
) -> None:
    """By number, share or name; what is not said is the server's to choose."""
    Path("main.toml").write_text("")
    admin.answers["PushFleet"] = PUSHED
    assert ctl("fleet", "push", "main.toml", "--over", "41", "--detach", *words).status == 0
    canary = admin.request("PushFleet").canary
    assert (list(canary.nodes), list(canary.steps)) == (nodes, steps)
    assert not canary.HasField("watch")
    assert not canary.HasField("max_errors")
    assert not canary.HasField("min_requests")


@each_row(
    ("words", "wrong"),
    [
        (("--watch", "60s"), "say --canary or --steps, too"),
        (("--canary", "1", "--max-errors", "many"), "a share of requests is meant"),
        (("--canary", "1", "--max-errors", "200%"), "a share of requests is meant"),
        (("--canary", "1", "--watch", "soon"), "--watch"),
    ],
)
def test_wrong_usage(ctl: Ctl, words: tuple[str, ...], wrong: str) -> None:
    """Status 2, before anything is read."""
    result = ctl("fleet", "push", "missing.toml", *words)
    assert result.status == 2
    assert wrong in result.stderr


class TestStatus:
    def test_nodes(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Each with what it does about the fleet's document; a clock that differs is told."""
        later = node("edge-3", 40, local_edits=2)
        later.ahead.FromSeconds(-31)
        admin.answers["GetFleet"] = fleet(
            41, node("edge-1", 41), node("edge-2", 40, error="port 443 is in use"), later, node("edge-4", 0), edits=2
        )
        result = ctl("fleet", "-o", "wide")
        assert result.status == 0
        lines = [re.split(r"  +", line) for line in result.stdout.splitlines()]
        assert ["store", "10.0.0.11:2379, 10.0.0.12:2379 at /mcproxy"] in lines
        assert ["document", "revision 41 (ops-1, 3d ago)"] in lines
        assert ["nodes", "4 nodes, 1 live"] in lines
        assert ["edits", "2 runtime edits of all nodes; drift shows them"] in lines
        states = {line[0]: line[1] for line in lines if line[0].startswith("edge-")}
        assert states == {
            "edge-1": "live",
            "edge-2": "error: port 443 is in use",
            "edge-3": "behind",
            "edge-4": "waiting",
        }
        assert next(line for line in lines if line[0] == "edge-3")[-1] == "-31 s"

    def test_a_store_that_is_away(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Since when, and why."""
        answer = pb.GetFleetResponse(node="edge-1", store=["a:1"], why_away="a:1: connection refused")
        answer.away_since.FromSeconds(1)
        admin.answers["GetFleet"] = answer
        result = ctl("fleet", "status")
        assert "AWAY since 1970-01-01 00:00:01Z: a:1: connection refused" in result.stdout
        assert "none was pushed yet" in result.stdout

    def test_a_server_without_a_fleet(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Its words."""
        admin.answers["GetFleet"] = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "this server is no node of a fleet")
        result = ctl("fleet")
        assert (result.status, result.stderr) == (1, "mcproxyctl: this server is no node of a fleet\n")


def test_history(admin: CannedAdmin, ctl: Ctl) -> None:
    """What became of each push."""
    admin.answers["ListFleetHistory"] = pb.ListFleetHistoryResponse(
        past=[
            pb.FleetPast(document=document(42, label="3fa9"), fate="returned", why="edge-2 is away"),
            pb.FleetPast(document=document(41), fate="live"),
        ]
    )
    result = ctl("fleet", "history", "--limit", "2")
    assert admin.request("ListFleetHistory").limit == 2
    header, *rows = (re.split(r"  +", line.strip()) for line in result.stdout.splitlines())
    assert [(row[0], row[header.index("LABEL")], row[-1]) for row in rows] == [
        ("42", "3fa9", "returned: edge-2 is away"),
        ("41", "-", "live"),
    ]


def test_abort(admin: CannedAdmin, ctl: Ctl) -> None:
    """Who ended it is told the server."""
    admin.answers["AbortRollout"] = pb.AbortRolloutResponse(document=document(42))
    result = ctl("fleet", "abort", "--author", "ops-2")
    assert admin.request("AbortRollout").author == "ops-2"
    assert result.stdout == "ended: the rollout of revision 42 (ops-1, 3d ago); its canaries return\n"


def _fields(answer: pb.PlanFleetResponse) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in ("summary", "lines", "json", "warnings")}

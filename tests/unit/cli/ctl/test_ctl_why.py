"""Why a request or connection was refused, as `mcproxyctl` tells it."""

import json

import pytest

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl


def memory(pid: int, *, answered: bool = True, full: bool = False) -> pb.WorkerMemory:
    worker = pb.WorkerMemory(pid=pid, answered=answered, kept=1000 if full else 1)
    worker.began.FromJsonString("2026-11-28T12:00:00Z")
    worker.since.FromJsonString("2026-11-28T12:30:00Z" if full else "2026-11-28T12:00:00Z")
    return worker


def refusal(**fields: object) -> pb.Refusal:
    one = pb.Refusal(
        listener=":443",
        client="203.0.113.7:58536",
        generation=41,
        reason="filter_network",
        meaning="A filter blocks the client's network.",
        advice="Ask for another one.",
        worker_pid=101,
        decided=pb.Step(
            step="allow", outcome="refused", detail="none of allow_cidrs", decided_by="/etc/mc-proxy.toml:11"
        ),
        passed=[pb.Step(step="listener", outcome="ok", detail=":443 accepts 203.0.113.7", decided_by="edit 7")],
    )
    one.time.FromJsonString("2026-11-28T12:41:28Z")
    one.MergeFrom(pb.Refusal(**fields))  # type: ignore[arg-type]
    return one


def test_the_step_that_decided_stands_first(admin: CannedAdmin, ctl: Ctl) -> None:
    """Then those before it; of a request with all that is known of it, of a connection with its name."""
    asked = refusal(
        method="GET",
        authority="a.test",
        path="/x",
        status=403,
        id="5f2a9c03d1e84b77",
        route="a.test",
        case="/x/*",
        filter="office",
        told_by="generation 50, which is live: generation 41 is not in the history",
    )
    admin.answers["Why"] = answer = pb.WhyResponse(refusals=[asked, refusal(sni="b.test")], workers=[memory(101)])
    first, second = ctl("why", "--ip", "203.0.113.7", "--last", "2").stdout.split("\n\n")
    assert first.splitlines() == [
        "2026-11-28 12:41:28Z  203.0.113.7:58536  GET a.test/x  403 filter_network",
        ":443, route a.test, case /x/*, filter office, request id 5f2a9c03d1e84b77, generation 41, worker 101",
        "A filter blocks the client's network. Ask for another one.",
        "STEP      OUTCOME  WHY                       DECIDED BY",
        "allow     refused  none of allow_cidrs       mc-proxy.toml:11",
        "listener  ok       :443 accepts 203.0.113.7  edit 7",
        "Lines and steps are those of generation 50, which is live: generation 41 is not in the history.",
    ]
    assert second.startswith("2026-11-28 12:41:28Z  203.0.113.7:58536  b.test  reset filter_network\n")
    request = admin.request("Why")
    assert (request.id, request.ip, request.last) == ("", "203.0.113.7", 2)
    assert json.loads(ctl("why", "5f2a9c03d1e84b77", "--json").stdout) == api.to_builtins(answer)
    assert admin.request("Why").id == "5f2a9c03d1e84b77"


def test_nothing_is_kept_of_it(admin: CannedAdmin, ctl_run: Ctl) -> None:
    """Then it is told who was asked, and since when each knows; status 1."""
    workers = [memory(101), memory(102, full=True), memory(103, answered=False)]
    admin.answers["Why"] = pb.WhyResponse(workers=workers)
    result = ctl_run("--addr", admin.addr, "why", "5f2a9c03d1e84b77")
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "mcproxyctl: nothing is kept of the request 5f2a9c03d1e84b77: it was not refused, or that is longer ago.",
        "mcproxyctl: worker 101, which began at 2026-11-28 12:00:00Z, has kept 1 refusal",
        "mcproxyctl: worker 102, which began at 2026-11-28 12:00:00Z, has kept 1000 refusals, the oldest of 2026-11-28 12:30:00Z",
        "mcproxyctl: worker 103 does not answer",
    ]


@pytest.mark.parametrize("words", [(), ("5f2a", "--ip", "192.0.2.1")])
def test_one_thing_is_asked(ctl_run: Ctl, words: tuple[str, ...]) -> None:
    assert ctl_run("why", *words).status == 2

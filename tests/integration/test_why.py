"""Every reason for which a client is turned away, provoked by real clients, is told by `why`: with its step, and the line that decides it."""

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import Client
from mcproxy.model.values.reasons import REASONS
from mcproxy.worker.requests.refusals import UNTOLD
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.l4 import serve, wait_for
from tests.support.refused_clients import FURTHER, ROWS, Stage
from tests.support.refusing_site import DEALS, config, h2_reset, no_streams, tls_server
from tests.support.scripted import Scripted, endless

pytestmark = pytest.mark.both_data_paths

UNPROVOKED = {
    "failed": "an error of mcproxy itself",
    "no_resources": "descriptors of the machine run out: what is accepted then has no client that could ask",
    "truncated": "a session whose client ends amid a request ends as client_reset; the word is the parser's",
    "unsent_bytes": "nothing is begun from half of it on, so a client alone gets there by what is under way; see test_unread_memory",
}
"""Reasons that no client provokes here, and why."""


@pytest.fixture(scope="module")
def stage(certs: Certificates) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-")))
        kinds = {**DEALS, "h2_reset": h2_reset, "no_streams": no_streams, "certificate": tls_server(certs)}
        kinds |= dict.fromkeys(("late", "waits", "busy", "held"), DEALS["silent"]) | {"stalled": endless}
        ports = {name: stack.enter_context(Scripted(deal)).port for name, deal in kinds.items()}
        yield Stage(stack.enter_context(serve(config(folder, certs, ports, stack))))


@pytest.fixture(scope="module")
def told(stage: Stage) -> Mapping[str, pb.Refusal | BaseException]:
    """Provoke all, some at a time, each from an address of its own; return what is told of each."""
    rows = {**ROWS, **FURTHER}
    sources = {name: row.source or f"127.10.0.{number}" for number, (name, row) in enumerate(rows.items(), 1)}

    def run(name: str) -> pb.Refusal | BaseException:
        row, source = rows[name], sources[name]
        try:
            row.provoke(stage, source)
            found = find(stage.admin, row.told or source, row.reason or name)
            assert found.id == stage.ids.get(source, found.id)
        except BaseException as error:  # noqa: BLE001 - of one row; the others are to be told of
            return error
        return found

    with ThreadPoolExecutor(32) as pool:
        return dict(zip(rows, pool.map(run, rows), strict=True))


def find(admin: Client, source: str, reason: str) -> pb.Refusal:
    """Return what is told of a client, once it is there for the expected reason."""
    found: list[pb.Refusal] = []

    def is_told() -> bool:
        every = admin.why(ip=source, last=100).refusals
        found[:] = [each for each in every if each.reason == reason]
        return bool(found)

    try:
        wait_for(is_told)
    except AssertionError:
        every = [(each.reason, each.detail) for each in admin.why(ip=source, last=100).refusals]
        raise AssertionError(f"{reason} at {source} was told {every}") from None
    return found[0]


def test_every_reason_is_provoked() -> None:
    """But those of which it is said why not, and those of connections and requests that were served."""
    assert ROWS.keys() | UNPROVOKED.keys() | UNTOLD == REASONS.keys()
    assert not ROWS.keys() & (UNPROVOKED.keys() | UNTOLD)


@pytest.mark.parametrize("name", [*ROWS, *FURTHER])
def test_what_is_told(stage: Stage, told: Mapping[str, pb.Refusal | BaseException], name: str) -> None:
    """The step and the line that decided it; of requests that had an answer, by their ids too."""
    row, refusal = {**ROWS, **FURTHER}[name], told[name]
    if isinstance(refusal, BaseException):
        raise refusal
    lines = stage.edge.config.read_text(encoding="utf-8").splitlines()
    where = re.fullmatch(r".*mc-proxy\.toml:(\d+)", refusal.decided.decided_by)
    line = lines[int(where[1]) - 1] if where else refusal.decided.decided_by.partition(" ")[0]
    assert (refusal.decided.step, line.rpartition("#>")[2]) == (row.step, row.line)
    assert refusal.decided.outcome == "refused"
    assert all(step.outcome == "ok" for step in refusal.passed)
    assert not refusal.told_by
    if refusal.status and refusal.id:
        (same,) = stage.admin.why(refusal.id).refusals
        assert same == refusal


def test_it_is_kept_over_reloads_and_told_by_the_generation_of_then(stage: Stage, told: object) -> None:
    """Lines are those of the file as it was; a request that is not refused is told of by nobody."""
    assert told
    source = "127.10.9.1"
    head = stage.ask(source, "office.test")
    assert head.startswith("http/1.1 403")
    stage.ask(source, "ok.test")
    before = stage.admin.why(stage.ids[source])
    (refusal,) = before.refusals
    generation = stage.admin.get_status().generation
    text = stage.edge.config.read_text(encoding="utf-8")
    marks = len(text[: text.index("[filters.office]")].splitlines())
    stage.edge.config.write_text(text.replace("[filters.office]", "\n\n[filters.office]"), encoding="utf-8")
    stage.admin.reload()
    stage.admin.put_resource("filter", ["office"], {"allow_cidrs": ["127.0.0.0/8"]})
    assert stage.admin.get_status().generation > generation
    assert stage.ask(source, "office.test").startswith("http/1.1 200")
    after = stage.admin.why(stage.ids[source])
    assert after.refusals[0] == refusal
    assert refusal.decided.decided_by.endswith(f"mc-proxy.toml:{marks + 2}")
    assert [worker.answered for worker in after.workers] == [True, True]
    assert [each.reason for each in stage.admin.why(ip=source).refusals] == ["filter_network"]


def test_it_goes_with_the_worker(stage: Stage, told: object) -> None:
    """Then those are named that were asked, and since when they know; `why` ends with status 1."""
    assert told
    source = "127.10.9.2"
    stage.ask(source, "nowhere.test")
    (refusal,) = stage.admin.why(stage.ids[source]).refusals
    (worker,) = (each for each in stage.edge.workers() if each.pid == refusal.worker_pid)
    since = {each.pid: each.began.ToJsonString() for each in stage.admin.why(ip=source).workers}
    worker.kill()
    worker.wait()

    def is_replaced() -> bool:
        workers = stage.admin.why(stage.ids[source]).workers
        return len(workers) == 2 and all(each.answered and each.pid != refusal.worker_pid for each in workers)

    wait_for(is_replaced)
    answer = stage.admin.why(stage.ids[source])
    assert not answer.refusals
    assert sum(since.get(each.pid) == each.began.ToJsonString() for each in answer.workers) == 1
    result = run_ctl("--addr", f"unix:{stage.edge.folder / 'mc-proxy.sock'}", "why", stage.ids[source])
    assert (result.status, result.stdout) == (1, "")
    assert all(f"worker {each.pid}, which began at " in result.stderr for each in answer.workers)

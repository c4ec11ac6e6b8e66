"""`mcproxyctl status`: how the server is, and what there is to be done about it, which `top` tells too."""

import time
from collections.abc import Mapping

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import count, print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.show.lists import print_listeners
from mcproxy.cli.ctl.show.upstreams import condition
from mcproxy.cli.ctl.text import age, counts, moment

_NEWS = 3600  # seconds for which it is told that something was undone
_LISTENERS = 5  # that are named for what they refused


def status(server: Server) -> int:
    """Print how the server is."""
    with server.client() as client:
        answer = client.get_status()
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    print_table(("", ""), _rows(answer), header=False)
    if answer.listeners:
        print()
        print_listeners(answer.listeners, wide=server.wide)
    return OK


def troubles(answer: pb.GetStatusResponse, *, routes: bool = True) -> list[tuple[str, str]]:
    """Return names and values of what is not well, or was not in the last 5 minutes; of routes that fail if ``routes``."""
    reload = answer.last_reload
    behind = [str(one.pid) for one in answer.workers if not one.draining and one.generation != answer.generation]
    return [
        *([("last reload", f"FAILED, {moment(reload.time)}")] if _reload_failed(answer) else []),
        *(("", problem) for problem in reload.problems),
        *(
            [("tests", f"{count(len(reload.failing_tests), 'test')} of what is served FAIL")]
            if reload.failing_tests
            else []
        ),
        *(("", problem) for problem in reload.failing_tests),
        *((("", f"tried {count(reload.tries, 'time')}, again at {moment(reload.next_try)}"),) if reload.tries else ()),
        *(("broken file", _broken_file(one)) for one in answer.broken_files),
        *(_failing(answer) if routes else ()),
        *_withdrawn(answer),
        *_fleet_troubles(answer),
        *((one.condition.upper(), f"upstream {condition(one)}") for one in answer.troubled_upstreams),
        *_more_troubled(answer),
        *_failing_certificates(answer),
        *(("expires", _expiring(one)) for one in answer.expiring_certificates),
        *([("behind", f"at an earlier generation: pid {', '.join(behind)}")] if behind else []),
        *_refused(answer),
    ]


def _rows(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    """Return names and values, those that ask for something to be done included."""
    serving = [str(worker.pid) for worker in answer.workers if not worker.draining]
    draining = [str(worker.pid) for worker in answer.workers if worker.draining]
    rows = [
        ("version", f"mcproxy {answer.version}"),
        ("running", f"{age(time.time() - answer.started.seconds)}, since {moment(answer.started)}, pid {answer.pid}"),
        ("config", answer.config_path),
        ("generation", f"{answer.generation}  {answer.label}" if answer.label else str(answer.generation)),
    ]
    if not _reload_failed(answer):
        rows.append(("last reload", f"succeeded, {moment(answer.last_reload.time)}"))
    rows += troubles(answer)
    rows += [("guard", _watched(one)) for one in answer.guards]
    rows.append(("workers", f"{len(serving)} (pid {', '.join(serving)})" if serving else "none"))
    if draining:
        rows.append(("draining", f"{len(draining)} (pid {', '.join(draining)})"))
    if answer.worker_restarts:
        rows.append(("restarts", f"{count(answer.worker_restarts, 'worker')} replaced after a crash or hang"))
    if answer.data_path:
        rows.append(("data path", f"{answer.data_path}: {answer.data_path_reason}".removesuffix(": ")))
    if answer.HasField("fleet"):
        rows.append(("fleet", _fleet(answer.fleet)))
    rows.append(("routes", str(answer.routes)))
    rows.append(
        ("drift", f"{count(answer.drift, 'difference')} from the files: mcproxyctl drift" if answer.drift else "none")
    )
    if answer.confirm_id:
        rows.append(("to confirm", f"mcproxyctl confirm {answer.confirm_id}; undone at {moment(answer.confirm_by)}"))
    rows.append(("database", answer.database.path + (f": {answer.database.error}" if answer.database.error else "")))
    if answer.database.set_aside:
        rows.append(("", f"a damaged one was set aside as {answer.database.set_aside}"))
    if any(answer.limits_hit.values()):
        rows.append(("limits hit", f"{counts(answer.limits_hit)} since the start"))
    return rows


def _reload_failed(answer: pb.GetStatusResponse) -> bool:
    return answer.HasField("last_reload") and not answer.last_reload.succeeded


def _broken_file(one: pb.BrokenFile) -> str:
    where = f"route {one.listener} {one.hostname}: " if one.hostname else ""
    return f"{where}{one.key}: {one.message}; the last good content is served"


def _failing(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    more = answer.failing_routes_total - len(answer.failing_routes)
    hint = [("", f"and {count(more, 'more route')}: mcproxyctl routes list --sort errors")] if more > 0 else []
    return [*(("FAILING", _failing_route(one)) for one in answer.failing_routes), *hint]


def _withdrawn(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    """Return what the guard has undone last, or should have, while that is news or its edits may be in effect."""
    if not answer.HasField("last_guarded"):
        return []
    last = answer.last_guarded
    if not answer.drift and time.time() - last.time.seconds > _NEWS:
        return []
    return [("guard", f"generation {last.generation} {last.detail}, {moment(last.time)}")]


def _fleet(fleet: pb.NodeStatus) -> str:
    label = f" ({fleet.label})" if fleet.label else ""
    document = f"revision {fleet.revision}{label}" if fleet.revision else "no document yet"
    off = f", {fleet.nodes_off} not as {'it' if fleet.nodes_off == 1 else 'they'} should be" if fleet.nodes_off else ""
    tried = (
        f"; revision {fleet.tried_revision} is tried on canaries{', this one too' if fleet.canary else ''}"
        if fleet.tried_revision
        else ""
    )
    return f"node {fleet.node} of {fleet.prefix}: {document}; {count(fleet.nodes, 'node')}{off}{tried}"


def _fleet_troubles(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    """Return what is not well with the fleet; what was taken back counts until the next push."""
    if not answer.HasField("fleet"):
        return []
    fleet = answer.fleet
    rows = [] if fleet.connected else [("FLEET", f"its store is away since {moment(fleet.since)}: {fleet.why}")]
    rows += [("FLEET", problem) for problem in fleet.problems]
    if fleet.returned_revision:
        rows.append(("fleet", f"revision {fleet.returned_revision} was taken back: {fleet.returned_why}"))
    return rows


def _watched(one: pb.GuardWatch) -> str:
    more = one.touched_total - 1
    what = one.touched[0] + (f" and {more} more" if more > 0 else "") if one.touched else "nothing"
    so_far = f"{one.errors} of {one.answered} requests failed so far"
    return f"watches generation {one.generation} until {moment(one.until)}: {what}: {so_far}"


def _more_troubled(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    more = answer.troubled_upstreams_total - len(answer.troubled_upstreams)
    return [("", f"and {count(more, 'more upstream')}: mcproxyctl upstreams list")] if more > 0 else []


def _failing_certificates(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    more = answer.failing_certificates_total - len(answer.failing_certificates)
    hint = [("", f"and {count(more, 'more certificate')}: mcproxyctl certificates list")] if more > 0 else []
    return [*(("certificate", f"{one.name}: {one.summary}") for one in answer.failing_certificates), *hint]


def _failing_route(one: pb.FailingRoute) -> str:
    since = age(time.time() - one.since.seconds)
    return f"route {one.listener} {one.hostname} -> {one.backend}, for {since}, {count(one.errors, 'error')}: {one.last_error}"


def _expiring(one: pb.ExpiringCertificate) -> str:
    left = one.not_after.seconds - time.time()
    when = f"in {age(left)}" if left > 0 else f"EXPIRED {age(-left)} ago"
    return f"certificate of route {one.listener} {one.hostname}: {when}, {moment(one.not_after)}"


def _refused(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    """Return what was refused in the last minutes: by which listeners, those in front that were full, and by which limits."""
    by = {one.addr: one.refused_recently for one in answer.listeners if _total(one.refused_recently)}
    addrs = sorted(by, key=lambda addr: ("limit" not in by[addr], -_total(by[addr]), addr))
    rows = [("refused", f"{addr} in the last 5 minutes: {counts(by[addr])}") for addr in addrs[:_LISTENERS]]
    if len(addrs) > _LISTENERS:
        rows.append(("", f"and {count(len(addrs) - _LISTENERS, 'more listener')}: mcproxyctl listeners list"))
    if _total(answer.limits_hit_recently):
        rows.append(("limits", f"[limits] in the last 5 minutes: {counts(answer.limits_hit_recently)}"))
    return rows


def _total(by_name: Mapping[str, int]) -> int:
    return sum(by_name.values())

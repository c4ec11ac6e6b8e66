"""The state of the server in lines: what runs, and what asks for something to be done."""

import time

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import count, print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.show.lists import print_listeners
from mcproxy.cli.ctl.show.upstreams import condition
from mcproxy.cli.ctl.text import age, counts, moment


def status(server: Server) -> int:
    """Print how the server is."""
    with server.client() as client:
        answer = client.get_status()
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    print_table(("", ""), _status_rows(answer), header=False)
    if answer.listeners:
        print()
        print_listeners(answer.listeners, wide=server.wide)
    return OK


def _status_rows(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    """Return names and values, those that ask for something to be done included."""
    workers = [worker for worker in answer.workers if not worker.draining]
    serving = [str(worker.pid) for worker in workers]
    draining = [str(worker.pid) for worker in answer.workers if worker.draining]
    behind = [str(worker.pid) for worker in workers if worker.generation != answer.generation]
    reload = answer.last_reload
    rows = [
        ("version", f"mcproxy {answer.version}"),
        ("running", f"{age(time.time() - answer.started.seconds)}, since {moment(answer.started)}, pid {answer.pid}"),
        ("config", answer.config_path),
        ("generation", str(answer.generation)),
        ("last reload", f"{'succeeded' if reload.succeeded else 'FAILED'}, {moment(reload.time)}"),
        *(("", problem) for problem in reload.problems),
        *((("", f"tried {count(reload.tries, 'time')}, again at {moment(reload.next_try)}"),) if reload.tries else ()),
        *(("broken file", _broken_file(one)) for one in answer.broken_files),
        *(("FAILING", _failing_route(one)) for one in answer.failing_routes),
        *_more_failing(answer),
        *((one.condition.upper(), f"upstream {condition(one)}") for one in answer.troubled_upstreams),
        *_more_troubled(answer),
        *(("expires", _expiring(one)) for one in answer.expiring_certificates),
        ("workers", f"{len(serving)} (pid {', '.join(serving)})" if serving else "none"),
    ]
    if draining:
        rows.append(("draining", f"{len(draining)} (pid {', '.join(draining)})"))
    if behind:
        rows.append(("behind", f"at an earlier generation: pid {', '.join(behind)}"))
    if answer.worker_restarts:
        rows.append(("restarts", f"{count(answer.worker_restarts, 'worker')} replaced after a crash or hang"))
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
        rows.append(("limits hit", counts(answer.limits_hit)))
    return rows


def _broken_file(one: pb.BrokenFile) -> str:
    where = f"route {one.listener} {one.hostname}: " if one.hostname else ""
    return f"{where}{one.key}: {one.message}; the last good content is served"


def _failing_route(one: pb.FailingRoute) -> str:
    since = age(time.time() - one.since.seconds)
    return f"route {one.listener} {one.hostname} -> {one.backend}, for {since}, {count(one.errors, 'error')}: {one.last_error}"


def _expiring(one: pb.ExpiringCertificate) -> str:
    left = one.not_after.seconds - time.time()
    when = f"in {age(left)}" if left > 0 else f"EXPIRED {age(-left)} ago"
    return f"certificate of route {one.listener} {one.hostname}: {when}, {moment(one.not_after)}"


def _more_failing(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    more = answer.failing_routes_total - len(answer.failing_routes)
    return [("", f"and {count(more, 'more route')}: mcproxyctl routes list --sort errors")] if more > 0 else []


def _more_troubled(answer: pb.GetStatusResponse) -> list[tuple[str, str]]:
    more = answer.troubled_upstreams_total - len(answer.troubled_upstreams)
    return [("", f"and {count(more, 'more upstream')}: mcproxyctl upstreams list")] if more > 0 else []

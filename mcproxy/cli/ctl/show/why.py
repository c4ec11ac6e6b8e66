"""Why a request or connection was refused, as the workers that refused it remember."""

import sys

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import FAILED, OK
from mcproxy.cli.common.output import count, print_json, print_steps
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment, place


def why(server: Server, request_id: str, ip: str, last: int) -> int:
    """Print what was refused, the newest first, each with the step that decided it on top and those that it had passed."""
    with server.client() as client:
        answer = client.why(request_id, ip=ip, last=last)
    if server.as_json:
        print_json(api.to_builtins(answer))
    for number, refusal in enumerate(() if server.as_json else answer.refusals):
        if number:
            print()
        _print(refusal)
    if answer.refusals:
        return OK
    what = f"the request {request_id}" if request_id else f"the client {ip}"
    print(f"mcproxyctl: nothing is kept of {what}: it was not refused, or that is longer ago.", file=sys.stderr)
    for worker in answer.workers:
        print(f"mcproxyctl: {_memory(worker)}", file=sys.stderr)
    return FAILED


def _print(refusal: pb.Refusal) -> None:
    told = str(refusal.status) if refusal.status else "reset"
    asked = " ".join(filter(None, (refusal.method, f"{refusal.authority}{refusal.path}")))
    print(
        f"{moment(refusal.time)}  {refusal.client}  {asked or refusal.sni or 'a connection'}  {told} {refusal.reason}"
    )
    where = [refusal.listener]
    for name, value in (
        *(("route", refusal.route), ("case", refusal.case), ("filter", refusal.filter), ("backend", refusal.endpoint)),
        *(("request id", refusal.id), ("generation", str(refusal.generation)), ("worker", str(refusal.worker_pid))),
    ):
        if value:
            where.append(f"{name} {value}")
    print(", ".join(where))
    print(" ".join(filter(None, (refusal.meaning, refusal.advice))))
    steps = (refusal.decided, *refusal.passed)
    print_steps((step.step, step.outcome, step.detail, place(step.decided_by)) for step in steps)
    if refusal.told_by:
        print(f"Lines and steps are those of {refusal.told_by}.")


def _memory(worker: pb.WorkerMemory) -> str:
    if not worker.answered:
        return f"worker {worker.pid} does not answer"
    began = moment(worker.began)
    since = moment(worker.since)
    lost = "" if since == began else f", the oldest of {since}"
    return f"worker {worker.pid}, which began at {began}, has kept {count(worker.kept, 'refusal')}{lost}"

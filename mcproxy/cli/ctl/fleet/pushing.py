"""`mcproxyctl fleet push`, `diff` and `abort`."""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import DIFFERS, FAILED, OK
from mcproxy.cli.common.output import count, print_json, print_plan
from mcproxy.cli.ctl.fleet.files import collected, local_name
from mcproxy.cli.ctl.fleet.shown import condition, told
from mcproxy.cli.ctl.options import Server
from mcproxy.client import Client, InvalidArgumentError, UnavailableError

_POLL = 0.2  # seconds between looks at the nodes
_PATIENCE = 30.0
"""Seconds in which a push that has no canaries should be live."""

_Answer = TypeVar("_Answer")


class Canary(msgspec.Struct, frozen=True):
    """How a push is tried on some nodes first, as it was typed; see `pb.FleetCanary`.

    Attributes:
        nodes: how many, or names with commas in between; "" for as many as the first step says.
        steps: with commas in between; "" for one.
        watch: in seconds.
        max_errors: a fraction.
        min_requests: a number; of these three None is the server's default.
    """

    nodes: str
    steps: str
    watch: float | None
    max_errors: float | None
    min_requests: int | None

    @property
    def message(self) -> pb.FleetCanary:
        """It, as the server takes it."""
        number = self.nodes.isdecimal() or self.nodes.endswith("%")
        steps = [step.strip() for step in self.steps.split(",")] if self.steps else []
        if number:
            steps = steps if steps and steps[0] == self.nodes else [self.nodes, *steps]
        return pb.FleetCanary(
            nodes=[] if number or not self.nodes else [name.strip() for name in self.nodes.split(",")],
            steps=steps,
            watch=None if self.watch is None else timedelta(seconds=self.watch),
            max_errors=self.max_errors,
            min_requests=self.min_requests,
        )


class Push(msgspec.Struct, frozen=True):
    """What is said of a push; see `Client.push_fleet`.

    Attributes:
        label, author: of it.
        over: the revision that was looked at; None: what is live now.
        canary: how it is tried first; None: not at all.
        allow_shrink: even if it takes away most of what is served.
        wait: until it is live.
    """

    label: str
    author: str
    over: int | None
    canary: Canary | None
    allow_shrink: bool
    wait: bool


def diff(server: Server, file: Path, *, exit_code: bool) -> int:
    """Print what pushing a file would change; the exit status may tell if it is anything."""
    files = collected(file)
    with server.client() as client:
        answer = _judged(file, lambda: client.plan_fleet(files))
    if answer is None:
        return FAILED
    if server.as_json:
        told_document = api.to_builtins(answer.document) if answer.HasField("document") else None
        print_json(
            {
                **msgspec.json.decode(answer.json),
                "lines": list(answer.lines),
                "warnings": list(answer.warnings),
                "document": told_document,
                "same": answer.same,
            }
        )
    else:
        _print(answer.lines, answer.summary, answer.warnings)
        print(_over(answer))
    return DIFFERS if exit_code and not answer.same else OK


def push(server: Server, file: Path, how: Push) -> int:
    """Push a file, and follow it until it is live, or returned."""
    files = collected(file)
    with server.client() as client:
        over = how.over
        if over is None:
            plan = _judged(file, lambda: client.plan_fleet(files))
            if plan is None:
                return FAILED
            over = plan.document.revision
            if plan.same:
                return _same(server, client, plan, wait=how.wait)
        answer = _judged(
            file,
            lambda: client.push_fleet(
                files,
                author=how.author,
                label=how.label,
                over=over,
                canary=None if how.canary is None else how.canary.message,
                allow_shrink=how.allow_shrink,
            ),
        )
        if answer is None:
            return FAILED
        if not server.as_json:
            _print(answer.lines, answer.summary, answer.warnings)
            on = f" on {', '.join(answer.canaries)} first" if answer.canaries else ""
            print(f"pushed {told(answer.document, time.time())}{on}")
        status = _followed(server, client, answer.document.revision) if how.wait else OK
        if server.as_json:
            print_json(
                {**api.to_builtins(answer), "nodes": [api.to_builtins(node) for node in client.get_fleet().nodes]}
            )
    return status


def abort(server: Server, author: str) -> int:
    """End the rollout that is going on."""
    with server.client() as client:
        answer = client.abort_rollout(author)
    if server.as_json:
        print_json(api.to_builtins(answer))
    else:
        print(f"ended: the rollout of {told(answer.document, time.time())}; its canaries return")
    return OK


def _same(server: Server, client: Client, plan: pb.PlanFleetResponse, *, wait: bool) -> int:
    """Tell that the fleet has these files already; nodes may be on their way there."""
    if not server.as_json:
        print(f"nothing to push: these are the files of {told(plan.document, time.time())}")
    status = _followed(server, client, plan.document.revision) if wait else OK
    if server.as_json:
        nodes = [api.to_builtins(node) for node in client.get_fleet().nodes]
        print_json({"document": api.to_builtins(plan.document), "nodes": nodes, "same": True})
    return status


def _judged(file: Path, call: Callable[[], _Answer]) -> _Answer | None:
    """Return the answer; None if the files are wrong, which is told with their places on this machine."""
    try:
        return call()
    except InvalidArgumentError as error:
        if not any(field.partition(".")[0] == "files" for field, _ in error.violations):
            raise
        for field, message in error.violations:
            print(_problem(file, field.removeprefix("files").removeprefix("."), message), file=sys.stderr)
        return None


def _problem(file: Path, key: str, message: str) -> str:
    name, colon, rest = message.partition(":")
    place, gap, text = rest.partition(": ")
    if not colon or not gap or not place[:1].isdecimal():
        return f"{file}: error: {message}"
    where = f"{local_name(file, name)}:{place}"
    return f"{where}: error: {key}: {text}" if key else f"{where}: error: {text}"


def _print(lines: Sequence[str], summary: str, warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(warning, file=sys.stderr)
    print_plan([*lines, summary])


def _over(answer: pb.PlanFleetResponse) -> str:
    if answer.same:
        return f"these are the files of {told(answer.document, time.time())}, which is the fleet's"
    if not answer.HasField("document"):
        return "nothing was pushed to the fleet yet; to push exactly this: fleet push --over 0"
    revision = answer.document.revision
    return (
        f"{told(answer.document, time.time())} is the fleet's; to push over exactly that: fleet push --over {revision}"
    )


def _followed(server: Server, client: Client, revision: int) -> int:
    """Wait until a revision is live on every node that is there, telling how it goes on."""
    deadline = time.monotonic() + _PATIENCE
    said = ""
    while True:
        answer = client.get_fleet()
        rolling = answer.rollout.document.revision == revision
        if not rolling and answer.document.revision != revision:
            return _returned(server, client, revision)
        left = [node for node in answer.nodes if node.revision != revision]
        failed = [node for node in left if node.error]
        if not rolling and not left:
            if not server.as_json:
                print(f"revision {revision} is live on {count(len(answer.nodes), 'node')}")
            return OK
        if not rolling and len(failed) == len(left):
            for node in failed:
                print(f"{node.name}: {condition(answer, node)}", file=sys.stderr)
            return FAILED
        if rolling:
            deadline = time.monotonic() + _PATIENCE
            said = _told_once(server, answer, said)
        elif time.monotonic() > deadline:
            names = ", ".join(node.name for node in left)
            raise UnavailableError(f"revision {revision} is the fleet's, but not live on {names} after {_PATIENCE:g} s")
        time.sleep(_POLL)


def _told_once(server: Server, answer: pb.GetFleetResponse, said: str) -> str:
    """Print how a rollout goes, unless that was said already; return what was said."""
    states = [
        f"{node.name}: {condition(answer, node)}" for node in answer.nodes if node.name in answer.rollout.canaries
    ]
    line = f"step {answer.rollout.step + 1} of {len(answer.rollout.steps)}: {'; '.join(states)}"
    if line != said and not server.as_json:
        print(line, flush=True)
    return line


def _returned(server: Server, client: Client, revision: int) -> int:
    """Tell what became of a revision that is not the fleet's any more."""
    past = next((one for one in client.list_fleet_history().past if one.document.revision == revision), None)
    if past is not None and past.fate == "live":
        if not server.as_json:
            print(f"revision {revision} was live, and another one was pushed since")
        return OK
    why = f": {past.why}" if past is not None and past.why else ""
    print(f"revision {revision} was returned{why}", file=sys.stderr)
    return FAILED

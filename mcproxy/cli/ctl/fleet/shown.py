"""What `mcproxyctl fleet` shows: the fleet, its nodes, and what was pushed."""

import time
from collections.abc import Sequence

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import count, print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import age, moment

_SKEW = 5.0  # seconds by which a clock may differ unnoticed


def status(server: Server) -> int:
    """Print the fleet's document and rollout, and its nodes."""
    with server.client() as client:
        answer = client.get_fleet()
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    print_table(("", ""), facts(answer, time.time()), header=False)
    if answer.nodes:
        print()
        print_nodes(answer, wide=server.wide)
    return OK


def facts(answer: pb.GetFleetResponse, now: float) -> list[tuple[str, str]]:
    """Return names and values of what is to be told of a fleet as a whole."""
    store = f"{', '.join(answer.store)} at {answer.prefix}"
    rows = [("this node", answer.node)]
    if answer.connected:
        rows.append(("store", store))
    else:
        rows += [
            ("store", f"AWAY since {moment(answer.away_since)}: {answer.why_away}"),
            ("", "what is known of it is served on, and can't be changed; --local is for emergencies"),
        ]
    rows.append(("document", told(answer.document, now) if answer.HasField("document") else "none was pushed yet"))
    rows += _rollout(answer, now)
    rows.append(("nodes", _nodes(answer)))
    if answer.edits:
        rows.append(("edits", f"{count(answer.edits, 'runtime edit')} of all nodes; drift shows them"))
    return rows + [("problem" if not number else "", problem) for number, problem in enumerate(answer.problems)]


def told(document: pb.FleetDocument, now: float) -> str:
    """Return ``revision 41 (ops-1, 3 min ago, 3fa9c1)``."""
    ago = f"{age(max(now - document.pushed.seconds, 0))} ago"
    parts = (document.author or "author unknown", ago, document.label)
    return f"revision {document.revision} ({', '.join(filter(None, parts))})"


def print_nodes(answer: pb.GetFleetResponse, *, wide: bool) -> None:
    """Print the nodes that are there, a line each; those where something is not as it should be stand out."""
    rows = [_row(node, condition(answer, node)) for node in answer.nodes]
    styles = ["red" if node.error else "yellow" if "behind" in condition(answer, node) else "" for node in answer.nodes]
    headers = ("NODE", "STATE", "REVISION", "HASH", "GENERATION", "LOCAL EDITS", "FAILING", "VERSION", "SINCE", "CLOCK")
    drop = ("HASH", "SINCE", "VERSION", "CLOCK", "GENERATION", "FAILING", "LOCAL EDITS")
    print_table(headers, rows, styles, right=("REVISION", "GENERATION", "LOCAL EDITS"), drop=drop, wide=wide)


def condition(answer: pb.GetFleetResponse, node: pb.FleetNode) -> str:
    """Return in words how a node does with what the fleet wants of it."""
    canary = node.name in answer.rollout.canaries
    wanted = answer.rollout.document.revision if canary else answer.document.revision
    if node.error:
        return f"error: {node.error}"
    if canary:
        why = f": {node.progress_why}" if node.progress_why else ""
        return f"canary, {node.progress or 'not begun'}{why}"
    if not node.revision:
        return "waiting"
    return "live" if node.revision == wanted else "behind"


def _row(node: pb.FleetNode, state: str) -> Sequence[str]:
    ahead = node.ahead.seconds + node.ahead.nanos / 1e9
    return (
        node.name,
        state,
        str(node.revision or "-"),
        node.hash[:12] or "-",
        str(node.generation),
        str(node.local_edits or "-"),
        f"{node.failing:.1%}",
        node.version or "-",
        moment(node.started),
        f"{ahead:+.0f} s" if abs(ahead) > _SKEW else "-",
    )


def _rollout(answer: pb.GetFleetResponse, now: float) -> list[tuple[str, str]]:
    if not answer.HasField("rollout"):
        return []
    rollout = answer.rollout
    steps = f"step {rollout.step + 1} of {len(rollout.steps)} ({', '.join(rollout.steps)})"
    watched = f"each watched for {rollout.watch.seconds} s, may fail {rollout.max_errors:g} more"
    return [
        ("rollout", f"{told(rollout.document, now)} on {', '.join(rollout.canaries)}"),
        ("", f"{steps}; {watched}; decided by {rollout.driver or 'nobody yet'}"),
    ]


def _nodes(answer: pb.GetFleetResponse) -> str:
    live = sum(condition(answer, node) == "live" for node in answer.nodes)
    return f"{count(len(answer.nodes), 'node')}, {live} live"


def history(server: Server, limit: int) -> int:
    """Print what was pushed, newest first."""
    with server.client() as client:
        answer = client.list_fleet_history(limit)
    if server.as_json:
        print_json([api.to_builtins(past) for past in answer.past])
        return OK
    rows = [
        (
            str(past.document.revision),
            moment(past.document.pushed),
            past.document.author or "-",
            past.document.label or "-",
            past.document.hash[:12],
            past.document.node or "-",
            f"{past.fate}: {past.why}" if past.why else past.fate,
        )
        for past in answer.past
    ]
    headers = ("REVISION", "PUSHED", "AUTHOR", "LABEL", "HASH", "AT", "FATE")
    styles = ["red" if past.fate == "returned" else "" for past in answer.past]
    print_table(headers, rows, styles, right=("REVISION",), drop=("AT", "HASH", "AUTHOR"), wide=server.wide)
    return OK

"""How a rollout goes on: decided by whichever node holds the lock, from what canaries say of themselves.

    applying -> watching -> passed    all canaries of a step: next step, after the last one the document is the fleet's
             `-> failed               any canary: the document is returned, and all canaries run the fleet's again

Each canary judges itself by its own clock and its own past, so clocks of nodes do not matter, and what it finds survives its driver. What a driver
measures itself is how long it has waited.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from mcproxy.errors import PreconditionError
from mcproxy.model.fleet import document, keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.document import Document
from mcproxy.model.fleet.records import CanaryReport, Fate, Lock, NodeRecord, Past, Rollout
from mcproxy.model.fleet.view import FleetView
from mcproxy.policy.fleet.steps import canaries

Move: TypeAlias = Literal["wait", "lock", "step", "live", "returned"]

AWAY = 5.0
"""Seconds for which the lease of a canary may be gone before its document is returned: control may be starting again."""
PATIENCE = 120.0
"""Seconds for which a canary may take longer than it is watched."""


class Memory(msgspec.Struct, frozen=True):
    """What a driver has measured, by its own clock that never goes back.

    Attributes:
        step: which step of which rollout, as versions of the store.
        since: when the driver saw it begin.
        away: since when each canary is away.
    """

    step: int = 0
    since: float = 0.0
    away: Mapping[str, float] = {}


_NOTHING = Memory()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a node does about a rollout.

    Attributes:
        move: "lock" if it is to become the driver.
        commit: that does it; None to wait.
        why: in words, for log and history.
        memory: for the next decision.
        again: seconds after which to decide again, though nothing has changed.
        revision: of the document; 0 if that is not known.
    """

    move: Move = "wait"
    commit: Commit | None = None
    why: str = ""
    memory: Memory = _NOTHING
    again: float | None = None
    revision: int = 0


def drive(view: FleetView, me: str, now: float, memory: Memory = _NOTHING, wall: float = 0.0) -> Decision:
    """Return what a node does about the rollout that is going on.

    Args:
        view: the contents of the store.
        me: the name of the node.
        now: seconds by a clock that never goes back.
        memory: of the decision before.
        wall: seconds since the epoch, for the history.
    """
    decision = _decide(view, me, now, memory, wall)
    revision = 0 if view.rollout is None else view.rollout.revision
    return msgspec.structs.replace(decision, revision=revision) if decision.commit is not None else decision


def _decide(view: FleetView, me: str, now: float, memory: Memory, wall: float) -> Decision:
    rollout, following = view.rollout, view.next
    if not view.version(keys.ROLLOUT):
        return Decision()
    if not view.driver:
        lock = Commit(
            compares={keys.ROLLOUT: view.version(keys.ROLLOUT), keys.LOCK: view.version(keys.LOCK)},
            puts={keys.LOCK: msgspec.json.encode(Lock(me))},
            leased=frozenset({keys.LOCK}),
        )
        return Decision(move="lock", commit=lock, why="nobody drives the rollout")
    if view.driver != me:
        return Decision()
    if rollout is None or not rollout.nodes or following is None or following.header.revision != rollout.revision:
        return _returned(view, "what the store has of it can't be read", wall)
    if view.version(keys.DOC) != rollout.doc:
        return _returned(view, "the fleet's document was changed meanwhile", wall)
    memory = _remembered(view, rollout, now, memory)
    for name in rollout.nodes:
        if name in memory.away and now - memory.away[name] >= AWAY:
            return _returned(view, f"{name} is away", wall)
        report = _report(view.nodes.get(name), rollout)
        if report is not None and report.progress == "failed":
            return _returned(view, f"{name}: {report.why or 'failed'}", wall)
    reports = [_report(view.nodes.get(name), rollout) for name in rollout.nodes]
    if all(report is not None and report.progress == "passed" for report in reports):
        try:
            return _forward(view, rollout, following, wall, memory)
        except ValueError as error:
            return _returned(view, f"its steps can't be read: {error}", wall)
    slow = [
        name
        for name, report in zip(rollout.nodes, reports, strict=True)
        if report is None or report.progress != "passed"
    ]
    left = memory.since + rollout.watch + PATIENCE - now
    if left <= 0:
        return _returned(view, f"{slow[0]} has not judged it in {rollout.watch + PATIENCE:g} s", wall)
    moments = [left, *(since + AWAY - now for since in memory.away.values())]
    return Decision(memory=memory, again=max(min(moments), 0.0))


def abort(view: FleetView, author: str, wall: float) -> Commit:
    """Return the commit that ends a rollout, whoever drives it; raises `PreconditionError` when there is none."""
    if not view.version(keys.ROLLOUT) and not view.version(keys.NEXT):
        raise PreconditionError("no rollout is going on")
    compares = {key: view.version(key) for key in (keys.ROLLOUT, keys.NEXT)}
    return _end(view, "returned", f"aborted by {author or 'somebody'}", wall, compares)


def _remembered(view: FleetView, rollout: Rollout, now: float, memory: Memory) -> Memory:
    version = view.version(keys.ROLLOUT)
    since = memory.since if memory.step == version else now
    away = {name: memory.away.get(name, now) for name in rollout.nodes if name not in view.nodes}
    return Memory(version, since, away)


def _report(node: NodeRecord | None, rollout: Rollout) -> CanaryReport | None:
    report = None if node is None else node.canary
    return report if report is not None and report.revision == rollout.revision else None


def _forward(view: FleetView, rollout: Rollout, following: Document, wall: float, memory: Memory) -> Decision:
    """Go to the next step that takes more nodes, or make the document the fleet's."""
    for step in range(rollout.step + 1, len(rollout.steps)):
        further = msgspec.structs.replace(rollout, step=step, named=())
        further = msgspec.structs.replace(further, nodes=canaries(view, further))
        if len(further.nodes) > len(rollout.nodes):
            commit = Commit(compares=_fence(view), puts={keys.ROLLOUT: msgspec.json.encode(further)})
            why = f"step {rollout.steps[step]}: {', '.join(further.nodes[len(rollout.nodes) :])}"
            return Decision(move="step", commit=commit, why=why, memory=memory)
    commit = _end(view, "live", "", wall, _fence(view), following)
    return Decision(move="live", commit=commit, why="all canaries have passed")


def _returned(view: FleetView, why: str, wall: float) -> Decision:
    return Decision(move="returned", commit=_end(view, "returned", why, wall, _fence(view)), why=why)


def _end(
    view: FleetView, fate: Fate, why: str, wall: float, compares: Mapping[str, int], live: Document | None = None
) -> Commit:
    revision = view.rollout.revision if view.rollout is not None else 0
    puts = {} if live is None else {keys.DOC: document.encode(live.header, live.packed)}
    past = next((each for each in view.past if each.header.revision == revision), None)
    header = view.next.header if view.next is not None else None if past is None else past.header
    if header is not None:
        puts[keys.history_key(header.revision)] = msgspec.json.encode(
            Past(header=header, fate=fate, ended=wall, why=why)
        )
    return Commit(compares=compares, puts=puts, deletes=(keys.NEXT, keys.ROLLOUT, keys.LOCK))


def _fence(view: FleetView) -> dict[str, int]:
    """Return what must not have changed: the rollout, its document, the fleet's, and who drives."""
    return {key: view.version(key) for key in (keys.ROLLOUT, keys.NEXT, keys.DOC, keys.LOCK)}

"""What a node knows of its fleet at one moment, for everybody who shows it: plain and immutable."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.fleet.document import Header
from mcproxy.model.fleet.records import NodeRecord, Past, Rollout
from mcproxy.model.fleet.view import FleetView
from mcproxy.policy.fleet.running import Role, Wanted

NodeState: TypeAlias = Literal["current", "behind", "failing"]
NODE_STATES: tuple[NodeState, ...] = ("current", "behind", "failing")

SKEW = 5.0
"""Seconds by which clocks of nodes may differ before that is told."""


class RolloutFacts(msgspec.Struct, frozen=True):
    """The rollout that is going on.

    Attributes:
        header: of its document.
        step, steps: the present step, from 1, and how many there are.
        nodes: its canaries.
        passed: how many of these have passed.
        driver: the node that drives it; "" for none.
    """

    header: Header
    step: int
    steps: int
    nodes: tuple[str, ...]
    passed: int
    driver: str


class FleetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """It. All times are in seconds since the epoch.

    Attributes:
        node: the name of this node; "" where this machine is none.
        prefix: under which the store keeps the fleet.
        role: of this node, see `Wanted`.
        revision: of the document that is live here; 0 for none.
        document: that this node should run; None while there is none.
        fleet: the document that all are to run, as far as it is known.
        connected: the store answers.
        since: for how long that is so, or not.
        why: it does not.
        contact: when it answered last; 0.0 for never.
        edits: the fleet's runtime edits.
        nodes: how each node that is there does.
        errors: what keeps nodes from running what they should, in their own words.
        ahead: by how many seconds clocks of nodes are ahead of this one's, of those for which that is more than they should be.
        rollout: that is going on; None for none.
        returned: what was returned last, if nothing was pushed since; None for nothing.
        problems: what an operator has to do something about.
    """

    node: str = ""
    prefix: str = ""
    role: Role = "waiting"
    revision: int = 0
    document: Header | None = None
    fleet: Header | None = None
    connected: bool = False
    since: float = 0.0
    why: str = ""
    contact: float = 0.0
    edits: int = 0
    nodes: Mapping[str, NodeState] = {}
    errors: Mapping[str, str] = {}
    ahead: Mapping[str, float] = {}
    rollout: RolloutFacts | None = None
    returned: Past | None = None
    problems: tuple[str, ...] = ()


def facts_of(view: FleetView, wanted: Wanted, ahead: Mapping[str, float], facts: FleetFacts) -> FleetFacts:
    """Return facts with all that the contents of the store say.

    Args:
        view: the contents.
        wanted: what this node should run.
        ahead: by how many seconds clocks of nodes are ahead of this one's.
        facts: of this node, and how it stands with the store.
    """
    latest = view.past[0] if view.past else None
    return msgspec.structs.replace(
        facts,
        role=wanted.role,
        document=None if wanted.document is None else wanted.document.header,
        fleet=None if view.doc is None else view.doc.header,
        edits=len(view.edits),
        nodes={name: _state(view, node) for name, node in view.nodes.items()},
        errors={name: node.error for name, node in view.nodes.items() if node.error},
        ahead={name: seconds for name, seconds in ahead.items() if abs(seconds) > SKEW and name in view.nodes},
        rollout=None if view.rollout is None else _rollout(view, view.rollout),
        returned=latest if latest is not None and latest.fate == "returned" else None,
        problems=tuple(filter(None, (wanted.problem, *facts.problems))),
    )


def _state(view: FleetView, node: NodeRecord) -> NodeState:
    if node.error:
        return "failing"
    following = view.next if view.rollout is not None and node.node in view.rollout.nodes else None
    allowed = {document.header.hash for document in (view.doc, following) if document is not None}
    return "behind" if allowed and node.hash not in allowed else "current"


def _rollout(view: FleetView, rollout: Rollout) -> RolloutFacts | None:
    if view.next is None:
        return None
    reports = [view.nodes[name].canary for name in rollout.nodes if name in view.nodes]
    passed = sum(
        report is not None and report.revision == rollout.revision and report.progress == "passed" for report in reports
    )
    return RolloutFacts(view.next.header, rollout.step + 1, len(rollout.steps), rollout.nodes, passed, view.driver)

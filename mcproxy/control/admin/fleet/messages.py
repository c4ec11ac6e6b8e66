"""A fleet's document, rollout and nodes as messages of the admin API."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.fleet.link import Contact
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet.document import Header
from mcproxy.model.fleet.records import NodeRecord, Past
from mcproxy.model.fleet.view import FleetView


def document(header: Header) -> pb.FleetDocument:
    """Return what is known of a document."""
    message = pb.FleetDocument(
        revision=header.revision, hash=header.hash, author=header.author, label=header.label, node=header.node
    )
    message.pushed.FromMilliseconds(int(header.pushed * 1000))
    return message


def fleet(
    node: FleetNode, contact: Contact, view: FleetView, ahead: Mapping[str, float], problems: Sequence[str]
) -> pb.GetFleetResponse:
    """Return a fleet as a node knows it.

    Args:
        node: which one that is.
        contact: how it stands with the store.
        view: what the store holds.
        ahead: by how many seconds clocks of nodes are ahead, as far as it is known.
        problems: what an operator has to do something about.
    """
    message = pb.GetFleetResponse(
        node=node.node,
        store=node.endpoints,
        prefix=node.prefix,
        connected=contact.connected,
        why_away=contact.why,
        document=None if view.doc is None else document(view.doc.header),
        rollout=_rollout(view),
        nodes=[_node(record, ahead.get(record.node, 0.0)) for _, record in sorted(view.nodes.items())],
        edits=len(view.edits),
        problems=problems,
    )
    if not contact.connected:
        message.away_since.FromMilliseconds(int(contact.since * 1000))
    if contact.last:
        message.last_contact.FromMilliseconds(int(contact.last * 1000))
    return message


def past(one: Past) -> pb.FleetPast:
    """Return what became of a document."""
    message = pb.FleetPast(document=document(one.header), fate=one.fate, why=one.why)
    if one.ended:
        message.ended.FromMilliseconds(int(one.ended * 1000))
    return message


def _rollout(view: FleetView) -> pb.FleetRollout | None:
    rollout = view.rollout
    if rollout is None or view.next is None:
        return None
    message = pb.FleetRollout(
        document=document(view.next.header),
        canaries=rollout.nodes,
        steps=rollout.steps,
        step=rollout.step,
        watch=timedelta(seconds=rollout.watch),
        max_errors=rollout.max_errors,
        driver=view.driver,
    )
    message.began.FromMilliseconds(int(rollout.began * 1000))
    return message


def _node(record: NodeRecord, ahead: float) -> pb.FleetNode:
    message = pb.FleetNode(
        name=record.node,
        revision=record.revision,
        hash=record.hash,
        generation=record.generation,
        error=record.error,
        version=record.version,
        failing=record.failing,
        local_edits=record.local,
        ahead=timedelta(seconds=ahead),
    )
    message.started.FromMilliseconds(int(record.since * 1000))
    if record.canary is not None:
        message.progress = record.canary.progress
        message.progress_why = record.canary.why
        message.answered = record.canary.answered
        message.errors = record.canary.errors
    return message

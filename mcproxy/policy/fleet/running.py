"""What a node of a fleet should run.

Nothing is ever concluded from what is missing: where the store has lost the document, or it can't be read, nodes keep what they have and say so.
"""

from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.fleet import keys
from mcproxy.model.fleet.document import Document
from mcproxy.model.fleet.records import FleetEdit, Numbers
from mcproxy.model.fleet.view import FleetView

Role: TypeAlias = Literal["waiting", "member", "canary", "keeping"]

NO_DOCUMENT = "the fleet has no document yet: push one with: mcproxyctl fleet push FILE"


class Wanted(msgspec.Struct, frozen=True):
    """What a node should run.

    Attributes:
        role: "waiting" for the fleet's first document, "canary" if it runs that of a rollout, "keeping" if it keeps what the store has lost.
        document: None while there is none.
        edits: the fleet's edits, with those whose time is over: see `current`.
        problem: what an operator has to do something about; "" for nothing.
        back_from: revision of the fleet's document before, if that was newer; 0 if it was not.
        fallback: of a canary the document that all others run; None for the others.
        numbers: the highest that this node has seen; what it pushes and edits is numbered after them, even in a store that was emptied.
    """

    role: Role
    document: Document | None = None
    edits: tuple[FleetEdit, ...] = ()
    problem: str = ""
    back_from: int = 0
    numbers: Numbers = Numbers()
    fallback: Document | None = None

    @property
    def settles(self) -> bool:
        """Whether what this node finds of edits holds for the fleet: it runs what all run."""
        return self.role == "member"

    def lasts(self, document: Document | None) -> bool:
        """Tell whether what a document says holds for good: it is none, or neither on trial on this node nor just taken back."""
        if document is None:
            return True
        return self.role != "canary" and self.document is not None and self.document.version == document.version


def wanted(view: FleetView, me: str, known: Wanted | None = None, failed: int = 0) -> Wanted:
    """Return what a node should run.

    Args:
        view: the store's contents.
        me: the name of the node.
        known: what it wanted last, or had kept on disk.
        failed: revision of a rollout's document that has failed on this node; 0 for none.
    """
    numbers = view.sequence.after(known.numbers if known is not None else Numbers())
    if view.doc is None:
        return _without(view, known, numbers)
    problems = [f"the fleet's store: {problem}" for problem in view.problems]
    following = _rolling(view, me)
    if following is not None and following.header.revision != failed:
        return Wanted("canary", following, view.edits, "; ".join(problems), numbers=numbers, fallback=view.doc)
    back = _back_from(view.doc, known)
    if back:
        revision = view.doc.header.revision
        problems.append(
            f"the fleet's document is revision {revision}, and was {back} before: was a backup of its store restored?"
        )
    return Wanted("member", view.doc, view.edits, "; ".join(problems), back, numbers)


def _back_from(doc: Document, known: Wanted | None) -> int:
    """Return the revision of the fleet's document before, if that was newer: as long as no other one comes."""
    if known is None or known.document is None or known.role == "canary":
        return 0
    if (known.document.version, known.document.header) == (doc.version, doc.header):
        return known.back_from
    return known.document.header.revision if known.document.header.revision > doc.header.revision else 0


def _rolling(view: FleetView, me: str) -> Document | None:
    """Return the document of the rollout in which this node is a canary."""
    rollout, following = view.rollout, view.next
    if rollout is None or following is None or me not in rollout.nodes or rollout.revision != following.header.revision:
        return None
    return following


def current(edits: tuple[FleetEdit, ...], now: float) -> tuple[FleetEdit, ...]:
    """Return the edits whose time is not over by the clock of this node."""
    return tuple(one for one in edits if one.edit.expires is None or one.edit.expires > now)


def _without(view: FleetView, known: Wanted | None, numbers: Numbers) -> Wanted:
    unreadable = next((problem for problem in view.problems if problem.startswith(f"{keys.DOC}:")), "")
    if known is None or known.document is None:
        return Wanted(
            "waiting", problem=f"the fleet's store: {unreadable}" if unreadable else NO_DOCUMENT, numbers=numbers
        )
    kept = known.fallback or known.document  # what is on trial is nothing to keep
    revision = kept.header.revision
    lost = f"can't be read: {unreadable}" if unreadable else "is not in its store any more"
    problem = f"the fleet's document {lost}; revision {revision} is kept and served: push it again with: mcproxyctl fleet push FILE"
    return Wanted("keeping", kept, known.edits, problem, numbers=numbers)

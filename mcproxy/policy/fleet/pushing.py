"""What a push comes to: the commit that makes a document the fleet's, or why it is refused."""

import msgspec

from mcproxy.errors import PreconditionError, StaleGenerationError
from mcproxy.model.fleet import document, keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.document import Header
from mcproxy.model.fleet.records import Lock, Numbers, Past, Rollout
from mcproxy.model.fleet.view import FleetView
from mcproxy.model.values.figures import age
from mcproxy.policy.fleet.steps import canaries

KEPT = 100
"""Documents of which the store keeps what became of them."""

_FORGOTTEN = 20  # of those that were more, at once
_MOST_HEADER = 16_384


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A document that somebody wants to be the fleet's.

    Attributes:
        hash, packed: as `document.pack` returns them.
        author: "" when nobody said.
        label: what it is pushed as; "" for nothing.
        node: that takes it.
        now: in seconds since the epoch.
        over: version of the document that it was compared with, 0 for none; see `refusal`.
        after: the highest numbers that the node has seen, see `Wanted.numbers`.
    """

    hash: str
    packed: bytes
    author: str = ""
    label: str = ""
    node: str = ""
    now: float = 0.0
    over: int = 0
    after: Numbers = Numbers()


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """How a document is to be tried on some nodes first; see `Rollout`."""

    named: tuple[str, ...] = ()
    steps: tuple[str, ...] = ("1",)
    watch: float = 60.0
    max_errors: float = 0.02
    min_requests: int = 50


def push(view: FleetView, pushed: Pushed, canary: Canary | None = None) -> tuple[Header, Commit]:
    """Return the header that a document gets, and the commit that makes it the fleet's at once, or begins its rollout.

    Raises:
        StaleGenerationError: somebody else has pushed meanwhile.
        PreconditionError: a rollout is going on, there are no canaries, or nothing that they could return to.
    """
    refuse_if_changed(view, pushed.over, pushed.now)
    if canary is not None and view.doc is None:
        raise PreconditionError(
            "the fleet has no document that canaries could return to; push the first one for all nodes at once"
        )
    numbers = view.sequence.after(pushed.after)
    revision = numbers.revision + 1
    header = Header(
        revision=revision,
        hash=pushed.hash,
        author=pushed.author,
        label=pushed.label,
        pushed=pushed.now,
        node=pushed.node,
    )
    value = document.encode(header, pushed.packed)
    if len(value) - len(pushed.packed) > _MOST_HEADER:
        raise PreconditionError(f"author and label have too many characters: {len(value) - len(pushed.packed):,} bytes")
    puts = {keys.SEQUENCE: _json(Numbers(revision, numbers.edit))}
    compares = {key: view.version(key) for key in (keys.DOC, keys.NEXT, keys.ROLLOUT, keys.SEQUENCE)}
    leased = frozenset[str]()
    if canary is None:
        puts |= {keys.DOC: value, keys.history_key(revision): _json(Past(header=header, fate="live", ended=pushed.now))}
    else:
        rollout = Rollout(
            revision=revision,
            doc=view.version(keys.DOC),
            author=pushed.author,
            began=pushed.now,
            **{name: getattr(canary, name) for name in Canary.__struct_fields__},
        )
        rollout = msgspec.structs.replace(rollout, nodes=canaries(view, rollout))
        puts |= {
            keys.NEXT: value,
            keys.ROLLOUT: _json(rollout),
            keys.LOCK: _json(Lock(pushed.node)),
            keys.history_key(revision): _json(Past(header=header, fate="rollout")),
        }
        compares[keys.LOCK] = view.version(keys.LOCK)
        leased = frozenset({keys.LOCK})
    old = tuple(keys.history_key(past.header.revision) for past in view.past[KEPT - 1 :])[:_FORGOTTEN]
    return header, Commit(compares=compares, puts=puts, deletes=old, leased=leased)


def refuse_if_changed(view: FleetView, over: int, now: float) -> None:
    """Refuse a push that was compared with another document than the present one, or comes amid a rollout.

    Args:
        view: the store's contents.
        over: version of the document that was compared with; 0 for none.
        now: in seconds since the epoch.

    Raises:
        StaleGenerationError: says who pushed what since.
        PreconditionError: says which rollout.
    """
    if view.rollout is not None or view.version(keys.NEXT):
        raise PreconditionError(f"{_going_on(view, now)}; wait for its end, or end it with: mcproxyctl fleet abort")
    if view.version(keys.DOC) == over:
        return
    if view.doc is None:
        raise StaleGenerationError(
            "the fleet's document was removed from its store since you looked; look again, and push"
        )
    raise StaleGenerationError(
        f"someone pushed {told(view.doc.header, now)} since you looked; look again with: mcproxyctl fleet diff FILE"
    )


def told(header: Header, now: float) -> str:
    """Return ``revision 41 (ops-1, 3 min ago, commit 3fa9c1)``."""
    facts = (header.author or "author unknown", f"{age(now - header.pushed)} ago", header.label)
    return f"revision {header.revision} ({', '.join(fact for fact in facts if fact)})"


def _going_on(view: FleetView, now: float) -> str:
    if view.next is None:
        return "a rollout is going on"
    return f"a rollout of {told(view.next.header, now)} is going on"


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value)

"""The keys of a fleet in its store, without the prefix."""

from collections.abc import Sequence

import msgspec

from mcproxy.model.state.kinds import KindName, ResourceKey, parts_of

DOC = "doc"
"""The document that all nodes run."""
NEXT = "next"
"""The document of a rollout, that its canaries run."""
ROLLOUT = "rollout"
"""The rollout that is going on."""
LOCK = "rollout/lock"
"""The node that drives the rollout, under its lease."""
SEQUENCE = "sequence"
"""The numbers that were given last."""
EDITS = "edits/"
NODES = "nodes/"
HISTORY = "history/"
ACME = "acme/"


def edit_key(kind: KindName, key: ResourceKey) -> str:
    """Return the key of a resource's runtime edit: its kind, and the parts of its key as JSON."""
    return stored_edit_key(kind, parts_of(key))


def stored_edit_key(kind: str, parts: Sequence[str]) -> str:
    """Return the same of a kind that this version perhaps does not know."""
    return f"{EDITS}{kind} {msgspec.json.encode(tuple(parts)).decode()}"


def node_key(node: str) -> str:
    """Return the key of a node."""
    return f"{NODES}{node}"


def history_key(revision: int) -> str:
    """Return the key of what is kept of a document, so that keys sort by revision."""
    return f"{HISTORY}{revision:010}"

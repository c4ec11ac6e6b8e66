"""The store of a fleet in memory: commits as etcd makes them, for tests of what is decided by its contents."""

from typing import Any

import msgspec

from mcproxy.model.fleet import document
from mcproxy.model.fleet.contents import Commit, Contents, Item
from mcproxy.model.fleet.document import FleetFile
from mcproxy.model.fleet.records import NodeRecord
from mcproxy.model.fleet.view import FleetView, view_of
from mcproxy.policy.fleet.pushing import Pushed


class MemoryStore:
    """Contents, each of whose keys has the revision of its last change as version.

    Attributes:
        contents: now.
    """

    def __init__(self, **items: bytes) -> None:
        self.contents = Contents({key: Item(value, 1) for key, value in items.items()}, 1)
        self._leased: dict[str, str] = {}

    @property
    def view(self) -> FleetView:
        """What the contents mean."""
        return view_of(self.contents)

    def commit(self, commit: Commit, by: str = "") -> bool:
        """Make a commit of a node, or tell that something has changed that it compares."""
        if any(self.contents.version(key) != version for key, version in commit.compares.items()):
            return False
        assert not commit.puts.keys() & set(commit.deletes), "a store refuses to change a key twice in one commit"
        assert commit.leased <= commit.puts.keys()
        items, revision = dict(self.contents.items), self.contents.revision + 1
        for key in commit.deletes:
            items.pop(key, None)
        for key, value in commit.puts.items():
            items[key] = Item(value, revision)
            self._leased.pop(key, None)
        self._leased |= dict.fromkeys(commit.leased, by)
        self.contents = Contents(items, revision)
        return True

    def put(self, key: str, value: bytes) -> None:
        """Store one value."""
        assert self.commit(Commit(puts={key: value}))

    def end_lease(self, node: str) -> None:
        """Remove what is there under the lease of a node."""
        gone = tuple(key for key, owner in self._leased.items() if owner == node and key in self.contents.items)
        self._leased = {key: owner for key, owner in self._leased.items() if owner != node}
        if gone:
            self.commit(Commit(deletes=gone))


def node(name: str, **fields: Any) -> bytes:
    """Return the record of a node."""
    return msgspec.json.encode(NodeRecord(node=name, **fields))


def pushed(text: str, **fields: Any) -> Pushed:
    """Return a push of one file."""
    digest, packed = document.pack((FleetFile("mc-proxy.toml", text),))
    return Pushed(hash=digest, packed=packed, **fields)

"""Everything that a fleet's store holds under the fleet's prefix at one revision, and changes to it by compare-and-swap.

Keys are without the prefix. A *version* is the store's revision of the last change of a key (etcd: ``mod_revision``), 0 of a key that is not there.
"""

from collections.abc import Mapping

import msgspec


class Item(msgspec.Struct, frozen=True):
    """The value of a key.

    Attributes:
        value: as it is stored.
        version: the store's revision of its last change, never 0.
    """

    value: bytes
    version: int


class Contents(msgspec.Struct, frozen=True):
    """Everything under the prefix.

    Attributes:
        items: by their keys, without the prefix.
        revision: of the store, when they were read.
    """

    items: Mapping[str, Item] = {}
    revision: int = 0

    def version(self, key: str) -> int:
        """Return the version of a key, 0 if it is not there."""
        item = self.items.get(key)
        return 0 if item is None else item.version


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that are made all at once, or not at all.

    Attributes:
        compares: the version that each of these keys must have, 0 for one that must not be there.
        puts: what is stored under each of these keys.
        deletes: keys that are not to be there.
        leased: those of ``puts`` that go when the node that makes the commit is away: with its lease.
    """

    compares: Mapping[str, int] = {}
    puts: Mapping[str, bytes] = {}
    deletes: tuple[str, ...] = ()
    leased: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Comparisons and changes together, of which a store takes so many at once."""
        return max(len(self.compares), len(self.puts) + len(self.deletes))


class Committed(msgspec.Struct, frozen=True):
    """A commit that was made, at a revision of the store: the version of all that it put."""

    revision: int


class Conflict(msgspec.Struct, frozen=True):
    """A commit that was not made, as something that it compares has changed; contents are those of now."""

    contents: Contents


MOST_OPERATIONS = 100
"""Changes in one commit; etcd takes 128 unless it is told otherwise."""

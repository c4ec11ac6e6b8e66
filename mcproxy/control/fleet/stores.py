"""What a fleet needs of its store, and the store that a node's file names."""

from collections.abc import AsyncGenerator
from typing import Protocol

from mcproxy.control.fleet.store.etcd import EtcdStore
from mcproxy.control.fleet.store.target import Target
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents


class Store(Protocol):
    """What the fleet needs of its store; see `EtcdStore`."""

    async def read(self) -> Contents:
        """Return everything under the prefix."""
        ...

    async def commit(self, commit: Commit, lease: int = 0) -> Committed | Conflict:
        """Make a change, or tell what is there instead."""
        ...

    def watch(self, after: int) -> AsyncGenerator[int, None]:
        """Yield the revision of what has changed."""
        ...

    async def grant(self, seconds: int) -> int:
        """Return a new lease."""
        ...

    async def keep_alive(self, lease: int) -> bool:
        """Have a lease go on."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...


def etcd(node: FleetNode) -> Store:
    """Return the store that the file of a node names."""
    return EtcdStore(Target(node.endpoints, node.prefix, node.ca, node.cert, node.key))

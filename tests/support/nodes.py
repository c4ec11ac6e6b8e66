"""Nodes of a fleet: proxies that serve a document which real etcds keep."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from mcproxy.client import Client
from mcproxy.control.fleet.store.errors import StoreAwayError
from mcproxy.control.fleet.store.etcd import EtcdStore
from mcproxy.control.fleet.store.target import Target
from mcproxy.model.fleet.contents import Committed
from mcproxy.model.fleet.document import FleetFile, Header, pack
from mcproxy.model.fleet.view import FleetView, view_of
from mcproxy.policy.fleet.pushing import Pushed, push
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.processes import POLL, Processes
from tests.support.proxy import Proxy

PREFIX = "/mcproxy/edge"

T = TypeVar("T")


class Node:
    """One node.

    Attributes:
        name: of it.
        address: where its listeners without a host are bound.
        proxy: the program.
    """

    def __init__(self, name: str, address: str, proxy: Proxy) -> None:
        self.name = name
        self.address = address
        self.proxy = proxy

    def client(self) -> Client:
        """Return a client of its admin API."""
        return Client(f"unix:{self.proxy.folder / 'mc-proxy.sock'}")

    def generation(self) -> int:
        """Return which generation is live there."""
        with self.client() as client:
            return client.get_status().generation

    def hostnames(self) -> list[str]:
        """Return the hostnames of its live routes, sorted."""
        with self.client() as client:
            return sorted(route.hostname for route in client.list_routes().routes)


class Nodes:
    """Nodes of one fleet, and the operator's way to its store.

    Attributes:
        cluster: the store.
        nodes: by name.
    """

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        cluster: Cluster,
        certs: Certificates,
        names: tuple[str, ...] = ("edge-1", "edge-2", "edge-3"),
        prefix: str = PREFIX,
    ) -> None:
        self.cluster = cluster
        self.prefix = prefix
        self._certs = certs
        self.nodes: dict[str, Node] = {}
        for number, name in enumerate(names):
            own = folder / name
            own.mkdir()
            address = f"127.0.0.{number + 2}"
            self.nodes[name] = Node(name, address, Proxy(processes, own, self.text(name, address)))

    def text(self, name: str, address: str, more: str = "") -> str:
        """Return the file of a node."""
        leaf = self._certs.client(name)
        endpoints = ", ".join(f'"{endpoint}"' for endpoint in self.cluster.endpoints)
        return (
            f'[fleet]\nendpoints = [{endpoints}]\nca = "{self.cluster.ca}"\ncert = "{leaf.certificate}"\nkey = "{leaf.key}"\n'
            f'prefix = "{self.prefix}"\nnode = "{name}"\naddress = "{address}"\n[log]\nformat = "json"\n[metrics]\naddr = "127.0.0.1:PORT"\n{more}'
        )

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def start(self) -> None:
        """Start all."""
        for node in self:
            node.proxy.start()

    def target(self) -> Target:
        """Return how the first node reaches the store."""
        leaf = self._certs.client(next(iter(self.nodes)))
        return Target(self.cluster.endpoints, self.prefix, str(self.cluster.ca), str(leaf.certificate), str(leaf.key))

    def ask(self, work: Callable[[EtcdStore], Awaitable[T]]) -> T:
        """Do something with the store, again and again while it is away: its members may be electing a leader."""

        async def main() -> T:
            store = EtcdStore(self.target())
            try:
                return await work(store)
            finally:
                await store.close()

        deadline = time.monotonic() + 90
        while True:
            try:
                return asyncio.run(main())
            except StoreAwayError:
                if time.monotonic() > deadline:
                    raise

    def view(self) -> FleetView:
        """Return what the store holds."""
        return view_of(self.ask(EtcdStore.read))

    def push(self, *texts: str, author: str = "ops-1", label: str = "") -> Header:
        """Make a document the fleet's."""
        files = [
            FleetFile(f"conf.d/{number}.toml" if number else "mc-proxy.toml", text) for number, text in enumerate(texts)
        ]
        digest, packed = pack(files)

        async def work(store: EtcdStore) -> Header:
            view = view_of(await store.read())
            pushed = Pushed(
                hash=digest,
                packed=packed,
                author=author,
                label=label,
                node="test",
                now=time.time(),
                over=view.version("doc"),
            )
            header, commit = push(view, pushed)
            assert isinstance(await store.commit(commit), Committed)
            return header

        return self.ask(work)

    def delete(self) -> None:
        """Remove everything that is the fleet's from the store."""
        self.cluster.ctl("del", "--prefix", f"{self.prefix}/")

    def wait(self, look: Callable[[], T | None], what: str, timeout: float = 90) -> T:
        """Return what a look finds, waiting until it finds something."""
        deadline = time.monotonic() + timeout
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}\n{self.logs()}"
            time.sleep(POLL)
        return found

    def wait_live(self, header: Header, timeout: float = 90) -> None:
        """Wait until every node that is there serves a document."""

        def look() -> bool:
            nodes = self.view().nodes
            return set(nodes) == {node.name for node in self if node.proxy.process.returncode is None} and all(
                record.revision == header.revision and not record.error for record in nodes.values()
            )

        self.wait(look, f"revision {header.revision} is live on all nodes", timeout)

    def logs(self) -> str:
        """Return what all nodes have written lately."""
        return "\n".join(f"--- {node.name}\n{node.proxy.stderr[-4000:]}" for node in self)


@contextlib.contextmanager
def fleet_of(
    cluster: Cluster, certs: Certificates, names: tuple[str, ...] = ("edge-1", "edge-2", "edge-3"), prefix: str = PREFIX
) -> Iterator[Nodes]:
    """Give a fleet of nodes that are not started yet, and end them."""
    with tempfile.TemporaryDirectory(prefix="mcproxy-fleet-") as folder, Processes(Path(folder)) as processes:
        nodes = Nodes(processes, Path(folder), cluster, certs, names, prefix)
        try:
            yield nodes
        finally:
            for node in nodes:
                node.proxy.close()

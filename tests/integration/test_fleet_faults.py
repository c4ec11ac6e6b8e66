"""Three nodes with three etcds that are killed, frozen, compacted and emptied, under requests to all nodes: none of them fails."""

import contextlib
import time
from collections.abc import Iterator

import pytest
import tomlkit

from mcproxy.client.errors import NotFoundError, UnavailableError
from mcproxy.model.fleet.document import Header
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.http_thread import Handler, HttpThread
from tests.support.node_clients import NodeClients
from tests.support.nodes import PREFIX, Node, Nodes, fleet_of
from tests.support.ports import free_port
from tests.support.settings import Table, listener, route

NAMES = ("edge-1", "edge-2", "edge-3")


class Good(Handler):
    """A backend that answers."""

    def serve(self) -> None:
        self.answer(200, b"good")


class Site:
    """Three nodes that serve, and clients of each that ask for ``calm.test``, which no test touches."""

    def __init__(self, nodes: Nodes, clients: NodeClients, port: int, backend: int) -> None:
        self.nodes = nodes
        self.clients = clients
        self.addr = f":{port}"
        self._backend = backend
        self._pushes = 0

    def push(self, *more: Table) -> Header:
        """Push a document that has a route of its own, and perhaps ``more`` listeners."""
        self._pushes += 1
        routes = [route(self._backend, "calm.test"), route(self._backend, self.newest)]
        return self.nodes.push(
            tomlkit.dumps({"proxy": {"workers": 1}, "listeners": [listener(self.addr, routes, protocol="http"), *more]})
        )

    @property
    def newest(self) -> str:
        """The hostname that the last push has brought."""
        return f"push-{self._pushes}.test"

    def wait_pushed(self, timeout: float = 90) -> None:
        """Wait until all nodes serve the last push, by what they serve."""
        self.nodes.wait(
            lambda: all(self.newest in node.hostnames() for node in self.nodes),
            "all nodes serve the last push",
            timeout,
        )

    def check(self) -> None:
        """Clients are served by all nodes, and always were."""
        self.clients.wait_more("calm.test")
        found = {name: set(counts) for name, counts in self.clients.counts("calm.test").items()}
        assert found == {name: {"good"} for name in NAMES}

    def away(self, node: Node) -> str:
        """Return why a node refuses changes now; "" if it does not. What was refused may have been made all the same, and be made again."""
        with node.client() as client:
            try:
                client.update_route(
                    self.addr, self.newest, backend="127.0.0.1:1", reason=str(time.monotonic()), timeout=20
                )
                with contextlib.suppress(NotFoundError):  # a repeated request
                    client.revert_edit(target=f"route {self.addr} {self.newest}")
            except UnavailableError as error:
                return str(error)
            return ""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Nodes]:
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("etcd"), certs)) as cluster:
        for name in NAMES:
            cluster.allow(name, PREFIX)
        cluster.demand_names()
        with fleet_of(cluster, certs, NAMES) as nodes:
            nodes.start()
            yield nodes


@pytest.fixture
def site(nodes: Nodes) -> Iterator[Site]:
    """Return the fleet, with all members of its store there, and clients that have seen nothing but what a test does."""
    nodes.cluster.wait_healthy()
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(HttpThread(Good)).port
        port = free_port()
        clients = NodeClients(port, {node.name: node.address for node in nodes}, ("calm.test",))
        site = Site(nodes, clients, port, backend)
        nodes.wait_live(site.push())
        stack.enter_context(clients)
        yield site


@pytest.mark.soak
def test_the_leader_of_the_store_is_killed(site: Site) -> None:
    """The next push reaches all nodes as if nothing had been."""
    site.nodes.cluster.leader().kill()
    site.push()
    site.wait_pushed()
    site.check()


@pytest.mark.soak
def test_a_member_is_frozen(site: Site) -> None:
    """Its connections are open and silent; who watches there asks another member within seconds."""
    with contextlib.ExitStack() as stack:
        leader = site.nodes.cluster.leader()
        frozen = next(member for member in site.nodes.cluster.members if member is not leader)
        stack.enter_context(frozen.frozen())
        site.push()
        site.wait_pushed()
        site.check()


def test_most_members_are_gone(site: Site) -> None:
    """Traffic goes on and changes are refused with the time since when; one for a node alone is made, and stays. When they are back, nothing was lost."""
    node, other = site.nodes["edge-1"], site.nodes["edge-2"]
    generation = other.generation()
    for member in site.nodes.cluster.members[1:]:
        member.kill()
    why = site.nodes.wait(lambda: site.away(node), "changes are refused")
    assert "the fleet's store is away since " in why
    with node.client() as client:
        done = client.add_route(site.addr, "local.test", "127.0.0.1:1", node=".", reason="in need")
    assert node.hostnames() == ["calm.test", "local.test", site.newest]
    other.proxy.stop()
    other.proxy.start()
    assert other.hostnames() == ["calm.test", site.newest]
    assert other.generation() >= generation
    site.clients.wait_more("calm.test")
    site.nodes.cluster.wait_healthy()
    site.nodes.wait(lambda: not any(map(site.away, site.nodes)), "changes are made again")
    site.push()
    site.wait_pushed()
    assert "local.test" in node.hostnames()
    assert "local.test" not in other.hostnames()
    with node.client() as client:
        client.revert_edit(edit_ids=[edit.id for edit in done.edits])
    counts = site.clients.counts("calm.test")
    assert {name: set(counts[name]) for name in ("edge-1", "edge-3")} == {"edge-1": {"good"}, "edge-3": {"good"}}


def test_the_store_is_emptied(site: Site) -> None:
    """Nobody concludes from it that nothing is to be served; it is told, and changes are refused until the next push."""
    site.nodes.delete()
    for node in site.nodes:
        node.proxy.wait_for_log("is not in its store any more")
    site.check()
    with site.nodes["edge-3"].client() as client, pytest.raises(Exception, match="no document in its store"):
        client.add_route(site.addr, "refused.test", "127.0.0.1:1")
    for node in site.nodes:
        assert node.hostnames() == ["calm.test", site.newest]
    header = site.push()
    assert header.revision == 1
    site.wait_pushed()
    site.check()


@pytest.mark.soak
def test_a_node_that_was_away_catches_up(site: Site) -> None:
    """With what came meanwhile, though the store does not know the way there any more."""
    node = site.nodes["edge-2"]
    node.proxy.stop()
    for _ in range(3):
        site.push()
    with site.nodes["edge-1"].client() as client:
        client.add_route(site.addr, "edited.test", "127.0.0.1:1")
    site.nodes.cluster.ctl("compact", str(site.nodes.cluster.revision()))
    site.nodes.wait(lambda: "edge-2" not in site.nodes.view().nodes, "the node is away")
    node.proxy.start()
    site.wait_pushed()
    site.nodes.wait(lambda: "edited.test" in node.hostnames(), "the node has the edit")
    with site.nodes["edge-1"].client() as client:
        client.revert_edit(target=f"route {site.addr} edited.test")


def test_a_document_that_one_node_can_not_serve(site: Site, certs: Certificates) -> None:
    """It says so where the others look, and goes on with what it has, also after a restart; when the file is there, it follows."""
    pair = certs.server("own.test")
    bad, *well = (site.nodes[name] for name in ("edge-2", "edge-1", "edge-3"))

    def give(node: Node) -> None:
        for name, content in (("own.crt", pair.certificate), ("own.key", pair.key)):
            (node.proxy.folder / name).write_bytes(content.read_bytes())

    for node in well:
        give(node)
    before = site.newest
    own = route(1, "own.test", mode="l7", tls_cert="own.crt", tls_key="own.key")
    header = site.push(listener(f":{free_port()}", [own]))
    site.nodes.wait(lambda: all(site.newest in node.hostnames() for node in well), "the others serve it")

    def told() -> str:
        record = site.nodes.view().nodes.get("edge-2")
        return record.error if record is not None and record.revision < header.revision else ""

    error = site.nodes.wait(told, "the node says why it does not")
    assert "own.crt" in error
    assert "doc:" in error
    site.check()
    bad.proxy.stop()
    bad.proxy.start()
    assert before in bad.hostnames()
    assert site.newest not in bad.hostnames()
    give(bad)
    site.nodes.wait(lambda: site.newest in bad.hostnames(), "the node serves it, too")
    site.nodes.wait_live(header)

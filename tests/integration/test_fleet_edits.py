"""Runtime edits of a fleet: three real nodes on three real etcds, each with the config file in a folder of its own."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import tomlkit

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import Client
from mcproxy.client.errors import AlreadyExistsError, ClientError, FailedPreconditionError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.records import FIRST_EDIT
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.nodes import PREFIX, Node, Nodes, fleet_of
from tests.support.ports import free_port
from tests.support.settings import listener, route

NAMES = ("edge-1", "edge-2", "edge-3")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Nodes]:
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("etcd"), certs, size=1)) as cluster:
        for name in NAMES:
            cluster.allow(name, PREFIX)
        cluster.demand_names()
        with fleet_of(cluster, certs, NAMES) as nodes:
            pair = certs.server("app.test")
            for node in nodes:
                for name, content in (("app.crt", pair.certificate), ("app.key", pair.key)):
                    (node.proxy.folder / name).write_bytes(content.read_bytes())
            nodes.start()
            yield nodes


class Site:
    """The nodes, with a document of a route whose certificate each has in its own folder.

    Attributes:
        nodes: the fleet.
        addr: the listener.
    """

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.addr = f":{free_port()}"
        self.header = nodes.push(self.text(), label="commit 3fa9")
        nodes.wait_live(self.header)

    def text(self, backend: int = 1, **more: Any) -> str:
        own = {"mode": "l7", "tls_cert": "app.crt", "tls_key": "app.key"}
        routes = [route(backend, "app.test", **own, **more), route(9, "calm.test")]
        return tomlkit.dumps({"proxy": {"workers": 1}, "listeners": [listener(self.addr, routes)]})

    def push(self, text: str) -> None:
        self.header = self.nodes.push(text)
        self.nodes.wait_live(self.header)

    def backends(self) -> dict[str, str]:
        """Return where ``app.test`` leads, on each node."""
        return {node.name: self.on(node, lambda client: self.app(client).backend) for node in self.nodes}

    def app(self, client: Client) -> pb.Route:
        return next(route for route in client.list_routes().routes if route.hostname == "app.test")

    def on(self, node: Node, work: Callable[[Client], Any]) -> Any:
        with node.client() as client:
            return work(client)

    def everywhere(self, backend: str) -> bool:
        return set(self.backends().values()) == {backend}

    def update(self, name: str, backend: str, **options: Any) -> pb.MutationResponse:
        found: pb.MutationResponse = self.on(
            self.nodes[name], lambda client: client.update_route(self.addr, "app.test", backend=backend, **options)
        )
        return found

    def edits(self) -> Mapping[int, Any]:
        return {one.edit.id: one.edit for one in self.nodes.view().edits}


@pytest.fixture
def site(fleet: Nodes) -> Iterator[Site]:
    site = Site(fleet)
    yield site
    for node in fleet:
        with node.client() as client, contextlib.suppress(ClientError):
            client.revert_edit(all=True)


def test_an_edit_of_one_node_is_the_fleets(site: Site) -> None:
    """Live where it was asked for when that is answered, and soon everywhere: with its author, its reason and its number."""
    done = site.update("edge-2", "127.0.0.1:2", author="ann", reason="the first is down")
    assert site.on(site.nodes["edge-2"], site.app).backend == "127.0.0.1:2"
    assert done.edits[0].id >= FIRST_EDIT
    site.nodes.wait(lambda: site.everywhere("127.0.0.1:2"), "the edit is live everywhere")
    for node in site.nodes:
        with node.client() as client:
            (difference,) = client.get_drift().differences
            assert (difference.edit.id, difference.edit.author) == (done.edits[0].id, "ann")
            assert difference.origin.startswith("doc:")
            newest = client.list_revisions(limit=1).revisions[0]
            assert (newest.origin, newest.author, newest.label) == ("api", "ann", "the first is down")
            (record,) = client.list_edit_records(edit_id=done.edits[0].id).records
            assert record.event == "added"
    with site.nodes["edge-3"].client() as client:
        client.revert_edit(target=f"route {site.addr} app.test", author="bob", wait=90, timeout=110)
    assert site.everywhere("127.0.0.1:1")
    assert not site.edits()


def test_paths_are_those_of_each_node(site: Site) -> None:
    """The edit stands on all nodes though their certificates lie in other folders, and a file they lack is no reason to lose it."""
    site.update("edge-1", "127.0.0.1:3", wait=90, timeout=110)
    assert site.everywhere("127.0.0.1:3")
    for node in site.nodes:
        assert site.on(node, site.app).tls_cert == str(node.proxy.folder / "app.crt")
    (edit,) = site.edits().values()
    assert edit.value.tls_cert == "app.crt"


def test_waiting_for_all(site: Site) -> None:
    """What is answered then is live everywhere, without another look."""
    for number in range(4, 8):
        done = site.update(NAMES[number % 3], f"127.0.0.1:{number}", wait=90, timeout=110)
        assert not [warning for warning in done.warnings if warning.field == "options.wait"]
        assert site.everywhere(f"127.0.0.1:{number}")


def test_an_edit_for_one_node_alone(site: Site) -> None:
    """It is kept there, whatever the fleet's edits of the same say, until it is reverted."""
    with site.nodes["edge-1"].client() as client, pytest.raises(FailedPreconditionError, match="ask edge-2 itself"):
        client.update_route(site.addr, "app.test", backend="127.0.0.1:8", node="edge-2")
    done = site.update("edge-2", "127.0.0.1:8", node="edge-2")
    assert done.edits[0].id < FIRST_EDIT
    site.update("edge-1", "127.0.0.1:9", wait=90, timeout=110)
    assert site.backends() == {"edge-1": "127.0.0.1:9", "edge-2": "127.0.0.1:8", "edge-3": "127.0.0.1:9"}
    assert site.nodes.view().nodes["edge-2"].local == 1
    with site.nodes["edge-2"].client() as client:
        (difference,) = client.get_drift().differences
        assert difference.node_alone
        assert difference.summary.endswith(", on this node alone)")
        client.revert_edit(edit_ids=[done.edits[0].id])
    assert site.everywhere("127.0.0.1:9")


def test_a_document_that_is_only_looked_at_says_nothing(site: Site) -> None:
    """One that would change an edited route: edits go on being judged, and told to the others, by the document that is in effect."""
    site.update("edge-2", "127.0.0.1:3", wait=20)
    with site.nodes["edge-1"].client() as client:
        plan = client.plan_fleet([("mc-proxy.toml", site.text(backend=5))])
        assert any("app.test" in line for line in plan.lines)
    site.update("edge-1", "127.0.0.1:4", wait=20)
    assert site.everywhere("127.0.0.1:4")
    assert len(site.edits()) == 1


def test_a_document_supersedes_edits(site: Site) -> None:
    """As a file does: on all nodes, and in the store; what it says nothing new of stands."""
    done = site.update("edge-1", "127.0.0.1:2", wait=90, timeout=110)
    with site.nodes["edge-1"].client() as client:
        kept = client.update_route(site.addr, "calm.test", backend="127.0.0.1:7", wait=90, timeout=110).edits[0].id
    site.push(site.text(backend=5))
    assert site.everywhere("127.0.0.1:5")
    site.nodes.wait(lambda: set(site.edits()) == {kept}, "the store has the edit no more")

    def noted(node: Node) -> bool:
        with node.client() as client:
            return "superseded" in {
                record.event for record in client.list_edit_records(edit_id=done.edits[0].id).records
            }

    site.nodes.wait(lambda: all(map(noted, site.nodes)), "the history of all nodes has it")


def test_an_edit_expires_on_all_nodes(site: Site) -> None:
    """Each goes by its own clock; nobody has to ask."""
    site.update("edge-3", "127.0.0.1:6", expires=3.0, wait=90, timeout=110)
    site.nodes.wait(lambda: site.everywhere("127.0.0.1:1"), "the edit is over on all nodes")


def test_edits_of_several_nodes_at_once(site: Site) -> None:
    """None that was acknowledged is lost, and of the same resource one counts everywhere."""
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with site.nodes[NAMES[number]].client() as client:
                for turn in range(4):
                    client.add_route(site.addr, f"{turn}.edge-{number}.test", "127.0.0.1:1")
                    client.update_route(site.addr, "app.test", backend=f"127.0.0.1:{10 + number}")
        except BaseException as error:  # noqa: BLE001 - it is told below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(site.edits()) == 13
    expected = sorted(["app.test", "calm.test", *(f"{turn}.edge-{n}.test" for turn in range(4) for n in range(3))])
    site.nodes.wait(lambda: all(node.hostnames() == expected for node in site.nodes), "all routes are everywhere")
    site.nodes.wait(lambda: len(set(site.backends().values())) == 1, "one edit of app.test counts")


def test_what_several_nodes_add_at_once_is_added_by_one(site: Site) -> None:
    """The others are told that it is there, and nobody's acknowledged edit is written over."""
    rounds = 4
    together = threading.Barrier(len(NAMES), timeout=60)
    done: dict[str, list[str]] = {}
    refused: list[ClientError] = []

    def work(number: int) -> None:
        with site.nodes[NAMES[number]].client() as client:
            for turn in range(rounds):
                together.wait()
                backend = f"127.0.0.1:{10 + number}"
                try:
                    client.add_route(site.addr, f"{turn}.test", backend)
                    done.setdefault(f"{turn}.test", []).append(backend)
                except ClientError as error:
                    refused.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(NAMES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {type(error) for error in refused} == {AlreadyExistsError}
    assert [len(backends) for backends in done.values()] == [1] * rounds
    wanted = {name: backend for name, (backend,) in done.items()}

    def everywhere() -> bool:
        found = [site.on(node, lambda client: client.list_routes().routes) for node in site.nodes]
        return all(wanted.items() <= {route.hostname: route.backend for route in routes}.items() for routes in found)

    site.nodes.wait(everywhere, "what was acknowledged is on all nodes")


def test_a_request_that_is_repeated_at_another_node(site: Site) -> None:
    """It is done once: the fleet's edits know which request made them."""
    first = site.update("edge-1", "127.0.0.1:4", request_id="once-only", wait=90, timeout=110)
    again = site.update("edge-2", "127.0.0.1:4", request_id="once-only")
    assert again.edits[0].id == first.edits[0].id
    assert len(site.edits()) == 1


def test_a_rollback_that_is_not_confirmed(site: Site) -> None:
    """It is the fleet's, and undone for all of them."""
    done = site.update("edge-1", "127.0.0.1:2", wait=90, timeout=110)
    node = site.nodes["edge-1"]
    with node.client() as client:
        newest = client.list_revisions(limit=2).revisions
        client.rollback(newest[1].generation, confirm_timeout=2.0)

    def undone() -> bool:
        with node.client() as client:
            origins = [revision.origin for revision in client.list_revisions(limit=2).revisions]
        return origins == ["unconfirmed", "rollback"]

    site.nodes.wait(undone, "the rollback is undone")
    site.nodes.wait(lambda: set(site.edits()) == {done.edits[0].id}, "the edit is the fleet's again")
    site.nodes.wait(lambda: site.everywhere("127.0.0.1:2"), "undone everywhere")


def test_a_rollback_to_before_the_first_document(site: Site) -> None:
    """It would be the fleet's, and no node would serve anything; the node had nothing to serve then."""
    with site.nodes["edge-1"].client() as client:
        first = min(revision.generation for revision in client.list_revisions(limit=1000).revisions)
        with pytest.raises(FailedPreconditionError, match="has no listener"):
            client.rollback(first)
    assert not site.edits()


def test_what_is_a_nodes_own_is_changed_there_alone(site: Site) -> None:
    """Log, metrics, admin API and database are not in the document, so their edits are not the fleet's."""
    with site.nodes["edge-1"].client() as client:
        done = client.put_resource("setting", ["log.level"], {"value": "warning"})
        assert done.edits[0].id < FIRST_EDIT
    assert not site.nodes.view().version(keys.edit_key("setting", "log.level"))


def test_origins_name_the_document(site: Site) -> None:
    """The line, the revision and the commit."""
    with site.nodes["edge-1"].client() as client:
        steps = client.explain(listener=site.addr, sni="calm.test").steps
        told = {step.decided_by for step in steps if step.decided_by}
        assert all(place.endswith(f" (revision {site.header.revision}, commit 3fa9)") for place in told)
        newest = next(r for r in client.list_revisions(limit=5).revisions if r.origin == "fleet")
        assert (newest.author, newest.label) == ("ops-1", f"revision {site.header.revision}, commit 3fa9")


def test_the_document_with_its_edits_is_exported(site: Site) -> None:
    """On any node, without what is another node's alone; pushed, it is what was edited, and the edits are over."""
    site.update("edge-1", "127.0.0.1:2", wait=90, timeout=110)
    with site.nodes["edge-2"].client() as client:
        client.add_route(site.addr, "own.test", "127.0.0.1:5", node="edge-2")
        client.put_resource("setting", ["log.level"], {"value": "warning"})
        doc, own = client.export().files
    assert (doc.path, own.path) == ("doc", str(site.nodes["edge-2"].proxy.config))
    assert 'backend = "127.0.0.1:2"' in doc.text
    assert 'tls_cert = "app.crt"' in doc.text
    assert "own.test" not in doc.text
    assert 'level = "warning"' in own.text
    site.push(doc.text)
    site.nodes.wait(lambda: not site.edits(), "the edit is over")
    assert site.everywhere("127.0.0.1:2")

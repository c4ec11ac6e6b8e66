"""Rollouts on three real nodes with a real store, under requests to all of them: tried on canaries first, and taken back where it fails."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from mcproxy.client.errors import FailedPreconditionError
from mcproxy.control.fleet.store.etcd import EtcdStore
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Committed
from mcproxy.model.fleet.document import FleetFile, Header, pack
from mcproxy.model.fleet.records import FIRST_EDIT, Past
from mcproxy.model.fleet.view import FleetView, view_of
from mcproxy.policy.fleet.driving import abort
from mcproxy.policy.fleet.pushing import Canary, Pushed, push
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.http_thread import Handler, HttpThread
from tests.support.node_clients import NodeClients
from tests.support.nodes import PREFIX, Nodes, fleet_of
from tests.support.ports import free_port
from tests.support.settings import listener, route

NAMES = ("edge-1", "edge-2", "edge-3")
WELL = {name: {"good"} for name in NAMES}


class Good(Handler):
    """A backend that answers."""

    def serve(self) -> None:
        self.answer(200, b"good")


class Better(Handler):
    """Another one."""

    def serve(self) -> None:
        self.answer(200, b"better")


class Turning(Handler):
    """One that fails from some time on."""

    status = 200

    def serve(self) -> None:
        self.answer(self.status, b"good")


class Failing(Handler):
    """A backend that fails."""

    def serve(self) -> None:
        self.answer(500, b"failed")


class Site:
    """Three nodes that serve, and the clients of each.

    Attributes:
        nodes: the fleet.
        clients: ask for ``app.test``, whose backend the tests change, and ``calm.test``, which nothing touches.
        port: of the listener.
        good, better, failing, turning: ports of backends.
    """

    def __init__(self, nodes: Nodes, clients: NodeClients, port: int, backends: dict[str, int]) -> None:
        self.nodes = nodes
        self.clients = clients
        self.port = port
        self.good, self.better, self.failing, self.turning = backends.values()

    def text(self, backend: int, **more: Any) -> str:
        """Return a document whose ``app.test`` leads to a backend."""
        return document(self.port, route(backend, "app.test", **more), route(self.good, "calm.test"))

    def begin(self) -> Header:
        """Have a document live on all nodes under which all is well."""
        self.clients.wait(lambda: not self.view().version(keys.ROLLOUT), "nothing is on its way")
        header = self.nodes.push(self.text(self.good))
        self.nodes.wait_live(header)
        self.clients.wait_more("app.test")
        return header

    def roll_out(self, text: str, canary: Canary, *, seconds: int = 0) -> Header:
        """Begin a rollout as somebody who is never heard of again, with the lock for that many ``seconds``, or without it."""
        digest, packed = pack([FleetFile("mc-proxy.toml", text)])

        async def work(store: EtcdStore) -> Header:
            view = view_of(await store.read())
            pushed = Pushed(hash=digest, packed=packed, node="laptop", now=time.time(), over=view.version(keys.DOC))
            header, commit = push(view, pushed, canary)
            if not seconds:
                puts = {key: value for key, value in commit.puts.items() if key != keys.LOCK}
                commit = type(commit)(compares=commit.compares, puts=puts)
            lease = await store.grant(seconds) if seconds else 0
            assert isinstance(await store.commit(commit, lease), Committed)
            return header

        return self.nodes.ask(work)

    def end(self) -> None:
        """Abort the rollout that is going on."""

        async def work(store: EtcdStore) -> None:
            commit = abort(view_of(await store.read()), "ops-2", time.time())
            assert isinstance(await store.commit(commit), Committed)

        self.nodes.ask(work)

    def view(self) -> FleetView:
        return self.nodes.view()

    def settled(self, header: Header) -> Past:
        """Wait until a rollout is over, and return what became of it."""

        def look() -> Past | None:
            past = next(past for past in self.view().past if past.header.revision == header.revision)
            return None if past.fate == "rollout" else past

        return self.nodes.wait(look, f"it is settled what becomes of revision {header.revision}", 60)

    def answers(self, hostname: str) -> dict[str, set[str]]:
        """Return which answers each node has ever given."""
        return {name: set(counts) for name, counts in self.clients.counts(hostname).items()}


def document(port: int, *routes: dict[str, Any]) -> str:
    return tomlkit.dumps({"listeners": [listener(f":{port}", list(routes), protocol="http")]})


@contextlib.contextmanager
def running(folder: Path, certs: Certificates, etcds: int) -> Iterator[Nodes]:
    """Give nodes that have started, with a store of so many members."""
    with contextlib.closing(Cluster(folder, certs, size=etcds)) as cluster:
        for name in NAMES:
            cluster.allow(name, PREFIX)
        cluster.demand_names()
        with fleet_of(cluster, certs, NAMES) as nodes:
            nodes.start()
            yield nodes


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Nodes]:
    with running(tmp_path_factory.mktemp("etcd"), certs, 1) as nodes:
        yield nodes


@pytest.fixture
def site(nodes: Nodes) -> Iterator[Site]:
    with asked(nodes) as site:
        yield site


@contextlib.contextmanager
def asked(nodes: Nodes) -> Iterator[Site]:
    """Give a fleet with clients of its own, which have seen nothing but what a test does."""
    with contextlib.ExitStack() as stack:
        kinds = {"good": Good, "better": Better, "failing": Failing, "turning": Turning}
        backends = {name: stack.enter_context(HttpThread(kind)).port for name, kind in kinds.items()}
        port = free_port()
        quiet = Site(nodes, NodeClients(port, {}, ()), port, backends)
        nodes.wait_live(nodes.push(quiet.text(quiet.good)))
        clients = NodeClients(port, {node.name: node.address for node in nodes}, ("app.test", "calm.test"))
        yield Site(nodes, stack.enter_context(clients), port, backends)


def test_a_canary_whose_backend_fails_is_taken_back(site: Site) -> None:
    """Long before its watch is over, and by itself: only that node has ever served it, and no other request has failed anywhere."""
    before = site.begin()
    header = site.roll_out(site.text(site.failing), Canary(named=("edge-2",), watch=600, min_requests=20))
    past = site.settled(header)
    assert past.fate == "returned"
    assert past.why.startswith("edge-2: route ")
    assert "requests failed within" in past.why
    site.nodes.wait_live(before)
    site.clients.wait_more("app.test")
    counts = site.clients.counts("app.test")["edge-2"]["500"]
    site.clients.wait_more("app.test", 50)
    assert site.clients.counts("app.test")["edge-2"]["500"] == counts >= 20
    assert site.answers("app.test") == {"edge-1": {"good"}, "edge-2": {"good", "500"}, "edge-3": {"good"}}
    assert site.answers("calm.test") == WELL
    node = site.nodes["edge-2"]
    with node.client() as client:
        assert client.get_drift().differences == []
        status = client.get_status()
    assert "withdrawn by guard: route" in status.last_guarded.detail
    fleet = status.fleet
    assert (fleet.node, fleet.revision, fleet.nodes, fleet.nodes_off) == ("edge-2", before.revision, 3, 0)
    assert (fleet.returned_revision, fleet.returned_why, fleet.canary) == (header.revision, past.why, False)


def test_steps_that_pass(site: Site) -> None:
    """One node, then all of them, and then it is the fleet's document; nobody has lost a request."""
    before = site.begin()
    header = site.roll_out(site.text(site.better), Canary(steps=("1", "100%"), watch=1, min_requests=1))
    assert site.settled(header).fate == "live"
    site.nodes.wait_live(header)
    assert header.revision > before.revision
    site.clients.wait_more("app.test")
    assert site.answers("app.test") == {name: {"good", "better"} for name in NAMES}
    assert site.answers("calm.test") == WELL
    assert not site.view().version(keys.NEXT)


def test_a_rollout_whose_pusher_is_gone_is_decided(site: Site) -> None:
    """The lock ends with the lease of whoever held it; a node goes on with the rollout."""
    site.begin()
    header = site.roll_out(site.text(site.better), Canary(watch=1, min_requests=1), seconds=2)
    assert site.view().driver == "laptop"
    assert site.settled(header).fate == "live"
    site.nodes.wait_live(header)


def test_a_document_that_a_canary_cannot_make_live_is_returned(site: Site) -> None:
    """What is wrong on that node is told in its own words, and nothing has changed anywhere."""
    site.begin()
    text = document(
        free_port(),
        route(site.good, "app.test", mode="l7", tls_cert="/nowhere/cert.pem", tls_key="/nowhere/key.pem"),
    ).replace('protocol = "http"\n', "")
    past = site.settled(site.roll_out(text, Canary(named=("edge-3",), watch=600)))
    assert past.fate == "returned"
    assert past.why.startswith("edge-3: ")
    assert "/nowhere/cert.pem" in past.why
    site.clients.wait_more("app.test")
    for hostname in ("app.test", "calm.test"):
        assert site.answers(hostname) == WELL


def test_an_aborted_rollout_leaves_no_trace(site: Site) -> None:
    """Whoever aborts it: the canary serves what the others do."""
    before = site.begin()
    header = site.roll_out(site.text(site.better), Canary(named=("edge-1",), watch=600))

    def tried() -> bool:
        return "better" in site.answers("app.test")["edge-1"]

    site.clients.wait(tried, "the canary serves it")

    site.end()
    assert site.settled(header).why == "aborted by ops-2"
    site.nodes.wait_live(before)
    site.clients.wait_more("app.test")
    assert site.answers("app.test") == {"edge-1": {"good", "better"}, "edge-2": {"good"}, "edge-3": {"good"}}
    assert site.answers("calm.test") == WELL


def test_edits_amid_a_rollout(site: Site) -> None:
    """Of what it leaves alone they are made, everywhere, and outlive its return; what it changes is refused; a node's own edit is back after it."""
    before = site.begin()
    addr = f":{site.port}"
    with site.nodes["edge-1"].client() as canary, site.nodes["edge-2"].client() as other:
        canary.update_route(addr, "app.test", backend=f"127.0.0.1:{site.better}", node="edge-1")
        site.clients.wait(lambda: "better" in site.answers("app.test")["edge-1"], "the node's own edit is in effect")
        header = site.roll_out(site.text(site.turning), Canary(named=("edge-1",), watch=600))
        site.nodes.wait(lambda: canary.get_status().fleet.canary or None, "the canary tries it")
        site.nodes.wait(lambda: canary.get_status().fleet.revision == header.revision or None, "it is live there")
        assert canary.get_status().fleet.tried_revision == header.revision
        with pytest.raises(FailedPreconditionError, match=f"the rollout of revision {header.revision} changes route"):
            other.update_route(addr, "app.test", backend=f"127.0.0.1:{site.better}")
        with pytest.raises(FailedPreconditionError, match=f"the rollout of revision {header.revision} changes route"):
            canary.update_route(addr, "app.test", backend=f"127.0.0.1:{site.failing}")
        other.update_route(addr, "calm.test", idle_timeout="1m17s", wait=30)
        site.end()
        assert site.settled(header).fate == "returned"
        site.nodes.wait_live(before)
        for node in site.nodes:
            with node.client() as client:
                timeouts = {one.hostname: one.idle_timeout for one in client.list_routes().routes}
            assert timeouts["calm.test"] == "1m17s", node.name
        backends = {one.hostname: one.backend for one in canary.list_routes().routes}
        assert backends["app.test"] == f"127.0.0.1:{site.better}"
        canary.revert_edit(all=True)
        other.revert_edit(all=True)
    assert site.answers("calm.test") == WELL


def test_a_guarded_document_that_was_pushed_to_all_is_undone_on_each_node(site: Site) -> None:
    """By what its own requests come to, and for itself: the store has no edit of that, and the next document counts."""
    site.begin()
    guarded = '[guard]\nwatch = "10m"\nmin_requests = 20\n'
    header = site.nodes.push(guarded + site.text(site.failing))

    def undone() -> bool:
        found = []
        for node in site.nodes:
            with node.client() as client:
                found += [(one.edit.author, one.edit.id < FIRST_EDIT) for one in client.get_drift().differences]
        return found == [("guard", True)] * len(NAMES)

    site.clients.wait(undone, "each node has undone it")
    site.nodes.wait_live(header)
    site.clients.wait_more("app.test")
    counts = {name: found["500"] for name, found in site.clients.counts("app.test").items()}
    site.clients.wait_more("app.test", 30)
    assert {name: found["500"] for name, found in site.clients.counts("app.test").items()} == counts
    assert site.view().edits == ()
    assert site.answers("calm.test") == WELL
    site.nodes.wait_live(site.nodes.push(guarded + site.text(site.better)))
    site.clients.wait(lambda: all("better" in found for found in site.answers("app.test").values()), "it counts")


@pytest.mark.soak
def test_rollouts_while_leaders_of_the_store_are_killed(tmp_path: Path, certs: Certificates) -> None:
    """Of three members one is gone in the middle of each: nobody is away for that, and no request fails that should not."""
    with running(tmp_path, certs, 3) as nodes, asked(nodes) as site:
        site.begin()
        header = site.roll_out(site.text(site.better), Canary(steps=("1", "2", "100%"), watch=2, min_requests=1))
        nodes.cluster.leader().kill()
        past = site.settled(header)
        assert (past.fate, past.why) == ("live", "")
        nodes.wait_live(header)
        nodes.cluster.wait_healthy()
        failing = site.roll_out(site.text(site.failing), Canary(named=("edge-3",), watch=600, min_requests=20))
        nodes.cluster.leader().kill()
        assert site.settled(failing).why.startswith("edge-3: route ")
        nodes.wait_live(header)
        well = {"good", "better"}
        assert site.answers("app.test") == {"edge-1": well, "edge-2": well, "edge-3": {*well, "500"}}
        assert site.answers("calm.test") == WELL


@pytest.mark.soak
def test_a_canary_that_is_away_returns_it_and_comes_back_to_what_all_run(site: Site) -> None:
    """Its workers serve on without control; the others decide when its lease has ended, and it follows when it is back."""
    before = site.begin()
    header = site.roll_out(site.text(site.better), Canary(named=("edge-1",), watch=600))
    site.clients.wait(lambda: "better" in site.answers("app.test")["edge-1"], "the canary serves it")
    site.nodes["edge-1"].proxy.kill_control()
    past = site.settled(header)
    assert (past.fate, past.why) == ("returned", "edge-1 is away")
    site.nodes["edge-1"].proxy.start()
    site.nodes.wait_live(before)
    site.clients.wait_more("app.test")
    assert site.answers("calm.test") == WELL


@pytest.mark.soak
def test_a_canary_whose_control_starts_again_goes_on_judging(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch is in its database: what fails then is found by the next control."""
    before = site.begin()
    header = site.roll_out(site.text(site.turning), Canary(named=("edge-1",), watch=600, min_requests=20))
    node = site.nodes["edge-1"]

    def watching() -> bool:
        record = site.view().nodes.get("edge-1")
        return record is not None and record.canary is not None and record.canary.progress == "watching"

    site.nodes.wait(watching, "it is watched")
    node.proxy.kill_control()
    node.proxy.start()
    site.nodes.wait(watching, "it is watched again")
    assert site.view().version(keys.ROLLOUT)
    monkeypatch.setattr(Turning, "status", 500)
    past = site.settled(header)
    assert past.fate == "returned"
    assert "requests failed" in past.why
    site.nodes.wait_live(before)
    assert site.answers("calm.test") == WELL


@pytest.mark.soak
def test_a_canary_that_is_replaced_by_a_new_control_goes_on(site: Site) -> None:
    """As an upgrade in the middle of a rollout does: the new one judges by the watch of the old one, and nobody is away."""
    site.begin()
    header = site.roll_out(site.text(site.better), Canary(named=("edge-2",), watch=12, min_requests=1))
    node = site.nodes["edge-2"]
    with node.client() as client:
        site.nodes.wait(lambda: client.get_status().guards, "it is watched")
        pid = client.get_status().pid
        client.restart()
        site.nodes.wait(lambda: client.get_status().pid != pid, "the new control answers")
    past = site.settled(header)
    assert (past.fate, past.why) == ("live", "")

    def live() -> bool:
        return [one.revision for one in site.view().nodes.values()] == [header.revision] * len(NAMES)

    site.nodes.wait(live, "it is live on all nodes")
    assert site.answers("calm.test") == WELL

"""A fleet's store that takes nothing more, that somebody else vouches for, or that was restored from a backup; and a node that was told so."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from mcproxy.client.errors import UnavailableError
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.nodes import PREFIX, Nodes, fleet_of
from tests.support.ports import free_port
from tests.support.settings import listener, route

pytestmark = pytest.mark.soak


@pytest.fixture
def nodes(tmp_path: Path, certs: Certificates) -> Iterator[Nodes]:
    with contextlib.closing(Cluster(tmp_path, certs, size=1, quota=6 << 20)) as cluster:
        cluster.allow("edge-1", PREFIX)
        cluster.demand_names()
        with fleet_of(cluster, certs, ("edge-1",)) as nodes:
            nodes.start()
            yield nodes


def document(addr: str, *hostnames: str) -> str:
    routes = [route(1, hostname) for hostname in hostnames]
    return tomlkit.dumps({"proxy": {"workers": 1}, "listeners": [listener(addr, routes)]})


def test_a_store_that_is_full(nodes: Nodes) -> None:
    """Changes are refused with what is to be done about it, and what is there is served; then all is as before."""
    addr, node = f":{free_port()}", nodes["edge-1"]
    nodes.wait_live(nodes.push(document(addr, "a.test")))
    filler = "x" * 100_000
    with contextlib.suppress(AssertionError):
        for number in range(90):
            nodes.cluster.ctl("put", f"/other/{number}", filler)
    with node.client() as client, pytest.raises(UnavailableError, match="etcdctl alarm disarm"):
        client.add_route(addr, "b.test", "127.0.0.1:1")
    assert node.hostnames() == ["a.test"]
    nodes.cluster.ctl("del", "--prefix", "/other/")
    nodes.cluster.ctl("compact", str(nodes.cluster.revision()))
    nodes.cluster.ctl("defrag")
    nodes.cluster.ctl("alarm", "disarm")

    def added() -> bool:
        with node.client() as client, contextlib.suppress(UnavailableError):
            client.add_route(addr, "b.test", "127.0.0.1:1")
            return True
        return False

    nodes.wait(added, "changes are made again")
    assert node.hostnames() == ["a.test", "b.test"]


def test_a_store_that_somebody_else_vouches_for(nodes: Nodes, tmp_path: Path) -> None:
    """The node says so, and starts with what it knows; with the right CA it is the fleet's again, without a restart."""
    addr, node = f":{free_port()}", nodes["edge-1"]
    nodes.wait_live(nodes.push(document(addr, "a.test")))
    right = node.proxy.config.read_text()
    (tmp_path / "other").mkdir()
    other = Certificates(tmp_path / "other", "another CA")
    node.proxy.stop()
    wrong = nodes.text("edge-1", node.address).replace(f'ca = "{nodes.cluster.ca}"', f'ca = "{other.ca}"')
    node.proxy.save(wrong)
    node.proxy.start()
    assert node.hostnames() == ["a.test"]
    with node.client() as client, pytest.raises(UnavailableError, match="certificate"):
        client.add_route(addr, "b.test", "127.0.0.1:1")
    header = nodes.push(document(addr, "a.test", "c.test"))
    node.proxy.save(right)
    nodes.wait_live(header)
    assert node.hostnames() == ["a.test", "c.test"]


def test_a_store_that_was_restored_from_a_backup(nodes: Nodes, tmp_path: Path) -> None:
    """Its document counts, though it is an older one, and the operator is told; numbers are not given twice."""
    addr, node = f":{free_port()}", nodes["edge-1"]
    nodes.wait_live(nodes.push(document(addr, "a.test")))
    nodes.cluster.ctl("snapshot", "save", str(tmp_path / "backup"))
    nodes.wait_live(nodes.push(document(addr, "b.test")))
    nodes.cluster.restore(tmp_path / "backup")
    nodes.wait(lambda: node.hostnames() == ["a.test"], "the restored document is live")
    node.proxy.wait_for_log("was a backup of its store restored")
    with node.client() as client:
        client.add_route(addr, "c.test", "127.0.0.1:1")
    assert node.hostnames() == ["a.test", "c.test"]


def test_a_node_whose_control_is_replaced(nodes: Nodes) -> None:
    """The new one goes on as the same node, with the fleet's edits and its own."""
    addr, node = f":{free_port()}", nodes["edge-1"]
    nodes.wait_live(nodes.push(document(addr, "a.test")))
    with node.client() as client:
        shared = client.add_route(addr, "b.test", "127.0.0.1:1").edits[0].id
        own = client.add_route(addr, "c.test", "127.0.0.1:1", node="edge-1").edits[0].id
    before = nodes.view().nodes["edge-1"].since
    with node.client() as client:
        client.restart(author="ann")
    nodes.wait(lambda: nodes.view().nodes["edge-1"].since > before, "the new control says that it is there")
    assert node.hostnames() == ["a.test", "b.test", "c.test"]
    with node.client() as client:
        assert {difference.edit.id for difference in client.get_drift().differences} == {shared, own}
        client.revert_edit(all=True)
    assert node.hostnames() == ["a.test"]
    assert "is the node edge-1 too" not in node.proxy.stderr


def test_a_machine_joins_a_fleet_and_leaves_it(nodes: Nodes, tmp_path: Path) -> None:
    """By a reload of its file: as long as the fleet's document is not known, what it serves goes on."""
    addr, node = f":{free_port()}", nodes["edge-1"]
    fleet = node.proxy.config.read_text()
    alone = '[log]\nformat = "json"\n' + document(addr, "alone.test")
    node.proxy.save(alone)
    nodes.wait(lambda: node.hostnames() == ["alone.test"], "it serves its own file")
    nodes.wait(lambda: "edge-1" not in nodes.view().nodes, "it is no node any more")
    node.proxy.save(fleet)
    node.proxy.wait_for_log("the fleet's document is not known yet, and what is served goes on")
    assert node.hostnames() == ["alone.test"]
    nodes.wait_live(nodes.push(document(addr, "a.test")))
    assert node.hostnames() == ["a.test"]

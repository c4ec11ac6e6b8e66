"""What a fleet does in time, and what it costs when nothing happens: three nodes and three etcds on this machine."""

import contextlib
import time
from collections.abc import Iterator

import psutil
import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.nodes import PREFIX, Nodes, fleet_of
from tests.support.ports import free_port
from tests.support.settings import listener, route

NAMES = ("edge-1", "edge-2", "edge-3")
ROUTES = 10_000
PUSHES = 30

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Nodes]:
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("etcd"), certs)) as cluster:
        for name in NAMES:
            cluster.allow(name, PREFIX)
        cluster.demand_names()
        with fleet_of(cluster, certs, NAMES) as nodes:
            nodes.start()
            yield nodes


def document(port: int, count: int, backend: int) -> str:
    routes = [route(backend, f"host-{number}.test") for number in range(count)]
    return tomlkit.dumps({"proxy": {"workers": 1}, "listeners": [listener(f":{port}", routes)]})


def seconds_to_all(nodes: Nodes, text: str) -> float:
    """Push a document, and return after how many seconds all nodes serve it, by their own record of when."""
    began = time.time()
    header = nodes.push(text)
    nodes.wait_live(header, 120)
    return max(record.time for record in nodes.view().nodes.values()) - began


def test_an_idle_fleet_asks_little(nodes: Nodes) -> None:
    """One watch for each node, and a few requests a second for all of them together."""
    nodes.wait_live(nodes.push(document(free_port(), 10, 1)))
    watches = sum(metric(nodes, "etcd_debugging_mvcc_watcher_total"))
    before, cpu, began = sum(metric(nodes, "grpc_server_started_total")), processor(nodes), time.monotonic()
    time.sleep(20)
    took = time.monotonic() - began
    requests = (sum(metric(nodes, "grpc_server_started_total")) - before) / took
    share = (processor(nodes) - cpu) / took / len(NAMES)
    print(
        f"idle: {watches:g} watches, {requests:.1f} requests/s to etcd, {100 * share:.2f} % of a core for each control"
    )
    assert watches == len(NAMES)
    assert requests < 10


def test_pushes_reach_all_nodes(nodes: Nodes) -> None:
    """Figures of an idle machine are in docs/fleet.md; here one push may take as long as anything on a loaded machine."""
    port = free_port()
    took = sorted(seconds_to_all(nodes, document(port, 10, number + 1)) for number in range(PUSHES))
    print(f"push -> live on three: median {took[PUSHES // 2]:.3f} s, slowest of {PUSHES} {took[-1]:.3f} s")
    assert took[PUSHES // 2] < 10


def test_a_large_document_reaches_all_nodes(nodes: Nodes) -> None:
    """Ten thousand routes, and then a change of one of them."""
    port = free_port()
    first = seconds_to_all(nodes, document(port, ROUTES, 1))
    text = document(port, ROUTES, 1).replace("host-77.test", "other-77.test")
    second = seconds_to_all(nodes, text)
    print(f"{ROUTES:,} routes -> live on three: {first:.2f} s, one of them changed: {second:.2f} s")
    assert second < 60


def metric(nodes: Nodes, name: str) -> list[float]:
    """Return the values of a metric on all members of the store."""
    lines = [line for member in nodes.cluster.members for line in nodes.cluster.metrics(member).splitlines()]
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]


def processor(nodes: Nodes) -> float:
    """Return the seconds of processor time that the controls have taken."""
    total = 0.0
    for node in nodes:
        times = psutil.Process(node.proxy.pid).cpu_times()
        total += times.user + times.system
    return total

"""Documents are pushed to a fleet: judged by the node that is asked, compared and swapped, live on every node."""

import contextlib
import http.client
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import (
    AbortedError,
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.etcd import Cluster
from tests.support.nodes import Nodes, fleet_of
from tests.support.ports import free_port


class Edges:
    """Two nodes and their store.

    Attributes:
        cluster: the store.
        nodes: as they are tested.
        clients: of each.
        port: of a listener of the documents.
    """

    def __init__(self, cluster: Cluster, nodes: Nodes, stack: contextlib.ExitStack) -> None:
        self.cluster, self.nodes = cluster, nodes
        self.clients = [stack.enter_context(node.client()) for node in nodes]
        self.port = free_port()

    def document(self, *hosts: str, more: str = "") -> str:
        """Return a document whose hosts answer with their name."""
        routes = "".join(f'[[listeners.routes]]\nhostname = "{host}"\nrespond = "{host}"\n' for host in hosts)
        return f'[proxy]\nworkers = 1\n[[listeners]]\naddr = ":{self.port}"\nprotocol = "http"\n{routes}{more}'

    def push(self, *hosts: str, at: int = 0) -> int:
        """Push such a document; return its revision when it is live."""
        answer = self.clients[at].push_fleet([("site.toml", self.document(*hosts))], author="test")
        self.wait_live(answer.document.revision)
        return answer.document.revision

    def wait_live(self, revision: int) -> None:
        """Wait until both nodes say that a revision is live."""

        def live() -> bool:
            return all(
                [node.revision == revision for node in client.get_fleet().nodes] == [True] * 2
                for client in self.clients
            )

        self.nodes.wait(live, f"revision {revision} is live")

    def ask(self, host: str) -> list[tuple[int, str]]:
        """Return status and text of what each node answers."""
        return [_get(node.address, self.port, host) for node in self.nodes]


def _get(address: str, port: int, host: str) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection(address, port, timeout=30)) as connection:
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Edges]:
    """Return two nodes and their store, which these tests share."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(contextlib.closing(Cluster(tmp_path_factory.mktemp("etcd"), certs, size=1)))
        nodes = stack.enter_context(fleet_of(cluster, certs, ("edge-1", "edge-2")))
        for node in nodes:
            cluster.allow(node.name, nodes.prefix)
        cluster.demand_names()
        nodes.start()
        yield Edges(cluster, nodes, stack)


def revision(client: Client) -> int:
    return client.get_fleet().document.revision


def test_a_document_is_live_on_every_node(edges: Edges) -> None:
    """With what it includes; who pushed it, and as what, is told by every node."""
    first, second = edges.clients
    main = f'include = ["conf.d/*.toml"]\n{edges.document("a.example")}'
    more = f'[[routes]]\nlistener = ":{edges.port}"\nhostname = "b.example"\nrespond = "b"\n'
    answer = first.push_fleet([("site.toml", main), ("conf.d/b.toml", more)], author="ops-1", label="commit 3fa9")
    assert any(line.startswith("+ route") and "b.toml:1" in line for line in answer.lines)
    edges.wait_live(answer.document.revision)
    assert edges.ask("b.example") == [(200, "b")] * 2
    for node, client in zip(edges.nodes, edges.clients, strict=True):
        found = client.get_fleet()
        told = found.document
        assert (told.author, told.label, told.node) == ("ops-1", "commit 3fa9", "edge-1")
        assert [each.name for each in found.nodes] == ["edge-1", "edge-2"]
        assert found.connected
        assert (found.node, found.prefix) == (node.name, edges.nodes.prefix)
    past = second.list_fleet_history().past[0]
    assert (past.document.revision, past.fate) == (answer.document.revision, "live")
    audit = first.list_audit(1).entries[0]
    assert (audit.action, audit.author) == ("PushFleet", "ops-1")


def test_who_pushes_over_what_was_not_looked_at_is_told_what_came_between(edges: Edges) -> None:
    """Whoever it was, and when; nothing is pushed then."""
    first, second = edges.clients
    seen = revision(first)
    pushed = edges.push("a.example", "c.example")
    files = [("site.toml", edges.document("a.example", "d.example"))]
    with pytest.raises(AbortedError, match=rf"someone pushed revision {pushed} \(test, .* ago\) since you looked"):
        second.push_fleet(files, author="ops-2", over=seen)
    plan = second.plan_fleet(files)
    assert plan.document.revision == pushed
    assert second.push_fleet(files, author="ops-2", over=pushed).document.revision == pushed + 1
    edges.wait_live(pushed + 1)


def test_a_document_is_not_planned_as_a_nodes_own_file(edges: Edges) -> None:
    """Which would end that it is a node; a file of a node is."""
    client = edges.clients[0]
    with pytest.raises(FailedPreconditionError, match="fleet diff FILE plans a file as that"):
        client.plan(edges.document("a.example"))
    own = edges.nodes["edge-1"].proxy.config.read_text(encoding="utf-8")
    (line,) = client.plan(f'{own}\n[grpc]\nsocket_mode = "0660"\n').lines
    assert line.startswith("~ setting grpc.socket_mode")


def test_of_many_pushes_at_once_one_wins(edges: Edges) -> None:
    """All others are told, and no revision is given twice."""
    over = revision(edges.clients[0])
    outcomes: list[object] = []

    def push(number: int) -> None:
        client = edges.clients[number % 2]
        try:
            files = [("site.toml", edges.document("a.example", f"n{number}.example"))]
            outcomes.append(client.push_fleet(files, author=f"ops-{number}", over=over).document.revision)
        except AbortedError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert won == [over + 1]
    assert sum("since you looked" in str(outcome) for outcome in outcomes) == 5
    edges.wait_live(over + 1)


def test_what_is_wrong_is_refused_before_anybody_has_it(edges: Edges) -> None:
    """Mistakes, tests that fail, files that this node lacks, what belongs to each node, names that leave the folder."""
    client = edges.clients[0]
    before = revision(client)
    good = edges.document("a.example")
    failing = f'[[tests]]\nrequest = "GET http://a.example:{edges.port}/"\nexpect = {{ status = 404 }}\n'
    certificate = 'hostname = "tls.example"\nmode = "l7"\ntls_cert = "own.pem"\ntls_key = "own.key"\nbackend = "h:1"\n'
    rows = [
        ([("site.toml", good.replace("respond", "respnd"))], "files.listeners[0].routes[0]", "site.toml:"),
        ([("site.toml", 'include = ["b.toml"]\n'), ("b.toml", "[[")], "files", "b.toml:1:"),
        (
            [("site.toml", good + failing)],
            "files",
            "expected status 404, got status 200 by route a.example (site.toml:6)",
        ),
        (
            [("site.toml", f'[[listeners]]\naddr = ":1"\n[[listeners.routes]]\n{certificate}')],
            "files.listeners[0].routes[0].tls_cert",
            str(edges.nodes["edge-1"].proxy.folder / "own.pem"),
        ),
        ([("site.toml", '[metrics]\naddr = ":9"\n')], "files.metrics", "is each node's own"),
        ([("../site.toml", good)], "files", "is not in the folder of the main file"),
        ([], "files", "it has no files"),
        (
            [("site.toml", f'include = ["conf.d/*.toml", "b.toml"]\n{good}')],
            "files.include[1]",
            "b.toml, which was not sent",
        ),
        ([("site.toml", f'include = ["/etc/hostname"]\n{good}'), ("b.toml", "")], "files.include[0]", "was not sent"),
    ]
    for files, field, words in rows:
        for call in (client.plan_fleet, client.push_fleet):
            with pytest.raises(InvalidArgumentError) as told:
                call(files)
            assert any(name.startswith(field) and words in message for name, message in told.value.violations), (
                told.value.violations
            )
    for text in ("x" * 300, "a\nb"):
        with pytest.raises(InvalidArgumentError, match="label: must have at most"):
            client.push_fleet([("site.toml", good)], label=text)
    assert revision(client) == before


def test_what_takes_most_away_is_asked_for_first(edges: Edges) -> None:
    """It is judged once, where it is pushed; nodes make live what was allowed."""
    edges.push(*(f"s{number}.example" for number in range(20)))
    small = [("site.toml", edges.document("a.example"))]
    client = edges.clients[1]
    with pytest.raises(FailedPreconditionError, match=r"20 of the 20 hostnames .*fleet push --allow-shrink"):
        client.push_fleet(small)
    answer = client.push_fleet(small, allow_shrink=True)
    edges.wait_live(answer.document.revision)
    assert edges.ask("a.example") == [(200, "a.example")] * 2
    assert [status for status, _ in edges.ask("s1.example")] == [421] * 2


def test_the_command_tells_what_was_done(edges: Edges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the plan to the last node; the same files again change nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCPROXY_ADDR", edges.clients[0].target.addr)
    Path("site.toml").write_text(edges.document("a.example", "z.example"))
    looked = run_ctl("fleet", "diff", "site.toml", "--exit-code")
    assert looked.status == 3
    assert f"+ route :{edges.port} z.example" in looked.stdout
    pushed = run_ctl("fleet", "push", "site.toml", "--label", "3fa9c1", "--author", "ops-1")
    assert pushed.status == 0, pushed.stderr
    number = revision(edges.clients[0])
    assert re.search(rf"^pushed revision {number} \(ops-1, \S+ ago, 3fa9c1\)$", pushed.stdout, re.MULTILINE)
    assert pushed.stdout.endswith(f"revision {number} is live on 2 nodes\n")
    again = run_ctl("fleet", "push", "site.toml")
    assert (again.status, revision(edges.clients[0])) == (0, number)
    assert run_ctl("fleet", "diff", "site.toml", "--exit-code").status == 0
    shown = run_ctl("fleet").stdout
    assert f"revision {number} (ops-1, " in shown
    assert "2 nodes, 2 live" in shown
    rows = [line.split() for line in run_ctl("fleet", "history").stdout.splitlines()]
    assert rows[1][0] == str(number)
    assert rows[1][-1] == "live"


def test_canaries_that_there_are_not_are_refused(edges: Edges) -> None:
    """A node that is away, steps that lead nowhere; and there is nothing to end."""
    client = edges.clients[0]
    files = [("site.toml", edges.document("a.example", "y.example"))]
    with pytest.raises(FailedPreconditionError, match=r"no node edge-9 in the fleet now; there are edge-1, edge-2"):
        client.push_fleet(files, canary=pb.FleetCanary(nodes=["edge-9"]))
    with pytest.raises(InvalidArgumentError, match=r"canary\.steps: .*no step forward"):
        client.push_fleet(files, canary=pb.FleetCanary(steps=["2", "1"]))
    with pytest.raises(InvalidArgumentError, match=r"canary\.max_errors: must be between 0 and 1"):
        client.push_fleet(files, canary=pb.FleetCanary(max_errors=2))
    with pytest.raises(FailedPreconditionError, match="no rollout is going on"):
        client.abort_rollout()


def test_while_the_store_is_away_changes_are_refused(edges: Edges) -> None:
    """With the time since when; what is served goes on, and pushes count again as soon as the store is back."""
    (member,) = edges.cluster.members
    client = edges.clients[0]
    edges.push("a.example")
    member.kill()
    edges.nodes.wait(lambda: not client.get_fleet().connected, "the store is missed")
    assert member.endpoint in client.get_fleet().why_away
    for call in (
        lambda: client.push_fleet([("site.toml", edges.document("a.example", "b.example"))]),
        client.abort_rollout,
    ):
        with pytest.raises(UnavailableError, match=r"the fleet's store is away since \d\d:\d\dZ?: "):
            call()
    assert edges.ask("a.example") == [(200, "a.example")] * 2
    edges.cluster.wait_healthy()
    edges.nodes.wait(lambda: all(each.get_fleet().connected for each in edges.clients), "the store is seen")
    edges.push("a.example", "b.example")


def test_a_server_without_a_fleet(reloaded: StartProxy) -> None:
    """It says so to each of these calls."""
    edge = reloaded('[[listeners]]\naddr = "127.0.0.1:PORT"\n')
    with Client(f"unix:{edge.folder / 'mc-proxy.sock'}") as client:
        calls = (
            client.get_fleet,
            client.list_fleet_history,
            client.abort_rollout,
            lambda: client.plan_fleet([("a.toml", "")]),
            lambda: client.push_fleet([("a.toml", "")]),
        )
        for call in calls:
            with pytest.raises(FailedPreconditionError, match=r"no node of a fleet: \[fleet\] in its config file"):
                call()

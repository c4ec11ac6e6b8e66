"""`mcproxy demo --fleet`: three nodes that serve one document from an etcd, on loopback."""

import http.client
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.demo.etcd import Etcd
from mcproxy.cli.demo.server import Server
from mcproxy.cli.demo.site import TlsBackend
from mcproxy.cli.demo.text import Checks, wrapped
from mcproxy.client import AbortedError, Client, ClientError
from mcproxy.control.files.certificates import make_ca

_NAME = "shop.localhost"
_NODE = """\
[log]
format = "json"

[fleet]
endpoints = ["{endpoint}"]
ca = "{ca}"
cert = "{cert}"
key = "{key}"
prefix = "/mcproxy/demo"
node = "{name}"
address = "{address}"
"""
_DOCUMENT = """\
[proxy]
workers = 1
shutdown_timeout = "1s"

[[listeners]]
addr = ":{port}"
protocol = "http"

[[listeners.routes]]
hostname = "shop.localhost"
backend = "127.0.0.1:{backend}"
backend_tls = true
backend_ca = "{ca}"
backend_server_name = "shop.localhost"

[[tests]]
name = "the shop is open"
request = "GET http://shop.localhost:{port}/"
expect = {{ step = "backend" }}
"""
_MAIN = "mc-proxy.toml"
_NODES = ("edge-1", "edge-2", "edge-3")
_PATIENCE = 40.0  # seconds; on a machine that is not busy each step takes one or two
_PAUSE = 0.02


def demo() -> int:
    """Show what a fleet does; 0 when all went as it should."""
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="mcproxy-demo-") as folder, ExitStack() as stack:
        _Tour(Path(folder), stack, checks).run()
        return checks.end()


class _Node:
    """A node: its folder, its file, the process, and a client of its admin API.

    Attributes:
        name: of the node.
        address: where it listens.
    """

    def __init__(self, folder: Path, etcd: Etcd, name: str, address: str) -> None:
        self.name, self.address = name, address
        self._folder = folder / name
        self._folder.mkdir()
        cert, key = etcd.certificate(name, (name,), client=True)
        self.config = self._folder / _MAIN
        self.config.write_text(
            _NODE.format(endpoint=etcd.endpoint, ca=etcd.ca, cert=cert, key=key, name=name, address=address)
        )
        self._server = Server(self.config)

    def ready(self) -> Client:
        """Wait until it serves, and return a client of it."""
        self._server.wait_for("serving")
        return Client(config=self.config)

    def restart(self) -> None:
        """End it, and start it again."""
        self._server.stop()
        self._server = Server(self.config)
        self._server.wait_for("serving")

    def stop(self) -> None:
        """End it."""
        self._server.stop()

    def ask(self, port: int) -> str:
        """Return status and first line of what it answers."""
        connection = http.client.HTTPConnection(self.address, port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": f"{_NAME}:{port}"})
            response = connection.getresponse()
            first = response.read().decode().splitlines()[0]
            return f"{response.status} {first.removeprefix(str(response.status)).strip()}"
        except OSError as error:
            return f"failed: {error}"
        finally:
            connection.close()


class _Tour:
    """The steps."""

    def __init__(self, folder: Path, stack: ExitStack, checks: Checks) -> None:
        self._checks = checks
        self._etcd = Etcd(folder, make_ca("mcproxy demo store CA"))
        stack.callback(self._etcd.close)
        ca = make_ca("mcproxy demo CA")
        self._ca = folder / "ca.crt"
        self._ca.write_bytes(ca.certificate)
        self._backends = [TlsBackend(title, [_NAME], ca, folder) for title in ("blue", "green")]
        for backend in self._backends:
            stack.callback(backend.close)
        with ExitStack() as ports:
            free = [ports.enter_context(socket.create_server(("0.0.0.0", 0))) for _ in range(2)]  # as nodes will
            self._port, self._dead = (each.getsockname()[1] for each in free)
        self._nodes = [
            _Node(folder, self._etcd, name, f"127.0.0.{number}") for number, name in enumerate(_NODES, start=2)
        ]
        for node in self._nodes:
            stack.callback(node.stop)
        self._clients = [stack.enter_context(node.ready()) for node in self._nodes]

    def run(self) -> None:
        """Push, push twice at once, edit, try a mistake on a canary, lose the store."""
        print(f"Three nodes on {', '.join(node.address for node in self._nodes)} port {self._port}, and one etcd.")
        print("Each node has a file of ten lines; what they serve is a document in etcd.\n")
        print("1. mcproxyctl fleet push mc-proxy.toml, at any node:")
        self._push("blue", self._clients[0])
        self._check_all("blue answers")
        print("\n2. Two people push at once, over what both have looked at:")
        self._push_twice()
        print("\n3. A runtime edit at one node is the fleet's:")
        self._edit()
        print("\n4. A wrong port, on one node first: --canary 1")
        self._canary()
        print("\n5. etcd is killed (kill -9). All serve on, and one node starts without it:")
        self._lose_store()

    def _push(self, title: str, client: Client, over: int | None = None) -> int:
        began = time.monotonic()
        answer = client.push_fleet(self._files(title), author="you", label=title, over=over)
        for line in answer.lines:
            print(wrapped(line))
        revision = answer.document.revision
        self._wait(lambda: all(self._runs(client, revision) for client in self._clients))
        took = (time.monotonic() - began) * 1000
        live = all(self._runs(client, revision) for client in self._clients)
        self._checks.check(f"revision {revision} is live on {len(self._nodes)} nodes after {took:.0f} ms", live)
        return revision

    def _push_twice(self) -> None:
        over = self._clients[0].get_fleet().document.revision
        self._push("green", self._clients[1], over)
        try:
            self._clients[2].push_fleet(self._files("blue"), author="somebody else", over=over)
        except AbortedError as error:
            self._checks.check(f"the other one is told: {error}", "someone pushed revision" in str(error))
        else:
            self._checks.surprise("the other push was taken, too")
        self._check_all("green answers")

    def _edit(self) -> None:
        route = ("route", [f":{self._port}", _NAME])
        blue = f"127.0.0.1:{self._backends[0].port}"
        self._clients[0].put_resource(*route, {"backend": blue}, author="you", reason="a test")
        self._wait(lambda: self._answers("blue answers"))
        self._check_all("blue answers")
        edits = self._clients[2].get_drift().differences
        told = edits[0].edit.author if edits else "nobody"
        self._checks.check(f"{_NODES[2]} knows whose doing it is: {told}", told == "you")
        self._clients[2].revert_edit(all=True, author="you")
        self._wait(lambda: self._answers("green answers"))
        self._checks.check("reverted at another node: green answers everywhere", self._answers("green answers"))

    def _canary(self) -> None:
        canary = pb.FleetCanary(steps=["1"], min_requests=10)
        canary.watch.FromSeconds(30)
        answer = self._clients[0].push_fleet(self._files(""), author="you", label="wrong port", canary=canary)
        (tried,) = answer.canaries
        print(wrapped(f"revision {answer.document.revision} is tried on {tried}"))
        counts = {node.name: [0, 0] for node in self._nodes}

        def returned() -> bool:
            for node in self._nodes:
                counts[node.name][not node.ask(self._port).startswith("200")] += 1
            return not self._clients[0].get_fleet().HasField("rollout")

        self._wait(returned)
        past = self._clients[0].list_fleet_history().past[0]
        self._checks.check(f"{past.fate}: {past.why}", past.fate == "returned")
        failed = {name: wrong for name, (_, wrong) in counts.items() if wrong}
        asked = sum(sum(pair) for pair in counts.values())
        only = f"of {asked} requests {sum(failed.values())} failed, all of them on {', '.join(failed) or 'no node'}"
        self._checks.check(only, list(failed) == [tried])
        self._wait(lambda: self._answers("green answers"))
        self._check_all("green answers")

    def _lose_store(self) -> None:
        self._etcd.kill()
        fleet = self._clients[0].get_fleet
        self._wait(lambda: not fleet().connected)
        try:
            self._clients[0].push_fleet(self._files("blue"), author="you")
        except ClientError as error:
            self._checks.check(f"changes are refused: {error}", "away since" in str(error))
        else:
            self._checks.surprise("a push was taken")
        self._nodes[2].restart()
        self._check_all("green answers")
        self._etcd.start()
        self._wait(lambda: all(client.get_fleet().connected for client in self._clients))
        print("   etcd is there again:")
        self._push("blue", self._clients[2])
        self._check_all("blue answers")

    def _files(self, title: str) -> Sequence[tuple[str, str]]:
        """Return the document that leads to a backend; to one that is not there without a title."""
        ports = {"blue": self._backends[0].port, "green": self._backends[1].port}
        text = _DOCUMENT.format(port=self._port, backend=ports.get(title, self._dead), ca=self._ca)
        return [(_MAIN, text)]

    def _runs(self, client: Client, revision: int) -> bool:
        fleet = client.get_fleet()
        return any(node.name == fleet.node and node.revision == revision for node in fleet.nodes)

    def _answers(self, words: str) -> bool:
        return all(words in node.ask(self._port) for node in self._nodes)

    def _check_all(self, words: str) -> None:
        """Ask every node, and show what it answers."""
        for node in self._nodes:
            answer = node.ask(self._port)
            self._checks.check(f"http://{_NAME} at {node.address}: {answer}", words in answer)

    def _wait(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, or long enough: what is checked next tells."""
        until = time.monotonic() + _PATIENCE
        while not holds() and time.monotonic() < until:
            time.sleep(_PAUSE)

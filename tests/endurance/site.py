"""What the load goes through: a proxy with a listener per kind of client, backends, and a file that changes all the time.

The routes that carry load never change; beside them, on the same listeners, routes come, change and go with each edit, and
so do whole listeners.
"""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import tomlkit

from tests.endurance.clients import http1, http2, rpc, websockets
from tests.endurance.load import Kind
from tests.support.certificates import Certificates
from tests.support.grpc_service import GrpcServer
from tests.support.l7 import BACKEND_NAME, AppServer, l7_route, start_hypercorn
from tests.support.load import Load
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy
from tests.support.settings import Table, listener, route

HOST = "127.0.0.1"
LISTENERS = {"l4": "PORT_L", "http1": "PORT_H", "http2": "PORT_T", "websocket": "PORT_W", "grpc": "PORT_G"}
"""Placeholders of the listeners' ports, by what goes through them."""
WORKERS = 2
DRAIN_SECONDS = 45
"""How long workers may drain: longer than any conversation lasts, so that none is cut by its end."""
_TALK_SECONDS = 12.0
_OTHERS = 12  # routes that come and go
HOSTNAME = "stays.test"


class Site(msgspec.Struct, frozen=True):
    """What runs.

    Attributes:
        edge: the proxy.
        edits: the file's texts.
        tasks: the folder in which its processes tell of their tasks.
        relayed: the L4 load and its backend.
        kinds: the other load.
    """

    edge: Proxy
    edits: "Edits"
    tasks: Path
    relayed: Load
    kinds: list[Kind]


class Edits:
    """The config file, with other routes beside those under load in each text."""

    def __init__(self, certs: Certificates, l4: int, app: AppServer, grpc_port: int, seed: int, data_path: str) -> None:
        self._random = random.Random(seed)
        self._data_path = data_path
        self._others: dict[int, bool] = {}
        self._more = False
        self._backend = f"{HOST}:{l4}"
        http2_backend = {"backend_protocol": "h2"}
        self._stays = {
            "l4": route(l4, HOSTNAME),
            "http1": l7_route(certs, app.port, HOSTNAME),
            "http2": l7_route(certs, app.port, HOSTNAME, **http2_backend),
            "websocket": l7_route(certs, app.port, HOSTNAME),
            "grpc": l7_route(certs, grpc_port, HOSTNAME, **http2_backend),
        }
        pair = certs.server(*(f"r{number}.test" for number in range(_OTHERS)))
        files = {"tls_cert": str(pair.certificate), "tls_key": str(pair.key)}
        self._terminated = route(app.port, mode="l7", **files)

    def step(self) -> str:
        """Return the next text; something differs from the last one."""
        for number in self._random.sample(range(_OTHERS), 2):
            if self._others.get(number) is not None and self._random.random() < 0.3:
                del self._others[number]
            else:
                self._others[number] = not self._others.get(number, False)
        # by chance, as samples and edits would keep step with each other for minutes
        self._more = self._random.random() < 0.2
        return self.text()

    def text(self) -> str:
        """Return the text as it is now."""
        listeners = [
            listener(f"{HOST}:{port}", [self._stays[kind], *self._beside(kind)]) for kind, port in LISTENERS.items()
        ]
        if self._more:
            listeners.append(listener(f"{HOST}:PORT_X", [route(self._backend, "x.test")]))
        tables: Table = {
            "log": {"access": "access.log"},
            # so few that the history is full, and the database as large as it gets, when the warm-up is over
            "database": {"keep_revisions": 10},
            "proxy": {"workers": WORKERS, "shutdown_timeout": f"{DRAIN_SECONDS}s", "data_path": self._data_path},
            "metrics": {"addr": f"{HOST}:PORT_M"},
            "listeners": listeners,
        }
        return tomlkit.dumps(tables)

    def _beside(self, kind: str) -> Iterator[Table]:
        for number, changed in sorted(self._others.items()):
            timeout = {"connect_timeout": "7s" if changed else "8s"}
            if kind == "l4":
                yield {**route(self._backend, f"r{number}.test"), **timeout}
            else:
                yield {**self._terminated, "hostname": f"r{number}.test", **timeout}


@contextlib.contextmanager
def running_site(processes: Processes, folder: Path, seed: int, data_path: str) -> Iterator[Site]:
    """Start the backends and the proxy; the load is for the caller to begin."""
    certs, tasks, home = Certificates(folder), folder / "tasks", folder / "edge"
    for each in (tasks, home):
        each.mkdir()
    with Load(seed) as relayed, GrpcServer(certs.server(BACKEND_NAME)) as server:
        # past so many requests of a connection, 1,000 if it is not told, hypercorn breaks off those under way (0.18)
        settings = folder / "hypercorn.toml"
        settings.write_text("keep_alive_max_requests = 1_000_000_000\n")
        app = start_hypercorn(processes, certs, settings)
        edits = Edits(certs, relayed.backend("l4"), app, server.port, seed, data_path)
        hook = Path(__file__).parent / "hook"
        environment = {"PYTHONPATH": f"{hook}:{ROOT}", "MCPROXY_ENDURANCE_TASKS": str(tasks)}
        edge = Proxy(processes, home, edits.text(), environment=environment)
        edge.start()
        try:
            yield Site(edge, edits, tasks, relayed, _kinds(edge, certs.ca.read_bytes()))
        finally:
            edge.close()


def _kinds(edge: Proxy, ca: bytes) -> list[Kind]:
    def kind(name: str, listener: str, clients: int, pause: float, seconds: float = _TALK_SECONDS) -> Kind:
        port = edge.port(LISTENERS[listener].removeprefix("PORT_"))
        address = HOST, port
        conversation = {
            "http1": lambda: http1(address, HOSTNAME),
            "http2": lambda: http2(address, HOSTNAME),
            "websocket": lambda: websockets(address, HOSTNAME),
            "grpc": lambda: rpc(address, HOSTNAME, ca),
        }[listener]()
        return Kind(name, port, conversation, clients, seconds, pause)

    return [
        kind("http1", "http1", 4, 0.1),
        kind("http1 new", "http1", 1, 0.1, 0.0),
        kind("http2", "http2", 3, 0.2),
        kind("http2 new", "http2", 1, 0.2, 0.0),
        kind("websocket", "websocket", 4, 0.1),
        kind("grpc", "grpc", 2, 0.1),
    ]

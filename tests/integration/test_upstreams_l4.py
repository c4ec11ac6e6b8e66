"""Connections of an l4 route to an upstream: whoever chooses, the turns are the same and everything is counted."""

import contextlib
import select
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import Client
from tests.support.admin import client
from tests.support.l4 import HELLO, RawBackend, reset
from tests.support.lifecycle import apply
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener
from tests.support.tls import receive_exactly

pytestmark = pytest.mark.both_data_paths

WEIGHTS = (1, 2, 1)
ANSWER = b"answer"


def text(*ports: int, first: str = "ready", tries: int = 3) -> str:
    endpoints: list[Table] = [
        {"address": f"127.0.0.1:{port}", "weight": weight} for port, weight in zip(ports, WEIGHTS, strict=True)
    ]
    endpoints[0]["state"] = first
    tables: Table = {
        "proxy": {"workers": 1},
        "upstreams": {"web": {"endpoints": endpoints, "eject": False, "tries": tries}},
        "listeners": [listener("127.0.0.1:PORT", [{"hostname": "l4.test", "backend": "web"}])],
    }
    return tomlkit.dumps(tables)


class Scene(NamedTuple):
    """The proxy with one worker, and three endpoints."""

    proxy: Proxy
    admin: Client
    backends: tuple[RawBackend, RawBackend, RawBackend]

    def text(self, first: str = "ready", tries: int = 3) -> str:
        """Return the config, with a state of the first endpoint."""
        return text(*(backend.port for backend in self.backends), first=first, tries=tries)

    def join(self) -> tuple[int, socket.socket, socket.socket]:
        """Connect through the proxy; return which endpoint it is, and both ends."""
        near = self.backends[0].connect(("127.0.0.1", self.proxy.port()), HELLO)
        sockets = {each.listening: number for number, each in enumerate(self.backends) if each.listening.fileno() >= 0}
        ready, _, _ = select.select(sockets, (), (), 30)
        number = sockets[ready[0]]
        far = self.backends[number].accept()
        assert receive_exactly(far, len(HELLO)) == HELLO
        far.sendall(ANSWER)
        assert receive_exactly(near, len(ANSWER)) == ANSWER
        return number, near, far

    def visit(self, count: int) -> Counter[int]:
        """Connect so many times, one after the other; return how often each endpoint was it."""
        found: Counter[int] = Counter()
        for _ in range(count):
            number, near, far = self.join()
            near.close()
            assert far.recv(1) == b""
            far.close()
            found[number] += 1
        return found

    def told(self, number: int) -> pb.Endpoint:
        """Return what is counted at an endpoint."""
        return self.admin.list_endpoints("web").endpoints[number]

    def at_rest(self, number: int) -> pb.Endpoint:
        """Return the same when nothing is open there."""
        until(lambda: self.told(number).active == 0, "its connections have ended")
        return self.told(number)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Start everything once for all tests here."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True)))
        processes = stack.enter_context(Processes(folder))
        first, second, third = (stack.enter_context(RawBackend()) for _ in WEIGHTS)
        proxy = stack.enter_context(
            contextlib.closing(Proxy(processes, folder, text(first.port, second.port, third.port)))
        )
        proxy.start()
        yield Scene(proxy, stack.enter_context(client(proxy)), (first, second, third))


def test_turns_go_by_weight_and_all_is_counted(scene: Scene) -> None:
    """Exactly: every cycle of four turns has two of the second; connections and bytes in both directions."""
    before = [scene.at_rest(number) for number in range(3)]
    visits = scene.visit(24)
    assert visits == {0: 6, 1: 12, 2: 6}
    for number, old in enumerate(before):
        count = visits[number]

        def counted(number: int = number, old: pb.Endpoint = old, count: int = count) -> bool:
            now = scene.told(number)
            begun, received = now.connections - old.connections, now.bytes_received - old.bytes_received
            sent = now.bytes_sent - old.bytes_sent
            return (begun, received, sent) == (count, count * len(HELLO), count * len(ANSWER))

        until(counted, "all is counted")
        scene.at_rest(number)


def test_what_is_open_is_told(scene: Scene) -> None:
    """While it is, at the endpoint where it is."""
    number, near, far = scene.join()
    until(lambda: scene.told(number).active == 1, "it is told")
    near.close()
    far.close()
    scene.at_rest(number)


def test_one_that_breaks_off_is_counted_for_it(scene: Scene) -> None:
    """Once for a connection, which is open there no more."""
    number, near, far = scene.join()
    before = scene.told(number).resets
    reset(far)
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    until(lambda: scene.told(number).resets == before + 1, "it is counted")
    scene.at_rest(number)


def test_turns_go_on_over_reloads(scene: Scene) -> None:
    """Those that change the upstream, however often: nobody is favoured."""
    found: Counter[int] = Counter()
    for turn in range(8):
        found += scene.visit(1)
        apply(scene.proxy, scene.text(tries=2 + turn % 2))
    assert found == {0: 2, 1: 4, 2: 2}


def test_an_endpoint_in_drain_gets_nothing(scene: Scene) -> None:
    """And its turns again afterwards."""
    apply(scene.proxy, scene.text("drain"))
    assert scene.visit(6) == {1: 4, 2: 2}
    apply(scene.proxy, scene.text())
    assert scene.visit(8)[0] >= 1


def test_the_turns_of_one_that_is_gone_are_shared(scene: Scene) -> None:
    """No connection is lost; when it is back it has its turns again."""
    gone = scene.backends[0]
    gone.listening.close()
    found = scene.visit(12)
    assert found[0] == 0
    assert min(found[1], found[2]) >= 3
    until(lambda: scene.told(0).dial_failures >= 1, "it is counted")
    scene.at_rest(0)
    gone.listening = gone.keep(socket.create_server(("127.0.0.1", gone.port), backlog=64))
    gone.listening.settimeout(10)
    until(lambda: scene.visit(4)[0] >= 1, "it is used again")

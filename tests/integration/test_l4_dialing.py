"""Backends that are slow to be reached: silent addresses, names with several, Unix sockets whose queue is full."""

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.counters import counted
from tests.support.l4 import HELLO, RawBackend, config
from tests.support.name_service import NameService
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.tls import client_hello

pytestmark = pytest.mark.both_data_paths


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> NameService:
    return NameService(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="module")
def start(names: NameService) -> Iterator[Callable[[str], Proxy]]:
    """Serve configs by one proxy, whose names are the tests'; it knows a name's addresses for half a minute."""
    with (
        tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as folder,
        Processes(Path(folder)) as processes,
        contextlib.ExitStack() as stack,
    ):
        started: list[Proxy] = []

        def start(text: str) -> Proxy:
            if started:
                started[0].serve_instead(text)
            else:
                started.append(
                    stack.enter_context(contextlib.closing(Proxy(processes, Path(folder), text, names.under)))
                )
                started[0].start()
            return started[0]

        yield start


@contextlib.contextmanager
def silent_and_alive(first: str, second: str) -> Iterator[RawBackend]:
    """Yield a backend at the second address; at the first, with the same port, nobody answers."""
    with RawBackend(second) as backend, contextlib.ExitStack() as stack:
        family = socket.AF_INET6 if ":" in first else socket.AF_INET
        listening = stack.enter_context(socket.socket(family))
        listening.bind((first, backend.port))
        listening.listen(0)
        for _ in range(3):  # its queue is full: the kernel ignores whoever else wants to connect
            waiting = stack.enter_context(socket.socket(family))
            waiting.setblocking(False)
            waiting.connect_ex((first, backend.port))
        yield backend


@pytest.mark.parametrize(
    ("first", "second"), [("127.7.7.2", "127.7.7.1"), ("::1", "127.7.7.1"), ("127.7.7.1", "::1")], ids=str
)
def test_a_silent_first_address_costs_one_connection_a_quarter_of_a_second(
    start: Callable[[str], Proxy], names: NameService, first: str, second: str
) -> None:
    """The next address is dialed after 250 ms, and later connections begin with it."""
    with silent_and_alive(first, second) as backend:
        name = f"backend-{backend.port}.test"
        names.answer({name: [first, second]})
        served = start(config({"l4.test": f"{name}:{backend.port}"}, connect_timeout="8s"))
        took = []
        for _ in range(6):
            began = time.monotonic()
            client, _ = backend.join(("127.0.0.1", served.port()))
            took.append(time.monotonic() - began)
            client.close()
        assert 0.24 < took[0] < 5
        assert sorted(took)[2] < 0.24, took


@pytest.mark.soak
def test_a_known_address_serves_while_dns_is_silent(start: Callable[[str], Proxy], names: NameService) -> None:
    """Long after the answer has become old: connections wait for DNS no longer than a moment, once."""
    with RawBackend() as backend:
        names.answer({"backend.test": ["127.0.0.1"]})
        served = start(config({"l4.test": f"backend.test:{backend.port}"}))
        address = ("127.0.0.1", served.port())
        backend.join(address)
        names.answer({"backend.test": None})
        time.sleep(31)  # as long as an answer counts
        took = []
        for _ in range(5):
            began = time.monotonic()
            backend.join(address)
            took.append(time.monotonic() - began)
        names.wait_until_asked("backend.test", 2)
        assert max(took) < 3
        assert sorted(took)[2] < 0.2, took


def test_names_of_a_dead_zone_leave_others_alone(start: Callable[[str], Proxy], names: NameService) -> None:
    """Forty names that DNS does not answer for: a healthy one beside them is looked up at once."""
    dead = [f"backend-{number}.dead.test" for number in range(40)]
    with RawBackend() as backend:
        names.answer({"alive.dead.test": ["127.0.0.1"], **dict.fromkeys(dead)})
        routes = {f"d{number}.test": f"{name}:443" for number, name in enumerate(dead)}
        served = start(config({"l4.test": f"alive.dead.test:{backend.port}", **routes}))
        address = ("127.0.0.1", served.port())
        for number, name in enumerate(dead):
            backend.connect(address, client_hello(f"d{number}.test"))
            names.wait_until_asked(name, 1)
        began = time.monotonic()
        backend.join(address)
        assert time.monotonic() - began < 4.5  # a lookup takes 5 s and more where nobody answers


@pytest.mark.parametrize("workers", [1, 2])
def test_a_busy_unix_socket_loses_no_client(reloaded: StartProxy, tmp_path: Path, workers: int) -> None:
    """Thirty clients at once, a backend that takes one after another from a queue of four: all are served."""
    path = tmp_path / "backend.sock"
    with socket.socket(socket.AF_UNIX) as listening, RawBackend() as clients:
        listening.bind(str(path))
        listening.listen(4)
        listening.settimeout(10)
        served = reloaded(config({"l4.test": f"unix:{path}"}, workers=workers))

        def answer() -> None:
            for _ in range(30):
                sock = listening.accept()[0]
                with sock:
                    sock.recv(len(HELLO), socket.MSG_WAITALL)
                    sock.sendall(b"served")

        waiting = [clients.connect(("127.0.0.1", served.port()), HELLO) for _ in range(30)]
        thread = threading.Thread(target=answer)
        thread.start()
        assert [sock.recv(6, socket.MSG_WAITALL) for sock in waiting] == [b"served"] * 30
        thread.join()
    assert all(not totals.refused for totals in counted(served).values())

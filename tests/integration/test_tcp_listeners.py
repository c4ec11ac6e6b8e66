"""Listeners with ``protocol = "tcp"``: servers that speak first, peers that speak anything, a change while clients connect."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.conftest import StartProxy
from tests.support.admin import client as admin_client
from tests.support.certificates import Certificates
from tests.support.counters import counted
from tests.support.l4 import HELLO, RawBackend, wait_for
from tests.support.openssl import openssl_client, start_openssl_server
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.proxy_header import receive
from tests.support.settings import config, listener, route
from tests.support.tls import receive_exactly

pytestmark = pytest.mark.both_data_paths

BANNER = b"220 mail.test ESMTP\r\n"


class Greeter:
    """A server that greets every client, then sends back what it gets."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                sock.sendall(BANNER)
                while data := sock.recv(65_536):
                    sock.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def greeter() -> Iterator[Greeter]:
    server = Greeter()
    yield server
    server.close()


def greeted(address: tuple[str, int]) -> float:
    """Return after how many seconds a client that sends nothing has the greeting."""
    began = time.monotonic()
    with socket.create_connection(address, timeout=30) as sock:
        assert receive_exactly(sock, len(BANNER)) == BANNER
    return time.monotonic() - began


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_server_greets_clients_that_say_nothing(reloaded: StartProxy, greeter: Greeter, host: str) -> None:
    """No worker waits for bytes, and the kernel holds no connection back, which would take it a second."""
    served = reloaded(config(listener(":PORT", [route(greeter.port)], protocol="tcp"), workers=2))
    assert min(greeted((host, served.port())) for _ in range(5)) < 0.5


def test_tls_and_other_protocols_reach_the_backend_untouched(
    reloaded: StartProxy, processes: Processes, certs: Certificates, greeter: Greeter
) -> None:
    """The handshake is between client and server, with any server name or none; limits and counts hold as for TLS."""
    server = start_openssl_server(processes, certs.server("app.l4.test"))
    served = reloaded(
        config(
            listener("127.0.0.1:PORT", [route(server.port)], protocol="tcp"),
            listener("127.0.0.1:PORT_B", [route(greeter.port)], protocol="tcp", max_connections=1),
        )
    )
    for name in ("app.l4.test", None):
        done = openssl_client(("127.0.0.1", served.port()), name, certs.ca, data=b"abc\nCLOSE\n")
        assert done.returncode == 0
        assert b"cba" in done.stdout
    with socket.create_connection(("127.0.0.1", served.port("B")), timeout=30) as first:
        first.sendall(b"\x00\xff" * 1000)
        assert receive_exactly(first, len(BANNER) + 2000) == BANNER + b"\x00\xff" * 1000
        with (
            pytest.raises(ConnectionResetError),  # perhaps while it connects: the kernel has accepted it by then
            socket.create_connection(("127.0.0.1", served.port("B")), timeout=30) as second,
        ):
            second.recv(1)
    totals = counted(served)
    assert totals[f"127.0.0.1:{served.port('B')}"].refused == {"limit": 1}
    assert totals[f"127.0.0.1:{served.port()}"].refused == {}


def test_the_backend_gets_a_proxy_header_before_the_client_speaks(reloaded: StartProxy) -> None:
    """It can greet the client by its address."""
    with RawBackend() as backend:
        named = route(backend.port, send_proxy_protocol=True)
        served = reloaded(config(listener("127.0.0.1:PORT", [named], protocol="tcp")))
        client = backend.connect(("127.0.0.1", served.port()))
        accepted = backend.accept()
        names = receive(accepted)
        assert names is not None
        assert (names.source, names.source_port) == client.getsockname()
        accepted.sendall(BANNER)
        assert receive_exactly(client, len(BANNER)) == BANNER


class Clients:
    """Clients that connect one after the other with a hello, and want it back behind the greeting."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._stopping = threading.Event()
        self.served = 0
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with socket.create_connection(self._address, timeout=30) as sock:
                    sock.sendall(HELLO)
                    assert receive_exactly(sock, len(BANNER) + len(HELLO)) == BANNER + HELLO
            except Exception as error:  # noqa: BLE001 - told by the test
                self.errors.append(repr(error))
            else:
                self.served += 1

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def wait_for_more(clients: list[Clients], before: list[int]) -> None:
    """Wait until each client was served several times more."""
    wait_for(lambda: all(each.served > past + 5 for each, past in zip(clients, before, strict=True)), timeout=60)


def changed(served: Proxy, text: str, protocol: str) -> None:
    """Have another protocol served."""
    served.save(text)
    with admin_client(served) as admin:
        wait_for(lambda: {each.protocol for each in admin.list_listeners().listeners} == {protocol})


def test_a_change_of_the_protocol_refuses_no_connection(reloaded: StartProxy, greeter: Greeter) -> None:
    """The listening sockets stay, and so do open connections; clients of either protocol are served at once."""
    texts = {
        protocol: config(
            listener("127.0.0.1:PORT", [route(greeter.port)], protocol=protocol, max_connections=0), workers=2
        )
        for protocol in ("tls", "tcp")
    }
    served = reloaded(texts["tls"])
    address = "127.0.0.1", served.port()
    with socket.create_connection(address, timeout=30) as long_lived:
        long_lived.sendall(HELLO)
        assert receive_exactly(long_lived, len(BANNER) + len(HELLO))
        clients = [Clients(address) for _ in range(3)]
        for protocol in ("tcp", "tls") * 3:
            before = [each.served for each in clients]
            changed(served, texts[protocol], protocol)
            wait_for_more(clients, before)
            if protocol == "tcp":
                assert min(greeted(address) for _ in range(5)) < 0.5
        for each in clients:
            each.stop()
        assert [each.errors for each in clients] == [[], [], []]
        long_lived.sendall(b"still here")
        assert receive_exactly(long_lived, 10) == b"still here"
    assert counted(served)[f"127.0.0.1:{served.port()}"].refused == {}

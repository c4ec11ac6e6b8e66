"""The relay as its two peers see it: ends, resets, and time limits pass through the proxy as they happened."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.fleet import Fleet
from tests.support.l4 import HELLO, RawBackend, config, reset, wait_for
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.tls import receive_all, receive_exactly

pytestmark = pytest.mark.both_data_paths


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(fleet: Fleet, port: int) -> Iterator[Proxy]:
    with fleet.serve(config({"l4.test": f"127.0.0.1:{port}"})) as served:
        yield served


@pytest.fixture
def backend(port: int) -> Iterator[RawBackend]:
    with RawBackend(port=port) as backend:
        yield backend


def address(proxy: Proxy) -> tuple[str, int]:
    return "127.0.0.1", proxy.port()


def send_for_ever(sock: socket.socket) -> None:
    while True:
        sock.send(bytes(1 << 16))


def test_client_half_close_reaches_the_backend_and_answers_still_come(served: Proxy, backend: RawBackend) -> None:
    """After the client's FIN the backend has read everything and can still answer at length."""
    client, server = backend.join(address(served))
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert receive_all(server) == b"question"
    for _ in range(3):
        server.sendall(b"answer")
        assert receive_exactly(client, 6) == b"answer"
    server.close()
    assert client.recv(1) == b""


def test_backend_half_close_reaches_the_client_and_requests_still_go(served: Proxy, backend: RawBackend) -> None:
    """After the backend's FIN the client has read everything and can still send at length."""
    client, server = backend.join(address(served))
    server.sendall(b"all I have to say")
    server.shutdown(socket.SHUT_WR)
    assert receive_all(client) == b"all I have to say"
    for _ in range(3):
        client.sendall(b"upload")
        assert receive_exactly(server, 6) == b"upload"
    client.close()
    assert server.recv(1) == b""


def test_half_close_right_behind_the_hello_is_passed_on(served: Proxy, backend: RawBackend) -> None:
    """A FIN that arrives together with the hello is not lost while the backend is dialed."""
    client = backend.connect(address(served), HELLO)
    client.shutdown(socket.SHUT_WR)
    server = backend.accept()
    assert receive_all(server) == HELLO
    server.sendall(b"goodbye")
    server.close()
    assert receive_all(client) == b"goodbye"


def test_what_a_backend_says_at_once_arrives(served: Proxy, backend: RawBackend) -> None:
    """A backend that speaks and half-closes before it has read anything is heard at once."""
    for _ in range(50):
        client = backend.connect(address(served), HELLO)
        server = backend.accept()
        server.sendall(b"busy")
        server.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"busy"
        assert receive_exactly(server, len(HELLO)) == HELLO


def test_reset_by_the_client_is_a_reset_at_the_backend(served: Proxy, backend: RawBackend) -> None:
    """A truncated upload does not look like a complete one."""
    client, server = backend.join(address(served))
    reset(client)
    with pytest.raises(ConnectionResetError):
        server.recv(1)


def test_reset_by_the_backend_is_a_reset_at_the_client(served: Proxy, backend: RawBackend) -> None:
    """A truncated download does not look like a complete one."""
    client, server = backend.join(address(served))
    reset(server)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


@pytest.mark.parametrize("who", ["client", "backend"])
def test_reset_after_half_close_is_passed_on(served: Proxy, backend: RawBackend, who: str) -> None:
    """A peer that has half-closed and then resets takes the connection down, though nothing is read from it any more."""
    client, server = backend.join(address(served))
    leaving, staying = (client, server) if who == "client" else (server, client)
    leaving.shutdown(socket.SHUT_WR)
    assert staying.recv(1) == b""
    reset(leaving)
    staying.settimeout(5)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):  # whichever the next operation meets first
        send_for_ever(staying)


def test_reset_reaches_a_peer_that_does_not_read(served: Proxy, backend: RawBackend) -> None:
    """Back-pressure does not hide a reset: the blocked side is reset too, although bytes for it were waiting."""
    client, server = backend.join(address(served))
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        send_for_ever(client)
    reset(client)
    with pytest.raises(ConnectionResetError):
        receive_all(server)


@pytest.mark.parametrize("ends", ["client", "backend"])
def test_a_half_closed_connection_has_a_limit_of_its_own(reloaded: StartProxy, backend: RawBackend, ends: str) -> None:
    """``half_closed_timeout`` counts from the last byte; a connection that nobody has ended is not affected."""
    served = reloaded(config({"l4.test": f"127.0.0.1:{backend.port}"}, half_closed_timeout="1s"))
    whole = backend.join(address(served))
    pair = backend.join(address(served))
    first, other = pair if ends == "client" else pair[::-1]
    first.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    for _ in range(3):
        time.sleep(0.5)
        other.sendall(b".")
        assert receive_exactly(first, 1) == b"."
    began = time.monotonic()
    assert first.recv(1) == b""
    assert 0.9 < time.monotonic() - began < 10
    whole[0].sendall(b"whole")
    assert receive_exactly(whole[1], 5) == b"whole"


def test_idle_connection_is_closed_and_a_busy_one_is_not(reloaded: StartProxy, backend: RawBackend) -> None:
    """``idle_timeout`` counts from the last byte in either direction, and ends both sides."""
    served = reloaded(config({"l4.test": f"127.0.0.1:{backend.port}"}, idle_timeout="1s"))
    idle_client, idle_server = backend.join(address(served))
    began = time.monotonic()
    busy_client, busy_server = backend.join(address(served))
    ended = 0.0
    idle_client.settimeout(0.25)
    while time.monotonic() < began + 2.5:
        busy_server.sendall(b"tick")
        assert receive_exactly(busy_client, 4) == b"tick"
        if not ended:
            try:
                assert idle_client.recv(1) == b""
            except TimeoutError:
                continue
            ended = time.monotonic() - began
        else:
            time.sleep(0.25)  # keeps the busy connection's pace
    assert 0.9 <= ended <= 2
    assert idle_server.recv(1) == b""


def test_a_connection_that_lasts_is_kept_alive(reloaded: StartProxy, port: int, backend: RawBackend) -> None:
    """Once a relay has outlived the time for dialing, the kernel watches over both of its sockets."""
    served = reloaded(config({"l4.test": f"127.0.0.1:{port}"}, connect_timeout="1s"))
    client, server = backend.join(address(served))
    with client, server:
        wait_for(lambda: has_keepalive_timer(client.getpeername(), client.getsockname()))
        wait_for(lambda: has_keepalive_timer(server.getpeername(), server.getsockname()))


def has_keepalive_timer(local: tuple[str, int], peer: tuple[str, int]) -> bool:
    """Tell whether a socket of this machine waits for nothing but its next keepalive probe (proc(5), /proc/net/tcp).

    The table is read in pieces while others change it, so a row may be missed or come twice: then the answer is no, or
    the one of either row.
    """
    names = [f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}" for host, port in (local, peer)]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any(row[5].startswith("02:") for row in rows if row[1:3] == names)


def test_a_unix_socket_backend_is_relayed_like_any_other(reloaded: StartProxy, short_folder: Path) -> None:
    """Bytes, half-close and bulk pass over a Unix socket."""
    with RawBackend(path=short_folder / "backend.sock") as backend:
        served = reloaded(config({"l4.test": f"unix:{short_folder}/backend.sock"}))
        client, server = backend.join(address(served))
        server.sendall(b"hi")
        assert receive_exactly(client, 2) == b"hi"
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.close()
        assert client.recv(1) == b""

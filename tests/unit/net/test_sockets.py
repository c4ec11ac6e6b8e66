"""Sockets as the proxy wants them, on loopback."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.net.sockets import (
    accept,
    for_transport,
    listen,
    memory_file,
    numeric,
    packed_address,
    peer_credentials,
    read_memory_file,
    reset_on_close,
    short_path,
    split_addr,
)
from tests.support.descriptors import open_descriptors
from tests.support.ports import free_port


@contextlib.contextmanager
def listening(addr: str, count: int = 3) -> Iterator[list[socket.socket]]:
    socks = listen(addr, count)
    try:
        yield socks
    finally:
        for sock in socks:
            sock.close()


def can_connect(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("addr", "parts"),
    [(":8443", ("", 8443)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_canonical_address_is_split(addr: str, parts: tuple[str, int]) -> None:
    """Host and port of each canonical form."""
    assert split_addr(addr) == parts


@pytest.mark.parametrize(
    ("form", "hosts"),
    [
        (":{}", {"127.0.0.1", "::1"}),
        ("127.0.0.1:{}", {"127.0.0.1"}),
        ("0.0.0.0:{}", {"127.0.0.1"}),
        ("[::1]:{}", {"::1"}),
        ("[::]:{}", {"::1"}),
    ],
)
def test_listens_on_exactly_the_families_that_the_address_says(form: str, hosts: set[str]) -> None:
    """No host means both families; an address of one family means that one alone."""
    port = free_port()
    with listening(form.format(port)):
        assert {host for host in ("127.0.0.1", "::1") if can_connect(host, port)} == hosts


def test_group_shares_one_address() -> None:
    """Every socket of the group is served by the kernel, and accepted sockets inherit what the group was set to."""
    port = free_port()
    with listening(f"127.0.0.1:{port}", 4) as group:
        assert len({sock.fileno() for sock in group}) == 4
        reached = set()
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
        for client in clients:
            client.send(b"x")  # the kernel holds back clients that have said nothing
        for number, sock in enumerate(group):
            with contextlib.suppress(BlockingIOError):
                while True:
                    accepted, _ = sock.accept()
                    reached.add(number)
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    accepted.close()
        for client in clients:
            client.close()
        assert reached == {0, 1, 2, 3}


def test_a_socket_for_a_transport_is_the_same_connection() -> None:
    """What an event loop gets is a `socket.socket` with keepalive, in the plain one's place."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        plain, peer = accept(listening, listening.family)
        number = plain.fileno()
        assert peer == client.getsockname()
        with for_transport(plain) as sock:
            assert type(sock) is socket.socket
            assert (sock.fileno(), plain.fileno()) == (number, -1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            sock.sendall(b"x")
            assert client.recv(1) == b"x"


@pytest.mark.parametrize("addr", [":{}", "127.0.0.1:{}"])
def test_address_of_another_listener_is_refused(addr: str) -> None:
    """A second group on one address is refused although both would share it (SO_REUSEPORT), and leaves nothing bound."""
    port = free_port()
    with listening(addr.format(port)) as first:
        with pytest.raises(OSError, match="in use") as caught:
            listen(addr.format(port), 3)
        assert caught.value.errno == errno.EADDRINUSE
        assert can_connect("127.0.0.1", port)
        assert all(sock.fileno() >= 0 for sock in first)
    with listening(addr.format(port)):
        assert can_connect("127.0.0.1", port)


def test_address_with_connections_in_time_wait_can_be_bound() -> None:
    """A restart does not wait for old connections to time out."""
    port = free_port()
    with listening(f"127.0.0.1:{port}", 1) as (sock,):
        client = socket.create_connection(("127.0.0.1", port))
        with client:
            client.send(b"x")
            accepted, _ = sock.accept()
            assert accepted.recv(1) == b"x"
            accepted.close()  # this side goes into TIME_WAIT
            assert client.recv(1) == b""
    with listening(f"127.0.0.1:{port}", 1):
        assert can_connect("127.0.0.1", port)


def test_address_of_another_machine_is_an_error() -> None:
    """What can't be bound is told as the kernel says it."""
    with pytest.raises(OSError, match="assign") as caught:
        listen("192.0.2.1:1234", 2)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_reset_on_close() -> None:
    """The peer of a socket closed so gets a reset instead of an end, also when nothing was left unread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=5)
        accepted, _ = server.accept()
        reset_on_close(accepted)
        accepted.close()
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)
        reset_on_close(accepted)  # harmless on a closed one


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("::ffff:192.0.2.1", socket.AF_INET6),
        ("localhost", None),
        ("1.2.3", None),
        ("127.1", None),
        ("fe80::1%lo", None),
        ("", None),
    ],
)
def test_numeric_hosts_need_no_lookup(host: str, family: int | None) -> None:
    """Whole IP literals are addresses, everything else is a name to be looked up."""
    assert numeric(host, 443) == (None if family is None else (family, (host, 443)))


@pytest.mark.parametrize(
    ("host", "packed"),
    [
        ("192.0.2.1", "c0000201"),
        ("::1", "00000000000000000000000000000001"),
        ("::ffff:192.0.2.1", "00000000000000000000ffffc0000201"),
        ("fe80::1%eth0", "fe800000000000000000000000000001"),
    ],
)
def test_packed_address(host: str, packed: str) -> None:
    """The bytes of an address; a zone is no part of it."""
    assert packed_address(host).hex() == packed


def test_peer_credentials() -> None:
    """Both ends of a pair made here belong to this process and user."""
    with socket.create_server(("127.0.0.1", 0)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert peer_credentials(ours) == (os.getpid(), os.getuid())


@pytest.mark.parametrize("depth", [0, 3])
def test_unix_socket_at_any_path(tmp_path: Path, depth: int) -> None:
    """A path beyond the kernel's 107 bytes can be bound and connected to, and no descriptor stays behind."""
    folder = tmp_path.joinpath(*["x" * 100] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    path = str(folder / "socket")
    before = open_descriptors()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with short_path(path) as name:
            assert len(name) <= 107
            server.bind(name)
        server.listen()
        with short_path(path) as name:
            client.connect(name)
        assert Path(path).is_socket()
    assert open_descriptors() <= before


def test_memory_file_holds_its_data() -> None:
    """What was put in can be read again and again through any copy of the descriptor, which is not inherited."""
    data = os.urandom(100_000)
    fd = memory_file("test", data)
    copy = os.dup(fd)
    os.lseek(copy, 500, os.SEEK_SET)
    assert read_memory_file(fd) == data
    assert read_memory_file(copy) == data
    assert not os.get_inheritable(fd)
    os.close(fd)
    os.close(copy)
    empty = memory_file("empty", b"")
    assert read_memory_file(empty) == b""
    os.close(empty)


@pytest.mark.parametrize("addr", ["192.0.2.1:0", "[2001:db8::1]:0"])
def test_an_address_that_is_not_there_yet(addr: str) -> None:
    """It can be bound on request, by every socket of the group; without that it can't."""
    with pytest.raises(OSError, match="assign"):
        listen(addr, 1)
    sockets = listen(addr, 2, free=True)
    assert [sock.getsockname()[0] for sock in sockets] == [addr.rpartition(":")[0].strip("[]")] * 2
    for sock in sockets:
        sock.close()


def test_freebind_is_no_way_around_another_listener() -> None:
    """An address that somebody else listens at is still refused."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        host, port = other.getsockname()
        with pytest.raises(OSError, match="in use"):
            listen(f"{host}:{port}", 1, free=True)

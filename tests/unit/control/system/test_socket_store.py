"""Listening sockets that the service manager holds."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.system.notify import notify
from mcproxy.control.system.socket_store import Passed, SocketStore, passed_sockets
from mcproxy.net.sockets import listen
from tests.support.notify import NotifySocket
from tests.support.proxy import ROOT

TELL = """
import os, sys
import msgspec
from mcproxy.control.system.socket_store import passed_sockets
os.environ["LISTEN_PID"] = sys.argv[1] or str(os.getpid())
found = passed_sockets()
flags = [(sock.get_inheritable(), sock.getblocking()) for group in found.groups.values() for sock in group]
groups = {addr: len(group) for addr, group in found.groups.items()}
left = [name for name in os.environ if name.startswith("LISTEN_")]
sys.stdout.buffer.write(msgspec.json.encode([groups, sorted(found.stored), sorted(found.units), flags, left]))
"""


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, short_folder: Path) -> Iterator[NotifySocket]:
    manager = NotifySocket(short_folder / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    yield manager
    manager.close()


def passed(sockets: list[socket.socket], names: str, pid: str = "") -> list[object]:
    """Return what a process finds that is passed these sockets, from descriptor 3 on."""
    # free ones, out of the way of those from 3 on: dup2 would close what this process has open there
    high = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for sock in sockets]
    moves = " ".join(f"{3 + number}<&{fd}" for number, fd in enumerate(high))
    try:
        told = subprocess.run(
            ["bash", "-c", f'exec "$@" {moves}', "bash", sys.executable, "-c", TELL, pid],
            capture_output=True,
            check=True,
            pass_fds=high,
            cwd=ROOT,
            timeout=60,
            env={**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names},
        )
    finally:
        for fd in high:
            os.close(fd)
    found: list[object] = msgspec.json.decode(told.stdout.splitlines()[-1])  # the log is in front
    return found


def test_sockets_are_found_by_the_addresses_of_listeners() -> None:
    """All families, as the file writes them; those of the store under the name they were given; nothing is passed on."""
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    six = socket.create_server(("::1", 0), family=socket.AF_INET6)
    four = listen("127.0.0.1:0", 2)
    idle, unix = socket.socket(), socket.socket(socket.AF_UNIX)
    sockets = [both, six, *four, idle, unix]
    names = "web:web:listener ;443:listener ;443:x:y"
    groups, stored, units, flags, left = passed(sockets, names)
    ports = [sock.getsockname()[1] for sock in (both, six)]
    assert groups == {f":{ports[0]}": 1, f"[::1]:{ports[1]}": 1, ":443": 2}
    assert stored == [":443"]
    assert units == sorted([f":{ports[0]}", f"[::1]:{ports[1]}"])
    assert flags == [[False, False]] * 4
    assert left == []
    for sock in sockets:
        sock.close()


def test_what_was_passed_to_another_process_is_left_alone() -> None:
    """As the variables are inherited by whatever that process starts."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert passed([sock], "web", pid="1")[0] == {}


@pytest.mark.parametrize("count", ["", "x"])
def test_without_a_service_manager_there_is_nothing(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    assert passed_sockets() == Passed()


def test_the_store_follows_the_listeners(manager: NotifySocket) -> None:
    """Each is stored once and removed once; those of .socket units never; a group of any size comes whole."""
    groups = {f"127.0.0.1:{number}": listen("127.0.0.1:0", count) for number, count in ((1, 2), (2, 250), (3, 1))}
    store = SocketStore(Passed({}, stored=["127.0.0.1:9"], units=["127.0.0.1:3"]))
    store.keep({addr: groups[addr] for addr in ("127.0.0.1:1", "127.0.0.1:3")})
    store.keep(groups)
    store.keep({"127.0.0.1:2": groups["127.0.0.1:2"]})
    notify("READY=1")
    assert manager.wait_for("READY=1", 5)
    told = [line for line in manager.states() if not line.startswith("FDNAME")]
    assert told == ["FDSTOREREMOVE=1", *["FDSTORE=1"] * 3, "FDSTOREREMOVE=1", "READY=1"]
    assert [name for name, _ in manager.kept()] == ["listener 127.0.0.1;2"] * 250
    assert store.stored == {"127.0.0.1:2"}
    for sock in (sock for group in groups.values() for sock in group):
        sock.close()

"""The admin API's listeners: who gets in by the Unix socket and by mutual TLS, and how they open, move and close."""

import contextlib
import os
import signal
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import tomlkit

from mcproxy._pb import admin_pb2 as pb
from tests.conftest import StartProxy
from tests.support.bare_admin import Admin, mutual_tls, unix
from tests.support.certificates import Certificates, Leaf
from tests.support.l4 import serve
from tests.support.lifecycle import applied, apply, end
from tests.support.load import until
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy
from tests.support.settings import listener, route

HOST = "127.0.0.1"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def text(**grpc_keys: str) -> str:
    """Return a config with these keys of [grpc]."""
    tables = {
        "proxy": {"workers": 1, "shutdown_timeout": "1s"},
        "grpc": grpc_keys,
        "listeners": [listener(f"{HOST}:PORT", [route(9)])],
    }
    return tomlkit.dumps(tables)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.contextmanager
def another_server(path: Path) -> Iterator[socket.socket]:
    """Serve a Unix socket as another program does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        sock.settimeout(5)
        yield sock


def still_serves(path: Path, sock: socket.socket) -> bool:
    """Tell whether a client of the path comes out at the socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        sock.accept()[0].close()
    return True


@pytest.fixture(scope="module")
def edge() -> Iterator[Proxy]:
    """Serve for all tests here; each begins with the file it needs."""
    before = os.umask(0)
    try:
        with serve(text()) as proxy:
            yield proxy
    finally:
        os.umask(before)


def refused_reload(edge: Proxy, wanted: str) -> str:
    """Save a file that can't be made live, wait until that is said, and return the errors."""
    generation = edge_generation(edge)
    since = edge.mark()
    edge.save(wanted)
    edge.wait_for_log("nothing changed", since=since)
    assert edge_generation(edge) == generation
    return edge.stderr[since:]


def edge_generation(edge: Proxy) -> int:
    with unix(edge) as admin:
        return int(admin.call("GetStatus").generation)


def test_the_socket_is_its_owners_alone_unless_the_file_says_otherwise(edge: Proxy) -> None:
    """Whatever the umask; a changed mode is changed at reload, on the same socket."""
    path = edge.folder / "mc-proxy.sock"
    assert mode(path) == 0o600
    inode = path.stat().st_ino
    apply(edge, text(socket_mode="0660"))
    until(lambda: mode(path) == 0o660, "the mode is changed")
    assert path.stat().st_ino == inode
    apply(edge, text(socket_mode="0600"))
    until(lambda: mode(path) == 0o600, "the mode is changed back")


def test_a_mode_that_can_not_be_changed_is_no_end(edge: Proxy) -> None:
    """Somebody removed the socket's file: the rest of the change is live, and the next path works."""
    (edge.folder / "mc-proxy.sock").unlink()
    since = edge.mark()
    apply(edge, text(socket_mode="0644"))
    edge.wait_for_log("mode can't be changed", since=since)
    apply(edge, text(socket="other.sock"))
    apply(edge, text())
    assert edge_generation(edge)


def test_a_socket_moves(edge: Proxy) -> None:
    """The new one answers, the old one is gone, and who asked for it through the old one is answered."""
    with unix(edge) as old:
        old.call("GetStatus")
        since = edge.mark()
        edge.save(text(socket="moved.sock", socket_mode="0640"))
        answer = old.call("Reload")
        with unix(edge, "moved.sock") as new:
            assert new.call("GetStatus").generation >= answer.generation
        assert "setting grpc.socket" in applied(edge, since)
    until(lambda: not (edge.folder / "mc-proxy.sock").exists(), "the old socket is gone")
    assert mode(edge.folder / "moved.sock") == 0o640
    apply(edge, text())
    assert edge_generation(edge)
    until(lambda: not (edge.folder / "moved.sock").exists(), "the socket that was moved away is gone")


def test_what_is_not_ours_is_never_taken(edge: Proxy) -> None:
    """Another program's live socket and a plain file: an error, and all is as it was."""
    path = edge.folder / "taken.sock"
    with another_server(path) as sock:
        assert f"another process serves {path.name};" in refused_reload(edge, text(socket="taken.sock"))
        assert still_serves(path, sock)
    path.unlink()
    path.write_text("mine", encoding="utf-8")
    assert f"{path.name} is there, and is no socket" in refused_reload(edge, text(socket="taken.sock"))
    assert path.read_text(encoding="utf-8") == "mine"
    assert "can't be bound" in refused_reload(edge, text(socket="none/taken.sock"))
    apply(edge, text(socket_mode="0640"))
    apply(edge, text())


def test_a_start_takes_over_a_dead_socket_and_no_live_one(
    proxy: StartProxy, processes: Processes, short_folder: Path
) -> None:
    """A live one: the start fails, with a message, and the other program serves on."""
    path = short_folder / "x.sock"
    config = short_folder / "live.toml"
    wanted = text(socket=str(path)).replace("PORT", "0")
    config.write_text(wanted.replace(":0", f":{free_port()}"), encoding="utf-8")
    with another_server(path) as sock:
        started = processes.start(
            *(sys.executable, "-m", "mcproxy", "serve", "--config", config), env={"PYTHONPATH": str(ROOT)}
        )
        assert started.wait(60) == 1
        assert f"mcproxy: grpc.socket: another process serves {path}" in started.stderr
        assert "Traceback" not in started.stderr
        assert still_serves(path, sock)
    assert path.exists()
    edge = proxy(text(socket=str(path)))
    with Admin(f"unix:{path}") as admin:
        assert admin.call("GetStatus").generation == 1
    assert end(edge) == 0
    assert not path.exists()


def test_who_calls_before_all_is_live_is_answered_when_it_is(processes: Processes, short_folder: Path) -> None:
    """The socket is there a moment before the first generation: calls wait for that."""
    config = short_folder / "mc-proxy.toml"
    config.write_text(text().replace("PORT", str(free_port())), encoding="utf-8")
    processes.start(*(sys.executable, "-m", "mcproxy", "serve", "--config", config), env={"PYTHONPATH": str(ROOT)})
    path = short_folder / "mc-proxy.sock"
    until(path.exists, "the socket is bound", timeout=60)
    with Admin(f"unix:{path}") as admin:
        assert [each.addr for each in admin.call("ListListeners").listeners] != []


class Tls:
    """A server certificate that is renewed, and clients of it."""

    def __init__(self, folder: Path, certs: Certificates) -> None:
        self.folder = folder
        self._certs = certs
        self._issued = 0
        self.keys = {"tls_cert": "grpc.crt", "tls_key": "grpc.key", "client_ca": str(certs.ca)}

    def renew(self) -> Leaf:
        """Put a new certificate and its key in place."""
        self._issued += 1
        end = datetime.now(UTC) + timedelta(days=200 + self._issued)
        leaf = self._certs.server("localhost", HOST, not_after=end)
        self.put("grpc.crt", leaf.certificate)
        self.put("grpc.key", leaf.key)
        return leaf

    def put(self, name: str, source: Path) -> None:
        temporary = self.folder / f"{name}.new"
        temporary.write_bytes(source.read_bytes())
        temporary.replace(self.folder / name)

    def served(self, port: int) -> str:
        """Return the certificate that a new connection meets, PEM."""
        context = ssl.create_default_context(cafile=str(self._certs.ca))
        client = self._certs.client("reader")
        context.load_cert_chain(client.certificate, client.key)
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((HOST, port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            der = sock.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der)


def pem(leaf: Leaf) -> str:
    return leaf.certificate.read_text(encoding="ascii")


@pytest.fixture
def tls(edge: Proxy, certs: Certificates) -> Iterator[Tls]:
    """Open the TCP listener for a test."""
    made = Tls(edge.folder, certs)
    made.renew()
    apply(edge, text(addr=f"{HOST}:PORT_G", **made.keys))
    yield made
    apply(edge, text())
    until(lambda: closed(edge.port("G")), "the listener is closed")


def closed(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_over_tls_the_certificate_says_who_asks(edge: Proxy, tls: Tls, certs: Certificates) -> None:
    """Whatever the client says itself; on the Unix socket, what it says counts, and is marked so."""
    options = pb.MutationOptions(author="mallory", reason="because")
    with mutual_tls(edge.port("G"), certs.ca, certs.client("deploy-bot")) as admin:
        assert admin.call("GetStatus").pid == edge.pid
        (edit,) = admin.call("AddFirewallRule", type="ip", value="192.0.2.1", options=options).edits
        assert admin.refused("AddFirewallRule", type="ip", value="x", options=options).fields == {"value"}
    assert edit.author == "deploy-bot"
    with unix(edge) as admin:
        admin.call("RemoveFirewallRule", type="ip", value="192.0.2.1", options=options)
        entries = admin.call("ListAudit", limit=3).entries
    assert [(entry.outcome, entry.author, entry.verified) for entry in entries] == [
        ("accepted", "mallory", False),
        ("refused", "deploy-bot", True),
        ("accepted", "deploy-bot", True),
    ]


def test_without_a_certificate_of_the_ca_nobody_gets_in(
    edge: Proxy, tls: Tls, certs: Certificates, other_certs: Certificates
) -> None:
    """No certificate, another CA's, or no TLS at all: not one call is answered, and others are served on."""
    port = edge.port("G")
    for leaf in (None, other_certs.client("deploy-bot")):
        with mutual_tls(port, certs.ca, leaf) as admin:
            assert admin.refused("GetStatus").code is UNAVAILABLE
    with Admin(f"dns:///{HOST}:{port}") as admin:
        assert admin.refused("GetStatus").code is UNAVAILABLE
    with mutual_tls(port, other_certs.ca, certs.client("deploy-bot")) as admin:  # and it is the client that checks here
        assert admin.refused("GetStatus").code is UNAVAILABLE
    with mutual_tls(port, certs.ca, certs.client("deploy-bot")) as admin:
        assert admin.call("GetStatus").pid == edge.pid


def test_a_renewed_certificate_is_used_from_the_next_connection_on(edge: Proxy, tls: Tls, certs: Certificates) -> None:
    """As soon as both its files are there; what was open stays open."""
    port = edge.port("G")
    with mutual_tls(port, certs.ca, certs.client("deploy-bot")) as admin:
        before = admin.call("GetStatus")
        old = tls.served(port)
        new = tls.renew()
        assert tls.served(port) == pem(new) != old
        newest = certs.server("localhost", HOST)
        since = edge.mark()
        tls.put("grpc.crt", newest.certificate)
        assert tls.served(port) == pem(new)
        edge.wait_for_log(r"grpc.tls_key: .* do not belong together", since=since)
        since = edge.mark()
        tls.put("grpc.key", newest.key)
        assert tls.served(port) == pem(newest)
        edge.wait_for_log("read again: no changes", since=since)
        assert admin.call("GetStatus").generation == before.generation


def test_an_address_in_use_is_an_error_and_changes_nothing(edge: Proxy, tls: Tls, certs: Certificates) -> None:
    """The old listener stays open; when the address is free, a reload moves the listener."""
    client = certs.client("deploy-bot")
    wanted = text(addr=f"{HOST}:PORT_H", **tls.keys)
    with socket.socket() as occupied:
        occupied.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        occupied.bind((HOST, edge.port("H")))
        occupied.listen()
        assert f"grpc.addr: {HOST}:{edge.port('H')} can't be bound" in refused_reload(edge, wanted)
        with mutual_tls(edge.port("G"), certs.ca, client) as admin:
            last = admin.call("GetStatus").last_reload
            assert not last.succeeded
            assert "can't be bound" in last.problems[0]
    since = edge.mark()
    edge.signal(signal.SIGHUP)
    applied(edge, since)
    with mutual_tls(edge.port("H"), certs.ca, client) as admin:
        assert admin.call("GetStatus").last_reload.succeeded
    until(lambda: closed(edge.port("G")), "the old listener is closed")


def test_files_that_are_wrong_are_told_with_their_line(edge: Proxy, tls: Tls) -> None:
    """And nothing changes."""
    log = refused_reload(edge, text(addr=f"{HOST}:PORT_G", **{**tls.keys, "tls_key": "none.key"}))
    assert "error: grpc.tls_key: " in log
    assert "none.key can't be read: No such file or directory" in log
    assert f"{edge.config.name}:" in log

"""What tests of the L7 path share: its routes, a server that speaks all versions, and scripted backends."""

import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import tomlkit

from tests.support.certificates import Certificates
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT
from tests.support.settings import Table, listener, route

BACKEND_NAME = "backend.test"
"""The name in the certificates of backends."""


def l7_route(certs: Certificates, backend: str | int, hostname: str = "l7.test", **keys: object) -> Table:
    """Return a route that terminates TLS with a certificate for its hostname."""
    leaf = certs.server(hostname)
    return route(backend, hostname, mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key), **keys)


def tls_backend(certs: Certificates) -> Table:
    """Return the keys of a route whose backend has a certificate for `BACKEND_NAME`."""
    return {"backend_tls": True, "backend_ca": str(certs.ca), "backend_server_name": BACKEND_NAME}


def l7_config(
    *routes: Table, addr: str = "127.0.0.1:PORT", limits: Mapping[str, object] | None = None, **proxy: object
) -> str:
    """Return the config of one listener; ``proxy`` are further keys of ``[proxy]`` (one worker unless told)."""
    tables: Table = {
        "proxy": {"workers": 1, "shutdown_timeout": "2s", **proxy},
        "limits": dict(limits or {}),
        "listeners": [listener(addr, routes)],
    }
    return tomlkit.dumps(tables)


class AppServer(msgspec.Struct, frozen=True):
    """A server that runs `tests.support.asgi_app`: cleartext HTTP/1.1 and h2c on one port, both over TLS on another."""

    port: int
    tls_port: int
    process: Process


def start_hypercorn(processes: Processes, certs: Certificates, settings: Path | None = None) -> AppServer:
    """Start hypercorn, with a file of further settings, and wait until it accepts."""
    leaf = certs.server(BACKEND_NAME)
    port, tls_port = free_port(), free_port()
    process = processes.start(
        *(sys.executable, "-W", "ignore", "-m", "hypercorn", "tests.support.asgi_app:app", "--log-level", "warning"),
        *("--insecure-bind", f"127.0.0.1:{port}", "--bind", f"127.0.0.1:{tls_port}"),
        *("--certfile", leaf.certificate, "--keyfile", leaf.key),
        *(("--config", settings) if settings else ()),
        env={"PYTHONPATH": str(ROOT)},
    )
    process.wait_for_port("127.0.0.1", port, timeout=60)
    process.wait_for_port("127.0.0.1", tls_port, timeout=60)
    return AppServer(port, tls_port, process)


def start_uvicorn(processes: Processes) -> int:
    """Start uvicorn and return its port."""
    port = free_port()
    process = processes.start(
        *(sys.executable, "-m", "uvicorn", "tests.support.asgi_app:app", "--port", str(port), "--log-level", "warning"),
        env={"PYTHONPATH": str(ROOT)},
    )
    process.wait_for_port("127.0.0.1", port, timeout=60)
    return port


def accept_tls(sock: socket.socket, certs: Certificates, *alpn: str) -> ssl.SSLSocket:
    """Do the server's side of a handshake on an accepted connection, as `BACKEND_NAME`."""
    leaf = certs.server(BACKEND_NAME)
    return server_tls(leaf.certificate, leaf.key, *alpn).wrap_socket(sock, server_side=True)


def server_tls(certificate: Path, key: Path, *alpn: str) -> ssl.SSLContext:
    """Return a server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(list(alpn))
    return context


def read_head(sock: socket.socket) -> bytes:
    """Receive one HTTP/1.1 head, its empty line included, and not a byte more; raises `EOFError` if it does not come."""
    data = bytearray()
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise EOFError(f"the head ended after {bytes(data)!r}")
        data += byte
    return bytes(data)

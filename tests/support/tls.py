"""Python's own ssl as a TLS client, and the bytes of its ClientHello."""

import contextlib
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from tests.support.certificates import Leaf


def client_context(
    ca: Path | None = None,
    *,
    client: Leaf | None = None,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """Return a context for clients.

    Args:
        ca: the CA to trust; None verifies nothing.
        client: a certificate to offer to servers that ask.
        version: the one TLS version to speak; None leaves the choice to the peers.
    """
    context = ssl.create_default_context(cafile=ca) if ca else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client:
        context.load_cert_chain(client.certificate, client.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def connect(
    address: tuple[str, int], server_name: str | None, context: ssl.SSLContext, timeout: float = 30
) -> ssl.SSLSocket:
    """Connect to host and port with an SNI and finish the handshake.

    Args:
        address: host (IPv6 without brackets) and port.
        server_name: the SNI, also checked against the certificate if the context verifies; None sends none.
        context: as `client_context` makes it.
        timeout: seconds for each operation, also later ones.

    Raises:
        OSError: refused, reset, timed out, or (`ssl.SSLError`) the handshake failed.
    """
    sock = socket.create_connection(address, timeout=timeout)
    try:
        return context.wrap_socket(sock, server_hostname=server_name)
    except BaseException:
        sock.close()
        raise


def get_json(sock: ssl.SSLSocket, hostname: str, path: str = "/") -> Any:
    """Send a GET request over an open connection and return the JSON body of the answer; the connection then ends."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n".encode())
    head, separator, body = receive_all(sock).partition(b"\r\n\r\n")
    if not separator:
        raise ValueError(f"no complete answer: {head[:200]!r}")
    return json.loads(body)


def receive_all(sock: socket.socket) -> bytes:
    """Receive until the peer ends the stream."""
    chunks = []
    while chunk := sock.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def receive_exactly(sock: socket.socket, count: int) -> bytes:
    """Receive ``count`` bytes; raises `EOFError` if the peer ends the stream before."""
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise EOFError(f"stream ended after {len(data)} of {count} bytes")
        data += chunk
    return bytes(data)


def client_hello(server_name: str | None, context: ssl.SSLContext | None = None) -> bytes:
    """Return the TLS record(s) with which a client begins, without any connection."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = (context or client_context()).wrap_bio(incoming, outgoing, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()

"""The conversation that drivers and backends hold through the proxy under test.

The client speaks first and sends a TLS ClientHello; the backend answers one byte as soon as the hello is complete. What
follows depends on the backend's role:

======  =============================================================================================
answer  nothing more: the client closes, or stays idle
source  the client sends a count (64 bits, big-endian) and receives that many bytes; any number of times
sink    the client sends a count and then that many bytes, and receives one byte; any number of times
echo    every byte comes back
======  =============================================================================================

An L4 proxy routes by the hello's server name and never terminates TLS, so the handshake is not completed.
"""

import ssl
import struct

ANSWER = b"\x01"
COUNT = struct.Struct(">Q")
MESSAGE_BYTES = 64
# One system call moves this much on either end of a bulk load.
CHUNK_BYTES = 256 * 1024

_RECORD_HEADER = struct.Struct(">BHH")  # content type, version, length (RFC 8446 section 5.1)


def client_hello(hostname: str) -> bytes:
    """Return the ClientHello that OpenSSL sends for ``hostname``, in one TLS record."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=hostname)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end without a peer")


def is_complete(hello: bytes | bytearray) -> bool:
    """Tell whether ``hello`` holds its whole first TLS record."""
    if len(hello) < _RECORD_HEADER.size:
        return False
    return len(hello) >= _RECORD_HEADER.size + int(_RECORD_HEADER.unpack_from(hello)[2])

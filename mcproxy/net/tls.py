"""TLS contexts: of routes that terminate TLS, and of backends that are reached through TLS."""

import os
import ssl
from collections.abc import Sequence
from typing import Literal

from mcproxy.errors import McproxyError
from mcproxy.net.pem import layout_fault, without_byte_order_mark
from mcproxy.net.sockets import memory_file

ALPN_BOTH = ("h2", "http/1.1")


class TlsError(McproxyError):
    """A certificate, key or CA can't be used; the text says why.

    Attributes:
        part: whose fault it is, "" where that can't be told.
        line: of that file, from 1; 0 where that can't be told.
    """

    def __init__(self, text: str, part: Literal["certificate", "key", "ca", ""] = "", line: int = 0) -> None:
        super().__init__(text)
        self.part = part
        self.line = line


def server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return the context of a route: its certificate, TLS 1.2 or later, ALPN h2 and http/1.1.

    Args:
        certificate: PEM, the leaf first, then its chain.
        key: PEM, unencrypted.

    Raises:
        TlsError: they do not parse or are no pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN_BOTH)
    context.num_tickets = 1  # of TLS 1.3; OpenSSL's two make a handshake dearer, and a client seldom resumes twice
    certificate_fd = memory_file("mcproxy-certificate", certificate)
    try:
        key_fd = memory_file("mcproxy-key", key)
        try:
            # An empty password: an encrypted key is an error, never a prompt.
            context.load_cert_chain(f"/proc/self/fd/{certificate_fd}", f"/proc/self/fd/{key_fd}", password="")
        finally:
            os.close(key_fd)
    except (ssl.SSLError, OSError) as error:
        raise _pair_error(error, certificate, key) from error
    finally:
        os.close(certificate_fd)
    return context


def client_context(ca: bytes, protocols: Sequence[str]) -> ssl.SSLContext:
    """Return the context for a backend, which must have a valid certificate for its name.

    Args:
        ca: PEM certificates that are trusted instead of the system's; empty for the system's.
        protocols: what to offer by ALPN.

    Raises:
        TlsError: ``ca`` holds no certificate, or one that can't be read.
    """
    # Comments between the certificates may be in any language; ssl takes ASCII alone.
    text = without_byte_order_mark(ca).decode("ascii", "replace").replace("\ufffd", "?")
    try:
        context = ssl.create_default_context(cadata=text if ca else None)
    except (ssl.SSLError, ValueError) as error:
        line, fault = layout_fault(ca)
        raise TlsError(fault or f"no usable CA certificate: {error}", "ca", line) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context


def _pair_error(error: Exception, certificate: bytes, key: bytes) -> TlsError:
    """Return what is to be told of a pair that OpenSSL refuses."""
    line, fault = layout_fault(certificate)
    if fault:
        return TlsError(fault, "certificate", line)
    line, fault = layout_fault(key)
    return TlsError(fault, "key", line) if fault else TlsError(_reason(error))


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    match reason:
        case "KEY_VALUES_MISMATCH":
            return "certificate and key do not belong together"
        case "NO_START_LINE" | None:
            return f"no PEM certificate or key: {error}"
        case "BAD_DECRYPT" | "BAD_PASSWORD_READ":
            return "the key is encrypted; store it unencrypted, readable by mcproxy alone"
        case _:
            return str(reason).lower().replace("_", " ")

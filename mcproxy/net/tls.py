"""TLS contexts: of routes that terminate TLS, and of backends that are reached through TLS."""

import os
import ssl
from collections.abc import Sequence

from mcproxy.errors import McproxyError
from mcproxy.net.sockets import memory_file

ALPN_BOTH = ("h2", "http/1.1")


class TlsError(McproxyError):
    """A certificate, key or CA can't be used; the text says why."""


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
    certificate_fd = memory_file("mcproxy-certificate", certificate)
    try:
        key_fd = memory_file("mcproxy-key", key)
        try:
            # An empty password: an encrypted key is an error, never a prompt.
            context.load_cert_chain(f"/proc/self/fd/{certificate_fd}", f"/proc/self/fd/{key_fd}", password="")
        finally:
            os.close(key_fd)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(_reason(error)) from error
    finally:
        os.close(certificate_fd)
    return context


def client_context(ca: bytes, protocols: Sequence[str]) -> ssl.SSLContext:
    """Return the context for a backend, which must have a valid certificate for its name.

    Args:
        ca: PEM certificates that are trusted instead of the system's; empty for the system's.
        protocols: what to offer by ALPN.

    Raises:
        TlsError: ``ca`` holds no certificate.
    """
    try:
        context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"no usable CA certificate: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context


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
